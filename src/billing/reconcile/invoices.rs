//! Payments of invoices of subscriptions.

use aggregates::id::{SubscriptionId, WalletId};
use aggregates::subscription::{Subscription, group_of};
use aggregates::wallet::Wallet;
use serde_json::json;
use tracing::error;
use uuid::Uuid;

use super::{Compared, customers, reversals, stripe, subscriptions, unreadable};
use crate::app::App;
use crate::clients::stripe::{Invoice, Payment, Stripe, StripeError};
use crate::error::Result;

/// What is compared of such a payment, and of which subscription it is; none of a payment of something
/// else.
pub(super) async fn rows(app: &App, paid: &Payment) -> Result<Option<(Uuid, Vec<Compared>)>> {
    let known = projections::billing::invoice_paid_by(app.db(), &paid.intent).await?;
    let Some((id, invoice)) = known else { return unheard_of(app, paid).await };
    let id = SubscriptionId(id);
    let (theirs, payments) = match read(stripe(app)?, &invoice).await {
        Ok(read) => read,
        Err(error) => {
            let row = ("invoice", json!(invoice), json!(unreadable(error)?));
            return Ok(Some((id.0, vec![row])));
        }
    };
    let subscription = app.store.load::<Subscription>(id).await?;
    let ours = subscription.invoices().iter().find(|known| known.id == invoice);
    let there = reversals::of(&payments, theirs.amount_paid);
    let here = subscription.reversal(&invoice);
    let state = ours.map(|ours| ours.state.name());
    let mut rows = vec![
        ("state", json!(state), json!(theirs.status.as_str())),
        ("paid", json!(ours.map(|ours| ours.paid_minor)), json!(theirs.amount_paid)),
        ("refunded_minor", json!(here.refunded_minor), json!(there.refunded_minor)),
        ("disputed_minor", json!(here.disputed_minor), json!(there.disputed_minor)),
        ("disputed", json!(here.disputed), json!(there.disputed)),
    ];
    let Some(order) = subscription.order() else { return Ok(Some((id.0, rows))) };
    let wallet = app.store.load::<Wallet>(WalletId::from(order.user)).await?;
    let group = group_of(id, &invoice);
    let grants = wallet.grants().filter(|(_, grant)| grant.reversal_group == Some(group));
    let granted: i64 = grants.map(|(_, grant)| grant.amount.get()).sum();
    let released = subscription.released().filter(|tranche| tranche.invoice == invoice);
    let released: i64 = released.map(|tranche| tranche.grant.amount.get()).sum();
    rows.push(("granted", json!(granted), json!(released)));
    let reversed = there.reversed_minor;
    rows.push(("reversed_minor", json!(wallet.reversed_minor(group)), json!(reversed)));
    Ok(Some((id.0, rows)))
}

/// An invoice and all its payments.
async fn read(stripe: &Stripe, invoice: &str) -> Result<(Invoice, Vec<Payment>), StripeError> {
    let invoice = stripe.invoice(invoice).await?;
    let mut payments = vec![];
    for intent in &invoice.payment_intents {
        payments.push(stripe.payment(intent).await?);
    }
    Ok((invoice, payments))
}

/// A payment of a customer of ours that nobody has heard of: it may be of an invoice all the same.
async fn unheard_of(app: &App, paid: &Payment) -> Result<Option<(Uuid, Vec<Compared>)>> {
    let customer = paid.customer.as_deref().unwrap_or_default();
    if customers::whose(app, customer).await?.is_none() {
        return Ok(None);
    }
    let stripe_id = match subscription_of(stripe(app)?, customer, &paid.intent).await {
        Ok(found) => found,
        Err(error) => {
            let why = unreadable(error)?;
            error!(payment = paid.intent, why, "what a payment is of cannot be read at Stripe");
            None
        }
    };
    let Some(stripe_id) = stripe_id else { return Ok(None) };
    let known = subscriptions::id_of(app, &stripe_id).await?;
    Ok(known.map(|id| (id.0, vec![("payment", json!(null), json!(paid.intent))])))
}

/// Which subscription of the customer has an invoice that is paid with the payment.
async fn subscription_of(
    stripe: &Stripe,
    customer: &str,
    intent: &str,
) -> Result<Option<String>, StripeError> {
    for subscription in stripe.subscriptions(customer).await? {
        let invoices = stripe.invoices_of_subscription(&subscription.id).await?;
        if invoices.iter().any(|invoice| invoice.payment_intents.iter().any(|id| id == intent)) {
            return Ok(Some(subscription.id));
        }
    }
    Ok(None)
}
