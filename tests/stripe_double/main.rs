//! The double of Stripe, as an application meets it.

mod checkout;
mod faults;
mod histories;
mod requests;
mod resources;
mod reversals;
#[expect(dead_code, unused_imports, reason = "it has levers for other tests, too")]
#[path = "../support/stripe/mod.rs"]
mod stripe;
mod subscriptions;
mod support;
mod webhooks;
