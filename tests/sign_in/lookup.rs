//! What people are looked up by is hashed with a key that another follows: nobody is lost, and nothing is
//! anybody else's.

use chrono::TimeDelta;
use reqwest::{Method, StatusCode};
use saldo::clients::oauth::Provider;
use saldo::keys::Purpose;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::providers::{Browser, github, link, server};
use crate::rotation::{keys, later, rotate, until};
use crate::support::{Answer, Database, Server};
use crate::world::{
    ADA, PASSWORD, Tokens, ask, code, cool_down, goes_in, login, message, post, register, send,
    verify,
};

const PHONE: &str = "+15551234567";
const GRACE: &str = "grace@example.com";

/// Sends a code; its challenge.
async fn send_code(server: &Server, channel: &str, to: &str) -> Value {
    let sent = post(server, "/auth/otp", &json!({ "channel": channel, "to": to })).await;
    assert_eq!(sent.status, StatusCode::ACCEPTED, "{:?}", sent.body);
    sent.body["challenge_id"].clone()
}

async fn typed(server: &Server, challenge: &Value, code: &str) -> Answer {
    post(server, "/auth/otp/verify", &json!({ "challenge_id": challenge, "code": code })).await
}

/// Comes in by a code, which is the message of this number.
async fn by_code(server: &Server, channel: &str, to: &str, count: usize) -> Tokens {
    let challenge = send_code(server, channel, to).await;
    Tokens::of(&typed(server, &challenge, &code(server, to, count).await).await)
}

async fn api_key(server: &Server, tokens: &Tokens) -> String {
    let body = json!({ "name": "laptop", "scopes": ["wallet_read"] });
    let made = send(server, Method::POST, "/me/api-keys", &tokens.access, &body).await;
    made.body["secret"].as_str().expect("a secret").to_owned()
}

/// Asks for another address, or a telephone, and has the code; what is to be typed.
pub async fn asked_for(
    server: &Server,
    tokens: &Tokens,
    channel: &str,
    to: &str,
    n: usize,
) -> Value {
    let body = json!({ "channel": channel, "to": to, "password": PASSWORD });
    let sent = send(server, Method::POST, "/me/contacts", &tokens.access, &body).await;
    json!({ "challenge_id": sent.body["challenge_id"], "code": code(server, to, n).await })
}

/// Types it.
pub async fn prove(server: &Server, tokens: &Tokens, typed: &Value) -> Answer {
    send(server, Method::POST, "/me/contacts/verify", &tokens.access, typed).await
}

/// What somebody is told who registers.
pub async fn try_to_register(server: &Server, email: &str) -> StatusCode {
    let body = json!({ "email": email, "password": PASSWORD });
    post(server, "/auth/register", &body).await.status
}

/// How many rows there are.
async fn count(pool: &PgPool, what: &str) -> usize {
    let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(format!("select count(*) from {what}")));
    usize::try_from(count.fetch_one(pool).await.expect("a count")).expect("a count")
}

/// How many claims are found by a key.
pub async fn hashed_by(pool: &PgPool, key: &str) -> usize {
    count(pool, &format!("claims where key_id = '{key}'")).await
}

/// Adds a key, and waits until the node that runs hashes with it; the ids of the old one and of it.
pub async fn followed(database: &Database, server: &Server, pool: &PgPool) -> [String; 2] {
    let ids = rotate(database, Purpose::Lookup, "lookup");
    let mut number = 0;
    until("the node that runs claims by the new key, too", async || {
        number += 1;
        register(server, &format!("new{number}@example.com")).await;
        hashed_by(pool, &ids[1]).await > 0
    })
    .await;
    ids
}

/// Retires the old key; whether it is gone, and what was said.
pub fn retire(database: &Database) -> (bool, String) {
    database.run(&["keys", "retire", "lookup"])
}

