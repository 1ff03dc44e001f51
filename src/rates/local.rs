//! What one node has counted.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{STEPS, Standing, Verdict, Window, standing};

/// Parts that are locked one by one.
const PARTS: usize = 16;
/// Windows that a part knows; past it, all are forgotten: who has more addresses than that is not stopped by
/// being counted.
const MOST: usize = 50_000;
/// After how many requests of a part those who ask no more are forgotten.
const SWEEP: u32 = 4096;

/// What one node has counted.
pub(super) struct Local {
    began: Instant,
    hashes: RandomState,
    parts: [Mutex<Part>; PARTS],
}

#[derive(Default)]
struct Part {
    counted: HashMap<(String, &'static str), Steps>,
    requests: u32,
}

/// The requests of one window, by steps.
#[derive(Default)]
struct Steps {
    /// When each step stops counting, and its requests; the oldest first.
    steps: VecDeque<(u64, u32)>,
    used: u64,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            hashes: RandomState::new(),
            parts: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Local {
    pub(super) fn count(&self, who: &str, windows: &[Window]) -> Verdict {
        self.count_at(self.now(), who, windows)
    }

    /// How long until the window has room again, where it has none.
    pub(super) fn full(&self, who: &str, window: Window) -> Option<Duration> {
        self.full_at(self.now(), who, window)
    }

    fn full_at(&self, now: u64, who: &str, window: Window) -> Option<Duration> {
        let mut part = self.part(who);
        let steps = part.counted.get_mut(&(who.to_owned(), window.name))?;
        steps.forget(now);
        let standing = steps.standing(window, now);
        (standing.left == 0).then_some(standing.more_in)
    }

    /// Milliseconds from when it began.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn part(&self, who: &str) -> MutexGuard<'_, Part> {
        let part = usize::try_from(self.hashes.hash_one(who) % PARTS as u64).unwrap_or(0);
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At a moment, in milliseconds from when it began.
    fn count_at(&self, now: u64, who: &str, windows: &[Window]) -> Verdict {
        let mut part = self.part(who);
        part.sweep(now);
        let mut standings = Vec::with_capacity(windows.len());
        let mut passes = true;
        for window in windows {
            let steps = part.counted.entry((who.to_owned(), window.name)).or_default();
            steps.forget(now);
            passes &= steps.used < u64::from(window.most);
        }
        for window in windows {
            let steps = part.counted.entry((who.to_owned(), window.name)).or_default();
            if passes {
                steps.add(window, now);
            }
            standings.push(steps.standing(*window, now));
        }
        Verdict { passes, standings }
    }
}

impl Part {
    /// Forgets who has asked nothing lately.
    fn sweep(&mut self, now: u64) {
        if self.counted.len() >= MOST {
            self.counted.clear();
        }
        self.requests += 1;
        if self.requests >= SWEEP {
            self.requests = 0;
            self.counted.retain(|_, steps| steps.steps.back().is_some_and(|(ends, _)| *ends > now));
        }
    }
}

impl Steps {
    fn forget(&mut self, now: u64) {
        while let Some((_, requests)) = self.steps.pop_front_if(|(ends, _)| *ends <= now) {
            self.used = self.used.saturating_sub(requests.into());
        }
    }

    /// A step counts from its beginning until a whole window after its end.
    fn add(&mut self, window: &Window, now: u64) {
        let step = window.step();
        let ends = (now / step + 1 + STEPS) * step;
        match self.steps.back_mut() {
            Some((last, requests)) if *last == ends => *requests += 1,
            _ => self.steps.push_back((ends, 1)),
        }
        self.used += 1;
    }

    fn standing(&self, window: Window, now: u64) -> Standing {
        standing(window, self.used, self.steps.front().map(|(ends, _)| *ends), now)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Window = Window::new("minute", 60, Duration::from_mins(1));
    const SECOND: Window = Window::new("second", 5, Duration::from_secs(1));

    #[test]
    fn the_most_pass_and_come_back_when_their_time_is_over() {
        let local = Local::default();
        for left in (0..60).rev() {
            let verdict = local.count_at(0, "ada", &[MINUTE]);
            assert!(verdict.passes);
            assert_eq!(verdict.standings[0].left, left);
        }
        let full = local.count_at(0, "ada", &[MINUTE]);
        assert!(!full.passes);
        assert!(local.count_at(0, "ben", &[MINUTE]).passes, "others are not hindered");
        let wait = full.retry_after();
        assert!(MINUTE.within <= wait && wait <= MINUTE.within + MINUTE.within / 15, "{wait:?}");
        let wait = u64::try_from(wait.as_millis()).expect("a short time");
        assert!(!local.count_at(wait - 1, "ada", &[MINUTE]).passes);
        assert!(local.count_at(wait, "ada", &[MINUTE]).passes);
    }

    #[test]
    fn whether_a_window_is_full_is_told_without_counting() {
        let local = Local::default();
        for _ in 0..5 {
            assert_eq!(local.full_at(0, "ada", SECOND), None);
            assert!(local.count_at(0, "ada", &[SECOND]).passes);
        }
        let wait = local.full_at(0, "ada", SECOND).expect("it is full");
        let wait = u64::try_from(wait.as_millis()).expect("a short time");
        assert!(local.full_at(wait - 1, "ada", SECOND).is_some());
        assert_eq!(local.full_at(wait, "ada", SECOND), None);
    }

    #[test]
    fn a_window_that_is_full_has_the_others_not_count() {
        let local = Local::default();
        for _ in 0..5 {
            local.count_at(0, "ada", &[SECOND, MINUTE]);
        }
        let refused = local.count_at(0, "ada", &[SECOND, MINUTE]);
        assert!(!refused.passes);
        assert_eq!(refused.standings.iter().map(|it| it.left).collect::<Vec<_>>(), [0, 55]);
    }

    #[test]
    fn who_asks_no_more_is_forgotten() {
        let local = Local::default();
        let known = || -> usize {
            local.parts.iter().map(|part| part.lock().expect("no panic").counted.len()).sum()
        };
        for number in 0..1000 {
            local.count_at(0, &format!("person {number}"), &[SECOND]);
        }
        assert_eq!(known(), 1000);
        // So many that every part has some of them, and enough of their requests.
        for _ in 0..SWEEP / 10 {
            for number in 0..500 {
                local.count_at(5000, &number.to_string(), &[SECOND]);
            }
        }
        assert_eq!(known(), 500);
    }

    proptest! {
        /// Whatever the moments, no stretch of a window's length has more than it allows; and whoever keeps
        /// below it by the precision of two steps is never refused.
        #[test]
        fn no_stretch_has_more_than_a_window_allows(
            pauses in proptest::collection::vec(0_u64..400, 1..200),
        ) {
            let local = Local::default();
            let (mut now, mut passed) = (0, Vec::new());
            for pause in pauses {
                now += pause;
                let within = |span: u64| passed.iter().filter(|at| now - **at < span).count();
                let (lately, loosely) = (within(1000), within(1070));
                let passes = local.count_at(now, "ada", &[SECOND]).passes;
                prop_assert!(!passes || lately < 5, "too many within a second");
                prop_assert!(passes || loosely >= 5, "refused with room");
                if passes {
                    passed.push(now);
                }
            }
        }
    }
}
