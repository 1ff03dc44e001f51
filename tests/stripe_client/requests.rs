//! What Stripe is asked, field by field.

use chrono::DateTime;
use saldo::clients::stripe::{
    Cadence, Interval, Link, NewCheckout, NewCustomer, NewPayment, NewPrice, NewProduct, NewRefund,
    PriceChange, ProductChanges, Sells, Settings, Stripe, StripeError, TIMEOUT,
};

use crate::answers::*;
use crate::server::{Asked, SECRET_KEY, Server, ok};

fn assert_asked(asked: &Asked, what: &str, fields: &[(&str, &str)]) {
    assert_eq!(asked.what, what);
    let asked: Vec<_> = asked.fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(asked, fields);
}

fn buys(sells: Sells) -> NewCheckout<'static> {
    NewCheckout {
        customer: "cus_1",
        price: "price_1",
        reference: "purchase-1",
        metadata: [("purchase".to_owned(), "purchase-1".to_owned())].into(),
        success_url: "https://a.example/?s={CHECKOUT_SESSION_ID}",
        cancel_url: "https://a.example/no",
        expires_at: DateTime::from_timestamp(1_790_086_400, 0),
        sells,
    }
}

#[tokio::test]
async fn a_pack_is_bought_by_a_payment_that_knows_what_it_is_for() {
    let server = Server::answering([ok(checkout())]).await;
    let pack = buys(Sells::Pack { keeps_card: true });
    server.stripe().create_checkout(&pack, "purchase-1:checkout").await.expect("a checkout");
    let asked = server.asked_once();
    assert_eq!(asked.key(), Some("purchase-1:checkout"));
    assert_eq!(asked.headers["authorization"], format!("Bearer {SECRET_KEY}"));
    assert_eq!(asked.headers["stripe-version"], "2026-09-30.endive");
    assert_asked(
        &asked,
        "POST /v1/checkout/sessions",
        &[
            ("cancel_url", "https://a.example/no"),
            ("client_reference_id", "purchase-1"),
            ("customer", "cus_1"),
            ("expires_at", "1790086400"),
            ("line_items[0][price]", "price_1"),
            ("line_items[0][quantity]", "1"),
            ("metadata[purchase]", "purchase-1"),
            ("mode", "payment"),
            ("payment_intent_data[metadata][purchase]", "purchase-1"),
            ("payment_intent_data[setup_future_usage]", "off_session"),
            ("success_url", "https://a.example/?s={CHECKOUT_SESSION_ID}"),
        ],
    );
}

#[tokio::test]
async fn a_plan_is_bought_by_a_subscription_that_knows_what_it_is_for() {
    let server = Server::answering([ok(checkout())]).await;
    let plan = buys(Sells::Plan { trial_days: Some(7) });
    server.stripe().create_checkout(&plan, "k").await.expect("a checkout");
    let asked = server.asked_once();
    assert_eq!(asked.field("mode"), Some("subscription"));
    assert_eq!(asked.field("metadata[purchase]"), Some("purchase-1"));
    assert_eq!(asked.field("subscription_data[metadata][purchase]"), Some("purchase-1"));
    assert_eq!(asked.field("subscription_data[trial_period_days]"), Some("7"));
    assert!(!asked.fields.keys().any(|field| field.starts_with("payment_intent_data")));
}

#[tokio::test]
async fn a_card_is_kept_only_when_asked_for() {
    let server = Server::answering([ok(checkout())]).await;
    let pack = buys(Sells::Pack { keeps_card: false });
    server.stripe().create_checkout(&pack, "k").await.expect("a checkout");
    assert_eq!(server.asked_once().field("payment_intent_data[setup_future_usage]"), None);
}

#[tokio::test]
async fn a_checkout_is_ended() {
    let server = Server::answering([ok(checkout())]).await;
    server.stripe().expire_checkout("cs_1", "k").await.expect("a checkout");
    assert_asked(&server.asked_once(), "POST /v1/checkout/sessions/cs_1/expire", &[]);
}

