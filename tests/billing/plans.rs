//! Plans: subscribed to, renewed, changed, ended; quota only for what was paid.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::stripe::{API_VERSION, Fault, Funds, Manner, Mood, SECRET_KEY, Shape};
use crate::support::Answer;
use crate::world::{ADA, ask, post_with, register, send, verify};

pub const DAY: i64 = 24 * 3600;

impl Shop {
    pub async fn plan(&self, name: &str) -> String {
        self.on_sale("/billing/plans", name).await
    }

    pub async fn try_subscribe(&self, plan: &str, key: &str) -> Answer {
        let bearer = format!("Bearer {}", self.ada.access);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        post_with(&self.server, "/billing/subscriptions", &headers, &json!({ "plan": plan })).await
    }

    /// Orders a plan: Stripe's checkout.
    pub async fn subscribe(&self, name: &str, key: &str) -> String {
        let answer = self.try_subscribe(&self.plan(name).await, key).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        self.checkout_of(answer.body["id"].as_str().expect("an id"))
    }

    /// A plan that is subscribed to and whose quota is there: Stripe's subscription.
    pub async fn subscribed(&self, name: &str, key: &str) -> String {
        let checkout = self.subscribe(name, key).await;
        self.stripe.pay_checkout(&checkout);
        self.stripe.deliver().await;
        self.until(|| async { self.subscription().await["status"] == "active" }).await;
        let session = self.stripe.object(&checkout);
        session["subscription"].as_str().expect("a subscription").to_owned()
    }

    pub async fn subscription(&self) -> Value {
        ask(&self.server, Method::GET, "/billing/subscription", &self.ada.access).await.body
    }

    pub async fn manage(&self, what: &str, body: &Value) -> Answer {
        let path = format!("/billing/subscription/{what}");
        send(&self.server, Method::POST, &path, &self.ada.access, body).await
    }

    /// Puts a plan on sale: 500 credits a month for $5, and what else it is.
    pub async fn offer(&self, name: &str, terms: &Value) {
        let (done, said) = self.database.run(&["admin", "grant", "ada@example.com"]);
        assert!(done, "{said}");
        let price = json!({ "amount_minor": 500, "currency": "usd" });
        let mut plan = json!({
            "name": name, "tier": "basic", "quota": 500, "price": price, "interval": "month",
        });
        for (field, value) in terms.as_object().expect("terms") {
            plan[field] = value.clone();
        }
        let made = send(&self.server, Method::POST, "/admin/plans", &self.ada.access, &plan).await;
        assert_eq!(made.status, StatusCode::CREATED, "{:?}", made.body);
    }

    /// The subjects of the letters to Ada about what she pays.
    pub async fn letters(&self) -> Vec<String> {
        let inbox = self.server.send(Method::GET, "/dev/inbox", &[], None).await.expect("an inbox");
        let messages = inbox.body["items"].as_array().expect("messages").iter();
        let subjects = messages.filter_map(|message| message["subject"].as_str());
        let of_payments = |subject: &&str| {
            ["receipt", "subscription", "payment"].iter().any(|word| subject.contains(word))
        };
        subjects.filter(of_payments).map(str::to_owned).collect()
    }

    /// How the cards of whoever subscribed take payments from now on.
    pub fn cards_of(&self, subscription: &str, mood: Mood) {
        let customer = self.stripe.object(subscription)["customer"].clone();
        self.stripe.cards_of(customer.as_str().expect("a customer"), mood);
    }

    /// Delivers what Stripe has to tell, and waits until all of it is settled.
    pub async fn hear(&self) {
        self.stripe.deliver().await;
        self.until(|| self.is_quiet()).await;
    }
}

