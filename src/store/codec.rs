//! Personal data at rest: AES-256-GCM under a key per person, which a key-encryption key wraps.
//! Destroying a person's key makes their data unreadable everywhere, while hashes stay true.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};
use aggregates::id::UserId;
use aggregates::pii::{CLEAR, SEALED};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use secrecy::{ExposeSecret, SecretBox};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::unit::SideRow;
use super::wrapping::{Wrapping, unwrap, wrap};

/// Unwrapped keys kept in memory; past it they are dropped and unwrapped again.
const CACHED_KEYS: usize = 10_000;
const NONCE: usize = 12;

/// Why personal data could not be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The person's key could not be read.
    #[error("the keys of personal data could not be read")]
    Database(#[from] sqlx::Error),
    /// The person was erased: nothing may be written about them any more.
    #[error("the person was erased")]
    Erased,
    /// No key-encryption key is the one that wrapped this key, or the data was moved.
    #[error(
        "personal data does not decrypt: the key-encryption key is wrong, or it was tampered with"
    )]
    Undecryptable,
    /// The key that it would be encrypted with was retired elsewhere.
    #[error("the key was retired: keys.json of this node is older than another")]
    Retired,
    /// The operating system gave no random bytes.
    #[error("no random bytes could be had")]
    Randomness,
    /// What was decrypted is not JSON.
    #[error("decrypted personal data is not readable")]
    Malformed(#[from] serde_json::Error),
}

/// A person's key, unwrapped.
#[derive(Clone)]
pub struct PersonKey(Arc<SecretBox<[u8; 32]>>);

/// A person's key as it is kept, and the id of what it is wrapped with.
type Wrapped = (Vec<u8>, String);

/// Where the keys of persons are found.
#[derive(Clone)]
enum Kept {
    /// In the database, as it is by then.
    Now(PgPool),
    /// As they were.
    Then(Arc<HashMap<Uuid, Wrapped>>),
}

/// Encrypts and decrypts personal data.
#[derive(Clone)]
pub struct Codec {
    kept: Kept,
    wrapping: Arc<dyn Wrapping>,
    cache: Arc<Mutex<HashMap<UserId, PersonKey>>>,
}

impl Codec {
    /// A codec that finds the keys of persons through this pool.
    #[must_use]
    pub fn new(pool: PgPool, wrapping: Arc<dyn Wrapping>) -> Self {
        Self { kept: Kept::Now(pool), wrapping, cache: Arc::default() }
    }

    /// The same, with all keys of persons as `db` sees them: whoever reads the log of a moment needs those of the same
    /// moment. Holds some two hundred bytes for each person.
    pub async fn as_seen_by(&self, db: &mut PgConnection) -> sqlx::Result<Self> {
        let rows: Vec<(Uuid, Vec<u8>, String)> = sqlx::query_as(
            "select user_id, wrapped_key, key_id from public.person_keys where wrapped_key is not null",
        )
        .fetch_all(db)
        .await?;
        let keys = rows.into_iter().map(|(user, wrapped, id)| (user, (wrapped, id))).collect();
        let kept = Kept::Then(Arc::new(keys));
        Ok(Self { kept, wrapping: Arc::clone(&self.wrapping), cache: Arc::default() })
    }

    /// A key for a new person, and the row that keeps it.
    pub fn new_key(&self, user: UserId) -> Result<(PersonKey, SideRow), CodecError> {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(|_| CodecError::Randomness)?;
        let (wrapped, key_id) = wrap(&*self.wrapping, user, &key)?;
        let row = SideRow::PersonKey { user_id: user, wrapped_key: hex(&wrapped), key_id };
        Ok((PersonKey(Arc::new(SecretBox::new(Box::new(key)))), row))
    }

    /// The person's key; none when the person was erased or has none.
    pub async fn key(&self, user: UserId) -> Result<Option<PersonKey>, CodecError> {
        if let Some(key) = self.cache().get(&user) {
            return Ok(Some(key.clone()));
        }
        let Some((wrapped, key_id)) = self.kept.of(user).await? else { return Ok(None) };
        let key = unwrap(&*self.wrapping, user, &wrapped, &key_id)?;
        let key = PersonKey(Arc::new(SecretBox::new(Box::new(key))));
        let mut cache = self.cache();
        if cache.len() >= CACHED_KEYS {
            cache.clear();
        }
        cache.insert(user, key.clone());
        Ok(Some(key))
    }

    /// Forgets the person's unwrapped key.
    pub fn evict(&self, user: UserId) {
        self.cache().remove(&user);
    }

    /// Encrypts every `{"$pii": …}` in `payload`; `place` is the stream and the sequence, so that
    /// what is sealed here opens nowhere else.
    pub async fn seal(
        &self,
        user: UserId,
        place: &str,
        payload: &mut Value,
    ) -> Result<(), CodecError> {
        if !holds(payload, CLEAR) {
            return Ok(());
        }
        let key = self.key(user).await?.ok_or(CodecError::Erased)?;
        seal_with(&key, place, payload)
    }

