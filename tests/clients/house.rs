//! A server process whose provider is a double, and Ada, who has a hundred credits and a key. A token costs
//! a credit.

use std::time::Duration;

use serde_json::{Value, json};

use crate::llm::{Recorder, Reply, Wire};
use crate::support::{Database, Person, Server};

const MODELS: &str = r#"{
    "version": "test-1",
    "fixed": { "summarize": 10, "analyze": 25 },
    "tiers": {
        "free": { "models": ["small"], "chat_messages_per_day": 5 },
        "basic": { "models": ["small"] }, "pro": { "models": ["small"] }
    },
    "models": [
        { "id": "small", "tier": "free", "input_per_million": 1000000, "output_per_million": 1000000,
          "max_output_tokens": 4000, "routes": [{ "provider": "openai", "model": "gpt-5-nano" }] },
        { "id": "large", "tier": "pro", "input_per_million": 1000000, "output_per_million": 1000000,
          "max_output_tokens": 4000, "routes": [{ "provider": "openai", "model": "gpt-5" }] }
    ]
}"#;

pub struct House {
    pub server: Server,
    pub providers: Recorder,
    /// Ada's key, made for AI calls.
    pub key: String,
    ada: Person,
    database: Database,
}

impl House {
    pub async fn open() -> Self {
        let (database, providers) = (Database::in_memory().await, Recorder::start().await);
        std::fs::create_dir_all(&database.data).expect("a folder");
        let models = database.data.join("models.json");
        std::fs::write(&models, MODELS).expect("a file");
        let server = database.server_with(
            &database.url(),
            &[
                ("OPENAI_BASE_URL", providers.url()),
                ("SALDO_MODELS", models.to_str().expect("a plain path")),
                ("SALDO_RATE_LIMITS", "off"),
            ],
        );
        let ada = server.register("ada@example.com").await;
        let wanted = json!({ "name": "a program", "scopes": ["ai"] });
        let made = server.post(&ada, "/me/api-keys", "", &wanted).await.body;
        let key = made["secret"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned();
        Self { server, providers, key, ada, database }
    }

    /// The provider's next answer.
    pub fn next(&self, reply: Reply) {
        self.providers.script(Wire::OpenAi, reply);
    }

    /// Takes credits away.
    pub async fn take(&self, credits: i64) {
        self.server.debit(&self.ada, credits, "").await;
    }

    /// Waits until nothing is held, and tells what is available.
    pub async fn settled(&self) -> i64 {
        let mut wallet = Value::Null;
        for _ in 0..200 {
            wallet = self.server.get(&self.ada, "/wallet").await.body;
            if wallet["held"] == 0 {
                return wallet["available"].as_i64().unwrap_or_else(|| panic!("{wallet}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("a hold stays open: {wallet}");
    }

    pub async fn close(self) {
        drop(self.server);
        self.database.remove().await;
    }
}
