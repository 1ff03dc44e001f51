//! What tokens cost: exact, rounded up once.

use aggregates::credits::Credits;
use serde::Deserialize;

use crate::clients::llm::Tokens;

/// Tokens that a rate is for.
const MILLION: u128 = 1_000_000;

/// A price in credits: whole, and more than zero. What is free is not priced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub struct Rate(Credits);

/// A price that is zero or negative.
#[derive(Debug, thiserror::Error)]
#[error("a price must be a whole number of credits, more than zero")]
pub struct RateError;

impl TryFrom<i64> for Rate {
    type Error = RateError;

    fn try_from(credits: i64) -> Result<Self, RateError> {
        match Credits::try_from(credits) {
            Ok(credits) if !credits.is_zero() => Ok(Self(credits)),
            _ => Err(RateError),
        }
    }
}

impl Rate {
    /// The price.
    #[must_use]
    pub fn credits(self) -> Credits {
        self.0
    }

    fn of(self, tokens: u64) -> u128 {
        u128::from(self.0.get().unsigned_abs()) * u128::from(tokens)
    }
}

/// What a model's tokens cost: credits for a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Of tokens read.
    pub input: Rate,
    /// Of tokens written.
    pub output: Rate,
}

/// The tokens of a call, all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenCount {
    /// Tokens read.
    pub input: u64,
    /// Tokens written.
    pub output: u64,
}

impl TokenCount {
    /// What a provider has said, where it has said both.
    #[must_use]
    pub fn said(tokens: Tokens) -> Option<Self> {
        Some(Self { input: tokens.input?, output: tokens.output? })
    }
}

impl Rates {
    /// What these tokens cost: their exact price in the next whole credits; more than any wallet can hold,
    /// where it is that much. Nothing costs nothing.
    #[must_use]
    pub fn cost(self, tokens: TokenCount) -> Credits {
        let exact = self.input.of(tokens.input) + self.output.of(tokens.output);
        let credits = i64::try_from(exact.div_ceil(MILLION)).unwrap_or(i64::MAX);
        Credits::try_from(credits).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rates(input: i64, output: i64) -> Rates {
        let rate = |credits| Rate::try_from(credits).expect("a price");
        Rates { input: rate(input), output: rate(output) }
    }

    #[test]
    fn the_sum_is_rounded_up_once_and_nothing_costs_nothing() {
        let haiku = rates(1000, 5000);
        let cost = |input, output| haiku.cost(TokenCount { input, output }).get();
        assert_eq!(cost(0, 0), 0);
        assert_eq!(cost(1, 0), 1);
        // 0.5 + 0.5: each alone would be one.
        assert_eq!(cost(500, 100), 1);
        assert_eq!(cost(500, 101), 2);
        assert_eq!(cost(1_000_000, 1_000_000), 6000);
    }

    #[test]
    fn a_cost_beyond_all_credits_is_more_than_anybody_has() {
        let dear = rates(i64::MAX, i64::MAX);
        let all = TokenCount { input: u64::MAX, output: u64::MAX };
        assert_eq!(dear.cost(all).get(), i64::MAX);
    }

    proptest! {
        #[test]
        fn parts_never_cost_less_than_the_whole_nor_more_than_one_credit_each(
            input in 0..2_000_000_u64, first in 0..1_000_000_u64, second in 0..1_000_000_u64,
        ) {
            let rates = rates(777, 3333);
            let whole = rates.cost(TokenCount { input, output: first + second }).get();
            let parts = rates.cost(TokenCount { input, output: first }).get()
                + rates.cost(TokenCount { input: 0, output: second }).get();
            prop_assert!(whole <= parts && parts <= whole + 1);
        }
    }
}
