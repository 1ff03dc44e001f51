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
/// Characters of a salt and of a hash, in base64: 16 and 32 bytes.
const SALT: usize = 22;
const HASH: usize = 43;
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

/// Passwords are refused below (ASVS 5.0, 6.2.1) and above (so that hashing stays cheap).
const LENGTH: std::ops::RangeInclusive<usize> = 8..=256;
/// Characters of a password that are looked at for how hard it is to guess.
const LOOKED_AT: usize = 100;

/// Why a password is refused.
#[derive(Debug, thiserror::Error)]
pub enum Weakness {
    /// Too short, or too long.
    #[error("must have 8 to 256 characters")]
    Length,
    /// It is among those that are tried first.
    #[error(
        "is easy to guess: take several words that do not belong together, or let a password manager choose"
    )]
    Guessable,
}

/// Whether somebody who is known by these words may have this password: not when it is among the
/// thirty thousand that people use most, or is made of them, of names, of dates or of the words in
/// some simple way (zxcvbn, under 10^8 guesses).
pub fn check(password: &SecretString, known: &[&str]) -> Result<(), Weakness> {
    let password = password.expose_secret();
    if !LENGTH.contains(&password.chars().count()) {
        return Err(Weakness::Length);
    }
    let looked_at: String = password.chars().take(LOOKED_AT).collect();
    match zxcvbn::zxcvbn(&looked_at, known).score() {
        zxcvbn::Score::Three | zxcvbn::Score::Four => Ok(()),
        _ => Err(Weakness::Guessable),
    }
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

/// A hash that no password has, as far as anybody knows: written, not computed, so that a node that starts
/// computes none.
fn decoy() -> String {
    let (salt, hash) = ("A".repeat(SALT), "A".repeat(HASH));
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}")
}

impl Default for Passwords {
    fn default() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), decoy: decoy().into() }
    }
}

impl Passwords {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(password: &str) -> bool {
        check(&SecretString::from(password), &["ada@example.com", "ada", "Ada Lovelace"]).is_ok()
    }

    /// OWASP's Password Storage Cheat Sheet.
    #[test]
    fn a_hash_is_at_the_floor_or_above() {
        let hash = hash(&SecretString::from("correct horse battery")).expect("a hash");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
    }

    /// Everything that decides how long it takes is alike.
    #[test]
    fn who_is_not_there_is_looked_at_as_hard_as_who_is() {
        let real = hash(&SecretString::from("correct horse battery")).expect("a hash");
        let (real, decoy) = (real.split('$').collect::<Vec<_>>(), decoy());
        let decoy: Vec<_> = decoy.split('$').collect();
        assert_eq!(decoy[..4], real[..4]);
        let lengths = |parts: &[&str]| parts.iter().map(|part| part.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&decoy), lengths(&real));
    }

    /// The hash is computed to its end: what cannot be read would be refused at once.
    #[test]
    fn the_decoy_can_be_read_and_is_nobody_s() {
        let decoy = decoy();
        let decoy = PasswordHash::new(&decoy).expect("a hash");
        let refused = argon2().expect("parameters").verify_password(b"", &decoy);
        assert!(
            matches!(refused, Err(argon2::password_hash::Error::PasswordInvalid)),
            "{refused:?}"
        );
    }

    #[test]
    fn what_is_tried_first_is_refused() {
        for password in [
            "password",
            "12345678",
            "qwertyuiop",
            "iloveyou",
            "P@ssw0rd1",
            "adalovelace",
            "ada@example.com",
            "password123",
            "letmein123",
            "baseball1",
        ] {
            assert!(!allowed(password), "{password}");
        }
    }

    #[test]
    fn what_is_hard_to_guess_is_allowed_whatever_it_is_made_of() {
        for password in [
            "correct horse battery staple",
            "Tr0ub4dor&3x9",
            "größerer Fisch im Teich",
            "x7$kQp2!vLm9",
        ] {
            assert!(allowed(password), "{password}");
        }
    }

    #[test]
    fn a_password_has_8_to_256_characters() {
        let long = |count: usize| "x7$kQp2!".chars().cycle().take(count).collect::<String>();
        assert!(!allowed("x7$kQp2"));
        assert!(!allowed(&long(257)));
        assert!(matches!(check(&long(257).into(), &[]), Err(Weakness::Length)));
    }
}
