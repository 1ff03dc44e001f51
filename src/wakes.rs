//! Who waits on this node for news of something, by its id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use uuid::Uuid;

/// Who waits on this node; cheap to clone.
#[derive(Clone, Default)]
pub struct Wakes(Arc<Mutex<HashMap<Uuid, watch::Sender<()>>>>);

impl Wakes {
    /// Tells of news that come from now on. Whoever begins to wait before they look misses none.
    #[must_use]
    pub fn of(&self, id: Uuid) -> watch::Receiver<()> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(id).or_default().subscribe()
    }

    /// There are news of this.
    pub fn wake(&self, id: Uuid) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody waits any more where this fails.
        if waiting.get(&id).is_some_and(|sender| sender.send(()).is_err()) {
            waiting.remove(&id);
        }
    }

    /// There may be news of everything.
    pub fn wake_all(&self) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|_, sender| sender.send(()).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_one_is_not_woken_for_another_and_nobody_is_kept_for_ever() {
        let (wakes, [one, other]) = (Wakes::default(), [Uuid::now_v7(), Uuid::now_v7()]);
        let waiting = wakes.of(one);
        wakes.wake(other);
        assert!(!waiting.has_changed().expect("somebody tells"));
        wakes.wake(one);
        assert!(waiting.has_changed().expect("somebody tells"));
        drop(waiting);
        wakes.wake(one);
        assert!(wakes.0.lock().expect("not poisoned").is_empty());
    }
}
