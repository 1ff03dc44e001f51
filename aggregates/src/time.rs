//! Reading the times of the commonest events. The log has one form of time, which chrono's reader, made
//! for all forms of RFC 3339, takes ten times as long for as there is need; replaying a long stream is
//! reading times for a good part.

use std::fmt;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserializer;
use serde::de::{Error, Visitor};

/// Reads a time; one in another form than the log's is read as chrono does.
pub(crate) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
    deserializer.deserialize_str(Time)
}

struct Time;

impl Visitor<'_> for Time {
    type Value = DateTime<Utc>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time as RFC 3339 has it")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<DateTime<Utc>, E> {
        match plain(text.as_bytes()) {
            Some(time) => Ok(time),
            None => text.parse().map_err(E::custom),
        }
    }
}

/// `2026-11-21T14:21:10.390503Z`.
fn plain(text: &[u8]) -> Option<DateTime<Utc>> {
    let text: &[u8; 27] = text.try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
    if marks.iter().any(|(at, mark)| text[*at] != *mark) {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0_u32, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
        })
    };
    let year = i32::try_from(number(0, 4)?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(5, 7)?, number(8, 10)?)?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    Some(date.and_hms_micro_opt(hour, minute, second, number(20, 26)?)?.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[serde(transparent)]
    struct Read(#[serde(deserialize_with = "read")] DateTime<Utc>);

    #[test]
    fn a_time_is_read_as_chrono_reads_it() {
        let times = [
            "2026-11-21T14:21:10.390503Z",
            "2026-02-30T14:21:10.390503Z",
            "2026-11-21T24:21:10.390503Z",
            "2026-11-21T14:21:60.390503Z",
            "2026-11-21 14:21:10.390503Z",
            "2026-11-21T14:21:10.390503+01:00",
            "2026-11-21T14:21:10.3905x3Z",
            "2026-11-21T14:21:10Z",
            "2026-11-21",
            "-026-11-21T14:21:10.390503Z",
        ];
        for time in times {
            let text = serde_json::to_string(time).expect("text");
            let read = serde_json::from_str::<Read>(&text).map(|Read(time)| time).ok();
            assert_eq!(read, time.parse().ok(), "{time}");
        }
    }
}
