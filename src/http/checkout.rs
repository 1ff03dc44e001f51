//! Buying packs: Stripe's page, and the one that people return to.

use aggregates::id::{PackId, PurchaseId};
use aggregates::purchase::{Purchase, Stage};
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::Caller;
use super::idempotency::{IdempotencyKey, Intent, Replayable};
use super::json::{Json, Path};
use super::position::At;
use crate::accounts::limits;
use crate::app::App;
use crate::billing::checkout::{self, Wanted};
use crate::billing::settle;
use crate::error::{Problem, Result};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(open)).routes(routes!(show))
}

/// What to buy.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    /// The pack's id.
    #[schema(value_type = Uuid)]
    pack: PackId,
    /// Whether the card may be charged later without you, as auto-recharge does: the page says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    keep_card: bool,
}

/// A purchase that waits for its payment.
#[derive(Serialize, ToSchema)]
struct Opened {
    /// The purchase.
    #[schema(value_type = Uuid)]
    id: PurchaseId,
    /// Stripe's page, which asks for the payment.
    #[schema(example = "https://checkout.stripe.com/c/pay/cs_test_1")]
    url: Option<String>,
    /// Until when it does.
    expires_at: DateTime<Utc>,
}

/// A purchase as it is.
#[derive(Serialize, ToSchema)]
struct Bought {
    #[schema(value_type = Uuid)]
    id: PurchaseId,
    /// `created`, `checkout_opened`, `awaiting_payment`, `paid`, `fulfilled` (the credits are in the
    /// wallet), `expired`, `payment_failed` or `quarantined` (somebody looks at it).
    #[schema(example = "fulfilled")]
    state: &'static str,
    /// Credits that were bought, with those on top.
    #[schema(example = 200)]
    credits: i64,
}

/// Orders a pack, and opens Stripe's page for its payment.
#[utoipa::path(post, path = "/billing/checkout", tag = "billing", request_body = Order,
    params(("Idempotency-Key" = Option<String>, Header, description = "the same key and body order once")),
    responses((status = 201, body = Opened), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 409, description = "it is sold no more", body = Problem),
        (status = 502, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn open(
    State(app): State<App>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    Json(body): Json<Order>,
) -> Result<Replayable<At<(StatusCode, axum::Json<Opened>)>>> {
    limits::CHECKOUTS.count(&app, &caller.user.to_string()).await?;
    let intent = Intent::new(&caller, "billing/checkout", key.as_ref(), &body)?;
    let metadata = intent.envelope(&caller, "checkout").metadata;
    let (user, keeps_card) = (caller.user, body.keep_card);
    let wanted = Wanted { user, pack: body.pack, keeps_card, intent: intent.id, metadata };
    let opened = checkout::open(&app, wanted).await?;
    let checkout = opened.checkout;
    let (url, expires_at) = (checkout.url.map(String::from), checkout.expires_at);
    let answer = axum::Json(Opened { id: opened.id, url, expires_at });
    let answer = At(opened.position, (StatusCode::CREATED, answer));
    Ok(Replayable { answer, replayed: opened.replayed })
}

/// A purchase as it is: the page that people return to asks this. What Stripe knows is looked at,
/// whether or not it was told already.
#[utoipa::path(get, path = "/billing/checkout/{id}", tag = "billing", params(("id" = Uuid, Path)),
    responses((status = 200, body = Bought), (status = 401, body = Problem),
        (status = 404, body = Problem), (status = 503, body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<PurchaseId>,
) -> Result<axum::Json<Bought>> {
    let mut purchase = mine(&app, &caller, id).await?;
    let open = matches!(purchase.stage(), Stage::CheckoutOpened | Stage::AwaitingPayment);
    if open
        && let Some(session) = purchase.checkout()
        && settle::look(&app, id.0, session).await?
    {
        purchase = mine(&app, &caller, id).await?;
    }
    if purchase.stage() == Stage::Paid {
        // Somebody else is about to; whoever is first, it is done once.
        settle::complete(&app, id).await?;
        purchase = mine(&app, &caller, id).await?;
    }
    let credits = purchase.order().map_or(0, |order| order.credits.get() + order.bonus.get());
    Ok(axum::Json(Bought { id, state: purchase.stage().name(), credits }))
}

/// 404 for a purchase of somebody else's.
async fn mine(app: &App, caller: &Caller, id: PurchaseId) -> Result<Purchase> {
    let purchase = app.store.load::<Purchase>(id).await?;
    let mine = purchase.order().is_some_and(|order| order.user == caller.user);
    if mine { Ok(purchase) } else { Err(Problem::not_found()) }
}
