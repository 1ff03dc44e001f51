//! Coming in, staying in and getting out, as a client meets it.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod account;
mod api_keys;
#[path = "../oauth/browser.rs"]
#[expect(dead_code, reason = "shared with the tests of the providers' clients")]
mod browser;
mod codes;
mod delivery;
#[path = "../oauth/double.rs"]
#[expect(dead_code, reason = "shared with the tests of the providers' clients")]
mod double;
#[path = "../shared/installed.rs"]
#[expect(dead_code, reason = "shared with other tests")]
mod installed;
#[path = "../oauth/keys.rs"]
mod keys;
mod limits;
mod linked;
mod links;
mod lookup;
#[path = "../shared/neighbour.rs"]
mod neighbour;
#[path = "../oauth/node.rs"]
#[expect(dead_code, reason = "shared with the tests of the providers' clients")]
mod node;
mod old_keys;
mod passwords;
#[path = "../messages/provider.rs"]
mod provider;
mod provider_tokens;
mod providers;
mod rehashing;
mod restored;
mod rewrapping;
mod rotation;
mod sessions;
#[path = "../oauth/signing.rs"]
#[expect(dead_code, reason = "shared with the tests of the providers' clients")]
mod signing;
#[path = "../shared/skip.rs"]
mod skip;
#[path = "../messages/smtp.rs"]
#[expect(dead_code, reason = "shared with the tests of mail")]
mod smtp;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the whole system")]
mod support;
mod world;
