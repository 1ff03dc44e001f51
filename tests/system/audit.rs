//! What an auditor does: verify, tamper and verify again, and replay with a reader not ours.

use std::collections::BTreeSet;
use std::time::Duration;

use aggregates::user::User;
use aggregates::wallet::{Wallet, WalletEvent};
use cqrs_es::Aggregate;
use saldo::keys::Keys;
use saldo::store::Codec;
use saldo::store::heads;
use saldo::store::replay::replay;
use saldo::verify::{self, Evidence, Kind, Report, Subject};
use sqlx::AssertSqlSafe;

use crate::lives::{self, KINDS};
use crate::support::{Database, Person};

/// A log in which everything has happened, projected to its end, with its head signed; nobody is
/// connected to it any more.
pub async fn lively_log() -> (Database, [Person; 2]) {
    let database = Database::in_memory().await;
    let mut server = database.server();
    let ada = server.register("ada@example.com").await;
    let ben = server.register("ben@example.com").await;
    let store = lives::store(&database).await;
    lives::live(&store, [&ada, &ben]).await;
    let position = store.head().to_string();
    for person in [&ada, &ben] {
        for path in ["/me", "/wallet", "/wallet/transactions", "/usage"] {
            let answer = server.get_at(person, path, &position).await;
            assert_eq!(answer.status, 200, "{:?}", answer.body);
        }
    }
    store.pool().close().await;
    server.stop();
    database.disconnect().await;
    (database, [ada, ben])
}

async fn verify_with(database: &Database, subject: Subject) -> Report {
    verify_meanwhile(database, database, subject).await
}

/// The log of `database`, where keys of persons are by now what they are in `since`.
pub async fn verify_meanwhile(database: &Database, since: &Database, subject: Subject) -> Report {
    let keys = Keys::in_folder(&database.data).expect("the server has made keys");
    let pool = since.pool().await;
    let evidence = Evidence {
        heads: heads::read_heads(&database.data.join(heads::FILE)).expect("heads were signed"),
        ring: keys.head_ring(),
        codec: Codec::new(pool.clone(), keys.wrapping()),
        subject,
    };
    let report = verify::verify(&database.options(), evidence).await.expect("the database answers");
    pool.close().await;
    report
}

pub async fn verify(database: &Database) -> Report {
    verify_with(database, Subject::default()).await
}

pub fn kinds(report: &Report) -> BTreeSet<String> {
    report.findings.iter().map(|finding| format!("{:?}", finding.kind)).collect()
}

#[tokio::test]
async fn nothing_is_wrong_with_a_log_in_which_everything_happened() {
    let (database, _) = lively_log().await;
    let report = verify(&database).await;
    assert!(report.is_clean(), "{report}");
    let pool = database.pool().await;
    let (events, types): (i64, Vec<String>) = sqlx::query_as(
        "select count(*), array_agg(distinct event_type) filter (where aggregate_type = 'wallet')
         from events",
    )
    .fetch_one(&pool)
    .await
    .expect("the log answers");
    assert_eq!(report.events, u64::try_from(events).expect("a count"));
    assert_eq!(types.into_iter().collect::<BTreeSet<_>>(), KINDS.map(str::to_owned).into());
    assert_eq!(report.wallets, 2);
    assert!(report.heads > 0, "no signed head was compared");
    let rows: i64 = sqlx::query_scalar(
        "select (select count(*) from transactions) + (select count(*) from wallets)
             + (select count(*) from grants) + (select count(*) from holds)
             + (select count(*) from usage.days) + (select count(*) from usage.features)
             + (select count(*) from users) + (select count(*) from passwords)
             + (select count(*) from claims) + (select count(*) from identities)
             + (select count(*) from api_keys) + (select count(*) from sessions)
             + (select count(*) from person_keys)
             + (select count(*) from packs) + (select count(*) from plans)",
    )
    .fetch_one(&pool)
    .await
    .expect("the read models answer");
    assert_eq!(report.rows, u64::try_from(rows).expect("a count"));
    pool.close().await;
    database.remove().await;
}

