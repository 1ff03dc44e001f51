//! A house with people in it, and something of everything that operations are about.

use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::matrix::Caller;
use crate::shop::Shop;
use crate::support::Answer;
use crate::world::{ADA, PASSWORD, Tokens, ask, login, register, send};

/// Webhooks go to this machine, too.
const PRIVATE: (&str, &str) = ("SALDO_WEBHOOKS_PRIVATE", "on");
const ROOT: &str = "root@example.com";
pub const SCOPES: [&str; 3] = ["wallet_read", "wallet_spend", "ai"];

/// A shop, and who asks it: Ada owns things, Ben owns none, and Root administers.
pub struct House {
    pub shop: Shop,
    pub ben: Tokens,
    pub root: Tokens,
}

/// What operations are about.
pub struct Things {
    /// What `{id}` is below these paths; the first that fits.
    ids: Vec<(&'static str, String)>,
    /// What the `$` words of bodies are.
    words: Vec<(&'static str, String)>,
    message: String,
    delivery: String,
    grant: String,
    /// Keys of Ada's, by scope.
    keys: Vec<(&'static str, String)>,
    fresh: AtomicU32,
}

fn id(body: &Value) -> String {
    text(&body["id"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

impl House {
    pub async fn open() -> Self {
        let shop = Shop::open_with(0, &[PRIVATE]).await;
        let ben = register(&shop.server, "ben@example.com").await;
        let root = register(&shop.server, ROOT).await;
        let (done, said) = shop.database.run(&["admin", "grant", ROOT]);
        assert!(done, "{said}");
        Self { shop, ben, root }
    }

    /// What Ada is told when she posts something, which must go well.
    async fn made(&self, path: &str, body: &Value) -> Value {
        let answer = send(&self.shop.server, Method::POST, path, &self.shop.ada.access, body).await;
        assert!(answer.status.is_success(), "{path}: {} {:?}", answer.status, answer.body);
        answer.body
    }

    /// What Root is told.
    pub async fn as_root(&self, method: Method, path: &str, body: &Value) -> Answer {
        send(&self.shop.server, method, path, &self.root.access, body).await
    }

    /// Puts work into the queue, that is to be done so much later.
    pub async fn job(&self, task: &str, later: &str) -> i64 {
        let pool = self.shop.database.kept().await;
        let job = sqlx::query_scalar(
            "select id from graphile_worker.add_job($1, '{}'::json, job_key => $1 || '/test',
                 run_at => now() + $2::interval)",
        );
        job.bind(task).bind(later).fetch_one(pool).await.expect("a queue")
    }

    /// Ada's id.
    pub fn ada(&self) -> String {
        id(&self.shop.ada.user)
    }

    /// What Root sees when everything up to this position is seen.
    pub async fn root_sees_at(&self, path: &str, position: &str) -> Value {
        let bearer = format!("Bearer {}", self.root.access);
        let headers = [("authorization", bearer.as_str()), ("x-min-position", position)];
        let path = format!("/api/v1{path}");
        let answer = self.shop.server.send(Method::GET, &path, &headers, None).await;
        answer.expect("an answer").body
    }

    /// What Root sees.
    pub async fn root_sees(&self, path: &str) -> Value {
        let answer = ask(&self.shop.server, Method::GET, path, &self.root.access).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {:?}", answer.body);
        answer.body
    }

    /// A verification that was asked for.
    async fn verification(&self) -> String {
        id(&self.as_root(Method::POST, "/admin/verifications", &json!({})).await.body)
    }

    /// A key of Ada's with this scope.
    async fn key(&self, scope: &str) -> Value {
        self.made("/me/api-keys", &json!({ "name": scope, "scopes": [scope] })).await
    }

    /// Something of everything.
    pub async fn things(&self) -> Things {
        let (purchase, _) = self.shop.bought("Starter", "a pack").await;
        let plan = self.shop.on_sale("/billing/plans", "Pro").await;
        self.subscribe().await;
        let mut keys = vec![];
        for scope in SCOPES {
            let key = self.key(scope).await;
            keys.push((scope, text(&key["secret"])));
        }
        let chat = id(&self.made("/chats", &json!({})).await);
        let said =
            self.made(&format!("/chats/{chat}/messages"), &json!({ "text": "Hello." })).await;
        let endpoint = json!({ "url": "http://127.0.0.1:9/", "events": ["*"] });
        let endpoint = id(&self.made("/webhook-endpoints", &endpoint).await);
        let delivery =
            id(&self.made(&format!("/webhook-endpoints/{endpoint}/test"), &json!({})).await);
        let summary = json!({ "text": "A text that is long enough to be summarized." });
        let spend = json!({ "amount": 1, "reason": "test" });
        let history =
            ask(&self.shop.server, Method::GET, "/wallet/transactions", &self.shop.ada.access);
        let told = self.root_sees("/admin/stripe/events").await;
        let session = login(&self.shop.server, ADA, PASSWORD).await;
        let session = self.session_of(&Tokens::of(&session)).await;
        let ids = vec![
            ("/me/api-keys/", id(&self.key("ai").await)),
            ("/me/identities/", Uuid::nil().to_string()),
            ("/me/sessions/", session),
            ("/wallet/transactions/", id(&history.await.body["items"][0])),
            ("/wallet/holds/", id(&self.made("/wallet/holds", &spend).await)),
            ("/wallet/debits/", id(&self.made("/wallet/debits", &spend).await)),
            ("/v1/models/", "local-1".to_owned()),
            ("/ai/analyses/", id(&self.made("/ai/summarize", &summary).await)),
            ("/chats/", chat),
            ("/webhook-endpoints/", endpoint),
            ("/billing/checkout/", purchase.clone()),
            ("/billing/payments/", purchase.clone()),
            ("/admin/packs/", self.shop.pack("Starter").await),
            ("/admin/plans/", plan.clone()),
            ("/admin/purchases/", purchase),
            ("/admin/stripe/events/", text(&told["items"][0]["event_id"])),
            ("/admin/users/", self.ada()),
            ("/admin/events/", "1".to_owned()),
            ("/admin/projections/", "users".to_owned()),
            ("/admin/verifications/", self.verification().await),
            ("/admin/jobs/", self.job("nobody_does_this", "+1 day").await.to_string()),
            ("/auth/oauth/", "github".to_owned()),
            ("/healthz/", "db".to_owned()),
        ];
        let words = vec![
            ("$pack", self.shop.pack("Starter").await),
            ("$plan", plan),
            ("$login", ADA.to_owned()),
            ("$nobody", Uuid::nil().to_string()),
        ];
        let message = id(&said["reply"]);
        let grant = id(&self.shop.wallet().await["grants"][0]);
        Things { ids, words, message, delivery, grant, keys, fresh: AtomicU32::default() }
    }

    /// Has Ada subscribe to Basic, and waits until she has.
    async fn subscribe(&self) {
        let plan = self.shop.on_sale("/billing/plans", "Basic").await;
        let ordered = self.made("/billing/subscriptions", &json!({ "plan": plan })).await;
        let checkout = self.shop.checkout_of(&id(&ordered));
        self.shop.stripe.pay_checkout(&checkout);
        self.shop.stripe.deliver().await;
        let (server, ada) = (&self.shop.server, &self.shop.ada.access);
        let is_active = || async {
            ask(server, Method::GET, "/billing/subscription", ada).await.body["status"] == "active"
        };
        self.shop.until(is_active).await;
    }

    /// The session of these tokens.
    async fn session_of(&self, tokens: &Tokens) -> String {
        let sessions =
            ask(&self.shop.server, Method::GET, "/me/sessions", &tokens.access).await.body;
        let sessions = sessions["items"].as_array().expect("sessions").clone();
        id(sessions.iter().find(|session| session["current"] == true).expect("a session"))
    }

    /// What somebody sends as `Authorization`.
    pub fn authorization(&self, things: &Things, caller: Caller) -> Option<String> {
        let token = match caller {
            Caller::Anonymous => return None,
            Caller::Key(scope) => &things.keys.iter().find(|(of, _)| *of == scope)?.1,
            Caller::Other => &self.ben.access,
            Caller::Administrator => &self.root.access,
            Caller::Owner => &self.shop.ada.access,
        };
        Some(format!("Bearer {token}"))
    }

    /// What a row sends, with what is known of it now.
    pub async fn sent(&self, things: &Things, sends: &str) -> String {
        let mut sent = sends.to_owned();
        for (word, is) in &things.words {
            sent = sent.replace(word, is);
        }
        if sent.contains("$new") {
            let number = things.fresh.fetch_add(1, Ordering::Relaxed);
            sent = sent.replace("$new", &format!("new{number}@example.com"));
        }
        if sent.contains("$refresh") {
            let tokens = Tokens::of(&login(&self.shop.server, "ben@example.com", PASSWORD).await);
            sent = sent.replace("$refresh", &tokens.refresh);
        }
        sent
    }
}

impl Things {
    /// A path with what it is about in it.
    pub fn path(&self, path: &str) -> String {
        let path = path.replace("{message}", &self.message).replace("{delivery}", &self.delivery);
        let path = path.replace("{grant}", &self.grant);
        let (Some(from), Some(to)) = (path.find('{'), path.find('}')) else { return path };
        let about = self.ids.iter().find(|(below, _)| path[..from].ends_with(below));
        let (_, id) = about.unwrap_or_else(|| panic!("what is {path} about?"));
        format!("{}{id}{}", &path[..from], &path[to + 1..])
    }
}
