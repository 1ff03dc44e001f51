//! How a hold ends: charged, charged late, or given back; and what the log says of it.

use aggregates::credits::Credits;
use aggregates::id::{CommandId, HoldId, UserId, WalletId};
use aggregates::wallet::{Ask, Usage, Wallet, WalletError, WalletEvent};

use super::{Ticket, command};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::metering::analyses;
use crate::metering::timing::Took;
use crate::store::{ExecuteError, Outcome, SideRow};

impl Ticket {
    /// Charges what was delivered; what is left of the hold goes back. `side` is written with it. Whose hold
    /// has expired meanwhile is charged late, as far as they still have it; where nothing is to be charged,
    /// the expiry has settled it.
    pub(in crate::metering) async fn capture(
        self,
        app: &App,
        amount: Credits,
        usage: Usage,
        side: &[SideRow],
    ) -> Result<(Outcome<Wallet>, Took)> {
        let outcome = match self.try_capture(app, amount, usage.clone(), side).await? {
            Some(captured) => captured,
            None => self.capture_late(app, amount, usage, side).await?,
        };
        Ok((outcome, self.watch.charged(&app.counters.calls)))
    }

    /// The same while the hold is open; none where it is open no more, and nothing is written.
    pub(in crate::metering) async fn capture_held(
        self,
        app: &App,
        amount: Credits,
        usage: Usage,
        side: &[SideRow],
    ) -> Result<Option<Outcome<Wallet>>> {
        let captured = self.try_capture(app, amount, usage, side).await?;
        if captured.is_some() {
            self.watch.charged(&app.counters.calls);
        }
        Ok(captured)
    }

    async fn try_capture(
        &self,
        app: &App,
        amount: Credits,
        usage: Usage,
        side: &[SideRow],
    ) -> Result<Option<Outcome<Wallet>>> {
        let (hold, by, usage) = (self.hold.id(), self.payer.by(), Some(usage));
        let ask = Ask::Capture { hold, by, amount, last: true, usage };
        match self.payer.send_surely(app, command(hold, "capture"), side, &ask).await {
            Ok(captured) => {
                app.wrote(self.payer.user, captured.position);
                Ok(Some(captured))
            }
            Err(ExecuteError::Refused(WalletError::HoldNotOpen)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn capture_late(
        &self,
        app: &App,
        amount: Credits,
        usage: Usage,
        side: &[SideRow],
    ) -> Result<Outcome<Wallet>> {
        let (hold, payer, usage) = (self.hold.id(), &self.payer, Some(usage));
        let (expiry, expired) = expired(app, payer.user, hold).await?;
        let most = amount.min(expired);
        if most.is_zero() {
            return Ok(expiry);
        }
        let ask = Ask::CaptureLate { hold, key: payer.key, amount: most, expired, usage };
        let captured = payer.send_surely(app, command(hold, "capture"), side, &ask).await?;
        app.wrote(payer.user, captured.position);
        let charged = charged(&captured);
        if charged < amount {
            // What is written with the charge has the price: how much of it was there, only the charge says.
            // The charge stands, and what was delivered goes out, whatever becomes of this.
            if let Err(problem) = analyses::correct(app, hold, charged).await {
                tracing::error!(
                    cause = problem.cause,
                    "what a late charge came to could not be noted"
                );
            }
        }
        Ok(captured)
    }

    /// Gives all of it back. One that has expired, or was given back, is.
    pub(in crate::metering) async fn release(self, app: &App, reason: &str) -> Result<()> {
        self.release_with(app, reason, &[]).await.map(drop)
    }

    /// The same; `side` is written with it. No, where the hold was open no more, and nothing is written.
    pub(in crate::metering) async fn release_with(
        self,
        app: &App,
        reason: &str,
        side: &[SideRow],
    ) -> Result<bool> {
        self.payer.release(app, self.hold.id(), reason, side).await
    }
}

/// The expiry of a hold, and what it gave back: the most that can be charged late.
async fn expired(app: &App, user: UserId, hold: HoldId) -> Result<(Outcome<Wallet>, Credits)> {
    let id = CommandId::derive(hold.0, "expire");
    let expiry = app.store.outcome_of::<Wallet>(WalletId::from(user), id).await?;
    let expiry = expiry.and_then(|expiry| {
        let back = expiry.events.iter().find_map(|event| match event {
            WalletEvent::HoldExpired { hold: id, amount, .. } if *id == hold => Some(*amount),
            _ => None,
        })?;
        Some((expiry, back))
    });
    expiry.ok_or_else(|| Problem::failed("a call's hold is neither open nor expired"))
}

/// What the wallet has available after a command.
pub(in crate::metering) fn remaining(outcome: &Outcome<Wallet>) -> Credits {
    let balance = outcome.events.iter().rev().find_map(WalletEvent::balance);
    balance.map(|balance| balance.available).unwrap_or_default()
}

/// What a command charged, and for what.
pub(in crate::metering) fn usage(outcome: &Outcome<Wallet>) -> Option<&Usage> {
    outcome.events.iter().find_map(|event| match event {
        WalletEvent::HoldCaptured { usage, .. } | WalletEvent::HoldLateCaptured { usage, .. } => {
            usage.as_ref()
        }
        _ => None,
    })
}

/// Counts what a call was charged, and for what: once, whoever comes to charge it again.
pub(in crate::metering) fn count(app: &App, feature: &str, outcome: &Outcome<Wallet>) {
    let Some(usage) = usage(outcome).filter(|_| !outcome.replayed) else { return };
    let credits = u64::try_from(charged(outcome).get()).unwrap_or_default();
    app.counters.ai_credits.add([&usage.model, feature], credits);
    for (direction, tokens) in [("input", usage.input_tokens), ("output", usage.output_tokens)] {
        app.counters.ai_tokens.add([&usage.model, direction], tokens.unwrap_or_default());
    }
}

/// What a command charged: of what is charged late, what was still there.
pub(in crate::metering) fn charged(outcome: &Outcome<Wallet>) -> Credits {
    let charged = outcome.events.iter().find_map(|event| match event {
        WalletEvent::HoldCaptured { amount, .. } => Some(*amount),
        WalletEvent::HoldLateCaptured { amount, uncovered, .. } => {
            Some(amount.saturating_sub(*uncovered))
        }
        _ => None,
    });
    charged.unwrap_or_default()
}
