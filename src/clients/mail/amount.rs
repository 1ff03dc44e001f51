//! Money as it is read.

use aggregates::money::Money;

/// Currencies whose smallest unit at Stripe is the whole.
const WHOLE: &[&str] = &[
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
];
/// Currencies whose smallest unit at Stripe is the thousandth.
const THOUSANDTHS: &[&str] = &["bhd", "jod", "kwd", "omr", "tnd"];

/// An amount with its currency, such as `9.00 USD`.
pub(super) fn amount(Money { amount_minor, currency }: Money) -> String {
    let code = currency.to_string();
    let (unit, digits) = match code.as_str() {
        code if WHOLE.contains(&code) => (1, 0),
        code if THOUSANDTHS.contains(&code) => (1000, 3),
        _ => (100, 2),
    };
    let (whole, rest) = (amount_minor / unit, (amount_minor % unit).abs());
    let code = code.to_uppercase();
    if digits == 0 { format!("{whole} {code}") } else { format!("{whole}.{rest:0digits$} {code}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_in_the_units_of_its_currency() {
        for (amount_minor, currency, read) in [
            (900, "usd", "9.00 USD"),
            (905, "eur", "9.05 EUR"),
            (900, "jpy", "900 JPY"),
            (9005, "bhd", "9.005 BHD"),
        ] {
            let currency = currency.parse().expect("a currency");
            assert_eq!(amount(Money { amount_minor, currency }), read);
        }
    }
}
