//! An answer, read field by field: what is wrong in it is named by its path.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::error::StripeError;
use super::{Link, Metadata};

type Result<T> = std::result::Result<T, StripeError>;

/// An object of an answer.
pub(super) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// Where it is, with a full stop at its end where it is not everything.
    path: String,
}

/// What a field can have in it.
pub(super) trait Field<'a>: Sized {
    /// None where something else is there.
    fn read(value: &'a Value) -> Option<Self>;
}

impl<'a> Fields<'a> {
    /// The whole answer.
    pub(super) fn of(answer: &'a Value) -> Result<Self> {
        let map = answer.as_object().ok_or_else(|| StripeError::unusable("object"))?;
        Ok(Self { map, path: String::new() })
    }

    /// What must be there.
    pub(super) fn required<T: Field<'a>>(&self, name: &str) -> Result<T> {
        self.optional(name)?.ok_or_else(|| self.wrong(name))
    }

    /// What need not be there; `null` is not.
    pub(super) fn optional<T: Field<'a>>(&self, name: &str) -> Result<Option<T>> {
        self.value(name).map(|value| T::read(value).ok_or_else(|| self.wrong(name))).transpose()
    }

    /// Money that cannot be less than nothing, in its currency's smallest unit.
    pub(super) fn amount(&self, name: &str) -> Result<i64> {
        self.maybe_amount(name)?.ok_or_else(|| self.wrong(name))
    }

    /// The same, of what need not be there.
    pub(super) fn maybe_amount(&self, name: &str) -> Result<Option<i64>> {
        match self.optional(name)? {
            Some(..0) => Err(self.wrong(name)),
            amount => Ok(amount),
        }
    }

    /// The object's own id.
    pub(super) fn id(&self) -> Result<String> {
        self.reference("id")
    }

    /// The id of another object, which may be there itself.
    pub(super) fn reference(&self, name: &str) -> Result<String> {
        self.maybe_reference(name)?.ok_or_else(|| self.wrong(name))
    }

    /// The same, of what need not be there.
    pub(super) fn maybe_reference(&self, name: &str) -> Result<Option<String>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let id = value.as_str().or_else(|| value.get("id")?.as_str()).filter(|id| !id.is_empty());
        id.map(|id| Some(id.to_owned())).ok_or_else(|| self.wrong(name))
    }

    /// An object in this one.
    pub(super) fn object(&self, name: &str) -> Result<Fields<'a>> {
        self.maybe_object(name)?.ok_or_else(|| self.wrong(name))
    }

    /// The same, of what need not be there.
    pub(super) fn maybe_object(&self, name: &str) -> Result<Option<Fields<'a>>> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let map = value.as_object().ok_or_else(|| self.wrong(name))?;
        Ok(Some(Fields { map, path: format!("{}{name}.", self.path) }))
    }

    /// An object that is expanded here, not just named.
    pub(super) fn expanded(&self, name: &str) -> Result<Option<Fields<'a>>> {
        match self.value(name) {
            Some(Value::Object(_)) => self.maybe_object(name),
            _ => Ok(None),
        }
    }

    /// The objects of an array.
    pub(super) fn array(&self, name: &str) -> Result<Vec<Fields<'a>>> {
        let array = self.value(name).and_then(Value::as_array).ok_or_else(|| self.wrong(name))?;
        let entry = |(n, value): (usize, &'a Value)| {
            let map = value.as_object().ok_or_else(|| self.wrong(&format!("{name}[{n}]")))?;
            Ok(Fields { map, path: format!("{}{name}[{n}].", self.path) })
        };
        array.iter().enumerate().map(entry).collect()
    }

    /// The objects of a list of Stripe's that is all there.
    pub(super) fn whole_list(&self, name: &str) -> Result<Vec<Fields<'a>>> {
        let list = self.object(name)?;
        match list.optional("has_more")? {
            Some(true) => Err(list.wrong("has_more")),
            _ => list.array("data"),
        }
    }

    /// What we wrote on the object.
    pub(super) fn metadata(&self) -> Result<Metadata> {
        let Some(written) = self.maybe_object("metadata")? else { return Ok(Metadata::new()) };
        let text = |name: &String| Ok((name.clone(), written.required(name)?));
        written.map.keys().map(text).collect()
    }

    /// The error that this field is not as it must be.
    pub(super) fn wrong(&self, name: &str) -> StripeError {
        StripeError::unusable(format!("{}{name}", self.path))
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }
}

impl Field<'_> for String {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().map(str::to_owned)
    }
}

impl Field<'_> for Link {
    fn read(value: &Value) -> Option<Self> {
        value.as_str().filter(|url| !url.is_empty()).map(|url| Self(url.to_owned()))
    }
}

impl Field<'_> for i64 {
    fn read(value: &Value) -> Option<Self> {
        value.as_i64()
    }
}

impl Field<'_> for bool {
    fn read(value: &Value) -> Option<Self> {
        value.as_bool()
    }
}

impl Field<'_> for DateTime<Utc> {
    fn read(value: &Value) -> Option<Self> {
        Self::from_timestamp(value.as_i64()?, 0)
    }
}

impl<'a> Field<'a> for &'a Value {
    fn read(value: &'a Value) -> Option<Self> {
        Some(value)
    }
}
