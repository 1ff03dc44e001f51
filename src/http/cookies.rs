//! Sessions in a browser: tokens in cookies that scripts cannot read, and a word that only scripts of
//! our own pages can send, so that no other site speaks in the person's name.

use aggregates::id::SessionId;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use cookie::{Cookie, SameSite};

use crate::accounts::challenges::EXCHANGE_LASTS;
use crate::clients::oauth::ATTEMPT_LASTS;
use crate::error::{Problem, Result};
use crate::keys::{Key, Keys};
use crate::store::hex;
use crate::tokens::{ACCESS_LASTS, REFRESH_LASTS};

/// Bound to this host, sent by HTTPS only (RFC 6265bis, 4.1.3.2).
const ACCESS: &str = "__Host-saldo_access";
const REFRESH: &str = "__Host-saldo_refresh";
/// Readable by our pages, which send it back as a header.
const CSRF: &str = "__Host-saldo_csrf";
/// Where they send it.
const CSRF_HEADER: &str = "x-csrf-token";

/// A cookie of a request.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut cookies = all.flat_map(|text| Cookie::split_parse(text.to_owned())).flatten();
    cookies.find(|cookie| cookie.name() == name).map(|cookie| cookie.value().to_owned())
}

/// The access token in a cookie.
pub(super) fn access(headers: &HeaderMap) -> Option<String> {
    cookie(headers, ACCESS)
}

/// The refresh token in a cookie.
pub(super) fn refresh(headers: &HeaderMap) -> Option<String> {
    cookie(headers, REFRESH)
}

/// The word for a session.
fn csrf(key: &Key, session: SessionId) -> String {
    hex(&key.hash(&format!("csrf\n{session}")))
}

/// A request that changes something and is signed in by a cookie must bring the session's word.
pub(super) fn check_csrf(parts: &Parts, keys: &Keys, session: SessionId) -> Result<()> {
    if [Method::GET, Method::HEAD, Method::OPTIONS].contains(&parts.method) {
        return Ok(());
    }
    check_csrf_header(&parts.headers, keys, session)
}

/// The same for a request that always changes something.
pub(super) fn check_csrf_header(
    headers: &HeaderMap,
    keys: &Keys,
    session: SessionId,
) -> Result<()> {
    let sent = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Both are hashes: comparing their hashes takes the same time for all.
    let is_right = |key: &Key| key.hash(sent) == key.hash(&csrf(key, session));
    if keys.refresh_tokens.all().iter().any(|dated| is_right(&dated.key)) {
        return Ok(());
    }
    Err(Problem::new(
        StatusCode::FORBIDDEN,
        "csrf",
        "a request that is signed in by a cookie must send the value of __Host-saldo_csrf as X-CSRF-Token",
    ))
}

/// Puts a session's tokens into cookies.
pub(super) fn set(
    headers: &mut HeaderMap,
    keys: &Keys,
    session: SessionId,
    access_token: String,
    refresh_token: String,
) {
    let minutes = |span: chrono::TimeDelta| cookie::time::Duration::minutes(span.num_minutes());
    let refresh_lasts = minutes(REFRESH_LASTS);
    let cookies = [
        base(ACCESS, access_token).http_only(true).max_age(minutes(ACCESS_LASTS)),
        base(REFRESH, refresh_token).http_only(true).max_age(refresh_lasts),
        base(CSRF, csrf(&keys.refresh_tokens.newest(), session)).max_age(refresh_lasts),
    ];
    append(headers, cookies.map(cookie::CookieBuilder::build));
}

/// What a browser keeps of a sign-in with a provider until it is back. The provider's page sends it
/// here, so that the strictest kind of cookie would not come along.
const ATTEMPT: &str = "__Host-saldo_attempt";

/// What was kept of a sign-in with a provider.
pub(super) fn attempt(headers: &HeaderMap) -> Option<String> {
    cookie(headers, ATTEMPT)
}

/// Keeps what was begun.
pub(super) fn set_attempt(headers: &mut HeaderMap, kept: String) {
    let lasts = cookie::time::Duration::minutes(ATTEMPT_LASTS.num_minutes());
    let cookie = base(ATTEMPT, kept).http_only(true).same_site(SameSite::Lax).max_age(lasts);
    append(headers, [cookie.build()]);
}

/// What a browser has that came back from a provider, beside the word in its address.
const RETURNED: &str = "__Host-saldo_returned";

/// What was kept of a return from a provider.
pub(super) fn returned(headers: &HeaderMap) -> Option<String> {
    cookie(headers, RETURNED)
}

/// Keeps what belongs to a return.
pub(super) fn set_returned(headers: &mut HeaderMap, kept: String) {
    let lasts = cookie::time::Duration::minutes(EXCHANGE_LASTS.num_minutes());
    append(headers, [base(RETURNED, kept).http_only(true).max_age(lasts).build()]);
}

/// Forgets it.
pub(super) fn clear_attempt(headers: &mut HeaderMap) {
    let cookie = base(ATTEMPT, String::new()).http_only(true).same_site(SameSite::Lax);
    append(headers, [cookie.max_age(cookie::time::Duration::ZERO).build()]);
}

/// Takes them out again.
pub(super) fn clear(headers: &mut HeaderMap) {
    let gone = |name| {
        let readable = name == CSRF;
        let cookie = base(name, String::new()).max_age(cookie::time::Duration::ZERO);
        cookie.http_only(!readable).build()
    };
    append(headers, [ACCESS, REFRESH, CSRF].map(gone));
}

fn base(name: &'static str, value: String) -> cookie::CookieBuilder<'static> {
    Cookie::build((name, value)).path("/").secure(true).same_site(SameSite::Strict)
}

fn append<const N: usize>(headers: &mut HeaderMap, cookies: [Cookie<'static>; N]) {
    for cookie in cookies {
        if let Ok(value) = HeaderValue::try_from(cookie.to_string()) {
            headers.append(SET_COOKIE, value);
        }
    }
}
