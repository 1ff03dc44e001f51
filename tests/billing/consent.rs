//! That somebody agreed to be charged without them: when, to what, and from where.

use chrono::{DateTime, Utc};
use reqwest::Method;
use saldo::clock;
use serde_json::{Value, json};

use crate::recharge::{shop, told, turn_off, turn_on};
use crate::shop::Shop;
use crate::world::ask;

/// The consents in the log, as they are kept, with the time of the event, the oldest first.
async fn consents(shop: &Shop) -> Vec<(Value, String)> {
    let pool = shop.database.kept().await;
    let kept = "select (payload -> 'TurnedOn' -> 'consent')::text, payload -> 'TurnedOn' ->> 'at'
        from events where aggregate_type = 'recharge' and event_type = 'TurnedOn' order by position";
    let kept: Vec<(String, String)> = sqlx::query_as(kept).fetch_all(pool).await.expect("consents");
    let read = |text: &str| serde_json::from_str(text).expect("JSON");
    kept.iter().map(|(consent, at)| (read(consent), at.clone())).collect()
}

fn moment(value: &Value) -> DateTime<Utc> {
    value.as_str().expect("a time").parse().expect("a time")
}

#[tokio::test]
async fn what_somebody_agreed_to_is_recorded_with_its_time_and_wording_and_from_where() {
    let shop = shop().await;
    let never = told(&shop).await;
    assert_eq!((&never["consented_at"], &never["terms_version"]), (&Value::Null, &Value::Null));
    let before = clock::now();
    turn_on(&shop, 1, 1800).await;
    let shown = told(&shop).await;
    let agreed = moment(&shown["consented_at"]);
    assert!(before <= agreed && agreed <= clock::now(), "{shown}");
    assert_eq!(shown["terms_version"], "2026-11");

    let kept = consents(&shop).await;
    let [(consent, at)] = kept.as_slice() else { panic!("one consent: {kept:?}") };
    assert_eq!((&consent["wording"], moment(&json!(at))), (&json!("2026-11"), agreed));
    // Where they were is theirs: nobody reads it without their key, and they do.
    let sealed = consent["address"]["$sealed"].as_str().expect("a sealed address");
    assert!(sealed.len() > 20, "{consent}");
    assert_eq!(consent["address"].as_object().map(serde_json::Map::len), Some(1), "{consent}");
    assert!(!consent.to_string().contains("127.0.0.1"), "{consent}");
    let held = ask(&shop.server, Method::GET, "/me/export", &shop.ada.access).await.body;
    let mut events = held["events"].as_array().expect("events").iter();
    let theirs = events.find(|event| event["stream"] == "recharge").expect("their consent");
    assert_eq!(theirs["event"]["TurnedOn"]["consent"]["address"], json!({ "$pii": "127.0.0.1" }));
    shop.close().await;
}

/// Other terms are another consent; the one before stays in the log.
#[tokio::test]
async fn whoever_agrees_to_other_terms_agrees_again() {
    let shop = shop().await;
    turn_on(&shop, 1, 1800).await;
    let first = moment(&told(&shop).await["consented_at"]);
    turn_off(&shop).await;
    assert_eq!(
        moment(&told(&shop).await["consented_at"]),
        first,
        "it is told when they had agreed"
    );
    turn_on(&shop, 2, 2700).await;
    let second = moment(&told(&shop).await["consented_at"]);
    assert!(second > first, "{second}");
    let kept: Vec<_> = consents(&shop).await.iter().map(|(_, at)| moment(&json!(at))).collect();
    assert_eq!(kept, [first, second]);
    shop.close().await;
}
