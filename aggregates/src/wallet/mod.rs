//! The wallet: everything that decides what may be spent.
//!
//! `mod.rs` has the state and the table of rules; `draft` decides step by step; `burn` says which
//! grants pay; `reversal` follows refunds and disputes.

mod burn;
mod command;
mod draft;
mod error;
mod event;
mod holds;
mod reversal;
mod spending;
mod state;
mod terms;
#[cfg(test)]
mod tests;

pub use command::{Ask, Spend, WalletCommand};
pub use error::{Decline, WalletError};
pub use event::{OpenHold, WalletEvent};
pub use spending::Spending;
pub use state::{Grant, Hold, Wallet};
pub use terms::{
    Balance, By, Funding, GrantKind, GrantTerms, HoldFigures, Movement, NotPriority, Origin, Price,
    Priority, SpendWindow, Usage,
};

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;

use draft::Draft;

impl Wallet {
    /// The rules, one row each. Pure: same state, same command, same answer. What has expired is
    /// booked before anything else is, so that the history adds up; a command that does nothing
    /// books nothing either.
    fn decide(&self, command: WalletCommand) -> Result<Vec<WalletEvent>, WalletError> {
        let WalletCommand { now, ask } = command;
        if let Ask::Open { owner } = ask {
            return match self.owner() {
                Some(already) if already == owner => Ok(vec![]),
                Some(_) => Err(WalletError::AlreadyOpen),
                None => Ok(vec![WalletEvent::Opened { owner, at: now }]),
            };
        }
        if self.owner().is_none() {
            return Err(WalletError::NotOpen);
        }
        if let Ask::ExpireGrant { grant } = ask {
            let grant = self.grants.get(&grant).ok_or(WalletError::UnknownGrant)?;
            if !grant.is_over(now) {
                return Err(WalletError::GrantNotDue);
            }
            return Ok(Draft::new(self, now)?.booked());
        }
        let mut draft = Draft::new(self, now)?;
        match ask {
            Ask::Open { .. } | Ask::ExpireGrant { .. } => {}

            Ask::Grant { grant, reason } => draft.grant(grant, reason)?,
            Ask::VoidGrant { grant, amount, reason } => draft.void(grant, amount, reason)?,
            Ask::CarryOver { from, most, expires_at, funding } => {
                draft.carry_over(from, most, expires_at, &funding)?;
            }

            Ask::Authorize { hold, spend, expires_at } => {
                draft.authorize(hold, spend, expires_at)?;
            }
            Ask::Increment { hold, by, amount } => draft.increment(hold, by, amount)?,
            Ask::Extend { hold, by, expires_at } => draft.extend(hold, by, expires_at)?,
            Ask::Capture { hold, by, amount, last, usage } => {
                draft.capture(hold, by, amount, last, usage)?;
            }
            Ask::Release { hold, by, reason } => draft.release(hold, by, reason)?,
            Ask::ExpireHold { hold } => draft.expire_hold(hold)?,
            Ask::CaptureLate { hold, key, amount, expired, usage } => {
                draft.capture_late(hold, key, amount, expired, usage)?;
            }

            Ask::Debit { debit, spend } => draft.debit(debit, spend)?,
            Ask::ReverseDebit { debit, amount, spent, reason } => {
                draft.reverse(debit, amount, spent, reason)?;
            }

            Ask::SetReversalTarget { group, reversed_minor, paid_minor } => {
                draft.set_target(group, reversed_minor, paid_minor)?;
            }
            Ask::WriteOffDebt { amount, reason } => draft.write_off(amount, reason)?,

            Ask::Freeze { reason } => draft.freeze(reason),
            Ask::Unfreeze { reason } => draft.unfreeze(reason),
            Ask::SuspendQuota => draft.suspend_quota(),
            Ask::ResumeQuota => draft.resume_quota(),
            Ask::SetSpendLimits { key, per_day, per_month } => {
                draft.set_limit(key, SpendWindow::Day, per_day);
                draft.set_limit(key, SpendWindow::Month, per_month);
            }
        }
        Ok(draft.decided())
    }
}

impl Aggregate for Wallet {
    const TYPE: &'static str = "wallet";
    type Command = WalletCommand;
    type Event = WalletEvent;
    type Error = WalletError;
    type Services = ();

    async fn handle(
        &mut self,
        command: WalletCommand,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), WalletError> {
        for event in self.decide(command)? {
            sink.write(event, self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: WalletEvent) {
        self.assign(&event);
    }
}
