//! Money: what is on sale, who buys it, what was paid, and what became of that.
//!
//! Stripe is the truth about money, the log about credits. Whatever Stripe tells us is taken as
//! "this object has changed": the object is read, and what follows from its present state is asked of
//! the aggregates, which decide whether anything does.

mod cards;
pub mod changes;
pub mod checkout;
pub mod customers;
pub mod documents;
mod freezing;
pub mod heal;
pub mod inbox;
pub mod letters;
pub mod offers;
mod reading;
pub mod recharge;
pub mod reconcile;
pub mod refunds;
mod reversals;
pub mod settle;
pub mod subscribe;
mod subscribers;
pub mod subscriptions;

use axum::http::StatusCode;

use crate::app::App;
use crate::clients::stripe::{Stripe, StripeError};
use crate::error::{Problem, Result};
use crate::store::Metadata;

/// Stripe's client, where it is set up.
fn stripe(app: &App) -> Result<&Stripe> {
    app.stripe.as_ref().ok_or_else(|| {
        let detail = "nothing is sold here: STRIPE_SECRET_KEY is not set";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "billing_not_set_up", detail)
    })
}

/// What is written beside events that follow from Stripe's.
const STRIPE: &str = "stripe";
/// How often something is read anew because somebody else was there meanwhile.
const ATTEMPTS: usize = 10;

/// What stands beside events that follow from what Stripe says.
fn by(process: &str) -> Metadata {
    Metadata { actor: Some(process.to_owned()), ..Metadata::default() }
}

/// What the client is told when Stripe does not do something.
impl From<StripeError> for Problem {
    fn from(error: StripeError) -> Self {
        let (status, code) = match &error {
            StripeError::Declined { .. } => (StatusCode::PAYMENT_REQUIRED, "payment_declined"),
            StripeError::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            StripeError::Busy | StripeError::Unavailable | StripeError::Ambiguous => {
                (StatusCode::SERVICE_UNAVAILABLE, "stripe_unavailable")
            }
            StripeError::Invalid { .. } | StripeError::Refused | StripeError::Unusable { .. } => {
                (StatusCode::BAD_GATEWAY, "stripe_failed")
            }
        };
        let detail = match &error {
            StripeError::Declined { .. } => error.to_string(),
            _ => "Stripe did not do it: try again, nothing was charged twice".to_owned(),
        };
        let mut problem = Self::new(status, code, detail);
        problem.cause = Some(error.to_string());
        problem
    }
}
