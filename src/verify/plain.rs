//! A quick way to the facts of the commonest events. The log writes an event in one form: fields
//! in the order in which they are declared, nothing between them. Whatever is in that form is read
//! here in a tenth of the time of a JSON reader; whatever is not is nobody's here, and goes the
//! long way, which also says what is wrong with it.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::facts::{Claim, Figures, Movement, UsageFact, WalletFact};

/// The event, if it is of a common kind, in the common form.
pub(super) fn wallet_fact(payload: &str) -> Option<WalletFact<'_>> {
    let mut text = Plain(payload);
    text.skip("{\"")?;
    let kind = text.until_quote()?;
    text.skip(":{")?;
    let fact = match kind {
        "Debited" => text.debited(),
        "HoldAuthorized" => text.hold_authorized(),
        "HoldCaptured" => text.hold_captured(),
        _ => None,
    }?;
    text.skip("}}")?;
    text.0.is_empty().then_some(fact)
}

/// What is left to read.
struct Plain<'a>(&'a str);

/// What may be null.
type Nullable<T> = Option<T>;

/// The key by which something was spent.
struct Key(Option<Uuid>);

impl<'a> Plain<'a> {
    fn debited(&mut self) -> Option<WalletFact<'a>> {
        let debit = self.field("\"debit\":", Self::uuid)?;
        self.field(",\"origin\":", Self::text)?;
        let Key(key) = self.key()?;
        let amount = self.field(",\"amount\":", Self::number)?;
        let movements = self.field(",\"movements\":", Self::movements)?;
        self.field(",\"price\":", Self::pass)?;
        let reason = Cow::Borrowed(self.field(",\"reason\":", Self::text)?);
        let balance = self.field(",\"balance\":", Self::claim)?;
        let at = self.field(",\"at\":", Self::time)?;
        Some(WalletFact::Debited { debit, key, amount, movements, reason, balance, at })
    }

    fn hold_authorized(&mut self) -> Option<WalletFact<'a>> {
        let hold = self.field("\"hold\":", Self::uuid)?;
        let origin = Cow::Borrowed(self.field(",\"origin\":", Self::text)?);
        let Key(key) = self.key()?;
        let amount = self.field(",\"amount\":", Self::number)?;
        let figures = self.field(",\"figures\":", Self::figures)?;
        let movements = self.field(",\"movements\":", Self::movements)?;
        self.field(",\"price\":", Self::pass)?;
        let reason = Cow::Borrowed(self.field(",\"reason\":", Self::text)?);
        let balance = self.field(",\"balance\":", Self::claim)?;
        let at = self.field(",\"at\":", Self::time)?;
        let fact = WalletFact::HoldAuthorized {
            hold,
            origin,
            key,
            amount,
            figures,
            movements,
            reason,
            balance,
            at,
        };
        Some(fact)
    }

    fn hold_captured(&mut self) -> Option<WalletFact<'a>> {
        let hold = self.field("\"hold\":", Self::uuid)?;
        let amount = self.field(",\"amount\":", Self::number)?;
        let released = self.field(",\"released\":", Self::number)?;
        let last = self.field(",\"last\":", Self::truth)?;
        let figures = self.field(",\"figures\":", Self::figures)?;
        let usage = self.field(",\"usage\":", Self::usage)?;
        let movements = self.field(",\"movements\":", Self::movements)?;
        let balance = self.field(",\"balance\":", Self::claim)?;
        let at = self.field(",\"at\":", Self::time)?;
        let fact = WalletFact::HoldCaptured {
            hold,
            amount,
            released,
            last,
            figures,
            usage,
            movements,
            balance,
            at,
        };
        Some(fact)
    }

    /// What was delivered, where it is said.
    fn usage(&mut self) -> Option<Nullable<UsageFact<'a>>> {
        if self.skip("null").is_some() {
            return Some(None);
        }
        let model = Cow::Borrowed(self.field("{\"model\":", Self::text)?);
        let input_tokens = self.field(",\"input_tokens\":", Self::count)?;
        let output_tokens = self.field(",\"output_tokens\":", Self::count)?;
        if self.skip(",\"prices\":").is_some() {
            self.text()?;
        }
        let estimated = self.skip(",\"estimated\":").is_some() && self.truth()?;
        self.skip("}")?;
        Some(Some(UsageFact { model, input_tokens, output_tokens, estimated }))
    }

    /// A number that is none where nobody knows it.
    fn count(&mut self) -> Option<Nullable<u64>> {
        if self.skip("null").is_some() {
            return Some(None);
        }
        self.number().and_then(|count| u64::try_from(count).ok()).map(Some)
    }

    fn movements(&mut self) -> Option<Vec<Movement>> {
        self.skip("[")?;
        let mut movements = vec![self.movement()?];
        while self.skip(",").is_some() {
            movements.push(self.movement()?);
        }
        self.skip("]").map(|()| movements)
    }

    fn movement(&mut self) -> Option<Movement> {
        let grant = self.field("{\"grant\":", Self::uuid)?;
        let amount = self.field(",\"amount\":", Self::number)?;
        let released = self.unless_zero(",\"released\":")?;
        let expired = self.unless_zero(",\"expired\":")?;
        let from_expired = self.unless_zero(",\"from_expired\":")?;
        let remaining = self.field(",\"remaining\":", Self::number)?;
        let held = self.field(",\"held\":", Self::number)?;
        self.skip("}")?;
        Some(Movement { grant, amount, released, expired, from_expired, remaining, held })
    }

    /// Written only where it was by one.
    fn key(&mut self) -> Option<Key> {
        let named = self.skip(",\"key\":").is_some();
        if named { self.uuid().map(|key| Key(Some(key))) } else { Some(Key(None)) }
    }

    /// A number that is written only where it is not zero.
    fn unless_zero(&mut self, name: &str) -> Option<i64> {
        if self.skip(name).is_some() { self.number() } else { Some(0) }
    }

    fn figures(&mut self) -> Option<Figures> {
        let authorized = self.field("{\"authorized\":", Self::number)?;
        let captured = self.field(",\"captured\":", Self::number)?;
        let released = self.field(",\"released\":", Self::number)?;
        let expires_at = self.field(",\"expires_at\":", Self::time)?;
        self.skip("}").map(|()| Figures { authorized, captured, released, expires_at })
    }

    fn claim(&mut self) -> Option<Claim> {
        let available = self.field("{\"available\":", Self::number)?;
        let held = self.field(",\"held\":", Self::number)?;
        let debt = self.field(",\"debt\":", Self::number)?;
        self.skip("}").map(|()| Claim { available, held, debt })
    }

    fn field<T>(&mut self, name: &str, value: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        self.skip(name)?;
        value(self)
    }

    fn skip(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// A string without escapes, which stands for itself.
    fn text(&mut self) -> Option<&'a str> {
        self.skip("\"")?;
        self.until_quote()
    }

    fn until_quote(&mut self) -> Option<&'a str> {
        let end = self.0.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))?;
        let text = self.0.get(..end)?;
        self.0 = self.0.get(end..)?.strip_prefix('"')?;
        Some(text)
    }

    fn uuid(&mut self) -> Option<Uuid> {
        Uuid::try_parse(self.text_of(Hyphenated::LENGTH)?).ok()
    }

    /// A string of so many bytes, whose value tells whether it is one.
    fn text_of(&mut self, length: usize) -> Option<&'a str> {
        self.skip("\"")?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest.strip_prefix('"')?;
        Some(text)
    }

    /// A whole number as JSON has it: no sign but a minus, no zeros before it.
    fn number(&mut self) -> Option<i64> {
        let digits_from = usize::from(self.0.starts_with('-'));
        let bytes = self.0.as_bytes().get(digits_from..)?;
        let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 || (bytes[0] == b'0' && digits_from + count > 1) {
            return None;
        }
        let (number, rest) = self.0.split_at_checked(digits_from + count)?;
        self.0 = rest;
        number.parse().ok()
    }

    fn truth(&mut self) -> Option<bool> {
        let truth = self.0.starts_with("true");
        self.skip(if truth { "true" } else { "false" }).map(|()| truth)
    }

    /// A time to the microsecond, in UTC.
    fn time(&mut self) -> Option<DateTime<Utc>> {
        time(self.text_of("2026-11-21T14:21:10.390503Z".len())?)
    }

    /// Any value that is of no interest.
    fn pass(&mut self) -> Option<()> {
        match self.0.bytes().next()? {
            b'"' => self.text().map(drop),
            b'n' => self.skip("null"),
            b'{' => {
                self.skip("{")?;
                loop {
                    self.text()?;
                    self.skip(":")?;
                    self.pass()?;
                    if self.skip(",").is_none() {
                        return self.skip("}");
                    }
                }
            }
            _ => self.number().map(drop),
        }
    }
}

