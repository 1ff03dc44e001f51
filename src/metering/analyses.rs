//! What AI calls delivered, kept and shown: encrypted with the person's key.

use aggregates::credits::Credits;
use aggregates::id::{HoldId, UserId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use super::surely::surely;
use crate::app::App;
use crate::error::{Problem, Result};
use crate::store::{CodecError, SideRow, place, seal_with};

/// What a call delivered.
#[derive(Clone, Debug)]
pub struct Record {
    /// The call's id: that of its hold.
    pub id: Uuid,
    /// Which kind of call.
    pub feature: String,
    /// What was charged.
    pub credits: i64,
    /// The result and its usage.
    pub delivery: Delivery,
    /// When it was charged.
    pub created_at: DateTime<Utc>,
}

/// The encrypted part of a [`Record`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// What the provider answered.
    pub result: Value,
    /// Which model answered.
    pub model: String,
    /// Tokens read, where the provider said.
    pub input_tokens: Option<u64>,
    /// Tokens written, where the provider said.
    pub output_tokens: Option<u64>,
}

/// The call's result as a row, encrypted with the person's key; for that, too, the database is waited for.
pub(super) async fn seal(app: &App, user: UserId, record: &Record) -> Result<SideRow> {
    let passes = |error: &_| matches!(error, CodecError::Database(_));
    let key = surely(passes, || app.store.codec().key(user)).await.map_err(Problem::failed)?;
    let key = key.ok_or_else(|| Problem::failed("the person has no key"))?;
    let mut sealed = json!({ aggregates::pii::CLEAR: record.delivery });
    seal_with(&key, &place("analysis", &record.id.to_string(), 1), &mut sealed)
        .map_err(Problem::failed)?;
    Ok(SideRow::Analysis {
        analysis_id: record.id,
        user_id: user,
        feature: record.feature.clone(),
        credits: record.credits,
        sealed: sealed.to_string(),
        created_at: record.created_at,
    })
}

/// Writes down what was charged, where that is less than the price.
pub(super) async fn correct(app: &App, hold: HoldId, charged: Credits) -> Result<()> {
    let correct = "update analyses set credits = $2 where analysis_id = $1";
    sqlx::query(correct).bind(hold.0).bind(charged.get()).execute(app.db()).await?;
    Ok(())
}

/// What one of the person's calls delivered.
pub(super) async fn find(app: &App, user: UserId, id: Uuid) -> Result<Option<Record>> {
    let row = sqlx::query(
        "select analysis_id, feature, credits, sealed, created_at from analyses
         where user_id = $1 and analysis_id = $2",
    )
    .bind(user.0)
    .bind(id)
    .fetch_optional(app.db())
    .await?;
    match row {
        Some(row) => open(app, user, &row).await.map(Some),
        None => Ok(None),
    }
}

/// Decrypts a row.
pub(super) async fn open(app: &App, user: UserId, row: &sqlx::postgres::PgRow) -> Result<Record> {
    let id: Uuid = row.try_get("analysis_id")?;
    let mut sealed: Value =
        serde_json::from_str(row.try_get("sealed")?).map_err(Problem::failed)?;
    let place = place("analysis", &id.to_string(), 1);
    app.store.codec().open(user, &place, &mut sealed).await.map_err(Problem::failed)?;
    let delivery =
        sealed.get_mut(aggregates::pii::CLEAR).map(Value::take).ok_or_else(Problem::not_found)?;
    Ok(Record {
        id,
        feature: row.try_get("feature")?,
        credits: row.try_get("credits")?,
        delivery: serde_json::from_value(delivery).map_err(Problem::failed)?,
        created_at: row.try_get("created_at")?,
    })
}
