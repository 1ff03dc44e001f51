//! What of payments is reversed, from Stripe's refunds and disputes as they are.

use aggregates::money::Reversal;

use crate::clients::stripe::{Dispute, Payment, RefundStatus};

/// What of `paid_minor` is reversed: what refunds that succeeded gave back, and what disputes have
/// withdrawn, of all the payments of it.
pub(super) fn of(payments: &[Payment], paid_minor: i64) -> Reversal {
    let refunds = payments.iter().flat_map(|payment| &payment.refunds);
    let refunded = refunds.filter(|refund| refund.status == RefundStatus::Succeeded);
    let refunded_minor = refunded.map(|refund| refund.amount).fold(0, i64::saturating_add);
    let mut disputes = payments.iter().flat_map(|payment| &payment.disputes);
    let withdrawn = disputes.clone().map(|dispute| dispute.withdrawn_minor);
    let disputed_minor = withdrawn.fold(0, i64::saturating_add);
    Reversal {
        refunded_minor,
        disputed_minor,
        reversed_minor: refunded_minor.saturating_add(disputed_minor).clamp(0, paid_minor),
        disputed: disputes.any(is_open),
    }
}

/// Whether a bank has yet to decide; an inquiry moves nothing.
pub(super) fn is_open(dispute: &Dispute) -> bool {
    !dispute.is_inquiry && !matches!(dispute.status.as_str(), "won" | "lost" | "prevented")
}
