//! T6 and its neighbours: `kill -9` at any moment of calls and replies. Afterwards every hold is captured
//! or released, nothing is charged twice, and what was charged was delivered.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::house::{MODELS, question};
use crate::llm::{Recorder, Reply, Wire};
use crate::support::{Answer, Database, Person, Server};

/// How often the server is killed.
const KILLS: u64 = 6;
/// The latest moment of a kill, in milliseconds: an answer takes about as long.
const LATEST: u64 = 900;
pub const WORDS: &str = "one two three four five six seven eight nine ten";

/// A server of its own, whose provider is a double that it reaches by HTTP.
pub struct Place {
    pub database: Database,
    pub server: Server,
    pub recorder: Recorder,
    settings: Settings,
}

type Settings = &'static [(&'static str, &'static str)];

impl Place {
    pub async fn open() -> Self {
        Self::of(Wire::OpenAi, &[]).await
    }

    /// Of a provider that speaks this, with settings of its own.
    pub async fn of(wire: Wire, settings: Settings) -> Self {
        let database = Database::in_memory().await;
        std::fs::create_dir_all(&database.data).expect("a folder");
        let recorder = Recorder::start().await;
        let reply = Reply::says(WORDS).tokens(5, 10).paced(Duration::from_millis(50));
        recorder.always(wire, reply);
        let models = MODELS
            .replace("\"provider\": \"local\"", &format!("\"provider\": \"{}\"", wire.provider()))
            .replace("1000000", "10000");
        std::fs::write(database.data.join("models.json"), models).expect("a file");
        let server = serve(&database, &recorder, settings);
        Self { database, server, recorder, settings }
    }

    /// Starts another server; what the one before was at is taken again at once, as after a minute of
    /// silence.
    pub async fn restart(&mut self) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let pool = self.database.kept().await;
        let silent = "select graphile_worker.recover_dead_worker_jobs(
            array(select id from graphile_worker._private_workers))";
        sqlx::query(silent).execute(pool).await.expect("jobs");
        self.server = self.another();
    }

    /// Another server on the same database.
    pub fn another(&self) -> Server {
        serve(&self.database, &self.recorder, self.settings)
    }

    /// Somebody, and their chat.
    pub async fn somebody(&self, number: usize) -> (Person, String) {
        let person = self.server.register(&format!("{number}@example.com")).await;
        let chat = self.server.post(&person, "/chats", "", &json!({})).await;
        let chat = chat.body["id"].as_str().expect("an id").to_owned();
        (person, chat)
    }

    pub async fn count(&self, query: &'static str) -> i64 {
        let pool = self.database.kept().await;
        sqlx::query_scalar(query).fetch_one(pool).await.expect("a count")
    }

    /// Waits until there is none of this.
    pub async fn until(&self, query: &'static str) {
        for _ in 0..300 {
            if self.count(query).await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{query}: {}", self.count(query).await);
    }

    /// Available, by all that the log has.
    pub async fn available(&self, person: &Person) -> i64 {
        self.server.available_at(person, &self.database.end().await).await
    }

    /// The log and all that follows from it must be right.
    pub async fn close(mut self) {
        self.server.stop();
        let (sound, said) = self.database.run(&["verify"]);
        assert!(sound, "{said}");
        self.database.remove().await;
    }
}

fn serve(database: &Database, recorder: &Recorder, settings: Settings) -> Server {
    let models = database.data.join("models.json");
    let mine = [
        ("SALDO_RATE_LIMITS", "off"),
        ("SALDO_CALL_HOLD_S", "2"),
        ("SALDO_MODELS", models.to_str().expect("a path")),
        ("OPENAI_BASE_URL", recorder.url()),
        ("ANTHROPIC_BASE_URL", recorder.url()),
        ("ANTHROPIC_API_KEY", "a key"),
        ("GEMINI_BASE_URL", recorder.url()),
        ("GEMINI_API_KEY", "a key"),
    ];
    database.server_with(&database.url(), &[&mine, settings].concat())
}

/// An answer under a key, unless the server dies.
pub async fn complete(server: &Server, person: &Person, key: &str) -> Option<Answer> {
    let bearer = format!("Bearer {}", person.token);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    let body = question("count", false);
    server.send(Method::POST, "/v1/chat/completions", &headers, Some(&body)).await.ok()
}