#[tokio::test]
async fn everybody_is_known_by_the_new_key_as_they_were_by_the_old_one() {
    let database = Database::in_memory().await;
    let github = github(7, "gus@example.com", true).await;
    let mut node = server(&database, &github);
    let ada = register(&node, ADA).await;
    verify(&node, &ada, ADA).await;
    let secret = api_key(&node, &ada).await;
    message(&node, ADA, 2).await;
    let phone = by_code(&node, "sms", PHONE, 1).await;
    let gus = Tokens::of(&Browser::new().sign_in(&node).await);
    let open = send_code(&node, "email", ADA).await;
    let pool = database.pool().await;

    let [old, new] = followed(&database, &node, &pool).await;
    let entered = Tokens::of(&typed(&node, &open, &code(&node, ADA, 3).await).await);
    assert_eq!(entered.user["id"], ada.user["id"], "a code from before is good");
    let (done, said) = retire(&database);
    assert!(!done && goes_in(24 * 60 + 1, &said), "links are good for a day: {said}");
    later(&database, "lookup", TimeDelta::hours(25));
    let people = hashed_by(&pool, &old).await;
    let (done, said) = retire(&database);
    assert!(done && said.contains(&old), "{said}");
    assert_eq!((hashed_by(&pool, &old).await, hashed_by(&pool, &new).await), (0, people));
    let (_, said) = database.run(&["keys", "list"]);
    assert!(said.contains(&format!("lookup: {new}, in use")) && !said.contains(&old), "{said}");
    node.stop();

    // Nothing but the new key is left to look up by.
    assert_eq!(keys(&database).lookup.all().len(), 1);
    cool_down(&database).await;
    let node = server(&database, &github);
    assert_eq!(login(&node, ADA, PASSWORD).await.body["user"]["id"], ada.user["id"]);
    assert_eq!(by_code(&node, "email", ADA, 4).await.user["id"], ada.user["id"]);
    assert_eq!(by_code(&node, "sms", PHONE, 2).await.user["id"], phone.user["id"]);
    let again = Tokens::of(&Browser::new().sign_in(&node).await);
    assert_eq!(again.user["id"], gus.user["id"]);
    for secret in [secret, api_key(&node, &ada).await] {
        let wallet = ask(&node, Method::GET, "/wallet", &secret).await;
        assert_eq!(wallet.status, StatusCode::OK, "{:?}", wallet.body);
    }
    assert_nobody_else_has_them(&database, &node, &ada).await;

    // By its id, the identity is what it was, and is given up.
    let list = ask(&node, Method::GET, "/me/identities", &gus.access).await;
    let path = format!("/me/identities/{}", list.body["items"][0]["id"].as_str().expect("an id"));
    let looked = ask(&node, Method::POST, &format!("{path}/refresh"), &gus.access).await;
    assert_eq!(looked.status, StatusCode::OK, "{:?}", looked.body);
    let unlinked = ask(&node, Method::DELETE, &path, &gus.access).await;
    assert_eq!(unlinked.status, StatusCode::NO_CONTENT, "{:?}", unlinked.body);
    assert!(link(&node, &ada, Provider::Github).await.starts_with("code="));

    assert_nothing_is_left_of(&pool, &node, &ada).await;
    assert_eq!(try_to_register(&node, ADA).await, StatusCode::CREATED);
    drop(node);
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    pool.close().await;
    database.remove().await;
}

/// An address, a telephone and an identity that are somebody's cannot be anybody else's.
async fn assert_nobody_else_has_them(database: &Database, node: &Server, ada: &Tokens) {
    assert_eq!(try_to_register(node, ADA).await, StatusCode::CONFLICT);
    let eve = register(node, "eve@example.com").await;
    assert_eq!(link(node, &eve, Provider::Github).await, "error=taken");
    cool_down(database).await;
    let typed = asked_for(node, &eve, "sms", PHONE, 3).await;
    assert_eq!(prove(node, &eve, &typed).await.status, StatusCode::CONFLICT);
    assert!(ada.are_good(node).await);
}

