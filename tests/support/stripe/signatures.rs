//! How webhooks are wrapped: their signature, and what may be wrong about it.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::WEBHOOK_SECRET;

/// How webhooks are sent.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// Each signs; there are two while they are rotated.
    pub secrets: Vec<String>,
    /// When it says to be signed, in Unix seconds: now, if nothing else is said.
    pub at: Option<i64>,
    pub livemode: bool,
    /// The connected account that it says to be of.
    pub account: Option<String>,
    /// The body is changed after it was signed.
    pub tampered: bool,
    /// What `api_version` is said instead of the shape's.
    pub version: Option<String>,
}

impl Default for Envelope {
    fn default() -> Self {
        Self {
            secrets: vec![WEBHOOK_SECRET.to_owned()],
            at: None,
            livemode: false,
            account: None,
            tampered: false,
            version: None,
        }
    }
}

impl Envelope {
    /// The header and the body for an event.
    pub fn seal(&self, event: &Value) -> (String, String) {
        let mut event = event.clone();
        event["livemode"] = self.livemode.into();
        if let Some(account) = &self.account {
            event["account"] = account.as_str().into();
        }
        if let Some(version) = &self.version {
            event["api_version"] = version.as_str().into();
        }
        let body = serde_json::to_string_pretty(&event).expect("JSON is JSON");
        let header = signature(&self.secrets, self.at.unwrap_or_else(now), &body);
        if self.tampered {
            return (header, body.replacen("\"object\"", "\"Object\"", 1));
        }
        (header, body)
    }
}

/// The `Stripe-Signature` of a body.
pub fn signature(secrets: &[String], at: i64, body: &str) -> String {
    let mut header = format!("t={at}");
    for secret in secrets {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
        mac.update(format!("{at}.{body}").as_bytes());
        header.push_str(",v1=");
        for byte in mac.finalize().into_bytes() {
            write!(header, "{byte:02x}").expect("a string takes it");
        }
    }
    header
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_secs()).expect("before the sun burns out")
}
