//! Calls: tried again while that helps, with one key and an end.

use std::time::Duration;

use ::stripe::{ApiErrorsCode, IdempotencyKey, RequestStrategy, StripeRequest};
use miniserde::json::Value as Sent;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::error::{Attempt, StripeError};
use super::fields::Fields;
use super::{Link, Stripe};

/// How often something is tried: what four pauses have not mended takes a queue's patience.
const ATTEMPTS: u32 = 5;
/// How much longer a call may take than an attempt.
const PATIENCE: u32 = 3;
/// The first pause, as a part of the time an attempt may take: half a second of twenty.
const FIRST_PAUSE: u32 = 40;
/// The longest pause, in the same way: five seconds of twenty.
const LONGEST_PAUSE: u32 = 4;
/// How many objects a page has: the most that Stripe gives.
pub(super) const PAGE: i64 = 100;
/// How many pages are read of one list: a hundred thousand objects are a mistake.
const PAGES: u32 = 1000;

/// What is left of a call's time.
struct Patience {
    ends: Instant,
    timeout: Duration,
    pause: Duration,
    tries: u32,
}

impl Stripe {
    /// What something is now.
    pub(super) async fn read<R>(&self, request: &R) -> Result<Value, StripeError>
    where
        R: StripeRequest + Sync,
    {
        self.send(request, RequestStrategy::Once, false).await
    }

    /// Changes something, once for each key.
    pub(super) async fn write<R>(&self, request: &R, key: &str) -> Result<Value, StripeError>
    where
        R: StripeRequest + Sync,
    {
        let printable = key.bytes().all(|byte| byte.is_ascii_graphic());
        let key = IdempotencyKey::new(key).ok().filter(|_| printable);
        let key = key.ok_or_else(|| StripeError::param("idempotency_key"))?;
        self.send(request, RequestStrategy::Idempotent(key), true).await
    }

    /// Changes something to where it may be already: Stripe takes keys with `POST` only.
    pub(super) async fn delete<R>(&self, request: &R) -> Result<Value, StripeError>
    where
        R: StripeRequest + Sync,
    {
        self.send(request, RequestStrategy::Once, true).await
    }

    /// A page of a list, and after which object the next one begins, where there is one.
    pub(super) async fn page<R>(
        &self,
        request: &R,
    ) -> Result<(Vec<Value>, Option<String>), StripeError>
    where
        R: StripeRequest + Sync,
    {
        let mut answer = self.read(request).await?;
        let more: bool = Fields::of(&answer)?.required("has_more")?;
        let Some(Value::Array(data)) = answer.get_mut("data").map(Value::take) else {
            return Err(StripeError::unusable("data"));
        };
        if !more {
            return Ok((data, None));
        }
        let last = data.last().ok_or_else(|| StripeError::unusable("data"))?;
        let next = Fields::of(last)?.id()?;
        Ok((data, Some(next)))
    }

    /// All objects of a list: `page` asks for those after an object.
    pub(super) async fn all<R>(
        &self,
        page: impl Fn(Option<String>) -> R,
    ) -> Result<Vec<Value>, StripeError>
    where
        R: StripeRequest + Sync,
    {
        self.gather(page, |object| Ok(object.clone())).await
    }

    /// What is read of each object of a list.
    pub(super) async fn gather<R, T>(
        &self,
        page: impl Fn(Option<String>) -> R,
        read: impl Fn(&Value) -> Result<T, StripeError>,
    ) -> Result<Vec<T>, StripeError>
    where
        R: StripeRequest + Sync,
    {
        let (mut gathered, mut after) = (Vec::new(), None);
        for _ in 0..PAGES {
            let (data, next) = self.page(&page(after)).await?;
            for object in &data {
                gathered.push(read(object)?);
            }
            if next.is_none() {
                return Ok(gathered);
            }
            after = next;
        }
        Err(StripeError::unusable("has_more"))
    }

    async fn send<R>(
        &self,
        request: &R,
        strategy: RequestStrategy,
        changes: bool,
    ) -> Result<Value, StripeError>
    where
        R: StripeRequest + Sync,
    {
        let ended = self.persist(request, strategy, changes).await;
        self.seen.note(&ended);
        ended
    }

