//! What is sealed with a key of the house, when another key has followed it.

use aggregates::id::IdentityId;
use sqlx::PgPool;
use uuid::Uuid;

use super::identity_rows::place;
use super::provider_tokens::bound_to;
use crate::keys::KeyRing;
use crate::store::CodecError;

/// Identities that are read at once.
const BATCH: i64 = 200;

/// Seals with the newest key what others have sealed of people's identities, which are kept as long
/// as their people are here; how many there were. Whoever is killed has done a part, and the next one
/// does the rest.
pub async fn reseal(db: &PgPool, sealing: &KeyRing) -> Result<u64, CodecError> {
    let newest = format!("{}.%", sealing.newest().id);
    let (mut done, mut last) = (0, Uuid::nil());
    loop {
        let rows: Vec<(Uuid, String, Option<String>)> = sqlx::query_as(
            "select identity_id, sealed, tokens from identities
             where identity_id > $1 and (sealed not like $2 or tokens not like $2)
             order by identity_id limit $3",
        )
        .bind(last)
        .bind(&newest)
        .bind(BATCH)
        .fetch_all(db)
        .await?;
        let Some((id, ..)) = rows.last() else { return Ok(done) };
        last = *id;
        for (id, shown, tokens) in rows {
            done += replace(db, sealing, IdentityId(id), &shown, tokens.as_deref()).await?;
        }
    }
}

/// What a node has sealed meanwhile is left as it is: it was sealed with the newest key.
async fn replace(
    db: &PgPool,
    sealing: &KeyRing,
    id: IdentityId,
    shown: &str,
    tokens: Option<&str>,
) -> Result<u64, CodecError> {
    let renewed = tokens.map(|tokens| sealing.reseal(&bound_to(id), tokens)).transpose()?;
    let replaced = sqlx::query(
        "update identities set sealed = $4, tokens = $5
         where identity_id = $1 and sealed = $2 and tokens is not distinct from $3",
    )
    .bind(id.0)
    .bind(shown)
    .bind(tokens)
    .bind(sealing.reseal(&place(id), shown)?)
    .bind(renewed)
    .execute(db)
    .await?;
    Ok(replaced.rows_affected())
}

/// How much there is that only these keys open: identities, codes and links that are still good, and
/// messages that are still tried.
pub async fn sealed_with(db: &PgPool, ids: &[String]) -> Result<i64, sqlx::Error> {
    let begin: Vec<String> = ids.iter().map(|id| format!("{id}.%")).collect();
    sqlx::query_scalar(
        "select (select count(*) from identities where sealed like any($1) or tokens like any($1))
             + (select count(*) from challenges
                where sealed like any($1) and used_at is null and attempts < most
                  and expires_at > clock_timestamp())
             + (select count(*) from graphile_worker._private_jobs
                where payload->>'sealed' like any($1) and attempts < max_attempts)",
    )
    .bind(begin)
    .fetch_one(db)
    .await
}
