//! Credits that administrators give, take back, and write off. Each says why, and the log says who.

use aggregates::credits::Credits;
use aggregates::id::{GrantId, UserId, WalletId};
use aggregates::wallet::{
    Ask, Funding, GrantKind, GrantTerms, Priority, Wallet, WalletCommand, WalletEvent,
};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Refused;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::http::admin::Administrator;
use crate::http::caller::Caller;
use crate::http::holds::checked_reason;
use crate::http::idempotency::{IdempotencyKey, Intent, Replayable};
use crate::http::json::{Json, Path};
use crate::http::position::At;
use crate::store::Envelope;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(grant)).routes(routes!(void)).routes(routes!(write_off))
}

/// Credits to give.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct GrantWanted {
    /// At least 1.
    #[schema(value_type = i64, minimum = 1, example = 100)]
    amount: Credits,
    /// Why, as the person's history will say; at most 200 characters, no personal data.
    #[schema(min_length = 1, max_length = 200, example = "an outage on Monday")]
    reason: String,
    /// How long they last; for ever by default.
    expires_at: Option<DateTime<Utc>>,
}

/// Credits of a grant to take back.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VoidWanted {
    /// At most so much; all that is left and not held by default. Where less is left, less is taken.
    #[schema(value_type = Option<i64>, minimum = 1, example = 100)]
    amount: Option<Credits>,
    /// Why, as the person's history will say; at most 200 characters, no personal data.
    #[schema(min_length = 1, max_length = 200, example = "given by mistake")]
    reason: String,
}

/// Debt to write off.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct WriteOff {
    /// At least 1, at most the debt.
    #[schema(value_type = i64, minimum = 1, example = 100)]
    amount: Credits,
    /// Why, as the person's history will say; at most 200 characters, no personal data.
    #[schema(min_length = 1, max_length = 200, example = "agreed by mail")]
    reason: String,
}

/// The wallet afterwards.
#[derive(Serialize, ToSchema)]
struct Adjusted {
    /// The grant that it was about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Uuid>)]
    grant: Option<GrantId>,
    #[schema(value_type = i64, example = 200)]
    available: Credits,
    #[schema(value_type = i64, example = 0)]
    held: Credits,
    #[schema(value_type = i64, example = 0)]
    debt: Credits,
}

type Answer = Result<Replayable<At<(StatusCode, axum::Json<Adjusted>)>>>;

/// Gives somebody credits. They are spent before what was bought, at the same priority and expiry.
#[utoipa::path(post, path = "/admin/users/{id}/credits", tag = "admin", request_body = GrantWanted,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "the same key and body give once")),
    responses((status = 201, body = Adjusted), (status = 404, body = Problem), Refused),
    security(("bearer" = [])))]
async fn grant(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    Json(body): Json<GrantWanted>,
) -> Answer {
    let intent = Intent::new(&caller, &format!("admin/users/{id}/credits"), key.as_ref(), &body)?;
    let envelope = intent.envelope(&caller, "grant");
    let grant = GrantTerms {
        id: GrantId(envelope.command_id.0),
        kind: GrantKind::Adjustment,
        amount: body.amount,
        priority: Priority::default(),
        expires_at: body.expires_at,
        funding: Funding::Adjustment,
        reversal_group: None,
    };
    let about = Some(grant.id);
    let ask = Ask::Grant { grant, reason: checked_reason(body.reason)? };
    adjust(&app, &caller, id, envelope, ask, about, StatusCode::CREATED).await
}

/// Takes back what is left of a grant, or some of it; what is held stays.
#[utoipa::path(post, path = "/admin/users/{id}/grants/{grant}/void", tag = "admin", request_body = VoidWanted,
    params(("id" = Uuid, Path), ("grant" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "the same key and body take once")),
    responses((status = 200, body = Adjusted), (status = 404, body = Problem), Refused),
    security(("bearer" = [])))]
async fn void(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path((id, grant)): Path<(Uuid, GrantId)>,
    key: Option<IdempotencyKey>,
    Json(body): Json<VoidWanted>,
) -> Answer {
    let route = format!("admin/users/{id}/grants/{grant}/void");
    let intent = Intent::new(&caller, &route, key.as_ref(), &body)?;
    let envelope = intent.envelope(&caller, "void");
    let ask = Ask::VoidGrant { grant, amount: body.amount, reason: checked_reason(body.reason)? };
    adjust(&app, &caller, id, envelope, ask, Some(grant), StatusCode::OK).await
}

/// Gives up debt, or some of it.
#[utoipa::path(post, path = "/admin/users/{id}/debt/write-off", tag = "admin", request_body = WriteOff,
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "the same key and body do it once")),
    responses((status = 200, body = Adjusted), (status = 404, body = Problem), Refused),
    security(("bearer" = [])))]
async fn write_off(
    State(app): State<App>,
    Administrator(caller): Administrator,
    Path(id): Path<Uuid>,
    key: Option<IdempotencyKey>,
    Json(body): Json<WriteOff>,
) -> Answer {
    let route = format!("admin/users/{id}/debt/write-off");
    let intent = Intent::new(&caller, &route, key.as_ref(), &body)?;
    let envelope = intent.envelope(&caller, "write-off");
    let ask = Ask::WriteOffDebt { amount: body.amount, reason: checked_reason(body.reason)? };
    adjust(&app, &caller, id, envelope, ask, None, StatusCode::OK).await
}

async fn adjust(
    app: &App,
    caller: &Caller,
    id: Uuid,
    envelope: Envelope,
    ask: Ask,
    grant: Option<GrantId>,
    status: StatusCode,
) -> Answer {
    let command = WalletCommand { now: clock::now(), ask };
    let outcome = app.store.execute::<Wallet>(WalletId(id), envelope, command).await?;
    // Whoever has given sees it, and so does whoever was given it.
    for user in [caller.user, UserId(id)] {
        app.wrote(user, outcome.position);
    }
    let balance = outcome.events.iter().rev().find_map(WalletEvent::balance);
    let nothing = "there is nothing to be taken: nothing is left, or all of it is held";
    let balance = balance.ok_or_else(|| Problem::field("amount", nothing))?;
    let (available, held, debt) = (balance.available, balance.held, balance.debt);
    let adjusted = axum::Json(Adjusted { grant, available, held, debt });
    let answer = At(outcome.position, (status, adjusted));
    Ok(Replayable { answer, replayed: outcome.replayed })
}