/// A time as the log writes it: `2026-11-21T14:21:10.390503Z`.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let [y3, y2, y1, y0, b'-', m1, m0, b'-', d1, d0, b'T', time @ ..] = text.as_bytes() else {
        return None;
    };
    let [h1, h0, b':', i1, i0, b':', s1, s0, b'.', fraction @ .., b'Z'] = time else {
        return None;
    };
    let fraction: &[u8; 6] = fraction.try_into().ok()?;
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(number([*y3, *y2, *y1, *y0])?).ok()?,
        number([*m1, *m0])?,
        number([*d1, *d0])?,
    )?;
    let time = date.and_hms_micro_opt(
        number([*h1, *h0])?,
        number([*i1, *i0])?,
        number([*s1, *s0])?,
        number(*fraction)?,
    )?;
    Some(time.and_utc())
}

/// Decimal digits; so few that they fit.
fn number<const DIGITS: usize>(digits: [u8; DIGITS]) -> Option<u32> {
    digits.into_iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use aggregates::wallet::WalletEvent;
    use serde_json::Value;

    use super::wallet_fact;
    use crate::verify::facts::WalletFact;

    /// Every form of a wallet's event, as the log writes it, at times that are no whole seconds.
    fn payloads() -> impl Iterator<Item = String> {
        let golden = include_str!("../../aggregates/tests/wire.jsonl").lines();
        let golden = golden.map(|line| serde_json::from_str(line).expect("a line of four"));
        let wallet = golden.filter(|(aggregate, ..): &(String, _, _, _)| aggregate == "wallet");
        wallet.map(|(_, _, _, payload): (_, String, String, Value)| {
            let event = serde_json::from_value::<WalletEvent>(payload).expect("an event");
            let text = serde_json::to_string(&event).expect("text");
            text.replace("00:00Z", "07:08.000009Z")
        })
    }

    fn long_way(payload: &str) -> Option<String> {
        serde_json::from_str::<WalletFact<'_>>(payload).ok().map(|fact| format!("{fact:?}"))
    }

    fn quick_way(payload: &str) -> Option<String> {
        wallet_fact(payload).map(|fact| format!("{fact:?}"))
    }

    #[test]
    fn common_events_go_the_quick_way_and_say_the_same() {
        let mut quick = std::collections::BTreeSet::new();
        for payload in payloads() {
            let long = long_way(&payload);
            assert!(long.is_some(), "{payload}");
            if let Some(fact) = quick_way(&payload) {
                assert_eq!(Some(fact), long);
                quick.insert(payload.split('"').nth(1).map(str::to_owned));
            }
        }
        let common = ["Debited", "HoldAuthorized", "HoldCaptured"];
        assert_eq!(quick, common.map(|kind| Some(kind.to_owned())).into());
    }

    /// A byte changed anywhere, or gone: what the quick way makes of it, the long way makes too.
    #[test]
    fn whatever_is_damaged_is_read_the_long_way_or_the_same() {
        for payload in payloads() {
            for at in 0..payload.len() {
                for byte in [" ", "\\", "-", "0", "9", "\"", "}", "z", "\u{1}", ""] {
                    let mut damaged = payload.clone();
                    damaged.replace_range(at..=at, byte);
                    if let Some(fact) = quick_way(&damaged) {
                        assert_eq!(Some(fact), long_way(&damaged), "{damaged}");
                    }
                }
            }
        }
    }
}
