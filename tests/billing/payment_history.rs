//! What people see of what they have paid: packs and invoices together, and what became of each.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::plans::DAY;
use crate::shop::Shop;
use crate::stripe::{Funds, Mood};
use crate::world::ask;

const PATH: &str = "/billing/payments";

async fn read(shop: &Shop, path: &str) -> Value {
    let answer = ask(&shop.server, Method::GET, path, &shop.ada.access).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {:?}", answer.body);
    answer.body
}

/// The payment as it is shown, which must be as it is listed.
async fn shown(shop: &Shop, id: &str) -> Value {
    let shown = read(shop, &format!("{PATH}/{id}")).await;
    let listed = read(shop, PATH).await;
    let mut listed = listed["items"].as_array().expect("payments").iter();
    let listed = listed.find(|payment| payment["id"] == id).expect("it is listed");
    for (field, value) in listed.as_object().expect("a payment") {
        assert_eq!(shown[field], *value, "{field}");
    }
    shown
}

fn is_link(value: &Value) -> bool {
    value.as_str().is_some_and(|link| link.starts_with("https://"))
}

#[tokio::test]
async fn a_pack_shows_what_was_given_back_and_disputed_of_it_and_its_receipt() {
    let shop = Shop::open().await;
    let (purchase, checkout) = shop.bought("Starter", "one").await;
    shop.stripe.refund(&checkout, Some(300));
    shop.stripe.open_dispute(&checkout, Some(400), Funds::Withdrawn);
    shop.hear().await;
    let pack = shown(&shop, &purchase).await;
    let what = (&pack["kind"], &pack["description"], &pack["state"], &pack["currency"]);
    assert_eq!(what, (&json!("pack"), &json!("Starter"), &json!("fulfilled"), &json!("usd")));
    assert_eq!((&pack["credits"], &pack["amount_minor"]), (&json!(200), &json!(900)));
    assert_eq!((&pack["refunded_minor"], &pack["disputed_minor"]), (&json!(300), &json!(400)));
    assert!(pack["paid_at"].is_string(), "{pack}");
    let charge = shop.stripe.objects("charge")[0].clone();
    assert!(is_link(&charge["receipt_url"]), "{charge}");
    assert_eq!(pack["receipt_url"], charge["receipt_url"]);
    assert_eq!((&pack["hosted_invoice_url"], &pack["invoice_pdf"]), (&Value::Null, &Value::Null));
    // Of what nobody has paid there is no receipt.
    let (unpaid, _) = shop.order("Pro", "two").await;
    let unpaid = shown(&shop, &unpaid).await;
    assert_eq!((&unpaid["state"], &unpaid["paid_at"]), (&json!("checkout_opened"), &Value::Null));
    assert_eq!(unpaid["receipt_url"], Value::Null);
    shop.close().await;
}

#[tokio::test]
async fn an_invoice_shows_what_was_given_back_and_disputed_of_it_and_its_pages() {
    let shop = Shop::open().await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    let id = shop.stripe.object(&subscription)["latest_invoice"].clone();
    let id = id.as_str().expect("an id");
    shop.stripe.refund(id, Some(300));
    shop.stripe.open_dispute(id, Some(400), Funds::Withdrawn);
    shop.hear().await;
    let invoice = shown(&shop, id).await;
    let what = (&invoice["kind"], &invoice["description"], &invoice["state"], &invoice["currency"]);
    assert_eq!(what, (&json!("plan"), &json!("Basic"), &json!("paid"), &json!("usd")));
    assert_eq!((&invoice["credits"], &invoice["amount_minor"]), (&json!(1_000), &json!(900)));
    let gone = (&invoice["refunded_minor"], &invoice["disputed_minor"]);
    assert_eq!(gone, (&json!(300), &json!(400)));
    assert!(invoice["paid_at"].is_string(), "{invoice}");
    let theirs = shop.stripe.object(id);
    for field in ["hosted_invoice_url", "invoice_pdf"] {
        assert!(is_link(&theirs[field]), "{theirs}");
        assert_eq!(invoice[field], theirs[field]);
    }
    assert_eq!(invoice["receipt_url"], shop.stripe.objects("charge")[0]["receipt_url"]);
    shop.close().await;
}

/// Two invoices of the same second among them: what is as new as what ended a page is on the next.
#[tokio::test]
async fn packs_and_invoices_are_listed_together_the_newest_first_and_each_once() {
    let shop = Shop::open().await;
    shop.bought("Starter", "one").await;
    let subscription = shop.subscribed("Basic", "two").await;
    let up = shop.manage("change", &json!({ "plan": shop.plan("Pro").await })).await;
    assert_eq!(up.status, StatusCode::OK, "{:?}", up.body);
    shop.bought("Pro", "three").await;
    shop.stripe.renew(&subscription);
    shop.order("Starter", "four").await;
    shop.hear().await;

    let whole = read(&shop, PATH).await["items"].as_array().expect("payments").clone();
    assert_eq!(whole.len(), 6, "{whole:#?}");
    let of = |kind: &str| whole.iter().filter(|payment| payment["kind"] == kind).count();
    assert_eq!((of("pack"), of("plan")), (3, 3));
    // The month that is to come is the newest, and those that are begun by it are the oldest.
    assert_eq!(whole[0]["kind"], "plan", "{whole:#?}");
    let moments: Vec<_> =
        whole.iter().map(|it| it["created_at"].as_str().expect("a time")).collect();
    let moments: Vec<chrono::DateTime<chrono::Utc>> =
        moments.iter().map(|moment| moment.parse().expect("a time")).collect();
    assert!(moments.is_sorted_by(|newer, older| newer >= older), "{moments:?}");
    assert!(moments.windows(2).any(|pair| pair[0] == pair[1]), "two are of the same moment");

    let (mut paged, mut path) = (Vec::new(), format!("{PATH}?limit=1"));
    for _ in 0..10 {
        let page = read(&shop, &path).await;
        let items = page["items"].as_array().expect("payments").clone();
        assert!(items.len() <= 1, "{items:?}");
        paged.extend(items);
        let Some(next) = page["next_cursor"].as_str() else { break };
        path = format!("{PATH}?limit=1&cursor={next}");
    }
    assert_eq!(paged, whole);
    shop.close().await;
}

#[tokio::test]
async fn invoices_that_nobody_will_pay_are_listed_as_such_and_brought_nothing() {
    let shop = Shop::open_ago(80 * DAY).await;
    let subscription = shop.subscribed("Basic", "one").await;
    shop.until_available(1_100).await;
    shop.cards_of(&subscription, Mood::Declines("card_declined"));
    let unpaid = |invoice: Value| invoice["id"].as_str().expect("an id").to_owned();
    let void = unpaid(shop.stripe.renew(&subscription));
    shop.hear().await;
    assert_eq!(shown(&shop, &void).await["state"], "open");
    shop.stripe.void_invoice(&void);
    shop.hear().await;
    let given_up = unpaid(shop.stripe.renew(&subscription));
    shop.stripe.give_up_invoice(&given_up);
    shop.hear().await;
    for (id, state) in [(&void, "void"), (&given_up, "uncollectible")] {
        let invoice = shown(&shop, id).await;
        assert_eq!((&invoice["state"], &invoice["credits"]), (&json!(state), &json!(0)));
        assert_eq!((&invoice["amount_minor"], &invoice["paid_at"]), (&json!(900), &Value::Null));
        assert_eq!(invoice["receipt_url"], Value::Null, "{state}");
    }
    assert_eq!(shop.available().await, 1_100);
    shop.close().await;
}
