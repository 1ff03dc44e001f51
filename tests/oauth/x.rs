//! X's ways, on a double of it.

use saldo::clients::oauth::{Address, OauthError, Profile, Provider, Providers, TIMEOUT};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::browser::{go, sign_in};
use crate::double::Double;

async fn x(user: Value) -> Double {
    let double = Double::of(Provider::X).await;
    double.world().api.insert("/2/users/me", json!({ "data": user }));
    double
}

async fn ada() -> Double {
    x(json!({ "id": "2244994945", "username": "ada", "name": "Ada" })).await
}

async fn somebody(double: &Double) -> Profile {
    sign_in(&double.providers(), Provider::X).await.expect("somebody")
}

#[tokio::test]
async fn a_confirmed_address_is_verified() {
    let user = json!({ "id": "2244994945", "name": "Ada", "confirmed_email": "ada@example.com" });
    let profile = somebody(&x(user).await).await;
    assert_eq!((profile.provider, profile.subject.as_str()), (Provider::X, "2244994945"));
    let address = "ada@example.com".to_owned();
    assert!(profile.email == Some(Address { address, verified: true }));
    let scope = "users.read tweet.read users.email offline.access";
    assert_eq!(profile.tokens.scope.as_deref(), Some(scope));
}

#[tokio::test]
async fn somebody_without_an_address_is_somebody() {
    let profile = somebody(&ada().await).await;
    assert!(profile.email.is_none());
    assert_eq!(profile.name.as_deref(), Some("Ada"));
}

#[tokio::test]
async fn a_code_is_good_once() {
    let ada = ada().await;
    let providers = ada.providers();
    let (attempt, callback) = go(&providers, Provider::X).await;
    assert!(providers.finish(&attempt, &callback).await.is_ok());
    assert_eq!(providers.finish(&attempt, &callback).await.err(), Some(OauthError::Expired));
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next() {
    let ada = ada().await;
    let providers = ada.providers();
    let first = somebody(&ada).await.tokens.refresh.expect("a refresh token");
    let second = providers.refresh(Provider::X, &first).await.expect("new tokens");
    assert_ne!(second.refresh.expect("a refresh token").expose_secret(), first.expose_secret());
    let again = providers.refresh(Provider::X, &first).await;
    assert_eq!(again.err(), Some(OauthError::Expired));
}

#[tokio::test]
async fn a_wrong_secret_is_for_the_operator_to_mend() {
    let providers = Providers::new(ada().await.settings("wrong", TIMEOUT)).expect("clients");
    let error = sign_in(&providers, Provider::X).await.expect_err("a refusal");
    assert_eq!(error, OauthError::Refused(Provider::X, "unauthorized_client"));
}

#[tokio::test]
async fn somebody_is_looked_up_by_tokens_that_were_given_before() {
    let ada = ada().await;
    let known = somebody(&ada).await;
    let looked = ada.providers().look_up(Provider::X, known.tokens.clone()).await;
    assert_eq!(looked.expect("somebody").subject, known.subject);
    ada.world().revoke_all();
    let refused = ada.providers().look_up(Provider::X, known.tokens).await;
    assert_eq!(refused.err(), Some(OauthError::Expired));
}
