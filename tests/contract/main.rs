//! What the description of the API says, and whether it is so: pages show it.

mod pages;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the whole system")]
mod support;
