//! Why auto-recharge refuses.

/// Why auto-recharge refuses. Told to the client word for word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RechargeError {
    #[error("a threshold is at least one credit: less than none is never available")]
    Threshold,
    #[error("the monthly cap must pay for the pack at least once, in its currency")]
    Cap,
    #[error("auto-recharge is off")]
    Off,
    #[error("a recharge is in flight already")]
    InFlight,
    #[error("there is no recharge of that number")]
    Unknown,
    #[error("the pack is another one or costs more than was agreed to")]
    Dearer,
    #[error("it is too soon after the last recharge")]
    TooSoon,
    #[error("the balance is not below the threshold")]
    Enough,
    #[error("nothing was spent since the last recharge, or since it was turned on")]
    NothingSpent,
    #[error("the monthly cap is reached")]
    OverCap,
}
