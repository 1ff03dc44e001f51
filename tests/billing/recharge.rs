//! Auto-recharge: charged once for a spend, as agreed, and never besides.

use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::shop::Shop;
use crate::stripe::{Fault, Mood};
use crate::support::Answer;
use crate::world::{ADA, ask, change, send, verify};

const PATH: &str = "/billing/auto-recharge";
pub const CHARGE: &str = "POST /v1/payment_intents";
const LOOK: &str = "GET /v1/payment_intents";

/// A shop where Ada has 300 credits, and a card that may be charged.
pub async fn shop() -> Shop {
    let shop = Shop::open().await;
    let checkout = shop.order_keeping_card("Starter", "card").await;
    shop.stripe.pay_checkout(&checkout);
    shop.stripe.deliver().await;
    shop.until_available(300).await;
    shop.until(|| shop.is_quiet()).await;
    shop
}

/// Starter for 900 cents, 200 credits, when less than so much is available.
async fn terms(shop: &Shop, threshold: i64, cap: i64) -> Value {
    let pack = shop.pack("Starter").await;
    json!({
        "enabled": true, "pack": pack, "threshold": threshold, "monthly_cap_minor": cap,
        "consent": true,
    })
}

async fn put(shop: &Shop, body: &Value) -> Answer {
    send(&shop.server, Method::PUT, PATH, &shop.ada.access, body).await
}

pub async fn turn_on(shop: &Shop, threshold: i64, cap: i64) {
    let answer = put(shop, &terms(shop, threshold, cap).await).await;
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
}

pub async fn turn_off(shop: &Shop) {
    let answer = ask(&shop.server, Method::DELETE, PATH, &shop.ada.access).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
}

pub async fn told(shop: &Shop) -> Value {
    ask(&shop.server, Method::GET, PATH, &shop.ada.access).await.body
}

pub async fn until_state(shop: &Shop, state: &str) {
    shop.until(|| async { told(shop).await["state"] == state }).await;
}