#[tokio::test]
async fn a_plan_is_subscribed_to_and_its_quota_comes_with_the_paid_invoice() {
    let shop = Shop::open().await;
    let checkout = shop.subscribe("Basic", "one").await;
    assert_eq!(shop.subscription().await["status"], "ordered");
    shop.stripe.pay_checkout(&checkout);
    shop.stripe.deliver_in(Manner::shuffled(5).twice()).await;
    shop.until_available(1_100).await;
    shop.until(|| shop.is_quiet()).await;
    let subscription = shop.subscription().await;
    assert_eq!(subscription["status"], "active");
    assert_eq!(subscription["plan"]["name"], "Basic");
    assert_eq!(subscription["entitled_until"], subscription["period_end"]);
    let payments = ask(&shop.server, Method::GET, "/billing/payments", &shop.ada.access).await;
    let payment = &payments.body["items"][0];
    let told = (&payment["kind"], &payment["state"], &payment["credits"], &payment["amount_minor"]);
    assert_eq!(told, (&json!("plan"), &json!("paid"), &json!(1_000), &json!(900)));
    let path = format!("/billing/payments/{}", payment["id"].as_str().expect("an id"));
    let shown = ask(&shop.server, Method::GET, &path, &shop.ada.access).await;
    assert!(shown.body["hosted_invoice_url"].is_string(), "{:?}", shown.body);
    let invoices = ask(&shop.server, Method::GET, "/billing/invoices", &shop.ada.access).await;
    assert_eq!(invoices.body["items"][0]["state"], "paid");
    shop.close().await;
}

/// T23, of a plan.
#[tokio::test]
async fn a_return_page_that_is_polled_before_the_webhook_begins_the_subscription_at_once() {
    let shop = Shop::open().await;
    let checkout = shop.subscribe("Basic", "one").await;
    assert_eq!(shop.subscription().await["status"], "ordered");
    shop.stripe.pay_checkout(&checkout);
    let polls = join_all((0..5).map(|_| shop.subscription())).await;
    assert!(polls.iter().all(|poll| poll["status"] == "active"), "{polls:?}");
    assert_eq!(shop.available().await, 1_100);
    shop.hear().await;
    assert_eq!(shop.available().await, 1_100);
    shop.close().await;
}

/// T13, renewals in the old and the new shape; T15, with purchased credits in the wallet.
#[tokio::test]
async fn a_renewal_adds_its_quota_and_leaves_what_was_bought() {
    for shape in [Shape::Current, Shape::Old] {
        let shop = Shop::open_ago(40 * DAY).await;
        shop.stripe.answers_in(shape);
        shop.stripe.events_in(shape);
        let subscription = shop.subscribed("Basic", "one").await;
        shop.until_available(1_100).await;
        shop.bought("Starter", "two").await;
        shop.until_available(1_300).await;
        shop.stripe.renew(&subscription);
        shop.hear().await;
        assert_eq!(shop.available().await, 2_300);
        shop.close().await;
    }
}

/// T11.
#[tokio::test]
async fn what_is_told_late_does_not_bring_a_subscription_back() {
    let shop = Shop::open().await;
    shop.subscribed("Basic", "one").await;
    let ended = shop.manage("cancel", &json!({ "when": "now" })).await;
    assert_eq!((ended.status, &ended.body["status"]), (StatusCode::OK, &json!("canceled")));
    shop.stripe.deliver_in(Manner::shuffled(3).twice()).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(shop.subscription().await["status"], "canceled");
    // What came of what was paid stays.
    assert_eq!(shop.available().await, 1_100);
    // Another one is another one.
    shop.subscribed("Pro", "two").await;
    shop.until_available(11_100).await;
    shop.close().await;
}

#[tokio::test]
async fn nobody_has_two_subscriptions() {
    let shop = Shop::open().await;
    let plan = shop.plan("Basic").await;
    // Two pages at once: the one that is opened later closes the other.
    let first = shop.subscribe("Basic", "one").await;
    let second = shop.subscribe("Pro", "two").await;
    assert_eq!(shop.stripe.object(&first)["status"], "expired");
    shop.stripe.pay_checkout(&second);
    shop.hear().await;
    let refused = shop.try_subscribe(&plan, "three").await;
    assert_eq!(
        (refused.status, &refused.body["code"]),
        (StatusCode::CONFLICT, &json!("subscribed"))
    );
    assert_eq!(shop.available().await, 10_100);
    shop.close().await;
}

