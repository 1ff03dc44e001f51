//! What the description of the API says, and whether it is so: Postman reads the collection that is made of it; pages
//! show it.

#[path = "../shared/installed.rs"]
mod installed;
mod pages;
mod postman;
#[path = "../shared/skip.rs"]
mod skip;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "shared with the tests of the whole system")]
mod support;
