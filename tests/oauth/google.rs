//! The whole way through a provider that is not ours.

use saldo::clients::oauth::{Address, OauthError, Provider, ProviderTokens};
use secrecy::ExposeSecret;

use crate::browser::{Answer, Browser, back, go, sign_in};
use crate::node::NodeProvider;

#[tokio::test]
async fn somebody_signs_in_by_openid_connect() {
    let Some(provider) = NodeProvider::start() else { return };
    let before = saldo::clock::now();
    let profile = sign_in(&provider.providers(), Provider::Google).await.expect("somebody");
    assert_eq!(profile.provider, Provider::Google);
    assert_eq!(profile.subject, "ada");
    let address = "ada@example.com".to_owned();
    assert!(profile.email == Some(Address { address, verified: true }));
    assert_eq!(profile.name.as_deref(), Some("Ada Lovelace"));
    assert!(profile.tokens.expires_at.is_some_and(|end| end > before));
    assert_eq!(profile.tokens.scope.as_deref(), Some("openid email profile"));
}

#[tokio::test]
async fn a_code_is_good_once() {
    let Some(provider) = NodeProvider::start() else { return };
    let providers = provider.providers();
    let (attempt, callback) = go(&providers, Provider::Google).await;
    assert!(providers.finish(&attempt, &callback).await.is_ok());
    assert_eq!(providers.finish(&attempt, &callback).await.err(), Some(OauthError::Expired));
}

#[tokio::test]
async fn a_code_is_good_for_who_began() {
    let Some(provider) = NodeProvider::start() else { return };
    let providers = provider.providers();
    let (_, theirs) = go(&providers, Provider::Google).await;
    let (mine, callback) = go(&providers, Provider::Google).await;
    // Their code with my state: only the verifier tells.
    let stolen = saldo::clients::oauth::Callback { code: theirs.code, ..callback };
    assert_eq!(providers.finish(&mine, &stolen).await.err(), Some(OauthError::Expired));
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next() {
    let Some(provider) = NodeProvider::start() else { return };
    let providers = provider.providers();
    let first = sign_in(&providers, Provider::Google).await.expect("somebody").tokens;
    let refresh = first.refresh.expect("a refresh token");
    let second = providers.refresh(Provider::Google, &refresh).await.expect("new tokens");
    assert_ne!(second.access.expose_secret(), first.access.expose_secret());
    let next = second.refresh.expect("a refresh token");
    assert_ne!(next.expose_secret(), refresh.expose_secret());
    let again = providers.refresh(Provider::Google, &refresh).await;
    assert_eq!(again.err(), Some(OauthError::Expired));
}

#[tokio::test]
async fn somebody_is_looked_up_by_tokens_that_were_given_before() {
    let Some(provider) = NodeProvider::start() else { return };
    let providers = provider.providers();
    let tokens = sign_in(&providers, Provider::Google).await.expect("somebody").tokens;
    let known = providers.look_up(Provider::Google, tokens.clone()).await.expect("somebody");
    assert_eq!((known.subject.as_str(), known.name.as_deref()), ("ada", Some("Ada Lovelace")));
    assert!(known.email.is_some_and(|email| email.verified));
    let unknown = ProviderTokens { access: "made-up".into(), ..tokens };
    let refused = providers.look_up(Provider::Google, unknown).await;
    assert_eq!(refused.err(), Some(OauthError::Expired));
}

#[tokio::test]
async fn who_declines_is_not_signed_in() {
    let Some(provider) = NodeProvider::start() else { return };
    let providers = provider.providers();
    let begun = providers.begin(Provider::Google, &back()).await.expect("a sign-in begins");
    let callback = Browser::new().walk(&begun.url, Answer::Decline).await;
    let declined = providers.finish(&begun.attempt, &callback).await;
    assert_eq!(declined.err(), Some(OauthError::Denied));
}
