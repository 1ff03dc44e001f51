//! The double of Stripe, as an application meets it.

mod checkout;
mod client;
mod faults;
mod histories;
#[path = "../shared/installed.rs"]
mod installed;
mod node;
mod requests;
mod resources;
mod reversals;
mod schema;
#[path = "../shared/skip.rs"]
mod skip;
mod spec;
#[expect(dead_code, unused_imports, reason = "it has levers for other tests, too")]
#[path = "../support/stripe/mod.rs"]
mod stripe;
mod subscriptions;
mod support;
mod webhooks;
