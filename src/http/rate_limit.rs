//! How often the API may be asked: by a person, by a key, by an address that says nothing of who asks.
//!
//! Whoever is known is counted where they become known; all others by their address: before the work, where
//! they bring nothing to be known by, else after it, so that what is not valid, or not asked for, lets nobody
//! through.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aggregates::id::{ApiKeyId, UserId};
use axum::extract::Request;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::runtime::Handle;

use super::cookies;
use super::visitor::ClientAddress;
use crate::app::App;
use crate::error::Problem;
use crate::rates::{Standing, Verdict, Window};
use crate::store::hex;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// For a person, and for an address.
const GENERAL: [Window; 2] = [Window::new("minute", 60, MINUTE), Window::new("hour", 1000, HOUR)];
/// For a person's AI calls, besides.
const AI: Window = Window::new("ai", 20, MINUTE);
/// What is not counted: who looks after the server, and Stripe, which must not lose a word.
const EXEMPT: [&str; 5] = ["/livez", "/readyz", "/healthz", "/metrics", "/api/v1/webhooks/stripe"];
/// IPv6 is given out by networks of this many bits: a house has one, with more addresses than there is to count.
const NETWORK: u32 = 64;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Where a request stands, once it was counted, and who asks, once they are known.
#[derive(Clone)]
pub(super) struct Admission {
    known: Arc<Known>,
    /// Whether it may ask models, or wants to know of what they said.
    is_of_ai: bool,
}

#[derive(Default)]
struct Known {
    verdict: OnceLock<Verdict>,
    asker: OnceLock<Asker>,
    /// Whether somebody looks who asks, and counts them to the end, also where they hang up.
    is_looked_up: AtomicBool,
}

/// Who asks: a person, and by which key, where not in person.
#[derive(Clone, Copy)]
pub(super) struct Asker {
    pub(super) user: UserId,
    pub(super) key: Option<ApiKeyId>,
}

/// A request that is let in, before it is answered.
pub(super) struct Gate {
    app: App,
    admission: Admission,
    address: IpAddr,
    is_counted: bool,
    /// Whether it brings something to be known by.
    may_be_known: bool,
}

impl Gate {
    /// Has the request counted from now on.
    pub(super) fn new(app: &App, request: &mut Request) -> Self {
        let path = request.uri().path();
        let is_of_ai = path.starts_with("/api/v1/ai/") || path.starts_with("/v1/");
        let admission = Admission { known: Arc::default(), is_of_ai };
        let is_exempt = EXEMPT.contains(&path) || path.starts_with("/healthz/");
        let is_counted = app.settings.rate_limits && !is_exempt;
        let address = request.extensions().get::<ClientAddress>();
        let address = address.map_or(Ipv4Addr::UNSPECIFIED.into(), |ClientAddress(it)| *it);
        let headers = request.headers();
        let brings = headers.contains_key(AUTHORIZATION) || cookies::access(headers).is_some();
        let may_be_known = brings && asks_who(path);
        request.extensions_mut().insert(admission.clone());
        Self { app: app.clone(), admission, address, is_counted, may_be_known }
    }

    /// Counts whoever brings nothing to be known by; 429, where that is one too many.
    pub(super) async fn enter(&self) -> Result<(), Problem> {
        if self.may_be_known {
            return Ok(());
        }
        self.count_address().await
    }

    /// Counts whoever has not become known meanwhile; 429, where that is one too many. What was done is told
    /// all the same: nobody could know of it otherwise.
    pub(super) async fn leave(&self, answer: StatusCode) -> Result<(), Problem> {
        if self.admission.known.verdict.get().is_some() {
            return Ok(());
        }
        let counted = self.count_address().await;
        if answer.is_client_error() { counted } else { Ok(()) }
    }

    async fn count_address(&self) -> Result<(), Problem> {
        if !self.is_counted {
            return Ok(());
        }
        self.admission.count_address(&self.app, self.address).await
    }

    /// Who asks, where that has become known.
    pub(super) fn asker(&self) -> Option<Asker> {
        self.admission.known.asker.get().copied()
    }

    /// Tells where the request stands: the fields of draft-ietf-httpapi-ratelimit-headers.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        let Some(Verdict { standings, .. }) = self.admission.known.verdict.get() else { return };
        let all = |item: fn(&Standing) -> String| {
            standings.iter().map(item).collect::<Vec<_>>().join(", ")
        };
        let policy = all(|standing| {
            let Window { name, most, within } = standing.window;
            format!("\"{name}\";q={most};w={}", within.as_secs())
        });
        let limit = all(|standing| {
            let (name, left) = (standing.window.name, standing.left);
            format!("\"{name}\";r={left};t={}", seconds(standing.more_in))
        });
        for (header, value) in [(RATE_LIMIT_POLICY, policy), (RATE_LIMIT, limit)] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(header, value);
            }
        }
    }
}

