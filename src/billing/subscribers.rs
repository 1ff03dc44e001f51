//! Which subscription of a person's counts: the first that runs, until it has ended; and which one their
//! trial comes with.

use aggregates::id::{SubscriptionId, UserId};
use aggregates::subscription::{Status, Subscription};

use super::ATTEMPTS;
use crate::app::App;
use crate::error::{Problem, Result};

/// Something that a person has one of, and that goes with one of their subscriptions: a table of the
/// two.
struct Claim {
    take: &'static str,
    leave: &'static str,
}

/// To be the subscription that counts.
const PLACE: Claim = Claim {
    take: "insert into subscribers as c (user_id, subscription_id) values ($1, $2)
        on conflict (user_id) do update set subscription_id = c.subscription_id
        returning subscription_id",
    leave: "delete from subscribers where user_id = $1 and subscription_id = $2",
};

/// To be free at first.
const TRIAL: Claim = Claim {
    take: "insert into trials as c (user_id, subscription_id) values ($1, $2)
        on conflict (user_id) do update set subscription_id = c.subscription_id
        returning subscription_id",
    leave: "delete from trials where user_id = $1 and subscription_id = $2",
};

impl Claim {
    /// Whose it is: this one's from now on, where it was nobody's.
    async fn take(&self, app: &App, user: UserId, id: SubscriptionId) -> Result<SubscriptionId> {
        let holder = sqlx::query_scalar(self.take).bind(user.0).bind(id.0);
        Ok(SubscriptionId(holder.fetch_one(app.db()).await?))
    }

    async fn leave(&self, app: &App, user: UserId, id: SubscriptionId) -> Result<()> {
        sqlx::query(self.leave).bind(user.0).bind(id.0).execute(app.db()).await?;
        Ok(())
    }
}

/// Whether this one counts; it does from now on, where none does that has not ended.
pub(super) async fn has_place(app: &App, user: UserId, id: SubscriptionId) -> Result<bool> {
    for _ in 0..ATTEMPTS {
        let holder = PLACE.take(app, user, id).await?;
        if holder == id {
            return Ok(true);
        }
        if app.store.load::<Subscription>(holder).await?.status().is_live() {
            return Ok(false);
        }
        PLACE.leave(app, user, holder).await?;
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
        let holder = TRIAL.take(app, user, id).await?;
        if holder == id {
            return Ok(true);
        }
        let other = app.store.load::<Subscription>(holder).await?;
        let pageless = other.status() == Status::Ordered && other.checkout().is_none();
        let was_left =
            other.status() == Status::Abandoned || (pageless && is_old(app, user).await?);
        if !was_left {
            return Ok(false);
        }
        give_trial_back(app, user, holder).await?;
    }
    Err(Problem::busy("the person's orders change all the time; try again"))
}

/// Whether the trial was taken so long ago that a page which nobody has heard of is over, as any is
/// after a day.
async fn is_old(app: &App, user: UserId) -> Result<bool> {
    let old = "select claimed_at < clock_timestamp() - interval '25 hours'
        from trials where user_id = $1";
    let old: Option<bool> = sqlx::query_scalar(old).bind(user.0).fetch_optional(app.db()).await?;
    Ok(old == Some(true))
}

/// The trial does not come with this order after all: it has no page.
pub(super) async fn give_trial_back(app: &App, user: UserId, id: SubscriptionId) -> Result<()> {
    TRIAL.leave(app, user, id).await
}
