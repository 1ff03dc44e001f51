//! What a node tells of who answers.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use saldo::clients::llm::{Finish, ProviderError};
use serde_json::{Value, json};

use crate::house::House;
use crate::script::Step;

impl House {
    async fn told(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.server.send(Method::GET, path, &[], None).await.expect("an answer");
        (answer.status, answer.body)
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_told_until_it_is_back_and_whoever_looks_asks_it_nothing() {
    let house = House::open(100).await;
    assert_eq!(house.told("/healthz/ai").await.0, StatusCode::OK);
    let text = json!({ "text": "Summarize this." });
    let away = ProviderError::Unavailable { retry_after: Some(3) };
    house.script.answer("Summarize this.", vec![Step::Fails(away)]);
    let failed = house.post("/ai/summarize", &text).await;
    assert!(failed.status.is_server_error(), "{:?}", failed.body);
    let asked = house.script.asked();
    for (status, part) in join_all((0..20).map(|_| house.told("/healthz/ai"))).await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(part["status"], "degraded");
        assert!(part["detail"].as_str().is_some_and(|said| said.contains("local")), "{part}");
    }
    let (status, all) = house.told("/healthz").await;
    assert_eq!(
        (status, &all["ai"]["status"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("degraded"))
    );
    assert_eq!(house.told("/readyz").await.0, StatusCode::OK, "all else is served");
    assert_eq!(house.script.asked(), asked);

    let summary = json!({ "summary": "This.", "language": "en" }).to_string();
    let says = vec![Step::Says(summary), Step::Used(Some(3), Some(4)), Step::Ends(Finish::Stop)];
    house.script.answer("Summarize this.", says);
    for _ in 0..200 {
        if house.post("/ai/summarize", &text).await.status.is_success() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(house.script.asked() > asked);
    assert_eq!(house.told("/healthz/ai").await.0, StatusCode::OK);
    assert_eq!(house.told("/healthz").await.0, StatusCode::OK);
    house.close().await;
}
