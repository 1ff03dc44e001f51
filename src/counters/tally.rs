//! Sums by what they are of.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most different things that one tally tells apart. What they are comes from our own lists and from an
/// operator's files; should it ever come from elsewhere, memory and whoever reads the sums stay safe.
const MOST: usize = 1000;
/// What is one too many.
const OTHER: &str = "other";

/// Sums by so many labels.
#[derive(Debug, Default)]
pub struct Tally<const LABELS: usize>(Mutex<Sums<LABELS>>);

type Sums<const LABELS: usize> = BTreeMap<[String; LABELS], u64>;

impl<const LABELS: usize> Tally<LABELS> {
    /// Adds to what is of these labels.
    pub fn add(&self, labels: [&str; LABELS], amount: u64) {
        let mut sums = self.sums();
        let mut labels = labels.map(str::to_owned);
        if sums.len() >= MOST && !sums.contains_key(&labels) {
            labels = std::array::from_fn(|_| OTHER.to_owned());
        }
        *sums.entry(labels).or_default() += amount;
    }

    /// The sums now.
    #[must_use]
    pub fn read(&self) -> Vec<([String; LABELS], u64)> {
        self.sums().iter().map(|(labels, sum)| (labels.clone(), *sum)).collect()
    }

    fn sums(&self) -> MutexGuard<'_, Sums<LABELS>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_apart_has_an_end() {
        let tally = Tally::<1>::default();
        for number in 0..MOST + 10 {
            tally.add([&number.to_string()], 1);
        }
        tally.add(["0"], 1);
        let sums = tally.read();
        assert_eq!(sums.len(), MOST + 1);
        let sum = |of: &str| sums.iter().find(|([label], _)| label == of).map(|(_, sum)| *sum);
        assert_eq!((sum("0"), sum(OTHER)), (Some(2), Some(10)));
    }
}
