//! A cluster that tests share, and a migrated database for each, cloned from a template that is made
//! once.

use std::path::Path;

use saldo::embedded::{Cluster, Mode};
use saldo::store::hex;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool};
use tokio::sync::OnceCell;

/// Keeps it running between two tests of a program.
static KEPT: OnceCell<Cluster> = OnceCell::const_new();

/// The cluster in memory that all tests share.
pub async fn in_memory() -> Cluster {
    KEPT.get_or_init(start).await.join().expect("the cluster is ours")
}

async fn start() -> Cluster {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let cluster = Cluster::start(Mode::Disposable, &base.join(own("saldo-test"))).await;
    cluster.expect("a private PostgreSQL")
}

/// Where installed binaries are hidden, the data is of another version and has another folder.
pub fn own(folder: &str) -> String {
    let hidden = std::env::var_os("SALDO_PG_NO_SYSTEM").is_some();
    format!("{folder}{}", if hidden { "-nosystem" } else { "" })
}

/// Makes a database of this name; the first caller makes the template, too.
pub async fn clone(cluster: &Cluster, name: &str) {
    let mut db = cluster.options("postgres").connect().await.expect("the cluster answers");
    let template = template(cluster, &mut db).await;
    // Its files are copied: through the log, it takes twice as much.
    let copied = format!("create database {name} template {template} strategy file_copy");
    execute(&mut db, &copied).await;
    db.close().await.expect("the cluster answers");
}

/// The template of these migrations; those of others may stand beside it.
async fn template(cluster: &Cluster, db: &mut PgConnection) -> String {
    let migrations = sqlx::migrate!("./migrations");
    let mut hash = Sha256::new();
    for migration in migrations.iter() {
        hash.update(&migration.checksum);
    }
    let tag = hex(&hash.finalize()[..8]);
    let (template, draft) = (format!("template_{tag}"), format!("draft_{tag}"));
    // One maker at a time: test programs run beside each other.
    execute(db, "select pg_advisory_lock(hashtext('the template'))").await;
    let there: bool =
        sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(&template)
            .fetch_one(&mut *db)
            .await
            .expect("the cluster answers");
    if !there {
        execute(db, &format!("drop database if exists {draft}")).await;
        execute(db, &format!("create database {draft}")).await;
        let mut own = cluster.options(&draft).connect().await.expect("the draft answers");
        migrations.run(&mut own).await.expect("the migrations run");
        own.close().await.expect("the draft answers");
        let pool = PgPool::connect_with(cluster.options(&draft)).await.expect("the draft answers");
        saldo::jobs::migrate(&pool).await.expect("the queue's tables");
        pool.close().await;
        execute(db, &format!("alter database {draft} rename to {template}")).await;
    }
    execute(db, "select pg_advisory_unlock(hashtext('the template'))").await;
    template
}

async fn execute(db: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(db).await.expect(sql);
}
