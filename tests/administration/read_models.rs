//! The read models, as administrators see them and have them built anew.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::things::House;
use crate::world::change;

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
