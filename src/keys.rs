//! The keys of the house: generated once under the data folder in `local`, required configuration
//! elsewhere, the same on all nodes.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretBox};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::store::{KeyEncryptionKey, hex};

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
    /// Signs access tokens (Ed25519).
    pub access_tokens: Key,
    /// Wraps the keys of persons (AES-256-GCM).
    pub key_encryption: Key,
    /// Signs heads of the log (Ed25519).
    pub heads: Key,
    /// Hashes e-mail addresses for look-up (HMAC-SHA-256).
    pub email_hash: Key,
}

/// A key and the id it is recorded under: the first half of its hash, in hexadecimal.
pub struct Key {
    /// The id.
    pub id: String,
    bytes: SecretBox<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    access_tokens: String,
    key_encryption: String,
    heads: String,
    email_hash: String,
}

impl Key {
    fn new(bytes: [u8; 32]) -> Self {
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

    /// The keyed hash of a text.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    #[must_use]
    pub fn hash(&self, text: &str) -> [u8; 32] {
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.expose()).expect("HMAC takes a key of any length");
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl Keys {
    /// The keys in `folder`, made there when there are none. Several processes may start at once:
    /// one of them makes the file, whole, and all read the same.
    pub fn in_folder(folder: &Path) -> Result<Self, KeysError> {
        let path = folder.join(FILE);
        let failed = |source| KeysError::File { path: path.clone(), source };
        if !path.exists() {
            fs::create_dir_all(folder).map_err(failed)?;
            let draft = folder.join(format!("{FILE}.{}", std::process::id()));
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&draft)
                .map_err(failed)?;
            let stored = Stored::generate()?;
            let text = serde_json::to_vec_pretty(&stored)
                .map_err(|_| KeysError::Malformed { path: path.clone() })?;
            file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
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

    fn read(path: &Path) -> Result<Self, KeysError> {
        let failed = |source| KeysError::File { path: path.to_owned(), source };
        let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(KeysError::Exposed { path: path.to_owned() });
        }
        let text = fs::read(path).map_err(failed)?;
        let malformed = || KeysError::Malformed { path: path.to_owned() };
        let stored: Stored = serde_json::from_slice(&text).map_err(|_| malformed())?;
        let key = |text: &str| Key::decode(text).ok_or_else(malformed);
        Ok(Self {
            access_tokens: key(&stored.access_tokens)?,
            key_encryption: key(&stored.key_encryption)?,
            heads: key(&stored.heads)?,
            email_hash: key(&stored.email_hash)?,
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
        let key = || {
            let mut bytes = [0; 32];
            getrandom::fill(&mut bytes).map_err(|_| KeysError::Randomness)?;
            Ok(BASE64.encode(bytes))
        };
        Ok(Self {
            access_tokens: key()?,
            key_encryption: key()?,
            heads: key()?,
            email_hash: key()?,
        })
    }
}
