//! What goes wrong, as clients are told (RFC 9457).

use std::collections::BTreeMap;

use aggregates::catalogue::OfferError;
use aggregates::chat::ChatError;
use aggregates::purchase::PurchaseError;
use aggregates::recharge::RechargeError;
use aggregates::subscription::SubscriptionError;
use aggregates::user::UserError;
use aggregates::wallet::WalletError;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::keys::retired;
use crate::store::{ExecuteError, LoadError};

const OLD_KEYS: &str = "keys.json of this node is older than another: nothing was done";

/// The result of a handler.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

/// An error as the client is told; the body gains its `request_id` on the way out.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Where the code is described.
    #[serde(rename = "type")]
    #[schema(example = "/docs#insufficient_credits")]
    pub kind: String,
    /// What the status says.
    #[schema(example = "Payment Required")]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(example = 402)]
    pub status: u16,
    /// What happened, and what to do.
    pub detail: String,
    /// A word that programs may rely on.
    #[schema(example = "insufficient_credits")]
    pub code: &'static str,
    /// By field, what is wrong with it (422).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, String>,
    /// Figures that belong to the code, such as `required` and `available`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub figures: Map<String, Value>,
    /// After how many seconds a retry makes sense.
    #[serde(skip)]
    pub retry_after: Option<u32>,
    /// What broke inside; logged, never told.
    #[serde(skip)]
    #[schema(ignore)]
    pub cause: Option<String>,
}

impl Problem {
    /// A problem with this status, code and detail.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("/docs#{code}"),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            code,
            errors: BTreeMap::new(),
            figures: Map::new(),
            retry_after: None,
            cause: None,
        }
    }

    /// 404: there is none, or it is somebody else's.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such thing, or it is not yours")
    }

    /// 412: it is not what was read.
    pub fn moved(what: impl std::fmt::Display) -> Self {
        let detail = format!("{what}: read it again, and send its ETag as If-Match");
        Self::new(StatusCode::PRECONDITION_FAILED, "precondition_failed", detail)
    }

    /// 401: who is asking is not known.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
    }

    /// 400: not to be understood.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// 422: a field is wrong, and says how.
    pub fn field(field: impl Into<String>, remedy: impl Into<String>) -> Self {
        let mut problem = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            "the request is understood, but some of it is not acceptable: see errors",
        );
        problem.errors.insert(field.into(), remedy.into());
        problem
    }

    /// 422: an idempotency key has one body.
    #[must_use]
    pub fn key_reused() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "this Idempotency-Key was used for another request: use a new key",
        )
    }

    /// 503: try again.
    pub fn busy(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail);
        problem.retry_after = Some(1);
        problem
    }

    /// 503: this node has keys that were retired elsewhere, and writes nothing with them.
    pub fn old_keys(detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "old_keys", detail);
        problem.retry_after = Some(5);
        problem
    }

    /// 500: ours.
    pub fn failed(cause: impl std::fmt::Display) -> Self {
        let mut problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failed",
            "the request failed on our side; nothing was charged for it",
        );
        problem.cause = Some(cause.to_string());
        problem
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.figures.insert(name.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    /// The body is written where the request's id is known: see `http::problems`.
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        match error {
            error if retired::is_refused(&error) => Self::old_keys(OLD_KEYS),
            sqlx::Error::PoolTimedOut | sqlx::Error::Io(_) => {
                let mut problem = Self::busy("the database cannot be reached; try again");
                problem.cause = Some(error.to_string());
                problem
            }
            error => Self::failed(chain(&error)),
        }
    }
}

impl From<LoadError> for Problem {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Database(error) => error.into(),
            error => Self::failed(chain(&error)),
        }
    }
}

impl<E: Into<Problem>> From<ExecuteError<E>> for Problem {
    fn from(error: ExecuteError<E>) -> Self {
        match error {
            ExecuteError::Refused(refusal) => refusal.into(),
            ExecuteError::KeyReused => Self::key_reused(),
            ExecuteError::Claimed => {
                Self::new(StatusCode::CONFLICT, "taken", "the address has an account already")
            }
            ExecuteError::Spent => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "allowance_spent",
                "today's replies are used up: more may be asked for tomorrow (UTC)",
            ),
            ExecuteError::Busy => Self::busy("too many requests are waiting; nothing was done"),
            ExecuteError::Unavailable => Self::busy(
                "the log cannot be reached; whether this was done, a retry with the same \
                 Idempotency-Key will tell",
            ),
            ExecuteError::Failed(error) if is_by_old_keys(&*error) => Self::old_keys(OLD_KEYS),
            ExecuteError::Failed(error) => Self::failed(chain(&*error)),
        }
    }
}

