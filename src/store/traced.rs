//! Commands, units and batches as spans, for whoever collects traces. A span has one parent: where several are worked on
//! at once, it is in the trace of the first, and tells of the others.

use tracing::Span;
use tracing::field::Empty;

use super::lane::{Answer, Waiting};
use super::unit::Unit;
use super::{ExecuteError, Stored};
use crate::traces::{self, TRACES};

/// A command, until it is answered.
pub(super) fn command<A: Stored>() -> Span {
    tracing::info_span!(
        target: TRACES,
        "command",
        otel.name = %format_args!("command {}", A::TYPE),
        saldo.aggregate = A::TYPE,
        saldo.outcome = Empty,
    )
}

/// What became of a command, in one word.
pub(super) fn became<A: Stored>(answer: &Answer<A>) -> &'static str {
    match answer {
        Ok(outcome) if outcome.replayed => "replayed",
        Ok(outcome) if outcome.events.is_empty() => "nothing",
        Ok(_) => "appended",
        Err(ExecuteError::Refused(_) | ExecuteError::Claimed | ExecuteError::Spent) => "refused",
        Err(ExecuteError::KeyReused) => "key_reused",
        Err(ExecuteError::Busy) => "busy",
        Err(ExecuteError::Unavailable) => "unavailable",
        Err(ExecuteError::Failed(_)) => "failed",
    }
}

/// The first of the commands that waited, and in it that all of them are decided.
pub(super) fn turn<A: Stored>(waiting: &[Waiting<A>]) -> (Span, Span) {
    let mut commands = waiting.iter().map(|waiting| &waiting.span);
    let first = commands.next().cloned().unwrap_or(Span::none());
    let deciding = tracing::info_span!(target: TRACES, parent: &first, "decide");
    traces::link(&deciding, commands);
    (first, deciding)
}

/// A unit, until the log has said what became of it.
pub(super) fn append(unit: &Unit) -> Span {
    tracing::info_span!(
        target: TRACES,
        "append",
        saldo.events = unit.length(),
        saldo.position = Empty,
    )
}

/// A batch of these units, until the log has answered.
pub(super) fn batch<'a>(mut units: impl ExactSizeIterator<Item = &'a Span>) -> Span {
    let count = units.len();
    let Some(first) = units.next() else { return Span::none() };
    let span = tracing::info_span!(target: TRACES, parent: first, "batch", saldo.units = count);
    traces::link(&span, units);
    span
}
