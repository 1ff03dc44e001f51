//! Which subscription of a person's counts: the first that runs, until it has ended; and which one their
//! trial comes with.

use aggregates::id::{SubscriptionId, UserId};
use aggregates::subscription::{Status, Subscription};

use super::ATTEMPTS;
use crate::app::App;
use crate::error::{Problem, Result};

/// Whether this one counts; it does from now on, where none does that has not ended.
pub(super) async fn has_place(app: &App, user: UserId, id: SubscriptionId) -> Result<bool> {
    for _ in 0..ATTEMPTS {
        let holder: uuid::Uuid = sqlx::query_scalar(
            "insert into subscribers as s (user_id, subscription_id) values ($1, $2)
             on conflict (user_id) do update set subscription_id = s.subscription_id
             returning subscription_id",
        )
        .bind(user.0)
        .bind(id.0)
        .fetch_one(app.db())
        .await?;
        if holder == id.0 {
            return Ok(true);
        }
        let other = app.store.load::<Subscription>(SubscriptionId(holder)).await?;
        if other.status().is_live() {
            return Ok(false);
        }
        sqlx::query("delete from subscribers where user_id = $1 and subscription_id = $2")
            .bind(user.0)
            .bind(holder)
            .execute(app.db())
            .await?;
    }
    Err(Problem::busy("the person's subscriptions change all the time; try again"))
}

/// The person's subscription that runs; none where none does.
pub(super) async fn running(
    app: &App,
    user: UserId,
) -> Result<Option<(SubscriptionId, Subscription)>> {
    let id: Option<uuid::Uuid> =
        sqlx::query_scalar("select subscription_id from subscribers where user_id = $1")
            .bind(user.0)
            .fetch_optional(app.db())
            .await?;
    let Some(id) = id.map(SubscriptionId) else { return Ok(None) };
    let subscription = app.store.load::<Subscription>(id).await?;
    Ok(subscription.status().is_live().then_some((id, subscription)))
}

/// Whether the person's trial comes with this order: with the first, unless that was left. Of several
/// orders at once it comes with one.
pub(super) async fn has_trial(app: &App, user: UserId, id: SubscriptionId) -> Result<bool> {
    if projections::billing::has_subscribed(app.db(), user.0).await? {
        return Ok(false);
    }
    for _ in 0..ATTEMPTS {
        let holder: uuid::Uuid = sqlx::query_scalar(
            "insert into trials as t (user_id, subscription_id) values ($1, $2)
             on conflict (user_id) do update set subscription_id = t.subscription_id
             returning subscription_id",
        )
        .bind(user.0)
        .bind(id.0)
        .fetch_one(app.db())
        .await?;
        if holder == id.0 {
            return Ok(true);
        }
        let other = app.store.load::<Subscription>(SubscriptionId(holder)).await?;
        // A page that nobody has heard of is over after a day, as any.
        let old = "select claimed_at < clock_timestamp() - interval '25 hours'
            from trials where user_id = $1 and subscription_id = $2";
        let old: Option<bool> =
            sqlx::query_scalar(old).bind(user.0).bind(holder).fetch_optional(app.db()).await?;
        let pageless = other.status() == Status::Ordered && other.checkout().is_none();
        if other.status() != Status::Abandoned && !(pageless && old == Some(true)) {
            return Ok(false);
        }
        give_trial_back(app, user, SubscriptionId(holder)).await?;
    }
    Err(Problem::busy("the person's orders change all the time; try again"))
}

/// The trial does not come with this order after all: it has no page.
pub(super) async fn give_trial_back(app: &App, user: UserId, id: SubscriptionId) -> Result<()> {
    sqlx::query("delete from trials where user_id = $1 and subscription_id = $2")
        .bind(user.0)
        .bind(id.0)
        .execute(app.db())
        .await?;
    Ok(())
}
