//! The statement: a wallet's history between two times, as JSON or CSV.

use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use projections::transactions;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::caller::{Allowed, WalletRead};
use super::json::Query;
use super::position::MinPosition;
use super::wallet::Transaction;
use crate::app::App;
use crate::error::{Problem, Result};

/// Rows of one statement; ask for a shorter time when there are more.
const ROWS: i64 = 10_000;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(statement))
}

/// Which time, and in which form.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct Period {
    /// The first moment.
    from: DateTime<Utc>,
    /// The moment after the last.
    to: DateTime<Utc>,
    /// `json` by default.
    #[serde(default)]
    #[param(inline)]
    format: Format,
}

#[derive(Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
}

/// A wallet's history between two times.
#[derive(Serialize, ToSchema)]
struct Statement {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    /// Available before the first row.
    opening: i64,
    /// Available after the last row.
    closing: i64,
    /// Oldest first.
    items: Vec<Transaction>,
}

/// A wallet's history between two times, oldest first, at most 10,000 rows.
#[utoipa::path(get, path = "/wallet/statement", tag = "wallet",
    params(Period, ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, content((Statement = "application/json"), (String = "text/csv"))), (status = 401, body = Problem), (status = 422, body = Problem)),
    security(("bearer" = [])))]
async fn statement(
    State(app): State<App>,
    Allowed(caller, ..): Allowed<WalletRead>,
    MinPosition(at_least): MinPosition,
    Query(Period { from, to, format }): Query<Period>,
) -> Result<Response> {
    if from >= to {
        return Err(Problem::field("from", "must be before to"));
    }
    let wallet = caller.wallet();
    let rows = |db| async move {
        let rows = transactions::between(&db, wallet, from, to, ROWS + 1).await?;
        // What there was before matters where nothing was in between.
        let before = if rows.is_empty() {
            transactions::last_before(&db, wallet, from).await?
        } else {
            None
        };
        Ok((rows, before))
    };
    let (rows, before) = app.read("transactions", caller.user, at_least, rows).await?;
    if i64::try_from(rows.len()).is_ok_and(|count| count > ROWS) {
        return Err(Problem::field("to", "more than 10000 rows: ask for a shorter time"));
    }
    if let Format::Csv = format {
        return Ok(csv(&rows));
    }
    let opening = if let Some(first) = rows.first() {
        first.available_after - first.amount
    } else {
        before.map_or(0, |row| row.available_after)
    };
    let closing = rows.last().map_or(opening, |row| row.available_after);
    let items = rows.into_iter().map(Transaction::from).collect();
    Ok(axum::Json(Statement { from, to, opening, closing, items }).into_response())
}

fn csv(rows: &[transactions::Transaction]) -> Response {
    let mut text = String::from(
        "recorded_at,position,kind,amount,consumed,available_after,held_after,debt_after,reason,reference,request_id\r\n",
    );
    for row in rows {
        let fields = [
            row.recorded_at.to_rfc3339(),
            row.position.to_string(),
            row.kind.clone(),
            row.amount.to_string(),
            row.consumed.to_string(),
            row.available_after.to_string(),
            row.held_after.to_string(),
            row.debt_after.to_string(),
            quoted(&row.reason),
            row.reference.to_string(),
            quoted(row.request_id.as_deref().unwrap_or("")),
        ];
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    }
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"statement.csv\""),
    ];
    (headers, text).into_response()
}

/// A field in quotes (RFC 4180); what a spreadsheet would take for a formula is told as text.
fn quoted(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}
