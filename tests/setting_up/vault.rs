//! How secrets are asked of Vault, and what is said where they cannot be had.

use std::time::Duration;

use axum::http::StatusCode;
use saldo::clients::vault::{Reference, Vault, VaultError, VaultSettings};
use serde_json::json;

use crate::vault_double::{Mood, TOKEN, VaultDouble};

const PATH: &str = "secret/data/saldo";

fn reader(double: &VaultDouble, token: &str, namespace: Option<&str>) -> Vault {
    let address = double.url.parse().expect("an address");
    let namespace = namespace.map(str::to_owned);
    Vault::new(VaultSettings { address, token: token.into(), namespace }).expect("a reader")
}

async fn read(vault: &Vault, reference: &str) -> Result<String, VaultError> {
    let reference: Reference = reference.parse().expect("a reference");
    vault.read(&reference.path).await?.field(&reference)
}

#[tokio::test]
async fn the_newest_version_is_read() {
    let double = VaultDouble::start().await;
    double.write(PATH, json!({ "key": "first", "port": 5432 }));
    let vault = reader(&double, TOKEN, None);
    assert_eq!(read(&vault, "secret/data/saldo#key").await.as_deref(), Ok("first"));
    assert_eq!(read(&vault, "secret/data/saldo#port").await.as_deref(), Ok("5432"));
    double.write(PATH, json!({ "key": "second" }));
    assert_eq!(read(&vault, "secret/data/saldo#key").await.as_deref(), Ok("second"));
    assert_eq!(double.requests().last().map(String::as_str), Some("/v1/secret/data/saldo"));
}

#[tokio::test]
async fn a_namespace_is_asked_where_one_is_set() {
    let double = VaultDouble::start().await;
    double.write(PATH, json!({ "key": "ours" }));
    double.is_in("teams/saldo");
    let vault = reader(&double, TOKEN, Some("teams/saldo"));
    assert_eq!(read(&vault, "secret/data/saldo#key").await.as_deref(), Ok("ours"));
    let missing = read(&reader(&double, TOKEN, None), "secret/data/saldo#key").await;
    assert_eq!(missing, Err(VaultError::Missing(PATH.to_owned())));
}

#[tokio::test]
async fn what_cannot_be_had_is_said_once_with_its_remedy() {
    let double = VaultDouble::start().await;
    double.write(PATH, json!({ "key": "secret", "empty": "", "list": ["a"] }));
    double.write("secret/data/gone", json!({ "key": "secret" }));
    double.delete("secret/data/gone");
    double.write("old/data/saldo", json!({ "key": "secret" }));
    for (token, reference, remedy) in [
        ("hvs.other", "secret/data/saldo#key", "set SALDO_VAULT_TOKEN to one that may read it"),
        (TOKEN, "secret/data/none#key", "has nothing at secret/data/none (404)"),
        (TOKEN, "secret/data/gone#key", "was deleted: write it again"),
        (TOKEN, "old/data/saldo#key", "not that of a key-value store of version 2"),
        (TOKEN, "secret/data/saldo#kye", "has no text called kye"),
        (TOKEN, "secret/data/saldo#empty", "has no text called empty"),
        (TOKEN, "secret/data/saldo#list", "has no text called list"),
    ] {
        let before = double.requests().len();
        let said = read(&reader(&double, token, None), reference).await.expect_err(reference);
        let said = said.to_string();
        assert!(said.contains(remedy), "{reference}: {said}");
        assert_eq!(double.requests().len(), before + 1, "{reference} is not asked for again");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_and_no_more_than_twice() {
    let double = VaultDouble::start().await;
    double.write(PATH, json!({ "key": "secret" }));
    let vault = reader(&double, TOKEN, None);
    double
        .is([StatusCode::INTERNAL_SERVER_ERROR, StatusCode::SERVICE_UNAVAILABLE].map(Mood::Fails));
    assert_eq!(read(&vault, "secret/data/saldo#key").await.as_deref(), Ok("secret"));
    assert_eq!(double.requests().len(), 3);
    double.seal();
    assert_eq!(read(&vault, "secret/data/saldo#key").await, Err(VaultError::Sealed));
    assert_eq!(double.requests().len(), 6);
}

#[tokio::test]
async fn one_that_does_not_answer_is_not_waited_for() {
    let double = VaultDouble::start().await;
    double.write(PATH, json!({ "key": "secret" }));
    let vault = reader(&double, TOKEN, None).within(Duration::from_millis(500));
    double.is([Mood::Hangs]);
    assert_eq!(read(&vault, "secret/data/saldo#key").await.as_deref(), Ok("secret"));
    double.is([Mood::Hangs, Mood::Hangs, Mood::Hangs]);
    let late = read(&vault, "secret/data/saldo#key").await.expect_err("nobody answers");
    assert!(matches!(late, VaultError::TimedOut(_)), "{late}");
}

#[tokio::test]
async fn the_token_follows_no_redirection() {
    let (double, elsewhere) = (VaultDouble::start().await, VaultDouble::start().await);
    elsewhere.write(PATH, json!({ "key": "secret" }));
    double.is([Mood::Redirects(format!("{}/v1/{PATH}", elsewhere.url))]);
    let said = read(&reader(&double, TOKEN, None), "secret/data/saldo#key").await;
    let status = StatusCode::TEMPORARY_REDIRECT;
    assert_eq!(said, Err(VaultError::Refused(PATH.to_owned(), status)));
    assert_eq!(elsewhere.requests(), Vec::<String>::new());
}
