//! The client that the application has, driving the double, which speaks as Stripe does today and as
//! it did before.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use saldo::clients::stripe::webhook::{self, Rejected};
use saldo::clients::stripe::{
    BillingReason, Cadence, Checkout, CheckoutMode, CheckoutPayment, CheckoutStatus, EventEnvelope,
    IntentStatus, Interval, InvoiceStatus, Metadata, NewCheckout, NewCustomer, NewPayment,
    NewPrice, NewProduct, NewRefund, PriceChange, ProductChanges, RefundStatus, Sells, Settings,
    Stripe, StripeError, Subscription, SubscriptionStatus,
};
use uuid::Uuid;

use crate::stripe::{Envelope, Fault, Funds, Mood, NEXT_WEBHOOK_SECRET, SECRET_KEY};
use crate::stripe::{Shape, WEBHOOK_SECRET};
use crate::support::{DAY, START, Shop};
use crate::webhooks::Endpoint;

const USER: Uuid = Uuid::from_u128(7);

/// Stripe as it is today, and as it was before 2025-03-31.
async fn shops() -> Vec<(Shop, Stripe)> {
    let mut shops = Vec::new();
    for shape in [Shape::Current, Shape::Old] {
        let shop = Shop::open().await;
        shop.stripe.answers_in(shape);
        shop.stripe.events_in(shape);
        let stripe = client(&shop);
        shops.push((shop, stripe));
    }
    shops
}

fn client(shop: &Shop) -> Stripe {
    let base = Some(shop.stripe.url.parse().expect("a URL"));
    let timeout = Duration::from_secs(10);
    Stripe::new(&Settings { secret_key: SECRET_KEY.into(), base, timeout }).expect("a client")
}

fn metadata() -> Metadata {
    BTreeMap::from([("purchase".to_owned(), "p-1".to_owned())])
}

async fn begin(shop: &Shop, stripe: &Stripe, price: &str, sells: Sells, key: &str) -> Checkout {
    let checkout = NewCheckout {
        customer: &shop.customer,
        price,
        reference: "p-1",
        metadata: metadata(),
        success_url: "https://app.test/done?session={CHECKOUT_SESSION_ID}",
        cancel_url: "https://app.test/shop",
        expires_at: DateTime::from_timestamp(shop.stripe.now() + 3600, 0),
        sells,
    };
    stripe.create_checkout(&checkout, key).await.expect("a checkout")
}

/// A pack that is bought and paid: its payment.
async fn bought(shop: &Shop, stripe: &Stripe, key: &str) -> String {
    let pack = Sells::Pack { keeps_card: true };
    let checkout = begin(shop, stripe, &shop.pack, pack, key).await;
    shop.stripe.pay_checkout(&checkout.id);
    let paid = stripe.checkout(&checkout.id).await.expect("a checkout");
    paid.payment_intent.expect("a payment")
}

/// A plan that is bought and paid.
async fn subscribed(shop: &Shop, stripe: &Stripe) -> Subscription {
    let plan = Sells::Plan { trial_days: None };
    let checkout = begin(shop, stripe, &shop.basic, plan, "plan").await;
    assert_eq!(checkout.mode, CheckoutMode::Subscription);
    shop.stripe.pay_checkout(&checkout.id);
    let paid = stripe.checkout(&checkout.id).await.expect("a checkout");
    assert_eq!(paid.payment_status, CheckoutPayment::Paid);
    let subscription = paid.subscription.expect("a subscription");
    stripe.subscription(&subscription).await.expect("a subscription")
}

