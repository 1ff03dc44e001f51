//! A server that sends webhooks, somebody who has some, and who listens to them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::receiver::{Receiver, until};
use crate::support::{Answer, Database, Person, Server};

/// Webhooks go to this machine, too.
pub const PRIVATE: (&str, &str) = ("SALDO_WEBHOOKS_PRIVATE", "on");
const UNLIMITED: (&str, &str) = ("SALDO_RATE_LIMITS", "off");

pub struct House {
    pub database: Database,
    pub server: Server,
    pub ada: Person,
    pub receiver: Receiver,
}

/// An endpoint, and what proves that something is sent to it by us.
pub struct Opened {
    pub id: String,
    pub secret: String,
}

impl House {
    pub async fn open() -> Self {
        Self::open_with(&[PRIVATE, UNLIMITED]).await
    }

    pub async fn open_with(settings: &[(&str, &str)]) -> Self {
        let database = Database::in_memory().await;
        let server = database.server_with(&database.url(), settings);
        let ada = server.register("ada@example.com").await;
        Self { database, server, ada, receiver: Receiver::start().await }
    }

    /// Another server on the same database.
    pub fn another(&self) -> Server {
        self.database.server_with(&self.database.url(), &[PRIVATE, UNLIMITED])
    }

    /// An endpoint of Ada's at the receiver, that listens to these.
    pub async fn listen(&self, events: &[&str]) -> Opened {
        self.listen_with(&json!({ "url": self.receiver.url, "events": events })).await
    }

    pub async fn listen_with(&self, body: &Value) -> Opened {
        let answer = self.post("/webhook-endpoints", "", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        let text = |name: &str| answer.body[name].as_str().expect(name).to_owned();
        Opened { id: text("id"), secret: text("secret") }
    }

    pub async fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.server.post(&self.ada, path, key, body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.server.get(&self.ada, path).await
    }

    pub async fn change(&self, id: &str, body: &Value) -> Answer {
        let path = format!("/webhook-endpoints/{id}");
        ask_as(&self.server, &self.ada, Method::PATCH, &path, Some(body)).await
    }

    pub async fn endpoint(&self, id: &str) -> Value {
        let answer = self.get(&format!("/webhook-endpoints/{id}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.body
    }

    /// Has a test sent to an endpoint; the delivery's id.
    pub async fn test(&self, id: &str) -> String {
        let answer = self.post(&format!("/webhook-endpoints/{id}/test"), "", &json!({})).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{:?}", answer.body);
        answer.body["id"].as_str().expect("an id").to_owned()
    }

    pub async fn deliveries(&self, id: &str) -> Vec<Value> {
        let answer = self.get(&format!("/webhook-endpoints/{id}/deliveries")).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.body["items"].as_array().expect("deliveries").clone()
    }

    /// The newest delivery, when it was tried so often.
    pub async fn tried(&self, id: &str, times: usize) -> Value {
        let newest = async || self.deliveries(id).await.into_iter().next();
        let attempts = |delivery: &Value| delivery["attempts"].as_array().map_or(0, Vec::len);
        until(&format!("it was tried {times} times"), || async {
            newest().await.is_some_and(|delivery| attempts(&delivery) >= times)
        })
        .await;
        newest().await.expect("a delivery")
    }

    /// Spends; the debit's id.
    pub async fn spend(&self, amount: i64) -> String {
        let answer = self.server.debit(&self.ada, amount, "").await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        answer.body["id"].as_str().expect("an id").to_owned()
    }

    pub async fn give_back(&self, debit: &str) {
        let path = format!("/wallet/debits/{debit}/reverse");
        let answer = self.post(&path, "", &json!({ "reason": "back" })).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    }

    /// Waits until all that the log says is written.
    pub async fn until_told(&self) {
        let pool = self.database.kept().await;
        until("the log is followed to its end", || async {
            let told = "select position = (select position from log_head)
                from process_checkpoints where name = 'send_webhooks'";
            sqlx::query_scalar(told).fetch_one(pool).await.expect("a checkpoint")
        })
        .await;
    }

    /// Waits until nothing is left to be told or sent, so that what did not come will not.
    pub async fn until_sent(&self) {
        self.until_told().await;
        let pool = self.database.kept().await;
        until("nothing waits to be sent", || async {
            let sent = "select not exists (
                select from webhook_deliveries where state = 'waiting')";
            sqlx::query_scalar(sent).fetch_one(pool).await.expect("an answer")
        })
        .await;
    }

    /// Lets the time of the next try come, and nobody be at it any more. Whoever is about to say when
    /// they come back has said so, by the lock that they hold meanwhile.
    pub async fn hurry(&self) {
        let pool = self.database.kept().await;
        let mut tx = pool.begin().await.expect("a transaction");
        for statement in [
            "select from webhook_endpoints for update",
            "update webhook_deliveries set next_at = clock_timestamp(), leased_until = null
             where state = 'waiting'",
            "update graphile_worker._private_jobs set run_at = clock_timestamp()
             where key like 'send_webhooks/%'",
        ] {
            sqlx::query(statement).execute(&mut *tx).await.expect(statement);
        }
        tx.commit().await.expect("it is so");
    }

    /// The log and all that follows from it must be right.
    pub async fn close(self) {
        drop(self.server);
        let (clean, said) = self.database.run(&["verify"]);
        assert!(clean, "{said}");
        self.database.remove().await;
    }
}

pub async fn ask_as(
    server: &Server,
    person: &Person,
    method: Method,
    path: &str,
    body: Option<&Value>,
) -> Answer {
    let bearer = format!("Bearer {}", person.token);
    let headers = [("authorization", bearer.as_str())];
    let answer = server.send(method, &format!("/api/v1{path}"), &headers, body).await;
    answer.expect("the server answers")
}
