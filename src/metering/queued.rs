//! Calls that nobody waits for: queued with their hold, and made by whichever process takes them.
//!
//! A call's row is written with the hold, and goes with the capture or keeps why it failed with the release:
//! as long as it has a text, the call has not ended. Whoever takes it from a process that died asks the provider
//! again, and the log charges once.

use std::str::FromStr;

use aggregates::id::{ApiKeyId, HoldId, UserId};
use aggregates::wallet::Price;
use axum::http::StatusCode;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use uuid::Uuid;

use super::analyses::find;
use super::entries::{Entry, State, entry};
use super::fixed::{Order, capture_held, complete};
use super::payer::Payer;
use super::ticket::{self, Opened, Ticket, Wanted};
use crate::app::App;
use crate::clients::llm::Task;
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::{Job, MAKE_CALL};
use crate::store::{CodecError, Metadata, SideRow, place};

/// How often a call is begun: what ends the process that makes it does not end them all.
const TRIES: i32 = 3;

/// Why a call that waited has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The provider failed.
    ProviderFailed,
    /// The provider refuses the text.
    ProviderRefused,
    /// It waited longer than its credits were held.
    Expired,
    /// The processes that made it died, again and again.
    Interrupted,
    /// Its text cannot be read any more.
    Unreadable,
    /// Whoever looks after the house has decided that it is not made.
    GivenUp,
}

/// What came of asking for a call.
pub struct Queued {
    /// The call.
    pub entry: Entry,
    /// Where the log has its hold; of one that is done, its capture.
    pub position: i64,
    /// Whether it was asked for before.
    pub replayed: bool,
}

/// A call that waits.
#[derive(sqlx::FromRow)]
struct Waiting {
    user_id: Uuid,
    intent: Uuid,
    feature: String,
    key_id: Option<Uuid>,
    metadata: Json<Metadata>,
    sealed: String,
    begun: i32,
}

/// Holds the price, and has the call made; or tells how far it is, where it was asked for before.
pub async fn queue(app: &App, order: Order) -> Result<Queued> {
    let Order { payer, task, text } = order;
    let user = payer.user;
    if payer.may_repeat
        && let Some(queued) = asked(app, &payer).await?
    {
        return Ok(queued);
    }
    let amount = app.models.fixed(task).ok_or_else(|| Problem::failed("the call has no price"))?;
    let price = Price::Fixed { credits: amount, version: app.models.version().to_owned() };
    let wanted = Wanted { amount, least: amount, price, reason: task.name(), once: true };
    let asker = payer.clone();
    let sealed = app.store.codec().seal_value(user, &place_of(payer.intent), &text).await;
    let (sealed, created_at) = (sealed.map_err(Problem::failed)?, clock::now());
    let (intent, key_id, metadata) = (payer.intent, payer.key, payer.metadata.clone());
    let rows = |hold: HoldId| {
        let call = SideRow::QueuedCall {
            call_id: hold.0,
            user_id: user,
            intent,
            feature: task.name().to_owned(),
            key_id,
            metadata: metadata.clone(),
            sealed: sealed.clone(),
            created_at,
        };
        vec![call, Job::unordered(MAKE_CALL, &hold.0.to_string()).row()]
    };
    let opened = ticket::open_with(app, payer, wanted, app.settings.queued_hold, rows).await?;
    match opened {
        Opened::Now(ticket) => {
            let (id, feature) = (ticket.hold().id().0, task.name().to_owned());
            let entry = Entry { id, feature, created_at, state: State::Queued };
            Ok(Queued { entry, position: ticket.position, replayed: false })
        }
        // It was asked for by another request with the same key, and has failed meanwhile.
        Opened::Over => asked(app, &asker).await?.ok_or_else(failed_long_ago),
        Opened::Before(hold, outcome) => {
            let record = find(app, user, hold.0).await?;
            let record = record.ok_or_else(|| Problem::failed("a captured call has no result"))?;
            Ok(Queued { entry: record.into(), position: outcome.position, replayed: true })
        }
    }
}

/// The call that a request has asked for, where it waits or has failed.
async fn asked(app: &App, payer: &Payer) -> Result<Option<Queued>> {
    let id = sqlx::query_scalar("select call_id from queued_calls where intent = $1");
    let Some(id) = id.bind(payer.intent).fetch_optional(app.db()).await? else { return Ok(None) };
    let Some(hold) = payer.known(app, HoldId(id), "authorize").await? else { return Ok(None) };
    let entry = entry(app, payer.user, id).await?;
    Ok(entry.map(|entry| Queued { entry, position: hold.position, replayed: true }))
}

/// Makes a call that waits, if it still does. An error is none of the call's: it is to be tried again.
pub async fn make(app: &App, call: Uuid) -> Result<()> {
    let Some(waiting) = begin(app, call).await? else { return Ok(()) };
    let tried = try_once(app, call, waiting).await;
    if tried.is_err() {
        // That is not the call's fault.
        unbegin(app, call).await?;
    }
    tried
}

