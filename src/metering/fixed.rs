//! Calls of a fixed price: held, captured on a valid result, released on any failure.

use std::panic::AssertUnwindSafe;

use aggregates::credits::Credits;
use aggregates::wallet::{Price, Usage, Wallet};
use futures_util::{FutureExt, TryStreamExt};
use serde_json::Value;

use super::analyses::{Delivery, Record, find, seal};
use super::broken::Broken;
use super::payer::Payer;
use super::ticket::{self, Opened, Ticket, Wanted};
use super::timing::Took;
use super::{access, tasks};
use crate::app::App;
use crate::clients::llm::{Finish, Piece, ProviderError, Task, Tokens};
use crate::clock;
use crate::detach::DetachOnDrop;
use crate::error::{Problem, Result};
use crate::store::{Outcome, SideRow};

/// A call that somebody wants to pay for.
pub struct Order {
    /// Who pays.
    pub payer: Payer,
    /// What is to be done.
    pub task: Task,
    /// With which text.
    pub text: String,
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
    /// Where its time went; none, where that was an earlier request's.
    pub took: Option<Took>,
}

/// What a provider delivered.
pub(super) struct Completion {
    result: Value,
    model: String,
    tokens: Tokens,
}

/// Holds, calls, captures; or answers as the first time. A client that hangs up does not stop the call.
pub async fn call(app: App, order: Order) -> Result<Delivered> {
    DetachOnDrop::new(async move { run(&app, order).await }).await
}

async fn run(app: &App, Order { payer, task, text }: Order) -> Result<Delivered> {
    let amount = app.models.fixed(task).ok_or_else(|| Problem::failed("the call has no price"))?;
    let price = Price::Fixed { credits: amount, version: app.models.version().to_owned() };
    let user = payer.user;
    let wanted = Wanted { amount, least: amount, price, reason: task.name(), once: false };
    let ticket = match ticket::open(app, payer, wanted).await? {
        Opened::Now(ticket) => ticket,
        Opened::Over => return Err(Problem::failed("a call that may be made again was not")),
        Opened::Before(hold, outcome) => {
            let record = find(app, user, hold.0).await?;
            let record = record.ok_or_else(|| Problem::failed("a captured call has no result"))?;
            return Ok(delivered(record, &outcome, None));
        }
    };
    match complete(app, &ticket, task, &text).await {
        Ok(completion) => capture(app, ticket, task, completion).await,
        Err(problem) => {
            ticket.release(app, "the call failed").await?;
            Err(problem)
        }
    }
}

/// As [`ask`]; a panic is a failure.
pub(super) async fn complete(
    app: &App,
    ticket: &Ticket,
    task: Task,
    text: &str,
) -> Result<Completion> {
    let called = AssertUnwindSafe(ask(app, ticket, task, text)).catch_unwind().await;
    called.unwrap_or_else(|_| Err(Problem::failed("the provider's client panicked")))
}

/// What the model of the payer's tier says, where it is a valid result.
async fn ask(app: &App, ticket: &Ticket, task: Task, text: &str) -> Result<Completion> {
    let tier = access::tier(app, ticket.payer.user).await?;
    let (model, request) = (app.models.usual(tier), tasks::request(task, text));
    let failed = |error: ProviderError| Broken::from(error).problem();
    let answering = app.llm.answer(ticket.hold(), &model.routes, &request);
    let mut answering = ticket.kept_until(app, answering).await.map_err(failed)?;
    let (mut said, mut tokens) = (String::new(), Tokens::default());
    loop {
        let piece = ticket.kept_until(app, answering.answer.try_next()).await;
        match piece.map_err(failed)? {
            Some(Piece::Text(more)) if said.len() + more.len() <= tasks::LONGEST_TEXT => {
                said.push_str(&more);
            }
            Some(Piece::Usage(used)) => tokens = tokens.then(used),
            Some(Piece::Finished(Finish::Stop)) => break,
            Some(Piece::Finished(Finish::Filtered)) => return Err(failed(ProviderError::Refused)),
            // Who writes on and on is not read any more: nothing else would end it.
            Some(Piece::Text(_) | Piece::Finished(Finish::Length)) => {
                return Err(failed(ProviderError::Invalid));
            }
            None => return Err(failed(ProviderError::CutShort)),
        }
    }
    let result = tasks::result(task, text, &said).map_err(failed)?;
    Ok(Completion { result, model: answering.model, tokens })
}

/// Captures the price; the result is written in the same unit.
async fn capture(
    app: &App,
    mut ticket: Ticket,
    task: Task,
    completion: Completion,
) -> Result<Delivered> {
    ticket.delivered();
    let (record, usage) = bill(&ticket, task, completion);
    let (amount, side) = (ticket.authorized, [seal(app, ticket.payer.user, &record).await?]);
    let (outcome, took) = ticket.capture(app, amount, usage, &side).await?;
    ticket::count(app, task.name(), &outcome);
    Ok(delivered(record, &outcome, Some(took)))
}

/// The same while the hold is open, with another row. No, where it is open no more: then nothing is charged,
/// and nothing is written.
pub(super) async fn capture_held(
    app: &App,
    mut ticket: Ticket,
    task: Task,
    completion: Completion,
    with: SideRow,
) -> Result<bool> {
    ticket.delivered();
    let (record, usage) = bill(&ticket, task, completion);
    let (amount, side) = (ticket.authorized, [seal(app, ticket.payer.user, &record).await?, with]);
    let captured = ticket.capture_held(app, amount, usage, &side).await?;
    if let Some(outcome) = &captured {
        ticket::count(app, task.name(), outcome);
    }
    Ok(captured.is_some())
}

/// What a call delivered at its full price, and what it used.
fn bill(
    ticket: &Ticket,
    task: Task,
    Completion { result, model, tokens }: Completion,
) -> (Record, Usage) {
    let usage = Usage {
        model: model.clone(),
        input_tokens: tokens.input,
        output_tokens: tokens.output,
        prices: ticket.prices.clone(),
        estimated: false,
    };
    let (input_tokens, output_tokens) = (tokens.input, tokens.output);
    let record = Record {
        id: ticket.hold().id().0,
        feature: task.name().to_owned(),
        credits: ticket.authorized.get(),
        delivery: Delivery { result, model, input_tokens, output_tokens },
        created_at: clock::now(),
    };
    (record, usage)
}

fn delivered(mut record: Record, outcome: &Outcome<Wallet>, took: Option<Took>) -> Delivered {
    record.credits = ticket::charged(outcome).get();
    Delivered {
        record,
        remaining: ticket::remaining(outcome),
        position: outcome.position,
        replayed: outcome.replayed,
        took,
    }
}
