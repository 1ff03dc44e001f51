//! AI calls that this process makes: it does not stop before they are charged, or given back.

use std::sync::Arc;

use tokio::sync::watch;

/// How many there are; cheap to clone.
#[derive(Clone, Debug)]
pub struct Calls(Arc<watch::Sender<usize>>);

/// One of them, until it is dropped.
#[derive(Debug)]
pub struct Call(Calls);

impl Default for Calls {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Calls {
    /// One more.
    #[must_use]
    pub fn begin(&self) -> Call {
        self.0.send_modify(|calls| *calls += 1);
        Call(self.clone())
    }

    /// Waits until there is none.
    pub async fn ended(&self) {
        // Who could tell is here.
        let _ = self.0.subscribe().wait_for(|calls| *calls == 0).await;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.send_modify(|calls| *calls = calls.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn all_have_ended_when_the_last_has() {
        let calls = Calls::default();
        let (one, other) = (calls.begin(), calls.begin());
        drop(one);
        assert!(calls.ended().now_or_never().is_none());
        drop(other);
        assert!(calls.ended().now_or_never().is_some());
    }
}
