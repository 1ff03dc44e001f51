//! The keys of the house: generated once under the data folder in `local`, required configuration
//! elsewhere, the same on all nodes.

mod file;
mod key;
pub mod retired;
mod ring;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};

use crate::store::Wrapping;
use crate::store::heads::{HeadKey, Ring};

pub use key::{DatedKey, Key};
pub use ring::KeyRing;

use file::{Stored, StoredKey};

/// The file's name in the data folder.
const FILE: &str = "keys.json";

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The file or its folder cannot be used.
    #[error("the keys cannot be read or written at {}: check the folder's permissions", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// The file is not what Saldo wrote.
    #[error("the keys in {} are not readable: restore the file from your backup", path.display())]
    Malformed { path: PathBuf },
    /// Others may read the file.
    #[error("{} may be read by others: run chmod 600 on it", path.display())]
    Exposed { path: PathBuf },
    /// Another house's keys came into the place of ours.
    #[error("{} has other keys than those this process started with: put the file back", path.display())]
    Foreign { path: PathBuf },
    /// The operating system gave no random bytes.
    #[error("no random bytes could be had")]
    Randomness,
}

/// What there are keys for that can be followed by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Purpose {
    /// Signing access tokens.
    AccessTokens,
    /// Signing refresh tokens, and what a browser's requests prove their origin by.
    RefreshTokens,
    /// Wrapping the keys of persons.
    KeyEncryption,
    /// Signing heads of the log.
    Heads,
    /// Hashing what people are looked up by.
    Lookup,
    /// Encrypting what is kept for a while and is no person's yet.
    Sealing,
}

