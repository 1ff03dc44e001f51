//! Giving a payment back: an administrator decides, a job asks Stripe, and what becomes of the
//! credits follows as from any refund.

use aggregates::id::PurchaseId;
use aggregates::purchase::{Ask, Purchase, PurchaseCommand};
use tracing::{error, warn};

use super::checkout::PURCHASE;
use super::{reversals, settle, stripe};
use crate::app::App;
use crate::clients::stripe::{Metadata, NewRefund, Payment, RefundStatus, StripeError};
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::Refund;
use crate::store::{Envelope, Outcome};

/// Decides that what is left of a payment is given back. The work at
/// Stripe is enqueued with it: whoever dies in between, it is done.
pub async fn ask(
    app: &App,
    id: PurchaseId,
    envelope: Envelope,
    reason: String,
) -> Result<Outcome<Purchase>> {
    stripe(app)?;
    let purchase = app.store.load::<Purchase>(id).await?;
    if let Some(payment) = purchase.payment() {
        // A bank may have taken it since. Where Stripe does not say so now, it does to the job.
        if let Err(problem) = settle::payment(app, &payment.intent).await {
            warn!(purchase.id = %id, cause = problem.cause, "Stripe could not be asked for a payment");
        }
    }
    let job = Refund { purchase: id, decision: envelope.command_id }.job();
    let command = PurchaseCommand { now: clock::now(), ask: Ask::Refund { reason } };
    Ok(app.store.execute::<Purchase>(id, envelope.with(job.row()), command).await?)
}

/// Gives back what is left of the payment, once for each decision, unless a bank may take it.
pub async fn make(app: &App, refund: Refund) -> Result<()> {
    let id = refund.purchase;
    let purchase = app.store.load::<Purchase>(id).await?;
    let payment = purchase.payment().ok_or_else(|| Problem::failed("nothing was paid"))?;
    // As it is now: another attempt may have got through, whatever it heard.
    let paid = stripe(app)?.payment(&payment.intent).await?;
    if paid.disputes.iter().any(reversals::is_open) {
        error!(purchase.id = %id, "a payment is disputed since it was to be refunded: it is not");
    } else if left(&paid) > 0 {
        give_back(app, refund, &payment.intent).await?;
    }
    settle::payment(app, &payment.intent).await
}

async fn give_back(app: &App, refund: Refund, intent: &str) -> Result<()> {
    let Refund { purchase: id, decision } = refund;
    let metadata = Metadata::from([(PURCHASE.to_owned(), id.to_string())]);
    let new = NewRefund { intent, amount: None, metadata };
    create(app, &new, &format!("refund/{id}/{decision}")).await
}

/// Asks Stripe for a refund. What it refuses it will refuse again: somebody has to look at it, and
/// what else is to be done goes on.
pub(super) async fn create(app: &App, new: &NewRefund<'_>, key: &str) -> Result<()> {
    match stripe(app)?.create_refund(new, key).await {
        Ok(_) => Ok(()),
        Err(refusal @ StripeError::Invalid { .. }) => {
            error!(payment = new.intent, %refusal, "Stripe does not refund a payment");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// What of a payment was neither given back, nor is about to be, nor taken by a bank.
pub(super) fn left(paid: &Payment) -> i64 {
    let gone = |status: &RefundStatus| match status {
        RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Succeeded => true,
        RefundStatus::Failed | RefundStatus::Canceled | RefundStatus::Unknown(_) => false,
    };
    let refunds = paid.refunds.iter().filter(|refund| gone(&refund.status));
    let refunded = refunds.map(|refund| refund.amount).fold(0, i64::saturating_add);
    let withdrawn = paid.disputes.iter().map(|dispute| dispute.withdrawn_minor);
    let withdrawn = withdrawn.fold(0, i64::saturating_add);
    paid.amount_received.saturating_sub(refunded).saturating_sub(withdrawn)
}
