//! Webhooks to customers' own systems, as those get them.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod endpoints;
mod erasure;
#[path = "../shared/installed.rs"]
mod installed;
mod kill;
#[path = "../shared/library.rs"]
mod library;
mod reach;
mod receiver;
mod retries;
mod sales;
#[path = "../billing/shop.rs"]
#[expect(dead_code, reason = "shared with the tests of billing")]
mod shop;
mod signatures;
#[path = "../shared/skip.rs"]
mod skip;
mod slow;
mod stopping;
#[path = "../support/stripe/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the tests of the double")]
mod stripe;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the whole system")]
mod support;
mod wallets;
mod webhook_house;
#[path = "../sign_in/world.rs"]
#[expect(dead_code, reason = "shared with the tests of sign-in")]
mod world;
