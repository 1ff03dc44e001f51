//! What an issuer may say that is not true: each is found.

use saldo::clients::oauth::{Address, Callback as Returned, Lie, OauthError, Profile, Provider};
use serde_json::{Value, json};

use crate::browser::{back, go, sign_in};
use crate::double::Double;
use crate::keys::Key;
use crate::signing::{Callback, How};

async fn issuer() -> Double {
    Double::of(Provider::Google).await
}

/// What becomes of a sign-in whose ID token says something else.
async fn saying(change: fn(&mut Value)) -> Result<Profile, OauthError> {
    let issuer = issuer().await;
    issuer.world().signing.claims = Some(Box::new(change));
    sign_in(&issuer.providers(), Provider::Google).await
}

/// What becomes of a sign-in whose ID token is signed in this way.
async fn signed(how: How) -> Result<Profile, OauthError> {
    let issuer = issuer().await;
    issuer.world().signing.how = how;
    sign_in(&issuer.providers(), Provider::Google).await
}

/// The lie that was found.
fn lie(outcome: Result<Profile, OauthError>) -> Lie {
    match outcome {
        Err(OauthError::Untrusted(Provider::Google, lie)) => lie,
        other => panic!("{other:?}"),
    }
}

fn now() -> i64 {
    saldo::clock::now().timestamp()
}

#[tokio::test]
async fn the_truth_is_believed() {
    let profile = saying(|_| ()).await.expect("somebody");
    assert_eq!((profile.subject.as_str(), profile.name.as_deref()), ("ada", Some("Ada Lovelace")));
    let address = "ada@example.com".to_owned();
    assert!(profile.email == Some(Address { address, verified: true }));
}

#[tokio::test]
async fn another_attempts_token_is_refused() {
    assert_eq!(lie(saying(|claims| claims["nonce"] = json!("another")).await), Lie::Nonce);
    assert_eq!(lie(saying(|claims| claims["nonce"] = Value::Null).await), Lie::Nonce);
}

#[tokio::test]
async fn another_issuers_token_is_refused() {
    let outcome = saying(|claims| claims["iss"] = json!("https://accounts.google.com")).await;
    assert_eq!(lie(outcome), Lie::Issuer);
}

#[tokio::test]
async fn a_token_for_another_client_is_refused() {
    assert_eq!(lie(saying(|claims| claims["aud"] = json!("another")).await), Lie::Audience);
    assert_eq!(lie(saying(|claims| claims["aud"] = json!(["another"])).await), Lie::Audience);
}

#[tokio::test]
async fn a_token_for_several_says_to_whom_it_was_issued() {
    let several = |claims: &mut Value| claims["aud"] = json!(["saldo", "another"]);
    assert!(saying(several).await.is_ok());
    let another = |claims: &mut Value| claims["azp"] = json!("another");
    assert_eq!(lie(saying(another).await), Lie::AuthorizedParty);
    let unsaid = |claims: &mut Value| {
        claims["aud"] = json!(["saldo", "another"]);
        claims["azp"] = Value::Null;
    };
    assert_eq!(lie(saying(unsaid).await), Lie::AuthorizedParty);
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    assert_eq!(lie(saying(|claims| claims["exp"] = json!(now() - 61)).await), Lie::Expired);
    assert!(saying(|claims| claims["exp"] = json!(now() - 30)).await.is_ok());
}

#[tokio::test]
async fn a_token_of_another_time_is_refused() {
    assert_eq!(lie(saying(|claims| claims["iat"] = json!(now() + 120)).await), Lie::IssuedAt);
    assert_eq!(lie(saying(|claims| claims["iat"] = json!(now() - 120)).await), Lie::IssuedAt);
    assert!(saying(|claims| claims["iat"] = json!(now() - 30)).await.is_ok());
}

#[tokio::test]
async fn a_token_that_names_nobody_is_refused() {
    assert_eq!(lie(saying(|claims| claims["sub"] = json!("")).await), Lie::Subject);
    assert_eq!(lie(saying(|claims| claims["sub"] = json!("a".repeat(256))).await), Lie::Subject);
    assert_eq!(lie(saying(|claims| claims["sub"] = Value::Null).await), Lie::Malformed);
    assert_eq!(lie(saying(|claims| claims["exp"] = Value::Null).await), Lie::Malformed);
}

#[tokio::test]
async fn a_forged_signature_is_refused() {
    assert_eq!(lie(signed(How::Forged).await), Lie::Signature);
}

#[tokio::test]
async fn an_unsigned_token_is_refused() {
    // The library knows no algorithm `none`, and cannot read the header.
    assert_eq!(lie(signed(How::Not).await), Lie::Malformed);
}

#[tokio::test]
async fn a_token_signed_with_what_both_sides_know_is_refused() {
    assert_eq!(lie(signed(How::WithTheSecret).await), Lie::Algorithm);
}

