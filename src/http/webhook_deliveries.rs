//! What was sent to an endpoint of the person who is asking, and sending by hand.

use aggregates::id::{DeliveryId, EndpointId};
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::Path;
use super::page::{Page, PageQuery};
use crate::accounts::limits;
use crate::app::App;
use crate::error::{Problem, Result};
use crate::webhooks::deliveries::{self, WebhookDelivery};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(redeliver)).routes(routes!(test))
}

/// A page of webhooks, the newest first.
#[derive(Serialize, ToSchema)]
struct WebhookDeliveries {
    items: Vec<WebhookDelivery>,
    next_cursor: Option<String>,
}

type Sent = Result<Replayable<(StatusCode, axum::Json<WebhookDelivery>)>>;

/// What was sent to an endpoint in the last thirty days, with each try.
#[utoipa::path(get, path = "/webhook-endpoints/{id}/deliveries", tag = "webhooks",
    params(("id" = Uuid, Path), PageQuery),
    responses((status = 200, body = WebhookDeliveries), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<EndpointId>,
    page: Page<i64>,
) -> Result<axum::Json<WebhookDeliveries>> {
    let items = deliveries::list(&app, caller.user, id, page.cursor, page.limit).await?;
    let next_cursor = page.next(&items, |delivery| delivery.number.to_string());
    Ok(axum::Json(WebhookDeliveries { items, next_cursor }))
}

/// Sends a webhook once more, with the same `webhook-id`; it is tried as often as a new one.
#[utoipa::path(post, path = "/webhook-endpoints/{id}/deliveries/{delivery}/redeliver",
    tag = "webhooks",
    params(("id" = Uuid, Path), ("delivery" = Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header, description = "the same key sends it once")),
    responses((status = 202, body = WebhookDelivery), (status = 401, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "the endpoint is turned off", body = Problem),
        (status = 429, body = Problem)),
    security(("bearer" = [])))]
async fn redeliver(
    State(app): State<App>,
    caller: Caller,
    Path((id, delivery)): Path<(EndpointId, DeliveryId)>,
    key: Option<IdempotencyKey>,
) -> Sent {
    limits::WEBHOOK_SENDS.count(&app, &caller.user.to_string()).await?;
    let route = format!("webhook-endpoints/{id}/deliveries/{delivery}/redeliver");
    let intent = Intent::new(&caller, &route, key.as_ref(), &())?;
    let sent = deliveries::redeliver(&app, caller.user, id, delivery, intent.id).await?;
    Ok(told(sent))
}

/// Sends an `endpoint.test`, whatever the endpoint listens to.
#[utoipa::path(post, path = "/webhook-endpoints/{id}/test", tag = "webhooks",
    params(("id" = Uuid, Path), ("Idempotency-Key" = Option<String>, Header, description = "the same key sends one")),
    responses((status = 202, body = WebhookDelivery), (status = 401, body = Problem),
        (status = 404, body = Problem),
        (status = 409, description = "the endpoint is turned off", body = Problem),
        (status = 429, body = Problem)),
    security(("bearer" = [])))]
async fn test(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<EndpointId>,
    key: Option<IdempotencyKey>,
) -> Sent {
    limits::WEBHOOK_SENDS.count(&app, &caller.user.to_string()).await?;
    let route = format!("webhook-endpoints/{id}/test");
    let intent = Intent::new(&caller, &route, key.as_ref(), &())?;
    Ok(told(deliveries::test(&app, caller.user, id, intent.id).await?))
}

fn told(
    (delivery, replayed): (WebhookDelivery, bool),
) -> Replayable<(StatusCode, axum::Json<WebhookDelivery>)> {
    Replayable { answer: (StatusCode::ACCEPTED, axum::Json(delivery)), replayed }
}
