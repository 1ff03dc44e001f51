//! A hold that pays for one call: opened, kept, made larger, and ended once.

use std::time::Duration;

use aggregates::credits::Credits;
use aggregates::id::{CommandId, HoldId, UserId, WalletId};
use aggregates::wallet::{Ask, OpenHold, Price, Spend, Usage, Wallet, WalletError, WalletEvent};
use axum::http::StatusCode;
use chrono::{DateTime, TimeDelta, Utc};

use super::payer::Payer;
use super::timing::{Stopwatch, Took};
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::store::{ExecuteError, Outcome, SideRow};

/// How often one idempotency key may be tried again after failed calls.
const TRIES: u32 = 100;

/// A hold that pays for one call; only an authorisation makes it.
pub(super) struct Ticket {
    hold: OpenHold,
    pub(super) payer: Payer,
    pub(super) authorized: Credits,
    expires_at: DateTime<Utc>,
    /// How often it was made larger.
    increments: u32,
    watch: Stopwatch,
}

/// What came of asking for a hold.
pub(super) enum Opened {
    /// It is open.
    Now(Ticket),
    /// The call was made, and charged, before.
    Before(HoldId, Outcome<Wallet>),
}

/// What came of asking for more.
pub(super) enum More {
    Held,
    /// The wallet has no more; so much is left of what can be spent, where that is why.
    Refused {
        left: Credits,
    },
}

/// What a call is to hold before anybody is asked.
pub(super) struct Wanted {
    pub(super) amount: Credits,
    /// What will do, where the wallet has no more.
    pub(super) least: Credits,
    pub(super) price: Price,
    pub(super) reason: &'static str,
}

