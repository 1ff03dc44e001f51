//! The card that a person has let us keep.

use aggregates::id::UserId;
use chrono::{DateTime, Utc};

use crate::app::App;
use crate::error::Result;

/// Keeps the card of a payment, unless a later one has left another. The lock keeps whoever is being
/// forgotten from leaving a card behind.
pub(super) async fn keep(
    app: &App,
    user: UserId,
    card: &str,
    paid_at: DateTime<Utc>,
) -> Result<()> {
    sqlx::query(
        "insert into saved_cards (user_id, payment_method, paid_at)
         select user_id, $2, $3 from person_keys
         where user_id = $1 and destroyed_at is null for share
         on conflict (user_id) do update
         set payment_method = excluded.payment_method, paid_at = excluded.paid_at
         where saved_cards.paid_at <= excluded.paid_at",
    )
    .bind(user.0)
    .bind(card)
    .bind(paid_at)
    .execute(app.db())
    .await?;
    Ok(())
}
