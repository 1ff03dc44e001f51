//! The main job, and the conventions of the API.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::Database;

const TEXT: &str = "Credits are granted to wallets. A wallet spends credits on calls. Bye.";

#[tokio::test]
async fn a_person_registers_spends_and_reads_the_history() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    assert_eq!(server.available(&ada).await, 100);

    let summary = server.post(&ada, "/ai/summarize", "", &json!({ "text": TEXT })).await;
    assert_eq!(summary.status, StatusCode::OK, "{:?}", summary.body);
    assert_eq!(summary.header("credits-charged"), "10");
    assert_eq!(summary.header("credits-remaining"), "90");
    let analysis = server.post(&ada, "/ai/analyze", "", &json!({ "text": TEXT })).await;
    assert_eq!(analysis.header("credits-remaining"), "65");

    let wallet = server.get(&ada, "/wallet").await;
    assert_eq!(wallet.body["available"], 65);
    assert_eq!(wallet.body["held"], 0);
    let history = server.get(&ada, "/wallet/transactions").await;
    let items = history.body["items"].as_array().expect("a list").clone();
    let kinds: Vec<_> = items.iter().filter_map(|item| item["kind"].as_str()).collect();
    assert_eq!(kinds, ["capture", "hold", "capture", "hold", "grant"]);
    let mut available = 0;
    for item in items.iter().rev() {
        available += item["amount"].as_i64().expect("an amount");
        assert_eq!(item["available_after"], available, "amounts add up: {item}");
    }

    let id = items[0]["id"].as_str().expect("an id");
    let why = server.get(&ada, &format!("/wallet/transactions/{id}/explain")).await;
    assert_eq!(why.body["price"]["fixed"]["credits"], 25, "{:?}", why.body);
    assert_eq!(why.body["grants"][0]["funded_by"], "signup");
    assert_eq!(why.body["grants"][0]["held_before"], 25);

    let results = server.get(&ada, "/ai/analyses").await;
    assert_eq!(results.body["items"][0]["result"], analysis.body["result"]);
    assert_eq!(results.body["items"][1]["id"], summary.body["id"]);
    database.remove().await;
}

#[tokio::test]
async fn the_retry_of_the_debit_that_emptied_the_wallet_answers_as_the_first_did() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let first = server.debit(&ada, 100, "all").await;
    assert_eq!(first.status, StatusCode::CREATED, "{:?}", first.body);
    let again = server.debit(&ada, 100, "all").await;
    assert_eq!((again.status, &again.body), (first.status, &first.body));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("x-event-position"), first.header("x-event-position"));
    let other = server.debit(&ada, 99, "all").await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other.body["code"], "idempotency_key_reused");
    let more = server.debit(&ada, 1, "more").await;
    assert_eq!(more.status, StatusCode::PAYMENT_REQUIRED);
    assert_eq!(more.body["required"], 1);
    assert_eq!(more.body["reason"], "wallet");
    database.remove().await;
}

#[tokio::test]
async fn the_same_ai_call_is_paid_once() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let body = json!({ "text": TEXT });
    let first = server.post(&ada, "/ai/summarize", "k", &body).await;
    let again = server.post(&ada, "/ai/summarize", "k", &body).await;
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(server.available(&ada).await, 90);
    database.remove().await;
}

#[tokio::test]
async fn a_hold_is_captured_in_part_and_the_rest_comes_back() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let hold = server.post(&ada, "/wallet/holds", "h", &json!({ "amount": 50 })).await;
    assert_eq!(hold.status, StatusCode::CREATED, "{:?}", hold.body);
    let id = hold.body["id"].as_str().expect("an id").to_owned();
    let path = |verb| format!("/wallet/holds/{id}/{verb}");
    let grown = server.post(&ada, &path("increment"), "", &json!({ "amount": 10 })).await;
    assert_eq!(grown.body["authorized"], 60);
    let captured = server.post(&ada, &path("capture"), "c", &json!({ "amount": 35 })).await;
    assert_eq!(captured.body["state"], "captured");
    assert_eq!(captured.body["captured"], 35);
    assert_eq!(captured.body["released"], 25);
    let again = server.post(&ada, &path("capture"), "c", &json!({ "amount": 35 })).await;
    assert_eq!(again.body, captured.body);
    let twice = server.post(&ada, &path("capture"), "d", &json!({ "amount": 1 })).await;
    assert_eq!(twice.status, StatusCode::CONFLICT);
    assert_eq!(twice.body["code"], "hold_not_open");
    assert_eq!(server.available(&ada).await, 65);
    database.remove().await;
}

