//! Prorations, to the second: unused time is given back at the old price, what remains is
//! charged at the new.

use serde_json::Value;

use super::invoices::Line;
use super::world::{number, text};

/// The share of an amount that some seconds of a period have, to the nearest unit.
pub fn share(amount: i64, seconds: i64, period: i64) -> i64 {
    let (whole, part) = (i128::from(amount) * i128::from(seconds), i128::from(period.max(1)));
    let half = if whole < 0 { -part / 2 } else { part / 2 };
    i64::try_from((whole + half) / part).expect("a share is no more than the whole")
}

/// What the rest of an item's period is worth: negative to give it back.
pub fn rest(subscription: &str, item: &Value, at: i64, sign: i64) -> Line {
    let (start, end) = (number(&item["current_period_start"]), number(&item["current_period_end"]));
    let whole = number(&item["price"]["unit_amount"]) * number(&item["quantity"]);
    let what = if sign < 0 { "Unused" } else { "Remaining" };
    Line {
        description: format!("{what} time on {} after {at}", text(&item["price"]["id"])),
        amount: sign * share(whole, end - at, end - start),
        price: item["price"].clone(),
        quantity: number(&item["quantity"]),
        period: (at, end),
        proration: true,
        item: text(&item["id"]).to_owned(),
        subscription: subscription.to_owned(),
    }
}
