//! The daily comparison: what Stripe says of each payment, what the log says of it, and what wallets
//! have of it; and how subscriptions stand. What differs is told, kept in a report, and settled.

mod invoices;
mod standings;

use std::time::Duration;

use aggregates::id::{PurchaseId, ReversalGroup, WalletId};
use aggregates::purchase::{Purchase, Stage};
use aggregates::wallet::Wallet;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::FromRow;
use sqlx::types::Json;
use tracing::error;
use utoipa::ToSchema;
use uuid::Uuid;

use super::checkout::PURCHASE;
use super::subscriptions::SUBSCRIPTION;
use super::{customers, reading, reversals, settle, stripe, subscriptions};
use crate::app::App;
use crate::clients::stripe::{IntentStatus, Payment, StripeError};
use crate::clock;
use crate::error::Result;
use crate::queue::{Job, RECONCILE};

/// How far back payments are compared that something has moved of: longer than a weekend without
/// anybody to mend what kept the comparison from running.
const BACK: TimeDelta = TimeDelta::days(4);
/// How long what differs is given before it counts: what was told just now is being settled.
const GRACE: Duration = Duration::from_secs(3);

/// What a comparison found.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub struct Report {
    /// Its id.
    #[serde(rename = "id")]
    pub report_id: Uuid,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it was done.
    pub ended_at: DateTime<Utc>,
    /// What has moved since then was compared.
    pub since: DateTime<Utc>,
    /// How many of Stripe's objects were compared.
    pub compared: i64,
    /// What differed.
    #[schema(value_type = Vec<Mismatch>)]
    pub mismatches: Json<Vec<Mismatch>>,
}

/// Something that is not the same here and at Stripe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Mismatch {
    /// Stripe's object.
    #[schema(example = "pi_1")]
    pub object: String,
    /// What it is here: the purchase, or the subscription.
    pub subject: Option<Uuid>,
    /// What differs.
    #[schema(example = "refunded_minor")]
    pub field: String,
    /// As it is here.
    #[schema(value_type = Object)]
    pub ours: Value,
    /// As it is at Stripe, or as it follows from that.
    #[schema(value_type = Object)]
    pub theirs: Value,
    /// Whether it was the same after it was settled.
    pub settled: bool,
}

