//! A server that sells, Stripe's double, and somebody who buys.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use saldo::clock;
use serde_json::{Value, json};

use crate::stripe::{SECRET_KEY, StripeDouble, WEBHOOK_SECRET};
use crate::support::{Answer, Database, Server};
use crate::world::{Tokens, ask, change, post_with, register};

pub struct Shop {
    pub database: Database,
    pub server: Server,
    pub stripe: StripeDouble,
    pub ada: Tokens,
}

/// A server that sells by this double.
pub fn serve(database: &Database, stripe: &StripeDouble) -> Server {
    serve_with(database, stripe, &[WEBHOOK_SECRET])
}

/// The same, with these secrets of webhooks.
pub fn serve_with(database: &Database, stripe: &StripeDouble, secrets: &[&str]) -> Server {
    serve_as(database, stripe, secrets, &[])
}

fn serve_as(
    database: &Database,
    stripe: &StripeDouble,
    secrets: &[&str],
    others: &[(&str, &str)],
) -> Server {
    serve_by(&database.url(), database, stripe, secrets, others)
}

/// The same, with another way to the database.
fn serve_by(
    url: &str,
    database: &Database,
    stripe: &StripeDouble,
    secrets: &[&str],
    others: &[(&str, &str)],
) -> Server {
    let secrets = secrets.join(",");
    let settings = [
        ("SALDO_RATE_LIMITS", "off"),
        ("STRIPE_SECRET_KEY", SECRET_KEY),
        ("STRIPE_WEBHOOK_SECRET", secrets.as_str()),
        ("STRIPE_API_BASE", stripe.url.as_str()),
    ];
    database.server_with(url, &[&settings[..], others].concat())
}

fn webhooks_go_to(server: &Server, stripe: &StripeDouble) {
    let client = saldo::clients::http().build().expect("a client");
    stripe.webhooks_go_to(client, &format!("{}/api/v1/webhooks/stripe", server.url));
}

impl Shop {
    pub async fn open() -> Self {
        Self::at(StripeDouble::start().await).await
    }

    /// With Stripe's clock so many seconds behind: what is to come there has come here.
    pub async fn open_ago(seconds: i64) -> Self {
        Self::open_with(seconds, &[]).await
    }

    /// The same, with other settings of the server besides.
    pub async fn open_with(seconds: i64, settings: &[(&str, &str)]) -> Self {
        let stripe = StripeDouble::start_at(clock::now().timestamp() - seconds).await;
        Self::set_up(stripe, settings).await
    }

    /// A shop at this double.
    pub async fn at(stripe: StripeDouble) -> Self {
        Self::set_up(stripe, &[]).await
    }

    async fn set_up(stripe: StripeDouble, settings: &[(&str, &str)]) -> Self {
        let database = Database::in_memory().await;
        let server = serve_as(&database, &stripe, &[WEBHOOK_SECRET], settings);
        webhooks_go_to(&server, &stripe);
        let ada = register(&server, "ada@example.com").await;
        Self { database, server, stripe, ada }
    }

