//! What a provider may do to this server: nothing. And what anybody may read of it: no secrets.

use std::time::{Duration, Instant};

use saldo::clients::oauth::{Attempt, Callback, Fault, OauthError, Provider};
use serde_json::json;

use crate::browser::{back, go, sign_in};
use crate::double::{Broken, CLIENT_SECRET, Double};

const UNUSABLE: OauthError = OauthError::Unusable(Provider::X);
const UNAVAILABLE: OauthError = OauthError::Unavailable(Provider::X);

async fn x() -> Double {
    let double = Double::of(Provider::X).await;
    let user = json!({ "id": "2244994945", "name": "Ada", "confirmed_email": "ada@example.com" });
    double.world().api.insert("/2/users/me", json!({ "data": user }));
    double
}

/// Why nobody can sign in where a path is broken: the exchange of the code, then the API.
async fn errors_when(broken: Broken) -> [OauthError; 2] {
    let mut errors = Vec::new();
    for path in ["/token", "/2/users/me"] {
        let x = x().await;
        x.world().broken.insert(path, broken);
        let outcome = sign_in(&x.impatient(Duration::from_millis(500)), Provider::X).await;
        errors.push(outcome.expect_err("an error"));
        assert_eq!(x.calls("/elsewhere"), 0);
    }
    errors.try_into().expect("two errors")
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    assert_eq!(errors_when(Broken::Leads("/elsewhere")).await, [UNUSABLE, UNUSABLE]);
}

#[tokio::test]
async fn a_huge_body_is_not_read_to_its_end() {
    assert_eq!(errors_when(Broken::IsHuge).await, [UNUSABLE, UNUSABLE]);
}

#[tokio::test]
async fn nobody_waits_for_a_provider_that_hangs() {
    let began = Instant::now();
    assert_eq!(errors_when(Broken::Hangs).await, [UNAVAILABLE, UNAVAILABLE]);
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn those_who_wait_for_a_provider_that_hangs_wait_once() {
    let issuer = Double::of(Provider::Google).await;
    issuer.world().broken.insert("/.well-known/openid-configuration", Broken::Hangs);
    let providers = issuer.impatient(Duration::from_millis(500));
    let back = back();
    let each = (0..50).map(|_| providers.begin(Provider::Google, &back));
    let outcomes = futures_util::future::join_all(each).await;
    assert!(outcomes.iter().all(Result::is_err));
    assert_eq!(issuer.calls("/.well-known/openid-configuration"), 1);
}

#[tokio::test]
async fn a_provider_that_fails_may_be_asked_later() {
    for status in [500, 503, 429] {
        let errors = errors_when(Broken::Fails(status)).await;
        assert_eq!(errors, [UNAVAILABLE, UNAVAILABLE]);
        assert_eq!(errors[0].fault(), Fault::Outage);
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_may_be_asked_later() {
    let x = x().await;
    let (attempt, callback) = go(&x.providers(), Provider::X).await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", gone.local_addr().expect("an address"));
    drop(gone);
    let providers = x.moved_to(url).providers();
    assert_eq!(providers.finish(&attempt, &callback).await.err(), Some(UNAVAILABLE));
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_not_repeated() {
    assert_eq!(errors_when(Broken::Babbles).await, [UNUSABLE, UNUSABLE]);
}

#[tokio::test]
async fn a_callback_without_the_attempts_state_reaches_nobody() {
    let x = x().await;
    let providers = x.providers();
    let (mine, callback) = go(&providers, Provider::X).await;
    let (other, _) = go(&providers, Provider::X).await;
    let stateless = Callback { state: None, ..callback.clone() };
    for (attempt, callback) in [(&other, &callback), (&mine, &stateless)] {
        let outcome = providers.finish(attempt, callback).await;
        assert_eq!(outcome.err(), Some(OauthError::Foreign));
    }
    assert_eq!(x.calls("/token"), 0);
}

#[tokio::test]
async fn who_declines_is_not_signed_in() {
    let x = x().await;
    let providers = x.providers();
    let (attempt, callback) = go(&providers, Provider::X).await;
    let declined = Callback { error: Some("access_denied".to_owned()), ..callback };
    let error = providers.finish(&attempt, &declined).await.expect_err("nobody");
    assert_eq!((&error, error.fault()), (&OauthError::Denied, Fault::Person));
    assert_eq!(x.calls("/token"), 0);
}

#[tokio::test]
async fn words_of_a_callback_are_not_repeated() {
    let x = x().await;
    let providers = x.providers();
    let (attempt, callback) = go(&providers, Provider::X).await;
    let strange = Callback { error: Some("<script>".to_owned()), ..callback };
    let error = providers.finish(&attempt, &strange).await.expect_err("nobody");
    assert_eq!(error.to_string(), "x refuses this server: for a reason without a name");
}

#[tokio::test]
async fn who_is_not_set_up_signs_nobody_in() {
    let providers = x().await.providers();
    assert_eq!(providers.available().collect::<Vec<_>>(), [Provider::X]);
    let outcome = providers.begin(Provider::Github, &back()).await;
    assert_eq!(outcome.err(), Some(OauthError::NotSetUp(Provider::Github)));
}

#[tokio::test]
async fn an_attempt_survives_where_it_is_kept() {
    let x = x().await;
    let providers = x.providers();
    let (attempt, callback) = go(&providers, Provider::X).await;
    let kept = serde_json::to_string(&attempt).expect("JSON");
    let attempt: Attempt = serde_json::from_str(&kept).expect("an attempt");
    assert!(providers.finish(&attempt, &callback).await.is_ok());
}

#[tokio::test]
async fn nothing_secret_or_personal_is_printed() {
    let x = x().await;
    let providers = x.providers();
    let (attempt, callback) = go(&providers, Provider::X).await;
    let profile = providers.finish(&attempt, &callback).await.expect("somebody");
    let settings = x.settings(CLIENT_SECRET, Duration::ZERO);
    let printed = format!("{attempt:?} {callback:?} {profile:?} {:?} {settings:?}", profile.tokens);
    for secret in ["access-", "refresh-", "code-", "ada@", "Ada", CLIENT_SECRET] {
        assert!(!printed.contains(secret), "{secret}: {printed}");
    }
}
