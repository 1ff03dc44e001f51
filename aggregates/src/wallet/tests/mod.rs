//! The wallet under test: what is asked of it, and what happened.

mod invariants;
mod rules;

use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;

use super::*;
use crate::credits::Credits;
use crate::id::{DebitId, GrantId, HoldId, ReversalGroup, UserId};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

fn credits(amount: i64) -> Credits {
    Credits::try_from(amount).expect("not negative")
}

fn id<T: From<uuid::Uuid>>(number: u128) -> T {
    uuid::Uuid::from_u128(number).into()
}

/// A wallet, and every event it has had.
#[derive(Default)]
struct Run {
    wallet: Wallet,
    events: Vec<WalletEvent>,
}

impl Run {
    fn opened() -> Self {
        let mut run = Self::default();
        run.ask(0, Ask::Open { owner: UserId::default() }).expect("opens");
        run
    }

    fn with(amount: i64) -> Self {
        let mut run = Self::opened();
        run.grant(1, amount, None).expect("grants");
        run
    }

    fn ask(&mut self, seconds: i64, ask: Ask) -> Result<Vec<WalletEvent>, WalletError> {
        let sink = EventSink::default();
        let command = WalletCommand { now: at(seconds), ask };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(self.wallet.handle(command, &(), &sink))?;
        let events = runtime.block_on(sink.collect());
        self.events.extend(events.iter().cloned());
        Ok(events)
    }

    fn grant(
        &mut self,
        grant: u128,
        amount: i64,
        expires_at: Option<i64>,
    ) -> Result<Vec<WalletEvent>, WalletError> {
        self.ask(1, granting(grant, amount, expires_at, None))
    }

    fn debit(&mut self, seconds: i64, amount: i64) -> Result<Vec<WalletEvent>, WalletError> {
        self.ask(seconds, debiting(1, amount))
    }

    fn available(&self, seconds: i64) -> i64 {
        self.wallet.balance(at(seconds)).available.get()
    }
}

fn granting(grant: u128, amount: i64, expires_at: Option<i64>, group: Option<u128>) -> Ask {
    Ask::Grant {
        grant: GrantTerms {
            id: id(grant),
            kind: GrantKind::Purchased,
            amount: credits(amount),
            priority: Priority::default(),
            expires_at: expires_at.map(at),
            funding: Funding::Adjustment,
            reversal_group: group.map(id),
        },
        reason: "test".into(),
    }
}

fn carrying(from: &[u128], most: i64, expires_at: i64) -> Ask {
    let from = from.iter().map(|grant| id(*grant)).collect();
    let (most, expires_at) = (credits(most), at(expires_at));
    Ask::CarryOver { from, most, expires_at, funding: Funding::Adjustment }
}

fn debiting(debit: u128, amount: i64) -> Ask {
    Ask::Debit { debit: id(debit), spend: spending(None, amount) }
}

fn by(key: Option<u128>) -> By {
    By { origin: Origin::Api, key: key.map(id) }
}

fn spending(key: Option<u128>, amount: i64) -> Spend {
    Spend { by: by(key), amount: credits(amount), price: Price::Stated, reason: "test".into() }
}

/// Limits what is spent per day.
fn limiting(key: Option<u128>, per_day: i64) -> Ask {
    Ask::SetSpendLimits { key: key.map(id), per_day: Some(credits(per_day)), per_month: None }
}

fn holding(hold: u128, amount: i64, expires_at: i64) -> Ask {
    let spend = spending(None, amount);
    Ask::Authorize { hold: id(hold), spend, expires_at: at(expires_at) }
}

fn capturing(hold: u128, amount: i64, last: bool) -> Ask {
    Ask::Capture { hold: id(hold), by: by(None), amount: credits(amount), last, usage: None }
}

fn releasing(hold: u128) -> Ask {
    Ask::Release { hold: id(hold), by: by(None), reason: "test".into() }
}

fn targeting(group: u128, reversed_minor: i64) -> Ask {
    Ask::SetReversalTarget { group: id(group), reversed_minor, paid_minor: 100 }
}
