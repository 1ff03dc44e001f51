//! Keys for programs: shown once, kept as a hash.

use aggregates::id::{ApiKeyId, UserId};
use aggregates::user::{self, Scope};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::Visitor;
use super::spend_limits::{self, SpendLimits};
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::keys::Key;
use crate::store::{SideRow, hex};

/// What keys begin with, so that scanners for secrets find them, and we know them from tokens.
const PREFIX: &str = "sk_saldo_";
/// Characters of a key that its owner knows it by.
const SHOWN: usize = PREFIX.len() + 6;
/// Characters of the proof that a key was made here: 96 bits.
const PROOF: usize = 16;
/// How often a key's last use is written down, at most, in seconds.
const NOTED_EVERY: f64 = 60.0;

/// Requests a second that a key may make, where its owner does not say.
const PER_SECOND: u32 = 100;
/// The most that its owner may say.
const MOST_PER_SECOND: u32 = 1000;

/// A key as its owner sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KeyRow {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: ApiKeyId,
    /// What its owner calls it.
    pub name: String,
    /// How it begins.
    #[schema(example = "sk_saldo_Ab3xY9")]
    pub prefix: String,
    /// What it may be used for.
    #[schema(value_type = Vec<String>, example = json!(["ai"]))]
    pub scopes: Vec<Scope>,
    /// Requests that it may make within any second.
    pub per_second: u32,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When it was last used, to the minute; none when it never was.
    pub last_used_at: Option<DateTime<Utc>>,
    /// Since when it is good no more.
    pub revoked_at: Option<DateTime<Utc>>,
}

/// Whom a key speaks for, and what it may do.
pub struct Known {
    /// The key.
    pub key: ApiKeyId,
    /// Its owner.
    pub user: UserId,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Requests that it may make within any second.
    pub per_second: u32,
}

/// Whether a bearer's token is a key.
#[must_use]
pub fn is_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// A new secret: what nobody can guess, and the proof that it was made here.
fn secret(app: &App) -> Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Problem::failed)?;
    let secret = BASE64.encode(bytes);
    Ok(format!("{PREFIX}{secret}{}", proof(&app.keys.proof_key(), &secret)))
}

/// Whether it was made here, as far as can be told without asking anybody: whoever guesses costs no look at the
/// database.
#[must_use]
pub fn is_ours(app: &App, secret: &str) -> bool {
    let parts = secret
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.split_at_checked(rest.len().checked_sub(PROOF)?));
    // Compared in a time that says nothing of how much of it is right.
    let is_by = |key: &Key, (secret, proves): (&str, &str)| {
        key.is_hash(proves, &key.hash(&proof(key, secret)))
    };
    parts.is_some_and(|parts| app.keys.proof_keys().iter().any(|key| is_by(key, parts)))
}

fn proof(key: &Key, secret: &str) -> String {
    let mut proof = BASE64.encode(key.hash(secret));
    proof.truncate(PROOF);
    proof
}

/// What the secret is known by: its hash. It has 256 bits that nobody can guess, and needs no key
/// that another would have to follow.
#[must_use]
pub fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(format!("api key of saldo\n{secret}")).into()
}

fn place(key: ApiKeyId) -> String {
    format!("api_key/{key}")
}

/// A key that is to be.
pub struct NewKey {
    /// What its owner calls it.
    pub name: String,
    /// What it may be used for.
    pub scopes: Vec<Scope>,
    /// Requests that it may make within any second; a hundred, where its owner does not say.
    pub per_second: Option<u32>,
    /// What it may spend.
    pub limits: SpendLimits,
}

/// Creates a key; the secret is told this once, when its limits stand. The position of the last
/// event.
pub async fn create(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    NewKey { name, scopes, per_second, limits }: NewKey,
) -> Result<(KeyRow, String, i64)> {
    let per_second = per_second.unwrap_or(PER_SECOND);
    if !(1..=MOST_PER_SECOND).contains(&per_second) {
        return Err(Problem::field("per_second", format!("must be 1 to {MOST_PER_SECOND}")));
    }
    let (row, secret, position) = unlimited(app, visitor, user, name, (scopes, per_second)).await?;
    if limits == SpendLimits::default() {
        return Ok((row, secret, position));
    }
    match spend_limits::set(app, visitor, user, Some(row.id), limits).await {
        Ok(position) => Ok((row, secret, position)),
        Err(problem) => {
            // Nobody knows its secret; it should not stand in the list either.
            revoke(app, visitor, user, row.id).await?;
            Err(problem)
        }
    }
}

