//! The life of an account: another address, a rest, what is held, the end, and who administers.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::rotation::until;
use crate::support::{Answer, Database, Server};
use crate::world::{
    ADA, PASSWORD, Tokens, ask, code, cool_down, goes_in, link, login, message, post, register,
    send, verify,
};

async fn confirmed(server: &Server, method: Method, path: &str, tokens: &Tokens) -> Answer {
    send(server, method, path, &tokens.access, &json!({ "password": PASSWORD })).await
}

#[tokio::test]
async fn an_account_rests_and_is_used_again_by_a_link() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    verify(&server, &ada, ADA).await;
    let wrong = json!({ "password": "wrong horse battery" });
    let refused = send(&server, Method::POST, "/me/deactivate", &ada.access, &wrong).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let key = json!({ "name": "laptop", "scopes": ["wallet_read"] });
    let key = send(&server, Method::POST, "/me/api-keys", &ada.access, &key).await;
    let key = key.body["secret"].as_str().expect("a secret").to_owned();
    let by_key = async || ask(&server, Method::GET, "/wallet", &key).await.status;
    assert_eq!(by_key().await, StatusCode::OK);
    let rests = confirmed(&server, Method::POST, "/me/deactivate", &ada).await;
    assert_eq!(rests.status, StatusCode::NO_CONTENT);
    assert_eq!(by_key().await, StatusCode::UNAUTHORIZED, "at once");
    assert_eq!(message(&server, ADA, 3).await["subject"], "Your account was deactivated");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(!ada.are_good(&server).await);
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);

    cool_down(&database).await;
    post(&server, "/auth/reactivation", &json!({ "email": ADA })).await;
    let token = link(&server, ADA, 4).await;
    let used = post(&server, "/auth/reactivate", &json!({ "token": token })).await;
    assert_eq!(used.status, StatusCode::NO_CONTENT, "{:?}", used.body);
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::OK);
    assert_eq!(by_key().await, StatusCode::OK);
    database.remove().await;
}

#[tokio::test]
async fn another_address_is_proved_before_it_counts_and_the_old_one_is_told() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    verify(&server, &ada, ADA).await;
    register(&server, "taken@example.com").await;
    let change = async |to: &str| {
        let body = json!({ "channel": "email", "to": to, "password": PASSWORD });
        let sent = send(&server, Method::POST, "/me/contacts", &ada.access, &body).await;
        let code = code(&server, to, 1).await;
        let body = json!({ "challenge_id": sent.body["challenge_id"], "code": code });
        send(&server, Method::POST, "/me/contacts/verify", &ada.access, &body).await
    };
    assert_eq!(change("taken@example.com").await.status, StatusCode::CONFLICT);
    assert_eq!(change("lovelace@example.com").await.status, StatusCode::NO_CONTENT);
    let told = message(&server, ADA, 2).await;
    assert!(told["subject"].as_str().expect("a subject").contains("address"), "{told}");
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    let entered = Tokens::of(&login(&server, "lovelace@example.com", PASSWORD).await);
    assert_eq!(entered.user["email"], "lovelace@example.com");
    // The old address is free.
    register(&server, ADA).await;
    database.remove().await;
}

#[tokio::test]
async fn a_link_to_an_address_that_the_account_had_before_does_nothing() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    post(&server, "/auth/email/verification", &json!({ "email": ADA })).await;
    let verify_link = link(&server, ADA, 1).await;
    cool_down(&database).await;
    post(&server, "/auth/password/forgot", &json!({ "email": ADA })).await;
    let reset_link = link(&server, ADA, 2).await;
    let to = "lovelace@example.com";
    let body = json!({ "channel": "email", "to": to });
    let unconfirmed = send(&server, Method::POST, "/me/contacts", &ada.access, &body).await;
    assert!(unconfirmed.body["errors"]["password"].is_string(), "{:?}", unconfirmed.body);
    let body = json!({ "channel": "email", "to": to, "password": PASSWORD });
    let sent = send(&server, Method::POST, "/me/contacts", &ada.access, &body).await;
    let code = code(&server, to, 1).await;
    let body = json!({ "challenge_id": sent.body["challenge_id"], "code": code });
    let added = send(&server, Method::POST, "/me/contacts/verify", &ada.access, &body).await;
    assert_eq!(added.status, StatusCode::NO_CONTENT, "{:?}", added.body);

    let verified = post(&server, "/auth/email/verify", &json!({ "token": verify_link })).await;
    assert_eq!(verified.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", verified.body);
    let body = json!({ "token": reset_link, "password": "four quiet violet engines" });
    let reset = post(&server, "/auth/password/reset", &body).await;
    assert_eq!(reset.status, StatusCode::UNPROCESSABLE_ENTITY, "{:?}", reset.body);
    let entered = Tokens::of(&login(&server, to, PASSWORD).await);
    assert_eq!(entered.user["email"], to);
    database.remove().await;
}

