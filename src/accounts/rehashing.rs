//! What people are looked up by, when another key has followed the one that it is hashed with.

use aggregates::id::{ChallengeId, IdentityId, UserId};
use aggregates::user::User;
use sqlx::{FromRow, PgPool, Postgres, Transaction};
use uuid::Uuid;

use super::claims::Claim;
use super::contact::Contact;
use super::{challenges, identity_rows};
use crate::keys::{Key, Keys};
use crate::store::{LoadError, Store};

/// Claims, codes and links that are read at once.
const BATCH: i64 = 200;

/// Why not all was hashed again.
#[derive(Debug, thiserror::Error)]
pub enum RehashError {
    /// The database cannot be used.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// What somebody is reached at stands in the log, encrypted.
    #[error("an account cannot be read")]
    Account(#[from] LoadError),
}

/// A claim that only a key finds which is to go, with what its text is read from.
#[derive(FromRow)]
struct Found {
    claim_hash: Vec<u8>,
    key_id: String,
    kind: String,
    user_id: Uuid,
    identity_id: Option<Uuid>,
    provider: Option<String>,
    sealed: Option<String>,
}

/// Hashes with the newest key what only `old` ones find, and what every code and link was sent to; how
/// many claims there were. Whoever is killed has done a part, and the next one does the rest.
pub async fn rehash(store: &Store, keys: &Keys, old: &[String]) -> Result<u64, RehashError> {
    let newest = keys.lookup.newest();
    let (mut done, mut last) = (0, vec![]);
    loop {
        let batch = found_by(store.pool(), old, &newest, &last).await?;
        let Some(end) = batch.last() else { break };
        last.clone_from(&end.claim_hash);
        let mut again = Vec::with_capacity(batch.len());
        for found in batch {
            let claim = read(store, keys, &found).await?;
            again.extend(claim.map(|claim| (found.claim_hash, claim.hash(&newest))));
        }
        done += claim_again(store.pool(), &newest, again).await?;
    }
    readdress(store.pool(), keys, &newest).await?;
    Ok(done)
}

/// Some of what only `old` ones find, after `last`.
async fn found_by(
    db: &PgPool,
    old: &[String],
    newest: &Key,
    last: &[u8],
) -> sqlx::Result<Vec<Found>> {
    sqlx::query_as(
        "select c.claim_hash, c.key_id, c.kind, c.user_id, c.identity_id, i.provider, i.sealed
         from claims c
         left join identities i on i.identity_id = c.identity_id
         where c.claim_hash > $1 and c.key_id = any($2)
           and not exists (
               select from claims n
               where n.user_id = c.user_id and n.kind = c.kind and n.key_id = $3
                 and n.identity_id is not distinct from c.identity_id)
         order by c.claim_hash limit $4",
    )
    .bind(last)
    .bind(old)
    .bind(&newest.id)
    .bind(BATCH)
    .fetch_all(db)
    .await
}

/// What is claimed; none where it has changed since the claim was read, or cannot be opened.
async fn read(store: &Store, keys: &Keys, found: &Found) -> Result<Option<Claim>, RehashError> {
    let claim = if let Some(id) = found.identity_id {
        identity_rows::claim_of(
            keys,
            IdentityId(id),
            found.provider.as_deref(),
            found.sealed.as_deref(),
        )
    } else {
        let state = store.load::<User>(UserId(found.user_id)).await?;
        match found.kind.as_str() {
            "email" => state.email().map(|email| Claim::email(email)),
            _ => state.phone().map(|phone| Claim::phone(phone)),
        }
    };
    let key = keys.lookup.find(&found.key_id);
    Ok(claim.filter(|claim| key.is_some_and(|key| claim.hash(&key)[..] == found.claim_hash)))
}

/// Whoever has what the old hash tells of has it by the new one, too.
async fn claim_again(
    db: &PgPool,
    newest: &Key,
    again: Vec<(Vec<u8>, [u8; 32])>,
) -> sqlx::Result<u64> {
    let (old, new): (Vec<_>, Vec<_>) = again.into_iter().unzip();
    let mut tx = alone(db).await?;
    let claimed = sqlx::query(
        "insert into claims (claim_hash, key_id, kind, user_id, identity_id)
         select a.new, $3, c.kind, c.user_id, c.identity_id
         from unnest($1::bytea[], $2::bytea[]) as a (old, new)
         join claims c on c.claim_hash = a.old
         on conflict (claim_hash) do nothing",
    )
    .bind(old)
    .bind(new)
    .bind(&newest.id)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(claimed.rows_affected())
}

/// Whoever writes claims waits meanwhile. It is not enough to lock the rows: a statement that takes
/// away what somebody gives up, and waits for such a row, would not see the one that was written
/// beside it, which would keep the address from everybody for ever.
async fn alone(db: &PgPool) -> sqlx::Result<Transaction<'static, Postgres>> {
    let mut tx = db.begin().await?;
    // Whoever claims waits with the head of the log in hand: the lock is not waited for for long, nor held by who is gone.
    for statement in [
        "set local idle_in_transaction_session_timeout = '2s'",
        "set local lock_timeout = '2s'",
        "lock table claims in share row exclusive mode",
        "set local lock_timeout = 0",
    ] {
        sqlx::query(statement).execute(&mut *tx).await?;
    }
    Ok(tx)
}