#[tokio::test]
async fn a_customer_is_made_once_found_and_changed() {
    for (shop, stripe) in shops().await {
        let ada = NewCustomer { user: USER, email: Some("ada@app.test"), name: Some("Ada") };
        let made = stripe.create_customer(&ada, "ada").await.expect("a customer");
        let again = stripe.create_customer(&ada, "ada").await.expect("a customer");
        assert_eq!((&made, made.user), (&again, Some(USER)));
        for email in [Some("ada@app.test"), None] {
            let found = stripe.find_customer(USER, email).await.expect("an answer");
            assert_eq!(found.as_ref(), Some(&made));
        }
        assert_eq!(stripe.find_customer(Uuid::from_u128(8), None).await, Ok(None));
        let moved = NewCustomer { email: Some("countess@app.test"), ..ada };
        let moved = stripe.update_customer(&made.id, &moved, "moved").await.expect("a customer");
        assert_eq!(moved.email.as_deref(), Some("countess@app.test"));
        assert_eq!(stripe.customer(&made.id).await, Ok(moved));
        shop.stripe.delete_customer(&made.id);
        assert_eq!(stripe.customer(&made.id).await, Err(StripeError::NotFound));
    }
}

#[tokio::test]
async fn a_catalogue_is_made_changed_and_found() {
    for (_shop, stripe) in shops().await {
        let product = NewProduct {
            id: "saldo_plan_1",
            name: "Plan",
            description: Some("Credits each month"),
            metadata: metadata(),
        };
        let made = stripe.create_product(&product, "product").await.expect("a product");
        assert!(made.active && made.id == "saldo_plan_1" && made.metadata == metadata());
        let code = Some("resource_already_exists".to_owned());
        let param = Some("id".to_owned());
        let twice = stripe.create_product(&product, "another").await;
        assert_eq!(twice, Err(StripeError::Invalid { code, param }));
        let month = Some(Cadence { interval: Interval::Month, count: 1 });
        let mut price = NewPrice {
            product: &made.id,
            currency: "usd",
            unit_amount: 1900,
            cadence: month.clone(),
            lookup_key: "plan_1",
            metadata: metadata(),
        };
        let cheap = stripe.create_price(&price, "cheap").await.expect("a price");
        assert_eq!((cheap.unit_amount, &cheap.cadence), (Some(1900), &month));
        assert_eq!((&cheap.product, cheap.currency.as_str()), (&made.id, "usd"));
        price.unit_amount = 2900;
        let dear = stripe.create_price(&price, "dear").await.expect("a price");
        assert_eq!(stripe.find_price("plan_1").await, Ok(Some(dear.clone())), "it took the key");
        let archived = stripe.archive_price(&cheap.id, "archive").await.expect("a price");
        assert!(!archived.active);
        let listed = stripe.list_prices(Some(&made.id)).await.expect("prices");
        assert_eq!(listed.len(), 2);
        let off = ProductChanges { active: Some(false), name: Some("Old"), description: None };
        let off = stripe.update_product(&made.id, &off, "off").await.expect("a product");
        assert_eq!((off.active, off.name.as_str()), (false, "Old"));
    }
}