    /// Decrypts every `{"$sealed": …}` in `payload`; what has no key any more stays hidden.
    pub async fn open(
        &self,
        user: UserId,
        place: &str,
        payload: &mut Value,
    ) -> Result<(), CodecError> {
        if !holds(payload, SEALED) {
            return Ok(());
        }
        let key = self.key(user).await?;
        walk(payload, SEALED, place, &mut |place, value| {
            let (Some(key), Value::String(text)) = (&key, value) else {
                return Ok((SEALED, Value::Null));
            };
            let sealed = BASE64.decode(text).map_err(|_| CodecError::Undecryptable)?;
            let clear = open(key.0.expose_secret(), place.as_bytes(), &sealed)?;
            Ok((CLEAR, serde_json::from_slice(&clear)?))
        })
    }

    /// A value of a person's that is kept outside the log, encrypted with the person's key; `place`
    /// is where it is kept.
    pub async fn seal_value<T: Serialize + Sync>(
        &self,
        user: UserId,
        place: &str,
        value: &T,
    ) -> Result<String, CodecError> {
        let key = self.key(user).await?.ok_or(CodecError::Erased)?;
        seal_value_with(&key, place, value)
    }

    /// What `seal_value` encrypted; none when the person was erased.
    pub async fn open_value<T: DeserializeOwned>(
        &self,
        user: UserId,
        place: &str,
        sealed: &str,
    ) -> Result<Option<T>, CodecError> {
        let Some(key) = self.key(user).await? else { return Ok(None) };
        let sealed = BASE64.decode(sealed).map_err(|_| CodecError::Undecryptable)?;
        let clear = open(key.0.expose_secret(), place.as_bytes(), &sealed)?;
        Ok(Some(serde_json::from_slice(&clear)?))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<UserId, PersonKey>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// None when the person was erased, or has no key.
    async fn of(&self, user: UserId) -> sqlx::Result<Option<Wrapped>> {
        match self {
            Self::Now(pool) => {
                let key = sqlx::query_as(
                    "select wrapped_key, key_id from person_keys
                     where user_id = $1 and wrapped_key is not null",
                );
                key.bind(user.0).fetch_optional(pool).await
            }
            Self::Then(keys) => Ok(keys.get(&user.0).cloned()),
        }
    }
}

/// Encrypts every `{"$pii": …}` in `payload` with this key.
pub fn seal_with(key: &PersonKey, place: &str, payload: &mut Value) -> Result<(), CodecError> {
    walk(payload, CLEAR, place, &mut |place, value| {
        if value.is_null() {
            return Ok((CLEAR, Value::Null));
        }
        let clear = serde_json::to_vec(value)?;
        let sealed = seal(key.0.expose_secret(), place.as_bytes(), &clear)?;
        Ok((SEALED, Value::String(BASE64.encode(sealed))))
    })
}

/// As `Codec::seal_value`, for a person who is not in the log yet.
pub fn seal_value_with<T: Serialize>(
    key: &PersonKey,
    place: &str,
    value: &T,
) -> Result<String, CodecError> {
    let sealed = seal(key.0.expose_secret(), place.as_bytes(), &serde_json::to_vec(value)?)?;
    Ok(BASE64.encode(sealed))
}

/// Where an event or a snapshot stands: what its ciphertexts are bound to, with their path in it.
pub fn place(aggregate_type: &str, aggregate_id: &str, sequence: i64) -> String {
    format!("{aggregate_type}/{aggregate_id}/{sequence}")
}

/// Whether some object in `value` is marked with `mark`.
fn holds(value: &Value, mark: &str) -> bool {
    match value {
        Value::Object(map) => {
            map.contains_key(mark) || map.values().any(|value| holds(value, mark))
        }
        Value::Array(values) => values.iter().any(|value| holds(value, mark)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

type Replace<'a> = dyn FnMut(&str, &Value) -> Result<(&'static str, Value), CodecError> + 'a;

/// Replaces what stands under `mark`, telling `replace` the path.
fn walk(
    value: &mut Value,
    mark: &str,
    place: &str,
    replace: &mut Replace<'_>,
) -> Result<(), CodecError> {
    match value {
        Value::Object(map) => {
            if let Some(marked) = map.get(mark) {
                let (mark, value) = replace(place, marked)?;
                *map = Map::from_iter([(mark.to_owned(), value)]);
                return Ok(());
            }
            map.iter_mut().try_for_each(|(name, value)| {
                walk(value, mark, &format!("{place}/{name}"), replace)
            })
        }
        Value::Array(values) => values
            .iter_mut()
            .enumerate()
            .try_for_each(|(index, value)| walk(value, mark, &format!("{place}/{index}"), replace)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// Nonce and ciphertext of `clear`.
pub fn seal(key: &[u8; 32], aad: &[u8], clear: &[u8]) -> Result<Vec<u8>, CodecError> {
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|_| CodecError::Randomness)?;
    let sealed = Aes256Gcm::new(&(*key).into())
        .encrypt(&Nonce::from(nonce), Payload { msg: clear, aad })
        .map_err(|_| CodecError::Undecryptable)?;
    Ok([&nonce[..], &sealed].concat())
}

/// The clear text of nonce and ciphertext.
pub fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CodecError> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(CodecError::Undecryptable)?;
    Aes256Gcm::new(&(*key).into())
        .decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad })
        .map_err(|_| CodecError::Undecryptable)
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
