//! Erasing people, and verifying the log meanwhile: neither stands in the other's way.

use std::collections::BTreeSet;

use aggregates::id::UserId;
use saldo::verify::Subject;
use sqlx::AssertSqlSafe;

use crate::audit::{kinds, lively_log, verify, verify_meanwhile};
use crate::lives;
use crate::support::Database;

async fn erase(database: &Database, user: UserId) {
    let store = lives::store(database).await;
    lives::erase(&store, user).await;
    store.pool().close().await;
    database.disconnect().await;
}

/// The key goes with the event, and the read model's row a moment later: it cannot be held against
/// the log for what is unreadable there.
#[tokio::test]
async fn who_is_erased_and_not_yet_by_the_read_models_is_nothing_wrong() {
    let (database, [ada, _]) = lively_log().await;
    erase(&database, UserId(ada.id)).await;
    let report = verify(&database).await;
    assert!(report.is_clean(), "{report}");
    for tampering in ["email = null", "phone = '+1'", "role = 'admin'"] {
        let copy = database.copy().await;
        let pool = copy.pool().await;
        let edit = format!("update users set {tampering} where user_id = '{}'", ada.id);
        sqlx::raw_sql(AssertSqlSafe(edit)).execute(&pool).await.expect("it can be edited");
        pool.close().await;
        let found = kinds(&verify(&copy).await);
        assert_eq!(found, BTreeSet::from(["ReadModel".to_owned()]), "{tampering}");
        copy.discard().await;
    }
    database.remove().await;
}

#[tokio::test]
async fn who_is_erased_while_the_log_is_verified_is_nothing_wrong() {
    let (database, people) = lively_log().await;
    // The log is read as it was when the verification began: so must be the keys.
    let since = database.copy().await;
    for person in people {
        erase(&since, UserId(person.id)).await;
    }
    let report = verify_meanwhile(&database, &since, Subject::default()).await;
    assert!(report.is_clean(), "{report}");
    let pool = database.pool().await;
    let edit = sqlx::raw_sql("update users set email = 'eve@example.com'");
    edit.execute(&pool).await.expect("it can be edited");
    pool.close().await;
    let report = verify_meanwhile(&database, &since, Subject::default()).await;
    assert_eq!(kinds(&report), BTreeSet::from(["ReadModel".to_owned()]), "{report}");
    since.discard().await;
    database.remove().await;
}
