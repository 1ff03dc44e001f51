//! What follows when a renewal is not paid: some more attempts, then the end.

use serde_json::json;

use super::invoices::subscription_of;
use super::moods::AfterDunning;
use super::subscriptions;
use super::world::{World, number};

const DAY: i64 = 24 * 3600;
/// How long after each failed attempt comes the next.
const RETRIES: [i64; 3] = [3 * DAY, 5 * DAY, 7 * DAY];

/// When it is tried again. First invoices are not: their subscriptions expire instead.
pub fn plan_next(world: &mut World, invoice: &str) {
    let object = world.the(invoice);
    if object["billing_reason"] == "subscription_create"
        || world.pending_changes.contains_key(invoice)
    {
        return;
    }
    let failed = usize::try_from(number(&object["attempt_count"])).unwrap_or(1);
    let next = RETRIES.get(failed.saturating_sub(1)).map(|wait| world.now + wait);
    world.set(invoice, json!({ "next_payment_attempt": next }));
}

/// After the last attempt, as the account is set up.
pub fn give_up(world: &mut World, invoice: &str) {
    let object = world.the(invoice);
    let Some(id) = subscription_of(&object) else { return };
    world.set(invoice, json!({ "auto_advance": false }));
    match world.moods.after_dunning {
        AfterDunning::Cancel => subscriptions::end(world, id),
        AfterDunning::Unpaid => {
            world.change(id, &["customer.subscription.updated"], json!({ "status": "unpaid" }));
        }
        AfterDunning::PastDue => {}
    }
}
