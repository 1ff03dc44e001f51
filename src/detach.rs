//! Work that nobody stops half-way by going away.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tracing::{Instrument, Span};

/// Work that runs where it is waited for, without a task of its own: handing it to another task, which another
/// thread takes, costs more than most of it. Where whoever waits goes before its end, the rest of it is detached
/// into a task. Who keeps it and does not poll it holds it up.
pub struct DetachOnDrop<T: Send + 'static> {
    work: Option<Work<T>>,
    /// What it is part of, when nobody waits for it any more.
    span: Span,
}

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl<T: Send + 'static> DetachOnDrop<T> {
    /// Nothing is done before it is polled, or dropped.
    pub fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self { work: Some(Box::pin(work)), span: Span::current() }
    }
}

impl<T: Send + 'static> Future for DetachOnDrop<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Work that panics is not put back: there is no rest of it.
        let mut work = self.work.take().expect("nobody waits for what has ended");
        let polled = work.as_mut().poll(context);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T: Send + 'static> Drop for DetachOnDrop<T> {
    fn drop(&mut self) {
        // Where the runtime is gone, so is the process.
        if let (Some(rest), Ok(runtime)) = (self.work.take(), Handle::try_current()) {
            runtime.spawn(rest.instrument(self.span.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn it_runs_in_the_task_that_waits_for_it() {
        let task = || tokio::task::try_id().map(|id| id.to_string());
        #[expect(clippy::disallowed_methods, reason = "it is waited for")]
        let both =
            tokio::spawn(async move { (task(), DetachOnDrop::new(async move { task() }).await) });
        let (here, there) = both.await.expect("no panic");
        assert!(here.is_some());
        assert_eq!(here, there);
    }

    #[tokio::test]
    async fn the_rest_of_it_runs_though_nobody_waits_any_more() {
        let (begun, mut begins) = oneshot::channel();
        let (go_on, goes_on) = oneshot::channel::<()>();
        let (done, ends) = oneshot::channel();
        let mut work = DetachOnDrop::new(async move {
            let _ = begun.send(());
            let _ = goes_on.await;
            let _ = done.send(());
        });
        assert!((&mut work).now_or_never().is_none());
        assert!(begins.try_recv().is_ok(), "it has begun");
        drop(work);
        go_on.send(()).expect("somebody is at it");
        ends.await.expect("it is done");
    }

    #[tokio::test]
    async fn what_was_never_waited_for_is_done_all_the_same() {
        let (done, ends) = oneshot::channel();
        drop(DetachOnDrop::new(async move { done.send(()) }));
        ends.await.expect("it is done");
    }
}
