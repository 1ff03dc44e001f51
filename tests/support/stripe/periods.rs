//! Billing periods: they count from an anchor, so that month ends clamp and come back.

use chrono::{DateTime, Days, Months, TimeDelta, Utc};
use serde_json::Value;

use super::world::{number, text};

/// The first end of a period after a moment: the 31st, then the 28th, then the 31st.
pub fn end_after(anchor: i64, recurring: &Value, moment: i64) -> i64 {
    let start = DateTime::from_timestamp(anchor, 0).expect("a moment of this age");
    let ends = (0..).map(|count| step(start, recurring, count).timestamp());
    ends.into_iter().find(|end| *end > moment).expect("time goes on")
}

fn step(start: DateTime<Utc>, recurring: &Value, count: u32) -> DateTime<Utc> {
    let every = u32::try_from(number(&recurring["interval_count"])).unwrap_or(1).max(1);
    let count = count * every;
    let end = match text(&recurring["interval"]) {
        "day" => start.checked_add_days(Days::new(count.into())),
        "week" => start.checked_add_signed(TimeDelta::weeks(count.into())),
        "year" => start.checked_add_months(Months::new(count * 12)),
        _ => start.checked_add_months(Months::new(count)),
    };
    end.expect("a moment of this age")
}
