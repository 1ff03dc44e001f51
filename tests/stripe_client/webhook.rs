//! Which events are Stripe's, and what becomes of those that cannot be understood.

use chrono::{DateTime, Utc};
use saldo::clients::stripe::webhook::{Rejected, verify, verify_at};
use saldo::clients::stripe::{EventEnvelope, Malformed};
use secrecy::SecretString;
use serde_json::{Value, json};
use stripe_webhook::{Webhook, WebhookError};

use crate::answers::event;
use crate::signing::{NOW, header, v1};

const OLD: &str = "whsec_old";
const NEW: &str = "whsec_new";

fn at(time: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(time, 0).expect("a time")
}

fn checked(body: &str, header: &str, secrets: &[&str]) -> Result<EventEnvelope, Rejected> {
    let secrets: Vec<SecretString> = secrets.iter().map(|secret| (*secret).into()).collect();
    verify_at(body.as_bytes(), header, &secrets, at(NOW))
}

/// What is read of an event that is well signed.
fn signed(event: &Value) -> Result<EventEnvelope, Rejected> {
    let body = event.to_string();
    checked(&body, &header(NEW, NOW, &body), &[NEW])
}

#[test]
fn an_event_of_stripes_is_read() {
    let read = signed(&event(1)).expect("an event");
    assert_eq!((read.id.as_str(), read.kind.as_str()), ("evt_1", "customer.created"));
    assert_eq!((read.created, read.livemode), (at(1_790_000_001), false));
    assert_eq!(read.api_version.as_deref(), Some("2026-09-30.endive"));
    assert_eq!(read.object_id.as_deref(), Some("cus_1"));
    assert_eq!((read.object_type.as_str(), read.account), ("customer", None));
    assert_eq!(read.object["email"], "ada@example.org");
}

#[test]
fn an_event_of_now_is_read_by_the_clock_of_the_house() {
    let body = event(1).to_string();
    let header = header(NEW, saldo::clock::now().timestamp(), &body);
    assert!(verify(body.as_bytes(), &header, &[NEW.into()]).is_ok());
}

#[test]
fn either_secret_is_good_while_one_replaces_the_other() {
    let body = event(1).to_string();
    for secret in [OLD, NEW] {
        let header = header(secret, NOW, &body);
        for secrets in [[OLD, NEW], [NEW, OLD]] {
            assert!(checked(&body, &header, &secrets).is_ok(), "{secret} {secrets:?}");
        }
    }
    let both = format!("t={NOW},v1={},v1={}", v1(OLD, NOW, &body), v1(NEW, NOW, &body));
    for secret in [OLD, NEW] {
        assert!(checked(&body, &both, &[secret]).is_ok(), "{secret}");
    }
}

#[test]
fn a_signature_is_good_for_five_minutes() {
    let body = event(1).to_string();
    for (time, good) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let read = checked(&body, &header(NEW, NOW + time, &body), &[OLD, NEW]);
        let expected = if good { Ok(()) } else { Err(Rejected::Timestamp) };
        assert_eq!(read.map(|_| ()), expected, "{time}");
    }
}

#[test]
fn what_is_not_signed_is_refused() {
    let body = event(1).to_string();
    let good = v1(NEW, NOW, &body);
    let headers = [
        String::new(),
        "nonsense".to_owned(),
        format!("t={NOW}"),
        format!("v1={good}"),
        format!("t={NOW},v0={good}"),
        format!("t=abc,v1={good}"),
        format!("t={},v1={good}", NOW + 1),
        format!("t={NOW},v1={}", &good[1..]),
        format!("t={NOW},v1="),
        format!("t={},v1={good}", i64::MIN),
        header("whsec_other", NOW, &body),
    ];
    for header in headers {
        assert_eq!(checked(&body, &header, &[NEW]), Err(Rejected::Signature), "{header}");
    }
    assert_eq!(checked(&body, &header(NEW, NOW, &body), &[]), Err(Rejected::Signature));
}

#[test]
fn a_body_that_was_changed_is_refused() {
    let body = event(1).to_string();
    let header = header(NEW, NOW, &body);
    let changed = body.replace("evt_1", "evt_2");
    assert_eq!(checked(&changed, &header, &[NEW]), Err(Rejected::Signature));
    assert_eq!(checked(&format!("{body}\n"), &header, &[NEW]), Err(Rejected::Signature));
    let other = verify_at(&[0xff, 0xfe], &header, &[NEW.into()], at(NOW));
    assert_eq!(other, Err(Rejected::Signature));
}

#[test]
fn nobody_signs_with_an_empty_secret() {
    let body = event(1).to_string();
    let header = header("", NOW, &body);
    assert_eq!(checked(&body, &header, &["", NEW]), Err(Rejected::Signature));
}

#[test]
fn types_and_shapes_that_are_not_known_are_read() {
    let mut unknown = event(1);
    unknown["type"] = json!("customer.hibernated");
    assert_eq!(signed(&unknown).expect("an event").kind, "customer.hibernated");

    let mut old = event(2);
    old["type"] = json!("customer.subscription.updated");
    old["api_version"] = json!("2017-08-15");
    old["data"]["object"] =
        json!({ "id": "sub_1", "object": "subscription", "plan": { "id": "basic" } });
    old["request"] = json!("req_1");
    old.as_object_mut().expect("an event").remove("pending_webhooks");
    let read = signed(&old).expect("an event");
    assert_eq!(read.object_id.as_deref(), Some("sub_1"));

    let mut balance = event(3);
    balance["data"]["object"] = json!({ "object": "balance", "available": [] });
    assert_eq!(signed(&balance).expect("an event").object_id, None);
}

#[test]
fn what_is_stripes_and_cannot_be_understood_is_malformed_and_verified() {
    let malformed = |field: &str| Err(Rejected::Malformed(Malformed { field: field.to_owned() }));
    for field in ["id", "type", "created", "livemode", "data"] {
        let mut odd = event(1);
        odd.as_object_mut().expect("an event").remove(field);
        assert_eq!(signed(&odd), malformed(field));
    }
    let mut thin = event(1);
    thin["data"] = json!({});
    assert_eq!(signed(&thin), malformed("data.object"));
    let body = "not JSON";
    let rejected = checked(body, &header(NEW, NOW, body), &[NEW]);
    assert_eq!(rejected, malformed("object"));
    assert!(rejected.is_err_and(|rejected| rejected.is_verified()));
    assert!(!Rejected::Signature.is_verified() && !Rejected::Timestamp.is_verified());
}

/// `verify` takes `BadParse` for a good signature. This is why it may.
#[test]
fn async_stripe_looks_into_an_event_only_after_signature_and_clock() {
    for body in ["not JSON", "{}", ""] {
        let told = |header: &str| Webhook::construct_event_with_timestamp(body, header, NEW, NOW);
        assert!(matches!(told(&header(NEW, NOW, body)), Err(WebhookError::BadParse(_))));
        assert!(matches!(told(&header(OLD, NOW, body)), Err(WebhookError::BadSignature)));
        assert!(matches!(told(&format!("t={NOW}")), Err(WebhookError::BadSignature)));
        assert!(matches!(told(&format!("t=x,v1={NEW}")), Err(WebhookError::BadHeader(_))));
        let late = told(&header(NEW, NOW - 301, body));
        assert!(matches!(late, Err(WebhookError::BadTimestamp(_))));
    }
}
