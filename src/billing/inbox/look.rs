//! Working off what Stripe told: one look at each object, as it is now, settles all that waits.

use sqlx::postgres::types::PgInterval;
use tracing::{error, warn};

use super::id_of;
use crate::app::App;
use crate::billing::{customers, freezing, settle as purchases, subscriptions};
use crate::clients::stripe::{EventEnvelope, Malformed};
use crate::error::{Problem, Result};

/// For how many days something is tried to be settled: by age, since how often it was tried says little
/// in an outage, where whoever looks for what was left tries again, too.
const PATIENCE_DAYS: i32 = 2;

/// What an event makes us look at.
pub(super) enum Work {
    Checkout(String),
    Payment(String),
    Charge(String),
    Subscription(String),
    Customer(String),
    Invoice(String),
    /// The charge that a bank warns of.
    Warning(String),
}

impl Work {
    /// Brings what it names to what it is at Stripe now.
    async fn look(self, app: &App) -> Result<()> {
        match self {
            Self::Checkout(session) => purchases::checkout(app, &session).await,
            Self::Payment(intent) => purchases::payment(app, &intent).await,
            Self::Charge(charge) => purchases::charge(app, &charge).await,
            Self::Customer(id) => customers::look(app, &id).await,
            Self::Subscription(id) => subscriptions::settle(app, &id).await,
            Self::Invoice(invoice) => subscriptions::invoice(app, &invoice).await,
            Self::Warning(charge) => freezing::warned(app, &charge).await,
        }
    }
}

/// What of invoices brings news: drafts do not, and `invoice.payment_succeeded` says again what
/// `invoice.paid` has said.
const OF_INVOICES: [&str; 6] = [
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.voided",
];

/// The object that is to be read; none for what does not concern us. What does must name it.
pub(super) fn work_of(kind: &str, event: &EventEnvelope) -> Result<Option<Work>, Malformed> {
    let text = |field: &str| event.object.get(field).and_then(id_of);
    let own = || event.object_id.clone().ok_or_else(|| missing("id"));
    Ok(Some(match kind.split('.').next().unwrap_or_default() {
        "checkout" => Work::Checkout(own()?),
        "customer" if kind == "customer.deleted" => Work::Customer(own()?),
        "customer" if event.object_type == "subscription" => Work::Subscription(own()?),
        "invoice" if OF_INVOICES.contains(&kind) => Work::Invoice(own()?),
        "payment_intent" => Work::Payment(own()?),
        "radar" if kind == "radar.early_fraud_warning.created" => {
            Work::Warning(text("charge").ok_or_else(|| missing("charge"))?)
        }
        "charge" | "refund" => match text("payment_intent") {
            Some(intent) => Work::Payment(intent),
            None if event.object_type == "charge" => Work::Charge(own()?),
            None => Work::Charge(text("charge").ok_or_else(|| missing("charge"))?),
        },
        _ => return Ok(None),
    }))
}

/// What an event lacks in its object.
fn missing(field: &str) -> Malformed {
    Malformed { field: format!("data.object.{field}") }
}

/// The work of events of one object: there is one thing to look at, and one of them names it.
fn work_in(waiting: &[(String, String)]) -> Result<Option<Work>, Malformed> {
    let mut nothing = Ok(None);
    for (_, payload) in waiting {
        let event = EventEnvelope::read(payload.as_bytes());
        match event.and_then(|event| work_of(&event.kind, &event)) {
            Ok(None) => {}
            Ok(work) => return Ok(work),
            Err(malformed) => nothing = Err(malformed),
        }
    }
    nothing
}

/// Works off what was told of an object: one look at what it is now settles all that waits. An error
/// is tried again by the queue.
pub async fn settle(app: &App, object: &str) -> Result<()> {
    let waiting: Vec<(String, String)> = sqlx::query_as(
        "update stripe_inbox set attempts = attempts + 1
         where object_id = $1 and state = 'waiting' returning event_id, payload",
    )
    .bind(object)
    .fetch_all(app.db())
    .await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let settled = match work_in(&waiting) {
        Ok(Some(work)) => work.look(app).await,
        Ok(None) => Ok(()),
        Err(malformed) => Err(Problem::failed(malformed)),
    };
    let ids: Vec<String> = waiting.into_iter().map(|(id, _)| id).collect();
    note(app, object, &ids, settled.as_ref().err()).await?;
    settled
}

/// Notes what became of these events of an object: settled, to be tried again, or given up.
async fn note(app: &App, object: &str, ids: &[String], failed: Option<&Problem>) -> Result<()> {
    let error = failed.map(|problem| problem.cause.as_ref().unwrap_or(&problem.detail));
    if let Some(error) = error {
        warn!(object, error, "what Stripe told could not be settled; it is tried again");
    }
    let dead: Vec<String> = sqlx::query_scalar(
        "with noted as (
             update stripe_inbox
             set state = case when $2::text is null then 'done'
                     when waiting_since < clock_timestamp() - $3 then 'dead' else state end,
                 error = $2, settled_at = case when $2::text is null then clock_timestamp() end
             where event_id = any($1) and state = 'waiting'
             returning event_id, state)
         select event_id from noted where state = 'dead'",
    )
    .bind(ids)
    .bind(error)
    .bind(PgInterval { days: PATIENCE_DAYS, ..PgInterval::default() })
    .fetch_all(app.db())
    .await?;
    if !dead.is_empty() {
        error!(object, events = ?dead, "what Stripe told is given up: it waits for somebody");
    }
    Ok(())
}
