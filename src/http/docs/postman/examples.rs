//! An example of what a schema describes: its own where it has one, else the least that it allows.

use serde_json::{Value, json};

/// An example.
pub(super) fn example(document: &Value, schema: &Value) -> Value {
    // What stands beside a reference goes before what is behind it.
    if let Some(own) = schema.get("example") {
        return own.clone();
    }
    let schema = resolved(document, schema);
    let own = [schema.get("example"), schema["examples"].get(0), schema.get("const")];
    if let Some(own) = own.into_iter().flatten().chain(schema["enum"].get(0)).next() {
        return own.clone();
    }
    match kind(schema) {
        "object" => object(document, schema),
        "array" => json!([example(document, &schema["items"])]),
        "string" => json!(text(schema)),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or(json!(0)),
        "boolean" => json!(false),
        _ => one_of(document, schema),
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    let reference = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    reference.and_then(|pointer| document.pointer(pointer)).unwrap_or(schema)
}

/// Its type; of several the first, since that is the one besides `null`.
fn kind(schema: &Value) -> &str {
    let kinds = &schema["type"];
    kinds.as_str().or_else(|| kinds[0].as_str()).unwrap_or_default()
}

/// What must be there, and what somebody has thought of an example for.
fn object(document: &Value, schema: &Value) -> Value {
    let must = |name: &str| {
        let required = schema["required"].as_array().into_iter().flatten();
        required.into_iter().any(|required| required == name)
    };
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.filter(|(name, field)| must(name) || field.get("example").is_some());
    fields.map(|(name, field)| (name.clone(), example(document, field))).collect()
}

/// The first that is not `null`.
fn one_of(document: &Value, schema: &Value) -> Value {
    let choices = ["oneOf", "anyOf", "allOf"].into_iter();
    let mut choices = choices.filter_map(|name| schema[name].as_array()).flatten();
    choices
        .find(|choice| choice["type"] != "null")
        .map_or(Value::Null, |choice| example(document, choice))
}

fn text(schema: &Value) -> &'static str {
    match schema["format"].as_str() {
        Some("uuid") => "00000000-0000-0000-0000-000000000000",
        Some("date") => "2026-01-31",
        Some("date-time") => "2026-01-31T12:00:00Z",
        Some("email") => "ada@example.com",
        Some("uri") => "https://example.com",
        _ => "",
    }
}
