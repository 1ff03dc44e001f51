//! What a job is given, and how it says that it failed.

use graphile_worker::WorkerContext;

use crate::app::App;
use crate::error::Problem;

/// What the worker was started with.
pub(super) fn part<T: Clone + Send + Sync + 'static>(context: &WorkerContext) -> Result<T, String> {
    let part = context.get_ext::<T>().cloned();
    part.ok_or_else(|| "the worker was started without its parts".to_owned())
}

/// What handlers and background work share.
pub(super) fn app(context: &WorkerContext) -> Result<App, String> {
    part(context)
}

/// Why it failed, as the queue keeps it.
pub(super) fn told(problem: Problem) -> String {
    problem.cause.unwrap_or(problem.detail)
}