async fn try_once(app: &App, call: Uuid, waiting: Waiting) -> Result<()> {
    let task = Task::named(&waiting.feature);
    let task = task.ok_or_else(|| Problem::failed("a call of an unknown kind waits"))?;
    let Some(ticket) = ticket::resume(app, waiting.payer(), HoldId(call)).await? else {
        return give_up(app, call, Failure::Expired).await;
    };
    let Some(text) = waiting.text(app).await? else {
        return fail(app, ticket, Failure::Unreadable).await;
    };
    if waiting.begun > TRIES {
        return fail(app, ticket, Failure::Interrupted).await;
    }
    match complete(app, &ticket, task, &text).await {
        Ok(completion) => {
            let made = SideRow::MadeCall { call_id: call };
            if capture_held(app, ticket, task, completion, made).await? {
                return Ok(());
            }
            // Whoever asked may have been told so by another process: nothing is charged late.
            give_up(app, call, Failure::Expired).await
        }
        Err(problem) => match Failure::of(&problem) {
            Some(failure) => fail(app, ticket, failure).await,
            None => Err(problem),
        },
    }
}

/// Ends a call that waits, if it still does, and gives its credits back: nobody is to make it any more.
pub async fn abandon(app: &App, call: Uuid) -> Result<()> {
    let waiting = sqlx::query_as(
        "select user_id, intent, feature, key_id, metadata, sealed, begun
         from queued_calls where call_id = $1 and sealed is not null",
    );
    let waiting: Option<Waiting> = waiting.bind(call).fetch_optional(app.db()).await?;
    let Some(waiting) = waiting else { return Ok(()) };
    match ticket::resume(app, waiting.payer(), HoldId(call)).await? {
        Some(ticket) => fail(app, ticket, Failure::GivenUp).await,
        None => give_up(app, call, Failure::Expired).await,
    }
}

/// Takes back that the call was begun.
async fn unbegin(app: &App, call: Uuid) -> Result<()> {
    let unbegin = "update queued_calls set begun = begun - 1 where call_id = $1";
    sqlx::query(unbegin).bind(call).execute(app.db()).await?;
    Ok(())
}

/// The call, counted as begun once more; none where it has ended.
async fn begin(app: &App, call: Uuid) -> Result<Option<Waiting>> {
    let waiting = sqlx::query_as(
        "update queued_calls set begun = begun + 1
         where call_id = $1 and sealed is not null
         returning user_id, intent, feature, key_id, metadata, sealed, begun",
    );
    Ok(waiting.bind(call).fetch_optional(app.db()).await?)
}

/// Gives the credits back, and says why.
async fn fail(app: &App, ticket: Ticket, failure: Failure) -> Result<()> {
    let call = ticket.hold().id().0;
    let row = SideRow::FailedCall { call_id: call, failure: failure.code() };
    if ticket.release_with(app, "the call failed", &[row]).await? {
        return Ok(());
    }
    give_up(app, call, failure).await
}

/// Says why a call failed whose credits were given back; one that has ended otherwise is here no more.
async fn give_up(app: &App, call: Uuid, failure: Failure) -> Result<()> {
    sqlx::query(
        "update queued_calls set failure = $2, sealed = null
         where call_id = $1 and sealed is not null",
    )
    .bind(call)
    .bind(failure.code())
    .execute(app.db())
    .await?;
    Ok(())
}

/// What is told of a call that has failed, and is shown no more.
fn failed_long_ago() -> Problem {
    let detail =
        "the first request with this Idempotency-Key failed, and cost nothing: use a new key";
    Problem::new(StatusCode::CONFLICT, "not_kept", detail)
}

/// What a waiting text is bound to.
fn place_of(intent: Uuid) -> String {
    place("queued_call", &intent.to_string(), 1)
}

impl Waiting {
    /// The text; none, where it cannot be read, however often that is tried.
    async fn text(&self, app: &App) -> Result<Option<String>> {
        let (user, place) = (UserId(self.user_id), place_of(self.intent));
        match app.store.codec().open_value(user, &place, &self.sealed).await {
            Ok(text) => Ok(text),
            Err(error @ (CodecError::Database(_) | CodecError::Randomness)) => {
                Err(Problem::failed(error))
            }
            Err(error) => {
                tracing::error!(error = %error, "the text of a call that waits cannot be read");
                Ok(None)
            }
        }
    }

    fn payer(&self) -> Payer {
        Payer {
            user: UserId(self.user_id),
            key: self.key_id.map(ApiKeyId),
            metadata: self.metadata.0.clone(),
            intent: self.intent,
            may_repeat: false,
        }
    }
}

impl Failure {
    /// A word that programs may rely on.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ProviderFailed => "provider_failed",
            Self::ProviderRefused => "provider_refused",
            Self::Expired => "expired",
            Self::Interrupted => "interrupted",
            Self::Unreadable => "unreadable",
            Self::GivenUp => "given_up",
        }
    }

    /// What happened, and what to do.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::ProviderFailed => "the AI provider failed; nothing was charged: ask again",
            Self::ProviderRefused => "the AI provider refuses this text; nothing was charged",
            Self::Expired => "the call waited for too long; nothing was charged: ask again",
            Self::Interrupted => {
                "the call could not be made to its end; nothing was charged: ask again"
            }
            Self::Unreadable => {
                "the text of the call can be read no more; nothing was charged: ask again"
            }
            Self::GivenUp => "the call is not made any more; nothing was charged",
        }
    }

    /// The call's own failure; none where something of ours has failed, which may do better next time.
    fn of(problem: &Problem) -> Option<Self> {
        problem.code.parse().ok()
    }
}

impl FromStr for Failure {
    type Err = serde::de::value::Error;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        Self::deserialize(code.into_deserializer())
    }
}