#[tokio::test]
async fn whenever_the_server_is_killed_every_hold_is_settled_and_nothing_is_charged_twice() {
    let mut place = Place::open().await;
    let mut people = Vec::new();
    for number in 0..4 {
        people.push(place.somebody(number).await);
    }
    // Each may post five messages a day, and has a hundred credits: one a call.
    let mut cut = 0;
    for kill in 0..KILLS {
        let moment = Duration::from_millis((kill * 389 + 130) % LATEST);
        let key = format!("key {}", kill / 3);
        let calls = people.iter().map(async |(person, chat)| {
            let path = format!("/chats/{chat}/messages");
            let say = json!({ "text": format!("message {kill}") });
            let said = place.server.try_post(person, &path, "", &say);
            let (_, answer) = tokio::join!(said, complete(&place.server, person, &key));
            u64::from(answer.is_none())
        });
        let killed = async {
            tokio::time::sleep(moment).await;
            place.server.kill();
        };
        let (lost, ()) = tokio::join!(join_all(calls), killed);
        cut += lost.into_iter().sum::<u64>();
        place.restart().await;
    }
    assert!(cut > 0, "no kill came while a call was under way");
    // Whoever asks again under their key is answered, as often as they ask, and charged once.
    for (person, _) in &people {
        for key in ["key 0", "key 1"] {
            let answer = answered(&place, person, key).await;
            let again = answered(&place, person, key).await;
            assert_eq!(again.body["choices"], answer.body["choices"]);
        }
    }
    // Somebody whom no kill has met is replied to, as before.
    let (person, chat) = place.somebody(4).await;
    let say = json!({ "text": "undisturbed" });
    let said = place.server.post(&person, &format!("/chats/{chat}/messages"), "", &say).await;
    assert_eq!(said.status, StatusCode::ACCEPTED, "{:?}", said.body);
    // The read model has it, and with it all that was said before.
    place.server.get(&person, &format!("/chats/{chat}")).await;
    people.push((person, chat));
    place.until("select count(*) from chats.messages where state = 'queued'").await;
    place.until("select sum(held)::bigint from balances.wallets").await;
    let charged = "select count(*) from events e
         where event_type = 'HoldCaptured' and (payload::jsonb #>> '{HoldCaptured,amount}')::int = 1";
    let delivered = place.count("select count(*) from chats.messages where credits > 0").await;
    assert_eq!(place.count(charged).await, 8 + delivered);
    assert_eq!(
        place.count("select count(*) from analyses").await,
        8,
        "answers under two keys of four"
    );
    assert_texts(&place, &people).await;
    place.close().await;
}

/// The answer under this key. While the hold of a call that died is open, the call is under way for all
/// that anybody knows.
async fn answered(place: &Place, person: &Person, key: &str) -> Answer {
    for _ in 0..100 {
        let answer = complete(&place.server, person, key).await.expect("an answer");
        if answer.status == StatusCode::OK {
            return answer;
        }
        assert_eq!(answer.status, StatusCode::CONFLICT, "{:?}", answer.body);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("it is never answered");
}

/// What was charged was delivered whole, and what failed was free.
async fn assert_texts(place: &Place, people: &[(Person, String)]) {
    let mut states = HashMap::new();
    for (person, chat) in people {
        let messages = place.server.get(person, &format!("/chats/{chat}/messages")).await.body;
        let replies = messages["items"].as_array().expect("messages").iter();
        for reply in replies.filter(|message| message["role"] == "assistant") {
            *states.entry(reply["state"].as_str().expect("a state").to_owned()).or_insert(0) += 1;
            match reply["state"].as_str() {
                Some("done") => {
                    assert_eq!((&reply["text"], &reply["credits"]), (&json!(WORDS), &json!(1)));
                }
                Some("failed") => {
                    assert_eq!((&reply["text"], &reply["credits"]), (&Value::Null, &json!(0)));
                }
                other => panic!("{other:?}: {reply}"),
            }
        }
    }
    assert!(states.contains_key("done"), "{states:?}");
}