#[tokio::test]
async fn a_token_with_a_header_that_must_be_understood_is_refused() {
    let critical = How::Saying(|header| header.crit = Some(vec!["b64".to_owned()]));
    assert_eq!(lie(signed(critical).await), Lie::Algorithm);
}

#[tokio::test]
async fn a_key_in_the_tokens_own_header_is_not_believed() {
    let key = How::Saying(|header| header.kid = Some("mine".to_owned()));
    assert_eq!(lie(signed(key).await), Lie::UnknownKey);
}

#[tokio::test]
async fn a_token_need_not_name_the_only_key() {
    assert!(signed(How::Saying(|header| header.kid = None)).await.is_ok());
    let issuer = issuer().await;
    issuer.world().signing.others = vec![Key::new("second").public()];
    issuer.world().signing.how = How::Saying(|header| header.kid = None);
    let outcome = sign_in(&issuer.providers(), Provider::Google).await;
    assert_eq!(lie(outcome), Lie::UnknownKey);
}

#[tokio::test]
async fn kinds_of_keys_that_nobody_knows_are_passed_over() {
    let issuer = issuer().await;
    let strange = json!({ "kty": "LATTICE", "crv": "9D", "kid": "strange" });
    issuer.world().signing.others = vec![strange, json!("not even an object")];
    assert!(sign_in(&issuer.providers(), Provider::Google).await.is_ok());
}

#[tokio::test]
async fn an_unverified_address_is_told_as_such() {
    for claim in [json!(false), Value::Null] {
        let issuer = issuer().await;
        let change = move |claims: &mut Value| claims["email_verified"] = claim.clone();
        issuer.world().signing.claims = Some(Box::new(change));
        let profile = sign_in(&issuer.providers(), Provider::Google).await.expect("somebody");
        assert!(profile.email.is_some_and(|email| !email.verified));
    }
}

#[tokio::test]
async fn new_keys_are_fetched_once_when_a_token_names_one() {
    let issuer = issuer().await;
    let providers = issuer.providers();
    assert!(sign_in(&providers, Provider::Google).await.is_ok());
    issuer.world().signing.key = Key::new("second");
    assert!(sign_in(&providers, Provider::Google).await.is_ok());
    assert!(sign_in(&providers, Provider::Google).await.is_ok());
    assert_eq!((issuer.calls("/keys"), issuer.calls("/token")), (2, 3));
}

#[tokio::test]
async fn what_all_need_is_fetched_once_for_all() {
    let issuer = issuer().await;
    let providers = issuer.providers();
    let each = (0..8).map(|_| sign_in(&providers, Provider::Google));
    let outcomes = futures_util::future::join_all(each).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let document = "/.well-known/openid-configuration";
    assert_eq!((issuer.calls(document), issuer.calls("/keys")), (1, 1));
}

#[tokio::test]
async fn a_document_of_another_issuer_is_refused() {
    let issuer = issuer().await;
    let change = |document: &mut Value| document["issuer"] = json!("https://accounts.google.com");
    issuer.world().signing.document = Some(Box::new(change));
    let outcome = issuer.providers().begin(Provider::Google, &back()).await;
    let expected = OauthError::Untrusted(Provider::Google, Lie::Discovery);
    assert_eq!(outcome.err(), Some(expected));
}

#[tokio::test]
async fn a_document_that_leads_to_where_anybody_can_read_is_refused() {
    for place in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        let issuer = issuer().await;
        let change = move |document: &mut Value| document[place] = json!("http://10.0.0.1/");
        issuer.world().signing.document = Some(Box::new(change));
        let outcome = issuer.providers().begin(Provider::Google, &back()).await;
        assert_eq!(outcome.err(), Some(OauthError::Unusable(Provider::Google)), "{place}");
    }
}

#[tokio::test]
async fn a_callback_of_another_issuer_brings_no_code_to_this_one() {
    for callback in [Callback::Lie, Callback::Nothing] {
        let issuer = issuer().await;
        issuer.world().signing.callback = callback;
        let outcome = sign_in(&issuer.providers(), Provider::Google).await;
        assert_eq!(lie(outcome), Lie::CallbackIssuer);
        assert_eq!(issuer.calls("/token"), 0);
    }
}

#[tokio::test]
async fn who_never_promised_to_say_its_name_need_not() {
    let issuer = issuer().await;
    let promise = "authorization_response_iss_parameter_supported";
    issuer.world().signing.document =
        Some(Box::new(move |document| document[promise] = json!(false)));
    let providers = issuer.providers();
    let (attempt, callback) = go(&providers, Provider::Google).await;
    let silent = Returned { iss: None, ..callback };
    assert!(providers.finish(&attempt, &silent).await.is_ok());
}