#[tokio::test]
async fn a_pack_is_bought_and_the_card_is_charged_again() {
    for (shop, stripe) in shops().await {
        let pack = Sells::Pack { keeps_card: true };
        let open = begin(&shop, &stripe, &shop.pack, pack, "pack").await;
        assert_eq!((&open.status, &open.mode), (&CheckoutStatus::Open, &CheckoutMode::Payment));
        assert_eq!(open.payment_status, CheckoutPayment::Unpaid);
        assert!(open.url.is_some() && !open.livemode);
        assert_eq!(open.expires_at.timestamp(), START + 3600);
        assert_eq!(open, begin(&shop, &stripe, &shop.pack, pack, "pack").await, "the same key");

        shop.stripe.pay_checkout(&open.id);
        let paid = stripe.checkout(&open.id).await.expect("a checkout");
        assert_eq!(paid.status, CheckoutStatus::Complete);
        assert_eq!(paid.payment_status, CheckoutPayment::Paid);
        assert_eq!((paid.amount_total, paid.currency.as_deref()), (Some(900), Some("usd")));
        assert_eq!(paid.client_reference_id.as_deref(), Some("p-1"));
        assert_eq!(paid.customer.as_ref(), Some(&shop.customer));

        let intent = paid.payment_intent.expect("a payment");
        let payment = stripe.payment(&intent).await.expect("a payment");
        assert_eq!((&payment.status, payment.amount_received), (&IntentStatus::Succeeded, 900));
        assert_eq!(payment.metadata, metadata());
        assert!(payment.receipt_url.is_some());
        let charge = payment.charge.clone().expect("a charge");
        assert_eq!(stripe.payment_of_charge(&charge).await.as_ref(), Ok(&payment));

        let again = NewPayment {
            customer: &shop.customer,
            payment_method: payment.payment_method.as_deref().expect("a card"),
            amount: 500,
            currency: "usd",
            description: Some("Refill"),
            metadata: metadata(),
        };
        let intent = stripe.create_payment(&again, "refill").await.expect("a payment");
        assert_eq!((intent.status, intent.amount_received), (IntentStatus::Succeeded, 500));
        for (mood, expected) in [
            (Mood::Declines("insufficient_funds"), Some("card_declined")),
            (Mood::Authenticates, Some("authentication_required")),
        ] {
            shop.stripe.cards_of(&shop.customer, mood);
            let declined = stripe.create_payment(&again, &format!("{mood:?}")).await;
            let Err(StripeError::Declined { code, intent, .. }) = declined else {
                panic!("{declined:?}")
            };
            assert!(intent.is_some());
            assert_eq!(code.as_deref(), expected);
        }
    }
}

#[tokio::test]
async fn a_checkout_that_is_over_cannot_be_ended() {
    for (shop, stripe) in shops().await {
        let pack = Sells::Pack { keeps_card: false };
        let left = begin(&shop, &stripe, &shop.pack, pack, "left").await;
        let ended = stripe.expire_checkout(&left.id, "end").await.expect("a checkout");
        assert_eq!(ended.status, CheckoutStatus::Expired);
        let slow = begin(&shop, &stripe, &shop.pack, pack, "slow").await;
        shop.stripe.pay_checkout_slowly(&slow.id);
        let refused = stripe.expire_checkout(&slow.id, "too-late").await;
        assert!(matches!(refused, Err(StripeError::Invalid { .. })), "{refused:?}");
        let slow = stripe.checkout(&slow.id).await.expect("a checkout");
        assert_eq!(slow.status, CheckoutStatus::Complete);
        assert_eq!(slow.payment_status, CheckoutPayment::Unpaid);
    }
}

#[tokio::test]
async fn what_was_given_back_and_taken_back_is_read() {
    for (shop, stripe) in shops().await {
        let intent = bought(&shop, &stripe, "pack").await;
        let part = NewRefund { intent: &intent, amount: Some(200), metadata: metadata() };
        let refund = stripe.create_refund(&part, "part").await.expect("a refund");
        assert_eq!((&refund.status, refund.amount), (&RefundStatus::Succeeded, 200));
        assert_eq!(refund.intent.as_ref(), Some(&intent));
        let more = NewRefund { amount: Some(701), ..part };
        let more = stripe.create_refund(&more, "more").await;
        assert!(matches!(more, Err(StripeError::Invalid { .. })), "{more:?}");

        let withdrawn = async || {
            let payment = stripe.payment(&intent).await.expect("a payment");
            assert_eq!(payment.refunds, std::slice::from_ref(&refund));
            let disputes = payment.disputes.iter();
            let read = disputes.map(|it| (it.amount, it.is_inquiry, it.withdrawn_minor));
            read.collect::<Vec<_>>()
        };
        assert_eq!(withdrawn().await, []);
        let dispute = shop.stripe.open_inquiry(&intent, Some(500));
        assert_eq!(withdrawn().await, [(500, true, 0)]);
        shop.stripe.escalate_inquiry(&dispute);
        assert_eq!(withdrawn().await, [(500, false, 500)]);
        shop.stripe.reinstate_funds(&dispute, Some(100));
        assert_eq!(withdrawn().await, [(500, false, 400)]);
        shop.stripe.win_dispute(&dispute);
        assert_eq!(withdrawn().await, [(500, false, 0)]);
        shop.stripe.open_dispute(&intent, Some(300), Funds::Untouched);
        let lost = shop.stripe.open_dispute(&intent, Some(200), Funds::Withdrawn);
        shop.stripe.lose_dispute(&lost);
        assert_eq!(withdrawn().await, [(200, false, 200), (300, false, 0), (500, false, 0)]);
    }
}

