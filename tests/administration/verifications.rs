//! Verifying the log, as administrators ask for it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::things::House;
use crate::world::change;

const ALL: &str = "/admin/verifications";

impl House {
    /// Asks for a verification; its id.
    async fn ask_for_one(&self) -> String {
        let asked = self.as_root(Method::POST, ALL, &json!({})).await;
        assert_eq!(asked.status, StatusCode::ACCEPTED, "{:?}", asked.body);
        asked.body["id"].as_str().expect("an id").to_owned()
    }

    /// Waits until a verification stands as one of these.
    async fn until_one(&self, id: &str, states: &[&str]) -> Value {
        let mut one = Value::Null;
        for _ in 0..500 {
            one = self.root_sees(&format!("{ALL}/{id}")).await;
            if states.iter().any(|state| one["state"] == *state) {
                return one;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        panic!("{one}");
    }
}

/// Somebody who keeps verifications from reading the log, until dropped.
async fn in_the_way(house: &House) -> PgConnection {
    let options = house.shop.database.options();
    let mut db = PgConnection::connect_with(&options).await.expect("a connection");
    for sql in ["begin", "lock table batches in access exclusive mode"] {
        sqlx::query(sql).execute(&mut db).await.expect(sql);
    }
    db
}

const ENDED: [&str; 3] = ["clean", "findings", "failed"];

#[tokio::test]
async fn a_verification_is_clean_or_says_what_is_wrong_as_the_program_does() {
    let house = House::open().await;
    let clean = house.until_one(&house.ask_for_one().await, &ENDED).await;
    assert_eq!((&clean["state"], &clean["report"]["found"]), (&json!("clean"), &json!(0)));
    let end: u64 = house.shop.database.end().await.parse().expect("a position");
    assert!(clean["report"]["events"].as_u64().is_some_and(|events| events <= end && events > 5));
    let ada = house.ada();
    change(&house.shop.database, "update balances.wallets set available = 7").await;
    let wrong = house.until_one(&house.ask_for_one().await, &ENDED).await;
    assert_eq!(wrong["state"], "findings", "{wrong}");
    let (_, said) = house.shop.database.run(&["verify", "--json"]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    let (ours, theirs) = (&wrong["report"], &said);
    assert_eq!((&ours["findings"], &ours["found"]), (&theirs["findings"], &theirs["found"]));
    assert!(ours["findings"].to_string().contains(&ada), "{ours}");
    change(&house.shop.database, "update balances.wallets set available = 100").await;
    let all = house.root_sees(ALL).await;
    assert_eq!((&all["items"][0]["id"], &all["items"][1]["id"]), (&wrong["id"], &clean["id"]));
    house.shop.close().await;
}

#[tokio::test]
async fn there_is_one_at_a_time_and_a_node_that_is_killed_is_followed_by_another() {
    let mut house = House::open().await;
    let way = in_the_way(&house).await;
    let first = house.ask_for_one().await;
    house.until_one(&first, &["running"]).await;
    assert_eq!(house.ask_for_one().await, first);
    house.shop.restart().await;
    assert_eq!(house.ask_for_one().await, first);
    drop(way);
    assert_eq!(house.until_one(&first, &ENDED).await["state"], "clean");
    assert_ne!(house.ask_for_one().await, first);
    house.shop.close().await;
}

#[tokio::test]
async fn one_whose_work_is_given_up_has_failed_and_keeps_no_other_waiting() {
    let house = House::open().await;
    let way = in_the_way(&house).await;
    let first = house.ask_for_one().await;
    house.until_one(&first, &["running"]).await;
    let given_up =
        "update graphile_worker._private_jobs set attempts = max_attempts, locked_at = null,
        locked_by = null where key like 'verify/%'";
    change(&house.shop.database, given_up).await;
    let failed = house.until_one(&first, &ENDED).await;
    assert_eq!((&failed["state"], failed["error"].is_string()), (&json!("failed"), true));
    let second = house.ask_for_one().await;
    assert_ne!(second, first);
    drop(way);
    assert_eq!(house.until_one(&second, &ENDED).await["state"], "clean");
    assert_eq!(house.until_one(&first, &ENDED).await["state"], "failed");
    house.shop.close().await;
}
