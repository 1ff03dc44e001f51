//! Chance that can be had again: numbers that a seed decides, and which seeds a test goes through.

use std::collections::BTreeSet;
use std::thread::panicking;

use futures_util::StreamExt;
use futures_util::stream;

/// One history alone, as a failure has named it.
const ALONE: &str = "SALDO_SEED";

/// xorshift64*: small, and the same each time.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).expect("31 bits") % end
    }

    /// Once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// Takes one out.
    pub fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        let many = from.len();
        (many > 0).then(|| from.swap_remove(self.below(many)))
    }
}

/// Goes through the histories of these seeds and of a fresh one, or of the one that is asked for: what
/// they came to. Each waits most of the time, so two are under way at once.
pub async fn histories<F>(fixed: &[u64], history: impl Fn(u64) -> F) -> BTreeSet<&'static str>
where
    F: Future<Output = BTreeSet<&'static str>>,
{
    let told = |seed| {
        let history = history(seed);
        async move {
            let _told = Told(seed);
            history.await
        }
    };
    let histories = stream::iter(seeds(fixed)).map(told).buffer_unordered(2);
    let outcomes: Vec<_> = histories.collect().await;
    outcomes.into_iter().flatten().collect()
}

/// Whether only one history is asked for.
pub fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

fn seeds(fixed: &[u64]) -> Vec<u64> {
    if let Ok(alone) = std::env::var(ALONE) {
        return vec![alone.parse().expect("a seed is a number")];
    }
    let fresh = saldo::clock::now().timestamp_micros().unsigned_abs() % 1_000_000_007;
    [fixed, &[fresh.max(1)]].concat()
}

/// Where a history fails, tells how to run it again; and the one beside it.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if panicking() {
            eprintln!("{ALONE}={} runs a history that was under way again", self.0);
        }
    }
}
