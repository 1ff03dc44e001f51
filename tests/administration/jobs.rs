//! Work that waits or was given up, as administrators see it and decide about it.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::Answer;
use crate::things::House;
use crate::world::{ask, change};

impl House {
    async fn jobs(&self, query: &str) -> Vec<Value> {
        let page = self.root_sees(&format!("/admin/jobs?{query}")).await;
        page["items"].as_array().expect("jobs").clone()
    }

    async fn decide(&self, job: i64, what: &str) -> Answer {
        let body = json!({ "reason": "nobody wants it" });
        self.as_root(Method::POST, &format!("/admin/jobs/{job}/{what}"), &body).await
    }

    /// Where Ada says something in a new chat.
    async fn chat(&self) -> String {
        let chat = self.as_ada("/chats", &json!({})).await;
        format!("/chats/{}/messages", chat["id"].as_str().expect("an id"))
    }

    async fn say(&self, messages: &str) {
        self.as_ada(messages, &json!({ "text": "Hello." })).await;
    }

    async fn as_ada(&self, path: &str, body: &Value) -> Value {
        let (path, bearer) = (format!("/api/v1{path}"), format!("Bearer {}", self.shop.ada.access));
        let headers = [("authorization", bearer.as_str())];
        let answer = self.shop.server.send(Method::POST, &path, &headers, Some(body)).await;
        let answer = answer.expect("an answer");
        assert!(answer.status.is_success(), "{path}: {:?}", answer.body);
        answer.body
    }
}

#[tokio::test]
async fn a_job_is_given_up_with_a_reason_and_done_when_it_is_tried_again() {
    let house = House::open().await;
    let job = house.job("sweep", "1 day").await;
    let found = house.jobs("task=sweep").await;
    assert_eq!((&found[0]["id"], &found[0]["state"]), (&json!(job), &json!("waiting")));
    assert!(found[0].get("payload").is_none(), "{found:?}");

    let given_up = house.decide(job, "give-up").await;
    assert_eq!(given_up.status, StatusCode::NO_CONTENT, "{:?}", given_up.body);
    let found = house.jobs("state=given_up").await;
    assert_eq!((found.len(), &found[0]["last_error"]), (1, &json!("nobody wants it")));
    assert_eq!(house.decide(job, "give-up").await.status, StatusCode::CONFLICT);

    let tried = house.decide(job, "retry").await;
    assert_eq!(tried.status, StatusCode::ACCEPTED, "{:?}", tried.body);
    for _ in 0..250 {
        if house.jobs("task=sweep").await.is_empty() {
            assert_eq!(house.decide(job, "retry").await.status, StatusCode::NOT_FOUND);
            return house.shop.close().await;
        }
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    panic!("{:?}", house.jobs("task=sweep").await);
}

#[tokio::test]
async fn nothing_is_decided_about_a_job_that_somebody_is_at() {
    let house = House::open().await;
    let job = house.job("nobody_does_this", "1 day").await;
    let taken = "update graphile_worker._private_jobs set locked_at = now(), locked_by = 'somebody'
        where key = 'nobody_does_this/test'";
    change(&house.shop.database, taken).await;
    assert_eq!(house.jobs("state=running&task=nobody_does_this").await.len(), 1);
    for what in ["retry", "give-up"] {
        let refused = house.decide(job, what).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (StatusCode::CONFLICT, &json!("not_possible_now"))
        );
    }
    house.shop.close().await;
}

/// From now on nobody comes to do what is to be done.
async fn put_off(house: &House) {
    for statement in [
        "create function tomorrow() returns trigger language plpgsql as $$ begin
             new.run_at := now() + interval '1 day'; return new; end $$",
        "create trigger tomorrow before insert on graphile_worker._private_jobs
             for each row execute function tomorrow()",
    ] {
        change(&house.shop.database, statement).await;
    }
}

