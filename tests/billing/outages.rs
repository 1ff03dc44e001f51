//! Stripe does not answer, or slowly: the house goes on. The database does not: Stripe is told so.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

use crate::shop::Shop;
use crate::stripe::{Fault, Manner};
use crate::world::{message, post};

#[tokio::test]
async fn a_slow_stripe_keeps_no_mail_waiting() {
    let shop = Shop::open().await;
    shop.stripe.deliver().await;
    shop.until(|| shop.is_quiet()).await;
    shop.stripe.fault("/v1/payment_intents", 1000, Fault::Slow(Duration::from_secs(15)));
    for number in 0..40 {
        let object = json!({ "id": format!("pi_slow{number}"), "object": "payment_intent" });
        shop.stripe.make_event("payment_intent.succeeded", &object);
    }
    for answer in shop.stripe.deliver_in(Manner::in_order().at_once()).await {
        assert_eq!(answer.status, Some(204), "{answer:?}");
    }
    let is_slow = |path: &str| path.starts_with("/v1/payment_intents/pi_slow");
    let asked = || shop.stripe.calls().iter().filter(|call| is_slow(&call.path)).count();
    shop.until(|| async { asked() >= 8 }).await;
    let since = Instant::now();
    let asked = json!({ "channel": "email", "to": "grace@example.com" });
    let sent = post(&shop.server, "/auth/otp", &asked).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{:?}", sent.body);
    message(&shop.server, "grace@example.com", 1).await;
    assert!(since.elapsed() < Duration::from_secs(5), "it took {:?}", since.elapsed());
    let pool = shop.database.kept().await;
    let waiting = "select count(*) from stripe_inbox where state = 'waiting'";
    let waiting: i64 = sqlx::query_scalar(waiting).fetch_one(pool).await.expect("a count");
    assert_eq!(waiting, 40, "Stripe has answered nothing yet");
    shop.close().await;
}

#[tokio::test]
async fn a_stripe_that_is_away_is_told_until_it_answers_and_whoever_looks_asks_it_nothing() {
    let shop = Shop::open().await;
    shop.stripe.deliver().await;
    shop.until(|| shop.is_quiet()).await;
    let told = async |path: &str| {
        let answer = shop.server.send(Method::GET, path, &[], None).await.expect("an answer");
        (answer.status, answer.body)
    };
    assert_eq!(told("/healthz/stripe").await.0, StatusCode::OK);
    let pack = shop.pack("Starter").await;
    shop.stripe.fault("/v1/", 1000, Fault::FailsBefore);
    let refused = shop.try_order(&pack, "one").await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{:?}", refused.body);
    shop.until(|| async { told("/healthz/stripe").await.0 != StatusCode::OK }).await;

    let asked = shop.stripe.calls().len();
    for (status, part) in join_all((0..20).map(|_| told("/healthz/stripe"))).await {
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(part["status"] == "degraded" && part["detail"].is_string(), "{part}");
    }
    let (status, all) = told("/healthz").await;
    assert_eq!(
        (status, &all["stripe"]["status"]),
        (StatusCode::SERVICE_UNAVAILABLE, &json!("degraded"))
    );
    assert_eq!(told("/readyz").await.0, StatusCode::OK, "all else is served");
    assert_eq!(shop.stripe.calls().len(), asked);

    shop.stripe.heal();
    let ordered = shop.try_order(&pack, "two").await;
    assert_eq!(ordered.status, StatusCode::CREATED, "{:?}", ordered.body);
    assert_eq!(told("/healthz/stripe").await.0, StatusCode::OK);
    assert_eq!(told("/healthz").await.0, StatusCode::OK);
    shop.close().await;
}

/// A way to the database that can be shut: whoever is connected is cut off, and nobody comes in.
struct Gate {
    folder: PathBuf,
    open: watch::Sender<bool>,
}

impl Gate {
    #[expect(clippy::disallowed_methods, reason = "it stands as long as its test")]
    fn to(shop: &Shop) -> Self {
        let folder = shop.database.data.join("gate");
        std::fs::create_dir_all(&folder).expect("a folder");
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).expect("a socket");
        let (database, open) =
            (shop.database.socket().join(".s.PGSQL.5432"), watch::Sender::new(true));
        let is_open = open.subscribe();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (database, mut is_open) = (database.clone(), is_open.clone());
                tokio::spawn(async move {
                    if !*is_open.borrow() {
                        return;
                    }
                    let mut server = UnixStream::connect(&database).await.expect("a database");
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        _ = is_open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { folder, open }
    }

    fn url(&self, shop: &Shop) -> String {
        let socket = shop.database.socket().display().to_string();
        shop.database.url().replace(&socket, &self.folder.display().to_string())
    }
}

/// The database is away: Stripe hears soon that the event could not be kept, and sends it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_a_webhook_is_refused_soon_and_applied_later() {
    let mut shop = Shop::open().await;
    let (_, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout(&checkout);
    let gate = Gate::to(&shop);
    shop.serve_at(&gate.url(&shop));
    gate.open.send_replace(false);
    let since = Instant::now();
    let answers = shop.stripe.deliver_in(Manner::in_order().at_once()).await;
    assert!(since.elapsed() < Duration::from_secs(10), "it took {:?}", since.elapsed());
    assert!(!answers.is_empty());
    for answer in answers {
        assert_eq!(answer.status, Some(500), "{answer:?}");
    }
    gate.open.send_replace(true);
    shop.stripe.deliver_until_taken(3).await;
    shop.until_available(300).await;
    shop.close().await;
}
