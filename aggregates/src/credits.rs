//! Credits: what is granted, held, spent.

use serde::{Deserialize, Serialize};

/// A number of credits: whole, never negative. One credit is the smallest thing that can be spent.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "i64", into = "i64")]
pub struct Credits(i64);

/// A number of credits that cannot be: negative, or larger than an `i64` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a number of credits must be between 0 and 9223372036854775807")]
pub struct NotCredits;

impl Credits {
    /// No credits.
    pub const ZERO: Self = Self(0);

    /// That many credits; for constants, where the number is known not to be negative.
    ///
    /// # Panics
    /// When `amount` does not fit an `i64`; in a constant this is a compile error.
    #[must_use]
    pub const fn new(amount: u32) -> Self {
        Self(amount as i64)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_zero(&self) -> bool {
        self.0 == 0
    }

    /// The sum, unless it is too large.
    pub fn checked_add(self, other: Self) -> Result<Self, NotCredits> {
        self.0.checked_add(other.0).map(Self).ok_or(NotCredits)
    }

    /// The difference, unless it is negative.
    pub fn checked_sub(self, other: Self) -> Result<Self, NotCredits> {
        self.0.checked_sub(other.0).ok_or(NotCredits).and_then(Self::try_from)
    }

    /// The difference, or none where it would be negative.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self((self.0 - other.0).max(0))
    }

    /// The sum of all, unless it is too large.
    pub fn sum(all: impl IntoIterator<Item = Self>) -> Result<Self, NotCredits> {
        all.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl TryFrom<i64> for Credits {
    type Error = NotCredits;

    fn try_from(amount: i64) -> Result<Self, NotCredits> {
        if amount < 0 { Err(NotCredits) } else { Ok(Self(amount)) }
    }
}

impl From<Credits> for i64 {
    fn from(credits: Credits) -> Self {
        credits.0
    }
}

impl std::fmt::Display for Credits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
