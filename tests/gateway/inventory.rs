//! Every route of the server: what can reach a provider is known, and is metered.

use aggregates::user::{Ask, Role, User, UserCommand};
use reqwest::{Method, Response, StatusCode};
use saldo::clients::llm::{Finish, ProviderError};
use saldo::store::{Envelope, Metadata};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{House, question};
use crate::script::Step;
use crate::support::Person;

/// What can reach a provider, and with which message the test has it do so. Only the last reply can be retried:
/// that comes before another.
const METERED: [(Method, &str, &str); 5] = [
    (Method::POST, "/api/v1/ai/summarize", "Summarize this."),
    (Method::POST, "/api/v1/ai/analyze", "Analyze this."),
    (Method::POST, "/v1/chat/completions", "Complete this."),
    (Method::POST, "/api/v1/chats/{id}/messages/{message}/retry", "Try this again."),
    (Method::POST, "/api/v1/chats/{id}/messages", "Reply to this."),
];
/// Routes with these tags are of AI: each is sent a body with which it does what it is for.
const OF_AI: [&str; 3] = ["ai", "chats", "openai"];

const CAPTURES: &str = "select count(*) from events where event_type = 'HoldCaptured'";

/// What is asked about.
struct Things {
    chat: String,
    reply: String,
    analysis: String,
}

impl House {
    /// A house whose provider answers all that is asked here, with a chat, a reply that has failed, and an
    /// analysis.
    async fn with_things() -> (Self, Things) {
        let house = Self::open(100).await;
        let says = |text: &str| {
            vec![
                Step::Says(text.to_owned()),
                Step::Used(Some(3), Some(4)),
                Step::Ends(Finish::Stop),
            ]
        };
        let summary = json!({ "summary": "This.", "language": "en" }).to_string();
        let analysis = json!({
            "language": { "code": "en", "name": "English" }, "keywords": ["this"],
            "sentiment": { "label": "neutral", "score_per_mille": 0 },
        });
        house.script.answer("Summarize this.", says(&summary));
        house.script.answer("Analyze this.", says(&analysis.to_string()));
        house.script.answer("Complete this.", says("Completed."));
        house.script.answer("Reply to this.", says("Replied."));
        house.script.answer("Try this again.", vec![Step::Fails(ProviderError::Refused)]);
        let chat = house.chat().await;
        let reply = house.say(&chat, "Try this again.").await;
        house.until(&chat, &reply, "failed").await;
        house.script.answer("Try this again.", says("Tried again."));
        let analysis = house.post("/ai/summarize", &json!({ "text": "Summarize this." })).await;
        let analysis = analysis.body["id"].as_str().expect("an id").to_owned();
        (house, Things { chat, reply, analysis })
    }

    /// Asks, and does not wait for more than the beginning of an answer.
    async fn send(&self, method: &Method, path: &str, message: &str, things: &Things) -> Response {
        let id = if path.contains("/analyses/") {
            things.analysis.clone()
        } else if path.contains("/chats/") {
            things.chat.clone()
        } else if path.contains("/v1/models/") {
            "local-1".to_owned()
        } else {
            Uuid::now_v7().to_string()
        };
        let path = path.replace("{message}", &things.reply).replace("{id}", &id);
        let path = path.replace("{part}", "ai");
        let body = match path.as_str() {
            "/v1/chat/completions" => question(message, false),
            path if path.contains("/chats/") && *method == Method::PATCH => {
                json!({ "title": "This" })
            }
            path if path.ends_with("/retry") || path.ends_with("/chats") => json!({}),
            _ => json!({ "text": message }),
        };
        let client = saldo::clients::http().build().expect("a client");
        let request = client.request(method.clone(), format!("{}{path}", self.server.url));
        let request = request.bearer_auth(&self.ada.token);
        let request = if *method == Method::GET { request } else { request.json(&body) };
        request.send().await.expect("an answer")
    }

    /// Somebody who may administer.
    async fn root(&self) -> Person {
        let root = self.server.register("root@example.com").await;
        let ask = Ask::ChangeRole { role: Role::Admin, reason: None };
        let command = UserCommand { now: saldo::clock::now(), ask };
        let envelope = Envelope::once(Metadata::default());
        let role = self.node.app.store.execute::<User>(root.id, envelope, command).await;
        role.expect("an administrator");
        root
    }

    /// From now on nobody comes to do what is asked for.
    async fn put_off_jobs(&self) {
        self.execute(
            "create function tomorrow() returns trigger language plpgsql as $$ begin
                 new.run_at := now() + interval '1 day'; return new; end $$",
        )
        .await;
        self.execute(
            "create trigger tomorrow before insert on graphile_worker._private_jobs
                 for each row execute function tomorrow()",
        )
        .await;
    }

    /// Asks for what is done later: a call that nobody waits for, or a reply.
    async fn ask_for_later(&self, task: &str, things: &Things) {
        if task == "reply" {
            self.say(&things.chat, "Reply to this.").await;
            return;
        }
        let bearer = format!("Bearer {}", self.ada.token);
        let headers = [("authorization", bearer.as_str()), ("prefer", "respond-async")];
        let (path, body) = ("/api/v1/ai/summarize", json!({ "text": "Summarize this." }));
        let queued = self.server.send(Method::POST, path, &headers, Some(&body)).await;
        assert_eq!(queued.expect("an answer").status, StatusCode::ACCEPTED);
    }

