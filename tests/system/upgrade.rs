//! A newer node has been here: its schema is ahead of this one's.

use reqwest::{Method, StatusCode};

use crate::support::Database;

#[tokio::test]
async fn a_node_starts_on_a_schema_that_a_newer_one_has_brought_up_to_date() {
    let database = Database::in_memory().await;
    let (done, said) = database.run(&["migrate"]);
    assert!(done, "{said}");
    let pool = database.pool().await;
    sqlx::query(
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time)
         select max(version) + 1, 'of a newer version', true, '', 0 from _sqlx_migrations",
    )
    .execute(&pool)
    .await
    .expect("a row");
    pool.close().await;
    let server = database.server();
    let answer = server.send(Method::GET, "/health", &[], None).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    drop(server);
    database.remove().await;
}