impl Purpose {
    /// The word for it, as commands have it.
    #[must_use]
    pub fn name(self) -> String {
        let value = clap::ValueEnum::to_possible_value(&self);
        value.map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The keys of the house. Each is 32 bytes.
pub struct Keys {
    /// Sign access tokens (Ed25519).
    pub access_tokens: KeyRing,
    /// Sign refresh tokens (HMAC-SHA-256).
    pub refresh_tokens: KeyRing,
    /// Wrap the keys of persons (AES-256-GCM).
    pub key_encryption: KeyRing,
    /// Sign heads of the log (Ed25519).
    pub heads: KeyRing,
    /// Hash what people are looked up by, codes and links, and what limits count (HMAC-SHA-256).
    pub lookup: KeyRing,
    /// Encrypt what is kept for a while and is no person's yet: addresses that codes were sent to,
    /// letters that wait, providers' tokens (AES-256-GCM).
    pub sealing: KeyRing,
    path: PathBuf,
    past_heads: RwLock<Ring>,
    past_proofs: RwLock<Vec<Key>>,
}

impl Keys {
    /// The keys in `folder`, made there when there are none. Several processes may start at once:
    /// one of them makes the file, whole, and all read the same.
    pub fn in_folder(folder: &Path) -> Result<Self, KeysError> {
        let path = folder.join(FILE);
        if !path.exists() {
            let failed = |source| KeysError::File { path: path.clone(), source };
            fs::create_dir_all(folder).map_err(failed)?;
            let draft = Stored::generate()?.draft(&path)?;
            // A link fails where the file is, so that the first process wins.
            let linked = fs::hard_link(&draft, &path);
            fs::remove_file(&draft).map_err(failed)?;
            match linked {
                Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
        Self::read(path)
    }

    /// Reads the file again, and goes on with what it has now.
    pub fn renew(&self) -> Result<(), KeysError> {
        let newer = Self::read(self.path.clone())?;
        if !self.shares_a_key_with(&newer) {
            return Err(KeysError::Foreign { path: newer.path });
        }
        *self.past_heads.write().unwrap_or_else(PoisonError::into_inner) = newer.past();
        *self.past_proofs.write().unwrap_or_else(PoisonError::into_inner) = newer.proofs_of_past();
        for purpose in <Purpose as clap::ValueEnum>::value_variants() {
            self.ring(*purpose).renew(newer.ring(*purpose));
        }
        Ok(())
    }

    /// Whether both are of one house: keys of one purpose may all be others by now, and not those of all.
    fn shares_a_key_with(&self, newer: &Self) -> bool {
        let purposes = <Purpose as clap::ValueEnum>::value_variants().iter();
        let mut rings = purposes.map(|purpose| (self.ring(*purpose), newer.ring(*purpose)));
        rings.any(|(ring, newer)| ring.all().iter().any(|it| newer.find(&it.key.id).is_some()))
    }

    /// Adds a key to the file in `folder`, which makes what is new from `from` on. Nodes that run
    /// read the file again by themselves.
    pub fn rotate(folder: &Path, purpose: Purpose, from: DateTime<Utc>) -> Result<(), KeysError> {
        Self::in_folder(folder)?;
        Stored::change(folder, |stored| stored.add(purpose, from))
    }

    /// Takes keys out of the file in `folder`: what they alone read or check is lost, but for heads,
    /// of whose keys the public half stays, and for what proves API keys.
    pub fn retire(folder: &Path, purpose: Purpose, ids: &[String]) -> Result<(), KeysError> {
        Stored::change(folder, |stored| {
            for id in ids {
                stored.forget(purpose, id);
            }
            Ok(())
        })
    }

    fn read(path: PathBuf) -> Result<Self, KeysError> {
        let stored = Stored::read(&path)?;
        Self::of(&stored, &path).ok_or(KeysError::Malformed { path })
    }

    fn of(stored: &Stored, path: &Path) -> Option<Self> {
        let past = stored
            .past_heads
            .iter()
            .try_fold(Ring::default(), |ring, past| ring.with(past.id.clone(), &past.decode()?));
        let proofs = stored.past_proofs.iter().map(|proof| Key::decode(proof));
        Some(Self {
            access_tokens: ring(&stored.access_tokens)?,
            refresh_tokens: ring(&stored.refresh_tokens)?,
            key_encryption: ring(&stored.key_encryption)?,
            heads: ring(&stored.heads)?,
            lookup: ring(&stored.lookup)?,
            sealing: ring(&stored.sealing)?,
            path: path.to_owned(),
            past_heads: RwLock::new(past?),
            past_proofs: RwLock::new(proofs.collect::<Option<_>>()?),
        })
    }

    /// The keys of a purpose.
    #[must_use]
    pub fn ring(&self, purpose: Purpose) -> &KeyRing {
        match purpose {
            Purpose::AccessTokens => &self.access_tokens,
            Purpose::RefreshTokens => &self.refresh_tokens,
            Purpose::KeyEncryption => &self.key_encryption,
            Purpose::Heads => &self.heads,
            Purpose::Lookup => &self.lookup,
            Purpose::Sealing => &self.sealing,
        }
    }

    /// The keys that wrap the keys of persons.
    #[must_use]
    pub fn wrapping(&self) -> Arc<dyn Wrapping> {
        Arc::new(self.key_encryption.clone())
    }

    /// The key that signs heads now.
    #[must_use]
    pub fn head_key(&self) -> HeadKey {
        head_key(&self.heads.newest())
    }

    /// What heads are checked by: every key that ever signed some.
    #[must_use]
    pub fn head_ring(&self) -> Ring {
        let all = self.heads.all();
        all.iter().fold(self.past(), |ring, dated| ring.and(&head_key(&dated.key)))
    }

    /// What the proof of a new API key is made with.
    #[must_use]
    pub fn proof_key(&self) -> Key {
        proof_key(&self.lookup.newest())
    }

    /// What proofs of API keys are checked by: whatever ever made some. Whoever has one of these can
    /// make proofs, and no key that anybody has.
    #[must_use]
    pub fn proof_keys(&self) -> Vec<Key> {
        let mut keys = self.proofs_of_past();
        keys.extend(self.lookup.all().iter().map(|dated| proof_key(&dated.key)));
        keys
    }

    fn proofs_of_past(&self) -> Vec<Key> {
        self.past_proofs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn past(&self) -> Ring {
        self.past_heads.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn ring(stored: &[StoredKey]) -> Option<KeyRing> {
    let dated =
        |stored: &StoredKey| Some(DatedKey { key: Key::decode(&stored.key)?, from: stored.from });
    KeyRing::new(stored.iter().map(dated).collect::<Option<_>>()?)
}

/// A key of its own, so that it can stay when the one that it follows from goes.
fn proof_key(lookup: &Key) -> Key {
    Key::new(lookup.hash("proof of an api key"))
}

fn head_key(key: &Key) -> HeadKey {
    HeadKey::new(key.id.clone(), key.expose())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("saldo-keys-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_key_that_was_added_is_taken_up_and_other_keys_in_its_place_are_not() {
        let (ours, theirs) = (folder("ours"), folder("theirs"));
        let keys = Keys::in_folder(&ours).expect("keys");
        Keys::in_folder(&theirs).expect("keys");
        let first = keys.sealing.newest().id;
        Keys::rotate(&ours, Purpose::Sealing, crate::clock::now()).expect("rotated");
        keys.renew().expect("read again");
        let second = keys.sealing.newest().id;
        assert!(first != second && keys.sealing.find(&first).is_some());

        fs::rename(theirs.join(FILE), ours.join(FILE)).expect("the files are there");
        assert!(matches!(keys.renew(), Err(KeysError::Foreign { .. })));
        assert_eq!(keys.sealing.newest().id, second);
        fs::remove_file(ours.join(FILE)).expect("the file is there");
        assert!(matches!(keys.renew(), Err(KeysError::File { .. })), "it makes none of its own");
        for folder in [ours, theirs] {
            fs::remove_dir_all(folder).expect("the folder is there");
        }
    }

    #[test]
    fn a_file_with_one_key_for_each_purpose_is_read_as_it_is() {
        let folder = folder("before");
        let keys = Keys::in_folder(&folder).expect("keys");
        let path = folder.join(FILE);
        let text = fs::read_to_string(&path).expect("the file");
        let mut stored: serde_json::Value = serde_json::from_str(&text).expect("json");
        for name in ["refresh_tokens", "key_encryption", "heads", "lookup", "sealing"] {
            stored[name] = stored[name][0]["key"].take();
        }
        for past in ["past_heads", "past_proofs"] {
            stored.as_object_mut().expect("an object").remove(past);
        }
        fs::write(&path, stored.to_string()).expect("written");
        let again = Keys::in_folder(&folder).expect("keys");
        for purpose in <Purpose as clap::ValueEnum>::value_variants() {
            let id = |keys: &Keys| keys.ring(*purpose).newest().id;
            assert_eq!(id(&again), id(&keys), "{purpose:?}");
        }
        fs::remove_dir_all(folder).expect("the folder is there");
    }
}