/// Whoever says something writes to the log, and asks for the job that the other one has.
#[tokio::test]
async fn who_gives_a_job_of_replies_up_and_who_asks_for_it_do_not_wait_for_each_other() {
    let house = House::open().await;
    put_off(&house).await;
    let messages = house.chat().await;
    house.say(&messages).await;
    let job = house.jobs("task=reply").await[0]["id"].as_i64().expect("an id");
    let pool = house.shop.database.pool().await;
    let mut log = pool.begin().await.expect("a transaction");
    let hold = sqlx::query("select from log_head for update").execute(&mut *log);
    hold.await.expect("the log is held");
    let said = house.say(&messages);
    let given_up = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        house.decide(job, "give-up").await
    };
    let let_go = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        log.commit().await.expect("it is let go");
    };
    let all = async { tokio::join!(said, given_up, let_go) };
    let all = tokio::time::timeout(Duration::from_secs(10), all).await;
    let ((), given_up, ()) = all.expect("one waits for the other");
    assert_eq!(given_up.status, StatusCode::NO_CONTENT, "{:?}", given_up.body);
    pool.close().await;
    house.shop.close().await;
}

#[tokio::test]
async fn a_reply_that_waits_fails_with_its_job() {
    let house = House::open().await;
    let (server, ada) = (&house.shop.server, &house.shop.ada.access);
    put_off(&house).await;
    let messages = house.chat().await;
    for _ in 0..2 {
        house.say(&messages).await;
    }
    let job = house.jobs("task=reply").await[0]["id"].as_i64().expect("an id");

    let given_up = house.decide(job, "give-up").await;
    assert_eq!(given_up.status, StatusCode::NO_CONTENT, "{:?}", given_up.body);
    let said = ask(server, Method::GET, &messages, ada).await.body;
    let said = said["items"].as_array().expect("messages");
    let replies: Vec<_> = said.iter().filter(|said| said["role"] == "assistant").collect();
    assert_eq!(replies.len(), 2, "{said:?}");
    for reply in replies {
        assert_eq!((&reply["state"], &reply["code"]), (&json!("failed"), &json!("given_up")));
    }
    house.shop.close().await;
}

#[tokio::test]
async fn a_call_that_waits_ends_with_its_job_and_gives_its_credits_back() {
    let house = House::open().await;
    let (server, ada) = (&house.shop.server, &house.shop.ada.access);
    put_off(&house).await;
    let before = ask(server, Method::GET, "/wallet", ada).await.body;
    let bearer = format!("Bearer {ada}");
    let headers = [("authorization", bearer.as_str()), ("prefer", "respond-async")];
    let body = json!({ "text": "It rained." });
    let queued = server.send(Method::POST, "/api/v1/ai/summarize", &headers, Some(&body)).await;
    let queued = queued.expect("an answer");
    assert_eq!(queued.status, StatusCode::ACCEPTED, "{:?}", queued.body);
    let job = house.jobs("task=make_call").await[0]["id"].as_i64().expect("an id");

    let given_up = house.decide(job, "give-up").await;
    assert_eq!(given_up.status, StatusCode::NO_CONTENT, "{:?}", given_up.body);
    let call = format!("/ai/analyses/{}", queued.body["id"].as_str().expect("an id"));
    let call = ask(server, Method::GET, &call, ada).await.body;
    assert_eq!((&call["state"], &call["failure"]["code"]), (&json!("failed"), &json!("given_up")));
    assert_eq!(house.jobs("task=make_call").await[0]["state"], "given_up");
    let after = ask(server, Method::GET, "/wallet", ada).await.body;
    for field in ["available", "held"] {
        assert_eq!(after[field], before[field], "{after}");
    }
    house.shop.close().await;
}

#[tokio::test]
async fn jobs_are_listed_page_by_page_the_newest_first() {
    let house = House::open().await;
    let mut made = vec![];
    for task in ["nobody_does_this", "nor_this", "nor_that"] {
        made.insert(0, json!(house.job(task, "1 day").await));
    }
    let first = house.root_sees("/admin/jobs?state=waiting&limit=2").await;
    let cursor = first["next_cursor"].as_str().expect("another page");
    let second =
        house.root_sees(&format!("/admin/jobs?state=waiting&limit=2&cursor={cursor}")).await;
    let items =
        [&first, &second].map(|page| page["items"].as_array().expect("jobs").clone()).concat();
    let ids: Vec<_> = items.iter().map(|job| job["id"].clone()).collect();
    assert_eq!(ids[..3], made);
    house.shop.close().await;
}