/// Two subscriptions that are ordered at the same moment, and both paid: Stripe takes so long to open
/// their pages that neither order sees the other's.
async fn two_at_once(shop: &Shop) {
    let plan = shop.plan("Basic").await;
    shop.stripe.fault("POST /v1/checkout/sessions", 2, Fault::Slow(Duration::from_secs(1)));
    let keys = ["one", "two"];
    let answers = join_all(keys.map(|key| shop.try_subscribe(&plan, key))).await;
    let ids = answers.iter().filter(|answer| answer.status == StatusCode::CREATED);
    let ids: Vec<_> =
        ids.map(|answer| answer.body["id"].as_str().expect("an id").to_owned()).collect();
    let checkouts: Vec<_> = ids.iter().map(|id| shop.checkout_of(id)).collect();
    let open = |checkout: &&String| shop.stripe.object(checkout)["status"] == "open";
    let open: Vec<_> = checkouts.iter().filter(open).cloned().collect();
    assert_eq!(open.len(), 2, "{checkouts:?}");
    for checkout in &open {
        shop.stripe.pay_checkout(checkout);
    }
}

/// How many subscriptions are live at Stripe, and what is kept of all that was paid.
fn live_and_kept(shop: &Shop) -> (usize, i64) {
    let truth = shop.stripe.truth();
    let live = truth.subscriptions.iter().filter(|known| known.status == "active").count();
    (live, truth.payments.iter().map(|payment| payment.paid - payment.reversed()).sum())
}

/// The second is ended, and its money given back.
#[tokio::test]
async fn of_two_that_begin_at_once_one_is_given_back() {
    let shop = Shop::open().await;
    two_at_once(&shop).await;
    shop.hear().await;
    shop.hear().await;
    assert_eq!(live_and_kept(&shop), (1, 900));
    assert_eq!(shop.available().await, 1_100);
    shop.close().await;
}

/// What Stripe does not give back is somebody's to look at, and keeps nothing else from being done.
#[tokio::test]
async fn a_second_one_whose_money_is_not_given_back_is_ended_all_the_same() {
    let shop = Shop::open().await;
    let refusal = json!({"error": {"type": "invalid_request_error", "message": "too old"}});
    shop.stripe.fault("POST /v1/refunds", 1000, Fault::Says(400, refusal));
    two_at_once(&shop).await;
    shop.hear().await;
    shop.hear().await;
    assert!(!shop.stripe.calls_to("POST", "/v1/refunds").is_empty());
    assert_eq!(live_and_kept(&shop), (1, 1_800));
    assert_eq!(shop.available().await, 1_100);
    shop.close().await;
}

#[tokio::test]
async fn an_invoice_that_is_not_paid_brings_nothing_until_it_is() {
    let shop = Shop::open_ago(35 * DAY).await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    shop.stripe.renew(&subscription);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "past_due");
    assert_eq!(shop.available().await, 1_100);
    let payments = ask(&shop.server, Method::GET, "/billing/payments", &shop.ada.access).await;
    assert_eq!(payments.body["items"][0]["state"], "open");
    shop.cards_of(&subscription, Mood::Pays);
    shop.stripe.advance(4 * DAY);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "active");
    assert_eq!(shop.available().await, 2_100);
    shop.close().await;
}

