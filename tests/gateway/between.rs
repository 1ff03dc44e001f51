//! T6 to the point: `kill -9` while the charge for an answer that is all there is on its way to the log, and
//! while a reply that was charged is not noted yet.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::house::question;
use crate::killed::{Place, WORDS, complete};
use crate::llm::{End, Gate, Reply, Wire};
use crate::queue_house::{SUMMARY, TEXT};
use crate::stream::said;
use crate::support::{Answer, Person};

const CAPTURES: &str = "select count(*) from events where event_type = 'HoldCaptured'";
/// The writer of the log waits for somebody.
const WRITER_WAITS: &str = "select 1 - count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'saldo appender'
      and wait_event_type = 'Lock'";
/// What the writer of the log has sent is at work yet.
const WRITER_WORKS: &str = "select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'saldo appender'";

/// By which way an answer is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Way {
    Whole,
    Stream,
    Summary,
    Reply,
}

impl Way {
    pub const ALL: [Self; 4] = [Self::Whole, Self::Stream, Self::Summary, Self::Reply];

    /// What is answered, where the provider says [`SUMMARY`].
    pub fn text(self) -> &'static str {
        match self {
            Self::Summary => "Credits move.",
            Self::Whole | Self::Stream | Self::Reply => SUMMARY,
        }
    }

    /// What it costs.
    pub fn price(self) -> i64 {
        match self {
            Self::Summary => 10,
            Self::Whole | Self::Stream | Self::Reply => 1,
        }
    }

    /// What is answered under the key; nothing where the server dies, or where the first who asked is at it for all
    /// that anybody knows.
    pub async fn ask(self, place: &Place, who: &(Person, String), key: &str) -> Option<String> {
        let (person, _) = who;
        match self {
            Self::Whole => {
                let answer = complete(&place.server, person, key).await?;
                text_of(&answer, "/choices/0/message/content")
            }
            Self::Stream => stream(place, person, key).await,
            Self::Summary => {
                let text = json!({ "text": TEXT });
                let answer =
                    place.server.try_post(person, "/ai/summarize", key, &text).await.ok()?;
                text_of(&answer, "/result/summary")
            }
            Self::Reply => reply(place, who, key).await,
        }
    }

    /// The same, once it is there.
    async fn answered(self, place: &Place, who: &(Person, String), key: &str) -> String {
        for _ in 0..300 {
            if let Some(said) = self.ask(place, who, key).await {
                return said;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{self:?} is never answered");
    }
}

fn text_of(answer: &Answer, at: &str) -> Option<String> {
    if answer.status == StatusCode::CONFLICT {
        assert!(answer.body.to_string().contains("still_running"), "{:?}", answer.body);
        return None;
    }
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.body.pointer(at)?.as_str().map(str::to_owned)
}

async fn stream(place: &Place, person: &Person, key: &str) -> Option<String> {
    let client = saldo::clients::http().build().expect("a client");
    let url = format!("{}/v1/chat/completions", place.server.url);
    let asked = client.post(url).bearer_auth(&person.token).header("idempotency-key", key);
    let answer = asked.json(&question("count", true)).send().await.ok()?;
    if answer.status() == StatusCode::CONFLICT {
        return None;
    }
    assert_eq!(answer.status(), StatusCode::OK);
    let told = answer.text().await.ok()?;
    let events = told.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = events.filter_map(|event| serde_json::from_str(event).ok()).collect();
    told.contains("[DONE]").then(|| said(&events))
}

/// The reply, once it is done. One that was given up is free, and is tried again.
async fn reply(place: &Place, (person, chat): &(Person, String), key: &str) -> Option<String> {
    let path = format!("/chats/{chat}/messages");
    let said = place.server.try_post(person, &path, key, &json!({ "text": "count" })).await.ok()?;
    assert_eq!(said.status, StatusCode::ACCEPTED, "{:?}", said.body);
    let mut reply = message(place, person, &path, &said.body["reply"]["id"]).await?;
    if reply["state"] == "failed" {
        assert_eq!((&reply["code"], &reply["credits"]), (&json!("interrupted"), &json!(0)));
        let again = format!("{path}/{}/retry", reply["id"].as_str().expect("an id"));
        let again = place.server.post(person, &again, key, &json!({})).await;
        assert_eq!(again.status, StatusCode::ACCEPTED, "{:?}", again.body);
        reply = message(place, person, &path, &again.body["reply"]["id"]).await?;
    }
    match reply["state"].as_str() {
        Some("queued") => None,
        Some("done") => reply["text"].as_str().map(str::to_owned),
        other => panic!("{other:?}: {reply}"),
    }
}

async fn message(place: &Place, person: &Person, path: &str, id: &Value) -> Option<Value> {
    let path = format!("/api/v1{path}/{}", id.as_str().expect("an id"));
    let bearer = format!("Bearer {}", person.token);
    let headers = [("authorization", bearer.as_str())];
    let found = place.server.send(Method::GET, &path, &headers, None).await.ok()?;
    assert_eq!(found.status, StatusCode::OK, "{:?}", found.body);
    Some(found.body)
}

/// What becomes of a charge that was sent by a server that is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Lost,
    Lands,
}

