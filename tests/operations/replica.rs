//! Queries that a standby answers: never with less than their caller has to see.

use std::time::Duration;

use reqwest::{Method, StatusCode};

use crate::scrape::{Scrape, until};
use crate::standby::Standby;
use crate::support::{Database, Person, Server};

const READS: &str = "saldo_replica_reads_total";

async fn available(server: &Server, person: &Person, at_least: Option<&str>) -> i64 {
    let bearer = format!("Bearer {}", person.token);
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(at_least.map(|position| ("x-min-position", position)));
    let wallet = server.send(Method::GET, "/api/v1/wallet", &headers, None).await;
    let wallet = wallet.expect("an answer");
    assert_eq!(wallet.status, StatusCode::OK, "{:?}", wallet.body);
    wallet.body["available"].as_i64().expect("a number")
}

async fn until_available(server: &Server, person: &Person, credits: i64) {
    for _ in 0..500 {
        if available(server, person, None).await == credits {
            return;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    panic!("it never has {credits}");
}

fn found(standing: &'static str) -> impl Fn(&Scrape) -> bool {
    move |scrape| scrape.sum(READS, &[("found", standing)]) > 0
}

#[tokio::test]
async fn a_standby_answers_with_what_it_has_and_the_database_with_what_it_has_not() {
    let database = Database::durable().await;
    let Some(mut standby) = Standby::of(&database).await else { return };
    let replica = standby.url();
    let settings = [("SALDO_REPLICA_DATABASE_URL", replica.as_str()), ("SALDO_RATE_LIMITS", "off")];
    let server = || database.server_with(&database.url(), &settings);
    let one = server();
    let ada = one.register("ada@example.com").await;
    until_available(&one, &ada, 100).await;
    standby.has_all_of(&database).await;
    standby.stand_still().await;
    let other = server();
    let debited = one.debit(&ada, 30, "").await;
    assert_eq!(debited.status, StatusCode::CREATED, "{:?}", debited.body);
    let position = debited.header("x-event-position");
    // Who wrote sees it where they wrote, and everywhere by the position; who asks for nothing sees what the standby has.
    assert_eq!(available(&one, &ada, None).await, 70);
    assert_eq!(available(&other, &ada, None).await, 100, "the standby is asked");
    assert_eq!(available(&other, &ada, Some(position)).await, 70);
    until(&other, "reads that were behind", found("behind")).await;
    until(&other, "reads of the standby", found("ready")).await;
    // What is too old is seen by nobody, though they ask for nothing.
    until_available(&other, &ada, 70).await;
    standby.go_on().await;
    for server in [&one, &other] {
        assert_eq!(available(server, &ada, Some(position)).await, 70);
    }
    // Nobody waits for one that is away.
    standby.kill();
    for server in [&one, &other] {
        assert_eq!(available(server, &ada, None).await, 70);
        until(server, "reads while it is away", found("away")).await;
    }
    let ready = Scrape::of(&one).await.sum(READS, &[("found", "ready")]);
    standby.restart().await;
    for _ in 0..500 {
        assert_eq!(available(&one, &ada, Some(position)).await, 70);
        if Scrape::of(&one).await.sum(READS, &[("found", "ready")]) > ready {
            drop((one, other));
            drop(standby);
            return database.remove().await;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    panic!("the standby is never asked again");
}

#[tokio::test]
async fn a_database_of_another_house_is_not_asked() {
    let (database, other) = (Database::in_memory().await, Database::in_memory().await);
    std::fs::create_dir_all(&other.data).expect("a folder");
    let url = other.url();
    let settings = [("SALDO_REPLICA_DATABASE_URL", url.as_str()), ("SALDO_RATE_LIMITS", "off")];
    let server = database.server_with(&database.url(), &settings);
    let ada = server.register("ada@example.com").await;
    assert_eq!(available(&server, &ada, None).await, 100);
    until(&server, "reads that found nobody", found("away")).await;
    assert_eq!(Scrape::of(&server).await.sum(READS, &[("found", "ready")]), 0);
    drop(server);
    database.remove().await;
    other.remove().await;
}
