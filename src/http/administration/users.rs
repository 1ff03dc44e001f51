//! Who has an account, and what they have.

use aggregates::id::{UserId, WalletId};
use aggregates::user::Role;
use aggregates::wallet::Wallet;
use axum::extract::State;
use chrono::{DateTime, Utc};
use projections::transactions;
use projections::users::{self as rows, UserRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use super::Refused;
use crate::accounts;
use crate::accounts::contact::Contact;
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::http::admin::Administrator;
use crate::http::json::{Json, Path, Query};
use crate::http::page::{Page, PageQuery};
use crate::http::position::MinPosition;
use crate::http::wallet::History;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(find))
        .routes(routes!(show))
        .routes(routes!(history))
}

/// Somebody's account.
#[derive(Serialize, ToSchema)]
struct Account {
    id: Uuid,
    email: Option<String>,
    email_verified: bool,
    phone: Option<String>,
    name: Option<String>,
    /// `user` or `admin`.
    #[schema(example = "user")]
    role: String,
    /// `active`, `deactivated` or `erased`.
    #[schema(example = "active")]
    status: String,
    registered_at: DateTime<Utc>,
    last_seen_at: DateTime<Utc>,
}

/// A page of accounts, the newest first.
#[derive(Serialize, ToSchema)]
struct Accounts {
    items: Vec<Account>,
    next_cursor: Option<Uuid>,
}

/// Somebody's account, and what is in their wallet.
#[derive(Serialize, ToSchema)]
struct AccountShown {
    #[serde(flatten)]
    account: Account,
    wallet: AccountWallet,
}

/// What is in somebody's wallet now.
#[derive(Serialize, ToSchema)]
struct AccountWallet {
    available: i64,
    held: i64,
    debt: i64,
    /// Why nothing may be spent; null where it may.
    frozen: Option<String>,
}

/// What of an account.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Standing {
    Active,
    Deactivated,
    Erased,
}

/// What somebody may do.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum AccountRole {
    User,
    Admin,
}

/// Which accounts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AccountsQuery {
    /// `active`, `deactivated` or `erased`; all by default.
    #[param(inline)]
    status: Option<Standing>,
    /// `user` or `admin`; all by default.
    #[param(inline)]
    role: Option<AccountRole>,
    /// As `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<i64>,
}

/// Where somebody is reached: one of the two. It is sent, and not part of the address, since addresses are written
/// into logs on their way.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ReachedAt {
    #[schema(example = "ada@example.com")]
    email: Option<String>,
    /// With its country.
    #[schema(example = "+15551234567")]
    phone: Option<String>,
}

impl ReachedAt {
    fn contact(&self) -> Result<Contact> {
        match (&self.email, &self.phone) {
            (Some(email), None) => Contact::email("email", email),
            (None, Some(phone)) => Contact::phone("phone", phone),
            (Some(_), Some(_)) | (None, None) => {
                Err(Problem::field("email", "send either email or phone"))
            }
        }
    }
}

/// Who has an account, the newest first.
#[utoipa::path(get, path = "/admin/users", tag = "admin",
    params(AccountsQuery, ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Accounts), Refused), security(("bearer" = [])))]
async fn list(
    State(app): State<App>,
    Administrator(caller): Administrator,
    MinPosition(at_least): MinPosition,
    Query(query): Query<AccountsQuery>,
) -> Result<axum::Json<Accounts>> {
    let page: Page<UserId> = Page::new(query.cursor.as_deref(), query.limit)?;
    let which = rows::Which {
        role: query.role.map(|role| Role::from(role).name()),
        status: query.status.map(Standing::name),
    };
    let (cursor, limit) = (page.cursor, page.limit);
    let rows = |db| async move { rows::newest(&db, which, cursor, limit).await };
    let rows = app.read("users", caller.user, at_least, rows).await?;
    let next_cursor = page.next(&rows, |row| row.user_id);
    let items = rows.into_iter().map(Account::from).collect();
    Ok(axum::Json(Accounts { items, next_cursor }))
}

/// Whose address or telephone this is: one account, or none.
#[utoipa::path(post, path = "/admin/users/find", tag = "admin", request_body = ReachedAt,
    params(("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = Accounts), Refused), security(("bearer" = [])))]
async fn find(
    State(app): State<App>,
    Administrator(caller): Administrator,
    MinPosition(at_least): MinPosition,
    Json(body): Json<ReachedAt>,
) -> Result<axum::Json<Accounts>> {
    let contact = body.contact()?;
    app.caught_up("users", caller.user, at_least).await?;
    let row = match accounts::owner(&app, &contact).await? {
        Some(user) => rows::by_id(app.db(), user).await?,
        None => None,
    };
    let items = row.into_iter().map(Account::from).collect();
    Ok(axum::Json(Accounts { items, next_cursor: None }))
}

/// Somebody's account, and what is in their wallet.
#[utoipa::path(get, path = "/admin/users/{id}", tag = "admin",
    params(("id" = Uuid, Path), ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = AccountShown), (status = 404, body = Problem), Refused),
    security(("bearer" = [])))]
async fn show(
    State(app): State<App>,
    Administrator(caller): Administrator,
    MinPosition(at_least): MinPosition,
    Path(id): Path<Uuid>,
) -> Result<axum::Json<AccountShown>> {
    app.caught_up("users", caller.user, at_least).await?;
    let row = rows::by_id(app.db(), UserId(id)).await?.ok_or_else(Problem::not_found)?;
    let wallet = app.store.load::<Wallet>(WalletId(id)).await?;
    Ok(axum::Json(AccountShown { account: row.into(), wallet: AccountWallet::of(&wallet) }))
}

/// What happened in somebody's wallet, the newest first.
#[utoipa::path(get, path = "/admin/users/{id}/transactions", tag = "admin",
    params(("id" = Uuid, Path), PageQuery, ("X-Min-Position" = Option<i64>, Header,)),
    responses((status = 200, body = History), (status = 404, body = Problem), Refused),
    security(("bearer" = [])))]
async fn history(
    State(app): State<App>,
    Administrator(caller): Administrator,
    MinPosition(at_least): MinPosition,
    Path(id): Path<Uuid>,
    page: Page<i64>,
) -> Result<axum::Json<History>> {
    if app.store.load::<Wallet>(WalletId(id)).await?.owner().is_none() {
        return Err(Problem::not_found());
    }
    let (wallet, cursor, limit) = (WalletId(id), page.cursor, page.limit);
    let rows = |db| async move { transactions::page(&db, wallet, cursor, limit).await };
    let rows = app.read("transactions", caller.user, at_least, rows).await?;
    Ok(axum::Json(History::of(&page, rows)))
}

impl Standing {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Erased => "erased",
        }
    }
}

impl From<AccountRole> for Role {
    fn from(role: AccountRole) -> Self {
        match role {
            AccountRole::User => Self::User,
            AccountRole::Admin => Self::Admin,
        }
    }
}

impl AccountWallet {
    fn of(wallet: &Wallet) -> Self {
        let balance = wallet.balance(clock::now());
        Self {
            available: balance.available.get(),
            held: balance.held.get(),
            debt: balance.debt.get(),
            frozen: wallet.frozen().map(str::to_owned),
        }
    }
}

impl From<UserRow> for Account {
    fn from(row: UserRow) -> Self {
        Self {
            id: row.user_id,
            email: row.email,
            email_verified: row.email_verified,
            phone: row.phone,
            name: row.name,
            role: row.role,
            status: row.status,
            registered_at: row.registered_at,
            last_seen_at: row.last_seen_at,
        }
    }
}