/// Ends what the writer of a dead server has sent before it is done.
async fn lose(pool: &PgPool) {
    let lose = "select pg_terminate_backend(pid, 5000) from pg_stat_activity
        where datname = current_database() and application_name = 'saldo appender'";
    sqlx::query(lose).execute(pool).await.expect("it is lost");
}

/// Kills the server when the provider has said all, and the charge is sent and not yet written.
async fn die(place: &Place, call: usize, gate: &Gate, fate: Fate) {
    place.recorder.called(call).await;
    let pool = place.database.kept().await;
    let mut head = pool.begin().await.expect("a transaction");
    let lock = "select from log_head for update";
    sqlx::query(lock).execute(&mut *head).await.expect("a lock");
    let before = place.count(CAPTURES).await;
    gate.open();
    assert_eq!(place.recorder.ended(call).await, End::Whole);
    place.until(WRITER_WAITS).await;
    place.server.kill();
    assert_eq!(place.count(CAPTURES).await, before);
    if fate == Fate::Lost {
        lose(pool).await;
    }
    head.rollback().await.expect("it is let go");
    place.until(WRITER_WORKS).await;
    let landed = i64::from(fate == Fate::Lands);
    assert_eq!(place.count(CAPTURES).await, before + landed, "{fate:?}");
}

async fn in_each_way(fate: Fate) {
    let mut place = Place::open().await;
    place.recorder.always(Wire::OpenAi, Reply::says(SUMMARY));
    for (number, way) in Way::ALL.into_iter().enumerate() {
        let who = place.somebody(number).await;
        let (calls, captures) = (place.recorder.calls().len(), place.count(CAPTURES).await);
        let gate = Gate::closed();
        place.recorder.script(Wire::OpenAi, Reply::says(SUMMARY).held_after(1, &gate));
        let asks = way.ask(&place, &who, "a key");
        let (told, ()) = tokio::join!(asks, die(&place, calls + 1, &gate, fate));
        assert_eq!(told, None, "{way:?}");
        place.restart().await;
        for _ in 0..2 {
            assert_eq!(way.answered(&place, &who, "a key").await, way.text());
        }
        let asked = if fate == Fate::Lost { 2 } else { 1 };
        assert_eq!(place.recorder.calls().len() - calls, asked, "{way:?}");
        assert_eq!(place.count(CAPTURES).await - captures, 1, "{way:?}");
        assert_eq!(place.available(&who.0).await, 100 - way.price(), "{way:?}");
    }
    place.until("select sum(held)::bigint from balances.wallets").await;
    place.close().await;
}

#[tokio::test]
async fn where_a_charge_is_lost_with_its_server_the_hold_ends_and_who_asks_again_pays_once() {
    in_each_way(Fate::Lost).await;
}

#[tokio::test]
async fn a_charge_that_lands_after_its_server_has_died_stands_and_who_asks_again_is_answered() {
    in_each_way(Fate::Lands).await;
}

#[tokio::test]
async fn a_reply_that_was_charged_and_not_noted_when_its_server_died_is_there_whole_and_paid_once()
{
    let mut place = Place::open().await;
    let who = place.somebody(0).await;
    let pool = place.database.kept().await.clone();
    let statements = "
        create function public.stand_still() returns trigger language plpgsql as $$ begin
            perform pg_advisory_xact_lock(1); return new; end $$;
        create trigger stand_still before insert on events for each row
            when (new.event_type = 'Replied') execute function public.stand_still()";
    place.database.change(statements).await;
    let mut still = pool.begin().await.expect("a transaction");
    let lock = "select pg_advisory_xact_lock(1)";
    sqlx::query(lock).execute(&mut *still).await.expect("a lock");
    assert_eq!(Way::Reply.ask(&place, &who, "a key").await, None);
    place.until("select 1 - count(*) from events where event_type = 'HoldCaptured'").await;
    place.until(WRITER_WAITS).await;
    place.server.kill();
    lose(&pool).await;
    still.rollback().await.expect("it is let go");
    let trigger = "drop trigger stand_still on events";
    sqlx::query(trigger).execute(&pool).await.expect("it goes on");
    let noted = "select count(*) from events where event_type = 'Replied'";
    assert_eq!((place.count(CAPTURES).await, place.count(noted).await), (1, 0));
    place.restart().await;
    assert_eq!(Way::Reply.answered(&place, &who, "a key").await, WORDS);
    assert_eq!((place.count(CAPTURES).await, place.count(noted).await), (1, 1));
    assert_eq!(place.recorder.calls().len(), 1);
    assert_eq!(place.available(&who.0).await, 99);
    place.close().await;
}