#[tokio::test]
async fn refunds_and_disputes_of_an_invoice_take_its_quota_back() {
    let shop = Shop::open().await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    let invoice = shop.stripe.object(&subscription)["latest_invoice"].clone();
    let invoice = invoice.as_str().expect("an id");
    let refund = shop.stripe.refund(invoice, Some(450));
    shop.hear().await;
    assert_eq!(shop.available().await, 600);
    shop.stripe.fail_refund(&refund);
    shop.hear().await;
    assert_eq!(shop.available().await, 1_100);
    let dispute = shop.stripe.open_dispute(invoice, None, Funds::Withdrawn);
    shop.hear().await;
    assert_eq!(shop.available().await, 100);
    let debit = json!({ "amount": 1, "reason": "render" });
    let refused =
        send(&shop.server, Method::POST, "/wallet/debits", &shop.ada.access, &debit).await;
    assert_eq!(refused.body["reason"], "frozen");
    shop.stripe.win_dispute(&dispute);
    shop.hear().await;
    assert_eq!(shop.available().await, 1_100);
    let spent = send(&shop.server, Method::POST, "/wallet/debits", &shop.ada.access, &debit).await;
    assert_eq!(spent.status, StatusCode::CREATED);
    shop.close().await;
}

#[tokio::test]
async fn a_refund_that_is_told_before_anything_else_counts_from_the_start() {
    let shop = Shop::open().await;
    let checkout = shop.subscribe("Basic", "one").await;
    shop.stripe.pay_checkout(&checkout);
    let subscription = shop.stripe.object(&checkout)["subscription"].clone();
    let subscription = shop.stripe.object(subscription.as_str().expect("an id"));
    let invoice = subscription["latest_invoice"].as_str().expect("an id").to_owned();
    shop.stripe.refund(&invoice, Some(300));
    for lost in ["checkout.session.completed", "invoice.paid", "customer.subscription.created"] {
        shop.stripe.lose(lost);
    }
    shop.stripe.deliver_in(Manner::shuffled(11)).await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!(shop.available().await, 100 + 1_000 - 333);
    shop.close().await;
}

/// T17, and a plan that is paid by the year: what is due has come, the rest comes by the month.
#[tokio::test]
async fn a_year_that_is_paid_brings_its_quota_by_the_month() {
    let shop = Shop::open_ago(70 * DAY).await;
    shop.offer("Yearly", &json!({ "interval": "year" })).await;
    shop.subscribed("Yearly", "one").await;
    shop.until_available(100 + 3 * 500).await;
    let subscription = shop.subscription().await;
    let next = subscription["next_quota_at"].as_str().expect("a time").to_owned();
    assert!(next > saldo::clock::now().to_rfc3339(), "{next}");
    assert!(*next < *subscription["entitled_until"].as_str().expect("a time"));
    shop.close().await;
}

#[tokio::test]
async fn what_is_left_is_carried_over_where_the_plan_says_so() {
    let shop = Shop::open_ago(35 * DAY).await;
    shop.offer("Rolling", &json!({ "rollover": 200 })).await;
    let subscription = shop.subscribed("Rolling", "one").await;
    shop.until_available(600).await;
    shop.stripe.renew(&subscription);
    shop.hear().await;
    assert_eq!(shop.available().await, 1_100);
    let wallet = shop.wallet().await;
    let kinds = wallet["grants"].as_array().expect("grants").iter();
    let carried =
        kinds.filter(|grant| grant["kind"] == "rollover").map(|grant| &grant["remaining"]);
    assert_eq!(carried.collect::<Vec<_>>(), [&json!(200)]);
    shop.close().await;
}

#[tokio::test]
async fn people_are_written_of_what_they_pay() {
    let shop = Shop::open_ago(40 * DAY).await;
    verify(&shop.server, &shop.ada, ADA).await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.bought("Starter", "two").await;
    shop.stripe.renew(&subscription);
    shop.hear().await;
    shop.manage("cancel", &json!({})).await;
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    shop.manage("resume", &json!({})).await;
    shop.stripe.renew(&subscription);
    shop.hear().await;
    shop.manage("cancel", &json!({ "when": "now" })).await;
    let expected = [
        "A payment for Basic failed",
        "Your receipt for Basic",
        "Your receipt for Starter",
        "Your subscription Basic has ended",
        "Your subscription Basic was renewed",
        "Your subscription Basic will end",
    ];
    shop.until(|| async {
        let mut subjects = shop.letters().await;
        subjects.sort();
        subjects.dedup();
        subjects == expected
    })
    .await;
    shop.close().await;
}

