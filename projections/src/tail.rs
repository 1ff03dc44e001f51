//! The end of the log as this node's writer has just written it, so that what follows the log here
//! need not read and decode it again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::journal::{Page, Recorded};

/// Events kept. At 10,000 a second they are those of the last 400 ms; a projection that is farther
/// behind reads the log.
const KEPT: usize = 4_096;

/// The newest events of the log, as far as this node wrote them; cheap to clone. The log alone is
/// the truth: what is missing here is read there.
#[derive(Clone, Default)]
pub struct Tail(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// Events whose positions follow each other without a hole.
    kept: Mutex<VecDeque<Arc<Recorded>>>,
    head: watch::Sender<i64>,
}

impl Tail {
    /// Takes events that are in the log now, in its order, without holes between them.
    pub fn push(&self, appended: Vec<Recorded>) {
        let (Some(first), Some(last)) = (appended.first(), appended.last()) else { return };
        let (first, last) = (first.position, last.position);
        let mut kept = self.kept();
        // Somebody else has written in between.
        if kept.back().is_some_and(|newest| newest.position + 1 != first) {
            kept.clear();
        }
        kept.extend(appended.into_iter().map(Arc::new));
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
        drop(kept);
        self.grown(last);
    }

    /// Takes note that the log is at least this long.
    pub fn grown(&self, position: i64) {
        self.0
            .head
            .send_if_modified(|head| std::mem::replace(head, position.max(*head)) < position);
    }

    /// The last position that this node wrote or heard of.
    #[must_use]
    pub fn head(&self) -> i64 {
        *self.0.head.borrow()
    }

    /// Told whenever the log grows, as far as this node knows.
    #[must_use]
    pub fn heads(&self) -> watch::Receiver<i64> {
        self.0.head.subscribe()
    }

    /// Up to `limit` events after `position`, of all aggregates; none when they are not here.
    pub(crate) fn after(&self, position: i64, limit: i64) -> Option<Page> {
        let kept = self.kept();
        let skipped = usize::try_from(position + 1 - kept.front()?.position).ok()?;
        let limit = usize::try_from(limit).ok()?;
        let recorded: Vec<_> = kept.iter().skip(skipped).take(limit).cloned().collect();
        let last = recorded.last()?.position;
        Some(Page { recorded, last, obstacle: None })
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Recorded>>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use aggregates::event::Event;
    use aggregates::id::UserId;
    use aggregates::wallet::WalletEvent;
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;

    fn events(positions: std::ops::RangeInclusive<i64>) -> Vec<Recorded> {
        let event = WalletEvent::Opened { owner: UserId(Uuid::nil()), at: DateTime::UNIX_EPOCH };
        positions
            .map(|position| Recorded {
                position,
                aggregate_id: Uuid::nil(),
                sequence: 1,
                event: Event::from(event.clone()),
                recorded_at: DateTime::UNIX_EPOCH,
                request_id: None,
            })
            .collect()
    }

    fn after(tail: &Tail, position: i64, limit: i64) -> Option<Vec<i64>> {
        let page = tail.after(position, limit)?;
        let positions: Vec<_> = page.recorded.iter().map(|event| event.position).collect();
        assert_eq!(Some(&page.last), positions.last());
        Some(positions)
    }

    #[test]
    fn what_was_appended_is_read_from_any_place_in_it() {
        let tail = Tail::default();
        assert_eq!(after(&tail, 0, 10), None);
        tail.push(events(5..=6));
        tail.push(events(7..=9));
        assert_eq!(after(&tail, 4, 10), Some(vec![5, 6, 7, 8, 9]));
        assert_eq!(after(&tail, 5, 2), Some(vec![6, 7]));
        assert_eq!(after(&tail, 8, 10), Some(vec![9]));
        assert_eq!(tail.head(), 9);
    }

    #[test]
    fn what_is_older_or_newer_is_not_here() {
        let tail = Tail::default();
        tail.push(events(5..=6));
        assert_eq!(after(&tail, 3, 10), None);
        assert_eq!(after(&tail, 6, 10), None);
        assert_eq!(after(&tail, 7, 10), None);
        tail.grown(8);
        assert_eq!((tail.head(), after(&tail, 6, 10)), (8, None));
    }

    #[test]
    fn after_a_hole_it_begins_anew() {
        let tail = Tail::default();
        tail.push(events(5..=6));
        tail.push(events(8..=9));
        assert_eq!(after(&tail, 4, 10), None);
        assert_eq!(after(&tail, 6, 10), None);
        assert_eq!(after(&tail, 7, 10), Some(vec![8, 9]));
    }

    #[test]
    fn it_forgets_the_oldest() {
        let tail = Tail::default();
        let kept = i64::try_from(KEPT).expect("a small number");
        tail.push(events(1..=kept));
        tail.push(events(kept + 1..=kept + 1));
        assert_eq!(after(&tail, 0, 10), None);
        assert_eq!(after(&tail, 1, 1), Some(vec![2]));
    }
}