#[tokio::test]
async fn a_reversed_debit_comes_back_once_and_only_to_its_owner() {
    let database = Database::in_memory().await;
    let server = database.server();
    let (ada, eve) =
        (server.register("ada@example.com").await, server.register("eve@example.com").await);
    let debit = server.debit(&ada, 40, "").await;
    let path = format!("/wallet/debits/{}/reverse", debit.body["id"].as_str().expect("an id"));
    let body = json!({ "reason": "oops" });
    assert_eq!(server.post(&eve, &path, "", &body).await.status, StatusCode::NOT_FOUND);
    assert_eq!(server.post(&ada, &path, "", &body).await.status, StatusCode::OK);
    let twice = server.post(&ada, &path, "", &body).await;
    assert_eq!(twice.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", twice.body);
    assert_eq!(server.available(&ada).await, 100);
    database.remove().await;
}

#[tokio::test]
async fn an_overdue_hold_expires_by_itself() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let body = json!({ "amount": 50, "expires_in_s": 1 });
    let hold = server.post(&ada, "/wallet/holds", "", &body).await;
    assert_eq!(server.available(&ada).await, 50, "{:?}", hold.body);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while server.available(&ada).await != 100 {
        assert!(tokio::time::Instant::now() < deadline, "the hold did not expire");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    database.remove().await;
}

#[tokio::test]
async fn a_wallet_can_be_read_as_of_a_time() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let before =
        server.get(&ada, "/wallet").await.body["as_of"].as_str().expect("a time").to_owned();
    server.debit(&ada, 30, "").await;
    let then = server.get(&ada, &format!("/wallet?as_of={before}")).await;
    assert_eq!(then.body["available"], 100, "{:?}", then.body);
    assert_eq!(server.available(&ada).await, 70);
    database.remove().await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let cases = [
        ("/wallet/debits", json!({ "amount": -1, "reason": "x" }), "amount"),
        ("/wallet/debits", json!({ "amount": 0, "reason": "x" }), "amount"),
        ("/wallet/debits", json!({ "amount": 1, "reason": "" }), "reason"),
        ("/wallet/debits", json!({ "amount": 1, "reason": "x", "more": 1 }), "more"),
        ("/wallet/holds", json!({ "amount": 1, "expires_in_s": 0 }), "expires_in_s"),
        ("/ai/summarize", json!({ "text": "short" }), "text"),
        ("/ai/analyze", json!({ "text": "x".repeat(2001) }), "text"),
    ];
    for (path, body, field) in cases {
        let answer = server.post(&ada, path, "", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path} {body}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert!(answer.body["errors"].get(field).is_some(), "{field}: {:?}", answer.body);
        assert_eq!(answer.body["request_id"], answer.header("x-request-id"));
    }
    assert_eq!(server.available(&ada).await, 100);

    let anonymous = server.send(Method::GET, "/api/v1/wallet", &[], None).await.expect("an answer");
    assert_eq!(anonymous.status, StatusCode::UNAUTHORIZED);
    assert_eq!(anonymous.header("www-authenticate"), "Bearer");
    let nowhere = server.send(Method::GET, "/nowhere", &[], None).await.expect("an answer");
    assert_eq!(nowhere.body["code"], "no_such_route");
    let method = server.send(Method::DELETE, "/health", &[], None).await.expect("an answer");
    assert_eq!(method.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(method.header("allow").contains("GET"));
    database.remove().await;
}

#[tokio::test]
async fn an_address_has_one_account_and_one_password() {
    let database = Database::in_memory().await;
    let server = database.server();
    server.register("ada@example.com").await;
    let sign_up = json!({ "email": " ADA@example.com ", "password": "another password" });
    let taken = server.send(Method::POST, "/api/v1/auth/register", &[], Some(&sign_up)).await;
    let taken = taken.expect("an answer");
    assert_eq!((taken.status, taken.body["code"].as_str()), (StatusCode::CONFLICT, Some("taken")));
    let login = |email: &'static str, password: &'static str| {
        let body = json!({ "email": email, "password": password });
        let server = &server;
        async move {
            let answer = server.send(Method::POST, "/api/v1/auth/login", &[], Some(&body)).await;
            answer.expect("an answer")
        }
    };
    let right = login("Ada@Example.com", "correct horse battery").await;
    assert_eq!(right.status, StatusCode::OK, "{:?}", right.body);
    assert_eq!(right.body["user"]["name"], "Ada");
    let wrong = login("ada@example.com", "another password").await;
    let unknown = login("eve@example.com", "another password").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert_eq!((wrong.status, &wrong.body["detail"]), (unknown.status, &unknown.body["detail"]));
    database.remove().await;
}

#[tokio::test]
async fn a_profile_that_somebody_else_has_changed_is_not_overwritten() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = server.register("ada@example.com").await;
    let bearer = format!("Bearer {}", ada.token);
    let rename = async |name: &str, tag: &str| {
        let headers = [("authorization", bearer.as_str()), ("if-match", tag)];
        let body = json!({ "name": name });
        let answer = server.send(Method::PATCH, "/api/v1/me", &headers, Some(&body)).await;
        answer.expect("the server answers")
    };
    let read = server.get(&ada, "/me").await.header("etag").to_owned();
    assert!(read.starts_with('"') && read.ends_with('"'), "{read}");
    let first = rename("Countess", &read).await;
    assert_eq!((first.status, &first.body["name"]), (StatusCode::OK, &json!("Countess")));
    let late = rename("Augusta", &read).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED, "{:?}", late.body);
    assert_eq!(late.body["code"], "precondition_failed");
    let now = server.get(&ada, "/me").await;
    assert_eq!((now.header("etag"), &now.body["name"]), (first.header("etag"), &json!("Countess")));
    assert_eq!(rename("Augusta", "*").await.status, StatusCode::OK);
    drop(server);
    database.remove().await;
}
