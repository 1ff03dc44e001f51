//! Passwords: guesses are counted, answers are alike, and nobody waits for another's hash.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Database};
use crate::world::{
    ADA, PASSWORD, Tokens, cool_down, limited, limits_later, login, post, register,
};

#[tokio::test]
async fn a_hundred_parallel_wrong_passwords_count_as_a_hundred() {
    let database = Database::in_memory().await;
    let (one, other) = (limited(&database), limited(&database));
    register(&one, ADA).await;
    cool_down(&database).await;
    let guesses = (0..100).map(|turn| {
        let server = if turn % 2 == 0 { &one } else { &other };
        login(server, ADA, "wrong horse battery")
    });
    let answers = futures_util::future::join_all(guesses).await;
    let looked_at = answers.iter().filter(|answer| answer.status == StatusCode::UNAUTHORIZED);
    assert_eq!(looked_at.count(), 5, "five a minute are looked at");
    let refused: Vec<_> =
        answers.iter().filter(|answer| answer.status == StatusCode::TOO_MANY_REQUESTS).collect();
    assert_eq!(refused.len(), 95);
    assert!(refused.iter().all(|answer| !answer.header("retry-after").is_empty()));
    // The right one waits, too.
    assert_eq!(login(&other, ADA, PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    database.remove().await;
}

#[tokio::test]
async fn after_ten_wrong_passwords_the_right_one_is_wrong_for_a_while() {
    let database = Database::in_memory().await;
    // No limits by the minute: the lock is always on.
    let server = database.server();
    register(&server, ADA).await;
    let guesses = (0..40).map(|_| login(&server, ADA, "wrong horse battery"));
    futures_util::future::join_all(guesses).await;
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    cool_down(&database).await;
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::OK);
    database.remove().await;
}

/// What an answer says, less what is its own.
fn said(answer: &Answer) -> (StatusCode, Value) {
    let mut body = answer.body.clone();
    body["request_id"] = Value::Null;
    (answer.status, body)
}

#[tokio::test]
async fn unknown_locked_deactivated_and_wrong_answer_alike_and_in_the_same_time() {
    let database = Database::in_memory().await;
    let server = database.server();
    for name in ["wrong", "locked", "deactivated"] {
        register(&server, &format!("{name}@example.com")).await;
    }
    for _ in 0..12 {
        login(&server, "locked@example.com", "wrong horse battery").await;
    }
    let resting = Tokens::of(&login(&server, "deactivated@example.com", PASSWORD).await);
    crate::world::verify(&server, &resting, "deactivated@example.com").await;
    let bearer = format!("Bearer {}", resting.access);
    let rest = server
        .send(
            Method::POST,
            "/api/v1/me/deactivate",
            &[("authorization", &bearer)],
            Some(&json!({ "password": PASSWORD })),
        )
        .await;
    assert_eq!(rest.expect("an answer").status, StatusCode::NO_CONTENT);
    let cases = [
        ("wrong", "wrong horse battery"),
        ("unknown", PASSWORD),
        ("locked", PASSWORD),
        ("deactivated", PASSWORD),
    ];
    let mut answers = vec![];
    // All that a busy machine can do is make one longer: the shortest of each are compared, of more where they are not
    // alike yet. A hash takes some 20 ms; without one an answer would take a tenth of that, however often it is asked for.
    let mut times = vec![Duration::MAX; cases.len()];
    for round in 1..=60 {
        for ((name, password), shortest) in cases.iter().zip(&mut times) {
            let began = Instant::now();
            answers.push(said(&login(&server, &format!("{name}@example.com"), password).await));
            *shortest = began.elapsed().min(*shortest);
        }
        if round >= 9 && are_alike(&times) {
            break;
        }
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
    assert!(are_alike(&times), "{times:?}");
    database.remove().await;
}

/// Whether none took twice as long as another.
fn are_alike(times: &[Duration]) -> bool {
    let (shortest, longest) = (times.iter().min(), times.iter().max());
    longest.zip(shortest).is_some_and(|(longest, shortest)| *longest < 2 * *shortest)
}

#[tokio::test]
async fn a_hundred_logins_stall_nobody_else() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let logins = async {
        let logins = (0..100).map(|_| login(&server, ADA, PASSWORD));
        let answers = futures_util::future::join_all(logins).await;
        answers.iter().filter(|answer| answer.status == StatusCode::OK).count()
    };
    let others = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let began = Instant::now();
            assert!(ada.are_good(&server).await);
            slowest = slowest.max(began.elapsed());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        slowest
    };
    let (entered, slowest) = tokio::join!(logins, others);
    // Ten at once may be guesses; the others are answered as wrong.
    assert!(entered >= 10, "{entered}");
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    database.remove().await;
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_it_and_other_sessions_end() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let elsewhere = Tokens::of(&login(&server, ADA, PASSWORD).await);
    let change = async |before: &str, after: &str| {
        let bearer = format!("Bearer {}", ada.access);
        let body = json!({ "current_password": before, "password": after });
        let headers = [("authorization", bearer.as_str())];
        let path = "/api/v1/me/password";
        server.send(Method::POST, path, &headers, Some(&body)).await.expect("an answer")
    };
    let wrong = change("wrong horse battery", "four quiet violet engines").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body["errors"]["current_password"].is_string());
    let weak = change(PASSWORD, "password123").await;
    assert!(weak.body["errors"]["password"].is_string(), "{:?}", weak.body);
    let changed = change(PASSWORD, "four quiet violet engines").await;
    assert_eq!(changed.status, StatusCode::NO_CONTENT);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(ada.are_good(&server).await && !elsewhere.are_good(&server).await);
    assert_eq!(login(&server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    let again = login(&server, ADA, "four quiet violet engines").await;
    assert_eq!(again.status, StatusCode::OK);
    database.remove().await;
}

#[tokio::test]
async fn a_password_that_is_easy_to_guess_is_refused() {
    let database = Database::in_memory().await;
    let server = database.server();
    for password in ["short", "password", "qwertyuiop", "ada@example.com", "Ada12345"] {
        let body = json!({ "email": ADA, "password": password, "name": "Ada" });
        let answer = post(&server, "/auth/register", &body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{password}");
        assert!(answer.body["errors"]["password"].is_string());
    }
    database.remove().await;
}

#[tokio::test]
async fn limits_of_sign_in_are_shared_by_all_nodes() {
    let database = Database::in_memory().await;
    let (one, other) = (limited(&database), limited(&database));
    let mut answers = vec![];
    for turn in 0..6 {
        let server = if turn % 2 == 0 { &one } else { &other };
        answers.push(login(server, &format!("nobody{turn}@example.com"), PASSWORD).await.status);
    }
    let wrong = StatusCode::UNAUTHORIZED;
    assert_eq!(answers, [wrong, wrong, wrong, wrong, wrong, StatusCode::TOO_MANY_REQUESTS]);
    limits_later(&database, 60).await;
    assert_eq!(login(&one, "nobody@example.com", PASSWORD).await.status, wrong);
    database.remove().await;
}

#[tokio::test]
async fn parallel_changes_of_one_account_follow_one_another_and_stall_nobody() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let grace = register(&server, "grace@example.com").await;
    let body = json!({ "current_password": PASSWORD, "password": "four quiet violet engines" });
    let key = json!({ "name": "laptop", "scopes": ["ai"] });
    let changes = (0..4).flat_map(|_| {
        let change =
            |path, body| crate::world::send(&server, Method::POST, path, &ada.access, body);
        [change("/me/password", &body), change("/me/api-keys", &key)]
    });
    let others = async {
        let mut slowest = Duration::ZERO;
        for _ in 0..20 {
            let began = Instant::now();
            let debit = json!({ "amount": 1, "reason": "test" });
            let spent =
                crate::world::send(&server, Method::POST, "/wallet/debits", &grace.access, &debit);
            assert_eq!(spent.await.status, StatusCode::CREATED);
            slowest = slowest.max(began.elapsed());
        }
        slowest
    };
    let (answers, slowest) = tokio::join!(futures_util::future::join_all(changes), others);
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    for answer in answers {
        assert!(answer.status.as_u16() < 500, "{:?}", answer.body);
    }
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    database.remove().await;
}
