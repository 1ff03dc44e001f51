//! Disputes: what a bank has taken back, and how much of it is still gone.

use serde_json::Value;

use super::error::StripeError;
use super::fields::Fields;

/// Two exchanges of the same money differ by less than one part in this many.
const EXCHANGE: i128 = 20;

/// A bank that takes a payment back, or asks whether it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// `du_…` or `dp_…`.
    pub id: String,
    /// What is disputed, in the currency's smallest unit.
    pub amount: i64,
    /// In small letters, as Stripe writes it.
    pub currency: String,
    /// As Stripe has it. Where the money is, the balance says.
    pub status: String,
    /// Whether the bank only asks (`warning_…`): it has taken nothing.
    pub is_inquiry: bool,
    /// What of the amount is gone from our balance and has not come back, in its own currency.
    pub withdrawn_minor: i64,
}

/// What went over the balance for a dispute.
struct Moved {
    /// Below zero: taken.
    amount: i64,
    currency: String,
}

impl Dispute {
    pub(super) fn read(answer: &Value) -> Result<Self, StripeError> {
        let fields = Fields::of(answer)?;
        let amount = fields.amount("amount")?;
        let currency: String = fields.required("currency")?;
        let status: String = fields.required("status")?;
        let moved = fields.array("balance_transactions")?;
        let moved = moved.iter().map(Moved::read).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            id: fields.id()?,
            amount,
            withdrawn_minor: still_withdrawn(amount, &currency, &moved),
            currency,
            is_inquiry: status.starts_with("warning_"),
            status,
        })
    }
}

impl Moved {
    fn read(fields: &Fields<'_>) -> Result<Self, StripeError> {
        Ok(Self { amount: fields.required("amount")?, currency: fields.required("currency")? })
    }
}

/// What is gone of `amount`. Fees stand beside the amounts, and do not count.
fn still_withdrawn(amount: i64, currency: &str, moved: &[Moved]) -> i64 {
    let gone = -moved.iter().map(|moved| i128::from(moved.amount)).sum::<i128>();
    let amount = i128::from(amount);
    let withdrawn = if moved.iter().all(|moved| moved.currency == currency) {
        gone.clamp(0, amount)
    } else {
        // The balance has another currency: the part that is gone of what was taken at once. What
        // came back was exchanged on another day, so it is never to the cent.
        let taken = moved.iter().map(|moved| -i128::from(moved.amount)).max().unwrap_or(0);
        let rest = taken / EXCHANGE;
        match gone {
            gone if gone <= rest => 0,
            gone if gone >= taken - rest => amount,
            gone => amount * gone / taken,
        }
    };
    i64::try_from(withdrawn).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn withdrawn(currency: &str, amounts: &[i64]) -> i64 {
        let moved = |amount: &i64| Moved { amount: *amount, currency: currency.to_owned() };
        still_withdrawn(1000, "usd", &amounts.iter().map(moved).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_gone_is_what_was_taken_and_did_not_come_back() {
        assert_eq!(withdrawn("usd", &[]), 0);
        assert_eq!(withdrawn("usd", &[-1000]), 1000);
        assert_eq!(withdrawn("usd", &[-1000, 1000]), 0);
        assert_eq!(withdrawn("usd", &[-1000, 1000, -1000]), 1000);
        assert_eq!(withdrawn("usd", &[-1000, 400]), 600);
        assert_eq!(withdrawn("usd", &[-500, -500]), 1000);
        assert_eq!(withdrawn("usd", &[-2000]), 1000, "never more than is disputed");
        assert_eq!(withdrawn("usd", &[1000, -1000]), 0, "in any order");
        assert_eq!(withdrawn("usd", &[1000]), 0, "never less than nothing");
    }

    #[test]
    fn what_is_gone_in_another_currency_is_a_part_of_what_was_taken() {
        assert_eq!(withdrawn("eur", &[-920]), 1000);
        assert_eq!(withdrawn("eur", &[-920, 905]), 0, "exchanged on another day");
        assert_eq!(withdrawn("eur", &[-920, 935]), 0, "exchanged on another day");
        assert_eq!(withdrawn("eur", &[-920, 460]), 500);
        assert_eq!(withdrawn("eur", &[-920, 905, -930]), 1000);
    }
}
