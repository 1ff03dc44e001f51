//! When a provider says to come back.

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The longest time that a provider can keep us away, in seconds: it may be wrong.
const LONGEST: u32 = 3600;

/// Seconds from now, rounded up, at most [`LONGEST`]; none where the headers do not say.
pub(super) fn seconds(headers: &HeaderMap, now: DateTime<Utc>) -> Option<u32> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let exact = text("retry-after-ms").and_then(|text| text.parse::<u64>().ok());
    if let Some(milliseconds) = exact {
        return Some(bounded(milliseconds.div_ceil(1000)));
    }
    let said = text(RETRY_AFTER.as_str())?;
    duration(said).or_else(|| {
        let then = DateTime::parse_from_rfc2822(said).ok()?;
        let milliseconds = (then.to_utc() - now).num_milliseconds();
        Some(bounded(u64::try_from(milliseconds).unwrap_or(0).div_ceil(1000)))
    })
}

/// `34`, `1.5` or, as Google writes it, `34s`.
pub(super) fn duration(text: &str) -> Option<u32> {
    let text = text.strip_suffix('s').unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return None;
    }
    let more = u64::from(fraction.bytes().any(|digit| digit != b'0'));
    Some(bounded(whole.parse::<u64>().unwrap_or(u64::MAX).saturating_add(more)))
}

fn bounded(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn said(name: &'static str, value: &'static str) -> Option<u32> {
        let now = DateTime::parse_from_rfc3339("2026-11-27T12:00:00.5Z").expect("a time");
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
        seconds(&headers, now.to_utc())
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_read_and_rounded_up() {
        assert_eq!(said("retry-after", "0"), Some(0));
        assert_eq!(said("retry-after", " 7 "), Some(7));
        assert_eq!(said("retry-after", "1.25"), Some(2));
        assert_eq!(said("retry-after-ms", "1001"), Some(2));
        assert_eq!(said("retry-after", "Fri, 27 Nov 2026 12:00:09 GMT"), Some(9));
        assert_eq!(duration("34s"), Some(34));
    }

    #[test]
    fn what_is_past_is_now_and_what_is_too_long_is_an_hour() {
        assert_eq!(said("retry-after", "Fri, 27 Nov 2026 11:00:00 GMT"), Some(0));
        assert_eq!(said("retry-after", "Sat, 28 Nov 2026 12:00:00 GMT"), Some(3600));
        assert_eq!(said("retry-after", "99999999999999999999999"), Some(3600));
        assert_eq!(said("retry-after-ms", "99999999999"), Some(3600));
    }

    #[test]
    fn what_is_no_time_says_nothing() {
        for nonsense in ["", "soon", "-1", "1e3", "."] {
            assert_eq!(said("retry-after", nonsense), None, "{nonsense}");
        }
    }
}
