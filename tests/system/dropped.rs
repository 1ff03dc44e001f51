//! A projection that forgets a kind of event is found.

use std::sync::Arc;

use aggregates::event::Event;
use projections::journal::{self, Recorded};
use projections::runner;
use saldo::keys::Keys;
use saldo::store::Codec;
use sqlx::{Connection, PgConnection};

use crate::audit;
use crate::lives::KINDS;

/// The projections that care for what happens in wallets.
const OF_WALLETS: [&str; 3] = ["balances", "transactions", "usage"];

/// Makes the read models anew up to `position`, as a projection would that has no arm for `kind`.
async fn project_without(
    db: &mut PgConnection,
    recorded: &[Arc<Recorded>],
    kind: &str,
    position: i64,
) {
    let left: Vec<_> = recorded
        .iter()
        .filter(|event| event.position <= position && name(event) != kind)
        .cloned()
        .collect();
    for projection in runner::all() {
        if !OF_WALLETS.contains(&projection.name()) {
            continue;
        }
        let mut tx = db.begin().await.expect("the database answers");
        // What does not fit the tables halts a projection, which nobody overlooks.
        if projection.project(&mut tx, &left).await.is_ok() {
            tx.commit().await.expect("the database answers");
        }
    }
    sqlx::query("update projections.checkpoints set position = $1 where name = any($2)")
        .bind(position)
        .bind(OF_WALLETS)
        .execute(db)
        .await
        .expect("the database answers");
}

fn name(recorded: &Recorded) -> &'static str {
    match &recorded.event {
        Event::Wallet(event) => event.name(),
        _ => "",
    }
}

#[tokio::test]
async fn a_projection_that_forgets_a_kind_of_event_is_found() {
    let (database, _) = audit::lively_log().await;
    let keys = Keys::in_folder(&database.data).expect("the server has made keys");
    let pool = database.pool().await;
    let codec = Codec::new(pool.clone(), keys.wrapping());
    let mut db = pool.acquire().await.expect("the database answers");
    let page = journal::read(&mut db, &codec, &["wallet"], 0, 10_000).await.expect("the log");
    drop(db);
    pool.close().await;
    for kind in ["", "no kind"].into_iter().chain(KINDS) {
        let last = page.recorded.iter().rev().find(|event| name(event) == kind);
        let position = last.map_or(page.last, |event| event.position);
        let copy = database.copy().await;
        let pool = copy.pool().await;
        let mut db = pool.acquire().await.expect("the database answers");
        sqlx::raw_sql(
            "truncate balances.wallets, balances.grants, balances.holds, transactions,
                 usage.days, usage.features",
        )
        .execute(&mut *db)
        .await
        .expect("a superuser");
        project_without(&mut db, &page.recorded, kind, position).await;
        drop(db);
        pool.close().await;
        let report = audit::verify(&copy).await;
        let found = audit::kinds(&report).into_iter().collect::<Vec<_>>();
        let expected: &[&str] = if KINDS.contains(&kind) { &["ReadModel"] } else { &[] };
        assert_eq!(found, expected, "without {kind}: {report}");
        copy.discard().await;
    }
    database.remove().await;
}
