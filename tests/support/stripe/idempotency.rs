//! Idempotency keys: one key, one request, one answer.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::failure::Failure;

/// Stripe forgets a key after a day.
const KEPT: i64 = 24 * 3600;

#[derive(Default)]
pub struct Keys(HashMap<String, Kept>);

struct Kept {
    request: String,
    at: i64,
    busy_until: Option<Instant>,
    status: u16,
    body: Value,
}

/// What is known of a key.
pub enum Known {
    Nothing,
    Answer(u16, Value),
}

impl Keys {
    pub fn look(&mut self, key: &str, request: &str, now: i64) -> Result<Known, Failure> {
        self.0.retain(|_, kept| now - kept.at < KEPT);
        let Some(kept) = self.0.get(key) else { return Ok(Known::Nothing) };
        if kept.request != request {
            let message = format!(
                "Keys for idempotent requests can only be used with the same parameters they were \
                 first used with. '{key}' was used for another request."
            );
            return Err(Failure::new(400, "idempotency_error", None, &message));
        }
        if kept.busy_until.is_some_and(|until| Instant::now() < until) {
            let message = format!("Another request with the key '{key}' is still in progress.");
            let code = Some("idempotency_key_in_use");
            return Err(Failure::new(409, "invalid_request_error", code, &message));
        }
        Ok(Known::Answer(kept.status, kept.body.clone()))
    }

    /// Keeps an answer, in flight for some time.
    pub fn keep(
        &mut self,
        key: &str,
        request: &str,
        now: i64,
        (status, body): (u16, Value),
        busy: Option<Duration>,
    ) {
        let busy_until = busy.map(|busy| Instant::now() + busy);
        let kept = Kept { request: request.to_owned(), at: now, busy_until, status, body };
        self.0.insert(key.to_owned(), kept);
    }
}
