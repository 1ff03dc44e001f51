//! How the keys of persons are kept: wrapped with a key-encryption key, and wrapped again when
//! another has followed it.

use std::sync::Arc;

use aggregates::id::UserId;
use secrecy::{ExposeSecret, SecretBox};
use sqlx::PgPool;
use uuid::Uuid;

use super::codec::{CodecError, open, seal};

/// Keys that are wrapped again in one statement: so few that nobody waits for the rows.
const BATCH: i64 = 200;

/// A key-encryption key, with the id it is recorded under.
#[derive(Clone)]
pub struct KeyEncryptionKey {
    id: String,
    key: Arc<SecretBox<[u8; 32]>>,
}

impl KeyEncryptionKey {
    /// A key under an id.
    #[must_use]
    pub fn new(id: String, key: [u8; 32]) -> Self {
        Self { id, key: Arc::new(SecretBox::new(Box::new(key))) }
    }

    fn wrap(&self, user: Uuid, key: &[u8]) -> Result<Vec<u8>, CodecError> {
        seal(self.key.expose_secret(), user.as_bytes(), key)
    }
}

/// Who has the key-encryption keys.
pub trait Wrapping: Send + Sync {
    /// The one that wraps what is new.
    fn newest(&self) -> KeyEncryptionKey;
    /// The one of this id.
    fn find(&self, id: &str) -> Option<KeyEncryptionKey>;
}

/// A person's key, wrapped, and the id of what it is wrapped with.
pub(super) fn wrap(
    wrapping: &dyn Wrapping,
    user: UserId,
    key: &[u8; 32],
) -> Result<(Vec<u8>, String), CodecError> {
    let newest = wrapping.newest();
    Ok((newest.wrap(user.0, key)?, newest.id))
}

/// What was wrapped with the key of this id.
pub(super) fn unwrap(
    wrapping: &dyn Wrapping,
    user: UserId,
    wrapped: &[u8],
    id: &str,
) -> Result<[u8; 32], CodecError> {
    let key = wrapping.find(id).ok_or(CodecError::Undecryptable)?;
    let key = open(key.key.expose_secret(), user.0.as_bytes(), wrapped)?;
    key.try_into().map_err(|_| CodecError::Undecryptable)
}

/// Wraps with the newest key what others have wrapped, some rows at a time, and tells after each how
/// many it has done. Whoever is killed has done the rows it told of; the next one does the others.
pub async fn rewrap(
    db: &PgPool,
    wrapping: &dyn Wrapping,
    mut told: impl FnMut(u64),
) -> Result<u64, CodecError> {
    let newest = wrapping.newest();
    let (mut done, mut last) = (0, Uuid::nil());
    loop {
        let rows: Vec<(Uuid, Vec<u8>, String)> = sqlx::query_as(
            "select user_id, wrapped_key, key_id from person_keys
             where user_id > $1 and key_id <> $2 and wrapped_key is not null
             order by user_id limit $3",
        )
        .bind(last)
        .bind(&newest.id)
        .bind(BATCH)
        .fetch_all(db)
        .await?;
        let Some((user, ..)) = rows.last() else { return Ok(done) };
        last = *user;
        done += replace(db, wrapping, &newest, rows).await?;
        told(done);
    }
}

/// Who was erased meanwhile has no key any more, and gets none.
async fn replace(
    db: &PgPool,
    wrapping: &dyn Wrapping,
    newest: &KeyEncryptionKey,
    rows: Vec<(Uuid, Vec<u8>, String)>,
) -> Result<u64, CodecError> {
    let (mut users, mut old, mut new) = (vec![], vec![], vec![]);
    for (user, wrapped, id) in rows {
        let key = SecretBox::new(Box::new(unwrap(wrapping, UserId(user), &wrapped, &id)?));
        users.push(user);
        old.push(wrapped);
        new.push(newest.wrap(user, key.expose_secret())?);
    }
    let replaced = sqlx::query(
        "update person_keys k set wrapped_key = n.new, key_id = $4
         from unnest($1::uuid[], $2::bytea[], $3::bytea[]) as n (user_id, old, new)
         where k.user_id = n.user_id and k.wrapped_key = n.old",
    )
    .bind(users)
    .bind(old)
    .bind(new)
    .bind(&newest.id)
    .execute(db)
    .await?;
    Ok(replaced.rows_affected())
}

/// How many keys of persons are wrapped with one of these.
pub async fn wrapped_with(db: &PgPool, ids: &[String]) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from person_keys where wrapped_key is not null and key_id = any($1)",
    )
    .bind(ids)
    .fetch_one(db)
    .await
}