/// Wallets are followed by several threads, of which all but one have nothing to do here.
#[test]
fn a_long_log_of_one_wallet_is_verified_to_its_end() {
    const SPENDS: u32 = 16_000;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let report = runtime.block_on(async {
        let database = Database::in_memory().await;
        let mut server = database.server();
        let ada = server.register("ada@example.com").await;
        let store = lives::store(&database).await;
        lives::spend_often(&store, &ada, SPENDS).await;
        assert_eq!(server.available_at(&ada, &database.end().await).await, 100);
        store.pool().close().await;
        server.stop();
        database.disconnect().await;
        let report = tokio::time::timeout(Duration::from_mins(1), verify(&database)).await.ok()?;
        database.remove().await;
        Some(report)
    });
    // Threads that wait for one another would keep it from ending, and the test from failing.
    runtime.shutdown_background();
    let report = report.expect("the verification comes to its end");
    assert!(report.is_clean() && report.events > u64::from(SPENDS), "{report}");
}

/// What a thief with the database's password may do, and what gives it away.
const TAMPERINGS: &[(&str, &str, Kind)] = &[
    (
        "a changed payload",
        "update events set payload = replace(payload::text, '\"a test\"', '\"a text\"')::json
         where position = (select max(position) from events where event_type = 'Debited')",
        Kind::Leaf,
    ),
    (
        "a changed payload with its leaf hash made up",
        "update events set payload = replace(payload::text, '\"a test\"', '\"a text\"')::json,
             leaf_hash = sha256('made up')
         where position = (select max(position) from events where event_type = 'Debited')",
        Kind::Chain,
    ),
    (
        "another request in the metadata",
        "update events set metadata = '{\"request_id\":\"another\"}' where position = 5",
        Kind::Leaf,
    ),
    ("a removed event", "delete from events where position = 7", Kind::Position),
    (
        "the log's end removed",
        "delete from events where position = (select max(position) from events)",
        Kind::Position,
    ),
    (
        "the log's end removed, with its batch, and the head put back",
        "delete from events e using batches b
         where b.first_position = (select max(first_position) from batches)
           and e.position >= b.first_position;
         delete from batches where first_position = (select max(first_position) from batches);
         update log_head h set position = b.last_position, hash = b.hash, recorded_at = b.recorded_at
         from batches b where b.first_position = (select max(first_position) from batches)",
        Kind::Head,
    ),
    (
        "swapped positions",
        "update events set position = -20 where position = 20;
         update events set position = 20 where position = 21;
         update events set position = 21 where position = -20",
        Kind::Sequence,
    ),
    (
        "swapped positions of two streams",
        "update events set position = -1 where position = 2;
         update events set position = 2 where position = 5;
         update events set position = 5 where position = -1",
        Kind::Chain,
    ),
    (
        "a rewritten batch hash",
        "update batches set hash = sha256('made up') where first_position =
             (select max(first_position) from batches where last_position < 20)",
        Kind::Chain,
    ),
    (
        "the last batch hash rewritten, and the head with it",
        "update batches set hash = sha256('made up')
         where first_position = (select max(first_position) from batches);
         update log_head set hash = sha256('made up')",
        Kind::Head,
    ),
    (
        "another time of recording",
        "update events set recorded_at = recorded_at + interval '1 second' where position = 12",
        Kind::Time,
    ),
    (
        "a second outcome of a command",
        "alter table events drop constraint events_command;
         update events set command_id = (select command_id from events where position = 9)
         where position = 12",
        Kind::Command,
    ),
    (
        "a version taken out of an event",
        "alter table events alter event_version drop not null;
         update events set event_version = null where position = 12",
        Kind::Unknown,
    ),
    (
        "a figure taken out of the history",
        "alter table transactions alter held_after drop not null;
         update transactions set held_after = null where held_after = 0",
        Kind::ReadModel,
    ),
    (
        "a spend that names no key",
        "update events set payload = regexp_replace(payload::text, '\"key\":\"[^\"]*\",', '')::json
         where position = (select max(position) from events where event_type = 'Debited')",
        Kind::Domain,
    ),
    ("an edited balance", "update wallets set available = available + 1000", Kind::ReadModel),
    ("an edited grant", "update grants set remaining = remaining + 1", Kind::ReadModel),
    ("an edited hold", "update holds set captured = captured - 1", Kind::ReadModel),
    ("a removed hold", "delete from holds where state = 'expired'", Kind::ReadModel),
    (
        "an edited history",
        "update transactions set amount = amount - 1 where kind = 'debit'",
        Kind::ReadModel,
    ),
    ("a removed line of history", "delete from transactions where kind = 'void'", Kind::ReadModel),
    (
        "a line of history that nothing caused",
        "insert into transactions select 3, wallet_id, 'grant', 1, 0, 1, 0, 0, 'x', reference, null,
             recorded_at from transactions limit 1",
        Kind::ReadModel,
    ),
    ("another's password", "delete from passwords", Kind::Beside),
    (
        "the key of somebody's data destroyed, who was not erased",
        "update person_keys set wrapped_key = null, destroyed_at = now()",
        Kind::Beside,
    ),
    (
        "an identity that nobody linked",
        "insert into identities select gen_random_uuid(), user_id, 'google', '', null, now() from users.users",
        Kind::Beside,
    ),
    (
        "a key that nobody made",
        "insert into api_keys select gen_random_uuid(), user_id, user_id::text::bytea, 'x', '{ai}', 100,
             '', now() from users.users",
        Kind::Beside,
    ),
    (
        "a session that is over and goes on",
        "insert into sessions select gen_random_uuid(), user_id, 0, null, now(), now(), now(), now()
         from users.users",
        Kind::Beside,
    ),
    ("edited usage", "update usage.days set credits = credits - 1", Kind::ReadModel),
    ("edited tokens", "update usage.days set output_tokens = output_tokens + 1", Kind::ReadModel),
    ("removed usage", "delete from usage.days where feature = 'api'", Kind::ReadModel),
    (
        "usage that nothing caused",
        "insert into usage.days select wallet_id, day - 1, feature, model, 1, 1, 0, 0, 0
         from usage.days limit 1",
        Kind::ReadModel,
    ),
    (
        "a hold that is for something else",
        "insert into usage.features select wallet_id, hold_id, 'x' from holds limit 1
         on conflict (wallet_id, hold_id) do update set feature = 'x'",
        Kind::ReadModel,
    ),
    ("another name of a person", "update users set name = 'Eve'", Kind::ReadModel),
    (
        "an invented snapshot",
        "insert into snapshots select 'wallet', user_id::text, 3, 3, '{}' from users",
        Kind::Snapshot,
    ),
];

