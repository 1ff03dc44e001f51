//! How subscriptions stand.

use std::collections::HashMap;

use aggregates::id::SubscriptionId;
use aggregates::subscription::{Standing, Subscription};
use serde_json::json;
use tracing::error;

use super::{
    Compared, Findings, GRACE, Mismatch, SUBSCRIPTION, reading, stripe, subscriptions, unreadable,
};
use crate::app::App;
use crate::clients::stripe::{self as client, StripeError};
use crate::error::Result;

/// Compares all subscriptions that run, here or there: each page of Stripe's list has a hundred, and
/// only what differs is read by itself.
pub(super) async fn compare(app: &App, findings: &mut Findings) -> Result<()> {
    let there = stripe(app)?.running_subscriptions().await?;
    let there = there.into_iter().filter(|it| it.metadata.contains_key(SUBSCRIPTION));
    let mut there: HashMap<_, _> = there.map(|it| (it.id.clone(), it)).collect();
    let mut suspects = vec![];
    for (id, stripe_id) in projections::billing::running(app.db()).await? {
        findings.compared += 1;
        let shown = there.remove(&stripe_id);
        if !differences(app, id.into(), shown.as_ref()).await?.is_empty() {
            suspects.push(stripe_id);
        }
    }
    // Nobody has heard that these began.
    findings.compared += i64::try_from(there.len()).unwrap_or(i64::MAX);
    suspects.extend(there.into_keys());
    if !suspects.is_empty() {
        tokio::time::sleep(GRACE).await;
    }
    for stripe_id in suspects {
        mend(app, &stripe_id, findings).await?;
    }
    Ok(())
}

/// What differs of a subscription; all, where it is not there any more.
async fn differences(
    app: &App,
    id: SubscriptionId,
    there: Option<&client::Subscription>,
) -> Result<Vec<Compared>> {
    let known = app.store.load::<Subscription>(id).await?;
    let Some(here) = known.standing() else { return Ok(vec![]) };
    let Some(there) = there else {
        return Ok(vec![("status", json!(here.status.name()), json!("it does not run"))]);
    };
    let there = match reading::standing(app, there, &here.plan).await {
        Ok(there) => there,
        // Stripe has a word for it that nobody here knows.
        Err(problem) if problem.status().is_server_error() && problem.retry_after.is_none() => {
            let why = problem.cause.unwrap_or(problem.detail);
            return Ok(vec![("status", json!(here.status.name()), json!(why))]);
        }
        Err(problem) => return Err(problem),
    };
    let rows = rows(here).into_iter().zip(rows(&there));
    let rows = rows.map(|((field, ours), (_, theirs))| (field, ours, theirs));
    Ok(rows.filter(|(_, ours, theirs)| ours != theirs).collect())
}

/// What is compared, a row each.
fn rows(standing: &Standing) -> [(&'static str, serde_json::Value); 5] {
    [
        ("status", json!(standing.status.name())),
        ("plan", json!(standing.plan.plan)),
        ("period", json!(standing.period)),
        ("ends_at", json!(standing.ends_at)),
        ("pending_change", json!(standing.change.as_ref().map(|change| change.plan.plan))),
    ]
}

/// What still differs is settled, and told. What cannot be read keeps no other from being compared.
async fn mend(app: &App, stripe_id: &str, findings: &mut Findings) -> Result<()> {
    let (id, differ) = read(app, stripe_id).await?;
    if differ.is_empty() {
        return Ok(());
    }
    if let Err(problem) = subscriptions::settle(app, stripe_id).await {
        error!(object = stripe_id, cause = problem.cause, "a subscription is not settled");
    }
    let (_, left) = read(app, stripe_id).await?;
    for (field, ours, theirs) in differ {
        error!(object = stripe_id, field, %ours, %theirs, "Stripe says otherwise");
        findings.mismatches.push(Mismatch {
            object: stripe_id.to_owned(),
            subject: id.map(|id| id.0),
            field: field.to_owned(),
            ours,
            theirs,
            settled: !left.iter().any(|(other, ..)| *other == field),
        });
    }
    Ok(())
}

/// What differs of one now.
async fn read(app: &App, stripe_id: &str) -> Result<(Option<SubscriptionId>, Vec<Compared>)> {
    app.reached("billing", app.store.head()).await?;
    let id = projections::billing::by_stripe(app.db(), stripe_id).await?.map(SubscriptionId);
    let differ = match (id, stripe(app)?.subscription(stripe_id).await) {
        (Some(id), Ok(there)) => differences(app, id, Some(&there)).await?,
        (Some(id), Err(StripeError::NotFound)) => differences(app, id, None).await?,
        (None, Ok(_)) => vec![("subscription", json!(null), json!(stripe_id))],
        (_, Err(error)) => vec![("subscription", json!(stripe_id), json!(unreadable(error)?))],
    };
    Ok((id, differ))
}
