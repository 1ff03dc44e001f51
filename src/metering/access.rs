//! What somebody may use: by the subscription that they have.

use std::time::Instant;

use aggregates::credits::Credits;
use aggregates::id::UserId;
use aggregates::wallet::WalletError;
use axum::http::StatusCode;

use crate::app::App;
use crate::clock;
use crate::declines::Operation;
use crate::error::{Problem, Result};
use crate::models::{AUTO, Model, Tier};

/// The code of a refusal that a plan would lift.
const PLAN_REQUIRED: &str = "plan_required";

/// The person's tier, as it was within the last seconds. Who is behind with a payment keeps it for the days of grace.
pub async fn tier(app: &App, user: UserId) -> Result<Tier> {
    match app.tiers.of(user) {
        Some(known) => Ok(known),
        None => tier_now(app, user).await,
    }
}

/// The person's tier as the read model has it now.
pub async fn tier_now(app: &App, user: UserId) -> Result<Tier> {
    let (asked, behind_since) = (Instant::now(), clock::now() - app.settings.past_due_grace);
    let tier = projections::billing::tier_of(app.db(), user.0, behind_since).await?;
    let tier = tier.map_or(Ok(Tier::Free), |tier| tier.parse().map_err(Problem::failed))?;
    app.tiers.note(user, asked, tier);
    Ok(tier)
}

/// The model of this name, where the person's tier has it; the usual one of the tier, where none is named. Who
/// is refused is refused by the tier that they have now.
pub async fn allowed_model<'a>(
    app: &'a App,
    user: UserId,
    name: Option<&str>,
) -> Result<&'a Model> {
    match choose(app, tier(app, user).await?, name) {
        Err(problem) if problem.code == PLAN_REQUIRED => {
            choose(app, tier_now(app, user).await?, name)
        }
        chosen => chosen,
    }
}

/// The model of this name, where the tier has it; the usual one of the tier, where none is named.
pub fn choose<'a>(app: &'a App, tier: Tier, name: Option<&str>) -> Result<&'a Model> {
    let Some(name) = name.filter(|name| *name != AUTO) else { return Ok(app.models.usual(tier)) };
    let model = app.models.find(name).ok_or_else(|| {
        let detail = format!("there is no model of this name: take one of the list, or \"{AUTO}\"");
        Problem::new(StatusCode::NOT_FOUND, "model_not_found", detail)
    })?;
    if model.tier > tier {
        let detail =
            "this model comes with a plan that you do not have: subscribe, or take another model";
        return Err(Problem::new(StatusCode::FORBIDDEN, PLAN_REQUIRED, detail));
    }
    Ok(model)
}

/// The same for a model that was chosen before: one that is not on offer any more, or not to them, gives way to
/// the usual one.
pub fn chosen_before<'a>(app: &'a App, tier: Tier, name: Option<&str>) -> &'a Model {
    choose(app, tier, name).unwrap_or_else(|_| app.models.usual(tier))
}

/// Refuses who has nothing at all, as far as the balances are read, so that they need not wait to be
/// told. Whether it is enough is decided when credits are held.
pub async fn can_pay(app: &App, user: UserId) -> Result<()> {
    app.caught_up("balances", user, None).await?;
    let balance = projections::balances::of_wallet(app.db(), user.into(), clock::now()).await?;
    let balance = balance.ok_or_else(Problem::not_found)?;
    if balance.available > 0 && balance.debt == 0 {
        return Ok(());
    }
    let credits = |amount| Credits::try_from(amount).map_err(Problem::failed);
    let (available, held) = (credits(balance.available)?, credits(balance.held)?);
    let required = Credits::new(1);
    let error = if balance.debt == 0 {
        WalletError::InsufficientCredits { required, available, held }
    } else {
        WalletError::InDebt { debt: credits(balance.debt)?, required, available, held }
    };
    app.declines.note(user, None, Operation::Call, &error);
    Err(error.into())
}