#[tokio::test]
async fn every_tampering_is_found() {
    let (database, _) = lively_log().await;
    for (what, sql, kind) in TAMPERINGS {
        let copy = database.copy().await;
        let pool = copy.pool().await;
        let tamper = format!(
            "alter table events disable trigger user; alter table batches disable trigger user; {sql}"
        );
        sqlx::raw_sql(AssertSqlSafe(tamper)).execute(&pool).await.expect(what);
        pool.close().await;
        let report = verify(&copy).await;
        assert!(kinds(&report).contains(&format!("{kind:?}")), "{what} was found as: {report}");
        copy.discard().await;
    }
    database.remove().await;
}

/// Changes what an event says, and writes its leaf hash and every batch after it anew, as somebody
/// would who knows how they are made.
const REWRITTEN: &str = r#"
alter table events disable trigger user;
alter table batches disable trigger user;
update events set payload = replace(payload::text, '"a test"', '"a text"')::json
where event_type = 'Debited';
update events set leaf_hash = sha256('saldo event, version 1'
    || int8send(octet_length(aggregate_type)) || convert_to(aggregate_type, 'UTF8')
    || int8send(octet_length(aggregate_id)) || convert_to(aggregate_id, 'UTF8')
    || int8send(octet_length(event_type)) || convert_to(event_type, 'UTF8')
    || int8send(octet_length(event_version)) || convert_to(event_version, 'UTF8')
    || int8send(octet_length(payload::text)) || convert_to(payload::text, 'UTF8')
    || int8send(octet_length(metadata::text)) || convert_to(metadata::text, 'UTF8')
    || int8send(sequence) || uuid_send(command_id) || int2send(ordinal));
