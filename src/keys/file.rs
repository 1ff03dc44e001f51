//! The keys as the file has them. A purpose that had one key only may have it as a text.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use super::key::Key;
use super::{FILE, KeysError, Purpose, proof_key};
use crate::store::heads::HeadKey;

#[derive(Serialize, Deserialize)]
pub(super) struct Stored {
    #[serde(deserialize_with = "dated")]
    pub(super) access_tokens: Vec<StoredKey>,
    #[serde(deserialize_with = "dated")]
    pub(super) refresh_tokens: Vec<StoredKey>,
    #[serde(deserialize_with = "dated")]
    pub(super) key_encryption: Vec<StoredKey>,
    #[serde(deserialize_with = "dated")]
    pub(super) heads: Vec<StoredKey>,
    /// What is left of keys that sign heads no more.
    #[serde(default)]
    pub(super) past_heads: Vec<StoredPublic>,
    #[serde(deserialize_with = "dated")]
    pub(super) lookup: Vec<StoredKey>,
    /// What proofs of API keys are still made of, though the keys that it follows from are gone.
    #[serde(default)]
    pub(super) past_proofs: Vec<String>,
    #[serde(deserialize_with = "dated")]
    pub(super) sealing: Vec<StoredKey>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct StoredKey {
    pub(super) key: String,
    pub(super) from: DateTime<Utc>,
}

/// The public half of a key.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredPublic {
    pub(super) id: String,
    pub(super) public: String,
}

impl StoredPublic {
    pub(super) fn decode(&self) -> Option<[u8; 32]> {
        BASE64.decode(&self.public).ok()?.try_into().ok()
    }
}

fn dated<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<StoredKey>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(String),
        Many(Vec<StoredKey>),
    }
    Ok(match OneOrMany::deserialize(from)? {
        OneOrMany::One(key) => vec![StoredKey { key, from: DateTime::UNIX_EPOCH }],
        OneOrMany::Many(keys) => keys,
    })
}

impl Stored {
    pub(super) fn generate() -> Result<Self, KeysError> {
        let first = || Ok(vec![StoredKey { key: random()?, from: DateTime::UNIX_EPOCH }]);
        Ok(Self {
            access_tokens: first()?,
            refresh_tokens: first()?,
            key_encryption: first()?,
            heads: first()?,
            past_heads: vec![],
            lookup: first()?,
            past_proofs: vec![],
            sealing: first()?,
        })
    }

