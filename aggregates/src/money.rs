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
    fn a_currency_is_three_letters_in_whatever_case() {
        assert_eq!("USD".parse::<Currency>().map(|usd| usd.to_string()), Ok("usd".to_owned()));
        for wrong in ["", "us", "usdt", "us1", "€€"] {
            assert_eq!(wrong.parse::<Currency>(), Err(NotCurrency), "{wrong}");
        }
    }
}
