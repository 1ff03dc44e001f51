//! Signatures as Stripe makes them, made here.

use hmac::{Hmac, KeyInit, Mac};
use saldo::store::hex;
use sha2::Sha256;

/// The time at which the tests sign.
pub const NOW: i64 = 1_790_000_000;

/// The signature of a body at a time.
pub fn v1(secret: &str, time: i64, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key");
    mac.update(format!("{time}.{body}").as_bytes());
    hex(&mac.finalize().into_bytes())
}

/// The header of a body that is signed at a time.
pub fn header(secret: &str, time: i64, body: &str) -> String {
    format!("t={time},v1={}", v1(secret, time, body))
}