/// Holds what is wanted, under the first id of the intent that no failed call has used.
pub(super) async fn open(app: &App, payer: Payer, wanted: Wanted) -> Result<Opened> {
    let Wanted { mut amount, least, price, reason } = wanted;
    let mut watch = Stopwatch::start();
    let mut attempt = 0;
    while attempt < TRIES {
        let hold = HoldId::derive(payer.intent, &format!("hold {attempt}"));
        if payer.may_repeat
            && let Some(before) = payer.captured(app, hold).await?
        {
            return Ok(Opened::Before(hold, before));
        }
        let expires_at = clock::now() + app.settings.call_hold;
        let reason = reason.to_owned();
        let spend = Spend { by: payer.by(), amount, price: price.clone(), reason };
        let ask = Ask::Authorize { hold, spend, expires_at };
        match payer.send(app, command(hold, "authorize"), vec![], ask).await {
            Ok(outcome) if !outcome.replayed => {
                let hold = outcome.events.iter().find_map(WalletEvent::opens);
                let hold = hold.ok_or_else(|| Problem::failed("a hold did not open"))?;
                app.wrote(payer.user, outcome.position);
                watch.held();
                let (authorized, increments) = (amount, 0);
                let ticket = Ticket { hold, payer, authorized, expires_at, increments, watch };
                return Ok(Opened::Now(ticket));
            }
            // The key's earlier call failed and was released, or is still running.
            Ok(_) => {
                let wallet = app.store.load::<Wallet>(WalletId::from(payer.user)).await?;
                if wallet.hold(hold).is_some() {
                    return Err(still_running());
                }
                attempt += 1;
            }
            Err(ExecuteError::Refused(WalletError::InsufficientCredits { available, .. }))
                if available >= least && available < amount =>
            {
                amount = available;
            }
            Err(ExecuteError::Refused(WalletError::HoldIdTaken)) => return Err(still_running()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(Problem::field("Idempotency-Key", "was used by too many failed calls: use a new key"))
}

impl Ticket {
    /// The hold, for whoever is asked on its account.
    pub(super) fn hold(&self) -> &OpenHold {
        &self.hold
    }

    /// Holds more.
    pub(super) async fn increment(
        &mut self,
        app: &App,
        amount: Credits,
    ) -> Result<More, ExecuteError<WalletError>> {
        let ask = Ask::Increment { hold: self.hold.id(), by: self.payer.by(), amount };
        let id = command(self.hold.id(), &format!("increment {}", self.increments));
        self.watch.waited();
        let sent = self.payer.send(app, id, vec![], ask).await;
        self.watch.held();
        match sent {
            Ok(_) => {
                self.increments += 1;
                self.authorized = self
                    .authorized
                    .checked_add(amount)
                    .map_err(WalletError::from)
                    .map_err(ExecuteError::Refused)?;
                Ok(More::Held)
            }
            Err(ExecuteError::Refused(WalletError::InsufficientCredits { available, .. })) => {
                Ok(More::Refused { left: available })
            }
            Err(ExecuteError::Refused(_)) => Ok(More::Refused { left: Credits::ZERO }),
            Err(error) => Err(error),
        }
    }

    /// Keeps the hold open, where half of its time is over. It may fail: the next try comes soon.
    pub(super) async fn keep(&mut self, app: &App) {
        let now = clock::now();
        if self.expires_at - now > app.settings.call_hold / 2 {
            return;
        }
        let expires_at = now + app.settings.call_hold;
        let ask = Ask::Extend { hold: self.hold.id(), by: self.payer.by(), expires_at };
        let id = command(self.hold.id(), &format!("extend {}", expires_at.timestamp_millis()));
        self.watch.waited();
        let sent = self.payer.send(app, id, vec![], ask).await;
        self.watch.held();
        match sent {
            Ok(_) => self.expires_at = expires_at,
            Err(error) => tracing::warn!(error = %error, "a hold could not be kept open"),
        }
    }

    /// The provider is at its end: what takes time from here on is the charge.
    pub(super) fn delivered(&mut self) {
        self.watch.waited();
    }

    /// Charges what was delivered; what is left of the hold goes back. `side` is written with it. Whose hold
    /// has expired meanwhile is charged late.
    pub(super) async fn capture(
        self,
        app: &App,
        amount: Credits,
        usage: Usage,
        side: &[SideRow],
    ) -> Result<(Outcome<Wallet>, Took)> {
        let (hold, payer) = (self.hold.id(), &self.payer);
        let usage = Some(usage);
        let ask = Ask::Capture { hold, by: payer.by(), amount, last: true, usage: usage.clone() };
        let id = command(hold, "capture");
        let captured = match payer.send_surely(app, id, side, &ask).await {
            Err(ExecuteError::Refused(WalletError::HoldNotOpen)) => {
                let expired = expired(app, payer.user, hold).await?;
                let amount = amount.min(expired);
                let ask = Ask::CaptureLate { hold, key: payer.key, amount, expired, usage };
                payer.send_surely(app, id, side, &ask).await
            }
            other => other,
        }?;
        app.wrote(payer.user, captured.position);
        Ok((captured, self.watch.charged()))
    }

    /// Gives all of it back. A hold that has expired was given back.
    pub(super) async fn release(self, app: &App, reason: &str) -> Result<()> {
        let (hold, payer) = (self.hold.id(), &self.payer);
        let ask = Ask::Release { hold, by: payer.by(), reason: reason.to_owned() };
        match payer.send_surely(app, command(hold, "release"), &[], &ask).await {
            Ok(outcome) => app.wrote(payer.user, outcome.position),
            Err(ExecuteError::Refused(WalletError::HoldNotOpen)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// What a hold gave back when it expired: the most that can be charged late.
async fn expired(app: &App, user: UserId, hold: HoldId) -> Result<Credits> {
    let id = CommandId::derive(hold.0, "expire");
    let expiry = app.store.outcome_of::<Wallet>(WalletId::from(user), id).await?;
    let amount = expiry.iter().flat_map(|expiry| &expiry.events).find_map(|event| match event {
        WalletEvent::HoldExpired { hold: expired, amount, .. } if *expired == hold => Some(*amount),
        _ => None,
    });
    amount.ok_or_else(|| Problem::failed("a call's hold is neither open nor expired"))
}

pub(super) fn command(hold: HoldId, purpose: &str) -> CommandId {
    CommandId::derive(hold.0, purpose)
}

/// What the wallet has available after a command.
pub(super) fn remaining(outcome: &Outcome<Wallet>) -> Credits {
    let balance = outcome.events.iter().rev().find_map(WalletEvent::balance);
    balance.map(|balance| balance.available).unwrap_or_default()
}

/// What a command charged.
pub(super) fn charged(outcome: &Outcome<Wallet>) -> Credits {
    let charged = outcome.events.iter().find_map(|event| match event {
        WalletEvent::HoldCaptured { amount, .. } | WalletEvent::HoldLateCaptured { amount, .. } => {
            Some(*amount)
        }
        _ => None,
    });
    charged.unwrap_or_default()
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

/// How often a hold is looked at that lasts so long.
pub(super) fn beat(hold: TimeDelta) -> Duration {
    (hold / 4).to_std().unwrap_or(Duration::from_secs(1)).max(Duration::from_millis(100))
}
