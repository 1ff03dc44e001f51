//! Invoices of subscriptions as their table shows them.

use uuid::Uuid;

use super::Row;
use crate::verify::plans;
use crate::verify::purchases::Reversal;
use crate::verify::rows::Fields;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invoice {
    subscription: Uuid,
    user: Uuid,
    plan: String,
    reason: String,
    state: String,
    total_minor: i64,
    paid_minor: i64,
    currency: String,
    /// As JSON.
    intents: String,
    attempts: i64,
    /// What was released of the quota that it paid for.
    credits: i64,
    refunded_minor: i64,
    disputed_minor: i64,
    disputed: bool,
    created_at: i64,
    paid_at: Option<i64>,
}

impl Row for Invoice {
    type Key = String;
    const TABLE: &str = "invoices";
    const QUERY: &str = "select invoice, subscription_id, user_id, plan, reason, state, \
         total_minor, paid_minor, currency, array_to_json(intents)::text, attempts::int8, credits, \
         refunded_minor, disputed_minor, disputed, created_at, paid_at from billing.invoices";

    fn key(fields: &mut Fields<'_>) -> Option<String> {
        fields.string()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            subscription: fields.uuid()?,
            user: fields.uuid()?,
            plan: fields.string()?,
            reason: fields.string()?,
            state: fields.string()?,
            total_minor: fields.i64()?,
            paid_minor: fields.i64()?,
            currency: fields.string()?,
            intents: fields.string()?,
            attempts: fields.i64()?,
            credits: fields.i64()?,
            refunded_minor: fields.i64()?,
            disputed_minor: fields.i64()?,
            disputed: fields.bool()?,
            created_at: fields.micros()?,
            paid_at: fields.opt_micros()?,
        })
    }
}

impl Invoice {
    /// One that was not there before: whose it is, why, when and in what currency stays so.
    pub(super) fn of(invoice: &plans::Invoice, subscription: Uuid, user: Uuid) -> Self {
        Self {
            subscription,
            user,
            plan: String::new(),
            reason: invoice.reason.clone(),
            state: String::new(),
            total_minor: 0,
            paid_minor: 0,
            currency: invoice.total.currency.clone(),
            intents: String::new(),
            attempts: 0,
            credits: 0,
            refunded_minor: 0,
            disputed_minor: 0,
            disputed: false,
            created_at: invoice.created_at.timestamp_micros(),
            paid_at: None,
        }
    }

    /// As it is now; one that brings nothing of any plan is shown with the one that runs.
    pub(super) fn becomes(&mut self, invoice: &plans::Invoice, running: &str) {
        let plan = invoice.plan().map_or(running, |plan| &plan.terms.name);
        plan.clone_into(&mut self.plan);
        invoice.state.clone_into(&mut self.state);
        self.total_minor = invoice.total.amount_minor;
        self.paid_minor = invoice.paid_minor;
        self.intents = serde_json::to_string(&invoice.intents).unwrap_or_default();
        self.attempts = invoice.attempts;
        self.paid_at = invoice.paid_at.map(|at| at.timestamp_micros());
    }

    pub(super) fn reverse(&mut self, reversal: &Reversal) {
        self.refunded_minor = reversal.refunded_minor;
        self.disputed_minor = reversal.disputed_minor;
        self.disputed = reversal.disputed;
    }

    pub(super) fn bring(&mut self, credits: i64) {
        self.credits = self.credits.saturating_add(credits);
    }
}
