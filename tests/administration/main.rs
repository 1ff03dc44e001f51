//! Who may do what, and what administrators do: real servers, real Postgres, Stripe's double.

mod authorization;
mod credits;
mod declines;
mod events;
mod jobs;
mod matrix;
mod read_models;
#[path = "../billing/shop.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod shop;
mod standing;
#[path = "../support/stripe/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the tests of the double")]
mod stripe;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the whole system")]
mod support;
mod things;
mod users;
mod verifications;
#[path = "../sign_in/world.rs"]
#[expect(dead_code, reason = "shared with the tests of sign-in")]
mod world;
