//! Jobs as spans, for whoever collects traces: a trace of its own, since the request that gave it may be long over.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};
use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::traces::TRACES;

/// A job, and the span that all it does is in.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Traced<T>(T);

impl<T: TaskHandler> TaskHandler for Traced<T> {
    const IDENTIFIER: &'static str = T::IDENTIFIER;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let span = span(T::IDENTIFIER, *context.job().attempts());
        let became = self.0.run(context).instrument(span.clone()).await.into_task_handler_result();
        if became.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        became
    }
}

fn span(task: &'static str, tried: i16) -> Span {
    tracing::info_span!(
        target: TRACES,
        parent: None,
        "job",
        otel.name = %format_args!("job {task}"),
        otel.kind = "consumer",
        otel.status_code = Empty,
        saldo.attempt = tried,
    )
}