#[tokio::test]
async fn a_plan_is_bought_changed_and_ended() {
    for (shop, stripe) in shops().await {
        let begun = subscribed(&shop, &stripe).await;
        assert_eq!((&begun.status, &begun.customer), (&SubscriptionStatus::Active, &shop.customer));
        assert_eq!(begun.metadata, metadata());
        let item = &begun.items[0];
        assert_eq!((&item.price, item.quantity), (&shop.basic, 1));
        assert_eq!(item.period_start.timestamp(), START);
        assert_eq!(item.period_end.timestamp(), START + 28 * DAY);

        shop.stripe.advance(14 * DAY);
        let at = DateTime::from_timestamp(shop.stripe.now(), 0);
        let dearer = PriceChange { subscription: &begun.id, item: &item.id, price: &shop.pro, at };
        let preview = stripe.preview_price_now(&dearer).await.expect("a preview");
        assert_eq!((preview.total, preview.amount_due), (1000, 1000));
        assert!(preview.lines.iter().all(|line| line.proration), "{preview:?}");
        let changed = stripe.change_price_now(&dearer, "dearer").await.expect("a subscription");
        assert_eq!((&changed.items[0].price, &changed.pending_update), (&shop.pro, &None));
        let latest = changed.latest_invoice.as_deref().expect("an invoice");
        let invoice = stripe.invoice(latest).await.expect("an invoice");
        assert_eq!((invoice.total, &invoice.lines), (preview.total, &preview.lines));

        let cheaper = PriceChange { price: &shop.basic, at: None, ..dearer };
        let later = stripe.change_price_at_renewal(&cheaper, "cheaper").await;
        let later = later.expect("a subscription");
        assert_eq!(
            (&later.items[0].price, later.latest_invoice.as_deref()),
            (&shop.basic, Some(latest))
        );

        let ends = stripe.cancel_at_period_end(&begun.id, "end").await.expect("a subscription");
        assert!(ends.cancel_at_period_end && ends.cancel_at == Some(item.period_end), "{ends:?}");
        let goes_on = stripe.resume(&begun.id, "on").await.expect("a subscription");
        assert!(!goes_on.cancel_at_period_end && goes_on.cancel_at.is_none());
        let day = item.period_end + TimeDelta::days(3);
        shop.stripe.ends_at(&begun.id, day.timestamp());
        let ends = stripe.subscription(&begun.id).await.expect("a subscription");
        assert_eq!((ends.cancel_at_period_end, ends.cancel_at), (false, Some(day)));
        let goes_on = stripe.resume_endless(&begun.id, "endless").await.expect("a subscription");
        assert_eq!((goes_on.cancel_at, goes_on.canceled_at), (None, None));
        let over = stripe.cancel_now(&begun.id).await.expect("a subscription");
        assert_eq!(over.status, SubscriptionStatus::Canceled);
        assert!(over.ended_at.is_some());
        assert_eq!(stripe.cancel_now(&begun.id).await.as_ref(), Ok(&over), "it is over");
        assert_eq!(stripe.subscriptions(&shop.customer).await, Ok(vec![over]));
    }
}

