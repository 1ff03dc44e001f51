//! Given events, then rows.

use aggregates::id::WalletId;
use chrono::TimeDelta;
use projections::{balances, transactions};
use saldo::clock;
use sqlx::PgPool;

use crate::database::{Database, catch_up};
use crate::oracle::Oracle;
use crate::world::{World, append};

#[tokio::test]
async fn a_random_life_is_what_the_log_says_however_it_is_cut_into_batches() {
    let database = Database::new().await;
    let pool = &database.pool;
    let mut world = World::new(23, 20);
    for size in [1, 1, 1, 2, 3, 5, 8, 500, 40, 1_500, 2_500] {
        append(pool, &world.live(size).await).await;
        catch_up(pool).await;
    }
    Oracle::now(pool).await.compare(pool).await;
    // Whatever can happen has happened, or the comparison says little.
    let kinds: i64 = sqlx::query_scalar("select count(distinct event_type) from events")
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(kinds, 37, "{:?}", world.seen);
    of_wallet_is_what_the_rows_say(pool, &world).await;
    database.remove().await;
}

async fn of_wallet_is_what_the_rows_say(pool: &PgPool, world: &World) {
    for wallet in world.wallets() {
        for now in [clock::now() - TimeDelta::seconds(700), clock::now()] {
            let found = balances::of_wallet(pool, WalletId(wallet), now).await.unwrap().unwrap();
            let (available, held, version): (i64, i64, i64) = sqlx::query_as(
                "select coalesce((select sum(remaining) from grants g where g.wallet_id = $1
                     and coalesce(expires_at, 'infinity') > $2), 0)::bigint, held, version
                 from wallets where wallet_id = $1",
            )
            .bind(wallet)
            .bind(now)
            .fetch_one(pool)
            .await
            .unwrap();
            assert_eq!((found.available, found.held, found.version), (available, held, version));
            let kept: i64 = found.grants.iter().map(|grant| grant.held).sum();
            assert_eq!(kept, held);
        }
        let page = transactions::page(pool, WalletId(wallet), None, 10_000).await.unwrap();
        let sum: i64 = page.iter().map(|line| line.amount).sum();
        assert_eq!(sum, page[0].available_after, "the amounts of {wallet} do not add up");
    }
    let nobody = WalletId::default();
    assert_eq!(balances::of_wallet(pool, nobody, clock::now()).await.unwrap(), None);
}
