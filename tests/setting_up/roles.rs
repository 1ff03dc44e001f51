//! The database by two roles: one owns it and migrates, the other serves, and may only append to the log.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection};
use tokio::time::Instant;

use crate::program::{Ended, Program};
use crate::support::{Database, Person, Server};

const UNLIMITED: (&str, &str) = ("SALDO_RATE_LIMITS", "off");
/// What Postgres says to who has not the right.
const NOT_ALLOWED: &str = "42501";

/// A database with a role that may log in, and nothing else yet.
struct Roles {
    database: Database,
    program: Program,
    server: String,
    owner: PgConnection,
}

impl Roles {
    async fn new() -> Self {
        let database = Database::in_memory().await;
        let server = format!("server_of_{}", database.name);
        let owner = database.options().connect().await.expect("the owner is let in");
        std::fs::create_dir_all(&database.data).expect("a folder");
        let mut roles = Self { database, program: Program::new(), server, owner };
        roles.own(&format!("create role {} login", roles.server.clone())).await;
        roles
    }

    /// Executes a statement as the owner.
    async fn own(&mut self, sql: &str) {
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.owner).await;
        done.expect(sql);
    }

    fn options(&self) -> PgConnectOptions {
        self.database.options().username(&self.server)
    }

    /// The address for the server's role.
    fn url(&self) -> String {
        self.database.url().replacen("saldo@", &format!("{}@", self.server), 1)
    }

    fn settings<'a>(
        &'a self,
        url: &'a str,
        more: &[(&'a str, &'a str)],
    ) -> Vec<(&'a str, &'a str)> {
        let data = self.database.data.to_str().expect("a text");
        [&[("DATABASE_URL", url), ("SALDO_DATA_DIR", data), ("RUST_LOG", "warn")], more].concat()
    }

    /// A command by the server's role.
    fn run(&self, arguments: &[&str]) -> Ended {
        self.program.run(arguments, &self.settings(&self.url(), &[]))
    }

    /// A command that may be done by the owner.
    fn run_with_owner(&self, arguments: &[&str]) -> Ended {
        let owner = self.database.url();
        let more = [("SALDO_MIGRATIONS_DATABASE_URL", owner.as_str())];
        self.program.run(arguments, &self.settings(&self.url(), &more))
    }

    fn migrate(&self) {
        let migrated = self.run_with_owner(&["migrate"]);
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
    }

    fn serve(&self) -> Server {
        self.database.server_with(&self.url(), &[UNLIMITED])
    }

    async fn remove(mut self) {
        let server = self.server.clone();
        self.own(&format!("drop owned by {server}; drop role {server}")).await;
        drop(self.owner);
        self.database.remove().await;
    }
}

/// What refuses a statement.
async fn refused(db: &mut PgConnection, sql: &str) -> String {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(db).await;
    let error = done.err().unwrap_or_else(|| panic!("it is allowed: {sql}"));
    let code = error.as_database_error().and_then(|error| error.code().map(String::from));
    code.unwrap_or_else(|| panic!("{sql}: {error}"))
}

/// Waits until what is asked for is so; half a minute at most.
async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !ask().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn inbox(server: &Server) -> Vec<Value> {
    let answer = server.send(Method::GET, "/dev/inbox", &[], None).await.expect("an answer");
    assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
    answer.body["items"].as_array().or(answer.body.as_array()).cloned().unwrap_or_default()
}

