//! The card that a person has let us keep.

use aggregates::id::UserId;
use chrono::{DateTime, Utc};

use super::{customers, stripe};
use crate::app::App;
use crate::clients::stripe::StripeError;
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
         where saved_cards.paid_at < excluded.paid_at",
    )
    .bind(user.0)
    .bind(card)
    .bind(paid_at)
    .execute(app.db())
    .await?;
    Ok(())
}

/// The card to charge: the one that was kept, else the one that the person has at Stripe for
/// whatever is paid by itself.
pub(super) async fn of(app: &App, user: UserId) -> Result<Option<String>> {
    let kept: Option<Option<String>> =
        sqlx::query_scalar("select payment_method from saved_cards where user_id = $1")
            .bind(user.0)
            .fetch_optional(app.db())
            .await?;
    if let Some(Some(card)) = kept {
        return Ok(Some(card));
    }
    let Some(customer) = customers::known(app, user).await? else { return Ok(None) };
    match stripe(app)?.customer(&customer).await {
        Ok(customer) => Ok(customer.card),
        // Somebody has deleted it, cards and all.
        Err(StripeError::NotFound) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// When the payment was made that left the kept card; none where none is kept.
pub(super) async fn since(app: &App, user: UserId) -> Result<Option<DateTime<Utc>>> {
    let since = sqlx::query_scalar(
        "select paid_at from saved_cards where user_id = $1 and payment_method is not null",
    );
    Ok(since.bind(user.0).fetch_optional(app.db()).await?)
}

/// Forgets a card that Stripe knows no more. When it was paid with stays: hearing again of that
/// payment, or of an older one, brings no card back.
pub(super) async fn forget(app: &App, user: UserId, card: &str) -> Result<()> {
    sqlx::query(
        "update saved_cards set payment_method = null where user_id = $1 and payment_method = $2",
    )
    .bind(user.0)
    .bind(card)
    .execute(app.db())
    .await?;
    Ok(())
}
