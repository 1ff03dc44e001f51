//! What a person does with a subscription that runs: another plan, its end, going on, and Stripe's
//! portal; each told beforehand, where it is asked what it would come to.

use aggregates::catalogue::PlanTerms;
use aggregates::id::{PlanId, SubscriptionId, UserId};
use aggregates::subscription::{
    Ask, PlanVersion, Standing, Subscription, SubscriptionCommand, Wish,
};
use axum::http::StatusCode;
use chrono::{DateTime, Utc};

use super::{customers, offers, reading, stripe, subscribe, subscribers, subscriptions};
use crate::app::App;
use crate::clients::stripe::{Link, PriceChange, SubscriptionItem};
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::Envelope;

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

/// Somebody's request, by which it is known when it comes again.
pub struct Request {
    /// What Stripe knows it by.
    pub key: String,
    /// What the log knows it by.
    pub envelope: Envelope,
}

/// A request that was carried out.
pub struct Done {
    /// Where the log has it.
    pub position: i64,
    /// Whether that was before: this time, nothing was done.
    pub replayed: bool,
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

/// The request, where it was carried out before, whatever became of the subscription since.
async fn known(app: &App, user: UserId, request: &Request) -> Result<Option<Done>> {
    if request.envelope.metadata.request_hash.is_none() {
        return Ok(None);
    }
    for row in projections::billing::subscriptions_of(app.db(), user.0).await? {
        let known = app.store.known::<Subscription>(row.subscription_id, &request.envelope).await?;
        if let Some(known) = known {
            return Ok(Some(Done { position: known.position, replayed: true }));
        }
    }
    Ok(None)
}

/// Brings a subscription to what came of a request at Stripe, and notes that it was carried out. Not
/// before: whoever dies in between carries it out when it comes again, under the same key of Stripe's.
async fn done(
    app: &App,
    user: UserId,
    running: &Running,
    wish: Wish,
    request: Request,
) -> Result<Done> {
    subscriptions::settle(app, &running.stripe).await?;
    let command = SubscriptionCommand { now: clock::now(), ask: Ask::NoteManaged { wish } };
    let noted = app.store.execute::<Subscription>(running.id, request.envelope, command).await?;
    app.wrote(user, noted.position);
    Ok(Done { position: noted.position, replayed: noted.replayed })
}

/// A request that changes nothing leaves nothing.
fn nothing(app: &App) -> Done {
    Done { position: app.store.head(), replayed: false }
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
/// that of the preview, so that it comes to the same.
pub async fn change(
    app: &App,
    user: UserId,
    plan: PlanId,
    at: Option<DateTime<Utc>>,
    request: Request,
) -> Result<Done> {
    if let Some(known) = known(app, user, &request).await? {
        return Ok(known);
    }
    let running = running(app, user).await?;
    let plan = subscribe::on_sale(app, plan).await?;
    let way = running.way_to(&plan)?;
    let period = running.standing.period;
    if at.is_some_and(|at| at < period.start || at >= period.end.min(clock::now())) {
        return Err(Problem::field("at", "must be that of a preview in this period"));
    }
    let Some(way) = way else { return Ok(nothing(app)) };
    let price = offers::list::<PlanTerms>(app, plan.plan.0).await?.price;
    let (item, stripe) = (running.item(app).await?, stripe(app)?);
    let change = PriceChange { subscription: &running.stripe, item: &item.id, price: &price, at };
    let key = format!("subscription/{}/change/{}", running.id, request.key);
    let changed = match way {
        Way::AtRenewal => stripe.change_price_at_renewal(&change, &key).await,
        Way::AtOnce => stripe.change_price_now(&change, &key).await,
    };
    changed.map_err(|error| match error {
        // The key is the request's, and so is what it asks for.
        error if error.is_key_reused() => Problem::key_reused(),
        error => error.into(),
    })?;
    done(app, user, &running, Wish::Change { plan: plan.plan }, request).await
}

/// Ends the subscription: with the period that is paid for, or now.
pub async fn cancel(app: &App, user: UserId, when: When, request: Request) -> Result<Done> {
    if let Some(known) = known(app, user, &request).await? {
        return Ok(known);
    }
    let running = running(app, user).await?;
    let wish = match when {
        When::AtPeriodEnd => {
            let key = format!("subscription/{}/cancel/{}", running.id, request.key);
            stripe(app)?.cancel_at_period_end(&running.stripe, &key).await?;
            Wish::CancelAtPeriodEnd
        }
        When::Now => {
            stripe(app)?.cancel_now(&running.stripe).await?;
            Wish::CancelNow
        }
    };
    done(app, user, &running, wish, request).await
}

/// Lets a subscription that would end go on.
pub async fn resume(app: &App, user: UserId, request: Request) -> Result<Done> {
    if let Some(known) = known(app, user, &request).await? {
        return Ok(known);
    }
    let (running, stripe) = (running(app, user).await?, stripe(app)?);
    let shown = stripe.subscription(&running.stripe).await?;
    let key = format!("subscription/{}/resume/{}", running.id, request.key);
    if shown.cancel_at_period_end {
        stripe.resume(&running.stripe, &key).await?;
    } else if shown.cancel_at.is_some() {
        // An operator has named a day, or the portal has: Stripe's newer subscriptions end so.
        stripe.resume_endless(&running.stripe, &key).await?;
    } else if running.standing.ends_at.is_none() {
        return Ok(nothing(app));
    }
    // Where Stripe shows no end any more, it was taken back before, and nobody has noted it.
    done(app, user, &running, Wish::Resume, request).await
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