#[tokio::test]
async fn a_person_is_told_of_what_changes_how_one_comes_in() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    verify(&server, &ada, ADA).await;
    let key = json!({ "name": "laptop", "scopes": ["ai"] });
    send(&server, Method::POST, "/me/api-keys", &ada.access, &key).await;
    message(&server, ADA, 2).await;
    let body = json!({ "current_password": PASSWORD, "password": "four quiet violet engines" });
    send(&server, Method::POST, "/me/password", &ada.access, &body).await;
    message(&server, ADA, 3).await;
    let renewed = Tokens::of(&crate::world::refresh(&server, &ada.refresh).await);
    let reused = "update sessions set rotated_at = rotated_at - interval '1 minute'";
    crate::world::change(&database, reused).await;
    crate::world::refresh(&server, &ada.refresh).await;
    assert!(!renewed.are_good(&server).await);
    message(&server, ADA, 4).await;
    let pool = database.pool().await;
    let subjects: Vec<String> =
        sqlx::query_scalar("select subject from dev_inbox order by sent_at offset 1")
            .fetch_all(&pool)
            .await
            .expect("subjects");
    pool.close().await;
    for (subject, word) in subjects.iter().zip(["key", "password", "session"]) {
        assert!(subject.to_lowercase().contains(word), "{subjects:?}");
    }
    database.remove().await;
}

#[tokio::test]
async fn a_person_sees_all_that_is_held_of_them_and_no_secret() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let text = "Credits are counted in whole numbers, and every one that moved is an event.";
    let body = json!({ "text": text });
    let called = send(&server, Method::POST, "/ai/summarize", &ada.access, &body).await;
    assert!(called.status.is_success());
    let held = ask(&server, Method::GET, "/me/export", &ada.access).await;
    assert_eq!(held.status, StatusCode::OK, "{:?}", held.body);
    assert_eq!(held.body["profile"]["email"], ADA);
    assert_eq!(held.body["wallet"]["available"], 90);
    assert_eq!(held.body["sessions"].as_array().map(Vec::len), Some(1));
    assert_eq!(held.body["analyses"].as_array().map(Vec::len), Some(1));
    let events = held.body["events"].as_array().expect("events");
    assert!(events.len() >= 6, "{events:?}");
    assert_eq!(events[0]["event"]["Registered"]["email"]["$pii"], ADA);
    let all = held.body.to_string();
    assert!(!all.contains("$argon2") && !all.contains(&ada.refresh) && !all.contains("$sealed"));
    database.remove().await;
}

#[tokio::test]
async fn an_erased_person_is_nowhere_readable_and_the_log_still_verifies() {
    let database = Database::in_memory().await;
    let (one, other) = (database.server(), database.server());
    let ada = register(&one, ADA).await;
    verify(&one, &ada, ADA).await;
    let grace = register(&one, "grace@example.com").await;
    assert!(ada.are_good(&other).await);
    let renamed = json!({ "name": "Countess of Lovelace" });
    let renamed = send(&one, Method::PATCH, "/me", &ada.access, &renamed).await;
    assert_eq!(renamed.status, StatusCode::OK);
    // A code that nobody typed, asked for by nobody who had signed in.
    cool_down(&database).await;
    post(&one, "/auth/otp", &json!({ "channel": "email", "to": ADA })).await;
    let waiting = message(&one, ADA, 2).await;
    assert!(waiting["subject"].as_str().expect("a subject").contains("code"), "{waiting}");
    let gone = confirmed(&one, Method::DELETE, "/me", &ada).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT, "{:?}", gone.body);
    assert_eq!(message(&one, ADA, 3).await["subject"], "Your account was erased");
    tokio::time::sleep(Duration::from_secs(1)).await;
    for server in [&one, &other] {
        assert!(!ada.are_good(server).await && grace.are_good(server).await);
    }
    assert_eq!(login(&other, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);

    let pool = database.pool().await;
    // What was sent is not ours any more; the local inbox plays the part of their mailbox.
    sqlx::query("delete from dev_inbox").execute(&pool).await.expect("the mailbox is emptied");
    let tables: Vec<String> = sqlx::query_scalar(
        "select format('%I.%I', schemaname, tablename) from pg_tables
         where schemaname not in ('pg_catalog', 'information_schema')",
    )
    .fetch_all(&pool)
    .await
    .expect("tables");
    assert!(tables.len() > 15);
    for table in tables {
        let sql = format!("select count(*) from {table} t where t::text ~* $1");
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
            .bind("ada@example|lovelace")
            .fetch_one(&pool)
            .await
            .expect("a count");
        assert_eq!(found, 0, "{table}");
    }
    let challenges: i64 = sqlx::query_scalar("select count(*) from challenges")
        .fetch_one(&pool)
        .await
        .expect("a count");
    assert_eq!(challenges, 0, "their address waits nowhere");
    let id = ada.user["id"].as_str().expect("an id").parse::<uuid::Uuid>().expect("an id");
    let key: (Option<Vec<u8>>, bool) = sqlx::query_as(
        "select wrapped_key, destroyed_at is not null from person_keys where user_id = $1",
    )
    .bind(id)
    .fetch_one(&pool)
    .await
    .expect("a row");
    assert_eq!(key, (None, true));
    pool.close().await;
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    // The address is free for somebody else, who is another person.
    let again = register(&one, ADA).await;
    assert_ne!(again.user["id"], ada.user["id"]);
    database.remove().await;
}