pub async fn spend(shop: &Shop, amount: i64) {
    let body = json!({ "amount": amount, "reason": "render" });
    let path = "/wallet/debits";
    let answer = send(&shop.server, Method::POST, path, &shop.ada.access, &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
}

/// How often money came by no checkout.
pub fn charges(shop: &Shop) -> usize {
    let payments = shop.stripe.truth().payments;
    let mine = payments.iter().filter(|it| it.checkout_session.is_none() && it.paid > 0);
    mine.count()
}

/// How often a bank was asked without the person.
pub fn attempts(shop: &Shop) -> usize {
    shop.stripe.calls_to("POST", "/v1/payment_intents").len()
}

/// Long enough for a recharge to have begun.
pub async fn wait() {
    tokio::time::sleep(Duration::from_millis(2500)).await;
}

/// How Ada's cards take payments from now on.
pub fn cards_are(shop: &Shop, mood: Mood) {
    let customers = shop.stripe.objects("customer");
    shop.stripe.cards_of(customers[0]["id"].as_str().expect("an id"), mood);
}

/// A recharge that has begun while Stripe does not answer: nothing is charged yet.
pub async fn held_back(shop: &Shop) {
    shop.stripe.fault(LOOK, 1000, Fault::FailsBefore);
    turn_on(shop, 100, 1800).await;
    spend(shop, 250).await;
    until_state(shop, "charging").await;
}

/// Lets nobody try again for an hour.
pub async fn postpone(shop: &Shop) {
    let pool = shop.database.kept().await;
    let later = "update graphile_worker._private_jobs set run_at = now() + interval '1 hour'
        where locked_at is null";
    for _ in 0..250 {
        let postponed = sqlx::query(later).execute(pool).await.expect("the queue answers");
        if postponed.rows_affected() == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    panic!("the recharge is never idle");
}

/// Stripe answers again, and whoever waits for it asks at once.
pub async fn answers_again(shop: &Shop) {
    shop.stripe.heal();
    let again = "update graphile_worker._private_jobs set run_at = now() where locked_at is null";
    for _ in 0..2 {
        change(&shop.database, again).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The rows, rebuilt from the log, are what they were.
pub async fn rebuild(shop: &Shop) {
    let rows = async || {
        shop.until(|| shop.is_quiet()).await;
        let pool = shop.database.kept().await;
        let rows = "select json_agg(r order by user_id)::text from recharges r";
        let rows: Option<String> = sqlx::query_scalar(rows).fetch_one(pool).await.expect("rows");
        rows.expect("a row")
    };
    let before = rows().await;
    let (done, said) = shop.database.run(&["projections", "rebuild", "billing"]);
    assert!(done, "{said}");
    assert_eq!(rows().await, before);
}

#[tokio::test]
async fn a_spend_that_leaves_too_little_buys_a_pack_once_and_says_so() {
    let shop = shop().await;
    verify(&shop.server, &shop.ada, ADA).await;
    turn_on(&shop, 100, 1800).await;
    spend(&shop, 150).await;
    wait().await;
    assert_eq!(attempts(&shop), 0, "150 are left");
    spend(&shop, 60).await;
    shop.until_available(290).await;
    until_state(&shop, "ready").await;
    let letter = shop.letter("Your balance was recharged").await;
    let text = letter["text"].as_str().expect("a text");
    assert!(text.contains("9.00 USD") && text.contains("200 credits"), "{text}");
    shop.stripe.deliver().await;
    shop.until(|| shop.is_quiet()).await;
    assert_eq!((shop.available().await, charges(&shop)), (290, 1));
    let told = told(&shop).await;
    assert_eq!((&told["enabled"], &told["charged_minor"]), (&json!(true), &json!(900)));
    assert_eq!((&told["last_failure"], &told["link"]), (&Value::Null, &Value::Null));
    // What it bought is a purchase as any other.
    let payments = ask(&shop.server, Method::GET, "/billing/payments", &shop.ada.access).await;
    assert_eq!(payments.body["items"][0]["state"], "fulfilled");
    let intent = shop.stripe.truth().payments.pop().expect("a payment").payment_intent;
    shop.stripe.refund(&intent, None);
    shop.stripe.deliver().await;
    shop.until_available(90).await;
    shop.close().await;
}

#[tokio::test]
async fn twenty_spends_at_once_are_one_recharge() {
    let shop = shop().await;
    turn_on(&shop, 250, 9000).await;
    join_all((0..20).map(|_| spend(&shop, 10))).await;
    shop.until_available(300).await;
    wait().await;
    assert_eq!((charges(&shop), attempts(&shop)), (1, 1));
    shop.close().await;
}

#[tokio::test]
async fn turning_it_on_charges_nothing_before_something_is_spent() {
    let shop = shop().await;
    turn_on(&shop, 400, 1800).await;
    wait().await;
    assert_eq!(attempts(&shop), 0);
    spend(&shop, 1).await;
    shop.until_available(499).await;
    assert_eq!(charges(&shop), 1);
    shop.close().await;
}

#[tokio::test]
async fn what_is_agreed_to_is_agreed_to_whole() {
    let shop = shop().await;
    let whole = terms(&shop, 100, 1800).await;
    for (field, value, wrong) in [
        ("consent", json!(false), "consent"),
        ("pack", Value::Null, "pack"),
        ("threshold", Value::Null, "threshold"),
        ("threshold", json!(0), "threshold"),
        ("threshold", json!(-1), "threshold"),
        ("monthly_cap_minor", Value::Null, "monthly_cap_minor"),
        ("monthly_cap_minor", json!(899), "monthly_cap_minor"),
        ("monthly_cap", json!(1800), "monthly_cap"),
    ] {
        let mut body = whole.clone();
        body[field] = value;
        let answer = put(&shop, &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{field}: {:?}", answer.body);
        assert!(answer.body["errors"][wrong].is_string(), "{field}: {:?}", answer.body);
    }
    assert_eq!(told(&shop).await["state"], "off");
    shop.close().await;
}

#[tokio::test]
async fn without_a_card_that_may_be_charged_it_cannot_be_turned_on() {
    let shop = Shop::open().await;
    shop.bought("Starter", "one").await;
    let body = terms(&shop, 100, 1800).await;
    let refused = put(&shop, &body).await;
    assert_eq!((refused.status, &refused.body["code"]), (StatusCode::CONFLICT, &json!("no_card")));
    // The card that the person has at Stripe for whatever is paid by itself will do.
    let customers = shop.stripe.objects("customer");
    shop.stripe.change_card(customers[0]["id"].as_str().expect("an id"), Mood::Pays);
    assert_eq!(put(&shop, &body).await.status, StatusCode::OK);
    spend(&shop, 250).await;
    shop.until_available(250).await;
    assert_eq!(charges(&shop), 1);
    shop.close().await;
}

#[tokio::test]
async fn a_month_is_charged_up_to_its_cap_and_no_more() {
    let shop = shop().await;
    turn_on(&shop, 1000, 900).await;
    spend(&shop, 1).await;
    shop.until_available(499).await;
    until_state(&shop, "ready").await;
    // Whoever agrees anew need not wait; the month is the same.
    turn_off(&shop).await;
    turn_on(&shop, 1000, 900).await;
    spend(&shop, 1).await;
    wait().await;
    assert_eq!((attempts(&shop), &told(&shop).await["charged_minor"]), (1, &json!(900)));
    turn_on(&shop, 1000, 1800).await;
    spend(&shop, 1).await;
    shop.until_available(697).await;
    assert_eq!(charges(&shop), 2);
    rebuild(&shop).await;
    shop.close().await;
}

/// Rows of 250 people in front of everybody, of whom the log says that nothing is on.
const IN_FRONT: &str = "
    with people as (select gen_random_uuid() as id, -n as position from generate_series(1, 250) n),
    accounts as (
        insert into users (user_id, email_verified, role, status, registered_at, last_seen_at)
        select id, false, 'in_front', 'active', now(), now() from people),
    purses as (
        insert into wallets (wallet_id, available, held, debt, version, position)
        select id, 0, 0, 0, 1, position from people),
    spends as (
        insert into transactions (position, wallet_id, kind, amount, consumed, available_after,
            held_after, debt_after, reason, reference, recorded_at)
        select position, id, 'debit', 1, 1, 0, 0, 0, '', id, now() from people)
    insert into recharges (user_id, enabled, pack_id, price_minor, currency, threshold, cap_minor,
        wording, consented_at, after)
    select id, true, pack_id, price_minor, currency, threshold, cap_minor, wording, now(), -1000
    from people cross join recharges";

#[tokio::test]
async fn many_who_are_in_the_way_of_themselves_are_in_nobody_else_s() {
    let shop = shop().await;
    turn_on(&shop, 100, 1800).await;
    shop.until(|| shop.is_quiet()).await;
    change(&shop.database, IN_FRONT).await;
    spend(&shop, 250).await;
    shop.until_available(250).await;
    for gone in [
        "delete from recharges where after = -1000",
        "delete from transactions where position < 0",
        "delete from wallets where position < 0",
        "delete from users where role = 'in_front'",
    ] {
        change(&shop.database, gone).await;
    }
    shop.close().await;
}
