//! Buying, paying and taking back, through Stripe's double.

mod catalogue;
mod changes;
mod customers;
mod histories;
mod kill;
mod letters;
mod offers;
mod outages;
mod packs;
mod past_due;
mod plan_changes;
mod plan_histories;
mod plans;
mod recharge;
mod recharge_declines;
mod recharge_faults;
mod recharge_stops;
mod reconciliation;
mod refunds;
mod release;
mod replay;
mod reversals;
mod shop;
mod standing;
#[path = "../support/stripe/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the tests of the double")]
mod stripe;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the whole system")]
mod support;
mod tampering;
mod webhooks;
#[path = "../sign_in/world.rs"]
#[expect(dead_code, reason = "shared with the tests of sign-in")]
mod world;