async fn unlimited(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    name: String,
    (mut scopes, per_second): (Vec<Scope>, u32),
) -> Result<(KeyRow, String, i64)> {
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Err(Problem::field(
            "scopes",
            "must name at least one of wallet_read, wallet_spend, ai",
        ));
    }
    let secret = secret(app)?;
    let (id, now) = (ApiKeyId(Uuid::now_v7()), clock::now());
    let prefix = secret.chars().take(SHOWN).collect::<String>();
    let sealed = app.store.codec().seal_value(user, &place(id), &name).await;
    let row = SideRow::ApiKey {
        key_id: id,
        user_id: user,
        key_hash: hex(&hash(&secret)),
        prefix: prefix.clone(),
        scopes: scopes.clone(),
        per_second,
        sealed: sealed.map_err(Problem::failed)?,
        created_at: now,
    };
    let ask = user::Ask::CreateApiKey { key: id, name: name.clone(), scopes: scopes.clone() };
    let position = super::tell(app, visitor, user, ask, [row]).await?;
    let (last_used_at, revoked_at) = (None, None);
    let created_at = now;
    let row = KeyRow { id, name, prefix, scopes, per_second, created_at, last_used_at, revoked_at };
    Ok((row, secret, position))
}

/// Limits what may be spent by a key of the person's that is good; the position of the event.
pub async fn limit(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    key: ApiKeyId,
    limits: SpendLimits,
) -> Result<i64> {
    if !super::state(app, user).await?.has_api_key(key) {
        return Err(Problem::not_found());
    }
    spend_limits::set(app, visitor, user, Some(key), limits).await
}

/// Revokes a key of the person's, at once and everywhere; the position of the event.
pub async fn revoke(app: &App, visitor: &Visitor, user: UserId, key: ApiKeyId) -> Result<i64> {
    let owner: Option<Uuid> = sqlx::query_scalar("select user_id from api_keys where key_id = $1")
        .bind(key.0)
        .fetch_optional(app.db())
        .await?;
    if owner != Some(user.0) {
        return Err(Problem::not_found());
    }
    let row = SideRow::ApiKeyRevoked { key_id: key };
    let position = super::tell(app, visitor, user, user::Ask::RevokeApiKey { key }, [row]).await?;
    // The wallet need not remember what nobody can spend by.
    spend_limits::set(app, visitor, user, Some(key), SpendLimits::default()).await?;
    Ok(position)
}

/// The person's keys, the newest first; revoked ones, too.
pub async fn list(app: &App, user: UserId) -> Result<Vec<KeyRow>> {
    let rows = sqlx::query(
        "select key_id, prefix, scopes, per_second, sealed, created_at, last_used_at, revoked_at
         from api_keys where user_id = $1 order by created_at desc, key_id desc",
    )
    .bind(user.0)
    .fetch_all(app.db())
    .await?;
    let mut keys = Vec::with_capacity(rows.len());
    for row in rows {
        let id = ApiKeyId(row.try_get("key_id")?);
        let sealed: &str = row.try_get("sealed")?;
        let name = app.store.codec().open_value(user, &place(id), sealed).await;
        keys.push(KeyRow {
            id,
            name: name.map_err(Problem::failed)?.unwrap_or_default(),
            prefix: row.try_get("prefix")?,
            scopes: scopes(&row)?,
            per_second: per_second(&row)?,
            created_at: row.try_get("created_at")?,
            last_used_at: row.try_get("last_used_at")?,
            revoked_at: row.try_get("revoked_at")?,
        });
    }
    Ok(keys)
}

fn scopes(row: &sqlx::postgres::PgRow) -> Result<Vec<Scope>> {
    let names: Vec<String> = row.try_get("scopes")?;
    serde_json::from_value(serde_json::json!(names)).map_err(Problem::failed)
}

fn per_second(row: &sqlx::postgres::PgRow) -> Result<u32> {
    let per_second: i32 = row.try_get("per_second")?;
    u32::try_from(per_second).map_err(Problem::failed)
}

/// Whom the key speaks for; none when it is not ours, was revoked, or its owner's account rests.
pub async fn check(app: &App, hash: [u8; 32]) -> Result<Option<Known>> {
    let row = sqlx::query(
        "select key_id, user_id, scopes, per_second,
             last_used_at is null or last_used_at < clock_timestamp() - make_interval(secs => $2)
                 as to_note
         from api_keys
         where key_hash = $1 and revoked_at is null and not rests",
    )
    .bind(hash)
    .bind(NOTED_EVERY)
    .fetch_optional(app.db())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (key, user) = (ApiKeyId(row.try_get("key_id")?), UserId(row.try_get("user_id")?));
    if row.try_get("to_note")? {
        sqlx::query("update api_keys set last_used_at = clock_timestamp() where key_id = $1")
            .bind(key.0)
            .execute(app.db())
            .await?;
    }
    let (scopes, per_second) = (scopes(&row)?, per_second(&row)?);
    Ok(Some(Known { key, user, scopes, per_second }))
}
