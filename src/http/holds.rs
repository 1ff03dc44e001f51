//! Holds, for a customer's own services: authorise, increment, extend, capture, release.

use aggregates::credits::Credits;
use aggregates::id::HoldId;
use aggregates::wallet::{Ask, HoldFigures, Price, Spend, Wallet, WalletCommand, WalletEvent};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Allowed, Caller, WalletSpend};
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::{Json, Path};
use super::position::At;
use crate::app::App;
use crate::clock;
use crate::declines::Operation;
use crate::error::{Problem, Result};
use crate::store::{Envelope, Outcome};

/// How long a hold lasts when the caller does not say.
const LASTS_S: u32 = 15 * 60;
/// The longest a hold may last: Stripe's authorisations last as long.
const LONGEST_S: u32 = 7 * 24 * 60 * 60;
const LONGEST_REASON: usize = 200;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(authorize))
        .routes(routes!(increment))
        .routes(routes!(extend))
        .routes(routes!(capture))
        .routes(routes!(release))
}

/// A hold, after the command.
#[derive(Serialize, ToSchema)]
struct Hold {
    #[schema(value_type = Uuid)]
    id: HoldId,
    /// `authorized`, `captured`, `released` or `expired`.
    #[schema(example = "authorized")]
    state: &'static str,
    /// Credits set aside, all in all.
    #[schema(value_type = i64, example = 50)]
    authorized: Credits,
    /// Credits spent of them.
    #[schema(value_type = i64, example = 0)]
    captured: Credits,
    /// Credits given back of them.
    #[schema(value_type = i64, example = 0)]
    released: Credits,
    expires_at: DateTime<Utc>,
}

/// Credits to set aside.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Authorize {
    /// At least 1.
    #[schema(value_type = i64, minimum = 1, example = 50)]
    amount: Credits,
    /// What for, as the history will say; at most 200 characters, no personal data.
    #[schema(max_length = 200, example = "render 42")]
    reason: Option<String>,
    /// For how many seconds; 900 by default, at most 604800.
    #[schema(minimum = 1, maximum = 604_800, example = 900)]
    expires_in_s: Option<u32>,
}

/// More credits.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Increment {
    /// At least 1.
    #[schema(value_type = i64, minimum = 1, example = 10)]
    amount: Credits,
}

/// More time.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Extend {
    /// For how many seconds from now; at most 604800.
    #[schema(minimum = 1, maximum = 604_800, example = 900)]
    expires_in_s: u32,
}

/// Credits to spend.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Capture {
    /// At most what the hold has left; 0 only in the last capture.
    #[schema(value_type = i64, minimum = 0, example = 30)]
    amount: Credits,
    /// Whether the rest is given back; yes by default.
    #[serde(rename = "final")]
    last: Option<bool>,
}

type Answer<T = axum::Json<Hold>> = Result<Replayable<At<T>>>;