#[tokio::test]
async fn a_person_sees_what_happened_to_their_account_page_by_page() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    for _ in 0..3 {
        login(&server, ADA, PASSWORD).await;
    }
    let (mut seen, mut cursor) = (vec![], String::new());
    loop {
        let path = format!("/me/audit?limit=2{cursor}");
        let page = ask(&server, Method::GET, &path, &ada.access).await;
        assert_eq!(page.status, StatusCode::OK, "{:?}", page.body);
        let items = page.body["items"].as_array().expect("a page").clone();
        seen.extend(items.iter().map(|item| item["event"].clone()));
        assert!(items.iter().all(|item| item["actor"] == ada.user["id"]), "{items:?}");
        let Some(next) = page.body["next_cursor"].as_i64() else { break };
        cursor = format!("&cursor={next}");
    }
    let started = json!("SessionStarted");
    let all = [started.clone(), started.clone(), started.clone(), started, json!("Registered")];
    assert_eq!(seen, all);
    database.remove().await;
}

#[tokio::test]
async fn the_first_administrator_comes_from_the_command_line() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    assert_eq!(ada.user["role"], "user", "none is seeded");
    let (done, said) = database.run(&["admin", "grant", "nobody@example.com"]);
    assert!(!done && said.contains("nobody has an account"), "{said}");
    let (done, said) = database.run(&["admin", "grant", ADA]);
    assert!(done, "{said}");
    let entered = Tokens::of(&login(&server, ADA, PASSWORD).await);
    assert_eq!(entered.user["role"], "admin");
    let (done, said) = database.run(&["admin", "revoke", ADA]);
    assert!(!done && said.contains("last administrator") && said.contains("--last"), "{said}");
    // Somebody else who administers will do, and is known whether or not a node has listed them yet.
    register(&server, "root@example.com").await;
    drop(server);
    let (done, said) = database.run(&["admin", "grant", "root@example.com"]);
    assert!(done, "{said}");
    let (done, said) = database.run(&["admin", "revoke", ADA]);
    assert!(done, "{said}");
    let (done, said) = database.run(&["admin", "revoke", "root@example.com", "--last"]);
    assert!(done, "{said}");
    let server = database.server();
    let entered = Tokens::of(&login(&server, ADA, PASSWORD).await);
    assert_eq!(entered.user["role"], "user");
    database.remove().await;
}

#[tokio::test]
async fn a_rotated_key_signs_later_and_what_was_signed_before_stays_good() {
    let database = Database::in_memory().await;
    let ada = {
        let server = database.server();
        register(&server, ADA).await
    };
    let (done, said) = database.run(&["keys", "rotate", "access-tokens"]);
    assert!(done, "{said}");
    let (done, said) = database.run(&["keys", "list"]);
    assert!(done && said.contains("in use") && said.contains("used from"), "{said}");
    let (done, said) = database.run(&["keys", "retire", "access-tokens"]);
    assert!(!done && goes_in(60 + 16, &said), "{said}");
    let server = database.server();
    assert!(ada.are_good(&server).await);
    let keys = server.send(Method::GET, "/.well-known/jwks.json", &[], None).await.expect("keys");
    assert_eq!(keys.body["keys"].as_array().map(Vec::len), Some(2), "the next one is published");
    let kid = |token: &str| jsonwebtoken::decode_header(token).expect("a header").kid;
    let entered = Tokens::of(&login(&server, ADA, PASSWORD).await);
    assert_eq!(kid(&entered.access), kid(&ada.access), "it does not sign yet");
    drop(server);
    // An hour later.
    let path = database.data.join("keys.json");
    let text = std::fs::read_to_string(&path).expect("the keys");
    let mut keys: Value = serde_json::from_str(&text).expect("json");
    keys["access_tokens"][1]["from"] = json!("2026-01-01T00:00:00Z");
    std::fs::write(&path, keys.to_string()).expect("the keys are written");
    let server = database.server();
    let entered = Tokens::of(&login(&server, ADA, PASSWORD).await);
    assert_ne!(kid(&entered.access), kid(&ada.access), "it signs");
    assert!(ada.are_good(&server).await && entered.are_good(&server).await);
    // By now what the old one has signed is over; were it not, it would be good no more.
    let (done, said) = database.run(&["keys", "retire", "access-tokens"]);
    assert!(done, "{said}");
    until("the node that runs has let the old one go", async || !ada.are_good(&server).await).await;
    assert!(entered.are_good(&server).await);
    let keys = server.send(Method::GET, "/.well-known/jwks.json", &[], None).await.expect("keys");
    assert_eq!(keys.body["keys"].as_array().map(Vec::len), Some(1));
    database.remove().await;
}
