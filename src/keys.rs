//! The keys of the house: generated once under the data folder in `local`, required configuration
//! elsewhere, the same on all nodes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as URL_SAFE};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::store::{CodecError, KeyEncryptionKey, hex, open, seal};

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
    /// The operating system gave no random bytes.
    #[error("no random bytes could be had")]
    Randomness,
}

/// The keys of the house. Each is 32 bytes.
pub struct Keys {
    /// Sign access tokens (Ed25519): the newest whose time has come; all are good for checking.
    pub access_tokens: Vec<DatedKey>,
    /// Signs refresh tokens (HMAC-SHA-256).
    pub refresh_tokens: Key,
    /// Wraps the keys of persons (AES-256-GCM).
    pub key_encryption: Key,
    /// Signs heads of the log (Ed25519).
    pub heads: Key,
    /// Hashes what people are looked up by, and codes and links (HMAC-SHA-256).
    pub lookup: Key,
    /// Encrypts what is kept for a while and is no person's yet: addresses that codes were sent to,
    /// letters that wait, providers' tokens (AES-256-GCM).
    pub sealing: Key,
}

/// A key that is used from some time on; by then every node has it.
pub struct DatedKey {
    /// The key.
    pub key: Key,
    /// From when on it signs.
    pub from: DateTime<Utc>,
}

/// A key and the id it is recorded under: the first half of its hash, in hexadecimal.
pub struct Key {
    /// The id.
    pub id: String,
    bytes: SecretBox<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    access_tokens: Vec<StoredDated>,
    refresh_tokens: String,
    key_encryption: String,
    heads: String,
    lookup: String,
    sealing: String,
}

#[derive(Serialize, Deserialize)]
struct StoredDated {
    key: String,
    from: DateTime<Utc>,
}

impl Key {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        let id = hex(&Sha256::digest(bytes)[..8]);
        Self { id, bytes: SecretBox::new(Box::new(bytes)) }
    }

    fn decode(text: &str) -> Option<Self> {
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
        Self::read(&path)
    }

    /// Adds a key for access tokens, which signs from `from` on; those that were followed by another
    /// before `since` are gone. Nodes that run read the file again by themselves.
    pub fn rotate_access_tokens(
        folder: &Path,
        from: DateTime<Utc>,
        since: DateTime<Utc>,
    ) -> Result<(), KeysError> {
        Self::in_folder(folder)?;
        let path = folder.join(FILE);
        let mut stored = Stored::read(&path)?;
        stored.access_tokens.push(StoredDated { key: random()?, from });
        stored.access_tokens.sort_by_key(|dated| dated.from);
        let followed = stored.access_tokens.iter().skip(1).filter(|dated| dated.from < since);
        let gone = followed.count();
        stored.access_tokens.drain(..gone);
        let draft = stored.draft(&path)?;
        fs::rename(&draft, &path).map_err(|source| KeysError::File { path, source })
    }

    fn read(path: &Path) -> Result<Self, KeysError> {
        let stored = Stored::read(path)?;
        let malformed = || KeysError::Malformed { path: path.to_owned() };
        let key = |text: &str| Key::decode(text).ok_or_else(malformed);
        let dated = |dated: &StoredDated| Ok(DatedKey { key: key(&dated.key)?, from: dated.from });
        Ok(Self {
            access_tokens: stored.access_tokens.iter().map(dated).collect::<Result<_, _>>()?,
            refresh_tokens: key(&stored.refresh_tokens)?,
            key_encryption: key(&stored.key_encryption)?,
            heads: key(&stored.heads)?,
            lookup: key(&stored.lookup)?,
            sealing: key(&stored.sealing)?,
        })
    }

    /// The key that wraps the keys of persons.
    #[must_use]
    pub fn wrapping(&self) -> KeyEncryptionKey {
        KeyEncryptionKey::new(self.key_encryption.id.clone(), *self.key_encryption.expose())
    }
}

impl Stored {
    fn generate() -> Result<Self, KeysError> {
        Ok(Self {
            access_tokens: vec![StoredDated { key: random()?, from: DateTime::UNIX_EPOCH }],
            refresh_tokens: random()?,
            key_encryption: random()?,
            heads: random()?,
            lookup: random()?,
            sealing: random()?,
        })
    }

    fn read(path: &Path) -> Result<Self, KeysError> {
        let failed = |source| KeysError::File { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeysError::Exposed { path: path.to_owned() });
        }
        let text = fs::read(path).map_err(failed)?;
        serde_json::from_slice(&text).map_err(|_| KeysError::Malformed { path: path.to_owned() })
    }

    /// Writes a file beside `path`, whole, and says where.
    fn draft(&self, path: &Path) -> Result<PathBuf, KeysError> {
        let failed = |source| KeysError::File { path: path.to_owned(), source };
        let draft = path.with_extension(format!("json.{}", std::process::id()));
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
