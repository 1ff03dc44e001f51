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

/// How many items there are, as the reader sees it who asks to see at least so much.
async fn items(server: &Server, person: &Person, path: &str, at_least: Option<&str>) -> usize {
    let bearer = format!("Bearer {}", person.token);
    let mut headers = vec![("authorization", bearer.as_str())];
    headers.extend(at_least.map(|position| ("x-min-position", position)));
    let list = server.send(Method::GET, &format!("/api/v1{path}"), &headers, None).await;
    let list = list.expect("an answer");
    assert_eq!(list.status, StatusCode::OK, "{path}: {:?}", list.body);
    list.body["items"].as_array().unwrap_or_else(|| panic!("{path}: {}", list.body)).len()
}

/// Somebody has bought something, as far as the read model says.
async fn buy(database: &Database, person: &Person) {
    let purchase = "insert into billing.purchases (purchase_id, user_id, pack_id, name, credits, bonus,
             amount_minor, currency, stage, created_at)
         values (gen_random_uuid(), $1, gen_random_uuid(), 'Starter', 1000, 0, 900, 'usd', 'fulfilled', now())";
    let bought = sqlx::query(purchase).bind(person.id).execute(database.kept().await).await;
    bought.expect("a purchase");
}

#[tokio::test]
async fn every_query_that_a_standby_answers_sees_the_position_that_its_caller_names() {
    let database = Database::durable().await;
    let Some(standby) = Standby::of(&database).await else { return };
    let replica = standby.url();
    let settings = [("SALDO_REPLICA_DATABASE_URL", replica.as_str()), ("SALDO_RATE_LIMITS", "off")];
    let server = || database.server_with(&database.url(), &settings);
    let (one, other) = (server(), server());
    let ada = one.register("ada@example.com").await;
    let root = one.register("root@example.com").await;
    let (granted, said) = database.run(&["admin", "grant", "root@example.com"]);
    assert!(granted, "{said}");
    let hers = format!("/admin/users/{}/transactions", ada.id);
    let reads = [
        (&ada, "/wallet/transactions"),
        (&ada, "/wallet/statement?from=2000-01-01T00:00:00Z&to=2100-01-01T00:00:00Z"),
        (&ada, "/billing/payments"),
        (&root, "/admin/users"),
        (&root, hers.as_str()),
        (&root, "/admin/purchases?state=fulfilled"),
    ];
    standby.has_all_of(&database).await;
    standby.stand_still().await;
    let all = async |at_least: Option<&str>| {
        let mut all = vec![];
        for (person, path) in reads {
            all.push((path, items(&other, person, path, at_least).await));
        }
        all
    };
    let before = all(None).await;
    buy(&database, &ada).await;
    one.register("ben@example.com").await;
    let debited = one.debit(&ada, 30, "").await;
    assert_eq!(debited.status, StatusCode::CREATED, "{:?}", debited.body);
    assert_eq!(all(None).await, before, "the standby is asked");
    let position = debited.header("x-event-position");
    let after: Vec<_> = before.into_iter().map(|(path, items)| (path, items + 1)).collect();
    assert_eq!(all(Some(position)).await, after);
    drop((one, other));
    drop(standby);
    database.remove().await;
}
