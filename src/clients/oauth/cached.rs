//! What is fetched seldom and needed often.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::error::OauthError;

/// How old a value may be: a provider announces new keys long before it drops the old ones.
const LASTS: Duration = Duration::from_hours(1);

/// A value that is fetched when it is needed and there is none, or an old one. Who needs it while it
/// is fetched waits for that, and gets what came of it.
pub(super) struct Cached<T> {
    slot: Mutex<Slot<T>>,
}

struct Slot<T> {
    /// When the fetch of the value began, and the value.
    held: Option<(Instant, Arc<T>)>,
    /// When the last fetch failed, and why.
    failed: Option<(Instant, OauthError)>,
}

impl<T> Cached<T> {
    pub(super) fn new() -> Self {
        Self { slot: Mutex::new(Slot { held: None, failed: None }) }
    }

    /// The value.
    pub(super) async fn get(
        &self,
        fetch: impl Future<Output = Result<T, OauthError>>,
    ) -> Result<Arc<T>, OauthError> {
        self.fetched(|at| at.elapsed() < LASTS, fetch).await
    }

    /// The value as it was after this moment.
    pub(super) async fn get_after(
        &self,
        moment: Instant,
        fetch: impl Future<Output = Result<T, OauthError>>,
    ) -> Result<Arc<T>, OauthError> {
        self.fetched(|at| at > moment, fetch).await
    }

    async fn fetched(
        &self,
        fresh: impl Fn(Instant) -> bool,
        fetch: impl Future<Output = Result<T, OauthError>>,
    ) -> Result<Arc<T>, OauthError> {
        let asked = Instant::now();
        let mut slot = self.slot.lock().await;
        if let Some((at, value)) = &slot.held
            && fresh(*at)
        {
            return Ok(Arc::clone(value));
        }
        // Else a hundred who wait for a provider that hangs would try one after the other.
        if let Some((at, error)) = &slot.failed
            && *at >= asked
        {
            return Err(error.clone());
        }
        let began = Instant::now();
        match fetch.await {
            Ok(value) => {
                let value = Arc::new(value);
                slot.held = Some((began, Arc::clone(&value)));
                Ok(value)
            }
            Err(error) => {
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}
