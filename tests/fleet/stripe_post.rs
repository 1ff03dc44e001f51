//! Stripe: customers pay on its pages, and what it tells comes through the proxy, twice, until it is taken.

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::stripe::{Manner, SECRET_KEY, StripeDouble, WEBHOOK_SECRET};

/// The pause between two rounds of its webhooks.
const PAUSE: Duration = Duration::from_millis(200);

/// Stripe's double, and whoever sends its webhooks; both end when dropped.
pub struct Stripe {
    double: StripeDouble,
    post: Option<JoinHandle<()>>,
}

impl Stripe {
    pub async fn start() -> Self {
        Self { double: StripeDouble::start().await, post: None }
    }

    /// What nodes are to know of it.
    pub fn settings(&self) -> [(&str, &str); 3] {
        [
            ("STRIPE_SECRET_KEY", SECRET_KEY),
            ("STRIPE_WEBHOOK_SECRET", WEBHOOK_SECRET),
            ("STRIPE_API_BASE", &self.double.url),
        ]
    }

    /// Sends what it tells to whoever is behind this address, from now on.
    pub fn tell(&mut self, url: &str) {
        let client = saldo::clients::http().build().expect("a client");
        self.double.webhooks_go_to(client, &format!("{url}/api/v1/webhooks/stripe"));
        let double = self.double.clone();
        self.post = Some(tokio::spawn(async move {
            for seed in 0.. {
                double.deliver_in(Manner::shuffled(seed).twice().at_once()).await;
                tokio::time::sleep(PAUSE).await;
            }
        }));
    }

    /// Pays what the answer to an order asks for on Stripe's page.
    pub fn pay(&self, order: &Value) {
        let page = order["url"].as_str().unwrap_or_else(|| panic!("{order} has no page"));
        let checkout = page.rsplit('/').next().expect("a last part");
        self.double.pay_checkout(checkout);
    }

    /// How much it has told that nobody has taken yet.
    pub fn untold(&self) -> usize {
        self.double.waiting().len()
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        if let Some(post) = &self.post {
            post.abort();
        }
    }
}
