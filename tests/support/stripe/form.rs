//! Bodies and queries: nested brackets become objects and lists, all leaves are text.

use std::collections::BTreeMap;

use reqwest::Url;
use serde_json::{Map, Value, json};

use super::failure::{Failure, Outcome};

/// What a caller sent. Places inside are named by words with dots between: `recurring.interval`.
#[derive(Clone, Debug, PartialEq)]
pub struct Form(Value);

impl Default for Form {
    fn default() -> Self {
        Self(json!({}))
    }
}

impl Form {
    pub fn parse(text: &str) -> Self {
        let url = Url::parse(&format!("http://form/?{text}")).expect("any text may be a query");
        let mut root = Branch::default();
        for (name, value) in url.query_pairs() {
            root.put(&places(&name), value.into_owned());
        }
        Self(root.into_value())
    }

    /// What a lever sends instead of a caller.
    pub fn of(value: Value) -> Self {
        Self(value)
    }

    pub fn value(&self) -> &Value {
        &self.0
    }

    pub fn at(&self, place: &str) -> &Value {
        self.0.pointer(&format!("/{}", place.replace('.', "/"))).unwrap_or(&Value::Null)
    }

    /// Sent, be it empty.
    pub fn has(&self, place: &str) -> bool {
        !self.at(place).is_null()
    }

    pub fn text(&self, place: &str) -> Option<&str> {
        self.at(place).as_str().filter(|text| !text.is_empty())
    }

    pub fn required(&self, place: &str) -> Outcome<&str> {
        self.text(place).ok_or_else(|| Failure::missing(&bracketed(place)))
    }

    pub fn integer(&self, place: &str) -> Outcome<Option<i64>> {
        let Some(text) = self.text(place) else { return Ok(None) };
        let wrong = || {
            Failure::coded("parameter_invalid_integer", &format!("Invalid integer: {text}"))
                .at(&bracketed(place))
        };
        text.parse().map(Some).map_err(|_| wrong())
    }

    pub fn flag(&self, place: &str) -> Outcome<Option<bool>> {
        match self.text(place) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(text) => {
                let message = format!("Invalid boolean: {text}");
                Err(Failure::invalid(&message).at(&bracketed(place)))
            }
        }
    }

    /// One of several words, the first where none was sent.
    pub fn one_of<'a>(&'a self, place: &str, words: &[&'a str]) -> Outcome<&'a str> {
        match self.text(place) {
            None => Ok(words[0]),
            Some(word) if words.contains(&word) => Ok(word),
            Some(word) => {
                let message =
                    format!("Invalid {place}: must be one of {}, not {word}", words.join(", "));
                Err(Failure::invalid(&message).at(&bracketed(place)))
            }
        }
    }

    pub fn part(&self, place: &str) -> Self {
        match self.at(place) {
            part @ Value::Object(_) => Self(part.clone()),
            _ => Self::default(),
        }
    }

    pub fn rows(&self, place: &str) -> Vec<Self> {
        let rows = self.at(place).as_array();
        rows.map(|rows| rows.iter().cloned().map(Self).collect()).unwrap_or_default()
    }

    pub fn words(&self, place: &str) -> Vec<&str> {
        let words = self.at(place).as_array();
        words.map(|words| words.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
    }

    /// The text, or null.
    pub fn or_null(&self, place: &str) -> Value {
        self.text(place).map_or(Value::Null, Value::from)
    }

    /// What metadata become: an empty value takes its key away, an empty text takes all away.
    pub fn metadata(&self, before: &Value) -> Outcome {
        let mut after = before.as_object().cloned().unwrap_or_default();
        match self.at("metadata") {
            Value::Object(sent) => {
                for (key, value) in sent {
                    match value.as_str() {
                        Some("") => after.remove(key),
                        _ => after.insert(key.clone(), value.clone()),
                    };
                }
            }
            Value::String(_) => after.clear(),
            _ => {}
        }
        let short = |(key, value): (&String, &Value)| {
            key.chars().count() <= 40
                && value.as_str().is_some_and(|text| text.chars().count() <= 500)
        };
        if after.len() > 50 || !after.iter().all(short) {
            let message = "Metadata can have up to 50 keys of 40 and values of 500 characters.";
            return Err(Failure::invalid(message).at("metadata"));
        }
        Ok(Value::Object(after))
    }
}

fn bracketed(place: &str) -> String {
    let mut words = place.split('.');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| format!("{name}[{word}]"))
}

fn places(name: &str) -> Vec<String> {
    name.split('[').map(|place| place.trim_end_matches(']').to_owned()).collect()
}

/// A value on its way: what is numbered becomes a list in the end.
#[derive(Default)]
struct Branch {
    leaf: Option<String>,
    branches: BTreeMap<String, Branch>,
}

impl Branch {
    fn put(&mut self, places: &[String], value: String) {
        let Some((first, rest)) = places.split_first() else {
            self.leaf = Some(value);
            return;
        };
        let name = if first.is_empty() { self.branches.len().to_string() } else { first.clone() };
        self.branches.entry(name).or_default().put(rest, value);
    }

    fn into_value(self) -> Value {
        if let Some(leaf) = self.leaf {
            return leaf.into();
        }
        let numbers: Option<BTreeMap<usize, String>> =
            self.branches.keys().map(|name| Some((name.parse().ok()?, name.clone()))).collect();
        let mut branches = self.branches;
        match numbers {
            Some(numbers) if !numbers.is_empty() => {
                let rows = numbers.values().filter_map(|name| branches.remove(name));
                Value::Array(rows.map(Self::into_value).collect())
            }
            _ => {
                let fields = branches.into_iter().map(|(name, branch)| (name, branch.into_value()));
                Value::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}
