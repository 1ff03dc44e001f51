//! Nodes that share a Redis, beside one that has none.

use std::time::Duration;

use reqwest::StatusCode;
use saldo::serve::Node;
use serde_json::Value;

use crate::house::House;
use crate::redis_server::RedisServer;
use crate::support::{Answer, Server};

/// Two nodes with one Redis, and one that always reads the database.
pub struct Nodes {
    pub house: House,
    pub other: Server,
    pub plain: Server,
    running: [Node; 2],
}

impl Nodes {
    pub async fn open(url: &str) -> Self {
        let house = House::with_redis(100, url).await;
        house.give(5000).await;
        let (node, other) = house.another_node().await;
        let (plain_node, plain) = house.plain_node().await;
        Self { house, other, plain, running: [node, plain_node] }
    }

    pub async fn close(self) {
        for node in self.running {
            node.stop().await;
        }
        self.house.close().await;
    }

    /// Where the log ends.
    pub async fn end(&self) -> String {
        self.house.count("select position from log_head").await.to_string()
    }

    /// What the database has.
    pub async fn truth(&self, path: &str) -> Value {
        let end = self.end().await;
        good(self.plain.get_at(&self.house.ada, path, &end).await)
    }

    /// What the other node says, without knowing of any position.
    pub async fn elsewhere(&self, path: &str) -> Value {
        good(self.other.get(&self.house.ada, path).await)
    }

    /// Waits until all that has changed was dropped.
    pub async fn dropped(&self) {
        let behind = "select count(*) from process_checkpoints c, log_head h
             where c.name = 'drop_chat_lists' and c.position < h.position";
        self.house.until_none(behind).await;
    }

    /// Reads the list until the first so many are kept: a machine that has much to do may be too slow at first.
    pub async fn until_kept(&self, redis: &RedisServer, limit: u32) {
        let (path, limit) = (format!("/chats?limit={limit}"), limit.to_string());
        for _ in 0..200 {
            self.elsewhere(&path).await;
            if redis.kept().await.iter().any(|(_, field, _)| *field == limit) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("nothing is kept");
    }

    /// Waits until a node says this, which is not what the database has: for the same reason.
    pub async fn until_said(&self, at: &Server, path: &str, kept: &Value) {
        let mut said = Value::Null;
        for _ in 0..200 {
            said = good(at.get(&self.house.ada, path).await);
            if said == *kept {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{path} was not kept: {said}");
    }

    /// Waits until the other node says what the database has.
    pub async fn agree(&self, path: &str) {
        let mut said = Value::Null;
        for _ in 0..100 {
            said = self.elsewhere(path).await;
            if said == self.truth(path).await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{path} stays old: {said}, not {}", self.truth(path).await);
    }
}

fn good(answer: Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.body
}
