//! Stripe's public description of its API, and what of an object is not as it says.

use std::fs;

use serde_json::{Map, Value};

use crate::installed::{PIP, Package};

/// It has the description, `spec3.json`, under Stripe's own licence; none of its code is used.
const PACKAGE: Package = Package {
    name: "stripe-spec",
    files: &[("requirements.txt", include_str!("requirements.txt"))],
    program: "python3",
    by: PIP,
};

/// What the description says of values. What else there may be one day is an error, not ignored.
const UNDERSTOOD: &str = "$ref additionalProperties anyOf description enum format items maxLength \
    nullable pattern properties required title type";

pub struct Spec {
    schemas: Value,
}

/// What is wrong, and where.
struct Complaint {
    place: Vec<String>,
    what: String,
}

impl Spec {
    /// None, and said aloud, where it cannot be had.
    pub fn installed() -> Option<Self> {
        let file = PACKAGE.folder()?.join("seahaven_stripe_world/spec/spec3.json");
        let text = fs::read_to_string(file).expect("the description is in the package");
        let mut all: Value = serde_json::from_str(&text).expect("it is JSON");
        Some(Self { schemas: all["components"]["schemas"].take() })
    }

    /// What is wrong about an object of a kind, in words.
    pub fn complaints(&self, kind: &str, object: &Value) -> Vec<String> {
        let schema = &self.schemas[kind];
        assert!(schema.is_object(), "Stripe describes no {kind}");
        let complaints = self.check(schema, object, &[]);
        let words = |wrong: Complaint| format!("{kind} {}: {}", wrong.place.join("."), wrong.what);
        complaints.into_iter().map(words).collect()
    }

    fn check(&self, schema: &Value, value: &Value, place: &[String]) -> Vec<Complaint> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.trim_start_matches("#/components/schemas/");
            return self.check(&self.schemas[name], value, place);
        }
        for word in schema.as_object().expect("a schema").keys() {
            let understood = word.starts_with("x-") || UNDERSTOOD.split(' ').any(|it| it == word);
            assert!(understood, "{word} is not understood");
        }
        if value.is_null() && schema["nullable"] == true {
            return Vec::new();
        }
        if let Some(choices) = schema["anyOf"].as_array() {
            return self.check_any(choices, value, place);
        }
        let fits = match schema["type"].as_str() {
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.as_str().is_some_and(|text| is_text(schema, text)),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("number") => value.is_number(),
            Some("boolean") => value.is_boolean(),
            kind => panic!("{kind:?} is not understood"),
        };
        if !fits {
            let what = format!("{value} is no {}", without_words(schema));
            return vec![Complaint { place: place.to_owned(), what }];
        }
        match value {
            Value::Object(fields) => self.check_fields(schema, fields, place),
            Value::Array(rows) => {
                let row = |(n, row): (usize, &Value)| {
                    self.check(&schema["items"], row, &below(place, &n.to_string()))
                };
                rows.iter().enumerate().flat_map(row).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Where nothing fits, what is wrong by the choice that fits furthest down.
    fn check_any(&self, choices: &[Value], value: &Value, place: &[String]) -> Vec<Complaint> {
        let tried = choices.iter().map(|choice| self.check(choice, value, place));
        let mut tried: Vec<_> = tried.collect();
        let depth = |wrong: &Complaint| wrong.place.len();
        let furthest = |wrong: &Vec<Complaint>| match wrong.iter().map(depth).max() {
            None => (usize::MAX, 0),
            Some(depth) => (depth, usize::MAX - wrong.len()),
        };
        tried.sort_by_key(furthest);
        tried.pop().expect("there is a choice")
    }

    fn check_fields(
        &self,
        schema: &Value,
        fields: &Map<String, Value>,
        place: &[String],
    ) -> Vec<Complaint> {
        let mut wrong = Vec::new();
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().expect("a name");
            if !fields.contains_key(name) {
                wrong.push(Complaint { place: below(place, name), what: "is missing".to_owned() });
            }
        }
        for (name, value) in fields {
            let place = below(place, name);
            match (schema["properties"].get(name), &schema["additionalProperties"]) {
                (Some(schema), _) | (None, schema @ Value::Object(_)) => {
                    wrong.extend(self.check(schema, value, &place));
                }
                (None, Value::Bool(true)) => {}
                // It may have more by the letter, but whoever reads a field that Stripe does not
                // have reads it here only.
                (None, _) => {
                    wrong.push(Complaint { place, what: "is not in Stripe's".to_owned() });
                }
            }
        }
        wrong
    }
}

fn is_text(schema: &Value, text: &str) -> bool {
    let listed = schema["enum"].as_array().is_none_or(|words| words.iter().any(|it| it == text));
    let longest = schema["maxLength"].as_u64().unwrap_or(u64::MAX);
    let short = u64::try_from(text.chars().count()).is_ok_and(|length| length <= longest);
    let start = schema["pattern"].as_str().unwrap_or("^").trim_start_matches('^');
    // The patterns are of addresses, where something is left out by brackets.
    let starts = text.starts_with(start.split('[').next().unwrap_or_default());
    let written = match schema["format"].as_str() {
        Some("currency") => text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_lowercase()),
        Some("decimal") => text.parse::<f64>().is_ok(),
        _ => true,
    };
    listed && short && starts && written
}

/// What a value must be, short enough to be read.
fn without_words(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(fields) = schema.as_object_mut() {
        fields.retain(|name, _| ["type", "enum", "maxLength", "format"].contains(&name.as_str()));
    }
    schema
}

fn below(place: &[String], name: &str) -> Vec<String> {
    let mut place = place.to_owned();
    place.push(name.to_owned());
    place
}
