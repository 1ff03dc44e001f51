//! Calls that are metered: an estimate is held, more as the answer flows, and what was delivered is
//! captured.

use aggregates::credits::Credits;
use aggregates::wallet::{Price, Usage, WalletError};
use axum::http::StatusCode;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::analyses::{Delivery, Record, find, seal};
use super::broken::Broken;
use super::charged::Charged;
use super::payer::Payer;
use super::ticket::{self, More, Opened, Ticket, Wanted};
use super::tokens;
use crate::app::App;
use crate::clients::llm::{Answering, Finish, Piece, ProviderError, Request, Tokens};
use crate::clock;
use crate::error::{Problem, Result};
use crate::models::{Model, TokenCount};
use crate::store::ExecuteError;

/// Tokens of an answer that are held for at a time.
const SLICE: u64 = 256;
/// How far ahead of what was written is held for: more than comes between two looks.
const AHEAD: u64 = 64;

/// A conversation that somebody wants to have continued, and pays for.
pub struct Conversation {
    /// Who pays.
    pub payer: Payer,
    /// What for, as the history says.
    pub feature: &'static str,
    /// Who is to answer.
    pub model: Model,
    /// What was said, and how it is to be answered.
    pub request: Request,
}

/// What came of asking.
pub enum Begun {
    /// The answer flows.
    Now(Box<Talk>),
    /// It was given, and charged, before: what was kept of it.
    Before(Box<Charged>, Value),
    /// Nobody wants it any more. Nothing was charged.
    Left,
}

/// Why an answer is at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// It was said.
    Stop,
    /// It was as long as it may be.
    Length,
    /// The provider does not go on for what is said.
    Filtered,
    /// The wallet has no more.
    Credits,
}

impl From<Finish> for End {
    fn from(finish: Finish) -> Self {
        match finish {
            Finish::Stop => Self::Stop,
            Finish::Length => Self::Length,
            Finish::Filtered => Self::Filtered,
        }
    }
}

/// What comes next of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// More text.
    Text(String),
    /// Nothing: it is at its end.
    Ended(End),
}

/// An answer under way, and the credits that are held for it. Who does not end it leaves it to the hold's
/// expiry.
pub struct Talk {
    app: App,
    ticket: Ticket,
    answering: Answering,
    model: Model,
    /// Tokens that are to be read, about.
    input: u64,
    /// Tokens written so far, about.
    written: u64,
    /// Tokens of the answer that are held for.
    covered: u64,
    /// Text that has come, and was not told.
    unsaid: Option<String>,
    /// What the provider has said.
    said: Tokens,
    /// Whether the wallet has said that there is no more.
    exhausted: bool,
    /// Whether the log does not take that more is held.
    unheld: bool,
    end: Option<End>,
    feature: &'static str,
}

impl Talk {
    /// Holds an estimate, and asks, until the first text is there, or until it is left. An error has
    /// released what was held.
    pub async fn begin(
        app: &App,
        conversation: Conversation,
        left: impl Future<Output = ()>,
    ) -> Result<Begun> {
        let Conversation { payer, feature, model, request } = conversation;
        let input = tokens::of_all(&request.messages).await;
        let covered = SLICE.min(request.max_output_tokens.into());
        let cost = |output| model.rates.cost(TokenCount { input: tokens::at_most(input), output });
        let price = Price::Metered { version: app.models.version().to_owned() };
        let (amount, least) = (cost(covered), cost(1));
        let wanted = Wanted { amount, least, price, reason: feature, once: false };
        let user = payer.user;
        let ticket = match ticket::open(app, payer, wanted).await? {
            Opened::Now(ticket) => ticket,
            Opened::Over => return Err(Problem::failed("a call that may be made again was not")),
            Opened::Before(hold, outcome) => {
                let record = find(app, user, hold.0).await?.ok_or_else(not_kept)?;
                let charged = Charged::of(hold.0, &outcome);
                return Ok(Begun::Before(Box::new(charged), record.delivery.result));
            }
        };
        // Where the wallet had less, it is looked at again with the first text.
        let covered = if ticket.authorized < cost(covered) { 0 } else { covered };
        let answering = app.llm.answer(ticket.hold(), &model.routes, &request);
        let answering = tokio::select! {
            answering = ticket.kept_until(app, answering) => answering,
            () = left => {
                ticket.release(app, "nobody wants the answer any more").await?;
                return Ok(Begun::Left);
            }
        };
        match answering {
            Ok(answering) => Ok(Begun::Now(Box::new(Self {
                app: app.clone(),
                ticket,
                answering,
                model,
                input,
                written: 0,
                covered,
                unsaid: None,
                said: Tokens::default(),
                exhausted: false,
                unheld: false,
                end: None,
                feature,
            }))),
            Err(error) => {
                ticket.release(app, "the call failed").await?;
                Err(Broken::from(error).problem())
            }
        }
    }

    /// The call's id: that of its hold.
    #[must_use]
    pub fn id(&self) -> Uuid {
        self.ticket.hold().id().0
    }

