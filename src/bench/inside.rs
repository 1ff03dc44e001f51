//! What a server says of where a call's time went.

use std::time::Duration;

/// What metering took of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) hold: Duration,
    pub(super) capture: Duration,
}

impl Inside {
    /// Reads `Server-Timing`: `hold;dur=1.204, provider;dur=50.310, capture;dur=1.118`, in milliseconds.
    pub(super) fn read(told: &str) -> Option<Self> {
        let part = |wanted: &str| {
            let mut parts = told.split(',').map(str::trim);
            let time = parts.find_map(|part| part.strip_prefix(wanted)?.strip_prefix(";dur="))?;
            Duration::try_from_secs_f64(time.parse::<f64>().ok()? / 1e3).ok()
        };
        Some(Self { hold: part("hold")?, capture: part("capture")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_parts_are_read_and_one_alone_is_nothing() {
        let told = "hold;dur=1.204, provider;dur=50.310, capture;dur=0.118";
        let [hold, capture] = [1_204, 118].map(Duration::from_micros);
        assert_eq!(Inside::read(told), Some(Inside { hold, capture }));
        assert_eq!(Inside::read("hold;dur=1.204"), None);
        assert_eq!(Inside::read("hold;dur=soon, capture;dur=0.118"), None);
    }
}
