//! Time passes when told to, and everything that is due on the way happens in its order.

use serde_json::Value;

use super::StripeDouble;
use super::invoices;
use super::subscription_items::period;
use super::world::{World, number, text};
use super::{cards, checkout, invoice_payments, subscription_changes, subscriptions};

/// How long the invoice of a renewal is a draft.
pub const DRAFT_LASTS: i64 = 3600;
/// How long a subscription waits for its first payment.
const INCOMPLETE_LASTS: i64 = 23 * 3600;
/// How long before its end a trial's end is announced.
const TRIAL_NOTICE: i64 = 3 * 24 * 3600;

/// What is to be done, and to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    ExpireCheckout,
    AnnounceTrialEnd,
    ExpireSubscription,
    ExpirePendingChange,
    EndSubscription,
    EndPeriod,
    Finalize,
    CollectAgain,
}

impl StripeDouble {
    pub fn now(&self) -> i64 {
        self.world().now
    }

    pub fn advance(&self, seconds: i64) {
        let then = self.now() + seconds;
        self.advance_to(then);
    }

    /// To a moment in Unix seconds. What is due at it has happened then.
    pub fn advance_to(&self, moment: i64) {
        let mut world = self.world();
        assert!(moment >= world.now, "time does not go back");
        while let Some((due, task, id)) = next(&world).filter(|(due, ..)| *due <= moment) {
            world.now = world.now.max(due);
            perform(&mut world, task, &id);
        }
        world.now = moment;
    }

    /// To the end of a subscription's period, and until its invoice was tried.
    pub fn renew(&self, subscription: &str) -> Value {
        let end = period(&self.object(subscription)).1;
        self.advance_to(end + DRAFT_LASTS);
        let invoice = text(&self.object(subscription)["latest_invoice"]).to_owned();
        self.object(&invoice)
    }
}

/// What is due first.
fn next(world: &World) -> Option<(i64, Task, String)> {
    let sessions = world.all("checkout.session").filter_map(of_session);
    let invoices = world.all("invoice").filter_map(|invoice| of_invoice(world, invoice));
    let subscriptions = world.all("subscription").flat_map(|known| of_subscription(world, known));
    sessions.chain(invoices).chain(subscriptions).min()
}

fn of_session(session: &Value) -> Option<(i64, Task, String)> {
    let open = session["status"] == "open";
    open.then(|| (number(&session["expires_at"]), Task::ExpireCheckout, id_of(session)))
}

fn of_invoice(world: &World, invoice: &Value) -> Option<(i64, Task, String)> {
    let id = id_of(invoice);
    if let Some(change) = world.pending_changes.get(&id) {
        let pending = &world.get(&change.subscription)?["pending_update"];
        return Some((number(&pending["expires_at"]), Task::ExpirePendingChange, id));
    }
    if invoice["auto_advance"] != true {
        return None;
    }
    match text(&invoice["status"]) {
        "draft" => Some((invoice["automatically_finalizes_at"].as_i64()?, Task::Finalize, id)),
        "open" => Some((invoice["next_payment_attempt"].as_i64()?, Task::CollectAgain, id)),
        _ => None,
    }
}

fn of_subscription(world: &World, subscription: &Value) -> Vec<(i64, Task, String)> {
    let id = id_of(subscription);
    let at = |moment: i64, task: Task| (moment, task, id.clone());
    match text(&subscription["status"]) {
        "incomplete" => {
            let end = number(&subscription["created"]) + INCOMPLETE_LASTS;
            vec![at(end, Task::ExpireSubscription)]
        }
        "trialing" | "active" | "past_due" | "unpaid" => {
            let mut due = vec![at(period(subscription).1, Task::EndPeriod)];
            due.extend(
                subscription["cancel_at"].as_i64().map(|end| at(end, Task::EndSubscription)),
            );
            let end = number(&subscription["trial_end"]);
            if subscription["status"] == "trialing" && !world.announced.contains(&(id.clone(), end))
            {
                due.push(at((end - TRIAL_NOTICE).max(world.now), Task::AnnounceTrialEnd));
            }
            due
        }
        _ => Vec::new(),
    }
}

fn perform(world: &mut World, task: Task, id: &str) {
    match task {
        Task::ExpireCheckout => {
            checkout::expire(world, id).expect("it was open");
        }
        Task::AnnounceTrialEnd => {
            let subscription = world.the(id);
            world.announced.insert((id.to_owned(), number(&subscription["trial_end"])));
            world.emit("customer.subscription.trial_will_end", &subscription, None);
        }
        Task::ExpireSubscription => subscriptions::expire(world, id),
        Task::ExpirePendingChange => subscription_changes::expire_pending(world, id),
        Task::EndSubscription => subscriptions::end(world, id),
        Task::EndPeriod => end_period(world, id),
        Task::Finalize => {
            invoices::finalize(world, id);
            invoice_payments::collect_by_default(world, id);
        }
        Task::CollectAgain => invoice_payments::collect_by_default(world, id),
    }
}

/// A period ends. A trial without a card ends as it was asked to.
fn end_period(world: &mut World, id: &str) {
    let subscription = world.the(id);
    let card = subscription["default_payment_method"].as_str().map(str::to_owned);
    let card = card.or_else(|| cards::default_of(world, text(&subscription["customer"])));
    let behavior = &subscription["trial_settings"]["end_behavior"]["missing_payment_method"];
    match text(behavior) {
        "cancel" if subscription["status"] == "trialing" && card.is_none() => {
            subscriptions::end(world, id);
        }
        "pause" if subscription["status"] == "trialing" && card.is_none() => {
            let events = ["customer.subscription.paused", "customer.subscription.updated"];
            world.change(id, &events, serde_json::json!({ "status": "paused" }));
        }
        _ => subscriptions::roll(world, id),
    }
}

fn id_of(object: &Value) -> String {
    text(&object["id"]).to_owned()
}
