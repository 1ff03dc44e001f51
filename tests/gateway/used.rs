//! What was used, and what limits there are, as a client reads them.

use chrono::{Datelike, Days, Utc};
use reqwest::{Method, StatusCode};
use saldo::clients::llm::{Finish, ProviderError};
use serde_json::{Value, json};

use crate::chats::says;
use crate::house::House;
use crate::script::Step;

/// The rows of usage by feature or model, as calls, credits, tokens read and written, by key.
fn rows(usage: &Value) -> Value {
    let items = usage["items"].as_array().unwrap_or_else(|| panic!("{usage}"));
    items
        .iter()
        .map(|row| {
            json!([
                row["key"],
                row["calls"],
                row["credits"],
                row["input_tokens"],
                row["output_tokens"],
                row["estimated_calls"]
            ])
        })
        .collect()
}

impl House {
    async fn usage(&self, query: &str) -> Value {
        let answer = self.server.get(&self.ada, &format!("/usage{query}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.body
    }

    /// A conversation of 5 and 7 tokens, one of which nobody tells the tokens, and 4 credits of a service of
    /// Ada's, of which one came back.
    async fn spend(&self) {
        let says = || Step::Says("one two".to_owned());
        let told = vec![says(), Step::Used(Some(5), Some(7)), Step::Ends(Finish::Stop)];
        self.script.answer("told", told);
        self.script.answer("untold", vec![says(), Step::Ends(Finish::Stop)]);
        self.ask("told", "").await;
        self.ask("untold", "").await;
        let debit = self.server.debit(&self.ada, 4, "").await;
        let id = debit.body["id"].as_str().expect("an id");
        let body = json!({ "amount": 1, "reason": "test" });
        let path = format!("/wallet/debits/{id}/reverse");
        let back = self.server.post(&self.ada, &path, "", &body).await;
        assert!(back.status.is_success(), "{:?}", back.body);
    }

    /// Two messages of a chat: one is replied to for 15 credits, the reply to the other fails.
    async fn chat_twice(&self) {
        self.script.answer("good", says("Good day."));
        let cut = vec![Step::Says("half".to_owned()), Step::Fails(ProviderError::CutShort)];
        self.script.answer("bad", cut);
        let chat = self.chat().await;
        for (text, state) in [("good", "done"), ("bad", "failed")] {
            let reply = self.say(&chat, text).await;
            self.until(&chat, &reply, state).await;
        }
        self.settled().await;
    }
}

#[tokio::test]
async fn usage_is_told_by_day_feature_and_model_and_comes_to_what_was_spent() {
    let house = House::open(100).await;
    house.spend().await;
    let by_feature = house.usage("?by=feature").await;
    let spent = 100 - house.wallet().await.0;
    let (credits, written) =
        (&by_feature["items"][1]["credits"], &by_feature["items"][1]["output_tokens"]);
    let read = &by_feature["items"][1]["input_tokens"];
    assert_eq!(
        rows(&by_feature),
        json!([["api", 1, 3, 0, 0, 0], ["completions", 2, credits, read, written, 1]])
    );
    assert_eq!(credits.as_i64(), Some(spent - 3));
    assert!(read.as_i64() > Some(5) && written.as_i64() > Some(7), "{by_feature}");
    let totals = &by_feature["totals"];
    assert_eq!((&totals["calls"], &totals["credits"]), (&json!(3), &json!(spent)));
    let by_model = house.usage("?by=model").await;
    assert_eq!(
        (&by_model["items"][0]["key"], &by_model["items"][1]["key"]),
        (&Value::Null, &json!("local-1"))
    );
    let today = Utc::now().date_naive();
    let by_day = house.usage("").await;
    assert_eq!(by_day["totals"], *totals);
    assert_eq!(by_day["from"], today.with_day(1).expect("a first").to_string());
    let before = today - Days::new(1);
    let before = house.usage(&format!("?from={before}&to={before}")).await;
    assert_eq!((rows(&before), &before["totals"]["calls"]), (json!([]), &json!(0)));
    let quota = &by_day["quota"];
    assert_eq!(
        (&quota["tier"], &quota["plan"], &quota["granted"], &quota["resets_at"]),
        (&json!("free"), &Value::Null, &json!(0), &Value::Null)
    );
    let messages = &quota["chat_messages_per_day"];
    assert_eq!(
        (&messages["limit"], &messages["used"], &messages["remaining"]),
        (&json!(5), &json!(0), &json!(5))
    );
    house.close().await;
}

#[tokio::test]
async fn usage_is_asked_for_a_year_at_most_and_by_keys_for_calls_or_for_the_books() {
    let house = House::open(100).await;
    for (query, field) in [
        ("?from=2026-01-02&to=2026-01-01", "from"),
        ("?from=2025-01-01&to=2026-01-02", "to"),
        ("?from=yesterday", "query"),
        ("?by=hour", "query"),
        ("?since=2026-01-01", "query"),
    ] {
        let refused = house.server.get(&house.ada, &format!("/usage{query}")).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}: {:?}", refused.body);
        assert!(refused.body["errors"][field].is_string(), "{query}: {:?}", refused.body);
    }
    house.usage("?from=2024-01-01&to=2024-12-31").await;
    for (scope, status) in [
        ("ai", StatusCode::OK),
        ("wallet_read", StatusCode::OK),
        ("wallet_spend", StatusCode::FORBIDDEN),
    ] {
        let body = json!({ "name": scope, "scopes": [scope] });
        let created = house.server.post(&house.ada, "/me/api-keys", "", &body).await;
        let key = created.body["secret"].as_str().unwrap_or_else(|| panic!("{:?}", created.body));
        let bearer = format!("Bearer {key}");
        let headers = [("authorization", bearer.as_str())];
        let answer = house.server.send(Method::GET, "/api/v1/usage", &headers, None).await;
        assert_eq!(answer.expect("an answer").status, status, "{scope}");
    }
    house.close().await;
}

#[tokio::test]
async fn each_limit_says_what_is_used_of_it_and_when_it_begins_anew() {
    let house = House::open(100).await;
    let limits = json!({ "per_day": 500, "per_month": null });
    let bearer = format!("Bearer {}", house.ada.token);
    let headers = [("authorization", bearer.as_str())];
    let path = "/api/v1/wallet/limits";
    let set = house.server.send(Method::PUT, path, &headers, Some(&limits)).await;
    assert_eq!(set.expect("an answer").status, StatusCode::OK);
    house.server.debit(&house.ada, 20, "").await;
    house.chat_twice().await;
    let limits = house.server.get(&house.ada, "/me/limits").await;
    assert_eq!(limits.status, StatusCode::OK, "{:?}", limits.body);
    let today = Utc::now().date_naive();
    let midnight = |day: chrono::NaiveDate| format!("{day}T00:00:00Z");
    let tomorrow = midnight(today + Days::new(1));
    let month = limits.body["spend_per_month"]["resets_at"].clone();
    assert_eq!(
        limits.body,
        json!({
            "tier": "free", "model": "local-1",
            "chat_messages_per_day": { "limit": 5, "used": 1, "remaining": 4, "resets_at": tomorrow },
            "quota": null,
            "spend_per_day": { "limit": 500, "used": 35, "remaining": 465, "resets_at": tomorrow },
            "spend_per_month": { "limit": null, "used": 35, "remaining": null, "resets_at": month },
        })
    );
    let usage = house.usage("").await;
    assert_eq!(usage["quota"]["chat_messages_per_day"], limits.body["chat_messages_per_day"]);
    assert!(month.as_str().is_some_and(|month| month.ends_with("-01T00:00:00Z")), "{month}");
    house.close().await;
}