#[tokio::test]
async fn a_change_that_is_not_paid_waits() {
    for (shop, stripe) in shops().await {
        let begun = subscribed(&shop, &stripe).await;
        shop.stripe.advance(DAY);
        shop.stripe.cards_of(&shop.customer, Mood::Authenticates);
        let item = &begun.items[0].id;
        let dearer = PriceChange { subscription: &begun.id, item, price: &shop.pro, at: None };
        let waits = stripe.change_price_now(&dearer, "dearer").await.expect("a subscription");
        assert_eq!(waits.items[0].price, shop.basic);
        let pending = waits.pending_update.expect("a change that waits");
        assert_eq!(pending.prices, std::slice::from_ref(&shop.pro));
        let invoice = waits.latest_invoice.expect("an invoice");
        let open = stripe.invoice(&invoice).await.expect("an invoice");
        assert_eq!((open.status, open.amount_paid), (InvoiceStatus::Open, 0));
        shop.stripe.authenticate(&begun.id);
        let now = stripe.subscription(&begun.id).await.expect("a subscription");
        assert_eq!((&now.items[0].price, &now.pending_update), (&shop.pro, &None));
    }
}

#[tokio::test]
async fn invoices_of_all_kinds_are_read() {
    for (shop, stripe) in shops().await {
        let plan = subscribed(&shop, &stripe).await;
        shop.stripe.renew(&plan.id);
        shop.stripe.cards_of(&shop.customer, Mood::Declines("insufficient_funds"));
        shop.stripe.renew(&plan.id);
        let late = stripe.subscription(&plan.id).await.expect("a subscription");
        assert_eq!(late.status, SubscriptionStatus::PastDue);

        let invoices = stripe.invoices_of_subscription(&plan.id).await.expect("invoices");
        let listed = stripe.invoices_of_customer(&shop.customer, None, 100).await;
        assert_eq!(listed, Ok((invoices.clone(), None)));
        let [unpaid, renewed, first] = invoices.as_slice() else { panic!("{invoices:?}") };
        assert_eq!(first.billing_reason, Some(BillingReason::SubscriptionCreate));
        assert_eq!(renewed.billing_reason, Some(BillingReason::SubscriptionCycle));
        assert_eq!((&unpaid.status, unpaid.amount_paid), (&InvoiceStatus::Open, 0));
        assert!(unpaid.attempt_count > 0 && unpaid.paid_at.is_none());
        for invoice in &invoices {
            assert_eq!(invoice.subscription.as_ref(), Some(&plan.id));
            assert_eq!((invoice.total, invoice.amount_due), (1000, 1000));
            assert_eq!(invoice.lines[0].price.as_ref(), Some(&shop.basic));
            assert!(!invoice.lines[0].proration && invoice.hosted_invoice_url.is_some());
            assert_eq!(stripe.invoice(&invoice.id).await.as_ref(), Ok(invoice));
        }
        for paid in [renewed, first] {
            assert_eq!((&paid.status, paid.amount_paid), (&InvoiceStatus::Paid, 1000));
            let intent = paid.payment_intents.first().expect("a payment");
            let payment = stripe.payment(intent).await.expect("a payment");
            assert_eq!(payment.amount_received, 1000);
        }
        assert_eq!(renewed.lines[0].period.start, first.lines[0].period.end);
    }
}

#[tokio::test]
async fn the_portal_has_a_link() {
    for (shop, stripe) in shops().await {
        let link = stripe.create_portal(&shop.customer, "https://app.test", "portal").await;
        assert!(link.expect("a link").as_str().starts_with("https://"));
    }
}

