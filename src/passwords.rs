//! Passwords: Argon2id in a bounded blocking pool, so that logins never stall other requests.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// OWASP's floor for Argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// Hashes computed at once. Each takes a core; the rest of the cores stay with the other requests.
const AT_ONCE: usize = 1;

/// Why a password could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The hash function refused.
    #[error("the password could not be hashed")]
    Hash,
    /// The task did not end.
    #[error("the hashing task was stopped")]
    Stopped,
}

/// Hashes and checks passwords.
#[derive(Clone)]
pub struct Passwords {
    slots: Arc<Semaphore>,
    /// Checked when there is no account, so that the answer takes as long.
    decoy: Arc<str>,
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Hash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hash(password: &SecretString) -> Result<String, PasswordError> {
    let hash = argon2()?.hash_password(password.expose_secret().as_bytes());
    Ok(hash.map_err(|_| PasswordError::Hash)?.to_string())
}

impl Passwords {
    /// Ready to hash.
    pub fn new() -> Result<Self, PasswordError> {
        let decoy = hash(&SecretString::from("nobody has this password"))?;
        Ok(Self { slots: Arc::new(Semaphore::new(AT_ONCE)), decoy: decoy.into() })
    }

    /// The PHC string of a password.
    pub async fn hash(&self, password: SecretString) -> Result<String, PasswordError> {
        self.blocking(move || hash(&password)).await?
    }

    /// Whether the password is the one that was hashed. Without a hash the answer is no, and takes
    /// as long.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<String>,
    ) -> Result<bool, PasswordError> {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.to_string());
        let matches = self
            .blocking(move || {
                let hash = PasswordHash::new(&hash).map_err(|_| PasswordError::Hash)?;
                let password = password.expose_secret().as_bytes();
                Ok(argon2()?.verify_password(password, &hash).is_ok())
            })
            .await??;
        Ok(known && matches)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let slot = slot.map_err(|_| PasswordError::Stopped)?;
        tokio::task::spawn_blocking(move || {
            let _slot = slot;
            work()
        })
        .await
        .map_err(|_| PasswordError::Stopped)
    }
}
