//! The key that people are looked up by, retired by who is killed, and while people go on.

use std::process::{Child, Stdio};

use aggregates::id::{CommandId, UserId};
use aggregates::user::{Ask, SignIn, User, UserCommand};
use chrono::TimeDelta;
use reqwest::StatusCode;
use saldo::accounts::contact::Contact;
use saldo::clock;
use saldo::keys::{Keys, Purpose};
use saldo::store::{Envelope, Metadata, Store};
use sqlx::{AssertSqlSafe, PgPool};
use uuid::Uuid;

use crate::lookup::{asked_for, followed, hashed_by, prove, retire, try_to_register, waiting};
use crate::rotation::{keys, later, rotate};
use crate::support::Database;
use crate::world::{ADA, PASSWORD, change, login, register};

/// More than are hashed again at once.
const PEOPLE: usize = 230;

/// People who have an address and nothing else.
async fn many(database: &Database, pool: &PgPool, keys: &Keys) {
    let store = Store::start(pool.clone(), database.options(), keys.wrapping()).await;
    let store = store.expect("the log answers");
    for number in 0..PEOPLE {
        let (user, email) = (UserId(Uuid::now_v7()), format!("person{number}@example.com"));
        let claim = Contact::email("email", &email).expect("an address").claim();
        let (key, row) = store.codec().new_key(user).expect("a key");
        let mut envelope = Envelope::new(CommandId(Uuid::now_v7()), Metadata::default()).with(row);
        envelope.side.extend(claim.rows(&keys.lookup, user, None));
        envelope.person_key = Some(key);
        let ask = Ask::Register { email: Some(email), name: None, by: SignIn::EmailCode };
        let command = UserCommand { now: clock::now(), ask };
        let created = store.create(envelope).with::<User>(user, [command]).await;
        created.expect("decided").append().await.expect("a person");
    }
}

/// Holds whoever makes a claim by this key, from that number of them on, while the lock 7 is held.
async fn hold_claims(pool: &PgPool, key: &str, from: usize) {
    let statements = format!(
        "create function hold_claims() returns trigger language plpgsql as $$
         begin
             if (select count(*) from claims where key_id = '{key}') >= {from} then
                 perform pg_advisory_xact_lock(7);
             end if;
             return new;
         end $$;
         create trigger hold_claims before insert on claims for each row
         when (new.key_id = '{key}') execute function hold_claims()"
    );
    sqlx::raw_sql(AssertSqlSafe(statements)).execute(pool).await.expect("a trigger");
}

/// Begins to retire the old key.
fn begin_to_retire(database: &Database) -> Child {
    let mut program = database.program(&[]);
    program.args(["keys", "retire", "lookup"]).stdout(Stdio::null());
    program.spawn().expect("the program runs")
}

#[tokio::test]
async fn a_key_that_was_being_retired_by_who_was_killed_is_retired_by_the_next_one() {
    let database = Database::in_memory().await;
    let mut server = database.server();
    let ada = register(&server, ADA).await;
    let pool = database.pool().await;
    many(&database, &pool, &keys(&database)).await;
    server.stop();
    let [old, new] = rotate(&database, Purpose::Lookup, "lookup");
    later(&database, "lookup", TimeDelta::hours(25));

    hold_claims(&pool, &new, 200).await;
    let mut held = pool.begin().await.expect("a transaction");
    sqlx::query("select pg_advisory_xact_lock(7)").execute(&mut *held).await.expect("a lock");
    let mut killed = begin_to_retire(&database);
    waiting(&pool, 1).await;
    killed.kill().expect("it is killed");
    killed.wait().expect("it has ended");
    held.rollback().await.expect("the lock is free");
    assert_eq!((hashed_by(&pool, &new).await, hashed_by(&pool, &old).await), (200, PEOPLE + 1));
    assert_eq!(keys(&database).lookup.all().len(), 2, "the old key is there");

    change(&database, "drop trigger hold_claims on claims").await;
    let (done, said) = retire(&database);
    assert!(done && said.contains(&old), "{said}");
    assert_eq!((hashed_by(&pool, &new).await, hashed_by(&pool, &old).await), (PEOPLE + 1, 0));
    assert_eq!(keys(&database).lookup.all().len(), 1);
    let (again, said) = retire(&database);
    assert!(!again && said.contains("no key for lookup can go"), "{said}");

    let server = database.server();
    assert_eq!(login(&server, ADA, PASSWORD).await.body["user"]["id"], ada.user["id"]);
    for number in 0..PEOPLE {
        let email = format!("person{number}@example.com");
        let claim = Contact::email("email", &email).expect("an address").claim();
        let owner = claim.owner(&pool, &keys(&database).lookup).await.expect("a look");
        assert!(owner.is_some(), "{email}");
    }
    drop(server);
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    pool.close().await;
    database.remove().await;
}

#[tokio::test]
async fn an_address_that_is_given_up_while_a_key_is_retired_is_anybody_s() {
    let database = Database::in_memory().await;
    let server = database.server();
    let ada = register(&server, ADA).await;
    let pool = database.pool().await;
    let [old, new] = followed(&database, &server, &pool).await;
    later(&database, "lookup", TimeDelta::hours(25));
    let typed = asked_for(&server, &ada, "email", "countess@example.com", 1).await;

    hold_claims(&pool, &new, 0).await;
    let mut held = pool.begin().await.expect("a transaction");
    sqlx::query("select pg_advisory_xact_lock(7)").execute(&mut *held).await.expect("a lock");
    let mut retiring = begin_to_retire(&database);
    waiting(&pool, 1).await;
    let (proved, ()) = tokio::join!(prove(&server, &ada, &typed), async {
        waiting(&pool, 2).await;
        held.rollback().await.expect("the lock is free");
    });
    assert_eq!(proved.status, StatusCode::NO_CONTENT, "{:?}", proved.body);
    let retired = retiring.wait().expect("it has ended");
    assert!(retired.success() && hashed_by(&pool, &old).await == 0);

    register(&server, ADA).await;
    assert_eq!(try_to_register(&server, "countess@example.com").await, StatusCode::CONFLICT);
    drop(server);
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    pool.close().await;
    database.remove().await;
}
