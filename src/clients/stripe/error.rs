//! Why Stripe did not do something, and whether it perhaps did.

use ::stripe::{ApiErrors, ApiErrorsType, StripeError as Failure};

/// Why Stripe did not do something. No message holds a key, a client secret, or words of Stripe's
/// for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StripeError {
    /// The bank or Stripe says no to this payment. Nothing was charged.
    #[error("the payment was declined: {}", code.as_deref().unwrap_or("for no reason given"))]
    Declined {
        /// Why, such as `card_declined` or `authentication_required`.
        code: Option<String>,
        /// Why, as the bank says, such as `insufficient_funds`.
        decline_code: Option<String>,
        /// The payment that failed, where there is one.
        intent: Option<String>,
    },
    /// The request is wrong, or is not possible as things are. Nothing happened.
    #[error(
        "Stripe refuses the request: {}{}{}",
        code.as_deref().unwrap_or("for no reason given"),
        if param.is_some() { " in " } else { "" },
        param.as_deref().unwrap_or_default()
    )]
    Invalid {
        /// Why, such as `resource_missing`.
        code: Option<String>,
        /// What in the request.
        param: Option<String>,
    },
    /// There is no such object, or no longer.
    #[error("Stripe has no such object")]
    NotFound,
    /// Stripe does not accept our key for this. The operator's to change.
    #[error("Stripe refuses this server: look at STRIPE_SECRET_KEY and its rights")]
    Refused,
    /// Too many requests, or the object is in use, also after trying again. Nothing happened.
    #[error("Stripe is busy")]
    Busy,
    /// Stripe cannot be reached or fails. Nothing happened.
    #[error("Stripe does not answer")]
    Unavailable,
    /// Nobody knows whether it happened: ask again with the same key, or read the object.
    #[error("it is not known whether Stripe did it")]
    Ambiguous,
    /// The answer lacks a field, or has something else in it. What was asked for has happened.
    #[error("the answer of Stripe is not usable: {field}")]
    Unusable {
        /// Where.
        field: String,
    },
}

/// An attempt that failed.
pub(super) struct Attempt {
    pub(super) error: StripeError,
    /// Whether another attempt may end otherwise.
    pub(super) again: bool,
    /// Whether it perhaps happened all the same.
    pub(super) unknown: bool,
}

/// The code of a key that was used for another request.
const KEY_REUSED: &str = "idempotency_error";

impl StripeError {
    /// Whether the key was used for another request: nothing happened now, whatever did then.
    #[must_use]
    pub fn is_key_reused(&self) -> bool {
        matches!(self, Self::Invalid { code: Some(code), .. } if code == KEY_REUSED)
    }

    pub(super) fn unusable(field: impl Into<String>) -> Self {
        Self::Unusable { field: field.into() }
    }

    /// A parameter that cannot be sent.
    pub(super) fn param(param: &str) -> Self {
        Self::Invalid { code: None, param: Some(param.to_owned()) }
    }

    /// What is to be said of a call that would have changed something, when an attempt of it perhaps
    /// did: only an answer about the call itself says more than that.
    pub(super) fn after_unknown(self) -> Self {
        match self {
            Self::Refused | Self::Busy | Self::Unavailable => Self::Ambiguous,
            told @ (Self::Declined { .. }
            | Self::Invalid { .. }
            | Self::NotFound
            | Self::Ambiguous
            | Self::Unusable { .. }) => told,
        }
    }
}

impl Attempt {
    pub(super) fn of(failure: &Failure) -> Self {
        match failure {
            Failure::Stripe(told, status) => Self::told(told, *status),
            // Nothing was sent.
            Failure::ConfigError(_) => Self::last(StripeError::Refused),
            Failure::ClientError(what) if what.contains("(Connect)") => {
                Self::passing(StripeError::Unavailable)
            }
            // An answer in the middle of which the connection broke, or an error that is not JSON.
            Failure::ClientError(_) | Failure::JSONDeserialize(_) | Failure::Timeout => {
                Self::unknown(StripeError::Unavailable)
            }
        }
    }

    fn told(told: &ApiErrors, status: u16) -> Self {
        let code = told.code.as_ref().and_then(|code| word(code.as_str()));
        match (status, &told.type_) {
            (401 | 403, _) => Self::last(StripeError::Refused),
            (404, _) => Self::last(StripeError::NotFound),
            // The same request is under way: an attempt before this one, if anybody's.
            (409, _) if code.as_deref() == Some("idempotency_key_in_use") => {
                Self::unknown(StripeError::Busy)
            }
            (409 | 429, _) => Self::passing(StripeError::Busy),
            (424 | 500.., _) => Self::unknown(StripeError::Unavailable),
            (402, _) | (_, ApiErrorsType::CardError) => Self::last(StripeError::Declined {
                code,
                decline_code: told.decline_code.as_deref().and_then(word),
                intent: told.payment_intent.as_ref().map(|intent| intent.id.to_string()),
            }),
            (_, ApiErrorsType::IdempotencyError) => {
                Self::last(StripeError::Invalid { code: Some(KEY_REUSED.to_owned()), param: None })
            }
            _ => Self::last(StripeError::Invalid {
                code,
                param: told.param.as_deref().and_then(word),
            }),
        }
    }

    fn last(error: StripeError) -> Self {
        Self { error, again: false, unknown: false }
    }

    fn passing(error: StripeError) -> Self {
        Self { error, again: true, unknown: false }
    }

    fn unknown(error: StripeError) -> Self {
        Self { error, again: true, unknown: true }
    }
}

/// A code or the name of a parameter; what is anything else is not repeated.
pub(super) fn word(text: &str) -> Option<String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "_-.[]".contains(c);
    let short = !text.is_empty() && text.len() <= 100;
    (short && text.chars().all(is_word)).then(|| text.to_owned())
}
