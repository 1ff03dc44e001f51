//! Money: what is paid, never what is spent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A currency, by its ISO 4217 code in lower case, as Stripe writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

/// What is no code of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a currency is three letters, as usd")]
pub struct NotCurrency;

/// An amount in the smallest unit that the currency has at Stripe: cents of USD, whole JPY,
/// thousandths of BHD. Nothing here divides it, so that nothing has to know which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// How many of the smallest unit.
    pub amount_minor: i64,
    /// Of which currency.
    pub currency: Currency,
}

/// What of a payment is reversed, as Stripe has it now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reversal {
    /// What succeeded refunds gave back.
    pub refunded_minor: i64,
    /// What disputes have withdrawn, and not given back.
    pub disputed_minor: i64,
    /// Both, and no more than was paid.
    pub reversed_minor: i64,
    /// Whether a dispute is open.
    pub disputed: bool,
}

/// Currencies without a smaller unit, and those with thousandths, as Stripe has them
/// (docs.stripe.com/currencies).
const WHOLE: [&str; 15] = [
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
];
const THOUSANDTHS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

impl Currency {
    /// How many decimal places its amounts have.
    fn places(self) -> usize {
        let code = self.to_string();
        match code.as_str() {
            code if WHOLE.contains(&code) => 0,
            code if THOUSANDTHS.contains(&code) => 3,
            _ => 2,
        }
    }
}

impl Money {
    /// As people read it: `9.00 USD`, `900 JPY`, `0.900 BHD`.
    #[must_use]
    pub fn told(self) -> String {
        let places = self.currency.places();
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let digits = format!("{:0>width$}", self.amount_minor.unsigned_abs(), width = places + 1);
        let (whole, part) = digits.split_at(digits.len() - places);
        let point = if places > 0 { "." } else { "" };
        let code = self.currency.to_string().to_ascii_uppercase();
        format!("{sign}{whole}{point}{part} {code}")
    }
}

impl FromStr for Currency {
    type Err = NotCurrency;

    fn from_str(code: &str) -> Result<Self, NotCurrency> {
        let code: [u8; 3] = code.as_bytes().try_into().map_err(|_| NotCurrency)?;
        if code.iter().all(u8::is_ascii_alphabetic) {
            Ok(Self(code.map(|letter| letter.to_ascii_lowercase())))
        } else {
            Err(NotCurrency)
        }
    }
}

impl TryFrom<String> for Currency {
    type Error = NotCurrency;

    fn try_from(code: String) -> Result<Self, NotCurrency> {
        code.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.to_string()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{}", char::from(*letter)))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount_minor, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_told_in_the_units_that_people_know() {
        let cases = [
            (900, "usd", "9.00 USD"),
            (-5, "eur", "-0.05 EUR"),
            (900, "jpy", "900 JPY"),
            (900, "bhd", "0.900 BHD"),
        ];
        for (amount_minor, currency, told) in cases {
            let currency = currency.parse().expect("a currency");
            assert_eq!(Money { amount_minor, currency }.told(), told);
        }
    }

    #[test]
    fn a_currency_is_three_letters_in_whatever_case() {
        assert_eq!("USD".parse::<Currency>().map(|usd| usd.to_string()), Ok("usd".to_owned()));
        for wrong in ["", "us", "usdt", "us1", "€€"] {
            assert_eq!(wrong.parse::<Currency>(), Err(NotCurrency), "{wrong}");
        }
    }
}
