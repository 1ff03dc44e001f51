//! Signatures of webhooks: HMAC-SHA-256 of id, time and body, by a secret that the receiver knows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use sha2::Sha256;

/// What secrets begin with, so that libraries and scanners know them.
const PREFIX: &str = "whsec_";
/// Bytes of a secret: as many as the hash has; 24 to 64 are allowed.
const LENGTH: usize = 32;

/// What a receiver checks signatures with: `whsec_` and Base64. It does not print.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct Secret(SecretString);

/// It is written down only where it is encrypted, and told its owner once.
impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose_secret())
    }
}

impl Secret {
    /// A new one; an error where the operating system gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; LENGTH];
        getrandom::fill(&mut bytes)?;
        Ok(Self(format!("{PREFIX}{}", BASE64.encode(bytes)).into()))
    }

    /// The signature of a message, `v1,` and Base64; none where this is no secret.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> Option<String> {
        let key = BASE64.decode(self.0.expose_secret().strip_prefix(PREFIX)?).ok()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
        Some(format!("v1,{}", BASE64.encode(mac.finalize().into_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
        let signed =
            secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(Secret("whsec_?".into()).sign("id", 0, ""), None);
    }

    #[test]
    fn no_two_secrets_are_alike_and_none_prints() {
        let [one, other] = [(); 2].map(|()| Secret::random().expect("random bytes"));
        assert_ne!(one.0.expose_secret(), other.0.expose_secret());
        assert!(!format!("{one:?}").contains(one.0.expose_secret()));
    }
}
