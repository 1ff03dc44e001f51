//! Where the systems of the person who is asking listen to webhooks.

use aggregates::id::EndpointId;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::{Json, Path};
use super::tagged::{IfMatch, Tagged};
use crate::accounts::limits;
use crate::app::App;
use crate::clients::webhooks::Secret;
use crate::error::{Problem, Result};
use crate::webhooks::EventType;
use crate::webhooks::endpoints::{self, Change, Endpoint, Opened, Request, Wanted};

/// Where a balance is low where nobody says: the price of one small AI call.
const LOW: i64 = 10;
/// The longest description, in characters.
const LONGEST: usize = 200;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(show, change, remove))
        .routes(routes!(rotate))
}

/// An endpoint that is to be.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndpointWanted {
    /// Where webhooks are sent to: https, and reachable from everywhere.
    #[schema(example = "https://example.com/webhooks")]
    url: String,
    /// What it listens to; all by default.
    #[serde(default = "all")]
    #[schema(example = json!(["wallet.low_balance", "payment.failed"]))]
    events: Vec<EventType>,
    /// What you call it; at most 200 characters.
    #[schema(max_length = 200)]
    description: Option<String>,
    /// `wallet.low_balance` is sent when less than this is available; 10 by default.
    #[schema(minimum = 1, example = 10)]
    low_balance_threshold: Option<i64>,
}

/// What changes of an endpoint; what is not named stays.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct EndpointChange {
    url: Option<String>,
    events: Option<Vec<EventType>>,
    /// Empty for none.
    #[schema(max_length = 200)]
    description: Option<String>,
    /// Whether anything is sent. What waits when it is turned off is given up.
    enabled: Option<bool>,
    #[schema(minimum = 1)]
    low_balance_threshold: Option<i64>,
}

/// An endpoint, with a secret that was made for it.
#[derive(Serialize, ToSchema)]
struct EndpointOpened {
    #[serde(flatten)]
    endpoint: Endpoint,
    /// What signatures are checked with. It is told this once, and to the same request for a day; never
    /// again.
    #[schema(value_type = Option<String>, example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    secret: Option<Secret>,
}

/// Endpoints, the newest first.
#[derive(Serialize, ToSchema)]
struct Endpoints {
    items: Vec<Endpoint>,
    next_cursor: Option<String>,
}

type Told = Result<Replayable<(StatusCode, axum::Json<EndpointOpened>)>>;

/// The endpoints of the person who is asking.
#[utoipa::path(get, path = "/webhook-endpoints", tag = "webhooks",
    responses((status = 200, body = Endpoints), (status = 401, body = Problem)),
    security(("bearer" = [])))]
async fn list(State(app): State<App>, caller: Caller) -> Result<axum::Json<Endpoints>> {
    let items = endpoints::list(&app, caller.user).await?;
    Ok(axum::Json(Endpoints { items, next_cursor: None }))
}

/// Makes an endpoint. Its secret is told this once.
#[utoipa::path(post, path = "/webhook-endpoints", tag = "webhooks", request_body = EndpointWanted,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body make it once")),
    responses((status = 201, body = EndpointOpened), (status = 401, body = Problem),
        (status = 409, description = "there are too many", body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem)),
    security(("bearer" = [])))]
async fn create(
    State(app): State<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<EndpointWanted>,
) -> Told {
    limits::WEBHOOK_CHANGES.count(&app, &caller.user.to_string()).await?;
    let intent = Intent::new(&caller, "webhook-endpoints", key.as_ref(), &body)?;
    let hash = intent.envelope(&caller, "create").metadata.request_hash;
    let wanted = Wanted {
        url: checked_url(&app, body.url)?,
        events: checked_events(body.events)?,
        description: checked_description(body.description)?.filter(|text| !text.is_empty()),
        low_balance_threshold: checked_threshold(body.low_balance_threshold)?.unwrap_or(LOW),
    };
    let request = Request { id: intent.id, hash };
    let opened = endpoints::create(&app, caller.user, wanted, request).await?;
    Ok(told(StatusCode::CREATED, opened))
}