/// An erasure finds what was sent to somebody by the hashes of their claims. What cannot be opened
/// any more is as good as erased.
async fn readdress(db: &PgPool, keys: &Keys, newest: &Key) -> sqlx::Result<()> {
    let mut last = Uuid::nil();
    loop {
        let rows: Vec<(Uuid, String)> = sqlx::query_as(
            "select challenge_id, sealed from challenges
             where challenge_id > $1 and sent_to is not null
             order by challenge_id limit $2",
        )
        .bind(last)
        .bind(BATCH)
        .fetch_all(db)
        .await?;
        let Some((id, _)) = rows.last() else { return Ok(()) };
        last = *id;
        let sent = rows.into_iter().filter_map(|(id, sealed)| {
            let place = challenges::place(ChallengeId(id));
            let contact = keys.sealing.open::<Contact>(&place, &sealed).ok()?;
            Some((id, contact.claim().hash(newest)))
        });
        let (ids, hashes): (Vec<_>, Vec<_>) = sent.unzip();
        sqlx::query(
            "update challenges c set sent_to = array[s.hash]
             from unnest($1::uuid[], $2::bytea[]) as s (id, hash) where c.challenge_id = s.id",
        )
        .bind(ids)
        .bind(hashes)
        .execute(db)
        .await?;
    }
}

/// Whether there is still a claim that only these keys find.
pub async fn are_needed(db: &PgPool, keys: &Keys, old: &[String]) -> sqlx::Result<bool> {
    Ok(!found_by(db, old, &keys.lookup.newest(), &[]).await?.is_empty())
}

/// Forgets the hashes of keys that are to go, and of those that went before, where the newest key
/// finds the same: a node that had not read the file yet may have written some at the last minute.
pub async fn forget(db: &PgPool, keys: &Keys, old: &[String]) -> sqlx::Result<()> {
    let ids = keys.lookup.all().into_iter().map(|dated| dated.key.id);
    let kept: Vec<String> = ids.filter(|id| !old.contains(id)).collect();
    let mut last = vec![];
    loop {
        let mut tx = alone(db).await?;
        let gone: Vec<Vec<u8>> = sqlx::query_scalar(
            "delete from claims where claim_hash in (
                 select c.claim_hash from claims c
                 where c.claim_hash > $1 and c.key_id <> all($2)
                   and exists (
                       select from claims n
                       where n.user_id = c.user_id and n.kind = c.kind and n.key_id = $3
                         and n.identity_id is not distinct from c.identity_id)
                 order by c.claim_hash limit $4)
             returning claim_hash",
        )
        .bind(&last)
        .bind(&kept)
        .bind(&keys.lookup.newest().id)
        .bind(BATCH)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let Some(end) = gone.into_iter().max() else { return Ok(()) };
        last = end;
    }
}
