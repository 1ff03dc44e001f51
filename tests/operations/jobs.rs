//! Work that is given is begun soon.

use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use uuid::Uuid;

use crate::support::Database;

const JOBS: usize = 50;
/// Whoever looked for each once a second needed half a second for each at least.
const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn jobs_of_one_queue_follow_each_other_without_a_pause() {
    let database = Database::in_memory().await;
    let mut server = database.server();
    let mut db = database.options().connect().await.expect("the database answers");
    let given = Instant::now();
    for number in 0..JOBS {
        // There is no such chat, and nothing to be done; half of them fail, and are tried again later.
        let chat = if number % 2 == 0 { Uuid::now_v7().to_string() } else { "none".to_owned() };
        let job = "select graphile_worker.add_job(
            'reply', json_build_object('subject', $1), queue_name => 'one')";
        sqlx::query(job).bind(chat).execute(&mut db).await.expect("it is taken");
    }
    let waiting = "select count(*) from graphile_worker.jobs
        where task_identifier = 'reply' and attempts = 0";
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut db).await.expect("a count") > 0 {
        assert!(given.elapsed() < SOON, "some wait still");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.stop();
    database.remove().await;
}
