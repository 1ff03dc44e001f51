//! Stripe's objects, as its API answers today, with what is read of them and little else.

use serde_json::{Value, json};

pub const USER: &str = "00000000-0000-0000-0000-000000000007";

pub fn customer() -> Value {
    json!({
        "id": "cus_1",
        "object": "customer",
        "created": 1_790_000_000,
        "email": "ada@example.org",
        "livemode": false,
        "metadata": { "user": USER },
    })
}

pub fn product() -> Value {
    json!({
        "id": "pack-starter",
        "object": "product",
        "active": true,
        "livemode": false,
        "metadata": { "pack": "starter" },
        "name": "Starter",
    })
}

pub fn price() -> Value {
    json!({
        "id": "price_1",
        "object": "price",
        "active": true,
        "currency": "usd",
        "livemode": false,
        "lookup_key": "plan-basic",
        "metadata": {},
        "product": "plan-basic",
        "recurring": { "interval": "month", "interval_count": 1, "usage_type": "licensed" },
        "unit_amount": 900,
    })
}

pub fn checkout() -> Value {
    json!({
        "id": "cs_1",
        "object": "checkout.session",
        "amount_total": 900,
        "client_reference_id": "purchase-1",
        "currency": "usd",
        "customer": "cus_1",
        "expires_at": 1_790_086_400,
        "livemode": false,
        "metadata": { "purchase": "purchase-1" },
        "mode": "payment",
        "payment_intent": "pi_1",
        "payment_status": "paid",
        "status": "complete",
        "subscription": null,
        "url": "https://checkout.stripe.example/c/pay/cs_1#secret",
    })
}

pub fn subscription() -> Value {
    json!({
        "id": "sub_1",
        "object": "subscription",
        "cancel_at": null,
        "cancel_at_period_end": false,
        "canceled_at": null,
        "created": 1_790_000_000,
        "customer": "cus_1",
        "ended_at": null,
        "items": { "object": "list", "has_more": false, "data": [{
            "id": "si_1",
            "object": "subscription_item",
            "current_period_end": 1_792_592_000,
            "current_period_start": 1_790_000_000,
            "price": { "id": "price_1", "object": "price" },
            "quantity": 1,
        }] },
        "latest_invoice": "in_1",
        "livemode": false,
        "metadata": { "user": USER },
        "pending_update": null,
        "status": "active",
        "trial_end": null,
    })
}

pub fn invoice() -> Value {
    json!({
        "id": "in_1",
        "object": "invoice",
        "amount_due": 900,
        "amount_paid": 900,
        "attempt_count": 1,
        "billing_reason": "subscription_cycle",
        "created": 1_790_000_000,
        "currency": "usd",
        "customer": "cus_1",
        "hosted_invoice_url": "https://invoice.stripe.example/i/1",
        "invoice_pdf": "https://invoice.stripe.example/i/1/pdf",
        "lines": { "object": "list", "has_more": false, "data": [line()] },
        "livemode": false,
        "parent": {
            "type": "subscription_details",
            "subscription_details": { "metadata": {}, "subscription": "sub_1" },
        },
        "payments": { "object": "list", "has_more": false, "data": [{
            "id": "inpay_1",
            "object": "invoice_payment",
            "payment": { "type": "payment_intent", "payment_intent": "pi_1" },
            "status": "paid",
        }] },
        "status": "paid",
        "status_transitions": { "paid_at": 1_790_000_060 },
        "total": 900,
    })
}

pub fn line() -> Value {
    json!({
        "id": "il_1",
        "object": "line_item",
        "amount": 900,
        "parent": {
            "type": "subscription_item_details",
            "subscription_item_details": { "proration": false, "subscription_item": "si_1" },
        },
        "period": { "start": 1_790_000_000, "end": 1_792_592_000 },
        "pricing": {
            "type": "price_details",
            "price_details": { "price": "price_1", "product": "plan-basic" },
        },
    })
}

/// With all that `async-stripe` wants of one in an error.
pub fn payment_intent() -> Value {
    json!({
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 900,
        "amount_capturable": 0,
        "amount_received": 900,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
        "created": 1_790_000_000,
        "currency": "usd",
        "customer": "cus_1",
        "latest_charge": "ch_1",
        "livemode": false,
        "metadata": { "purchase": "purchase-1" },
        "payment_method": "pm_1",
        "payment_method_types": ["card"],
        "status": "succeeded",
    })
}

pub fn charge() -> Value {
    json!({
        "id": "ch_1",
        "object": "charge",
        "payment_intent": "pi_1",
        "receipt_url": "https://pay.stripe.example/receipts/1",
    })
}

pub fn refund() -> Value {
    json!({
        "id": "re_1",
        "object": "refund",
        "amount": 300,
        "charge": "ch_1",
        "created": 1_790_000_100,
        "currency": "usd",
        "payment_intent": "pi_1",
        "status": "succeeded",
    })
}

pub fn dispute() -> Value {
    json!({
        "id": "du_1",
        "object": "dispute",
        "amount": 600,
        "balance_transactions": [
            { "id": "txn_1", "amount": -600, "currency": "usd", "fee": 1500, "net": -2100 },
        ],
        "charge": "ch_1",
        "currency": "usd",
        "payment_intent": "pi_1",
        "status": "needs_response",
    })
}

pub fn event(n: u32) -> Value {
    json!({
        "id": format!("evt_{n}"),
        "object": "event",
        "api_version": "2026-09-30.endive",
        "created": 1_790_000_000 + n,
        "data": { "object": customer() },
        "livemode": false,
        "pending_webhooks": 1,
        "request": { "id": null, "idempotency_key": null },
        "type": "customer.created",
    })
}

pub fn list(data: &[Value]) -> Value {
    json!({ "object": "list", "data": data, "has_more": false, "url": "/v1/things" })
}

pub fn first_page(data: &[Value]) -> Value {
    json!({ "object": "list", "data": data, "has_more": true, "url": "/v1/things" })
}
