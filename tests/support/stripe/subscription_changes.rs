//! Changes of subscriptions, as an application or the portal asks for them.

use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::form::Form;
use super::invoices::{self, Draft, Line};
use super::moods::Mood;
use super::prorations::rest;
use super::subscription_items::{
    Changed, change, items_of, list_of, period, period_from, whole, with_period,
};
use super::subscriptions::{self, PendingChange, is_live};
use super::world::{World, text};
use super::{cards, invoice_payments};

/// How long a change waits for its payment.
const PENDING_LASTS: i64 = 23 * 3600;

pub fn update(world: &mut World, id: &str, form: &Form) -> Outcome {
    let subscription = world.find("subscription", id)?;
    if !is_live(&subscription) {
        let message =
            "A canceled subscription can only update its cancellation_details and metadata.";
        return Err(Failure::invalid(message));
    }
    if form.has("cancel_at") && form.has("cancel_at_period_end") {
        let message =
            "Received both cancel_at_period_end and cancel_at parameters. Please pass in only one.";
        return Err(Failure::invalid(message));
    }
    let waits = form.text("payment_behavior") == Some("pending_if_incomplete");
    if waits && (form.has("metadata") || form.has("cancel_at_period_end")) {
        let message =
            "`pending_if_incomplete` does not go with `metadata` or `cancel_at_period_end`.";
        return Err(Failure::invalid(message).at("payment_behavior"));
    }
    let (patch, bill) = plan(world, &subscription, form)?;
    let Some(lines) = bill else {
        return Ok(world.change(id, &["customer.subscription.updated"], patch));
    };
    charge(world, &subscription, form, patch, lines)
}

/// What the subscription will be, and what is charged for it at once.
fn plan(
    world: &mut World,
    subscription: &Value,
    form: &Form,
) -> Outcome<(Value, Option<Vec<Line>>)> {
    let id = text(&subscription["id"]);
    let mut patch = facts(world, subscription, form)?;
    let ends_trial = form.text("trial_end") == Some("now") && subscription["status"] == "trialing";
    if !form.has("items") && !ends_trial {
        return Ok((patch, None));
    }
    if subscription["status"] == "incomplete" {
        let message = "An incomplete subscription cannot be changed before its first payment.";
        return Err(Failure::invalid(message));
    }
    let behavior =
        form.one_of("proration_behavior", &["create_prorations", "always_invoice", "none"])?;
    let at = proration_date(world, subscription, form)?;
    let mut changed = change(world, subscription, &form.rows("items"), at)?;
    if behavior == "none" {
        changed.prorations.clear();
    }
    let begins = changed.resets || ends_trial;
    let lines = settle(world, id, &mut changed, begins, &mut patch);
    patch["items"] = list_of(id, &changed.items);
    match behavior {
        _ if begins => Ok((patch, Some(lines))),
        "always_invoice" if !lines.is_empty() => Ok((patch, Some(lines))),
        _ => {
            world.unbilled.entry(id.to_owned()).or_default().extend(lines);
            Ok((patch, None))
        }
    }
}

/// A period that begins now is charged whole, after what is given back.
fn settle(
    world: &World,
    id: &str,
    changed: &mut Changed,
    begins: bool,
    patch: &mut Value,
) -> Vec<Line> {
    let mut lines = std::mem::take(&mut changed.prorations);
    if begins {
        let period = period_from(&changed.items, world.now, world.now);
        changed.items = with_period(&changed.items, period);
        patch["billing_cycle_anchor"] = world.now.into();
        lines.extend(whole(id, &changed.items, period));
    }
    lines
}

/// What changes without any money.
fn facts(world: &World, subscription: &Value, form: &Form) -> Outcome {
    let mut patch = json!({ "metadata": form.metadata(&subscription["metadata"])? });
    for field in ["default_payment_method", "description"] {
        if form.has(field) {
            patch[field] = form.or_null(field);
        }
    }
    if let Some(cancels) = form.flag("cancel_at_period_end")? {
        let reason = cancels.then_some("cancellation_requested");
        patch["cancel_at_period_end"] = cancels.into();
        patch["cancel_at"] = cancels.then_some(period(subscription).1).into();
        patch["canceled_at"] = cancels.then_some(world.now).into();
        patch["cancellation_details"] =
            json!({ "comment": null, "feedback": null, "reason": reason });
    } else if form.has("cancel_at") {
        let at = form.integer("cancel_at")?;
        patch["cancel_at"] = at.into();
        patch["canceled_at"] = at.map(|_| world.now).into();
    }
    match form.text("trial_end") {
        Some("now") => {
            patch["trial_end"] = world.now.into();
            patch["status"] = "active".into();
        }
        Some(_) => {
            let end = form.integer("trial_end")?.unwrap_or(world.now);
            let items = with_period(&items_of(subscription), (world.now, end));
            patch["trial_end"] = end.into();
            patch["billing_cycle_anchor"] = end.into();
            patch["status"] = "trialing".into();
            patch["items"] = list_of(text(&subscription["id"]), &items);
        }
        None => {}
    }
    Ok(patch)
}

