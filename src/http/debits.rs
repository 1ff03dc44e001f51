//! Debits, for a customer's own services: spend in one step, and give back.

use aggregates::credits::Credits;
use aggregates::id::{CommandId, DebitId, GrantId};
use aggregates::wallet::{
    Ask, Origin, Price, Spend, Wallet, WalletCommand, WalletError, WalletEvent,
};
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Allowed, Caller, WalletSpend};
use super::holds::checked_reason;
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::{Json, Path};
use super::position::At;
use crate::app::App;
use crate::clock;
use crate::declines::Operation;
use crate::error::{Problem, Result};
use crate::store::{Envelope, Outcome};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(debit)).routes(routes!(reverse))
}

/// Credits to spend.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Debit {
    /// At least 1.
    #[schema(value_type = i64, minimum = 1, example = 10)]
    amount: Credits,
    /// What for, as the history will say; at most 200 characters, no personal data.
    #[schema(min_length = 1, max_length = 200, example = "render 42")]
    reason: String,
}

/// Credits to give back.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Reverse {
    /// At least 1, at most what is left of the debit; all of it by default.
    #[schema(value_type = Option<i64>, minimum = 1, example = 10)]
    amount: Option<Credits>,
    /// Why, as the history will say; at most 200 characters, no personal data.
    #[schema(min_length = 1, max_length = 200, example = "render failed")]
    reason: String,
}

/// A debit, after the command.
#[derive(Serialize, ToSchema)]
struct Debited {
    #[schema(value_type = Uuid)]
    id: DebitId,
    /// Credits spent, or given back.
    #[schema(value_type = i64, example = 10)]
    amount: Credits,
    /// Credits of the debit that were given back, all in all.
    #[schema(value_type = i64, example = 0)]
    reversed: Credits,
    /// What the wallet has available now.
    #[schema(value_type = i64, example = 90)]
    available: Credits,
}

/// Spends credits in one step.
#[utoipa::path(post, path = "/wallet/debits", tag = "debits", request_body = Debit,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body spend once")),
    responses((status = 201, body = Debited), (status = 402, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn debit(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletSpend>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Debit>,
) -> Result<Replayable<At<(StatusCode, axum::Json<Debited>)>>> {
    let intent = Intent::new(&caller, "debits", key.as_ref(), &body)?;
    let envelope = intent.envelope(&caller, "debit");
    let debit = DebitId(envelope.command_id.0);
    let spend = Spend {
        by: caller.spends(),
        amount: body.amount,
        price: Price::Stated,
        reason: checked_reason(body.reason)?,
    };
    let outcome = execute(&app, &caller, envelope, Ask::Debit { debit, spend }).await?;
    let debited = axum::Json(Debited::after(debit, &outcome)?);
    let answer = At(outcome.position, (StatusCode::CREATED, debited));
    Ok(Replayable { answer, replayed: outcome.replayed })
}

/// Gives spent credits back, to the grants they came from.
#[utoipa::path(post, path = "/wallet/debits/{id}/reverse", tag = "debits", request_body = Reverse,
    params(("id" = Uuid, Path,), ("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 200, body = Debited), (status = 403, description = "the key did not spend it", body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn reverse(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletSpend>,
    Path(debit): Path<DebitId>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Reverse>,
) -> Result<Replayable<At<axum::Json<Debited>>>> {
    let intent = Intent::new(&caller, &format!("debits/{debit}/reverse"), key.as_ref(), &body)?;
    let spent = spent(&app, &caller, debit).await?;
    let amount = match body.amount {
        Some(amount) => amount,
        None => Credits::sum(spent.iter().map(|(_, amount)| *amount)).map_err(Problem::failed)?,
    };
    let ask = Ask::ReverseDebit { debit, amount, spent, reason: checked_reason(body.reason)? };
    let outcome = execute(&app, &caller, intent.envelope(&caller, "reverse"), ask).await?;
    let debited = axum::Json(Debited::after(debit, &outcome)?);
    Ok(Replayable { answer: At(outcome.position, debited), replayed: outcome.replayed })
}

/// What the debit's event says it took, by grant. Only debits through the API may be reversed
/// through it: nobody gives back what an AI call owes; a key reverses its own.
async fn spent(app: &App, caller: &Caller, debit: DebitId) -> Result<Vec<(GrantId, Credits)>> {
    // A debit has the id of the command that made it.
    let outcome = app.store.outcome_of::<Wallet>(caller.wallet(), CommandId(debit.0)).await?;
    let events = outcome.into_iter().flat_map(|outcome| outcome.events);
    let taken = events.into_iter().find_map(|event| match event {
        WalletEvent::Debited { debit: id, origin: Origin::Api, key, movements, .. }
            if id == debit =>
        {
            Some((key, movements.into_iter().map(|moved| (moved.grant, moved.amount)).collect()))
        }
        _ => None,
    });
    match taken {
        Some((key, _)) if caller.key.is_some() && caller.key != key => {
            Err(WalletError::OfAnother.into())
        }
        Some((_, spent)) => Ok(spent),
        None => Err(Problem::not_found()),
    }
}

async fn execute(
    app: &App,
    caller: &Caller,
    envelope: Envelope,
    ask: Ask,
) -> Result<Outcome<Wallet>> {
    let command = WalletCommand { now: clock::now(), ask };
    let outcome = app.store.execute::<Wallet>(caller.wallet(), envelope, command).await;
    let hear = |error: &_| app.declines.hear(caller.user, caller.key, Operation::Debit, error);
    let outcome = outcome.inspect_err(hear)?;
    app.wrote(caller.user, outcome.position);
    Ok(outcome)
}

impl Debited {
    /// The debit as the command's event on it says.
    fn after(id: DebitId, outcome: &Outcome<Wallet>) -> Result<Self> {
        let available = outcome
            .events
            .iter()
            .rev()
            .find_map(WalletEvent::balance)
            .map(|balance| balance.available)
            .unwrap_or_default();
        outcome
            .events
            .iter()
            .find_map(|event| match event {
                WalletEvent::Debited { debit, amount, .. } if *debit == id => {
                    Some(Self { id, amount: *amount, reversed: Credits::ZERO, available })
                }
                WalletEvent::DebitReversed { debit, amount, reversed, .. } if *debit == id => {
                    Some(Self { id, amount: *amount, reversed: *reversed, available })
                }
                _ => None,
            })
            .ok_or_else(|| Problem::failed("a debit's command has no event of the debit"))
    }
}
