//! Which models somebody has by their plan: as the providers are asked, and as it is paid.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::llm::{Recorder, Reply, Wire};
use crate::shop::Shop;
use crate::support::Answer;
use crate::world::{ask, send};

const TEXT: &str = "Credits are granted. Calls spend credits. Every credit is an event.";
const FREE: (&str, &str) = ("gemini", "gemini-2.5-flash-lite");
const BASIC: (&str, &str) = ("anthropic", "claude-haiku-4-5");
const PRO: (&str, &str) = ("anthropic", "claude-sonnet-4-5");

/// A shop with the models that come with the program, and all their providers.
struct House {
    shop: Shop,
    providers: Recorder,
}

impl House {
    async fn open() -> Self {
        let providers = Recorder::start().await;
        let settings = [
            ("GEMINI_API_KEY", "a key"),
            ("GEMINI_BASE_URL", providers.url()),
            ("ANTHROPIC_API_KEY", "a key"),
            ("ANTHROPIC_BASE_URL", providers.url()),
            ("OPENAI_API_KEY", "a key"),
            ("OPENAI_BASE_URL", providers.url()),
        ];
        Self { shop: Shop::open_with(0, &settings).await, providers }
    }

    /// Ada asks for an answer.
    async fn complete(&self, model: &str) -> Answer {
        let bearer = format!("Bearer {}", self.shop.ada.access);
        let headers = [("authorization", bearer.as_str())];
        let messages = json!([{ "role": "user", "content": "Hello" }]);
        let body = json!({ "model": model, "messages": messages });
        let path = "/v1/chat/completions";
        self.shop.server.send(Method::POST, path, &headers, Some(&body)).await.expect("an answer")
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        send(&self.shop.server, Method::POST, path, &self.shop.ada.access, body).await
    }

    async fn get(&self, path: &str) -> Value {
        ask(&self.shop.server, Method::GET, path, &self.shop.ada.access).await.body
    }

    /// The messages of a new chat.
    async fn chat(&self) -> String {
        let begun = self.post("/chats", &json!({})).await;
        format!("/chats/{}/messages", begun.body["id"].as_str().expect("an id"))
    }

    /// A reply that is cancelled before its first word, and counts for nothing; where it is tried again.
    async fn cancelled(&self, chat: &str) -> String {
        let never = Reply::says("Never.").late(Duration::from_mins(1));
        self.providers.script(Wire::Anthropic, never);
        let calls = self.providers.calls().len();
        let said = self.say(chat).await;
        self.providers.called(calls + 1).await;
        let reply = format!("{chat}/{}", said.body["reply"]["id"].as_str().expect("an id"));
        self.post(&format!("{reply}/cancel"), &json!({})).await;
        self.shop.until(|| async { self.get(&reply).await["state"] == "cancelled" }).await;
        format!("{reply}/retry")
    }

    async fn say(&self, chat: &str) -> Answer {
        self.post(chat, &json!({ "text": "Hello" })).await
    }

    /// What a reply cost, once it is there.
    async fn replied(&self, chat: &str, said: &Answer) -> i64 {
        assert_eq!(said.status, StatusCode::ACCEPTED, "{:?}", said.body);
        let path = format!("{chat}/{}", said.body["reply"]["id"].as_str().expect("an id"));
        self.shop.until(|| async { self.get(&path).await["state"] == "done" }).await;
        self.get(&path).await["credits"].as_i64().expect("credits")
    }

    /// Who was asked, and for which model, in all calls so far.
    fn asked(&self) -> Vec<(&'static str, String)> {
        let model = |path: &str| path.rsplit('/').next()?.split(':').next().map(str::to_owned);
        let asked = self.providers.calls().into_iter().map(|call| match call.wire {
            Wire::Gemini => ("gemini", model(&call.path).expect("a model")),
            wire => (wire.provider(), call.body["model"].as_str().expect("a model").to_owned()),
        });
        asked.collect()
    }

