//! What a person does with a subscription that runs: another plan, its end, going on, and Stripe's
//! portal; each told beforehand, where it is asked what it would come to.

use aggregates::catalogue::PlanTerms;
use aggregates::id::{PlanId, SubscriptionId, UserId};
use aggregates::subscription::{PlanVersion, Standing, Subscription};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};

use super::{customers, offers, reading, stripe, subscribe, subscribers, subscriptions};
use crate::app::App;
use crate::clients::stripe::{Link, PriceChange, SubscriptionItem};
use crate::clock;
use crate::error::{Problem, Result};

/// When something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// At once.
    Now,
    /// When the period that is paid for is over.
    AtPeriodEnd,
}

/// What a change of plans comes to.
#[derive(Clone, Debug)]
pub struct Planned {
    /// What it will be.
    pub plan: PlanVersion,
    /// When.
    pub when: When,
    /// When that is.
    pub at: DateTime<Utc>,
    /// What is to be paid at once, in the currency's smallest unit.
    pub due_minor: i64,
    /// ISO 4217, in lower case.
    pub currency: String,
}

/// A subscription that runs, and what it is paid for at Stripe.
struct Running {
    id: SubscriptionId,
    stripe: String,
    subscription: Subscription,
    standing: Standing,
}

/// How the plan is to be changed.
enum Way {
    /// Back to what is paid for, or down: from the next period on, and nothing to pay.
    AtRenewal,
    /// Up: the difference is paid at once.
    AtOnce,
}

async fn running(app: &App, user: UserId) -> Result<Running> {
    let found = subscribers::running(app, user).await?;
    let (id, subscription) = found.ok_or_else(none)?;
    let (stripe, standing) = (subscription.stripe(), subscription.standing().cloned());
    let (Some(stripe), Some(standing)) = (stripe.map(str::to_owned), standing) else {
        return Err(none());
    };
    Ok(Running { id, stripe, subscription, standing })
}

fn none() -> Problem {
    let detail = "there is no subscription that runs";
    Problem::new(StatusCode::CONFLICT, "not_subscribed", detail)
}

impl Running {
    /// What is paid for now: more than what Stripe shows, where the plan goes down at the end of the
    /// period.
    fn paid_for(&self) -> &PlanVersion {
        self.subscription.entitlement(clock::now()).unwrap_or(&self.standing.plan)
    }

    /// None where nothing is different.
    fn way_to(&self, plan: &PlanVersion) -> Result<Option<Way>> {
        let paid = self.paid_for();
        if plan.terms.price.currency != paid.terms.price.currency {
            let detail = "a plan in another currency needs a subscription of its own";
            return Err(Problem::new(StatusCode::CONFLICT, "other_currency", detail));
        }
        if self.standing.status.is_behind() {
            let detail = "an invoice is not paid: pay it first, by the portal";
            return Err(Problem::new(StatusCode::CONFLICT, "past_due", detail));
        }
        let (new, old) = (&plan.terms, &paid.terms);
        let up = new.price.amount_minor > old.price.amount_minor;
        match (new.interval == old.interval, up) {
            (true, _) if *plan == self.standing.plan => Ok(None),
            // Stripe would reckon the difference to what it shows, which is less than what is paid.
            (_, true) if *paid != self.standing.plan => {
                let detail = "another plan is to come with the next period: take that back first, \
                              by a change to the plan that is paid for";
                Err(Problem::new(StatusCode::CONFLICT, "change_pending", detail))
            }
            (_, true) => Ok(Some(Way::AtOnce)),
            (true, false) => Ok(Some(Way::AtRenewal)),
            (false, false) => {
                let detail = "the plan is paid by the year: it can be changed for one that is paid \
                              by the month when the year is over";
                Err(Problem::new(StatusCode::CONFLICT, "by_the_year", detail))
            }
        }
    }

    async fn item(&self, app: &App) -> Result<SubscriptionItem> {
        let subscription = stripe(app)?.subscription(&self.stripe).await?;
        let item = reading::item_of(app, &subscription).await?.map(|(item, _)| item.clone());
        item.ok_or_else(|| {
            let detail = "the subscription has a price that is not on sale here: ask the support";
            Problem::new(StatusCode::CONFLICT, "other_price", detail)
        })
    }
}

