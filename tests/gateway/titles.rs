//! What a chat is called: by its first message, where nobody has called it anything.

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::chats::says;
use crate::house::House;

/// A writer of the log waits for whoever has its head.
const ONE_WAITS: &str = "select 1 - count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'saldo appender'
      and wait_event_type = 'Lock'";
/// Two do.
const BOTH_WAIT: &str = "select 2 - count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'saldo appender'
      and wait_event_type = 'Lock'";

#[tokio::test]
async fn a_title_that_somebody_gives_while_the_first_message_is_on_its_way_stands() {
    let house = House::open(100).await;
    house.script.answer("hello", says("Good day."));
    let chat = house.chat().await;
    let (node, other) = house.another_node().await;
    let pool = house.pool().await;
    let mut head = pool.begin().await.expect("a transaction");
    let lock = "select from log_head for update";
    sqlx::query(lock).execute(&mut *head).await.expect("a lock");

    let path = format!("/api/v1/chats/{chat}");
    let bearer = format!("Bearer {}", house.ada.token);
    let headers = [("authorization", bearer.as_str())];
    let title = json!({ "title": "Plans" });
    let retitle = house.server.send(Method::PATCH, &path, &headers, Some(&title));
    let post = async {
        house.until_none(ONE_WAITS).await;
        let path = format!("/chats/{chat}/messages");
        other.post(&house.ada, &path, "", &json!({ "text": "hello" })).await
    };
    let go_on = async {
        house.until_none(BOTH_WAIT).await;
        head.rollback().await.expect("it is let go");
    };
    let (retitled, posted, ()) = tokio::join!(retitle, post, go_on);
    assert!(retitled.expect("an answer").status.is_success());
    assert_eq!(posted.status, StatusCode::ACCEPTED, "{:?}", posted.body);
    assert_eq!(house.get(&format!("/chats/{chat}")).await["title"], "Plans");
    pool.close().await;
    node.stop().await;
    house.close().await;
}