/// Whether a route looks who asks. Those of signing in do not: whoever comes there is counted at the door.
fn asks_who(path: &str) -> bool {
    let signs_in = path.starts_with("/api/v1/auth/");
    path.starts_with("/v1/") || path.starts_with("/api/v1/") && !signs_in
}

/// Who is counted.
struct Who<T> {
    /// Among whom.
    kind: &'static str,
    id: T,
}

/// Who hangs up before anybody knows them is counted all the same: what they asked for was begun.
impl Drop for Gate {
    fn drop(&mut self) {
        let known = &self.admission.known;
        let is_done = known.verdict.get().is_some() || known.is_looked_up.load(Ordering::Relaxed);
        // Where the server is gone, nothing is counted any more.
        if is_done || !self.is_counted || Handle::try_current().is_err() {
            return;
        }
        let (app, admission, address) = (self.app.clone(), self.admission.clone(), self.address);
        #[expect(clippy::disallowed_methods, reason = "ends when it is counted")]
        tokio::spawn(async move {
            // Nobody is there to be refused.
            let _ = admission.count_address(&app, address).await;
        });
    }
}

impl Admission {
    /// For somebody who is going to look who asks, and to count them, whether they wait for it or not.
    pub(super) fn taken_over(parts: &Parts) -> Option<Self> {
        let admission = parts.extensions.get::<Self>().cloned()?;
        admission.known.is_looked_up.store(true, Ordering::Relaxed);
        Some(admission)
    }

    async fn count(
        &self,
        app: &App,
        Who { kind, id }: Who<impl Display>,
        windows: &[Window],
    ) -> Result<(), Problem> {
        let verdict = app.rates.count(&format!("{kind}/{id}"), windows).await;
        let refused = (!verdict.passes).then(|| verdict.retry_after());
        // Nobody is counted twice: the first verdict stands.
        let _ = self.known.verdict.set(verdict);
        let Some(wait) = refused else { return Ok(()) };
        Err(too_many(app, kind, wait))
    }
}

impl Admission {
    async fn count_address(&self, app: &App, address: IpAddr) -> Result<(), Problem> {
        // Where from is personal data, and is written down nowhere.
        let network = network(address).to_string();
        let id = hex(&app.keys.lookup.hash(&format!("rate\n{network}"))[..16]);
        self.count(app, Who { kind: "address", id }, &GENERAL).await
    }
}

pub(super) fn too_many(app: &App, kind: &'static str, wait: Duration) -> Problem {
    app.counters.limited.add([kind], 1);
    let mut problem = Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "rate_limited",
        "there were too many requests: wait for Retry-After, and look at RateLimit-Policy",
    );
    problem.retry_after = u32::try_from(seconds(wait).max(1)).ok();
    problem
}

/// Takes note of a person who has become known, and counts them.
pub(super) async fn count_person(app: &App, parts: &Parts, user: UserId) -> Result<(), Problem> {
    let [minute, hour] = GENERAL;
    let admission = parts.extensions.get::<Admission>().cloned();
    let is_of_ai = admission.as_ref().is_some_and(|admission| admission.is_of_ai);
    let windows: &[Window] = if is_of_ai { &[minute, hour, AI] } else { &GENERAL };
    let asker = Asker { user, key: None };
    count(app, admission, asker, Who { kind: "person", id: user }, windows).await
}

/// Takes note of a person whose key has become known, and counts the key.
pub(super) async fn count_key(
    app: &App,
    admission: Option<Admission>,
    user: UserId,
    key: ApiKeyId,
    per_second: u32,
) -> Result<(), Problem> {
    let window = Window::new("second", per_second, SECOND);
    let asker = Asker { user, key: Some(key) };
    count(app, admission, asker, Who { kind: "key", id: key }, &[window]).await
}

async fn count(
    app: &App,
    admission: Option<Admission>,
    asker: Asker,
    who: Who<impl Display>,
    windows: &[Window],
) -> Result<(), Problem> {
    // A request is known by its gate; where none is, nothing of the API was asked.
    let Some(admission) = admission else { return Ok(()) };
    // Whoever was known first asks.
    let _ = admission.known.asker.set(asker);
    if !app.settings.rate_limits || admission.known.verdict.get().is_some() {
        return Ok(());
    }
    admission.count(app, who, windows).await
}

/// Whose address it is, as far as can be told: an IPv6 address stands for its network.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let kept = u128::from(address) >> (128 - NETWORK) << (128 - NETWORK);
            Ipv6Addr::from(kept).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// Whole seconds, never fewer.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_stands_for_its_network_and_a_mapped_one_for_itself() {
        let network = |address: &str| network(address.parse().expect("an address")).to_string();
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2:ffff::"), "2001:db8:1:2::");
        assert_eq!(network("203.0.113.9"), "203.0.113.9");
        assert_eq!(network("::ffff:203.0.113.9"), "203.0.113.9");
    }
}
