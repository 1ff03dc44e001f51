//! What Stripe tells: kept, known once, never dropped, and looked for where nobody heard it.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::{Shop, serve_with};
use crate::stripe::{
    API_VERSION, Envelope, Fault, Manner, NEXT_WEBHOOK_SECRET, Shape, WEBHOOK_SECRET,
};
use crate::world::{ask, change, send};

/// One webhook ten times at once paid three times, once.
#[tokio::test]
async fn a_webhook_that_comes_ten_times_at_once_pays_once() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout(&checkout);
    let event = shop.stripe.events_of("checkout.session.completed");
    let event = event[0]["id"].as_str().expect("an id").to_owned();
    let (header, body) = shop.stripe.sealed(&event);
    let answers = join_all((0..10).map(|_| shop.stripe.post(&header, body.clone()))).await;
    assert!(answers.iter().all(|(status, _)| *status == Some(204)), "{answers:?}");
    shop.until_available(300).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(shop.available().await, 300);
    shop.close().await;
}

/// T20.
#[tokio::test]
async fn only_what_stripe_has_signed_is_taken() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout(&checkout);
    let stale = saldo::clock::now().timestamp() - 301;
    let wrong = [
        Envelope { tampered: true, ..Envelope::default() },
        Envelope { at: Some(stale), ..Envelope::default() },
        Envelope { secrets: vec!["whsec_of_somebody_else".to_owned()], ..Envelope::default() },
    ];
    for envelope in wrong {
        shop.stripe.wrap_in(envelope);
        for answer in shop.stripe.deliver().await {
            assert_eq!(answer.status, Some(400), "{answer:?}");
        }
    }
    assert_eq!(shop.available().await, 100);
    // Another mode's is kept, and nothing follows.
    shop.stripe.wrap_in(Envelope { livemode: true, ..Envelope::default() });
    let event = shop.stripe.events_of("checkout.session.completed")[0].clone();
    let (header, body) = shop.stripe.sealed(event["id"].as_str().expect("an id"));
    assert_eq!(shop.stripe.post(&header, body.clone()).await.0, Some(204));
    let pool = shop.database.kept().await;
    let gone = sqlx::query("delete from stripe_inbox where state = 'quarantined'").execute(pool);
    assert_eq!(gone.await.expect("rows").rows_affected(), 1);
    assert_eq!(shop.available().await, 100);
    // Two secrets, while one replaces the other.
    let both = serve_with(&shop.database, &shop.stripe, &[WEBHOOK_SECRET, NEXT_WEBHOOK_SECRET]);
    let client = saldo::clients::http().build().expect("a client");
    shop.stripe.webhooks_go_to(client, &format!("{}/api/v1/webhooks/stripe", both.url));
    let secrets = vec![NEXT_WEBHOOK_SECRET.to_owned()];
    shop.stripe.wrap_in(Envelope { secrets, ..Envelope::default() });
    shop.stripe.deliver().await;
    shop.until_available(300).await;
    drop(both);
    shop.close().await;
}

#[tokio::test]
async fn an_event_in_the_old_shape_is_understood() {
    let shop = Shop::open().await;
    shop.stripe.events_in(Shape::Old);
    shop.bought("Starter", "one").await;
    assert_eq!(shop.available().await, 300);
    shop.close().await;
}

/// Good signature, and nothing that is an event.
#[tokio::test]
async fn what_cannot_be_understood_is_kept_for_somebody_to_look_at() {
    let shop = Shop::open().await;
    let body = json!({ "object": "event" }).to_string();
    let now = saldo::clock::now().timestamp();
    let header = crate::stripe::signature(&[WEBHOOK_SECRET.to_owned()], now, &body);
    assert_eq!(shop.stripe.post(&header, body.clone()).await.0, Some(204));
    let pool = shop.database.kept().await;
    let dead: (i64, String) =
        sqlx::query_as("select count(*), max(payload) from stripe_inbox where state = 'dead'")
            .fetch_one(pool)
            .await
            .expect("a count");
    assert_eq!(dead, (1, body));
    shop.close().await;
}

/// A type that concerns us, about something that does not say which payment it is of.
#[tokio::test]
async fn what_does_not_say_what_it_is_about_is_kept_for_somebody_to_look_at() {
    let shop = Shop::open().await;
    shop.stripe.deliver().await;
    for (kind, object, field) in [
        ("refund.updated", json!({ "id": "re_1", "object": "refund" }), "charge"),
        ("charge.dispute.closed", json!({ "id": "du_1", "object": "dispute" }), "charge"),
        ("charge.updated", json!({ "object": "charge" }), "id"),
        ("checkout.session.completed", json!({ "object": "checkout.session" }), "id"),
    ] {
        let event = shop.stripe.make_event(kind, &object);
        let answers = shop.stripe.deliver_in(Manner::in_order().twice()).await;
        assert!(answers.iter().all(|answer| answer.status == Some(204)), "{answers:?}");
        let pool = shop.database.kept().await;
        let kept: (String, String) =
            sqlx::query_as("select state, error from stripe_inbox where event_id = $1")
                .bind(event["id"].as_str())
                .fetch_one(pool)
                .await
                .expect("an event");
        let error = format!("the event cannot be understood: data.object.{field}");
        assert_eq!(kept, ("dead".to_owned(), error), "{kind}");
    }
    shop.close().await;
}