    /// Kills the server with what it is at, and starts another. What the one before had taken is
    /// taken again at once, as after a minute of silence.
    pub async fn restart(&mut self) {
        self.server.kill();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let silent = "select graphile_worker.recover_dead_worker_jobs(
            array(select id from graphile_worker._private_workers))";
        change(&self.database, silent).await;
        self.server = serve(&self.database, &self.stripe);
        webhooks_go_to(&self.server, &self.stripe);
    }

    /// Goes on with a server that finds the database at this address.
    pub fn serve_at(&mut self, url: &str) {
        self.server = serve_by(url, &self.database, &self.stripe, &[WEBHOOK_SECRET], &[]);
        webhooks_go_to(&self.server, &self.stripe);
    }

    /// Lets Ada administer.
    pub fn administrate(&self) {
        let (done, said) = self.database.run(&["admin", "grant", "ada@example.com"]);
        assert!(done, "{said}");
    }

    /// The id of a pack on sale.
    pub async fn pack(&self, name: &str) -> String {
        self.on_sale("/billing/packs", name).await
    }

    /// The id of a pack or plan that is on sale.
    pub async fn on_sale(&self, path: &str, name: &str) -> String {
        for _ in 0..100 {
            let offers = ask(&self.server, Method::GET, path, &self.ada.access).await;
            let items = offers.body["items"].as_array().expect("offers").clone();
            if let Some(offer) = items.iter().find(|offer| offer["name"] == name) {
                return offer["id"].as_str().expect("an id").to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{name} is not on sale");
    }

    /// Orders a pack: the purchase, and Stripe's checkout.
    pub async fn order(&self, name: &str, key: &str) -> (String, String) {
        let answer = self.try_order(&self.pack(name).await, key).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        let id = answer.body["id"].as_str().expect("an id").to_owned();
        let checkout = self.checkout_of(&id);
        (id, checkout)
    }

    pub async fn try_order(&self, pack: &str, key: &str) -> Answer {
        let bearer = format!("Bearer {}", self.ada.access);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        post_with(&self.server, "/billing/checkout", &headers, &json!({ "pack": pack })).await
    }

    /// Orders a pack with a card that may be charged later; Stripe's checkout.
    pub async fn order_keeping_card(&self, name: &str, key: &str) -> String {
        let bearer = format!("Bearer {}", self.ada.access);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        let body = json!({ "pack": self.pack(name).await, "keep_card": true });
        let answer = post_with(&self.server, "/billing/checkout", &headers, &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        self.checkout_of(answer.body["id"].as_str().expect("an id"))
    }

    /// Stripe's checkout for what was ordered.
    pub fn checkout_of(&self, purchase: &str) -> String {
        let sessions = self.stripe.objects("checkout.session");
        let session = sessions.iter().find(|session| session["client_reference_id"] == purchase);
        session.expect("a session")["id"].as_str().expect("an id").to_owned()
    }

    /// A pack that is bought and in the wallet; the purchase and the checkout.
    pub async fn bought(&self, name: &str, key: &str) -> (String, String) {
        let (purchase, checkout) = self.order(name, key).await;
        self.stripe.pay_checkout(&checkout);
        self.stripe.deliver().await;
        self.until(|| async { self.state(&purchase).await == "fulfilled" }).await;
        (purchase, checkout)
    }

    /// The purchase's state, by what was heard: nobody asks Stripe.
    pub async fn state(&self, purchase: &str) -> String {
        let payments = ask(&self.server, Method::GET, "/billing/payments", &self.ada.access).await;
        let items = payments.body["items"].as_array().expect("payments").clone();
        let found = items.iter().find(|payment| payment["id"] == purchase);
        found.expect("a payment")["state"].as_str().expect("a state").to_owned()
    }

    /// What the return page shows.
    pub async fn poll(&self, purchase: &str) -> Value {
        let path = format!("/billing/checkout/{purchase}");
        let answer = ask(&self.server, Method::GET, &path, &self.ada.access).await;
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        answer.body
    }

    pub async fn wallet(&self) -> Value {
        ask(&self.server, Method::GET, "/wallet", &self.ada.access).await.body
    }

    pub async fn available(&self) -> i64 {
        self.wallet().await["available"].as_i64().expect("a number")
    }

    /// Waits until something is so: what follows a webhook is a job's.
    pub async fn until<F: Future<Output = bool>>(&self, is_so: impl Fn() -> F) {
        for _ in 0..250 {
            if is_so().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        let (wallet, waiting) = (self.wallet().await, self.waiting().await);
        panic!("it is not so after ten seconds; the wallet: {wallet}; what waits: {waiting:#?}");
    }

    /// The letter of this subject, when it has come.
    pub async fn letter(&self, subject: &str) -> Value {
        for _ in 0..250 {
            let inbox = self.server.send(Method::GET, "/dev/inbox", &[], None).await;
            let inbox = inbox.expect("an inbox").body;
            let mut messages = inbox["items"].as_array().expect("messages").iter();
            if let Some(letter) = messages.find(|message| message["subject"] == subject) {
                return letter.clone();
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
        panic!("nobody was written of: {subject}");
    }

    /// Whether nothing waits to be done, and all that was done can be read. A job that is tried no
    /// more was overtaken by another while it was worked on.
    pub async fn is_quiet(&self) -> bool {
        let quiet = sqlx::query_scalar(
            "select not exists (select from stripe_inbox where state = 'waiting')
                 and not exists (select from graphile_worker._private_jobs
                     where attempts < max_attempts)
                 and (select min(position) from projections.checkpoints)
                     = (select position from log_head)",
        )
        .fetch_one(self.database.kept().await)
        .await;
        quiet.expect("an answer")
    }

    /// The jobs that wait, and why they failed last.
    async fn waiting(&self) -> Vec<String> {
        let jobs = "select format('%s, attempt %s, at %s by %s: %s', key, attempts, run_at - now(),
            locked_by, last_error) from graphile_worker._private_jobs";
        sqlx::query_scalar(jobs).fetch_all(self.database.kept().await).await.expect("jobs")
    }

    /// Waits until the wallet has so much.
    pub async fn until_available(&self, credits: i64) {
        self.until(|| async { self.available().await == credits }).await;
    }

    /// The log and all that follows from it must be right.
    pub async fn close(self) {
        drop(self.server);
        let (clean, said) = self.database.run(&["verify"]);
        assert!(clean, "{said}");
        self.database.remove().await;
    }
}
