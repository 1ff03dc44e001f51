//! Where people are reached: addresses and telephones in the one form in which they are looked up.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::claims::Claim;
use crate::error::{Problem, Result};

/// RFC 5321's longest path, less its brackets.
const LONGEST_EMAIL: usize = 254;

/// Where a person is reached. Never printed: it is personal data.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Contact {
    /// An e-mail address: trimmed, in lower case.
    Email(String),
    /// A telephone: E.164, `+` and 7 to 15 digits.
    Phone(String),
}

impl Contact {
    /// The address as it is looked up; `field` is where it came from.
    pub fn email(field: &str, email: &str) -> Result<Self> {
        let email = email.trim().to_ascii_lowercase();
        let plausible = email.len() <= LONGEST_EMAIL
            && !email.chars().any(|c| c.is_whitespace() || c.is_control() || "<>,;\"".contains(c))
            && email.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty()
                    && local.len() <= 64
                    && !domain.contains('@')
                    && domain.contains('.')
                    && domain.split('.').all(|label| !label.is_empty())
            });
        if plausible {
            return Ok(Self::Email(email));
        }
        Err(Problem::field(field, "must be an e-mail address, such as ada@example.com"))
    }

    /// The telephone as it is looked up; `field` is where it came from.
    pub fn phone(field: &str, phone: &str) -> Result<Self> {
        let phone: String = phone.chars().filter(|c| !" -().".contains(*c)).collect();
        let digits = phone.strip_prefix('+').unwrap_or_default();
        let plausible = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if plausible {
            return Ok(Self::Phone(phone));
        }
        Err(Problem::field(field, "must be a telephone with its country, such as +15551234567"))
    }

    /// The address or the number.
    #[must_use]
    pub fn value(&self) -> &str {
        match self {
            Self::Email(value) | Self::Phone(value) => value,
        }
    }

    /// What only one person can have of it.
    #[must_use]
    pub fn claim(&self) -> Claim {
        match self {
            Self::Email(email) => Claim::email(email),
            Self::Phone(phone) => Claim::phone(phone),
        }
    }
}

/// A name without surrounding space; an empty one is none.
pub fn checked_name(name: Option<String>) -> Result<Option<String>> {
    const LONGEST: usize = 100;
    let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    match &name {
        Some(name) if name.chars().count() > LONGEST || name.chars().any(char::is_control) => {
            Err(Problem::field(
                "name",
                "must have at most 100 characters, none of them control characters",
            ))
        }
        _ => Ok(name),
    }
}

/// A password that may be set, by somebody who is known by these words.
pub fn check_password(password: &SecretString, known: &[&str]) -> Result<()> {
    crate::passwords::check(password, known)
        .map_err(|weakness| Problem::field("password", weakness.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        let read = |text| Contact::email("email", text).map(|contact| contact.value().to_owned());
        assert_eq!(read("  Ada@Example.COM ").expect("an address"), "ada@example.com");
        for wrong in [
            "",
            "ada",
            "ada@example",
            "@example.com",
            "a b@example.com",
            "a@b@c.de",
            "ada@example..com",
            "<ada@example.com>",
            "ada@exa\nmple.com",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_telephone_has_one_form() {
        let read = |text| Contact::phone("to", text).map(|contact| contact.value().to_owned());
        assert_eq!(read("+1 (555) 123-4567").expect("a telephone"), "+15551234567");
        for wrong in ["", "5551234567", "+0123456789", "+123", "+1555123456789012", "+1555x234567"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