/// The database is away: Stripe is told to send it again, and it is applied later.
#[tokio::test]
async fn a_webhook_that_cannot_be_kept_is_refused_and_applied_when_it_comes_again() {
    let shop = Shop::open().await;
    let (_, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout(&checkout);
    change(&shop.database, "alter table stripe_inbox rename to away").await;
    for answer in shop.stripe.deliver().await {
        assert!(answer.status.is_some_and(|status| status >= 500), "{answer:?}");
    }
    change(&shop.database, "alter table away rename to stripe_inbox").await;
    shop.stripe.deliver_until_taken(3).await;
    shop.until_available(300).await;
    shop.close().await;
}

/// The list breaks off after its first page: what was read is kept, the rest is read the next time.
#[tokio::test]
async fn a_list_that_breaks_off_is_kept_so_far_and_gone_through_again() {
    let shop = Shop::open().await;
    shop.stripe.deliver().await;
    shop.until(|| shop.is_quiet()).await;
    let (_, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout(&checkout);
    for number in 0..150 {
        let object = json!({ "id": format!("ba_{number}"), "object": "bank_account" });
        shop.stripe.make_event("account.external_account.updated", &object);
    }
    shop.stripe.lose("*");
    let pool = shop.database.kept().await;
    let count = |statement: &'static str| sqlx::query_scalar::<_, i64>(statement).fetch_one(pool);
    let kept = "select count(*) from stripe_inbox where kind like 'account.%'";
    let reached = "select extract(epoch from healed_to)::bigint from stripe_cursor";
    let before = count(reached).await.expect("a time");
    shop.stripe.fault("GET /v1/events", 1, Fault::Slow(Duration::ZERO));
    let refusal = json!({ "error": { "type": "invalid_request_error", "message": "no" } });
    shop.stripe.fault("GET /v1/events", 1000, Fault::Says(400, refusal));
    change(&shop.database, "select graphile_worker.add_job('heal', '{}'::json)").await;
    shop.until(|| async { shop.stripe.calls_to("GET", "/v1/events").len() > 3 }).await;
    assert_eq!(count(kept).await.expect("a count"), 100);
    assert_eq!(count(reached).await.expect("a time"), before);
    shop.stripe.heal();
    shop.until_available(300).await;
    shop.until(|| async { count(kept).await.expect("a count") == 150 }).await;
    shop.until(|| async { count(reached).await.expect("a time") > before }).await;
    shop.close().await;
}

/// T21: nobody heard of it; what Stripe lists is gone through.
#[tokio::test]
async fn what_was_lost_is_found_in_the_list_of_events() {
    let shop = Shop::open().await;
    let (purchase, checkout) = shop.order("Starter", "one").await;
    shop.stripe.pay_checkout(&checkout);
    shop.stripe.lose("checkout.session.completed");
    for kind in ["payment_intent.succeeded", "charge.succeeded"] {
        shop.stripe.lose(kind);
    }
    shop.stripe.deliver_in(Manner::in_order()).await;
    assert_eq!(shop.state(&purchase).await, "checkout_opened");
    let heal = "select graphile_worker.add_job('heal', '{}'::json)";
    change(&shop.database, heal).await;
    shop.until_available(300).await;
    let admin = shop.database.run(&["admin", "grant", "ada@example.com"]);
    assert!(admin.0, "{}", admin.1);
    let events = || async {
        let (path, token) = ("/admin/stripe/events", &shop.ada.access);
        ask(&shop.server, Method::GET, path, token).await.body["items"].clone()
    };
    let healed = |event: &Value| event["source"] == "healed" && event["state"] == "done";
    shop.until(|| async { events().await.as_array().is_some_and(|all| all.iter().any(healed)) })
        .await;
    shop.close().await;
}

/// A bank's warning stops spending where that is the policy, until somebody has looked.
#[tokio::test]
async fn an_early_fraud_warning_freezes_the_wallet_where_that_is_the_policy() {
    for (policy, status) in
        [("note", StatusCode::CREATED), ("freeze", StatusCode::PAYMENT_REQUIRED)]
    {
        let shop = Shop::open_with(0, &[("SALDO_FRAUD_WARNING", policy)]).await;
        shop.bought("Starter", "one").await;
        let charge = shop.stripe.objects("charge")[0]["id"].clone();
        let warning =
            json!({ "id": "issfr_1", "object": "radar.early_fraud_warning", "charge": charge });
        let event = json!({
            "id": "evt_warning", "object": "event", "type": "radar.early_fraud_warning.created",
            "created": saldo::clock::now().timestamp(), "livemode": false,
            "api_version": API_VERSION, "pending_webhooks": 1, "data": { "object": warning },
        });
        let (header, body) = Envelope::default().seal(&event);
        let (taken, _) = shop.stripe.post(&header, body).await;
        assert_eq!(taken, Some(204));
        shop.until(|| shop.is_quiet()).await;
        let debit = async || {
            let body = json!({ "amount": 1, "reason": "render" });
            send(&shop.server, Method::POST, "/wallet/debits", &shop.ada.access, &body).await.status
        };
        assert_eq!(debit().await, status, "{policy}");
        let me = ask(&shop.server, Method::GET, "/me", &shop.ada.access).await.body["id"].clone();
        let path = format!("/admin/users/{}/unfreeze", me.as_str().expect("an id"));
        let why = json!({ "reason": "the buyer was called" });
        let refused = send(&shop.server, Method::POST, &path, &shop.ada.access, &why).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let (done, said) = shop.database.run(&["admin", "grant", "ada@example.com"]);
        assert!(done, "{said}");
        let let_go = send(&shop.server, Method::POST, &path, &shop.ada.access, &why).await;
        assert_eq!(let_go.status, StatusCode::NO_CONTENT, "{:?}", let_go.body);
        assert_eq!(debit().await, StatusCode::CREATED, "{policy}");
        shop.close().await;
    }
}
