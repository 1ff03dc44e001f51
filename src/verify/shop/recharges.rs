//! Auto-recharges as their table shows them.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Row, Shop};
use crate::verify::purchases::Money;
use crate::verify::recharges::{Charged, Consent, Fact, Terms};
use crate::verify::rows::Fields;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Recharge {
    agreed: Agreed,
    /// Why it is off, once it was on.
    off_reason: Option<String>,
    enabled: bool,
    /// What is spent up to this position causes nothing.
    after: i64,
    number: i64,
    /// The one in flight.
    purchase: Option<Uuid>,
    waits_for_person: bool,
    /// Where the log has what caused the last.
    spent: Option<i64>,
    ready_at: Option<i64>,
    charged_month: Option<String>,
    charged_minor: i64,
    charged_currency: Option<String>,
    failure: Option<String>,
    failed_at: Option<i64>,
}

/// What the person has agreed to.
#[derive(Debug, PartialEq, Eq)]
struct Agreed {
    pack: Uuid,
    price: Money,
    threshold: i64,
    cap_minor: i64,
    wording: String,
    consented_at: i64,
}

impl Row for Recharge {
    type Key = Uuid;
    const TABLE: &str = "recharges";
    const QUERY: &str = "select user_id, pack_id, price_minor, currency, threshold, cap_minor, \
         wording, consented_at, off_reason, enabled, after, number::int8, purchase_id, \
         waits_for_person, spent, ready_at, to_char(charged_month, 'YYYY-MM-DD'), charged_minor, \
         charged_currency, failure, failed_at from billing.recharges";

    fn key(fields: &mut Fields<'_>) -> Option<Uuid> {
        fields.uuid()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let agreed = Agreed {
            pack: fields.uuid()?,
            price: Money { amount_minor: fields.i64()?, currency: fields.string()? },
            threshold: fields.i64()?,
            cap_minor: fields.i64()?,
            wording: fields.string()?,
            consented_at: fields.micros()?,
        };
        Some(Self {
            agreed,
            off_reason: fields.opt_string()?,
            enabled: fields.bool()?,
            after: fields.i64()?,
            number: fields.i64()?,
            purchase: fields.opt_uuid()?,
            waits_for_person: fields.bool()?,
            spent: fields.opt_i64()?,
            ready_at: fields.opt_micros()?,
            charged_month: fields.opt_string()?,
            charged_minor: fields.i64()?,
            charged_currency: fields.opt_string()?,
            failure: fields.opt_string()?,
            failed_at: fields.opt_micros()?,
        })
    }
}

impl Recharge {
    fn of(agreed: Agreed, after: i64) -> Self {
        Self {
            agreed,
            off_reason: None,
            enabled: true,
            after,
            number: 0,
            purchase: None,
            waits_for_person: false,
            spent: None,
            ready_at: None,
            charged_month: None,
            charged_minor: 0,
            charged_currency: None,
            failure: None,
            failed_at: None,
        }
    }

    /// On again, or on other terms: what was charged is not forgotten, nor what was declined of a card
    /// that is still the same.
    fn goes_on(&mut self, agreed: Agreed, after: i64, is_same_card: bool) {
        (self.agreed, self.after, self.enabled) = (agreed, after, true);
        self.off_reason = None;
        if !is_same_card {
            (self.failure, self.failed_at) = (None, None);
        }
    }

    fn follow(&mut self, fact: &Fact) {
        match fact {
            Fact::TurnedOn { .. } => {}
            Fact::Triggered { number, purchase, spent, charged, .. } => {
                self.number = i64::from(*number);
                (self.purchase, self.spent) = (Some(*purchase), Some(*spent));
                self.waits_for_person = false;
                self.charge(charged);
            }
            Fact::AuthenticationRequired { .. } => self.waits_for_person = true,
            Fact::Succeeded { ready_at, .. } => {
                self.land();
                self.ready_at = Some(ready_at.timestamp_micros());
                (self.failure, self.failed_at) = (None, None);
                self.after = self.after.max(self.spent.unwrap_or(i64::MIN));
            }
            Fact::Declined { code, ready_at, charged, at, .. } => {
                self.fail(code, charged, *at);
                self.ready_at = ready_at.map(|at| at.timestamp_micros()).or(self.ready_at);
            }
            Fact::Withdrawn { why, charged, at, .. } => self.fail(why, charged, *at),
            Fact::TurnedOff { why } => {
                (self.enabled, self.off_reason) = (false, Some(why.clone()));
            }
        }
    }

    fn land(&mut self) {
        (self.purchase, self.waits_for_person) = (None, false);
    }

    fn fail(&mut self, why: &str, charged: &Charged, at: DateTime<Utc>) {
        self.land();
        self.charge(charged);
        (self.failure, self.failed_at) = (Some(why.to_owned()), Some(at.timestamp_micros()));
    }

    fn charge(&mut self, charged: &Charged) {
        let Charged { month, total: Money { amount_minor, currency } } = charged;
        self.charged_month = Some(month.to_string());
        (self.charged_minor, self.charged_currency) = (*amount_minor, Some(currency.clone()));
    }
}

impl Shop {
    pub(in crate::verify) fn recharge(&mut self, user: Uuid, fact: &Fact) {
        let known = self.recharges.get_mut(&user);
        let Fact::TurnedOn { terms, consent, after, declines, ready_at, at } = fact else {
            if let Some(recharge) = known {
                recharge.follow(fact);
            }
            return;
        };
        let agreed = agreed(terms, consent, *at);
        if let Some(recharge) = known {
            recharge.goes_on(agreed, *after, *declines > 0);
            recharge.ready_at = ready_at.map(|ready_at| ready_at.timestamp_micros());
        } else {
            self.recharges.insert(user, Recharge::of(agreed, *after));
        }
    }
}

fn agreed(terms: &Terms, consent: &Consent, at: DateTime<Utc>) -> Agreed {
    Agreed {
        pack: terms.pack,
        price: terms.price.clone(),
        threshold: terms.threshold,
        cap_minor: terms.monthly_cap.amount_minor,
        wording: consent.wording.clone(),
        consented_at: at.timestamp_micros(),
    }
}