#[tokio::test]
async fn what_is_on_sale_is_made_changed_and_taken_off() {
    let answers = [ok(product()), ok(product()), ok(price()), ok(price())];
    let server = Server::answering(answers).await;
    let stripe = server.stripe();
    let metadata = [("plan".to_owned(), "basic".to_owned())].into();
    let new = NewProduct { id: "plan-basic", name: "Basic", description: None, metadata };
    stripe.create_product(&new, "a").await.expect("a product");
    let off = ProductChanges { active: Some(false), ..ProductChanges::default() };
    stripe.update_product("plan-basic", &off, "b").await.expect("a product");
    let new = NewPrice {
        product: "plan-basic",
        currency: "USD",
        unit_amount: 900,
        cadence: Some(Cadence { interval: Interval::Year, count: 1 }),
        lookup_key: "plan-basic-1",
        metadata: [].into(),
    };
    stripe.create_price(&new, "c").await.expect("a price");
    stripe.archive_price("price_1", "d").await.expect("a price");
    let [created, updated, priced, archived] = server.asked().try_into().expect("four requests");
    let made = [("id", "plan-basic"), ("metadata[plan]", "basic"), ("name", "Basic")];
    assert_asked(&created, "POST /v1/products", &made);
    assert_asked(&updated, "POST /v1/products/plan-basic", &[("active", "false")]);
    let made = [
        ("currency", "usd"),
        ("lookup_key", "plan-basic-1"),
        ("product", "plan-basic"),
        ("recurring[interval]", "year"),
        ("recurring[interval_count]", "1"),
        ("transfer_lookup_key", "true"),
        ("unit_amount", "900"),
    ];
    assert_asked(&priced, "POST /v1/prices", &made);
    assert_asked(&archived, "POST /v1/prices/price_1", &[("active", "false")]);
}

#[tokio::test]
async fn a_customer_is_a_person_of_ours() {
    let server = Server::answering([ok(customer()), ok(customer())]).await;
    let user = USER.parse().expect("an id");
    let new = NewCustomer { user, email: Some("ada@example.org"), name: Some("Ada") };
    let made = server.stripe().create_customer(&new, "a").await.expect("a customer");
    assert_eq!(made.user, Some(user));
    let change = NewCustomer { user, email: None, name: None };
    server.stripe().update_customer("cus_1", &change, "b").await.expect("a customer");
    let [created, updated] = server.asked().try_into().expect("two requests");
    let fields = [("email", "ada@example.org"), ("metadata[user]", USER), ("name", "Ada")];
    assert_asked(&created, "POST /v1/customers", &fields);
    assert_asked(&updated, "POST /v1/customers/cus_1", &[("metadata[user]", USER)]);
}

#[tokio::test]
async fn a_card_is_charged_without_the_person() {
    let server = Server::answering([ok(payment_intent())]).await;
    let payment = NewPayment {
        customer: "cus_1",
        payment_method: "pm_1",
        amount: 900,
        currency: "usd",
        description: Some("Starter"),
        metadata: [].into(),
    };
    server.stripe().create_payment(&payment, "recharge-1").await.expect("a payment");
    let fields = [
        ("amount", "900"),
        ("confirm", "true"),
        ("currency", "usd"),
        ("customer", "cus_1"),
        ("description", "Starter"),
        ("off_session", "true"),
        ("payment_method", "pm_1"),
    ];
    assert_asked(&server.asked_once(), "POST /v1/payment_intents", &fields);
}

#[tokio::test]
async fn a_payment_is_given_back() {
    let server = Server::answering([ok(refund())]).await;
    let refund = NewRefund { intent: "pi_1", amount: Some(300), metadata: [].into() };
    server.stripe().create_refund(&refund, "k").await.expect("a refund");
    let fields = [("amount", "300"), ("payment_intent", "pi_1")];
    assert_asked(&server.asked_once(), "POST /v1/refunds", &fields);
}

#[tokio::test]
async fn a_price_is_changed_now_for_what_the_preview_said() {
    let answers = [ok(invoice()), ok(subscription()), ok(subscription())];
    let server = Server::answering(answers).await;
    let at = DateTime::from_timestamp(1_791_000_000, 0);
    let change = PriceChange { subscription: "sub_1", item: "si_1", price: "price_2", at };
    let stripe = server.stripe();
    let preview = stripe.preview_price_now(&change).await.expect("a preview");
    assert_eq!((preview.total, preview.currency.as_str()), (900, "usd"));
    stripe.change_price_now(&change, "a").await.expect("a subscription");
    stripe.change_price_at_renewal(&change, "b").await.expect("a subscription");
    let [previewed, now, later] = server.asked().try_into().expect("three requests");
    let details = [
        ("subscription", "sub_1"),
        ("subscription_details[items][0][id]", "si_1"),
        ("subscription_details[items][0][price]", "price_2"),
        ("subscription_details[proration_behavior]", "always_invoice"),
        ("subscription_details[proration_date]", "1791000000"),
    ];
    assert_asked(&previewed, "POST /v1/invoices/create_preview", &details);
    let fields = [
        ("items[0][id]", "si_1"),
        ("items[0][price]", "price_2"),
        ("payment_behavior", "pending_if_incomplete"),
        ("proration_behavior", "always_invoice"),
        ("proration_date", "1791000000"),
    ];
    assert_asked(&now, "POST /v1/subscriptions/sub_1", &fields);
    let fields =
        [("items[0][id]", "si_1"), ("items[0][price]", "price_2"), ("proration_behavior", "none")];
    assert_asked(&later, "POST /v1/subscriptions/sub_1", &fields);
}

