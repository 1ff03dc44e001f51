//! Purchases, as the oracle follows them: what was asked for is paid once, and granted as it was
//! ordered.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use uuid::Uuid;

use super::fold::WalletTrail;
use super::report::{Kind, Report};

/// What happened to a purchase, as far as credits follow from it, and what people are shown.
#[derive(Debug, Deserialize)]
pub(super) enum Fact {
    Created { order: Order, at: DateTime<Utc> },
    CheckoutOpened { checkout: String, expires_at: DateTime<Utc> },
    PaymentAwaited {},
    PaymentFailed {},
    Expired {},
    Paid { payment: Payment, at: DateTime<Utc> },
    Quarantined { payment: Payment, at: DateTime<Utc> },
    Accepted { at: DateTime<Utc> },
    Fulfilled {},
    ReversalSet { reversal: Reversal, at: DateTime<Utc> },
    RefundRequested { at: DateTime<Utc> },
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Order {
    pub(super) user: Uuid,
    pub(super) pack: Uuid,
    pub(super) name: String,
    pub(super) credits: i64,
    pub(super) bonus: i64,
    pub(super) price: Money,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Money {
    pub(super) amount_minor: i64,
    pub(super) currency: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Payment {
    pub(super) intent: String,
    pub(super) paid: Money,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Reversal {
    pub(super) refunded_minor: i64,
    pub(super) disputed_minor: i64,
    pub(super) reversed_minor: i64,
    pub(super) disputed: bool,
}

/// A purchase so far.
#[derive(Debug, Default)]
pub(super) struct Trade {
    pub(super) sequence: i64,
    order: Option<Order>,
    paid: Option<Money>,
    granted: bool,
    fulfilled: bool,
    /// All that was reversed at some time: the wallet follows, and may be behind.
    reversed: BTreeSet<i64>,
}

impl Trade {
    /// Who ordered it.
    pub(super) fn user(&self) -> Option<Uuid> {
        self.order.as_ref().map(|order| order.user)
    }

    /// Whether it may be in the wallet.
    pub(super) fn is_paid(&self) -> bool {
        self.granted
    }

    /// Whether this is what was ordered.
    pub(super) fn is_of(&self, order: &Order) -> bool {
        self.order.as_ref() == Some(order)
    }

    /// Whether it is in the wallet.
    pub(super) fn is_fulfilled(&self) -> bool {
        self.fulfilled
    }

    /// The log is at its end: the wallet and the purchase must agree.
    pub(super) fn close(&self, id: Uuid, wallet: &WalletTrail, report: &mut Report) {
        let Some(order) = &self.order else { return };
        let place = format_args!("purchase {id}");
        let grants = wallet.book.grants.iter();
        let grants = grants.filter(|grant| grant.terms.reversal_group == Some(id));
        let granted: i128 = grants.map(|grant| i128::from(grant.terms.amount)).sum();
        let expected = i128::from(order.credits) + i128::from(order.bonus);
        if self.fulfilled && granted != expected {
            let rule = "what was paid for is granted as it was ordered";
            report.find(Kind::Domain, place, rule, expected, granted);
        }
        let target = wallet.book.reversed_of(id);
        if target != 0 && !self.reversed.contains(&target) {
            let rule = "a wallet follows what of a payment is reversed";
            report.find(Kind::Domain, place, rule, format_args!("{:?}", self.reversed), target);
        }
    }

    /// Enters a fact; the rule that it breaks, where it breaks one.
    pub(super) fn enter(&mut self, fact: Fact) -> Option<&'static str> {
        match fact {
            Fact::Created { order, .. } => {
                let first = self.order.is_none();
                self.order = Some(order);
                return (!first).then_some("a purchase is ordered once");
            }
            _ if self.order.is_none() => return Some("a purchase is ordered first"),
            Fact::CheckoutOpened { .. } => {}
            Fact::PaymentAwaited {} | Fact::PaymentFailed {} | Fact::Expired {} => {
                return self.paid.is_some().then_some("what is paid stays paid");
            }
            Fact::Paid { payment, .. } => {
                let price = self.order.as_ref().map(|order| &order.price);
                if self.paid.is_some() || price != Some(&payment.paid) {
                    return Some("what is paid is what was asked for, once");
                }
                (self.paid, self.granted) = (Some(payment.paid), true);
            }
            Fact::Quarantined { payment, .. } => {
                if self.paid.is_some() {
                    return Some("a purchase is paid once");
                }
                self.paid = Some(payment.paid);
            }
            Fact::Accepted { .. } => {
                if self.paid.is_none() || self.granted {
                    return Some("what is in quarantine is accepted, once");
                }
                self.granted = true;
            }
            Fact::Fulfilled {} => {
                if !self.granted || self.fulfilled {
                    return Some("what is paid is fulfilled, once");
                }
                self.fulfilled = true;
            }
            Fact::ReversalSet { reversal, .. } => {
                let paid = self.paid.as_ref().map_or(-1, |paid| paid.amount_minor);
                if !(0..=paid).contains(&reversal.reversed_minor) {
                    return Some("what is reversed is part of what was paid");
                }
                self.reversed.insert(reversal.reversed_minor);
            }
            Fact::RefundRequested { .. } => {
                return self.paid.is_none().then_some("what is refunded was paid");
            }
        }
        None
    }
}

impl Fact {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "Created",
            Self::CheckoutOpened { .. } => "CheckoutOpened",
            Self::PaymentAwaited {} => "PaymentAwaited",
            Self::PaymentFailed {} => "PaymentFailed",
            Self::Expired {} => "Expired",
            Self::Paid { .. } => "Paid",
            Self::Quarantined { .. } => "Quarantined",
            Self::Accepted { .. } => "Accepted",
            Self::Fulfilled {} => "Fulfilled",
            Self::ReversalSet { .. } => "ReversalSet",
            Self::RefundRequested { .. } => "RefundRequested",
        }
    }
}
