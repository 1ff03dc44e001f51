//! Rebuilding while others write and read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use aggregates::id::WalletId;
use projections::balances;
use projections::journal::Obstacle;
use projections::rebuild::{RebuildError, rebuild};
use projections::{runner, transactions};
use saldo::clock;
use sqlx::PgPool;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::database::{Database, Node, WithoutKeys, catch_up, named};
use crate::oracle::Oracle;
use crate::world::{Random, World, append};

/// Reads all the time and counts; what is gone, or older than what was read before, panics.
async fn read(pool: PgPool, wallets: Vec<Uuid>, stopped: watch::Receiver<bool>) -> usize {
    let mut reads = 0;
    let mut seen: BTreeMap<Uuid, (i64, i64)> = BTreeMap::new();
    while !*stopped.borrow() {
        let wallet = wallets[reads % wallets.len()];
        let balance = balances::of_wallet(&pool, WalletId(wallet), clock::now()).await.unwrap();
        let balance = balance.expect("the wallet is gone");
        let held: i64 = balance.grants.iter().map(|grant| grant.held).sum();
        assert_eq!(held, balance.held, "wallet and grants are not of one moment");
        let page = transactions::page(&pool, WalletId(wallet), None, 5).await.unwrap();
        let newest = page.first().expect("the history is gone").position;
        let before = seen.insert(wallet, (balance.version, newest)).unwrap_or_default();
        assert!(balance.version >= before.0 && newest >= before.1, "read backwards");
        reads += 1;
    }
    reads
}

async fn write(pool: PgPool, mut world: World, stopped: watch::Receiver<bool>) {
    while !*stopped.borrow() {
        append(&pool, &world.live(10).await).await;
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
}

/// Rebuilds until it is done, also when the database has not yet noticed that the last one is dead.
async fn rebuild_at_last(pool: PgPool, name: &'static str) {
    loop {
        match rebuild(&pool, &*named(name), &WithoutKeys).await {
            Ok(_) => return,
            Err(RebuildError::Running) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_others_write_and_read_nobody_notices_also_when_it_is_killed() {
    let database = Database::new().await;
    let pool = &database.pool;
    let mut world = World::new(13, 10);
    let wallets = world.wallets();
    append(pool, &world.live(1_500).await).await;
    catch_up(pool).await;

    let node = Node::start(pool);
    let (stop, stopped) = watch::channel(false);
    let mut readers = JoinSet::new();
    for _ in 0..2 {
        readers.spawn(read(pool.clone(), wallets.clone(), stopped.clone()));
    }
    let mut writer = JoinSet::new();
    writer.spawn(write(pool.clone(), world, stopped));
    let mut random = Random(29);
    let (mut killed, mut done) = (0, 0);
    while killed < 15 || done < 4 {
        let name = if killed % 2 == 0 { "balances" } else { "transactions" };
        let mut rebuilding = JoinSet::new();
        rebuilding.spawn(rebuild_at_last(pool.clone(), name));
        if killed < 15 {
            tokio::time::sleep(Duration::from_millis(random.below(250))).await;
            rebuilding.abort_all();
        }
        match rebuilding.join_next().await.unwrap() {
            Ok(()) => done += 1,
            Err(error) if error.is_cancelled() => killed += 1,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    stop.send_replace(true);
    writer.join_all().await;
    let reads: usize = readers.join_all().await.into_iter().sum();
    assert!(reads > 50, "only {reads} reads");
    node.catch_up(pool).await;
    Oracle::now(pool).await.compare(pool).await;
    node.stop().await;
    database.remove().await;
}

#[tokio::test]
async fn rebuilt_tables_have_the_same_shape_and_nothing_is_left_behind() {
    let database = Database::new().await;
    let pool = &database.pool;
    let head = append(pool, &World::new(37, 10).live(500).await).await;
    let before = shape(pool).await;
    for projection in runner::all() {
        assert_eq!(rebuild(pool, &*projection, &WithoutKeys).await.unwrap(), head);
    }
    assert_eq!(before, shape(pool).await);
    Oracle::now(pool).await.compare(pool).await;
    let left: i64 =
        sqlx::query_scalar("select count(*) from pg_namespace where nspname like '%\\_next'")
            .fetch_one(pool)
            .await
            .unwrap();
    assert_eq!(left, 0);
    database.remove().await;
}

/// All columns, indexes, constraints and storage parameters of the projections.
async fn shape(pool: &PgPool) -> Vec<String> {
    sqlx::query_scalar(
        "select * from (
             select format('%s.%s.%s %s %s %s', table_schema, table_name, ordinal_position,
                 column_name, data_type, generation_expression)
             from information_schema.columns where table_schema = any ($1)
             union all
             select indexdef from pg_indexes where schemaname = any ($1)
             union all
             select format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
             from pg_constraint where connamespace::regnamespace::text = any ($1)
             union all
             select format('%s %s', oid::regclass, reloptions)
             from pg_class where relnamespace::regnamespace::text = any ($1)
         ) as shapes (shape) order by 1",
    )
    .bind(["balances", "billing", "chats", "transactions", "usage", "users"].as_slice())
    .fetch_all(pool)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_second_rebuild_at_the_same_time_is_refused() {
    let database = Database::new().await;
    let pool = &database.pool;
    append(pool, &World::new(31, 10).live(500).await).await;
    let projection = named("balances");
    let (one, other) = tokio::join!(
        rebuild(pool, &*projection, &WithoutKeys),
        rebuild(pool, &*projection, &WithoutKeys)
    );
    assert!(one.is_ok() != other.is_ok());
    assert!(matches!(one.and(other), Err(RebuildError::Running)));
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_gives_way_to_a_long_reader_and_makes_nobody_wait() {
    let database = Database::new().await;
    let pool = &database.pool;
    let mut world = World::new(41, 3);
    append(pool, &world.live(200).await).await;
    catch_up(pool).await;
    let wallet = WalletId(world.wallets()[0]);

    let mut long = pool.begin().await.unwrap();
    sqlx::query("select from grants").execute(&mut *long).await.unwrap();
    let mut rebuilding = JoinSet::new();
    rebuilding.spawn(rebuild_at_last(pool.clone(), "balances"));
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(700) {
        let asked = Instant::now();
        balances::of_wallet(pool, wallet, clock::now()).await.unwrap().unwrap();
        assert!(asked.elapsed() < Duration::from_millis(500), "{:?}", asked.elapsed());
    }
    assert!(rebuilding.try_join_next().is_none(), "it did not wait for the reader");
    long.commit().await.unwrap();
    rebuilding.join_all().await;
    Oracle::now(pool).await.compare_balances(pool).await;
    database.remove().await;
}

#[tokio::test]
async fn a_rebuild_names_the_event_it_cannot_project_and_leaves_the_tables_alone() {
    let database = Database::new().await;
    let pool = &database.pool;
    append(pool, &World::new(43, 3).live(200).await).await;
    catch_up(pool).await;
    let expected = Oracle::now(pool).await;
    let mut tx = pool.begin().await.unwrap();
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    let odd = "update events set event_version = '2' where aggregate_type = 'wallet'
               and position >= 150 returning position";
    let positions: Vec<i64> = sqlx::query_scalar(odd).fetch_all(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let first = positions.into_iter().min().unwrap();
    let Err(RebuildError::Halted(Obstacle::Unreadable { position, .. })) =
        rebuild(pool, &*named("balances"), &WithoutKeys).await
    else {
        panic!("it does not halt");
    };
    assert_eq!(position, first);
    expected.compare(pool).await;
    database.remove().await;
}