do $$
declare
    b      record;
    before bytea := sha256('saldo log, version 1');
begin
    for b in select * from batches order by first_position loop
        update batches
        set previous_hash = before, hash = sha256(before
            || int8send(b.first_position) || int8send(b.last_position)
            || int8send((extract(epoch from b.recorded_at) * 1000000)::bigint)
            || (select string_agg(leaf_hash, ''::bytea order by position) from events
                where position between b.first_position and b.last_position))
        where first_position = b.first_position
        returning hash into before;
    end loop;
    update log_head set hash = before;
end $$;
update transactions set reason = 'a text' where kind = 'debit';
"#;

#[tokio::test]
async fn a_log_that_is_rewritten_whole_is_betrayed_by_what_was_signed() {
    let (database, _) = lively_log().await;
    let pool = database.pool().await;
    sqlx::raw_sql(REWRITTEN).execute(&pool).await.expect("the log can be rewritten");
    pool.close().await;
    let report = verify(&database).await;
    assert_eq!(kinds(&report), BTreeSet::from(["Head".to_owned()]), "{report}");
    database.remove().await;
}

/// The kind of event whose arm of `apply` does nothing.
static IDLE: std::sync::Mutex<&str> = std::sync::Mutex::new("");

fn apply_with_an_idle_arm(wallet: &mut Wallet, event: WalletEvent) {
    if event.name() != *IDLE.lock().expect("the lock is not poisoned") {
        wallet.apply(event);
    }
}

#[tokio::test]
async fn a_wrong_arm_of_apply_is_found() {
    let (database, _) = lively_log().await;
    for kind in KINDS {
        *IDLE.lock().expect("the lock is not poisoned") = kind;
        let subject = Subject { wallet: apply_with_an_idle_arm, ..Subject::default() };
        let report = verify_with(&database, subject).await;
        assert!(kinds(&report).contains("Replay"), "nobody misses {kind}: {report}");
    }
    database.remove().await;
}

/// A reader that we did not write sees every event of every stream, and the same wallets.
#[tokio::test]
async fn postgres_es_reads_every_stream() {
    let (database, persons) = lively_log().await;
    let (pool, url) = (database.pool().await, database.url());
    let mut read = 0;
    for person in &persons {
        let mut names = Vec::new();
        let wallet = replay::<Wallet>(&pool, &url, person.id, |_, event| names.push(event.name()));
        let wallet = wallet.await.expect("the stream is readable");
        let recorded: Vec<String> = sqlx::query_scalar(
            "select event_type from events where aggregate_type = 'wallet' and aggregate_id = $1
             order by sequence",
        )
        .bind(person.id.to_string())
        .fetch_all(&pool)
        .await
        .expect("the log answers");
        assert_eq!(names, recorded);
        let store = lives::store(&database).await;
        assert_eq!(wallet.state, store.load::<Wallet>(person.id).await.expect("a wallet"));
        store.pool().close().await;
        let user = replay::<User>(&pool, &url, person.id, |_, _| {}).await;
        read += wallet.events + user.expect("the stream is readable").events;
    }
    let recorded: i64 = sqlx::query_scalar("select position from log_head")
        .fetch_one(&pool)
        .await
        .expect("the log answers");
    assert_eq!(read, recorded);
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn the_commands_of_an_auditor_end_with_what_they_found() {
    let (database, [ada, _]) = lively_log().await;
    let (proven, said) = database.run(&["verify"]);
    assert!(proven && said.contains("nothing is wrong"), "{said}");
    let (replayed, said) = database.run(&["replay", "wallet", &ada.id.to_string()]);
    assert!(replayed && said.contains("as many as the log counts"), "{said}");
    let pool = database.pool().await;
    let edit = sqlx::query("update wallets set available = available + 1").execute(&pool).await;
    assert_eq!(edit.expect("the table can be edited").rows_affected(), 2);
    pool.close().await;
    let (proven, said) = database.run(&["verify", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert!(!proven && report["found"] == 2, "{said}");
    assert_eq!(report["findings"][0]["kind"], "read_model");
    database.remove().await;
}
