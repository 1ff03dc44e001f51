//! What goes wrong on the way to the API and back.

use std::time::Duration;

use serde_json::Value;

/// How a call goes wrong. "Before" leaves no trace; "after" has done what was asked.
#[derive(Clone, Debug)]
pub enum Fault {
    /// 429, with or without the seconds to wait.
    TooMany {
        retry_after: Option<u32>,
    },
    /// 500; nothing was done.
    FailsBefore,
    /// 500 in place of the answer; the same idempotency key is answered with it next time.
    FailsAfter,
    /// 500 after the effect, kept as the answer to the idempotency key, as Stripe may do.
    FailsForGood,
    /// 502 with a page of HTML from something in between; nothing was done.
    BadGateway,
    /// 409 `lock_timeout`: somebody else is at the object; nothing was done.
    Locked,
    ResetBefore,
    ResetAfter,
    /// Done at once, answered late. Until then the idempotency key is in flight.
    Slow(Duration),
    /// Any other answer; nothing was done.
    Says(u16, Value),
}

impl Fault {
    pub fn leaves_an_effect(&self) -> bool {
        matches!(self, Self::FailsAfter | Self::FailsForGood | Self::ResetAfter | Self::Slow(_))
    }
}

/// The faults to come, by path.
#[derive(Default)]
pub struct Faults(Vec<Planned>);

struct Planned {
    method: Option<String>,
    path: String,
    left: u32,
    fault: Fault,
}

impl Faults {
    /// `place` is how a path begins, with or without a method: `POST /v1/refunds`.
    pub fn plan(&mut self, place: &str, times: u32, fault: Fault) {
        let (method, path) = match place.split_once(' ') {
            Some((method, path)) => (Some(method.to_owned()), path),
            None => (None, place),
        };
        self.0.push(Planned { method, path: path.to_owned(), left: times, fault });
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn take(&mut self, method: &str, path: &str) -> Option<Fault> {
        let hit = self.0.iter_mut().find(|planned| {
            planned.left > 0
                && path.starts_with(&planned.path)
                && planned.method.as_deref().is_none_or(|wanted| wanted == method)
        })?;
        hit.left -= 1;
        Some(hit.fault.clone())
    }
}
