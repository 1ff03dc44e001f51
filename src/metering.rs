//! One meter: an AI call holds its price, is captured on a valid result and released on failure.
//!
//! The call runs in a task of its own: a client that hangs up neither loses credits nor gets work
//! for free. A process that dies between hold and capture leaves the hold to its expiry.

use std::panic::AssertUnwindSafe;

use aggregates::credits::Credits;
use aggregates::id::{ApiKeyId, CommandId, HoldId, UserId, WalletId};
use aggregates::wallet::{
    Ask, By, OpenHold, Origin, Price, Spend, Usage, Wallet, WalletCommand, WalletError, WalletEvent,
};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{FutureExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use crate::app::App;
use crate::clients::llm::{Message, Piece, ProviderError, Request, Role, Route, Task, Tokens};
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::{Envelope, ExecuteError, Metadata, Outcome, SideRow, place, seal_with};

/// The version of the price list below; it stands in the events.
const PRICES: &str = "2026-11";
/// How long a call may hold its price: longer than the provider's whole retry ladder.
const HOLD: TimeDelta = TimeDelta::minutes(10);
/// How often one idempotency key may be tried again after failed calls.
const TRIES: u32 = 100;

/// What a call costs.
fn price(task: Task) -> Credits {
    match task {
        Task::Chat | Task::Summarize => Credits::new(10),
        Task::Analyze => Credits::new(25),
    }
}

/// A call that somebody wants to pay for.
pub struct Order {
    /// Who pays.
    pub user: UserId,
    /// By which of their keys, where not in person.
    pub key: Option<ApiKeyId>,
    /// What is to be done.
    pub task: Task,
    /// With which text.
    pub text: String,
    /// Where the ids of the call derive from.
    pub intent: Uuid,
    /// Whether the intent may have been asked before.
    pub may_repeat: bool,
    /// What stands beside the events.
    pub metadata: Metadata,
}

impl Order {
    fn by(&self) -> By {
        By { origin: Origin::Gateway, key: self.key }
    }
}

/// What a call delivered.
#[derive(Clone, Debug)]
pub struct Record {
    /// The call's id: that of its hold.
    pub id: Uuid,
    /// Which kind of call.
    pub feature: String,
    /// What was charged.
    pub credits: i64,
    /// The result and its usage.
    pub delivery: Delivery,
    /// When it was charged.
    pub created_at: DateTime<Utc>,
}

/// The encrypted part of a [`Record`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    /// What the provider answered.
    pub result: Value,
    /// Which model answered.
    pub model: String,
    /// Tokens read, where the provider said.
    pub input_tokens: Option<u64>,
    /// Tokens written, where the provider said.
    pub output_tokens: Option<u64>,
}

/// A paid call's answer.
pub struct Delivered {
    /// What was delivered.
    pub record: Record,
    /// What the wallet has available after it.
    pub remaining: Credits,
    /// The position of the capture.
    pub position: i64,
    /// Whether this is the answer to an earlier request.
    pub replayed: bool,
}

/// A hold that pays for one call; only [`hold`] makes it, and the provider is reached with it.
struct Ticket {
    hold: OpenHold,
    order: Order,
}

/// What a provider delivered.
struct Completion {
    result: Value,
    model: String,
    tokens: Tokens,
}

/// Holds, calls, captures; or answers as the first time.
pub async fn call(app: App, order: Order) -> Result<Delivered> {
    #[expect(
        clippy::disallowed_methods,
        reason = "a client that hangs up must not stop the call; it ends with its provider's timeout"
    )]
    let task = tokio::spawn(async move {
        match hold(&app, order).await? {
            Held::Now(ticket) => ticket.redeem(&app).await,
            Held::Before(delivered) => Ok(*delivered),
        }
    });
    task.await.unwrap_or_else(|error| Err(Problem::failed(error)))
}

enum Held {
    Now(Ticket),
    Before(Box<Delivered>),
}

