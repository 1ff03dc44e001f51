//! Lists: all their pages, and an end.

use chrono::{DateTime, Utc};
use saldo::clients::stripe::{EventPage, StripeError};
use serde_json::{Value, json};

use crate::answers::*;
use crate::server::{Answer, Server, ok};

fn since() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time")
}

#[tokio::test]
async fn events_are_read_page_by_page_the_oldest_of_a_page_first() {
    let first = first_page(&[event(3), event(2)]);
    let server = Server::answering([ok(first), ok(list(&[event(1)]))]).await;
    let ids = |page: EventPage| -> Vec<String> {
        page.events.into_iter().map(|event| event.envelope.expect("an event").id).collect()
    };
    let page = server.stripe().events_since(since(), None).await.expect("events");
    let next = page.next.clone();
    assert_eq!(ids(page), ["evt_2", "evt_3"]);
    let page = server.stripe().events_since(since(), next).await.expect("events");
    assert_eq!((page.next.clone(), ids(page)), (None, vec!["evt_1".to_owned()]));
    let asked = server.asked();
    assert_eq!(asked[0].field("created[gte]"), Some("1790000000"));
    assert_eq!(asked[0].field("starting_after"), None);
    assert_eq!(asked[1].field("starting_after"), Some("evt_2"));
    assert_eq!(asked[1].field("created[gte]"), Some("1790000000"));
}

#[tokio::test]
async fn all_payments_of_a_customer_are_read_with_why_they_failed() {
    let mut failed = payment_intent();
    failed["status"] = json!("requires_payment_method");
    failed["last_payment_error"] = json!({
        "code": "card_declined", "decline_code": "insufficient_funds", "message": "Not enough.",
        "type": "card_error",
    });
    let pages = [ok(first_page(&[failed])), ok(list(&[payment_intent()]))];
    let server = Server::answering(pages).await;
    let payments = server.stripe().payments_of("cus_1", since()).await.expect("payments");
    let why = payments[0].decline.as_ref().and_then(|decline| decline.decline_code.as_deref());
    assert_eq!((why, &payments[1].decline), (Some("insufficient_funds"), &None));
    let asked = server.asked();
    assert_eq!(asked[0].what, "GET /v1/payment_intents");
    assert_eq!(asked[0].field("customer"), Some("cus_1"));
    assert_eq!(asked[0].field("created[gte]"), Some("1790000000"));
    assert_eq!(asked[1].field("starting_after"), Some("pi_1"));
}

#[tokio::test]
async fn an_event_that_cannot_be_understood_does_not_hide_the_others() {
    let mut odd = event(2);
    odd["data"] = json!({});
    let server = Server::answering([ok(list(&[event(3), odd, event(1)]))]).await;
    let events = server.stripe().events_since(since(), None).await.expect("events").events;
    let read: Vec<_> = events.iter().map(|event| event.envelope.is_ok()).collect();
    assert_eq!(read, [true, false, true]);
    let raw: Value = serde_json::from_str(&events[1].raw).expect("JSON");
    assert_eq!(raw["id"], "evt_2");
}

#[tokio::test]
async fn a_page_of_nothing_that_promises_more_is_an_error() {
    let server = Server::answering([ok(first_page(&[]))]).await;
    let error = server.stripe().events_since(since(), None).await.err();
    assert_eq!(error, Some(StripeError::Unusable { field: "data".to_owned() }));
}

#[tokio::test]
async fn the_lines_of_a_long_invoice_are_all_read() {
    let mut long = invoice();
    long["lines"]["has_more"] = json!(true);
    let server = Server::answering([ok(long), ok(list(&vec![line(); 12]))]).await;
    let invoice = server.stripe().invoice("in_1").await.expect("an invoice");
    assert_eq!(invoice.lines.len(), 12);
    assert_eq!(server.asked()[1].what, "GET /v1/invoices/in_1/lines");
}

#[tokio::test]
async fn a_person_is_found_by_what_we_wrote() {
    let server = Server::answering([ok(list(&[customer()]))]).await;
    let user = USER.parse().expect("an id");
    let found = server.stripe().find_customer(user, Some("ada@example.org")).await;
    assert_eq!(found.expect("an answer").expect("a customer").id, "cus_1");
    let asked = server.asked_once();
    assert_eq!(asked.what, "GET /v1/customers/search");
    assert_eq!(asked.field("query"), Some(format!("metadata['user']:'{USER}'").as_str()));
}

#[tokio::test]
async fn a_person_whom_the_search_does_not_know_yet_is_found_by_address() {
    let mut somebody = customer();
    somebody["metadata"] = json!({});
    let mut younger = customer();
    younger["id"] = json!("cus_2");
    younger["created"] = json!(1_790_000_001);
    let deleted = json!({ "id": "cus_3", "deleted": true });
    let listed = list(&[somebody, younger, customer(), deleted]);
    let refusal = json!({ "error": { "type": "invalid_request_error", "message": "m" } });
    for search in [ok(list(&[])), Answer::Json(400, refusal)] {
        let server = Server::answering([search, ok(listed.clone())]).await;
        let user = USER.parse().expect("an id");
        let found = server.stripe().find_customer(user, Some("ada@example.org")).await;
        assert_eq!(found.expect("an answer").expect("a customer").id, "cus_1");
        assert_eq!(server.asked()[1].field("email"), Some("ada@example.org"));
    }
}

#[tokio::test]
async fn nobody_is_found_by_address_alone() {
    let mut somebody = customer();
    somebody["metadata"] = json!({ "user": "00000000-0000-0000-0000-000000000008" });
    let server = Server::answering([ok(list(&[])), ok(list(&[somebody]))]).await;
    let user = USER.parse().expect("an id");
    let found = server.stripe().find_customer(user, Some("ada@example.org")).await;
    assert_eq!(found, Ok(None));
}
