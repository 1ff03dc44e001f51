//! Spends that were refused for want of credits, as administrators see them.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::error::Result;

/// A spend that was refused; what repeated within a second is one.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub struct DeclinedSpend {
    /// Its id.
    pub id: i64,
    /// When, the last of them.
    pub declined_at: DateTime<Utc>,
    /// Whose wallet it is.
    pub user_id: Uuid,
    /// By which of the person's API keys, where not in person.
    pub key_id: Option<Uuid>,
    /// `debit`, `hold`, or `call` for an AI call.
    #[schema(example = "debit")]
    pub operation: String,
    /// As the answer had it: `wallet` (too few), `debt`, `frozen`, `limit`.
    #[schema(example = "wallet")]
    pub reason: String,
    /// Credits that the last of them needed.
    pub required: i64,
    /// What the wallet had available then.
    pub available: i64,
    /// What of it was held.
    pub held: i64,
    /// How many there were.
    pub times: i64,
}

/// The newest, from before an id: of one person, or of all.
pub async fn newest(
    app: &App,
    user: Option<Uuid>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<DeclinedSpend>> {
    let declines = sqlx::query_as(
        "select decline_id as id, declined_at, user_id, key_id, operation, reason, required, available, held, times
         from declines
         where ($1::uuid is null or user_id = $1) and ($2::bigint is null or decline_id < $2)
         order by decline_id desc limit $3",
    );
    Ok(declines.bind(user).bind(before).bind(limit).fetch_all(app.db()).await?)
}