impl From<std::convert::Infallible> for Problem {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl From<OfferError> for Problem {
    fn from(error: OfferError) -> Self {
        let field = match error {
            OfferError::Exists => {
                return Self::new(StatusCode::CONFLICT, "exists", error.to_string());
            }
            OfferError::Unknown => return Self::not_found(),
            OfferError::Moved => return Self::moved(error),
            OfferError::Name => "name",
            OfferError::Price => "amount_minor",
            OfferError::Credits => "credits",
            OfferError::Lasts => "lasts_days",
        };
        Self::field(field, error.to_string())
    }
}

impl From<PurchaseError> for Problem {
    fn from(error: PurchaseError) -> Self {
        match error {
            PurchaseError::Unknown => Self::not_found(),
            PurchaseError::Exists
            | PurchaseError::CheckoutOpened
            | PurchaseError::PaidAlready
            | PurchaseError::NotPaid
            | PurchaseError::NotQuarantined
            | PurchaseError::Disputed
            | PurchaseError::GivenBack
            | PurchaseError::ReversalMoved
            | PurchaseError::ReversalOutOfRange => {
                Self::new(StatusCode::CONFLICT, "not_possible_now", error.to_string())
            }
        }
    }
}

impl From<SubscriptionError> for Problem {
    fn from(error: SubscriptionError) -> Self {
        match error {
            SubscriptionError::Unknown => Self::not_found(),
            SubscriptionError::Exists
            | SubscriptionError::CheckoutOpened
            | SubscriptionError::OtherAtStripe
            | SubscriptionError::NotBegun
            | SubscriptionError::Moved
            | SubscriptionError::NotPaid
            | SubscriptionError::ReversalOutOfRange
            | SubscriptionError::QuotaOutOfRange => {
                Self::new(StatusCode::CONFLICT, "not_possible_now", error.to_string())
            }
        }
    }
}

impl From<RechargeError> for Problem {
    fn from(error: RechargeError) -> Self {
        match error {
            RechargeError::Threshold => Self::field("threshold", error.to_string()),
            RechargeError::Cap => Self::field("monthly_cap_minor", error.to_string()),
            RechargeError::Unknown => Self::not_found(),
            RechargeError::Off
            | RechargeError::InFlight
            | RechargeError::Dearer
            | RechargeError::TooSoon
            | RechargeError::Enough
            | RechargeError::NothingSpent
            | RechargeError::OverCap => {
                Self::new(StatusCode::CONFLICT, "not_possible_now", error.to_string())
            }
        }
    }
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        match error {
            UserError::AlreadyRegistered => {
                Self::new(StatusCode::CONFLICT, "taken", error.to_string())
            }
            UserError::NotRegistered | UserError::UnknownIdentity => Self::not_found(),
            UserError::NotActive => {
                Self::new(StatusCode::FORBIDDEN, "not_active", error.to_string())
            }
            UserError::AlreadyVerified => {
                Self::new(StatusCode::CONFLICT, "already_verified", error.to_string())
            }
            UserError::WayInChanged => Self::unauthorized(error.to_string()),
            UserError::Barred => Self::new(StatusCode::FORBIDDEN, "barred", error.to_string()),
            UserError::NoWayBack => {
                Self::new(StatusCode::CONFLICT, "no_way_back", error.to_string())
            }
            UserError::LastWayIn => {
                Self::new(StatusCode::CONFLICT, "last_way_in", error.to_string())
            }
            UserError::TooManyKeys => {
                Self::new(StatusCode::CONFLICT, "too_many_keys", error.to_string())
            }
            UserError::ProfileMoved => Self::moved(error),
        }
    }
}

impl From<ChatError> for Problem {
    fn from(error: ChatError) -> Self {
        let code = match error {
            ChatError::NotFound | ChatError::Deleted | ChatError::Taken => {
                return Self::not_found();
            }
            ChatError::TooManyWaiting => "too_many_waiting",
            ChatError::Full => "chat_full",
            ChatError::NotWaiting | ChatError::ItsTurn => "not_waiting",
            ChatError::NotRetriable => "not_retriable",
        };
        Self::new(StatusCode::CONFLICT, code, error.to_string())
    }
}

impl From<WalletError> for Problem {
    fn from(error: WalletError) -> Self {
        use WalletError as E;
        let detail = error.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        match error {
            E::InsufficientCredits { .. }
            | E::InDebt { .. }
            | E::Frozen { .. }
            | E::OverSpendLimit { .. } => payment_required(detail, &error),
            E::NotOpen | E::UnknownGrant => Self::not_found(),
            E::HoldNotOpen => conflict("hold_not_open"),
            E::OfAnother => Self::new(StatusCode::FORBIDDEN, "not_yours", detail),
            E::HoldIdTaken | E::AlreadyOpen => conflict("taken"),
            E::HoldNotDue | E::GrantNotDue => conflict("not_due"),
            E::AlreadyLateCaptured => conflict("already_captured"),
            E::NothingAsked
            | E::MoreThanHeld { .. }
            | E::MoreThanDebited { .. }
            | E::MoreThanOwed { .. }
            | E::Amount(_) => Self::field("amount", detail),
            E::ExpiryPast | E::HoldExpiryPast => Self::field("expires_at", detail),
            E::ReversalOutOfRange => Self::field("reversed", detail),
        }
    }
}

/// 402, with what is missing and why.
fn payment_required(detail: String, error: &WalletError) -> Problem {
    let problem = Problem::new(StatusCode::PAYMENT_REQUIRED, "insufficient_credits", detail);
    let problem = match error {
        WalletError::InDebt { debt, .. } => problem.with("debt", debt.get()),
        WalletError::OverSpendLimit { limit, spent, .. } => {
            problem.with("limit", limit.get()).with("spent", spent.get())
        }
        _ => problem,
    };
    let Some(decline) = error.decline() else { return problem };
    problem
        .with("required", decline.required.get())
        .with("available", decline.available.get())
        .with("held", decline.held.get())
        .with("reason", decline.reason)
}

/// Whether the database refused what was made with a key that was retired.
fn is_by_old_keys(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let shared = error.downcast_ref::<std::sync::Arc<sqlx::Error>>().map(AsRef::as_ref);
        shared.or(error.downcast_ref::<sqlx::Error>()).is_some_and(retired::is_refused)
    })
}

/// An error and all that caused it, in one line.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