#[tokio::test]
async fn all_events_are_listed_the_oldest_first() {
    for (shop, stripe) in shops().await {
        subscribed(&shop, &stripe).await;
        shop.stripe.advance(DAY);
        let since = DateTime::from_timestamp(shop.stripe.now(), 0).expect("a time");
        for number in 0..60 {
            bought(&shop, &stripe, &number.to_string()).await;
        }
        let (mut listed, mut after) = (vec![], None);
        loop {
            let page = stripe.events_since(since, after).await.expect("events");
            listed.splice(0..0, page.events);
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        let happened = shop.stripe.events();
        let happened = happened.iter().filter(|event| event["created"] == since.timestamp());
        let happened: Vec<_> = happened.map(|event| event["id"].clone()).collect();
        let ids: Vec<_> = listed.iter().map(|event| envelope(&event.envelope).id.clone()).collect();
        assert!(ids.len() > 200, "three pages");
        assert_eq!(ids, happened);
        let first = envelope(&listed[0].envelope);
        let (read, raw) =
            (stripe.event(&first.id).await, EventEnvelope::read(listed[0].raw.as_bytes()));
        assert_eq!((read.as_ref(), raw.as_ref()), (Ok(first), Ok(first)));
    }
}

fn envelope<E: std::fmt::Debug>(read: &Result<EventEnvelope, E>) -> &EventEnvelope {
    read.as_ref().expect("an event")
}

#[tokio::test]
async fn webhooks_are_verified_and_name_their_objects() {
    for (shop, stripe) in shops().await {
        let endpoint = Endpoint::listen(&shop).await;
        let plan = subscribed(&shop, &stripe).await;
        let intent = bought(&shop, &stripe, "pack").await;
        shop.stripe.open_dispute(&intent, None, Funds::Withdrawn);
        shop.stripe.cancel_now(&plan.id);
        let delivered = shop.stripe.deliver().await;
        let bodies = endpoint.bodies();
        assert_eq!(bodies.len(), delivered.len());
        for ((header, body), sent) in bodies.iter().zip(&delivered) {
            let read = webhook::verify(body.as_bytes(), header, &[WEBHOOK_SECRET.into()]);
            let read = envelope(&read);
            assert_eq!((&read.id, &read.kind), (&sent.event, &sent.kind));
            let object = read.object_id.as_deref().expect("an object with an id");
            assert_eq!(shop.stripe.object(object)["object"], read.object_type);
            let other = webhook::verify(body.as_bytes(), header, &[NEXT_WEBHOOK_SECRET.into()]);
            assert_eq!(other, Err(Rejected::Signature));
        }
    }
}

#[tokio::test]
async fn webhooks_that_are_wrapped_wrongly_are_rejected() {
    let shop = Shop::open().await;
    let event = shop.stripe.events()[0]["id"].as_str().expect("an id").to_owned();
    let verify = |envelope: Envelope| {
        shop.stripe.wrap_in(envelope);
        let (header, body) = shop.stripe.sealed(&event);
        webhook::verify(body.as_bytes(), &header, &[WEBHOOK_SECRET.into()])
    };
    let both = vec![NEXT_WEBHOOK_SECRET.to_owned(), WEBHOOK_SECRET.to_owned()];
    let rotated = verify(Envelope { secrets: both, ..Envelope::default() });
    assert_eq!(envelope(&rotated).id, event);
    let old = verify(Envelope { at: Some(START), ..Envelope::default() });
    assert_eq!(old, Err(Rejected::Timestamp));
    let tampered = verify(Envelope { tampered: true, ..Envelope::default() });
    assert_eq!(tampered, Err(Rejected::Signature));
    let account = Some("acct_1".to_owned());
    let foreign = verify(Envelope { livemode: true, account, ..Envelope::default() });
    let foreign = envelope(&foreign);
    assert_eq!((foreign.livemode, foreign.account.as_deref()), (true, Some("acct_1")));
}

#[tokio::test]
async fn one_thing_happens_whatever_goes_wrong_once() {
    let faults = [
        Fault::TooMany { retry_after: None },
        Fault::FailsBefore,
        Fault::FailsAfter,
        Fault::BadGateway,
        Fault::Locked,
        Fault::ResetBefore,
        Fault::ResetAfter,
    ];
    let shop = Shop::open().await;
    let stripe = client(&shop);
    for (number, fault) in faults.into_iter().enumerate() {
        let intent = bought(&shop, &stripe, &format!("pack-{number}")).await;
        shop.stripe.fault("POST /v1/refunds", 1, fault);
        let refund = NewRefund { intent: &intent, amount: Some(100), metadata: metadata() };
        let refund = stripe.create_refund(&refund, &format!("refund-{number}")).await;
        let payment = stripe.payment(&intent).await.expect("a payment");
        assert_eq!(payment.refunds, [refund.expect("a refund")]);
    }
}