/// Everything that appends, reads models, or runs jobs: sign-up, credits, AI, chats, mail, a profile, and leaving.
async fn live(server: &Server, email: &str) -> Person {
    let ada = server.register(email).await;
    let text =
        json!({ "text": "Credits are granted to wallets. A wallet spends credits on calls. Bye." });
    let summary = server.post(&ada, "/ai/summarize", "", &text).await;
    assert_eq!(summary.status, StatusCode::OK, "{:?}", summary.body);
    let hold = server.post(&ada, "/wallet/holds", "h", &json!({ "amount": 50 })).await;
    assert_eq!(hold.status, StatusCode::CREATED, "{:?}", hold.body);
    let path = format!("/wallet/holds/{}/capture", hold.body["id"].as_str().expect("an id"));
    let captured = server.post(&ada, &path, "c", &json!({ "amount": 35 })).await;
    assert_eq!(captured.status, StatusCode::OK, "{:?}", captured.body);
    assert_eq!(server.available(&ada).await, 55);
    let chat = server.post(&ada, "/chats", "", &json!({})).await;
    assert_eq!(chat.status, StatusCode::CREATED, "{:?}", chat.body);
    let messages = format!("/chats/{}/messages", chat.body["id"].as_str().expect("an id"));
    let said = server.post(&ada, &messages, "", &json!({ "text": "What is a wallet?" })).await;
    assert!(said.status.is_success(), "{:?}", said.body);
    // A job makes the reply, and another one sends mail.
    until("a reply", async || {
        let read = server.get(&ada, &messages).await;
        let items = read.body["items"].as_array().cloned().unwrap_or_default();
        items.iter().any(|message| message["role"] == "assistant" && message["state"] == "done")
    })
    .await;
    let asked = json!({ "email": email });
    let path = "/api/v1/auth/email/verification";
    server.send(Method::POST, path, &[], Some(&asked)).await.expect("an answer");
    until("mail", async || !inbox(server).await.is_empty()).await;
    ada
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_only_append_serves_all_of_a_customers_journey() {
    let roles = Roles::new().await;
    roles.migrate();
    let server = roles.serve();
    let ada = live(&server, "ada@example.com").await;
    let eve = server.register("eve@example.com").await;
    let bearer = format!("Bearer {}", eve.token);
    let headers = [("authorization", bearer.as_str())];
    let body = json!({ "password": "correct horse battery" });
    let gone = server.send(Method::DELETE, "/api/v1/me", &headers, Some(&body)).await;
    let gone = gone.expect("an answer");
    assert!(gone.status.is_success(), "{:?}", gone.body);
    assert!(server.debit(&ada, 5, "").await.status.is_success());
    until("read models at the end of the log", async || {
        let listed = roles.run(&["projections", "list"]).said;
        listed.lines().skip(1).all(|line| line.contains(", 0 events and "))
    })
    .await;
    drop(server);
    for command in
        [&["verify"][..], &["projections", "list"], &["admin", "grant", "ada@example.com"]]
    {
        let ended = roles.run(command);
        assert_eq!(ended.code, Some(0), "{command:?}: {ended:?}");
    }
    roles.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_cannot_be_changed_by_the_role_that_serves() {
    let roles = Roles::new().await;
    roles.migrate();
    let server = roles.serve();
    let ada = server.register("ada@example.com").await;
    let mut db = roles.options().connect().await.expect("it is let in");
    for table in ["events", "batches", "log_head", "_sqlx_migrations"] {
        let column = match table {
            "events" | "log_head" => "position = 1",
            "batches" => "last_position = 1",
            _ => "version = 1",
        };
        for sql in [
            format!("update {table} set {column}"),
            format!("delete from {table}"),
            format!("truncate {table}"),
            format!("insert into {table} select * from {table}"),
            format!("drop table {table}"),
        ] {
            assert_eq!(refused(&mut db, &sql).await, NOT_ALLOWED, "{sql}");
        }
    }
    for sql in [
        "alter table events disable trigger all",
        "create table public.mine (a int)",
        "create or replace function refuse_change() returns trigger language sql as 'select null'",
        "set session_replication_role = replica",
        "select let_serve('postgres')",
    ] {
        assert_eq!(refused(&mut db, sql).await, NOT_ALLOWED, "{sql}");
    }
    drop(server);
    // A table of its own in the way of the log's does not lead `append_events` astray.
    let trap = "create temporary table log_head as select * from public.log_head;
        create temporary table events (like public.events);
        create temporary table batches (like public.batches)";
    sqlx::raw_sql(trap).execute(&mut db).await.expect("its own tables are its own business");
    let before: i64 = sqlx::query_scalar("select position from public.log_head")
        .fetch_one(&mut db)
        .await
        .expect("the end of the log");
    let append = "select last_position from append_events(array[1], array['trap'], array['1'], array[0::bigint],
        array[false], array[1], array['trap'], array['1'], array[1::bigint], array['Trapped'], array['1'],
        array['{}'], array['{}'], array[gen_random_uuid()], array[0::smallint], array[sha256('')], null, null)";
    let after: i64 = sqlx::query_scalar(append).fetch_one(&mut db).await.expect("it appends");
    let written: i64 =
        sqlx::query_scalar("select count(*) from public.events where aggregate_type = 'trap'")
            .fetch_one(&mut db)
            .await
            .expect("the log");
    assert_eq!((after, written), (before + 1, 1), "{}", ada.id);
    drop(db);
    roles.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_models_are_rebuilt_by_the_owner_and_served_by_the_other() {
    let roles = Roles::new().await;
    roles.migrate();
    let server = roles.serve();
    let ada = server.register("ada@example.com").await;
    let refused = roles.run(&["projections", "rebuild", "balances"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.complained.contains("SALDO_MIGRATIONS_DATABASE_URL"), "{refused:?}");
    let (made, said) = roles.database.run(&["admin", "grant", "ada@example.com"]);
    assert!(made, "{said}");
    let asked = server.post(&ada, "/admin/projections/balances/rebuild", "", &json!({})).await;
    assert_eq!(asked.status, StatusCode::CONFLICT, "{:?}", asked.body);
    assert_eq!(asked.body["code"], "not_the_owner");
    let detail = asked.body["detail"].as_str().expect("a text");
    assert!(detail.contains("saldo projections rebuild balances"), "{detail}");
    for name in ["balances", "billing", "chats", "transactions", "usage", "users"] {
        let rebuilt = roles.run_with_owner(&["projections", "rebuild", name]);
        assert_eq!(rebuilt.code, Some(0), "{name}: {rebuilt:?}");
    }
    assert!(server.debit(&ada, 30, "").await.status.is_success());
    assert_eq!(server.available(&ada).await, 70);
    drop(server);
    let verified = roles.run(&["verify"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
    roles.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_up_to_date_is_told_to_who_may_not_change_that() {
    let mut roles = Roles::new().await;
    let is_told = |ended: &Ended| {
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.complained.contains("saldo migrate"), "{ended:?}");
    };
    // Nobody has let it in yet.
    is_told(&roles.run(&["projections", "list"]));
    roles.migrate();
    assert_eq!(roles.run(&["projections", "list"]).code, Some(0));
    roles.own("create table kept as select * from _sqlx_migrations").await;
    roles.own("delete from _sqlx_migrations where version = 13").await;
    is_told(&roles.run(&["projections", "list"]));
    roles.own("insert into _sqlx_migrations select * from kept where version = 13").await;
    assert_eq!(roles.run(&["projections", "list"]).code, Some(0));
    roles.own("delete from graphile_worker.migrations where id = (select max(id) from graphile_worker.migrations)").await;
    is_told(&roles.run(&["projections", "list"]));
    roles.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_not_there_or_may_too_much_is_not_let_in() {
    let mut roles = Roles::new().await;
    let server = roles.server.clone();
    let is_refused = |roles: &Roles, why: &str| {
        let refused = roles.run_with_owner(&["migrate"]);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.complained.contains(why), "{refused:?}");
    };
    roles.own(&format!("grant saldo to {server}")).await;
    is_refused(&roles, "may do all that the owner saldo may: give the server another");
    roles.own(&format!("revoke saldo from {server}")).await;
    roles.own(&format!("grant create on schema public to {server}")).await;
    is_refused(&roles, "revoke create on schema public from public");
    roles.own(&format!("revoke create on schema public from {server}")).await;
    roles.migrate();
    roles.own(&format!("drop owned by {server}; drop role {server}")).await;
    is_refused(&roles, &format!("create role {server} login"));
    roles.own(&format!("create role {server} login")).await;
    roles.remove().await;
}
