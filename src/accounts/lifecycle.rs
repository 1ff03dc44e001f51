//! Letting an account rest, forgetting a person, and telling a person all that is held of them.

use aggregates::id::{SessionId, UserId, WalletId};
use aggregates::user::{self, User};
use chrono::{DateTime, Utc};
use projections::balances;
use secrecy::SecretString;
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::password::confirm;
use super::{Visitor, api_keys, identities, sessions, standing};
use crate::app::App;
use crate::clients::mail::Letter;
use crate::clock;
use crate::error::{Problem, Result};
use crate::metering;
use crate::queue::LetterTo;
use crate::store::{SideRow, place};

/// Lets the account rest: all sessions end, and nobody signs in until it is used again. Not that of the last
/// administrator.
pub async fn deactivate(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    password: Option<SecretString>,
) -> Result<i64> {
    confirm(app, user, password, "password").await?;
    let _others = standing::others_administer(app, user, user).await?;
    let ended = SideRow::SessionsEnded { user_id: user, keep: None };
    let keys = SideRow::ApiKeysRest { user_id: user, rest: true };
    let ask = user::Ask::Deactivate { reason: None };
    Ok(super::tell(app, visitor, user, ask, [ended, keys]).await?)
}

/// Forgets the person, who is not the last administrator: their key is destroyed in the unit of the event, so that
/// what the log has of them can never be read again, while its hashes stay true. They are told once more.
pub async fn erase(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    password: Option<SecretString>,
) -> Result<i64> {
    confirm(app, user, password, "password").await?;
    let _others = standing::others_administer(app, user, user).await?;
    let state = super::state(app, user).await?;
    let mut rows = vec![SideRow::PersonErased { user_id: user }];
    if let Some(to) = state.email().filter(|_| state.email_verified()) {
        let letter = LetterTo { to: to.clone(), letter: Letter::Erased { at: clock::now() } };
        let job = letter.job(&app.keys, Uuid::new_v5(&user.0, b"erased"));
        rows.push(job.map_err(Problem::failed)?.row());
    }
    let position = super::tell(app, visitor, user, user::Ask::Erase, rows).await?;
    app.store.codec().evict(user);
    app.store.forget::<User>(user);
    Ok(position)
}

/// All that is held of the person, in clear; secrets are held as hashes only, and are left out.
pub async fn export(app: &App, user: UserId, session: SessionId) -> Result<Value> {
    let state = super::state(app, user).await?;
    let now = clock::now();
    let balance = balances::of_wallet(app.db(), WalletId::from(user), now).await?;
    let analyses = metering::entries(app, user, None, i64::MAX).await?;
    let analyses = analyses.iter().map(|call| {
        let delivered = call.delivered();
        json!({
            "id": call.id, "feature": call.feature,
            "credits": delivered.map(|delivered| delivered.credits),
            "result": delivered.map(|delivered| &delivered.delivery), "created_at": call.created_at,
        })
    });
    Ok(json!({
        "exported_at": now,
        "profile": {
            "id": user, "email": state.email(), "email_verified": state.email_verified(),
            "phone": state.phone(), "name": state.name(), "role": state.role().name(),
            "has_password": state.has_password(),
        },
        "sessions": sessions::list(app, user, session).await?,
        "identities": identities::list(app, user).await?,
        "api_keys": api_keys::list(app, user).await?,
        "wallet": balance.map(|wallet| json!({
            "available": wallet.available, "held": wallet.held, "debt": wallet.debt,
        })),
        "analyses": analyses.collect::<Vec<_>>(),
        "events": events(app, user).await?,
    }))
}

/// Something that happened to an account.
#[derive(Debug, Serialize, ToSchema)]
pub struct Happened {
    /// Its number in the account's own history; what the next page begins after.
    pub sequence: i64,
    /// What happened.
    #[schema(example = "SessionStarted")]
    pub event: String,
    /// When.
    pub recorded_at: DateTime<Utc>,
    /// Who did it: the person, a key of theirs, or a process.
    pub actor: Option<String>,
    /// By which request.
    pub request_id: Option<String>,
}

/// What happened to the account, the newest first, from before `cursor`.
pub async fn audit(
    app: &App,
    user: UserId,
    cursor: Option<i64>,
    limit: i64,
) -> Result<Vec<Happened>> {
    let rows = sqlx::query(
        "select sequence, event_type, recorded_at, metadata ->> 'actor' as actor,
             metadata ->> 'request_id' as request_id
         from events
         where aggregate_type = 'user' and aggregate_id = $1 and ($2::bigint is null or sequence < $2)
         order by sequence desc limit $3",
    )
    .bind(user.to_string())
    .bind(cursor)
    .bind(limit)
    .fetch_all(app.db())
    .await?;
    let happened = rows.iter().map(|row| {
        Ok(Happened {
            sequence: row.try_get("sequence")?,
            event: row.try_get("event_type")?,
            recorded_at: row.try_get("recorded_at")?,
            actor: row.try_get("actor")?,
            request_id: row.try_get("request_id")?,
        })
    });
    happened.collect()
}

/// What the log says of the person, of their wallet and of their auto-recharge.
async fn events(app: &App, user: UserId) -> Result<Vec<Value>> {
    let rows = sqlx::query(
        "select aggregate_type, sequence, payload::text as payload, position, recorded_at
         from events where aggregate_id = $1 and aggregate_type in ('user', 'wallet', 'recharge')
         order by position",
    )
    .bind(user.to_string())
    .fetch_all(app.db())
    .await?;
    let mut events = Vec::with_capacity(rows.len());
    for row in rows {
        let (kind, sequence): (&str, i64) =
            (row.try_get("aggregate_type")?, row.try_get("sequence")?);
        let payload: &str = row.try_get("payload")?;
        let mut payload: Value = serde_json::from_str(payload).map_err(Problem::failed)?;
        let place = place(kind, &user.to_string(), sequence);
        app.store.codec().open(user, &place, &mut payload).await.map_err(Problem::failed)?;
        events.push(json!({
            "stream": kind, "sequence": sequence, "event": payload,
            "position": row.try_get::<i64, _>("position")?,
            "recorded_at": row.try_get::<DateTime<Utc>, _>("recorded_at")?,
        }));
    }
    Ok(events)
}