/// Whoever is erased leaves nothing that their address finds, not a code that was sent before they were
/// known, either.
async fn assert_nothing_is_left_of(pool: &PgPool, node: &Server, ada: &Tokens) {
    let codes = "challenges where purpose = 'sign_in' and user_id is null";
    let before = count(pool, codes).await;
    let password = json!({ "password": PASSWORD });
    let erased = send(node, Method::DELETE, "/me", &ada.access, &password).await;
    assert_eq!(erased.status, StatusCode::NO_CONTENT, "{:?}", erased.body);
    let id = ada.user["id"].as_str().expect("an id");
    assert_eq!(count(pool, &format!("claims where user_id = '{id}'")).await, 0);
    assert_eq!(count(pool, codes).await, before - 2, "one from before the new key, and one after");
}

#[tokio::test]
async fn an_address_is_one_person_s_also_where_one_of_two_nodes_does_not_know_the_new_key_yet() {
    let mut database = Database::in_memory().await;
    let (mut one, pool) = (database.server(), database.pool().await);
    // The other has a data folder of its own.
    let (here, there) = (database.data.clone(), database.data.with_extension("elsewhere"));
    std::fs::create_dir_all(&there).expect("a folder");
    std::fs::copy(here.join("keys.json"), there.join("keys.json")).expect("the keys");
    database.data.clone_from(&there);
    let mut two = database.server();
    database.data.clone_from(&here);
    register(&two, ADA).await;
    let [old, new] = followed(&database, &one, &pool).await;
    let known_by_both = hashed_by(&pool, &new).await;

    assert_eq!(try_to_register(&one, ADA).await, StatusCode::CONFLICT);
    register(&one, GRACE).await;
    assert_eq!(try_to_register(&two, GRACE).await, StatusCode::CONFLICT);
    assert_eq!(login(&two, GRACE, PASSWORD).await.status, StatusCode::OK);
    for number in 0..20 {
        let email = format!("both{number}@example.com");
        let (here, there) =
            tokio::join!(try_to_register(&one, &email), try_to_register(&two, &email));
        let taken = [StatusCode::CREATED, StatusCode::CONFLICT];
        assert!(taken == [here, there] || taken == [there, here], "{email}: {here} and {there}");
    }
    assert!(hashed_by(&pool, &new).await > known_by_both);
    two.stop();
    later(&database, "lookup", TimeDelta::hours(25));
    let (done, said) = retire(&database);
    assert!(done && said.contains(&old), "{said}");
    one.stop();
    let one = database.server();
    for email in [ADA, GRACE, "both0@example.com", "both19@example.com"] {
        assert_eq!(try_to_register(&one, email).await, StatusCode::CONFLICT, "{email}");
    }
    drop((one, two));
    std::fs::remove_dir_all(there).expect("the folder is there");
    pool.close().await;
    database.remove().await;
}

/// Waits until so many wait for somebody else in the database.
pub async fn waiting(pool: &PgPool, least: usize) {
    let who = "pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    until("so many wait", async || count(pool, who).await >= least).await;
}

#[tokio::test]
async fn two_windows_that_link_an_identity_at_once_make_one() {
    let database = Database::in_memory().await;
    let github = github(7, "gus@example.com", true).await;
    let (two, pool) = (server(&database, &github), database.pool().await);
    let back = github.world().back.clone();
    let one = server(&database, &github);
    let ada = register(&one, ADA).await;

    // Neither is in the log when the other asks whose the identity is.
    let mut held = pool.begin().await.expect("a transaction");
    let lock = sqlx::query("select from log_head for update");
    lock.execute(&mut *held).await.expect("nobody writes the log");
    let (first, second) = tokio::join!(link(&one, &ada, Provider::Github), async {
        waiting(&pool, 1).await;
        github.world().back = back;
        let release = async {
            waiting(&pool, 2).await;
            held.rollback().await.expect("the log is free");
        };
        tokio::join!(link(&two, &ada, Provider::Github), release).0
    });
    assert!(first.starts_with("code=") && second.starts_with("code="), "{first} and {second}");
    let list = ask(&one, Method::GET, "/me/identities", &ada.access).await;
    assert_eq!(list.body["items"].as_array().expect("a list").len(), 1, "{:?}", list.body);
    drop((one, two));
    let (clean, said) = database.run(&["verify"]);
    assert!(clean, "{said}");
    pool.close().await;
    database.remove().await;
}
