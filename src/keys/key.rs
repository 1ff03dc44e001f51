//! One key: what it seals, opens and hashes.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as URL_SAFE};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::store::{CodecError, hex, open, seal};

/// A key and the id it is recorded under: the first half of its hash, in hexadecimal. Cheap to clone.
#[derive(Clone)]
pub struct Key {
    /// The id.
    pub id: String,
    bytes: Arc<SecretBox<[u8; 32]>>,
}

/// A key that is used from some time on; by then every node has it.
#[derive(Clone)]
pub struct DatedKey {
    /// The key.
    pub key: Key,
    /// From when on it makes what is new.
    pub from: DateTime<Utc>,
}

impl Key {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        let id = hex(&Sha256::digest(bytes)[..8]);
        Self { id, bytes: Arc::new(SecretBox::new(Box::new(bytes))) }
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        BASE64.decode(text).ok()?.try_into().ok().map(Self::new)
    }

    /// The secret bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        self.bytes.expose_secret()
    }

    /// What `open` reads again, with this key and the same `place` only; the key's id stands in
    /// front.
    pub fn seal<T: Serialize>(&self, place: &str, value: &T) -> Result<String, CodecError> {
        let sealed = seal(self.expose(), place.as_bytes(), &serde_json::to_vec(value)?)?;
        Ok(format!("{}.{}", self.id, URL_SAFE.encode(sealed)))
    }

    /// What was sealed with this key for this place.
    pub fn open<T: DeserializeOwned>(&self, place: &str, sealed: &str) -> Result<T, CodecError> {
        let sealed = sealed
            .strip_prefix(&self.id)
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|sealed| URL_SAFE.decode(sealed).ok())
            .ok_or(CodecError::Undecryptable)?;
        Ok(serde_json::from_slice(&open(self.expose(), place.as_bytes(), &sealed)?)?)
    }

    /// The keyed hash of a text.
    #[must_use]
    pub fn hash(&self, text: &str) -> [u8; 32] {
        self.mac(text).finalize().into_bytes().into()
    }

    /// Whether it is the keyed hash of this text; how long the answer takes tells nothing.
    #[must_use]
    pub fn is_hash(&self, text: &str, hash: &[u8]) -> bool {
        self.mac(text).verify_slice(hash).is_ok()
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.expose()).expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_for_one_place_is_nothing_at_another() {
        let (key, other) = (Key::new([1; 32]), Key::new([2; 32]));
        let sealed = key.seal("identity/1", &"a token").expect("sealed");
        assert_eq!(key.open::<String>("identity/1", &sealed).expect("opened"), "a token");
        assert!(key.open::<String>("identity/2", &sealed).is_err());
        assert!(other.open::<String>("identity/1", &sealed).is_err());
        let renamed = sealed.replacen(&key.id, &other.id, 1);
        assert!(other.open::<String>("identity/1", &renamed).is_err());
    }
}
