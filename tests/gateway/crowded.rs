//! No connection to the database is held while a provider is waited for: of three, forty calls leave enough.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::between::Way;
use crate::killed::Place;
use crate::listening::Listener;
use crate::llm::{Gate, Reply, Wire};
use crate::queue_house::{SUMMARY, TEXT};
use crate::support::Person;

/// Each asks for five.
const PEOPLE: usize = 8;
/// How long a wallet may be waited for, on a slow machine.
const SOON: Duration = Duration::from_secs(2);
/// What is held for a second is held.
const HELD: Duration = Duration::from_millis(1100);
const OPEN: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and state like 'idle in transaction%'
      and state_change < clock_timestamp() - interval '1 second'";

/// Asks in each way, and for a summary besides without waiting for it.
async fn asks(place: &Place, who: &(Person, String)) {
    let bearer = format!("Bearer {}", who.0.token);
    let headers = [("authorization", bearer.as_str()), ("prefer", "respond-async")];
    let (path, text) = ("/api/v1/ai/summarize", json!({ "text": TEXT }));
    let queued = place.server.send(Method::POST, path, &headers, Some(&text)).await;
    assert_eq!(queued.expect("an answer").status, StatusCode::ACCEPTED);
    join_all(Way::ALL.map(async |way| {
        let said = way.ask(place, who, &format!("{way:?}")).await;
        let is_reply = matches!(way, Way::Reply);
        assert_eq!(said.as_deref(), Some(way.text()).filter(|_| !is_reply), "{way:?}");
    }))
    .await;
}

#[tokio::test]
async fn forty_calls_that_wait_for_their_provider_hold_none_of_three_connections() {
    let settings = &[("SALDO_DATABASE_CONNECTIONS", "3"), ("SALDO_CALL_HOLD_S", "60")];
    let place = Place::of(Wire::OpenAi, settings).await;
    let gate = Gate::closed();
    place.recorder.always(Wire::OpenAi, Reply::says(SUMMARY).held_after(1, &gate));
    let (mut people, mut listeners) = (Vec::new(), Vec::new());
    for number in 0..PEOPLE {
        let (person, chat) = place.somebody(number).await;
        listeners.push(Listener::to(&place.server, &person, &chat, None).await);
        people.push((person, chat));
    }
    let meanwhile = async {
        place.recorder.called(5 * PEOPLE).await;
        tokio::time::sleep(HELD).await;
        for (person, _) in &people {
            let asked = Instant::now();
            let wallet = place.server.get(person, "/wallet").await;
            assert_eq!(wallet.status, StatusCode::OK, "{:?}", wallet.body);
            assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
        }
        assert_eq!(place.count(OPEN).await, 0);
        gate.open();
    };
    tokio::join!(join_all(people.iter().map(|who| asks(&place, who))), meanwhile);
    for listener in &mut listeners {
        listener.until("message.completed").await;
    }
    place.until("select count(*) from queued_calls").await;
    let captures = "select count(*) from events where event_type = 'HoldCaptured'";
    assert_eq!(place.count(captures).await, 40);
    assert_eq!(place.recorder.calls().len(), 40);
    for (person, _) in &people {
        assert_eq!(place.available(person).await, 100 - 10 - 13);
    }
    place.close().await;
}