#[tokio::test]
async fn a_subscription_is_ended_and_kept() {
    let server = Server::answering(vec![ok(subscription()); 4]).await;
    let stripe = server.stripe();
    stripe.cancel_at_period_end("sub_1", "a").await.expect("a subscription");
    stripe.resume("sub_1", "b").await.expect("a subscription");
    stripe.resume_endless("sub_1", "c").await.expect("a subscription");
    stripe.cancel_now("sub_1").await.expect("a subscription");
    let [ends, resumes, endless, ended] = server.asked().try_into().expect("four requests");
    let post = "POST /v1/subscriptions/sub_1";
    assert_asked(&ends, post, &[("cancel_at_period_end", "true")]);
    assert_asked(&resumes, post, &[("cancel_at_period_end", "false")]);
    assert_asked(&endless, post, &[("cancel_at", "")]);
    assert_asked(&ended, "DELETE /v1/subscriptions/sub_1", &[]);
}

#[tokio::test]
async fn what_belongs_to_somebody_is_listed() {
    let server = Server::answering(vec![ok(list(&[])); 4]).await;
    let stripe = server.stripe();
    stripe.subscriptions("cus_1").await.expect("subscriptions");
    stripe.invoices_of_customer("cus_1", Some("in_9"), 7).await.expect("invoices");
    stripe.invoices_of_subscription("sub_1").await.expect("invoices");
    stripe.list_prices(Some("plan-basic")).await.expect("prices");
    let [subscriptions, of_customer, of_subscription, prices] =
        server.asked().try_into().expect("four requests");
    let fields = [("customer", "cus_1"), ("limit", "100"), ("status", "all")];
    assert_asked(&subscriptions, "GET /v1/subscriptions", &fields);
    let fields = [
        ("customer", "cus_1"),
        ("expand[0]", "data.payments"),
        ("limit", "7"),
        ("starting_after", "in_9"),
    ];
    assert_asked(&of_customer, "GET /v1/invoices", &fields);
    let fields = [("expand[0]", "data.payments"), ("limit", "100"), ("subscription", "sub_1")];
    assert_asked(&of_subscription, "GET /v1/invoices", &fields);
    assert_asked(&prices, "GET /v1/prices", &[("limit", "100"), ("product", "plan-basic")]);
}

#[tokio::test]
async fn the_portal_is_opened() {
    let page = serde_json::json!({ "id": "bps_1", "url": "https://billing.stripe.example/1" });
    let server = Server::answering([ok(page)]).await;
    let link = server.stripe().create_portal("cus_1", "https://a.example", "k").await;
    assert_eq!(link.as_ref().map(Link::as_str), Ok("https://billing.stripe.example/1"));
    let fields = [("customer", "cus_1"), ("return_url", "https://a.example")];
    assert_asked(&server.asked_once(), "POST /v1/billing_portal/sessions", &fields);
}

#[tokio::test]
async fn what_speaks_as_stripe_does_may_do_so_below_a_path() {
    let server = Server::answering([ok(checkout()), ok(checkout())]).await;
    for path in ["/worlds/a", "/worlds/a/"] {
        let base = Some(server.url.join(path).expect("a URL"));
        let settings = Settings { secret_key: SECRET_KEY.into(), base, timeout: TIMEOUT };
        let stripe = Stripe::new(&settings).expect("a client");
        stripe.checkout("cs_1").await.expect("a checkout");
    }
    for asked in server.asked() {
        assert_eq!(asked.what, "GET /worlds/a/v1/checkout/sessions/cs_1");
    }
}

#[tokio::test]
async fn an_id_from_outside_does_not_lead_elsewhere() {
    let server = Server::answering([ok(checkout())]).await;
    for id in ["", "../customers", "cs_1/expire", "cs_1?expand[]=customer", "cs_1#"] {
        let error = server.stripe().checkout(id).await.err();
        let param = Some("checkout".to_owned());
        assert_eq!(error, Some(StripeError::Invalid { code: None, param }), "{id}");
    }
    assert_eq!(server.asked().len(), 0);
}
