//! How Stripe is doing, by what the last calls met: nobody is asked for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::StripeError;

/// How Stripe is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StripeHealth {
    /// Calls in a row that Stripe did not answer, or did not let this server make.
    pub failures: u32,
    /// Why the last of them failed.
    pub error: Option<StripeError>,
}

/// What calls met.
#[derive(Clone, Default)]
pub(super) struct Seen(Arc<Mutex<StripeHealth>>);

impl Seen {
    fn health(&self) -> MutexGuard<'_, StripeHealth> {
        // What is in there is whole between any two lines.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stripe that says no is well.
    pub(super) fn note<T>(&self, ended: &Result<T, StripeError>) {
        let mut health = self.health();
        let failed = match ended {
            Err(
                error @ (StripeError::Refused
                | StripeError::Busy
                | StripeError::Unavailable
                | StripeError::Ambiguous),
            ) => Some(error.clone()),
            Err(_) | Ok(_) => None,
        };
        health.failures = if failed.is_some() { health.failures.saturating_add(1) } else { 0 };
        health.error = failed;
    }

    pub(super) fn now(&self) -> StripeHealth {
        self.health().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_are_counted_and_a_no_of_stripes_is_none() {
        let seen = Seen::default();
        seen.note::<()>(&Err(StripeError::Unavailable));
        seen.note::<()>(&Err(StripeError::Refused));
        assert_eq!(seen.now(), StripeHealth { failures: 2, error: Some(StripeError::Refused) });
        seen.note::<()>(&Err(StripeError::NotFound));
        assert_eq!(seen.now(), StripeHealth::default());
    }
}
