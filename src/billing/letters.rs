//! What people are written of their payments and subscriptions.

use aggregates::event::Event;
use aggregates::id::{PurchaseId, SubscriptionId, UserId};
use aggregates::purchase::{Purchase, PurchaseEvent};
use aggregates::subscription::{
    Invoice, InvoiceReason, InvoiceState, Status, Subscription, SubscriptionEvent, Tranche,
};
use uuid::Uuid;

use super::{recharge, stripe};
use crate::accounts;
use crate::app::App;
use crate::clients::mail::Letter;
use crate::error::{Problem, Result};
use crate::queue::LetterTo;

/// Where the ids of letters derive from.
const LETTERS: Uuid = Uuid::from_u128(0x5a1d_0000_0000_5000_8000_0000_0000_0001);

/// Whether a letter may follow from events of this type.
#[must_use]
pub fn are_written_of(event_type: &str) -> bool {
    let kinds = ["Fulfilled", "Invoiced", "QuotaReleased", "EndScheduled", "StatusChanged"];
    kinds.contains(&event_type)
}

/// Writes the letter of an event, where it is one that people are told of.
pub async fn write(app: &App, position: i64) -> Result<()> {
    let Some((id, event)) = event_at(app, position).await? else { return Ok(()) };
    let written = match &event {
        Event::Purchase(event) => of_purchase(app, id.into(), event).await?,
        Event::Subscription(event) => of_subscription(app, id.into(), event).await?,
        _ => None,
    };
    let Some((user, letter)) = written else { return Ok(()) };
    let person = match accounts::state(app, user).await {
        // Who is gone is not written to.
        Err(problem) if problem.status == 404 => return Ok(()),
        person => person?,
    };
    // An address that nobody has proved may be a stranger's.
    let Some(to) = person.email().filter(|_| person.email_verified()).cloned() else {
        return Ok(());
    };
    let letter = named(letter, person.name().cloned());
    let id = Uuid::new_v5(&LETTERS, &position.to_be_bytes());
    let job = LetterTo { to, letter }.job(&app.keys, id).map_err(Problem::failed)?;
    let mut db = app.db().acquire().await?;
    Ok(job.enqueue(&mut db).await?)
}

async fn event_at(app: &App, position: i64) -> Result<Option<(Uuid, Event)>> {
    let row: Option<(String, String, String, String, String)> = sqlx::query_as(
        "select aggregate_type, aggregate_id, event_type, event_version, payload::text
         from events where position = $1",
    )
    .bind(position)
    .fetch_optional(app.db())
    .await?;
    let Some((aggregate, id, kind, version, payload)) = row else { return Ok(None) };
    let event = Event::decode_text(&aggregate, &kind, &version, &payload);
    let id = id.parse().map_err(Problem::failed)?;
    Ok(Some((id, event.map_err(Problem::failed)?)))
}

type Written = Option<(UserId, Letter)>;

async fn of_purchase(app: &App, id: PurchaseId, event: &PurchaseEvent) -> Result<Written> {
    let PurchaseEvent::Fulfilled { at } = event else { return Ok(None) };
    let purchase = app.store.load::<Purchase>(id).await?;
    let Some(order) = purchase.order() else { return Ok(None) };
    if is_recharge(app, id).await? {
        return Ok(None);
    }
    let letter = Letter::Receipt {
        name: None,
        what: order.name.clone(),
        amount: order.price,
        credits: order.credits.get().saturating_add(order.bonus.get()),
        at: *at,
    };
    Ok(Some((order.user, letter)))
}

/// Whether it was ordered by an auto-recharge, which writes letters of its own.
async fn is_recharge(app: &App, id: PurchaseId) -> Result<bool> {
    let actor: Option<Option<String>> = sqlx::query_scalar(
        "select metadata ->> 'actor' from events
         where aggregate_type = 'purchase' and aggregate_id = $1 and sequence = 1",
    )
    .bind(id.to_string())
    .fetch_optional(app.db())
    .await?;
    Ok(actor.flatten().as_deref() == Some(recharge::ACTOR))
}

async fn of_subscription(
    app: &App,
    id: SubscriptionId,
    event: &SubscriptionEvent,
) -> Result<Written> {
    use SubscriptionEvent as E;
    let subscription = app.store.load::<Subscription>(id).await?;
    let Some(order) = subscription.order().filter(|_| !subscription.is_duplicate()) else {
        return Ok(None);
    };
    let standing = subscription.standing().map_or(&order.plan, |standing| &standing.plan);
    let (name, plan) = (None, standing.terms.name.clone());
    let letter = match event {
        E::Invoiced { invoice, .. } if invoice.state == InvoiceState::Open => {
            failed(app, plan, invoice).await?
        }
        E::EndScheduled { ends_at, .. } => {
            Some(Letter::SubscriptionEnds { name, plan, at: *ends_at })
        }
        E::StatusChanged { status: Status::Canceled, at } => {
            Some(Letter::SubscriptionEnded { name, plan, at: *at })
        }
        E::QuotaReleased { tranches, at, .. } => released(&subscription, tranches, *at),
        _ => None,
    };
    Ok(letter.map(|letter| (order.user, letter)))
}

/// Of an invoice that nobody could collect, with the link to pay it by. It is for the plan on it, be
/// that one that has not come yet.
async fn failed(app: &App, plan: String, invoice: &Invoice) -> Result<Option<Letter>> {
    if invoice.attempts == 0 {
        return Ok(None);
    }
    let plan = invoice.brings().map_or(plan, |line| line.plan.terms.name.clone());
    let link = stripe(app)?.invoice(&invoice.id).await?.hosted_invoice_url.map(String::from);
    Ok(Some(Letter::PaymentFailed { name: None, plan, amount: invoice.total, link }))
}

/// Of what was released: a receipt with the first of an invoice, since then the credits are known.
/// What comes later is told as a whole, whichever invoices have paid for it.
fn released(
    subscription: &Subscription,
    tranches: &[Tranche],
    at: chrono::DateTime<chrono::Utc>,
) -> Option<Letter> {
    let last = tranches.last()?;
    let invoice = subscription.invoices().iter().find(|known| known.id == last.invoice)?;
    let line = invoice.brings()?;
    let (name, plan, amount) = (None, line.plan.terms.name.clone(), invoice.total);
    let of_it: Vec<_> = tranches.iter().filter(|it| it.invoice == last.invoice).collect();
    if of_it.iter().all(|tranche| tranche.period.start > line.period.start) {
        let credits = credits(tranches);
        return Some(Letter::QuotaRenewed { name, plan, credits, at });
    }
    let credits = credits(of_it);
    Some(match invoice.reason {
        InvoiceReason::Cycle => Letter::Renewed { name, plan, amount, credits, at },
        InvoiceReason::Create | InvoiceReason::Update | InvoiceReason::Other => {
            Letter::Receipt { name, what: plan, amount, credits, at }
        }
    })
}

fn credits<'a>(tranches: impl IntoIterator<Item = &'a Tranche>) -> i64 {
    let amounts = tranches.into_iter().map(|tranche| tranche.grant.amount.get());
    amounts.fold(0, i64::saturating_add)
}

/// The letter, with the name of who gets it.
fn named(letter: Letter, to: Option<String>) -> Letter {
    let mut letter = letter;
    match &mut letter {
        Letter::Receipt { name, .. }
        | Letter::Renewed { name, .. }
        | Letter::QuotaRenewed { name, .. }
        | Letter::PaymentFailed { name, .. }
        | Letter::SubscriptionEnds { name, .. }
        | Letter::SubscriptionEnded { name, .. } => *name = to,
        _ => {}
    }
    letter
}
