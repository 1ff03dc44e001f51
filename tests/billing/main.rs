//! Buying, paying and taking back, through Stripe's double.

mod asking_faults;
mod catalogue;
mod changes;
mod consent;
mod customers;
mod decisions;
mod disputes;
mod healing;
mod histories;
mod implied;
mod kill;
mod letters;
mod limits;
mod live_keys;
mod lives;
#[path = "../support/llm/mod.rs"]
#[expect(dead_code, unused_imports, reason = "other tests use the rest")]
mod llm;
mod offers;
mod outages;
mod packs;
mod past_due;
mod payment_history;
mod plan_changes;
mod plan_histories;
mod plans;
mod quota;
mod recharge;
mod recharge_declines;
mod recharge_faults;
mod recharge_stops;
mod reconciliation;
mod refunds;
mod release;
mod replay;
mod reversals;
mod seeds;
mod shop;
mod sign_up;
mod standing;
#[path = "../support/stripe/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the tests of the double")]
mod stripe;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the whole system")]
mod support;
mod tampering;
mod tiers;
mod told;
mod trials;
mod webhooks;
#[path = "../sign_in/world.rs"]
#[expect(dead_code, reason = "shared with the tests of sign-in")]
mod world;
