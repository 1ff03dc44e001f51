//! The caller's wallet: what it has, what happened in it, and why.

use axum::extract::State;
use chrono::{DateTime, Utc};
use projections::balances::{self, Balance};
use projections::transactions;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::caller::{Allowed, WalletRead};
use super::json::{Path, Query};
use super::page::{Page, PageQuery};
use super::position::MinPosition;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::explain::{self, Explanation};

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(show)).routes(routes!(history)).routes(routes!(explain))
}

/// What the wallet has.
#[derive(Serialize, ToSchema)]
struct Wallet {
    /// In grants whose time is not over, and not held.
    #[schema(example = 90)]
    available: i64,
    /// In open holds.
    #[schema(example = 0)]
    held: i64,
    /// Reversed after it was spent, and not repaid; blocks spending.
    #[schema(example = 0)]
    debt: i64,
    /// What may be spent: nothing while there is debt.
    #[schema(example = 90)]
    spendable: i64,
    /// In the order they are spent.
    grants: Vec<Grant>,
    /// Grants that expire within seven days.
    expiring_soon: Vec<Grant>,
    as_of: DateTime<Utc>,
    /// The number of events the wallet has had.
    version: i64,
}

/// A bucket of credits.
#[derive(Clone, Serialize, ToSchema)]
struct Grant {
    id: Uuid,
    #[schema(example = "promotional")]
    kind: String,
    granted: i64,
    remaining: i64,
    held: i64,
    expires_at: Option<DateTime<Utc>>,
}

/// At which time.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct AsOf {
    /// The wallet as the log had it then; now by default.
    as_of: Option<DateTime<Utc>>,
}

/// A row of the credit history.
#[derive(Serialize, ToSchema)]
pub(super) struct Transaction {
    /// The event's place in the log, as a text.
    #[schema(example = "42")]
    id: String,
    /// What happened: grant, hold, capture, release, debit, …
    #[schema(example = "debit")]
    kind: String,
    /// What it changed in what is available.
    #[schema(example = -10)]
    pub(super) amount: i64,
    /// What it spent for good.
    #[schema(example = 10)]
    consumed: i64,
    #[schema(example = 90)]
    available_after: i64,
    #[schema(example = 0)]
    held_after: i64,
    #[schema(example = 0)]
    debt_after: i64,
    reason: String,
    /// The grant, hold, debit or reversal group.
    reference: Uuid,
    request_id: Option<String>,
    recorded_at: DateTime<Utc>,
    position: i64,
}

/// A page of the credit history.
#[derive(Serialize, ToSchema)]
pub(super) struct History {
    items: Vec<Transaction>,
    next_cursor: Option<String>,
}

/// What the wallet has, now or as of a time.
#[utoipa::path(get, path = "/wallet", tag = "wallet",
    params(AsOf, ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Wallet), (status = 401, body = Problem),
        (status = 404, description = "there was none then", body = Problem)),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletRead>,
    MinPosition(at_least): MinPosition,
    Query(AsOf { as_of }): Query<AsOf>,
) -> Result<axum::Json<Wallet>> {
    let (now, wallet) = (clock::now(), caller.wallet());
    let at = as_of.unwrap_or(now);
    let balance = if at < now {
        app.caught_up("balances", caller.user, at_least).await?;
        explain::balance_as_of(&app, wallet, at).await?
    } else {
        let balance = |db| async move { balances::of_wallet(&db, wallet, at).await };
        match app.read("balances", caller.user, at_least, balance).await? {
            // A wallet that is new may not have come to the replica.
            None => balances::of_wallet(app.db(), wallet, at).await?,
            balance => balance,
        }
    };
    let balance = balance.ok_or_else(Problem::not_found)?;
    Ok(axum::Json(Wallet::new(&balance, at)))
}

/// What happened in the wallet, newest first. Amounts add up to each row's `available_after`.
#[utoipa::path(get, path = "/wallet/transactions", tag = "wallet",
    params(PageQuery, ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = History), (status = 401, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn history(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletRead>,
    MinPosition(at_least): MinPosition,
    page: Page<i64>,
) -> Result<axum::Json<History>> {
    let (wallet, cursor, limit) = (caller.wallet(), page.cursor, page.limit);
    let rows = |db| async move { transactions::page(&db, wallet, cursor, limit).await };
    let rows = app.read("transactions", caller.user, at_least, rows).await?;
    Ok(axum::Json(History::of(&page, rows)))
}

/// Why a row of the history is what it is: the event, the grants it moved with what they had
/// before and after, and what funded each of them.
#[utoipa::path(get, path = "/wallet/transactions/{id}/explain", tag = "wallet",
    params(("id" = i64, Path, description = "the row's id")),
    responses((status = 200, body = Explanation), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn explain(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletRead>,
    Path(position): Path<i64>,
) -> Result<axum::Json<Explanation>> {
    app.caught_up("balances", caller.user, None).await?;
    let explanation = explain::explain(&app, caller.wallet(), position).await?;
    explanation.map(axum::Json).ok_or_else(Problem::not_found)
}

impl History {
    pub(super) fn of(page: &Page<i64>, rows: Vec<transactions::Transaction>) -> Self {
        let next_cursor = page.next(&rows, |row| row.position.to_string());
        Self { items: rows.into_iter().map(Transaction::from).collect(), next_cursor }
    }
}

impl Wallet {
    fn new(balance: &Balance, as_of: DateTime<Utc>) -> Self {
        Self {
            available: balance.available,
            held: balance.held,
            debt: balance.debt,
            spendable: balance.spendable(),
            grants: balance.grants.iter().map(Grant::from).collect(),
            expiring_soon: balance.expiring_soon(as_of).map(Grant::from).collect(),
            as_of,
            version: balance.version,
        }
    }
}

impl From<&balances::GrantRow> for Grant {
    fn from(row: &balances::GrantRow) -> Self {
        Self {
            id: row.grant_id,
            kind: row.kind.clone(),
            granted: row.granted,
            remaining: row.remaining,
            held: row.held,
            expires_at: row.expires_at,
        }
    }
}

impl From<transactions::Transaction> for Transaction {
    fn from(row: transactions::Transaction) -> Self {
        Self {
            id: row.position.to_string(),
            kind: row.kind,
            amount: row.amount,
            consumed: row.consumed,
            available_after: row.available_after,
            held_after: row.held_after,
            debt_after: row.debt_after,
            reason: row.reason,
            reference: row.reference,
            request_id: row.request_id,
            recorded_at: row.recorded_at,
            position: row.position,
        }
    }
}
