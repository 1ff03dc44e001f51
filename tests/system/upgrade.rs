//! A newer node has been here, or comes meanwhile: the schema is ahead of what this version brings along.

use std::path::Path;
use std::sync::Arc;

use reqwest::{Method, StatusCode};
use serde_json::json;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use crate::support::{Database, Person, Server};

/// How many rounds of the customers' are waited for before and after each step.
const ROUNDS: usize = 40;

/// What the next version could bring, by the rules of `docs/operations/migrations.md`: columns of what is read and written
/// all the time, an index that is there already, and a function that does as before.
const NEXT: &str = "
    set lock_timeout = '2s';
    alter table sessions add column seen_from text;
    alter table balances.wallets add column named text;
    create index if not exists events_by_kind on events (event_type, position);
";
/// What is done by hand before, since the log grows.
const BEFORE: &str = "create index concurrently events_by_kind on events (event_type, position)";

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

#[tokio::test]
async fn a_node_serves_everybody_while_a_newer_version_changes_the_schema_beneath_it() {
    let database = Database::in_memory().await;
    let old = Arc::new(database.server());
    let (told, mut rounds) = unbounded_channel();
    let (mut customers, mut people) = (JoinSet::new(), Vec::new());
    for name in ["ada", "eve", "kim", "ben"] {
        let person = old.register(&format!("{name}@example.com")).await;
        customers.spawn(spend(Arc::clone(&old), person.clone(), told.clone()));
        people.push(person);
    }
    drop(told);
    some(&mut rounds).await;

    let owner = database.pool().await;
    sqlx::raw_sql(BEFORE).execute(&owner).await.expect(BEFORE);
    some(&mut rounds).await;
    upgrade(&owner, &database.data.join("migrations")).await;
    some(&mut rounds).await;

    let new = database.server();
    for person in &people {
        let stayed = new.get(person, "/me").await;
        assert_eq!(stayed.status, StatusCode::OK, "who is signed in stays so: {:?}", stayed.body);
    }
    let late = new.register("late@example.com").await;
    assert_eq!(new.debit(&late, 1, "").await.status, StatusCode::CREATED);
    some(&mut rounds).await;

    drop(rounds);
    customers.join_all().await;
    let mut old = Arc::into_inner(old).expect("nobody asks any more");
    old.stop();
    let end = database.end().await;
    for person in &people {
        assert_eq!(new.available_at(person, &end).await, 100, "all was given back");
    }
    owner.close().await;
    drop(new);
    let (is_clean, said) = database.run(&["verify"]);
    assert!(is_clean, "{said}");
    database.remove().await;
}

/// Spends, and takes it back, for as long as anybody listens; nothing may fail.
async fn spend(server: Arc<Server>, person: Person, told: UnboundedSender<()>) {
    for number in 0.. {
        let debit = server.debit(&person, 1, &format!("debit {number}")).await;
        assert_eq!(debit.status, StatusCode::CREATED, "{:?}", debit.body);
        let path = format!("/wallet/debits/{}/reverse", debit.body["id"].as_str().expect("an id"));
        let back = server.post(&person, &path, "", &json!({ "reason": "back" })).await;
        assert_eq!(back.status, StatusCode::OK, "{:?}", back.body);
        assert_eq!(server.available(&person).await, 100);
        if told.send(()).is_err() {
            return;
        }
    }
}

/// Waits until customers have gone on for some rounds from now.
async fn some(rounds: &mut UnboundedReceiver<()>) {
    while rounds.try_recv().is_ok() {}
    for _ in 0..ROUNDS {
        rounds.recv().await.expect("a customer was failed");
    }
}

/// Applies the migrations of this version and `NEXT`, as the next version will.
async fn upgrade(owner: &PgPool, folder: &Path) {
    let log: String =
        sqlx::query_scalar("select pg_get_functiondef('append_events'::regproc::oid)")
            .fetch_one(owner)
            .await
            .expect("the function that writes the log");
    let as_before =
        log.replacen("AS $function$", "AS $function$ -- as before, of a newer version\n", 1);
    assert_ne!(log, as_before, "it is replaced");
    std::fs::create_dir(folder).expect("a folder");
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    for file in std::fs::read_dir(ours).expect("migrations") {
        let file = file.expect("a migration");
        std::fs::copy(file.path(), folder.join(file.file_name())).expect("a copy");
    }
    let next = folder.join("9000_of_a_newer_version.sql");
    std::fs::write(next, format!("{NEXT}{as_before};")).expect("a migration");
    let migrations = Migrator::new(folder).await.expect("migrations");
    // By the page: one that could not have its lock in time is run again.
    let mut tries = 0;
    while let Err(error) = migrations.run(owner).await {
        tries += 1;
        assert!(tries < 5 && error.to_string().contains("lock timeout"), "{error}");
    }
    let newest = sqlx::query_scalar("select max(version) from _sqlx_migrations where success");
    let newest: i64 = newest.fetch_one(owner).await.expect("the list of migrations");
    assert_eq!(newest, 9000);
}
