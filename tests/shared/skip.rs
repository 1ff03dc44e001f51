//! How a test says that it could not run.

use std::io::Write;
use std::sync::atomic::{AtomicU32, Ordering};

static SKIPPED: AtomicU32 = AtomicU32::new(0);

/// Says that a test could not run here, and why, past libtest, which captures only what the print
/// macros say. Where `CI` is set, nothing may be missing.
pub fn skip(why: &str) {
    let number = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let why: Vec<_> = why.split_whitespace().collect();
    let line = format!("skipped ({number} so far): {test}: {}", why.join(" "));
    writeln!(std::io::stderr(), "{line}").expect("stderr is open");
    assert!(std::env::var_os("CI").is_none(), "{line}");
}
