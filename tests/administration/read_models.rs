//! The read models, as administrators see them and have them built anew.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Server};
use crate::things::House;
use crate::world::{change, send};

impl House {
    async fn model(&self, name: &str) -> Value {
        let all = self.root_sees("/admin/projections").await;
        let items = all["items"].as_array().expect("read models").clone();
        items.into_iter().find(|model| model["name"] == name).expect("it is there")
    }

    /// Waits until a read model is as it must be.
    async fn until_model(&self, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..250 {
            let model = self.model(name).await;
            if is_so(&model) {
                return model;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        panic!("{}", self.model(name).await);
    }
}

#[tokio::test]
async fn every_read_model_is_listed_with_how_far_it_is() {
    let house = House::open().await;
    let end: i64 = house.shop.database.end().await.parse().expect("a position");
    let all = house.root_sees("/admin/projections").await;
    let names: Vec<_> =
        all["items"].as_array().expect("read models").iter().map(|of| &of["name"]).collect();
    assert_eq!(names, ["balances", "billing", "chats", "transactions", "usage", "users"]);
    let model = house.until_model("users", |model| model["events"] == 0).await;
    assert!(model["position"].as_i64().is_some_and(|position| position >= end), "{model}");
    assert_eq!((&model["halted"], &model["rebuilding"]), (&Value::Null, &json!(false)));
    house.shop.close().await;
}

#[tokio::test]
async fn a_read_model_that_is_wrong_is_right_again_when_it_was_built_anew() {
    let house = House::open().await;
    house.until_model("balances", |model| model["events"] == 0).await;
    change(&house.shop.database, "update balances.wallets set available = 7").await;
    change(&house.shop.database, "update balances.grants set remaining = 7").await;
    assert_eq!(house.shop.available().await, 7);
    let asked =
        house.as_root(Method::POST, "/admin/projections/balances/rebuild", &json!({})).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{:?}", asked.body);
    house.until_model("balances", |model| model["rebuilding"] == false).await;
    assert_eq!(house.shop.available().await, 100);
    let nothing =
        house.as_root(Method::POST, "/admin/projections/nothing/rebuild", &json!({})).await;
    assert_eq!(nothing.status, StatusCode::NOT_FOUND);
    house.shop.close().await;
}

impl House {
    /// Has Ada spend a credit on this node, and waits until a read model that goes on has seen it; where the paused one is.
    async fn spend_beside(&self, node: &Server) -> Value {
        let spend = json!({ "amount": 1, "reason": "test" });
        let answer =
            send(node, Method::POST, "/wallet/debits", &self.shop.ada.access, &spend).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        let end: i64 = self.shop.database.end().await.parse().expect("a position");
        let has_seen = |model: &Value| model["position"].as_i64().is_some_and(|at| at >= end);
        self.until_model("transactions", has_seen).await;
        self.model("balances").await
    }

    async fn decide_about(&self, model: &str, what: &str) -> StatusCode {
        let path = format!("/admin/projections/{model}/{what}");
        self.as_root(Method::POST, &path, &json!({})).await.status
    }

    /// What is said without anybody's name on it.
    async fn told(&self, path: &str) -> Answer {
        let told = self.shop.server.send(Method::GET, path, &[], None).await;
        told.expect("an answer")
    }
}

#[tokio::test]
async fn a_read_model_that_is_paused_stands_still_on_every_node_and_loses_nothing() {
    let mut house = House::open().await;
    let other = house.shop.database.server();
    assert_eq!(house.decide_about("nothing", "pause").await, StatusCode::NOT_FOUND);
    house.until_model("balances", |model| model["events"] == 0).await;
    assert_eq!(house.decide_about("balances", "pause").await, StatusCode::NO_CONTENT);
    let paused = house.model("balances").await;
    for node in [&house.shop.server, &other] {
        let still = house.spend_beside(node).await;
        assert_eq!(still["position"], paused["position"], "{still}");
    }
    // Twice is as good as once, and a restart changes nothing.
    assert_eq!(house.decide_about("balances", "pause").await, StatusCode::NO_CONTENT);
    house.shop.restart().await;
    let still = house.spend_beside(&house.shop.server).await;
    for field in ["position", "paused_at", "halted"] {
        assert_eq!(still[field], paused[field], "{still}");
    }
    assert!(still["paused_at"].is_string() && still["events"].as_i64() >= Some(3), "{still}");

    // It is told from one that is stuck.
    assert_eq!(house.told("/readyz").await.status, StatusCode::OK);
    let health = house.told("/health").await;
    assert_eq!(health.status, StatusCode::OK, "{:?}", health.body);
    assert_eq!(health.body["projections"][0]["paused"], true, "{:?}", health.body);
    let part = house.told("/healthz/db").await;
    assert_eq!((part.status, &part.body["status"]), (StatusCode::OK, &json!("ok")));
    assert!(part.body["detail"].as_str().is_some_and(|detail| detail.contains("balances")));
    let metrics = house.told("/metrics").await.body;
    let metrics = metrics.as_str().expect("text");
    for line in ["saldo_projection_paused{name=\"balances\"} 1", "_paused{name=\"users\"} 0"] {
        assert!(metrics.contains(line), "{metrics}");
    }
    assert!(metrics.contains("saldo_projection_halted{name=\"balances\"} 0"), "{metrics}");

    // The one that is built anew stands still where it ends.
    assert_eq!(house.decide_about("balances", "rebuild").await, StatusCode::ACCEPTED);
    let anew = house.until_model("balances", |model| model["events"] == 0).await;
    assert_eq!(anew["paused_at"], paused["paused_at"]);
    let still = house.spend_beside(&other).await;
    assert_eq!(still["position"], anew["position"], "{still}");

    assert_eq!(house.decide_about("balances", "resume").await, StatusCode::NO_CONTENT);
    let again = house.until_model("balances", |model| model["events"] == 0).await;
    assert_eq!(again["paused_at"], Value::Null);
    assert_eq!(house.shop.available().await, 96);
    drop(other);
    house.shop.close().await;
}