pub fn proration_date(world: &World, subscription: &Value, form: &Form) -> Outcome<i64> {
    let at = form.integer("proration_date")?.unwrap_or(world.now);
    let (start, end) = period(subscription);
    if (start..=end).contains(&at) {
        return Ok(at);
    }
    let message = "Cannot specify `proration_date` outside of the current period.";
    Err(Failure::invalid(message).at("proration_date"))
}

/// Changes, and charges at once, in the order that the caller wants.
fn charge(
    world: &mut World,
    subscription: &Value,
    form: &Form,
    patch: Value,
    lines: Vec<Line>,
) -> Outcome {
    let id = text(&subscription["id"]);
    let method = subscription["default_payment_method"].as_str().map(str::to_owned);
    let method = method.or_else(|| cards::default_of(world, text(&subscription["customer"])));
    let mood = world.mood_of(method.as_deref());
    let behavior = form.text("payment_behavior").unwrap_or("allow_incomplete");
    let total: i64 = lines.iter().map(|line| line.amount).sum();
    if behavior == "error_if_incomplete" && mood != Mood::Pays && total > 0 {
        return Err(Failure::declined("card_declined", &Value::Null));
    }
    let draft = Draft {
        subscription: subscription.clone(),
        reason: "subscription_update",
        lines,
        period: (world.now, world.now),
    };
    let waits = behavior == "pending_if_incomplete";
    if !waits {
        world.change(id, &["customer.subscription.updated"], patch.clone());
    }
    let invoice = invoices::open(world, &draft);
    if waits {
        let pending = json!({
            "billing_cycle_anchor": patch["billing_cycle_anchor"],
            "expires_at": world.now + PENDING_LASTS, "subscription_items": patch["items"]["data"],
            "trial_end": null, "trial_from_plan": null,
        });
        let change = PendingChange { subscription: id.to_owned(), patch };
        world.pending_changes.insert(invoice.clone(), change);
        world.set(id, json!({ "pending_update": pending }));
    }
    invoices::finalize(world, &invoice);
    invoice_payments::collect(world, &invoice, method.as_deref(), mood);
    if world.pending_changes.contains_key(&invoice) {
        let before = json!({ "pending_update": null });
        let object = world.the(id);
        world.emit("customer.subscription.updated", &object, Some(before));
    }
    Ok(world.the(id))
}

/// The invoice of a waiting change was paid.
pub fn apply_pending(world: &mut World, change: PendingChange) {
    let PendingChange { subscription, mut patch } = change;
    patch["pending_update"] = Value::Null;
    let events = ["customer.subscription.updated", "customer.subscription.pending_update_applied"];
    world.change(&subscription, &events, patch);
}

/// Nobody paid for a waiting change in time.
pub fn expire_pending(world: &mut World, invoice: &str) {
    let Some(change) = world.pending_changes.remove(invoice) else { return };
    let events = ["customer.subscription.updated", "customer.subscription.pending_update_expired"];
    world.change(&change.subscription, &events, json!({ "pending_update": null }));
    let _ = invoices::void(world, invoice);
}

/// Ends it now; what was not used is given back where asked for.
pub fn cancel(world: &mut World, id: &str, form: &Form) -> Outcome {
    let subscription = world.find("subscription", id)?;
    if !is_live(&subscription) {
        return Err(Failure::no_such("subscription", id));
    }
    if form.flag("prorate")?.unwrap_or(false) {
        let items = items_of(&subscription);
        let lines: Vec<_> = items.iter().map(|item| rest(id, item, world.now, -1)).collect();
        if form.flag("invoice_now")?.unwrap_or(false) {
            let period = (world.now, world.now);
            let draft = Draft { subscription, reason: "subscription_update", lines, period };
            let invoice = invoices::open(world, &draft);
            invoices::finalize(world, &invoice);
        } else {
            world.unbilled.entry(id.to_owned()).or_default().extend(lines);
        }
    }
    subscriptions::end(world, id);
    Ok(world.the(id))
}
