//! The way into the log, and the credits that went it.

use super::page::{Kind, Page, Unit};
use crate::app::App;
use crate::store::Figures;

pub(super) fn tell(page: &mut Page, app: &App) {
    let counted = app.store.metrics().counted();
    batches(page, &counted);
    let mut one = |name, help, value| page.one(name, Kind::Counter, help, value);
    one(
        "saldo_append_conflicts_total",
        "Units of events whose stream had gone on: another node has written.",
        counted.conflicts,
    );
    one(
        "saldo_append_duplicates_total",
        "Units of events with a command that the log knew.",
        counted.duplicates,
    );
    one(
        "saldo_append_retries_total",
        "Tries to send a batch of events that lost the database.",
        counted.retries,
    );
    one(
        "saldo_append_failures_total",
        "Batches of events that the log did not take: it was not reached, or refused them.",
        counted.failures,
    );
    one(
        "saldo_credits_issued_total",
        "Credits that came into wallets by this node.",
        counted.issued,
    );
    one("saldo_credits_consumed_total", "Credits that were spent by this node.", counted.consumed);
    one(
        "saldo_credits_reversed_total",
        "Spent credits that this node gave back.",
        counted.reversed,
    );
    let help = "Units of events that wait to be sent.";
    page.one("saldo_append_waiting", Kind::Gauge, help, app.store.waiting());
    let help = "The last position of the log that this node knows of.";
    page.one("saldo_log_position", Kind::Gauge, help, app.store.head());
}

fn batches(page: &mut Page, counted: &Figures) {
    let help = "How many events a batch had that was sent to the log.";
    page.distribution("saldo_append_batch_events", help, Unit::Pieces, &counted.sizes);
    let help = "How long a batch took until the log had answered, or was given up.";
    let (name, unit) = ("saldo_append_duration_seconds", Unit::Microseconds);
    page.distribution(name, help, unit, &counted.durations);
}
