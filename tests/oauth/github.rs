//! GitHub's ways, on a double of it.

use std::time::Duration;

use saldo::clients::oauth::{Address, Fault, OauthError, Profile, Provider, Providers, TIMEOUT};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::browser::{go, sign_in};
use crate::double::{Broken, Double};

async fn github() -> Double {
    let double = Double::of(Provider::Github).await;
    let user =
        json!({ "id": 583_231, "login": "ada", "name": "Ada Lovelace", "email": "a@b.example" });
    double.world().api.insert("/user", user);
    has_emails(&double, json!([email("ada@example.com", true, true)]));
    double
}

fn email(email: &str, primary: bool, verified: bool) -> Value {
    json!({ "email": email, "primary": primary, "verified": verified, "visibility": "private" })
}

fn has_emails(double: &Double, emails: Value) {
    double.world().api.insert("/user/emails", emails);
}

async fn somebody(double: &Double) -> Profile {
    sign_in(&double.providers(), Provider::Github).await.expect("somebody")
}

#[tokio::test]
async fn of_several_addresses_the_primary_one_counts() {
    let github = github().await;
    let emails = json!([
        email("old@example.com", false, true),
        email("ada@example.com", true, true),
        email("typo@example.com", false, false),
    ]);
    has_emails(&github, emails);
    let profile = somebody(&github).await;
    assert_eq!((profile.provider, profile.subject.as_str()), (Provider::Github, "583231"));
    assert_eq!(profile.name.as_deref(), Some("Ada Lovelace"));
    let address = "ada@example.com".to_owned();
    assert!(profile.email == Some(Address { address, verified: true }));
    assert_eq!(profile.tokens.scope.as_deref(), Some("read:user user:email"));
}

#[tokio::test]
async fn an_address_that_nobody_verified_is_told_as_such() {
    let github = github().await;
    has_emails(&github, json!([email("ada@example.com", true, false)]));
    let email = somebody(&github).await.email.expect("an address");
    assert!(!email.verified);
}

#[tokio::test]
async fn somebody_without_an_address_is_somebody() {
    let github = github().await;
    has_emails(&github, json!([]));
    assert!(somebody(&github).await.email.is_none());
}

#[tokio::test]
async fn a_code_is_good_once() {
    let github = github().await;
    let providers = github.providers();
    let (attempt, callback) = go(&providers, Provider::Github).await;
    assert!(providers.finish(&attempt, &callback).await.is_ok());
    assert_eq!(providers.finish(&attempt, &callback).await.err(), Some(OauthError::Expired));
}

#[tokio::test]
async fn a_code_is_good_for_who_began() {
    let github = github().await;
    let providers = github.providers();
    let (_, theirs) = go(&providers, Provider::Github).await;
    let (mine, mut callback) = go(&providers, Provider::Github).await;
    callback.code = theirs.code;
    assert_eq!(providers.finish(&mine, &callback).await.err(), Some(OauthError::Expired));
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next() {
    let github = github().await;
    let providers = github.providers();
    let first = somebody(&github).await.tokens.refresh.expect("a refresh token");
    let second = providers.refresh(Provider::Github, &first).await.expect("new tokens");
    assert_ne!(second.refresh.expect("a refresh token").expose_secret(), first.expose_secret());
    let again = providers.refresh(Provider::Github, &first).await;
    assert_eq!(again.err(), Some(OauthError::Expired));
}

#[tokio::test]
async fn a_wrong_secret_is_for_the_operator_to_mend() {
    let github = github().await;
    let providers = Providers::new(github.settings("wrong", TIMEOUT)).expect("clients");
    let error = sign_in(&providers, Provider::Github).await.expect_err("a refusal");
    assert_eq!(error, OauthError::Refused(Provider::Github, "incorrect_client_credentials"));
    assert_eq!(error.fault(), Fault::Operator);
}

#[tokio::test]
async fn somebody_is_looked_up_by_tokens_that_were_given_before() {
    let github = github().await;
    let known = somebody(&github).await;
    let looked = github.providers().look_up(Provider::Github, known.tokens.clone()).await;
    assert_eq!(looked.expect("somebody").subject, known.subject);
    github.world().revoke_all();
    let refused = github.providers().look_up(Provider::Github, known.tokens).await;
    assert_eq!(refused.err(), Some(OauthError::Expired));
}

#[tokio::test]
async fn a_provider_that_takes_a_moment_is_waited_for() {
    let github = github().await;
    github.world().broken.insert("/token", Broken::Slow(Duration::from_millis(200)));
    assert_eq!(somebody(&github).await.provider, Provider::Github);
}
