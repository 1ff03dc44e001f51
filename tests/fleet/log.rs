//! What the log has of what was answered.

use sqlx::PgPool;

use crate::customer::Done;
use crate::support::Database;

/// Fails where something that was answered is not in the log, or is there more than once, or where the log has
/// what nobody was answered.
pub async fn holds(database: &Database, done: &[Done]) {
    let pool = database.pool().await;
    let all = |of: fn(&Done) -> &Vec<String>| {
        sorted(done.iter().flat_map(of).cloned().collect::<Vec<_>>())
    };
    came(&pool, done).await;
    let debits = all(|done| &done.debits);
    assert_eq!(in_the_log(&pool, "Debited", "debit").await, debits);
    assert_eq!(in_the_log(&pool, "DebitReversed", "debit").await, debits);
    // A call that failed let its hold go: holds that are charged are those that were answered.
    let mut charged = in_the_log(&pool, "HoldCaptured", "hold").await;
    // Where a hold expired while Postgres recovered.
    charged.extend(in_the_log(&pool, "HoldLateCaptured", "hold").await);
    let mut answered = all(|done| &done.captured);
    answered.extend(all(|done| &done.calls));
    let replies: Vec<String> =
        sqlx::query_scalar("select message_id::text from chats.messages where credits > 0")
            .fetch_all(&pool)
            .await
            .expect("the read model answers");
    assert_eq!(charged.len(), answered.len() + replies.len(), "what was charged was answered");
    let answered = sorted(answered);
    assert!(answered.iter().all(|hold| charged.iter().filter(|it| *it == hold).count() == 1));
    let released = in_the_log(&pool, "HoldReleased", "hold").await;
    assert!(
        all(|done| &done.released)
            .iter()
            .all(|hold| { released.iter().filter(|it| *it == hold).count() == 1 })
    );
    let said: Vec<String> =
        sqlx::query_scalar("select message_id::text from chats.messages where role = 'user'")
            .fetch_all(&pool)
            .await
            .expect("the read model answers");
    assert_eq!(sorted(said), all(|done| &done.messages));
    assert_eq!(in_the_log(&pool, "Posted", "message").await, all(|done| &done.messages));
    assert_eq!(of_aggregates(&pool, "chat", "Created").await, all(|done| &done.chats));
    assert_eq!(of_aggregates(&pool, "purchase", "Fulfilled").await, all(|done| &done.purchases));
    let subscribed = all(|done| &done.subscriptions);
    assert_eq!(of_aggregates(&pool, "subscription", "Began").await, subscribed);
    // One grant for each: of bought credits, and of the plan's for its first period.
    for (kind, paid) in [("purchased", all(|done| &done.purchases)), ("quota", subscribed)] {
        let granted = "select count(*) from events where event_type = 'Granted'
             and payload #>> '{Granted,grant,kind}' = $1";
        let granted: i64 =
            sqlx::query_scalar(granted).bind(kind).fetch_one(&pool).await.expect("the log answers");
        assert_eq!(usize::try_from(granted), Ok(paid.len()), "{kind}");
    }
    pool.close().await;
}

/// Whoever was told that they are in is known, once, with their first credits, and so is each of their sessions. Others are
/// known whose answers were lost: they came as somebody else.
async fn came(pool: &PgPool, done: &[Done]) {
    let people: Vec<_> = done.iter().flat_map(|done| &done.people).collect();
    let sessions: Vec<_> = done.iter().flat_map(|done| &done.sessions).collect();
    let known = [
        (of_aggregates(pool, "user", "Registered").await, &people),
        (welcomed(pool).await, &people),
        (in_the_log(pool, "SessionStarted", "session").await, &sessions),
    ];
    for (in_the_log, answered) in known {
        for id in answered {
            assert_eq!(in_the_log.iter().filter(|it| it == id).count(), 1, "{id}");
        }
    }
}

/// Whose wallets had the credits that everybody begins with, as often as they had.
async fn welcomed(pool: &PgPool) -> Vec<String> {
    let wallets = "select aggregate_id from events where event_type = 'Granted'
         and payload #>> '{Granted,grant,kind}' = 'promotional'";
    sqlx::query_scalar(wallets).fetch_all(pool).await.expect("the log answers")
}

/// Which aggregates have had events of this kind, as often as they had.
async fn of_aggregates(pool: &PgPool, aggregate: &str, event_type: &str) -> Vec<String> {
    let ids = "select aggregate_id from events where aggregate_type = $1 and event_type = $2";
    let ids: Vec<String> = sqlx::query_scalar(ids)
        .bind(aggregate)
        .bind(event_type)
        .fetch_all(pool)
        .await
        .expect("the log answers");
    sorted(ids)
}

/// What events of this kind are about, as often as they are.
async fn in_the_log(pool: &PgPool, event_type: &str, about: &str) -> Vec<String> {
    let ids = "select payload -> $1 ->> $2 from events where event_type = $1";
    let ids: Vec<String> = sqlx::query_scalar(ids)
        .bind(event_type)
        .bind(about)
        .fetch_all(pool)
        .await
        .expect("the log answers");
    sorted(ids)
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort();
    ids
}