    /// Whether the same request may be asked again, for the same answer.
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        self.ticket.payer.may_repeat
    }

    /// Whether any text has come.
    #[must_use]
    pub fn has_text(&self) -> bool {
        self.written > 0
    }

    /// Whether anything is known to have been used.
    #[must_use]
    pub fn has_cost(&self) -> bool {
        self.has_text() || self.said != Tokens::default()
    }

    /// Nobody wants more of it. A provider that charges on is read to its end, so that the bill is right, or until
    /// it is `late`; one that does not is left.
    pub async fn leave(&mut self, late: impl Future<Output = ()>) {
        if self.answering.stops_when_left {
            return;
        }
        let rest = async { while let Ok(Next::Text(_)) = self.next().await {} };
        tokio::select! {
            () = rest => {}
            () = late => {}
        }
    }

    /// What comes next. It may be dropped while it waits, and asked again: nothing is lost. While it waits,
    /// the hold is kept open.
    pub async fn next(&mut self) -> Result<Next, Broken> {
        loop {
            if self.unsaid.is_none() {
                if self.unheld {
                    return Err(Broken::Unheld);
                }
                if let Some(end) = self.end {
                    return Ok(Next::Ended(end));
                }
            } else {
                self.cover().await;
                if let Some(text) = self.unsaid.take() {
                    return Ok(Next::Text(text));
                }
            }
            self.ticket.keep(&self.app).await;
            let piece = self.answering.answer.next();
            let piece = self.ticket.kept_until(&self.app, piece).await;
            match piece.unwrap_or(Err(ProviderError::CutShort))? {
                Piece::Usage(tokens) => self.said = self.said.then(tokens),
                Piece::Finished(finish) => self.end = Some(finish.into()),
                Piece::Text(text) => {
                    self.written += tokens::of(&text);
                    self.unsaid = Some(text);
                }
            }
        }
    }

    /// Holds for more of the answer, where what is held for comes to its end. When the wallet has no
    /// more, the answer ends; when the log does not take it, the answer fails.
    async fn cover(&mut self) {
        let written = self.written.max(self.said.output.unwrap_or(0));
        if written + AHEAD <= self.covered {
            return;
        }
        let covered = written + AHEAD + SLICE;
        let cost = self.cost(covered);
        let held = self.hold(cost).await;
        if cost <= self.ticket.authorized {
            self.covered = covered;
        } else if self.cost(written + 1) > self.ticket.authorized {
            match held {
                Ok(()) => self.end = Some(End::Credits),
                Err(_) => self.unheld = true,
            }
        }
    }

    /// What the call costs with so much of an answer.
    fn cost(&self, output: u64) -> Credits {
        let input = self.said.input.unwrap_or_else(|| tokens::at_most(self.input));
        self.model.rates.cost(TokenCount { input, output })
    }

    /// Has `cost` held in all, or as much of it as there is.
    async fn hold(&mut self, cost: Credits) -> Result<(), ExecuteError<WalletError>> {
        let mut missing = cost.saturating_sub(self.ticket.authorized);
        while !missing.is_zero() && !self.exhausted {
            match self.ticket.increment(&self.app, missing).await {
                Ok(More::Held) => return Ok(()),
                Ok(More::Refused { left }) => {
                    self.exhausted = left.is_zero() || left >= missing;
                    missing = left;
                }
                Err(error) => {
                    tracing::warn!(error = %error, "credits for an answer could not be held");
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// What was delivered so far. What the provider said counts; where it has not said, or has not come to
    /// its end, our estimate does, and more than it.
    fn counted(&self) -> (TokenCount, bool) {
        let has_ended = matches!(self.end, Some(End::Stop | End::Length | End::Filtered));
        if has_ended && let Some(said) = TokenCount::said(self.said) {
            return (said, false);
        }
        let input = self.said.input.unwrap_or(self.input);
        let output = match self.said.output {
            Some(said) if has_ended => said,
            said => self.written.max(said.unwrap_or(0)),
        };
        (TokenCount { input, output }, true)
    }

    /// Charges what was delivered. `kept` is kept of it for a repeat under the same key.
    pub async fn charge(mut self, kept: Option<Value>) -> Result<Charged> {
        self.ticket.delivered();
        let (counted, estimated) = self.counted();
        let cost = self.model.rates.cost(counted);
        // What is not held is not charged, for whichever reason.
        let _ = self.hold(cost).await;
        let amount = cost.min(self.ticket.authorized);
        let Self { app, ticket, answering, feature, .. } = self;
        let usage = Usage {
            model: answering.model.clone(),
            input_tokens: Some(counted.input),
            output_tokens: Some(counted.output),
            prices: ticket.prices.clone(),
            estimated,
        };
        let (id, user) = (ticket.hold().id().0, ticket.payer.user);
        let mut side = vec![];
        if let Some(result) = kept {
            let delivery = Delivery {
                result,
                model: answering.model.clone(),
                input_tokens: Some(counted.input),
                output_tokens: Some(counted.output),
            };
            let (feature, credits) = (feature.to_owned(), amount.get());
            let record = Record { id, feature, credits, delivery, created_at: clock::now() };
            side.push(seal(&app, user, &record).await?);
        }
        // The provider is left before the log is waited for.
        drop(answering.answer);
        let (outcome, took) = ticket.capture(&app, amount, usage, &side).await?;
        ticket::count(&app, feature, &outcome);
        let model = answering.model;
        Ok(Charged { model, counted, estimated, took: Some(took), ..Charged::of(id, &outcome) })
    }

    /// Charges nothing.
    pub async fn release(self, reason: &str) -> Result<()> {
        let Self { app, ticket, answering, .. } = self;
        drop(answering.answer);
        ticket.release(&app, reason).await
    }
}

fn not_kept() -> Problem {
    Problem::new(
        StatusCode::CONFLICT,
        "not_kept",
        "the first request with this Idempotency-Key was not answered to its end, and charged for what was: \
         use a new key",
    )
}