/// The bank wants to see the person first; or nobody comes in time.
#[tokio::test]
async fn a_subscription_whose_first_payment_waits_brings_nothing_until_it_is_paid() {
    let shop = Shop::open().await;
    let checkout = shop.subscribe("Basic", "one").await;
    shop.stripe.challenge_checkout(&checkout);
    shop.hear().await;
    assert_eq!(shop.available().await, 100);
    assert_eq!(shop.stripe.truth().subscriptions[0].status, "incomplete");
    assert_eq!(shop.subscription().await["status"], "incomplete");
    shop.stripe.authenticate(&checkout);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "active");
    assert_eq!(shop.available().await, 1_100);
    shop.close().await;
}

#[tokio::test]
async fn a_subscription_is_its_owner_s() {
    let shop = Shop::open().await;
    shop.subscribed("Basic", "one").await;
    let payments = ask(&shop.server, Method::GET, "/billing/payments", &shop.ada.access).await;
    let invoice = payments.body["items"][0]["id"].as_str().expect("an id").to_owned();
    let grace = register(&shop.server, "grace@example.com").await;
    for path in ["/billing/subscription".to_owned(), format!("/billing/payments/{invoice}")] {
        let theirs = ask(&shop.server, Method::GET, &path, &grace.access).await;
        assert_eq!(theirs.status, StatusCode::NOT_FOUND, "{path}: {:?}", theirs.body);
    }
    let invoices = ask(&shop.server, Method::GET, "/billing/invoices", &grace.access).await;
    assert_eq!(invoices.body["items"], json!([]));
    shop.close().await;
}

/// An operator may give somebody a price of their own at Stripe: it brings nothing by itself, and how
/// the subscription stands is heard of all the same.
#[tokio::test]
async fn a_price_that_was_made_at_stripe_does_not_hide_how_a_subscription_stands() {
    let shop = Shop::open().await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    let product = shop.stripe.object(&subscription)["items"]["data"][0]["price"]["product"].clone();
    let made = saldo::clients::http().build().expect("a client");
    let made = made.post(format!("{}/v1/prices", shop.stripe.url)).bearer_auth(SECRET_KEY);
    let terms = [
        ("product", product.as_str().expect("a product")),
        ("unit_amount", "700"),
        ("currency", "usd"),
        ("recurring[interval]", "month"),
    ];
    let made = made.header("stripe-version", API_VERSION).form(&terms).send().await;
    let price: Value = made.expect("an answer").json().await.expect("a price");
    shop.stripe.portal_change_plan(&subscription, price["id"].as_str().expect("an id"));
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "active");
    assert_eq!(shop.available().await, 1_100);
    let changed = shop.manage("change", &json!({ "plan": shop.plan("Pro").await })).await;
    assert_eq!(
        (changed.status, &changed.body["code"]),
        (StatusCode::CONFLICT, &json!("other_price"))
    );
    shop.stripe.cancel_now(&subscription);
    shop.hear().await;
    assert_eq!(shop.subscription().await["status"], "canceled");
    shop.subscribed("Pro", "two").await;
    shop.close().await;
}

#[tokio::test]
async fn a_key_is_for_one_plan() {
    let shop = Shop::open().await;
    let (basic, pro) = (shop.plan("Basic").await, shop.plan("Pro").await);
    let first = shop.try_subscribe(&basic, "one").await;
    let again = shop.try_subscribe(&basic, "one").await;
    assert_eq!((again.status, &again.body), (StatusCode::CREATED, &first.body));
    let other = shop.try_subscribe(&pro, "one").await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", other.body);
    shop.close().await;
}