/// What a change to a plan would come to.
pub async fn preview_change(app: &App, user: UserId, plan: PlanId) -> Result<Planned> {
    let running = running(app, user).await?;
    let plan = subscribe::on_sale(app, plan).await?;
    let currency = plan.terms.price.currency.to_string();
    let now = clock::now();
    match running.way_to(&plan)? {
        None => Ok(Planned { plan, when: When::Now, at: now, due_minor: 0, currency }),
        Some(Way::AtRenewal) => {
            let (when, at) = (When::AtPeriodEnd, running.standing.period.end);
            Ok(Planned { plan, when, at, due_minor: 0, currency })
        }
        Some(Way::AtOnce) => {
            let price = offers::list::<PlanTerms>(app, plan.plan.0).await?.price;
            let item = running.item(app).await?;
            let change = PriceChange {
                subscription: &running.stripe,
                item: &item.id,
                price: &price,
                at: Some(now),
            };
            let preview = stripe(app)?.preview_price_now(&change).await?;
            let due_minor = preview.amount_due;
            Ok(Planned { plan, when: When::Now, at: now, due_minor, currency: preview.currency })
        }
    }
}

/// Changes the plan: up at once, where the difference is paid; down when the period is over. `at` is
/// that of the preview, so that it comes to the same. `key` is the request's.
pub async fn change(
    app: &App,
    user: UserId,
    plan: PlanId,
    at: Option<DateTime<Utc>>,
    key: &str,
) -> Result<()> {
    let running = running(app, user).await?;
    let plan = subscribe::on_sale(app, plan).await?;
    let way = running.way_to(&plan)?;
    let period = running.standing.period;
    if at.is_some_and(|at| at < period.start || at >= period.end.min(clock::now())) {
        return Err(Problem::field("at", "must be that of a preview in this period"));
    }
    let Some(way) = way else { return Ok(()) };
    let price = offers::list::<PlanTerms>(app, plan.plan.0).await?.price;
    let (item, stripe) = (running.item(app).await?, stripe(app)?);
    let change = PriceChange { subscription: &running.stripe, item: &item.id, price: &price, at };
    let key = format!("subscription/{}/change/{key}", running.id);
    let changed = match way {
        Way::AtRenewal => stripe.change_price_at_renewal(&change, &key).await,
        Way::AtOnce => stripe.change_price_now(&change, &key).await,
    };
    changed.map_err(|error| match error {
        // The key is the request's, and so is what it asks for.
        error if error.is_key_reused() => Problem::key_reused(),
        error => error.into(),
    })?;
    subscriptions::settle(app, &running.stripe).await
}

/// Ends the subscription: with the period that is paid for, or now.
pub async fn cancel(app: &App, user: UserId, when: When, key: &str) -> Result<()> {
    let running = running(app, user).await?;
    match when {
        When::AtPeriodEnd => {
            let key = format!("subscription/{}/cancel/{key}", running.id);
            stripe(app)?.cancel_at_period_end(&running.stripe, &key).await?;
        }
        When::Now => {
            stripe(app)?.cancel_now(&running.stripe).await?;
        }
    }
    subscriptions::settle(app, &running.stripe).await
}

/// Lets a subscription that would end go on.
pub async fn resume(app: &App, user: UserId, key: &str) -> Result<()> {
    let running = running(app, user).await?;
    let stripe = stripe(app)?;
    let shown = stripe.subscription(&running.stripe).await?;
    let key = format!("subscription/{}/resume/{key}", running.id);
    if shown.cancel_at_period_end {
        stripe.resume(&running.stripe, &key).await?;
    } else if shown.cancel_at.is_some() {
        // An operator has named a day, or the portal has: Stripe's newer subscriptions end so.
        stripe.resume_endless(&running.stripe, &key).await?;
    }
    subscriptions::settle(app, &running.stripe).await
}

/// Until when what is paid for lasts, and whether it would end then.
pub async fn ends(app: &App, user: UserId) -> Result<(DateTime<Utc>, bool)> {
    let running = running(app, user).await?;
    let paid = running.subscription.entitled_until();
    let end = paid.unwrap_or(running.standing.period.end);
    Ok((running.standing.ends_at.unwrap_or(end), running.standing.ends_at.is_some()))
}

/// A page of Stripe's where cards, invoices and the plan are looked after.
pub async fn portal(app: &App, user: UserId, key: &str) -> Result<Link> {
    let customer = customers::of(app, user).await?;
    let page = format!("{}/billing", app.settings.public_url);
    let key = format!("portal/{user}/{key}");
    Ok(stripe(app)?.create_portal(&customer, &page, &key).await?)
}