/// A field, as it is here and at Stripe.
type Compared = (&'static str, Value, Value);

/// What was compared so far. Whatever else Stripe takes money for is compared beside payments, and
/// told here.
#[derive(Default)]
struct Findings {
    compared: i64,
    mismatches: Vec<Mismatch>,
}

/// Compares all that has moved lately, settles what differs, and keeps a report.
pub async fn reconcile(app: &App) -> Result<()> {
    let (started_at, mut findings) = (clock::now(), Findings::default());
    let since = started_at - BACK;
    payments(app, since, &mut findings).await?;
    standings::compare(app, &mut findings).await?;
    sqlx::query(
        "insert into stripe_reports (report_id, started_at, ended_at, since, compared, mismatches)
         values ($1, $2, $3, $4, $5, $6)",
    )
    .bind(Uuid::now_v7())
    .bind(started_at)
    .bind(clock::now())
    .bind(since)
    .bind(findings.compared)
    .bind(Json(findings.mismatches))
    .execute(app.db())
    .await?;
    Ok(())
}

/// Starts a comparison now.
pub async fn start(app: &App) -> Result<()> {
    stripe(app)?;
    let mut db = app.db().acquire().await?;
    Ok(Job::about(RECONCILE, "stripe").enqueue(&mut db).await?)
}

/// The newest reports, from before `cursor`.
pub async fn list(app: &App, cursor: Option<Uuid>, limit: i64) -> Result<Vec<Report>> {
    let rows = sqlx::query_as(
        "select report_id, started_at, ended_at, since, compared, mismatches from stripe_reports
         where $1::uuid is null or report_id < $1 order by report_id desc limit $2",
    );
    Ok(rows.bind(cursor).bind(limit).fetch_all(app.db()).await?)
}

/// Payments of purchases: those that Stripe lists, and those that are known here only.
async fn payments(app: &App, since: DateTime<Utc>, findings: &mut Findings) -> Result<()> {
    let mut moved = stripe(app)?.payments_moved_since(since).await?;
    moved.extend(projections::billing::moved_since(app.db(), since).await?);
    let mut suspects = Vec::new();
    for intent in &moved {
        let Some(differences) = compare(app, intent).await? else { continue };
        findings.compared += 1;
        if !differences.is_empty() {
            suspects.push(intent);
        }
    }
    if !suspects.is_empty() {
        tokio::time::sleep(GRACE).await;
    }
    for intent in suspects {
        findings.mismatches.extend(mend(app, intent).await?);
    }
    Ok(())
}

/// What still differs of a payment; it is settled.
async fn mend(app: &App, intent: &str) -> Result<Vec<Mismatch>> {
    let mut found = compare(app, intent).await?.unwrap_or_default();
    for Mismatch { object, subject, field, ours, theirs, .. } in &found {
        error!(object, ?subject, field, %ours, %theirs, "Stripe says otherwise");
    }
    if found.is_empty() {
        return Ok(found);
    }
    if let Err(problem) = settle::payment(app, intent).await {
        error!(object = intent, cause = problem.cause, "what Stripe says otherwise is not settled");
    }
    let left = compare(app, intent).await?.unwrap_or_default();
    for mismatch in &mut found {
        mismatch.settled = !left.iter().any(|other| other.field == mismatch.field);
    }
    Ok(found)
}

/// What differs of a payment; none where it is neither of a purchase nor of a subscription.
async fn compare(app: &App, intent: &str) -> Result<Option<Vec<Mismatch>>> {
    let known = projections::billing::by_intent(app.db(), intent).await?.map(PurchaseId);
    let (id, rows) = match stripe(app)?.payment(intent).await {
        Ok(paid) => {
            let named = paid.metadata.get(PURCHASE).and_then(|id| id.parse().ok());
            let compared = match known.or(named) {
                Some(id) => Some((id.0, rows(app, id, &paid).await?)),
                None => invoices::rows(app, &paid).await?,
            };
            let Some(compared) = compared else { return Ok(None) };
            compared
        }
        Err(error) => {
            let why = unreadable(error)?;
            let Some(id) = known else { return Ok(None) };
            (id.0, vec![("payment", json!(intent), json!(why))])
        }
    };
    let differ = rows.into_iter().filter(|(_, ours, theirs)| ours != theirs);
    let mismatch = |(field, ours, theirs): (&str, Value, Value)| Mismatch {
        object: intent.to_owned(),
        subject: Some(id),
        field: field.to_owned(),
        ours,
        theirs,
        settled: false,
    };
    Ok(Some(differ.map(mismatch).collect()))
}

/// What is compared of a payment, one row each: the field, ours, and theirs.
async fn rows(app: &App, id: PurchaseId, paid: &Payment) -> Result<Vec<Compared>> {
    let purchase = app.store.load::<Purchase>(id).await?;
    let has_come = paid.status == IntentStatus::Succeeded;
    let money = json!({ "amount_minor": paid.amount_received, "currency": paid.currency });
    let payment = purchase.payment();
    let (ours, theirs) =
        (purchase.reversal(), reversals::of(std::slice::from_ref(paid), paid.amount_received));
    let mut rows = vec![
        (
            "payment",
            json!(payment.map(|ours| &ours.intent)),
            json!(has_come.then_some(&paid.intent)),
        ),
        ("paid", json!(payment.map(|ours| ours.paid)), json!(has_come.then_some(&money))),
        ("refunded_minor", json!(ours.refunded_minor), json!(theirs.refunded_minor)),
        ("disputed_minor", json!(ours.disputed_minor), json!(theirs.disputed_minor)),
        ("disputed", json!(ours.disputed), json!(theirs.disputed)),
    ];
    let Some(order) = purchase.order() else { return Ok(rows) };
    let wallet = app.store.load::<Wallet>(WalletId::from(order.user)).await?;
    let group = ReversalGroup(id.0);
    let grants = wallet.grants().filter(|(_, grant)| grant.reversal_group == Some(group));
    let granted: i64 = grants.map(|(_, grant)| grant.amount.get()).sum();
    // What was paid otherwise than it was asked for is nobody's, unless it was accepted.
    let is_as_asked = json!(order.price) == money;
    let is_accepted = matches!(purchase.stage(), Stage::Paid | Stage::Fulfilled);
    let due = has_come && (is_as_asked || is_accepted);
    let due = if due { order.credits.get() + order.bonus.get() } else { 0 };
    rows.push(("granted", json!(granted), json!(due)));
    let reversed = theirs.reversed_minor;
    rows.push(("reversed_minor", json!(wallet.reversed_minor(group)), json!(reversed)));
    Ok(rows)
}

/// Why something is not to be had from Stripe, today or any day: it keeps no other from being
/// compared. Whatever else went wrong is a failure of all of it.
fn unreadable(error: StripeError) -> Result<String> {
    match error {
        StripeError::NotFound
        | StripeError::Unusable { .. }
        | StripeError::Invalid { .. }
        | StripeError::Declined { .. } => Ok(error.to_string()),
        StripeError::Refused
        | StripeError::Busy
        | StripeError::Unavailable
        | StripeError::Ambiguous => Err(error.into()),
    }
}