/// Sets credits aside.
#[utoipa::path(post, path = "/wallet/holds", tag = "holds", request_body = Authorize,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body do it once")),
    responses((status = 201, body = Hold), (status = 402, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn authorize(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletSpend>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Authorize>,
) -> Answer<(StatusCode, axum::Json<Hold>)> {
    let intent = Intent::new(&caller, "holds", key.as_ref(), &body)?;
    let (hold, now) = (HoldId::derive(intent.id, "hold"), clock::now());
    let spend = Spend {
        by: caller.spends(),
        amount: body.amount,
        price: Price::Stated,
        reason: checked_reason(body.reason.unwrap_or_else(|| "hold".to_owned()))?,
    };
    let expires_at = lasting(now, body.expires_in_s.unwrap_or(LASTS_S))?;
    let ask = Ask::Authorize { hold, spend, expires_at };
    let envelope = intent.envelope(&caller, "authorize");
    let Replayable { answer: At(position, hold), replayed } =
        execute(&app, &caller, hold, envelope, WalletCommand { now, ask }).await?;
    Ok(Replayable { answer: At(position, (StatusCode::CREATED, hold)), replayed })
}

/// Sets more credits aside for an open hold.
#[utoipa::path(post, path = "/wallet/holds/{id}/increment", tag = "holds", request_body = Increment,
    params(("id" = Uuid, Path,), ("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 200, body = Hold), (status = 402, body = Problem), (status = 403, description = "the key did not open it", body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)),
    security(("bearer" = [])))]
async fn increment(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletSpend>,
    Path(hold): Path<HoldId>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Increment>,
) -> Answer {
    let intent = Intent::new(&caller, &format!("holds/{hold}/increment"), key.as_ref(), &body)?;
    let ask = Ask::Increment { hold, by: caller.spends(), amount: body.amount };
    let envelope = intent.envelope(&caller, "increment");
    execute(&app, &caller, hold, envelope, WalletCommand { now: clock::now(), ask }).await
}

/// Keeps an open hold longer.
#[utoipa::path(post, path = "/wallet/holds/{id}/extend", tag = "holds", request_body = Extend,
    params(("id" = Uuid, Path,), ("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 200, body = Hold), (status = 403, description = "the key did not open it", body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn extend(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletSpend>,
    Path(hold): Path<HoldId>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Extend>,
) -> Answer {
    let intent = Intent::new(&caller, &format!("holds/{hold}/extend"), key.as_ref(), &body)?;
    let now = clock::now();
    let expires_at = lasting(now, body.expires_in_s)?;
    let ask = Ask::Extend { hold, by: caller.spends(), expires_at };
    let envelope = intent.envelope(&caller, "extend");
    execute(&app, &caller, hold, envelope, WalletCommand { now, ask }).await
}

/// Spends held credits; the last capture gives the rest back.
#[utoipa::path(post, path = "/wallet/holds/{id}/capture", tag = "holds", request_body = Capture,
    params(("id" = Uuid, Path,), ("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 200, body = Hold), (status = 403, description = "the key did not open it", body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn capture(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletSpend>,
    Path(hold): Path<HoldId>,
    key: Option<IdempotencyKey>,
    Json(body): Json<Capture>,
) -> Answer {
    let intent = Intent::new(&caller, &format!("holds/{hold}/capture"), key.as_ref(), &body)?;
    let ask = Ask::Capture {
        hold,
        by: caller.spends(),
        amount: body.amount,
        last: body.last.unwrap_or(true),
        usage: None,
    };
    let envelope = intent.envelope(&caller, "capture");
    execute(&app, &caller, hold, envelope, WalletCommand { now: clock::now(), ask }).await
}

/// Gives held credits back.
#[utoipa::path(post, path = "/wallet/holds/{id}/release", tag = "holds",
    params(("id" = Uuid, Path,), ("Idempotency-Key" = Option<String>, Header,)),
    responses((status = 200, body = Hold), (status = 403, description = "the key did not open it", body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)),
    security(("bearer" = [])))]
async fn release(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletSpend>,
    Path(hold): Path<HoldId>,
    key: Option<IdempotencyKey>,
) -> Answer {
    let intent = Intent::new(&caller, &format!("holds/{hold}/release"), key.as_ref(), &())?;
    let ask = Ask::Release { hold, by: caller.spends(), reason: "released".to_owned() };
    let envelope = intent.envelope(&caller, "release");
    execute(&app, &caller, hold, envelope, WalletCommand { now: clock::now(), ask }).await
}

/// Executes a command on a hold and answers with the hold.
async fn execute(
    app: &App,
    caller: &Caller,
    hold: HoldId,
    envelope: Envelope,
    command: WalletCommand,
) -> Answer {
    let outcome = app.store.execute::<Wallet>(caller.wallet(), envelope, command).await;
    let hear = |error: &_| app.declines.hear(caller.user, caller.key, Operation::Hold, error);
    let outcome = outcome.inspect_err(hear)?;
    app.wrote(caller.user, outcome.position);
    let (position, replayed) = (outcome.position, outcome.replayed);
    let answer = At(position, axum::Json(Hold::after(hold, &outcome)?));
    Ok(Replayable { answer, replayed })
}

impl Hold {
    /// The hold as the command's last event on it says.
    fn after(id: HoldId, outcome: &Outcome<Wallet>) -> Result<Self> {
        let (state, figures) = outcome
            .events
            .iter()
            .rev()
            .find_map(|event| match event {
                WalletEvent::HoldAuthorized { hold, figures, .. }
                | WalletEvent::HoldIncremented { hold, figures, .. }
                | WalletEvent::HoldExtended { hold, figures, .. }
                    if *hold == id =>
                {
                    Some(("authorized", *figures))
                }
                WalletEvent::HoldCaptured { hold, figures, last, .. } if *hold == id => {
                    Some((if *last { "captured" } else { "authorized" }, *figures))
                }
                WalletEvent::HoldReleased { hold, figures, .. } if *hold == id => {
                    Some(("released", *figures))
                }
                _ => None,
            })
            .ok_or_else(|| Problem::failed("a hold's command has no event of the hold"))?;
        let HoldFigures { authorized, captured, released, expires_at } = figures;
        Ok(Self { id, state, authorized, captured, released, expires_at })
    }
}

fn lasting(now: DateTime<Utc>, seconds: u32) -> Result<DateTime<Utc>> {
    if (1..=LONGEST_S).contains(&seconds) {
        Ok(now + TimeDelta::seconds(seconds.into()))
    } else {
        Err(Problem::field("expires_in_s", format!("must be between 1 and {LONGEST_S}")))
    }
}

/// A reason that may stand in the history.
pub(super) fn checked_reason(reason: String) -> Result<String> {
    let length = reason.chars().count();
    if (1..=LONGEST_REASON).contains(&length) && !reason.chars().any(char::is_control) {
        return Ok(reason);
    }
    Err(Problem::field("reason", "must have 1 to 200 characters, none of them control characters"))
}