/// An endpoint.
#[utoipa::path(get, path = "/webhook-endpoints/{id}", tag = "webhooks", params(("id" = Uuid, Path)),
    responses((status = 200, body = Endpoint, headers(("ETag" = String, description = "for If-Match"))),
        (status = 401, body = Problem), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<EndpointId>,
) -> Result<Tagged<Endpoint>> {
    endpoints::one(&app, caller.user, id).await.map(Tagged)
}

/// Changes an endpoint.
#[utoipa::path(patch, path = "/webhook-endpoints/{id}", tag = "webhooks",
    request_body = EndpointChange,
    params(("id" = Uuid, Path),
        ("If-Match" = Option<String>, Header, description = "an ETag: change only what was read")),
    responses((status = 200, body = Endpoint, headers(("ETag" = String, description = "for If-Match"))),
        (status = 401, body = Problem), (status = 404, body = Problem), (status = 412, body = Problem),
        (status = 422, body = Problem), (status = 429, body = Problem)),
    security(("bearer" = [])))]
async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<EndpointId>,
    seen: Option<IfMatch>,
    Json(body): Json<EndpointChange>,
) -> Result<Tagged<Endpoint>> {
    limits::WEBHOOK_CHANGES.count(&app, &caller.user.to_string()).await?;
    let change = Change {
        url: body.url.map(|url| checked_url(&app, url)).transpose()?,
        events: body.events.map(checked_events).transpose()?,
        description: checked_description(body.description)?,
        enabled: body.enabled,
        low_balance_threshold: checked_threshold(body.low_balance_threshold)?,
    };
    let may = |now: &Endpoint| seen.map_or(Ok(()), |seen| seen.check(now));
    endpoints::change(&app, caller.user, id, change, may).await.map(Tagged)
}

/// Removes an endpoint, with the list of what was sent to it.
#[utoipa::path(delete, path = "/webhook-endpoints/{id}", tag = "webhooks",
    params(("id" = Uuid, Path)),
    responses((status = 204), (status = 401, body = Problem), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<EndpointId>,
) -> Result<StatusCode> {
    endpoints::remove(&app, caller.user, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Makes another secret, which is told this once. For 24 hours webhooks are signed by the one before,
/// too.
#[utoipa::path(post, path = "/webhook-endpoints/{id}/rotate-secret", tag = "webhooks",
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "the same key makes one")),
    responses((status = 200, body = EndpointOpened), (status = 401, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "it was rotated too often", body = Problem),
        (status = 429, body = Problem)),
    security(("bearer" = [])))]
async fn rotate(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<EndpointId>,
    key: Option<IdempotencyKey>,
) -> Told {
    limits::WEBHOOK_CHANGES.count(&app, &caller.user.to_string()).await?;
    let route = format!("webhook-endpoints/{id}/rotate-secret");
    let intent = Intent::new(&caller, &route, key.as_ref(), &())?;
    let opened = endpoints::rotate(&app, caller.user, id, intent.id).await?;
    Ok(told(StatusCode::OK, opened))
}

fn told(
    status: StatusCode,
    opened: Opened,
) -> Replayable<(StatusCode, axum::Json<EndpointOpened>)> {
    let Opened { endpoint, secret, replayed } = opened;
    let answer = (status, axum::Json(EndpointOpened { endpoint, secret }));
    Replayable { answer, replayed }
}

fn all() -> Vec<EventType> {
    vec![EventType::All]
}

fn checked_url(app: &App, url: String) -> Result<String> {
    app.webhooks.check(&url).map_err(|error| Problem::field("url", error.to_string()))?;
    Ok(url)
}

fn checked_events(mut events: Vec<EventType>) -> Result<Vec<EventType>> {
    events.sort_unstable();
    events.dedup();
    if events.is_empty() {
        let detail = "must name at least one, or * for all; set enabled to false for none";
        return Err(Problem::field("events", detail));
    }
    Ok(events)
}

fn checked_description(description: Option<String>) -> Result<Option<String>> {
    let is_good =
        |text: &String| text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
    if description.as_ref().is_none_or(is_good) {
        return Ok(description);
    }
    let detail = format!("must have at most {LONGEST} characters, none of them control characters");
    Err(Problem::field("description", detail))
}

fn checked_threshold(threshold: Option<i64>) -> Result<Option<i64>> {
    if threshold.is_none_or(|threshold| threshold > 0) {
        return Ok(threshold);
    }
    Err(Problem::field("low_balance_threshold", "must be at least 1"))
}
