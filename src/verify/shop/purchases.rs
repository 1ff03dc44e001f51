//! Purchases of packs as their table shows them.

use uuid::Uuid;

use super::{Row, Shop};
use crate::verify::purchases::{Fact, Money, Order, Payment, Reversal};
use crate::verify::rows::Fields;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Purchase {
    order: Order,
    created_at: i64,
    stage: String,
    checkout: Option<String>,
    expires_at: Option<i64>,
    intent: Option<String>,
    paid_minor: Option<i64>,
    paid_currency: Option<String>,
    /// When it was paid as it was asked for, or taken for that.
    paid_at: Option<i64>,
    /// When money came last, or went.
    moved_at: Option<i64>,
    reversal: Reversal,
    refund_requested_at: Option<i64>,
}

impl Row for Purchase {
    type Key = Uuid;
    const TABLE: &str = "purchases";
    const QUERY: &str = "select purchase_id, user_id, pack_id, name, credits, bonus, amount_minor, \
         currency, created_at, stage, checkout, expires_at, intent, paid_minor, paid_currency, \
         paid_at, moved_at, refunded_minor, disputed_minor, reversed_minor, disputed, \
         refund_requested_at from billing.purchases";

    fn key(fields: &mut Fields<'_>) -> Option<Uuid> {
        fields.uuid()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let order = Order {
            user: fields.uuid()?,
            pack: fields.uuid()?,
            name: fields.string()?,
            credits: fields.i64()?,
            bonus: fields.i64()?,
            price: Money { amount_minor: fields.i64()?, currency: fields.string()? },
        };
        Some(Self {
            order,
            created_at: fields.micros()?,
            stage: fields.string()?,
            checkout: fields.opt_string()?,
            expires_at: fields.opt_micros()?,
            intent: fields.opt_string()?,
            paid_minor: fields.opt_i64()?,
            paid_currency: fields.opt_string()?,
            paid_at: fields.opt_micros()?,
            moved_at: fields.opt_micros()?,
            reversal: Reversal {
                refunded_minor: fields.i64()?,
                disputed_minor: fields.i64()?,
                reversed_minor: fields.i64()?,
                disputed: fields.bool()?,
            },
            refund_requested_at: fields.opt_micros()?,
        })
    }
}

impl Purchase {
    fn of(order: &Order, created_at: i64) -> Self {
        Self {
            order: order.clone(),
            created_at,
            stage: "created".to_owned(),
            checkout: None,
            expires_at: None,
            intent: None,
            paid_minor: None,
            paid_currency: None,
            paid_at: None,
            moved_at: None,
            reversal: Reversal::default(),
            refund_requested_at: None,
        }
    }

    fn follow(&mut self, fact: &Fact) {
        let stage = match fact {
            Fact::Created { .. } => return,
            Fact::CheckoutOpened { checkout, expires_at } => {
                self.checkout = Some(checkout.clone());
                self.expires_at = Some(expires_at.timestamp_micros());
                "checkout_opened"
            }
            Fact::PaymentAwaited {} => "awaiting_payment",
            Fact::PaymentFailed {} => "payment_failed",
            Fact::Expired {} => "expired",
            Fact::Paid { payment, at } => {
                self.comes(payment, at.timestamp_micros());
                self.paid_at = self.moved_at;
                "paid"
            }
            Fact::Quarantined { payment, at } => {
                self.comes(payment, at.timestamp_micros());
                "quarantined"
            }
            Fact::Accepted { at } => {
                self.paid_at = Some(at.timestamp_micros());
                "paid"
            }
            Fact::Fulfilled {} => "fulfilled",
            Fact::ReversalSet { reversal, at } => {
                (self.reversal, self.moved_at) = (*reversal, Some(at.timestamp_micros()));
                return;
            }
            Fact::RefundRequested { at } => {
                self.refund_requested_at = Some(at.timestamp_micros());
                return;
            }
        };
        stage.clone_into(&mut self.stage);
    }

    fn comes(&mut self, payment: &Payment, at: i64) {
        let Payment { intent, paid: Money { amount_minor, currency } } = payment;
        self.intent = Some(intent.clone());
        (self.paid_minor, self.paid_currency) = (Some(*amount_minor), Some(currency.clone()));
        self.moved_at = Some(at);
    }
}

impl Shop {
    pub(in crate::verify) fn purchase(&mut self, id: Uuid, fact: &Fact) {
        if let Fact::Created { order, at } = fact {
            self.purchases.insert(id, Purchase::of(order, at.timestamp_micros()));
        } else if let Some(purchase) = self.purchases.get_mut(&id) {
            purchase.follow(fact);
        }
    }
}