    /// As many calls were made, all of them to this model.
    fn were_asked(&self, calls: usize, (provider, model): (&'static str, &str)) {
        assert_eq!(self.asked(), vec![(provider, model.to_owned()); calls]);
    }

    async fn close(self) {
        self.shop.close().await;
    }
}

/// The code of a refusal in OpenAI's shape.
fn refused(answer: &Answer) -> (StatusCode, &str) {
    (answer.status, answer.body["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn who_has_no_plan_has_the_model_of_the_free_tier_and_five_messages_a_day() {
    let house = House::open().await;
    assert_eq!(house.complete("auto").await.status, StatusCode::OK);
    for (_, beyond) in [BASIC, PRO] {
        let answer = house.complete(beyond).await;
        assert_eq!(refused(&answer), (StatusCode::FORBIDDEN, "plan_required"), "{beyond}");
    }
    let chat = house.chat().await;
    let beyond = json!({ "text": "Hello", "model": BASIC.1 });
    let answer = house.post(&chat, &beyond).await;
    let told = (answer.status, &answer.body["code"]);
    assert_eq!(told, (StatusCode::FORBIDDEN, &json!("plan_required")));
    for _ in 0..5 {
        let said = house.say(&chat).await;
        house.replied(&chat, &said).await;
    }
    let sixth = house.say(&chat).await;
    let told = (sixth.status, &sixth.body["code"]);
    assert_eq!(told, (StatusCode::TOO_MANY_REQUESTS, &json!("allowance_spent")));
    house.were_asked(6, FREE);
    house.close().await;
}

#[tokio::test]
async fn basic_has_the_small_model_for_everything_and_its_quota_pays_for_it() {
    let house = House::open().await;
    house.shop.subscribed("Basic", "one").await;
    house.shop.until_available(1_100).await;
    let answer = house.complete("auto").await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    let mut charged = answer.body["usage"]["credits_charged"].as_i64().expect("credits");
    let summary = json!({ "summary": "Credits move.", "language": "eng" });
    let sentiment = json!({ "label": "neutral", "score_per_mille": 0 });
    let analysis = json!({ "language": {}, "keywords": ["credits"], "sentiment": sentiment });
    for (task, result, credits) in [("summarize", summary, 10), ("analyze", analysis, 25)] {
        house.providers.script(Wire::Anthropic, Reply::says(&result.to_string()));
        let answer = house.post(&format!("/ai/{task}"), &json!({ "text": TEXT })).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        assert_eq!(answer.body["usage"]["credits"], credits);
        charged += credits;
    }
    let chat = house.chat().await;
    for _ in 0..6 {
        let said = house.say(&chat).await;
        charged += house.replied(&chat, &said).await;
    }
    house.were_asked(9, BASIC);
    assert_eq!(refused(&house.complete(PRO.1).await), (StatusCode::FORBIDDEN, "plan_required"));

    let usage = house.get("/usage").await;
    let quota = &usage["quota"];
    assert_eq!((&quota["tier"], &usage["totals"]["credits"]), (&json!("basic"), &json!(charged)));
    assert_eq!((&quota["used"], &quota["remaining"]), (&json!(charged), &json!(1_000 - charged)));
    assert_eq!(house.shop.available().await, 1_100 - charged);
    let messages = &quota["chat_messages_per_day"];
    assert_eq!((&messages["limit"], &messages["used"]), (&Value::Null, &json!(6)));
    house.close().await;
}

#[tokio::test]
async fn pro_has_the_large_model_and_whoever_ends_it_has_the_free_one_again() {
    let house = House::open().await;
    house.shop.subscribed("Pro", "one").await;
    house.shop.until_available(10_100).await;
    assert_eq!(house.complete("auto").await.status, StatusCode::OK);
    let chat = house.chat().await;
    let said = house.say(&chat).await;
    house.replied(&chat, &said).await;
    house.were_asked(2, PRO);
    // What the smaller plan has, the larger has.
    assert_eq!(house.complete(BASIC.1).await.status, StatusCode::OK);
    assert_eq!(house.asked().pop(), Some((BASIC.0, BASIC.1.to_owned())));
    let retry = house.cancelled(&chat).await;
    assert_eq!(house.asked().pop(), Some((PRO.0, PRO.1.to_owned())));

    let ended = house.shop.manage("cancel", &json!({ "when": "now" })).await;
    assert_eq!((ended.status, &ended.body["status"]), (StatusCode::OK, &json!("canceled")));
    house.shop.hear().await;
    // Whoever was seen with a plan has it for some seconds more.
    let mut looks = 0;
    while house.asked().pop() != Some((FREE.0, FREE.1.to_owned())) {
        looks += 1;
        assert!(looks < 40, "{:?}", house.asked());
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(house.complete("auto").await.status, StatusCode::OK);
    }
    for (_, beyond) in [BASIC, PRO] {
        let answer = house.complete(beyond).await;
        assert_eq!(refused(&answer), (StatusCode::FORBIDDEN, "plan_required"), "{beyond}");
    }
    // What the plan replied to was said today, and what it was asked for in vain is asked of who is left.
    for number in 0..4 {
        let said = match number {
            0 => house.post(&retry, &json!({})).await,
            _ => house.say(&chat).await,
        };
        house.replied(&chat, &said).await;
        assert_eq!(house.asked().pop(), Some((FREE.0, FREE.1.to_owned())));
    }
    assert_eq!(house.say(&chat).await.status, StatusCode::TOO_MANY_REQUESTS);
    house.close().await;
}
