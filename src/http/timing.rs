//! Where a call's time went, as browsers and proxies read it.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::metering::Took;

const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Tells it in `Server-Timing`, in milliseconds.
pub(super) fn tell(headers: &mut HeaderMap, took: &Took) {
    let parts = [("hold", took.hold), ("provider", took.provider), ("capture", took.capture)];
    let parts = parts.map(|(name, time)| {
        let microseconds = time.as_micros();
        format!("{name};dur={}.{:03}", microseconds / 1000, microseconds % 1000)
    });
    if let Ok(value) = HeaderValue::from_str(&parts.join(", ")) {
        headers.insert(SERVER_TIMING, value);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_told_in_milliseconds_with_three_digits_behind() {
        let [hold, provider, capture] = [1_004, 50_120, 7].map(Duration::from_micros);
        let mut headers = HeaderMap::new();
        tell(&mut headers, &Took { hold, provider, capture });
        assert_eq!(
            headers["server-timing"],
            "hold;dur=1.004, provider;dur=50.120, capture;dur=0.007"
        );
    }
}