    async fn persist<R>(
        &self,
        request: &R,
        strategy: RequestStrategy,
        changes: bool,
    ) -> Result<Value, StripeError>
    where
        R: StripeRequest + Sync,
    {
        let mut patience = Patience::begin(self.timeout);
        let mut unknown = false;
        loop {
            let attempt = request.build().customize::<Sent>().request_strategy(strategy.clone());
            let attempt = attempt.timeout(patience.for_this_attempt()).send(&self.client);
            let failure = match attempt.await {
                Ok(answer) => return translated(&answer),
                Err(failure) => failure,
            };
            let Attempt { error, again, unknown: this_one } = Attempt::of(&failure);
            tell(&failure, patience.tries);
            unknown |= this_one;
            match patience.next_pause().filter(|_| again) {
                Some(pause) => sleep(pause).await,
                None if changes && unknown => return Err(error.after_unknown()),
                None => return Err(error),
            }
        }
    }
}

impl Patience {
    fn begin(timeout: Duration) -> Self {
        let ends = Instant::now() + timeout * PATIENCE;
        Self { ends, timeout, pause: timeout / FIRST_PAUSE, tries: 1 }
    }

    fn for_this_attempt(&self) -> Duration {
        self.timeout.min(self.ends.saturating_duration_since(Instant::now()))
    }

    /// How long to wait before another attempt, if there may be one. Of different length for each
    /// caller: those who failed together do not come back together.
    fn next_pause(&mut self) -> Option<Duration> {
        let pause = self.pause / 2 + self.pause * u32::from(chance()) / 512;
        let left = self.ends.saturating_duration_since(Instant::now());
        if self.tries == ATTEMPTS || pause >= left {
            return None;
        }
        self.tries += 1;
        self.pause = (self.pause * 2).min(self.timeout / LONGEST_PAUSE);
        Some(pause)
    }
}

/// A number by chance; without any, the one in the middle.
fn chance() -> u8 {
    let mut byte = [128];
    // A pause need not be secret.
    let _ = getrandom::fill(&mut byte);
    byte[0]
}

/// An id that goes into a path or a query: Stripe's have letters, digits and underscores.
pub(super) fn id<'a>(param: &str, id: &'a str) -> Result<&'a str, StripeError> {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let good = !id.is_empty() && id.len() <= 255 && id.bytes().all(safe);
    if good { Ok(id) } else { Err(StripeError::param(param)) }
}

/// The address of a page that was made.
pub(super) fn link(answer: &Value) -> Result<Link, StripeError> {
    Fields::of(answer)?.required("url")
}

/// The answer in the JSON of the house.
fn translated(answer: &Sent) -> Result<Value, StripeError> {
    let text = miniserde::json::to_string(answer);
    serde_json::from_str(&text).map_err(|_| StripeError::unusable("object"))
}

/// Logs a failure by what helps to find it at Stripe. Its texts may hold what is secret.
fn tell(failure: &::stripe::StripeError, tries: u32) {
    let ::stripe::StripeError::Stripe(told, status) = failure else {
        tracing::warn!(tries, "Stripe does not answer");
        return;
    };
    tracing::warn!(
        tries,
        status,
        code = told.code.as_ref().map(ApiErrorsCode::as_str),
        decline_code = told.decline_code,
        param = told.param,
        request_log_url = told.request_log_url,
        "Stripe says no"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_id_does_not_get_into_a_path() {
        assert_eq!(id("session", "cs_test_a1B2"), Ok("cs_test_a1B2"));
        for bad in ["", "..", "cs_1/expire", "cs_1?expand[]=customer", "cs 1", "cs_ü"] {
            assert_eq!(id("session", bad), Err(StripeError::param("session")), "{bad}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut patience = Patience::begin(Duration::from_secs(20));
        let pauses: Vec<_> = std::iter::from_fn(|| patience.next_pause()).collect();
        assert_eq!(pauses.len(), 4);
        for (pause, longest) in pauses.iter().zip([500, 1000, 2000, 4000]) {
            let longest = Duration::from_millis(longest);
            assert!(*pause >= longest / 2 && *pause <= longest, "{pause:?}");
        }
    }
}
