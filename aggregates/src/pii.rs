//! Personal data in events: readable with the person's key, and never printed.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Under this name a value that is to be encrypted stands in an event's JSON: `{"$pii": value}`.
pub const CLEAR: &str = "$pii";

/// Under this name an encrypted value stands in an event's stored JSON: `{"$sealed": "…"}`.
pub const SEALED: &str = "$sealed";

/// A piece of personal data. The store encrypts it on the way in and decrypts it on the way out.
#[derive(Clone, PartialEq, Eq, Default)]
pub enum Pii<T> {
    /// Readable.
    Clear(T),
    /// Not readable: the person was erased, or the reader has no keys.
    #[default]
    Hidden,
}

impl<T> Pii<T> {
    /// The value, where it is readable.
    pub fn as_clear(&self) -> Option<&T> {
        match self {
            Self::Clear(value) => Some(value),
            Self::Hidden => None,
        }
    }
}

impl<T> Pii<T> {
    /// What is made of the value, where it is readable.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Pii<U> {
        match self {
            Self::Clear(value) => Pii::Clear(make(value)),
            Self::Hidden => Pii::Hidden,
        }
    }
}

impl<T> std::fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Clear(_) => "Pii(clear)",
            Self::Hidden => "Pii(hidden)",
        })
    }
}

#[derive(Serialize, Deserialize)]
enum Wire<T> {
    #[serde(rename = "$pii")]
    Clear(T),
    #[serde(rename = "$sealed")]
    Sealed(Option<String>),
}

impl<T: Serialize> Serialize for Pii<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Clear(value) => Wire::Clear(value),
            Self::Hidden => Wire::Sealed(None),
        }
        .serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pii<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Wire::deserialize(deserializer)? {
            Wire::Clear(value) => Self::Clear(value),
            Wire::Sealed(_) => Self::Hidden,
        })
    }
}