/// Holds the price, under the first id of the intent that no failed call has used.
async fn hold(app: &App, order: Order) -> Result<Held> {
    for attempt in 0..TRIES {
        let hold = HoldId::derive(order.intent, &format!("hold {attempt}"));
        if order.may_repeat
            && let Some(before) = captured_before(app, &order, hold).await?
        {
            return Ok(Held::Before(Box::new(before)));
        }
        let now = clock::now();
        let amount = price(order.task);
        let spend = Spend {
            by: order.by(),
            amount,
            price: Price::Fixed { credits: amount, version: PRICES.to_owned() },
            reason: order.task.name().to_owned(),
        };
        let ask = Ask::Authorize { hold, spend, expires_at: now + HOLD };
        match send(app, &order, command_id(hold, "authorize"), vec![], WalletCommand { now, ask })
            .await
        {
            Ok(outcome) if !outcome.replayed => {
                let hold = outcome.events.iter().find_map(WalletEvent::opens);
                let hold = hold.ok_or_else(|| Problem::failed("a hold did not open"))?;
                return Ok(Held::Now(Ticket { hold, order }));
            }
            // The key's earlier call failed and was released, or is still running.
            Ok(_) => {
                let wallet = app.store.load::<Wallet>(WalletId::from(order.user)).await?;
                if wallet.hold(hold).is_some() {
                    return Err(still_running());
                }
            }
            Err(ExecuteError::Refused(WalletError::HoldIdTaken)) => return Err(still_running()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::field("Idempotency-Key", "was used by too many failed calls: use a new key"))
}

/// The first answer of an intent, where its call was captured.
async fn captured_before(app: &App, order: &Order, hold: HoldId) -> Result<Option<Delivered>> {
    let envelope = Envelope::new(command_id(hold, "capture"), order.metadata.clone());
    let Some(outcome) = app.store.known::<Wallet>(WalletId::from(order.user), &envelope).await?
    else {
        return Ok(None);
    };
    let record = find(app, order.user, hold.0).await?;
    let record = record.ok_or_else(|| Problem::failed("a captured call has no result"))?;
    Ok(Some(delivered(record, &outcome)))
}

impl Ticket {
    /// Calls the provider, and captures on a valid result or releases.
    async fn redeem(self, app: &App) -> Result<Delivered> {
        let called = AssertUnwindSafe(self.ask(app)).catch_unwind().await;
        let problem = match called {
            Ok(Ok(completion)) => return self.capture(app, completion).await,
            Ok(Err(error)) => provider_failed(&error),
            Err(_) => Problem::failed("the provider's client panicked"),
        };
        self.release(app).await?;
        Err(problem)
    }

    async fn ask(&self, app: &App) -> Result<Completion, ProviderError> {
        let request = Request {
            task: self.order.task,
            messages: vec![Message { role: Role::User, text: self.order.text.clone() }],
            max_output_tokens: 1000,
            temperature: None,
            top_p: None,
            stop: vec![],
        };
        let routes = [Route { provider: "local".to_owned(), model: "local-1".to_owned() }];
        let mut answering = app.llm.answer(&self.hold, &routes, &request).await?;
        let (mut text, mut tokens) = (String::new(), Tokens::default());
        while let Some(piece) = answering.answer.try_next().await? {
            match piece {
                Piece::Text(more) => text.push_str(&more),
                Piece::Usage(used) => tokens = used,
                Piece::Finished(_) => break,
            }
        }
        let result = serde_json::from_str(&text).map_err(|_| ProviderError::Invalid)?;
        Ok(Completion { result, model: answering.model, tokens })
    }

    /// Captures the price; the result is written in the same unit.
    async fn capture(self, app: &App, completion: Completion) -> Result<Delivered> {
        let (order, hold, now) = (&self.order, self.hold.id(), clock::now());
        let amount = price(order.task);
        let usage = Usage {
            model: completion.model.clone(),
            input_tokens: completion.tokens.input,
            output_tokens: completion.tokens.output,
            prices: None,
            estimated: false,
        };
        let delivery = Delivery {
            result: completion.result,
            model: completion.model,
            input_tokens: completion.tokens.input,
            output_tokens: completion.tokens.output,
        };
        let feature = order.task.name().to_owned();
        let record =
            Record { id: hold.0, feature, credits: amount.get(), delivery, created_at: now };
        let row = seal(app, order.user, &record).await?;
        let ask = Ask::Capture { hold, by: order.by(), amount, last: true, usage: Some(usage) };
        let command = WalletCommand { now, ask };
        let outcome = send(app, order, command_id(hold, "capture"), vec![row], command).await?;
        app.wrote(order.user, outcome.position);
        Ok(delivered(record, &outcome))
    }

    async fn release(&self, app: &App) -> Result<()> {
        let (hold, now) = (self.hold.id(), clock::now());
        let ask = Ask::Release { hold, by: self.order.by(), reason: "the call failed".to_owned() };
        let command = WalletCommand { now, ask };
        let outcome = send(app, &self.order, command_id(hold, "release"), vec![], command).await?;
        app.wrote(self.order.user, outcome.position);
        Ok(())
    }
}

async fn send(
    app: &App,
    order: &Order,
    command_id: CommandId,
    side: Vec<SideRow>,
    command: WalletCommand,
) -> Result<Outcome<Wallet>, ExecuteError<WalletError>> {
    let mut envelope = Envelope::new(command_id, order.metadata.clone());
    envelope.side = side;
    app.store.execute::<Wallet>(WalletId::from(order.user), envelope, command).await
}

fn command_id(hold: HoldId, purpose: &str) -> CommandId {
    CommandId::derive(hold.0, purpose)
}

fn delivered(record: Record, outcome: &Outcome<Wallet>) -> Delivered {
    let remaining = outcome.events.iter().rev().find_map(WalletEvent::balance);
    Delivered {
        record,
        remaining: remaining.map(|balance| balance.available).unwrap_or_default(),
        position: outcome.position,
        replayed: outcome.replayed,
    }
}

fn still_running() -> Problem {
    let mut problem = Problem::new(
        StatusCode::CONFLICT,
        "still_running",
        "the first request with this Idempotency-Key is still running",
    );
    problem.retry_after = Some(1);
    problem
}

fn provider_failed(error: &ProviderError) -> Problem {
    let detail = "the AI provider failed; nothing was charged";
    let mut problem = match error {
        ProviderError::Refused => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "provider_refused",
            "the AI provider refuses this text; nothing was charged",
        ),
        ProviderError::Unavailable { .. }
        | ProviderError::Misconfigured(_)
        | ProviderError::Invalid
        | ProviderError::CutShort
        | ProviderError::TimedOut => {
            Problem::new(StatusCode::BAD_GATEWAY, "provider_failed", detail)
        }
    };
    problem.cause = Some(error.to_string());
    problem
}

/// The call's result as a row, encrypted with the person's key.
async fn seal(app: &App, user: UserId, record: &Record) -> Result<SideRow> {
    let key = app.store.codec().key(user).await.map_err(Problem::failed)?;
    let key = key.ok_or_else(|| Problem::failed("the person has no key"))?;
    let mut sealed = json!({ aggregates::pii::CLEAR: record.delivery });
    seal_with(&key, &place("analysis", &record.id.to_string(), 1), &mut sealed)
        .map_err(Problem::failed)?;
    Ok(SideRow::Analysis {
        analysis_id: record.id,
        user_id: user,
        feature: record.feature.clone(),
        credits: record.credits,
        sealed: sealed.to_string(),
        created_at: record.created_at,
    })
}

/// The person's calls, newest first, from before `cursor`.
pub async fn list(
    app: &App,
    user: UserId,
    cursor: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Record>> {
    let rows = sqlx::query(
        "select analysis_id, feature, credits, sealed, created_at from analyses
         where user_id = $1
           and ($2::uuid is null
                or (created_at, analysis_id)
                    < (select created_at, analysis_id from analyses where analysis_id = $2 and user_id = $1))
         order by created_at desc, analysis_id desc
         limit $3",
    )
    .bind(user.0)
    .bind(cursor)
    .bind(limit)
    .fetch_all(app.db())
    .await?;
    let mut records = Vec::with_capacity(rows.len());
    for row in rows {
        records.push(open(app, user, &row).await?);
    }
    Ok(records)
}

/// One of the person's calls.
pub async fn find(app: &App, user: UserId, id: Uuid) -> Result<Option<Record>> {
    let row = sqlx::query(
        "select analysis_id, feature, credits, sealed, created_at from analyses
         where user_id = $1 and analysis_id = $2",
    )
    .bind(user.0)
    .bind(id)
    .fetch_optional(app.db())
    .await?;
    match row {
        Some(row) => open(app, user, &row).await.map(Some),
        None => Ok(None),
    }
}

async fn open(app: &App, user: UserId, row: &sqlx::postgres::PgRow) -> Result<Record> {
    let id: Uuid = row.try_get("analysis_id")?;
    let mut sealed: Value =
        serde_json::from_str(row.try_get("sealed")?).map_err(Problem::failed)?;
    let place = place("analysis", &id.to_string(), 1);
    app.store.codec().open(user, &place, &mut sealed).await.map_err(Problem::failed)?;
    let delivery =
        sealed.get_mut(aggregates::pii::CLEAR).map(Value::take).ok_or_else(Problem::not_found)?;
    Ok(Record {
        id,
        feature: row.try_get("feature")?,
        credits: row.try_get("credits")?,
        delivery: serde_json::from_value(delivery).map_err(Problem::failed)?,
        created_at: row.try_get("created_at")?,
    })
}
