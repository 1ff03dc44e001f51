//! Webhooks: whether an event is Stripe's, and what it says.

use std::str;

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret, SecretString};
use stripe_webhook::{Webhook, WebhookError};

use super::event::{EventEnvelope, Malformed};
use crate::clock;

/// What a log is asked for: the library calls every event in an older shape an error, and such events
/// are read all the same.
pub const QUIET: &str = "stripe_webhook=off";

/// Why there is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// It is not signed by Stripe with a secret of ours: 400.
    #[error("the signature is not Stripe's")]
    Signature,
    /// It was signed more than five minutes ago, or will be: somebody repeats it, or a clock is wrong.
    /// 400; when Stripe sends it again, it signs it again.
    #[error("the signature is not of this time")]
    Timestamp,
    /// It is Stripe's, and is not as events are. Whoever took it keeps it and says thanks: with an
    /// error, Stripe would send it for days and then nothing any more.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

impl Rejected {
    /// Whether it came from Stripe all the same.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        match self {
            Self::Signature | Self::Timestamp => false,
            Self::Malformed(_) => true,
        }
    }
}

/// The event in a body that has this `Stripe-Signature`, made with any of our secrets: there are two
/// while one replaces the other.
pub fn verify(
    payload: &[u8],
    header: &str,
    secrets: &[SecretString],
) -> Result<EventEnvelope, Rejected> {
    verify_at(payload, header, secrets, clock::now())
}

/// The same, at another time.
pub fn verify_at(
    payload: &[u8],
    header: &str,
    secrets: &[SecretString],
    now: DateTime<Utc>,
) -> Result<EventEnvelope, Rejected> {
    // Stripe writes UTF-8.
    let text = str::from_utf8(payload).map_err(|_| Rejected::Signature)?;
    let mut rejected = Rejected::Signature;
    // Anybody can sign with an empty secret.
    for secret in secrets.iter().filter(|secret| !secret.expose_secret().trim().is_empty()) {
        let secret = secret.expose_secret();
        match Webhook::construct_event_with_timestamp(text, header, secret, now.timestamp()) {
            // It looks into the event only after the signature and the clock were found to be good.
            Ok(_) | Err(WebhookError::BadParse(_)) => return Ok(EventEnvelope::read(payload)?),
            Err(WebhookError::BadTimestamp(_)) => rejected = Rejected::Timestamp,
            Err(_) => {}
        }
    }
    Err(rejected)
}