    /// What a hold was charged, by the log.
    async fn charged(&self, hold: Uuid) -> Option<i64> {
        let charged = sqlx::query_scalar(
            "select (payload::jsonb #>> '{HoldCaptured,amount}')::bigint from events
             where event_type = 'HoldCaptured' and aggregate_id = $1
                 and (payload::jsonb #>> '{HoldCaptured,hold}')::uuid = $2",
        );
        let charged = charged.bind(self.ada.id.to_string()).bind(hold);
        charged.fetch_optional(self.node.app.db()).await.expect("the log")
    }

    /// All that the server does, by its own description, and for what.
    async fn operations(&self) -> Vec<(Method, String, String)> {
        let url = format!("{}/openapi.json", self.server.url);
        let document = reqwest::get(url).await.expect("an answer");
        let document: Value = document.json().await.expect("a document");
        let mut operations = vec![];
        for (path, methods) in document["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                let method = method.to_uppercase().parse().expect("a method");
                let tag = operation["tags"][0].as_str().unwrap_or_default().to_owned();
                operations.push((method, path.clone(), tag));
            }
        }
        // What takes away what others are asked about comes last.
        operations.sort_by_key(|(method, ..)| *method == Method::DELETE);
        operations
    }

    /// Waits until no job is left that could ask somebody.
    async fn until_nobody_asks(&self) {
        self.until_none(
            "select count(*) from graphile_worker._private_jobs jobs
             join graphile_worker._private_tasks tasks on tasks.id = jobs.task_id
             where tasks.identifier in ('reply', 'make_call')",
        )
        .await;
    }
}

#[tokio::test]
async fn whoever_is_asked_is_asked_on_account_of_a_hold_that_is_charged() {
    let (house, things) = House::with_things().await;
    house.give(10_000).await;
    for (method, path, message) in METERED {
        let asked = house.script.asked();
        let answer = house.send(&method, path, message, &things).await;
        assert!(answer.status().is_success(), "{path}: {:?}", answer.text().await);
        house.until_asked(asked + 1).await;
        house.until_nobody_asks().await;
        house.settled().await;
        assert_eq!(house.script.asked(), asked + 1, "{path}");
        let hold = *house.script.holds().last().expect("a hold");
        let charged = house.charged(hold).await;
        assert!(charged.is_some_and(|charged| charged > 0), "{path}: {charged:?}");
    }
    house.close().await;
}

#[tokio::test]
async fn nobody_is_asked_for_whom_has_no_credits() {
    let (house, things) = House::with_things().await;
    let (left, _) = house.wallet().await;
    house.server.debit(&house.ada, left, "").await;
    let asked = house.script.asked();
    for (method, path, message) in METERED {
        let answer = house.send(&method, path, message, &things).await;
        assert_eq!(answer.status(), StatusCode::PAYMENT_REQUIRED, "{path}");
    }
    house.until_nobody_asks().await;
    assert_eq!(house.script.asked(), asked);
    house.close().await;
}

/// The one way to a provider that is not the payer's own: to what they have asked for, and hold credits for or will.
#[tokio::test]
async fn a_job_that_an_administrator_has_tried_asks_on_account_of_a_hold_that_is_charged_once() {
    let (house, things) = House::with_things().await;
    house.give(10_000).await;
    let root = house.root().await;
    house.put_off_jobs().await;
    for task in ["make_call", "reply"] {
        let (asked, captures) = (house.script.asked(), house.count(CAPTURES).await);
        house.ask_for_later(task, &things).await;
        let jobs = house.server.get(&root, &format!("/admin/jobs?task={task}")).await.body;
        assert_eq!(jobs["items"][0]["state"], "waiting", "{jobs}");
        assert_eq!(house.script.asked(), asked, "{task}");
        let retry = format!("/admin/jobs/{}/retry", jobs["items"][0]["id"]);
        let tried = house.server.post(&root, &retry, "", &json!({})).await;
        assert_eq!(tried.status, StatusCode::ACCEPTED, "{task}: {:?}", tried.body);
        house.until_asked(asked + 1).await;
        house.until_nobody_asks().await;
        house.settled().await;
        let hold = *house.script.holds().last().expect("a hold");
        let charged = house.charged(hold).await;
        assert!(charged.is_some_and(|charged| charged > 0), "{task}: {charged:?}");
        let again = house.server.post(&root, &retry, "", &json!({})).await;
        assert_eq!(again.status, StatusCode::NOT_FOUND, "{task}: {:?}", again.body);
        assert_eq!(house.script.asked(), asked + 1, "{task}");
        assert_eq!(house.count(CAPTURES).await, captures + 1, "{task}");
    }
    house.close().await;
}

#[tokio::test]
async fn no_other_route_has_anybody_asked() {
    let (house, things) = House::with_things().await;
    house.give(10_000).await;
    let asked = house.script.asked();
    let (mut metered, mut tried) = (0, 0);
    for (method, path, tag) in house.operations().await {
        if METERED.iter().any(|(of, at, _)| (of, *at) == (&method, path.as_str())) {
            metered += 1;
            continue;
        }
        tried += 1;
        let status = house.send(&method, &path, "Complete this.", &things).await.status();
        if path.starts_with("/healthz") {
            assert_eq!(status, StatusCode::OK, "{path}");
        }
        if OF_AI.contains(&tag.as_str()) {
            // What has failed cannot be cancelled.
            let is_over = path.ends_with("/cancel") && status == StatusCode::CONFLICT;
            assert!(status.is_success() || is_over, "{method} {path}: {status}");
        }
    }
    house.until_nobody_asks().await;
    assert_eq!(house.script.asked(), asked);
    assert_eq!(metered, METERED.len(), "a metered route is not in the description");
    assert!(tried > 80, "{tried} routes are not all");
    house.close().await;
}