    pub(super) fn read(path: &Path) -> Result<Self, KeysError> {
        let failed = |source| KeysError::File { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeysError::Exposed { path: path.to_owned() });
        }
        let text = fs::read(path).map_err(failed)?;
        serde_json::from_slice(&text).map_err(|_| KeysError::Malformed { path: path.to_owned() })
    }

    /// Changes the file in `folder`: whoever reads it finds what was there or what is there, whole.
    /// One process at a time, so that none undoes what another did.
    pub(super) fn change(
        folder: &Path,
        change: impl FnOnce(&mut Self) -> Result<(), KeysError>,
    ) -> Result<(), KeysError> {
        let path = folder.join(FILE);
        let failed = |source| KeysError::File { path: path.clone(), source };
        let alone = File::open(folder).map_err(failed)?;
        alone.lock().map_err(failed)?;
        let mut stored = Self::read(&path)?;
        change(&mut stored)?;
        let draft = stored.draft(&path)?;
        fs::rename(&draft, &path).and_then(|()| alone.sync_all()).map_err(failed)
    }

    /// Adds a key, which makes what is new from `from` on.
    pub(super) fn add(&mut self, purpose: Purpose, from: DateTime<Utc>) -> Result<(), KeysError> {
        let keys = self.keys(purpose);
        // One that waits to be used after this one would follow it, and might be what this one is made for.
        for waiting in keys.iter_mut().filter(|waiting| waiting.from > from) {
            waiting.from = from - TimeDelta::milliseconds(1);
        }
        keys.push(StoredKey { key: random()?, from });
        Ok(())
    }

    /// Forgets a key; of one that signed heads, the public half stays, and of one that hashed what
    /// people are looked up by, what proves API keys.
    pub(super) fn forget(&mut self, purpose: Purpose, id: &str) {
        let keys = self.keys(purpose);
        let named = |stored: &StoredKey| Key::decode(&stored.key).is_some_and(|key| key.id == id);
        let Some(at) = keys.iter().position(named) else { return };
        let gone = keys.remove(at);
        let Some(key) = Key::decode(&gone.key) else { return };
        if purpose == Purpose::Heads {
            let public = HeadKey::new(key.id.clone(), key.expose()).public();
            self.past_heads.push(StoredPublic { id: key.id, public: BASE64.encode(public) });
        } else if purpose == Purpose::Lookup {
            self.past_proofs.push(BASE64.encode(proof_key(&key).expose()));
        }
    }

    fn keys(&mut self, purpose: Purpose) -> &mut Vec<StoredKey> {
        match purpose {
            Purpose::AccessTokens => &mut self.access_tokens,
            Purpose::RefreshTokens => &mut self.refresh_tokens,
            Purpose::KeyEncryption => &mut self.key_encryption,
            Purpose::Heads => &mut self.heads,
            Purpose::Lookup => &mut self.lookup,
            Purpose::Sealing => &mut self.sealing,
        }
    }

    /// Writes a file beside `path`, whole, and says where.
    pub(super) fn draft(&self, path: &Path) -> Result<PathBuf, KeysError> {
        let failed = |source| KeysError::File { path: path.to_owned(), source };
        // In containers, several processes have the same id.
        let draft = path.with_extension(format!("json.{}", Uuid::now_v7()));
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)
            .map_err(failed)?;
        let text = serde_json::to_vec_pretty(self)
            .map_err(|_| KeysError::Malformed { path: path.to_owned() })?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        Ok(draft)
    }
}

/// 32 random bytes as text.
fn random() -> Result<String, KeysError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| KeysError::Randomness)?;
    Ok(BASE64.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Keys;

    #[test]
    fn a_key_that_waits_is_followed_by_one_that_is_used_at_once() {
        let (mut stored, now) = (Stored::generate().expect("keys"), crate::clock::now());
        stored.add(Purpose::AccessTokens, now + TimeDelta::hours(1)).expect("a key");
        stored.add(Purpose::AccessTokens, now).expect("a key");
        let from: Vec<_> = stored.access_tokens.iter().map(|stored| stored.from).collect();
        assert_eq!(from[2], now);
        assert!(from[..2].iter().all(|from| *from < now), "{from:?}");
    }

    #[test]
    fn keys_that_people_are_looked_up_by_are_followed_and_what_proves_api_keys_stays() {
        let name = format!("saldo-keys-{}-lookup", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let keys = Keys::in_folder(&folder).expect("keys");
        let (first, proof) = (keys.lookup.newest(), keys.proof_key());
        Keys::rotate(&folder, Purpose::Lookup, crate::clock::now()).expect("rotated");
        keys.renew().expect("they share the first");
        assert_ne!(keys.lookup.newest().id, first.id);
        assert_eq!(keys.lookup.hashes("a text").len(), 2);
        Keys::retire(&folder, Purpose::Lookup, std::slice::from_ref(&first.id)).expect("retired");
        keys.renew().expect("they share the second");
        assert_eq!(keys.lookup.all().len(), 1);
        assert_ne!(keys.proof_key().id, proof.id);
        assert!(keys.proof_keys().iter().any(|key| key.id == proof.id));
        let text = fs::read_to_string(folder.join(FILE)).expect("the file");
        assert!(!text.contains(&BASE64.encode(first.expose())), "the key itself is gone");
        fs::remove_dir_all(folder).expect("the folder is there");
    }
}
