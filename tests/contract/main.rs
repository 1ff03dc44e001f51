//! What the description of the API says, and whether it is so: schemathesis asks all that it allows, and all that it
//! does not; Postman reads the collection that is made of it; pages show it.

mod coverage;
#[path = "../shared/installed.rs"]
mod installed;
mod known;
#[path = "../shared/library.rs"]
mod library;
mod pages;
mod postman;
mod schemathesis;
#[path = "../operations/scrape.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod scrape;
#[path = "../billing/shop.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod shop;
#[path = "../shared/skip.rs"]
mod skip;
#[path = "../support/stripe/mod.rs"]
#[expect(dead_code, unused_imports, reason = "shared with the tests of the double")]
mod stripe;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the whole system")]
mod support;
#[path = "../sign_in/world.rs"]
#[expect(dead_code, reason = "shared with the tests of sign-in")]
mod world;
