//! What may be sent, where the types of the handlers say less than their checks do: texts above all. A test that sends
//! what the document allows, and what it does not, keeps both the same (`tests/contract`).

use serde_json::{Map, Value, json};

/// Texts that stand in one line.
const LINE: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// The same, with something to read in them.
const WORDS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// Texts of several lines, with something to read in them.
const PROSE: &str = "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$";
/// All other texts: no database keeps U+0000.
const TEXT: &str = "^[^\\u0000]*$";
/// A telephone, with what people write between its digits.
const PHONE: &str = "^[ ().-]*\\+[ ().-]*[1-9]([ ().-]*[0-9]){6,14}[ ().-]*$";
const CURRENCY: &str = "^[A-Za-z]{3}$";
/// A time in microseconds, and the id of a chat.
const CHATS_CURSOR: &str =
    "^[0-9]{1,16}_[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

/// Tells them in the document.
pub(super) fn tell(document: &mut Value) {
    for (schema, field, bounds) in fields() {
        let pointer = format!("/components/schemas/{schema}/properties/{field}");
        merge(&pointer, document.pointer_mut(&pointer), bounds);
    }
    for (schema, bounds) in wholes() {
        let pointer = format!("/components/schemas/{schema}");
        merge(&pointer, document.pointer_mut(&pointer), bounds);
    }
    for (path, name, bounds) in queries() {
        let pointer = format!("/paths/{}/get/parameters", path.replace('/', "~1"));
        let parameters = document.pointer_mut(&pointer).and_then(Value::as_array_mut);
        let mut parameters = parameters.into_iter().flatten();
        let parameter = parameters.find(|parameter| parameter["name"] == name);
        merge(path, parameter.and_then(|parameter| parameter.get_mut("schema")), bounds);
    }
    let mut sent = vec![];
    if let Some(paths) = document.get("paths") {
        bodies(paths, &mut sent);
    }
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    if let Some(schemas) = schemas {
        forbid_nul(schemas, sent);
    }
}

fn merge(name: &str, place: Option<&mut Value>, bounds: Value) {
    debug_assert!(place.is_some(), "the document has nothing that is called {name} any more");
    if let (Some(Value::Object(place)), Value::Object(bounds)) = (place, bounds) {
        place.extend(bounds);
    }
}

/// Fields of schemas.
fn fields() -> Vec<(&'static str, &'static str, Value)> {
    let email = || json!({ "format": "email" });
    let name = || json!({ "pattern": LINE, "maxLength": 100 });
    let reason = || json!({ "pattern": LINE, "minLength": 1, "maxLength": 200 });
    let title = || json!({ "pattern": WORDS, "maxLength": 200, "example": "Trip to Rome" });
    let password = || json!({ "pattern": TEXT, "minLength": 8, "maxLength": 256 });
    let offer = || json!({ "pattern": TEXT, "minLength": 1, "maxLength": 100 });
    let one_of = |words: &[&str]| json!({ "enum": words });
    vec![
        ("Address", "email", email()),
        ("Login", "email", email()),
        ("Register", "email", email()),
        ("Register", "name", name()),
        ("Register", "password", password()),
        ("Reset", "password", password()),
        ("NewPassword", "password", password()),
        ("Typed", "name", name()),
        ("Profile", "name", name()),
        ("ReachedAt", "email", email()),
        ("ReachedAt", "phone", json!({ "pattern": PHONE })),
        ("Link", "provider", one_of(&["google", "github", "x"])),
        ("Wanted", "name", json!({ "pattern": WORDS, "maxLength": 100 })),
        ("Wanted", "per_second", json!({ "minimum": 1, "maximum": 1000 })),
        (
            "Wanted",
            "scopes",
            json!({ "minItems": 1, "items": { "type": "string", "enum": ["wallet_read", "wallet_spend", "ai"] } }),
        ),
        ("Authorize", "reason", reason()),
        ("Debit", "reason", reason()),
        ("Reverse", "reason", reason()),
        ("GiveUp", "reason", reason()),
        ("GrantWanted", "reason", reason()),
        ("VoidWanted", "reason", reason()),
        ("WriteOff", "reason", reason()),
        ("Why", "reason", reason()),
        ("RoleWanted", "reason", reason()),
        ("New", "title", title()),
        ("Title", "title", title()),
        ("Say", "text", json!({ "pattern": PROSE, "maxLength": 16_000, "example": "Hello." })),
        (
            "Question",
            "text",
            json!({ "pattern": TEXT, "minLength": 1, "maxLength": 50_000, "example": "Hello." }),
        ),
        ("EndpointWanted", "url", json!({ "format": "uri" })),
        ("EndpointWanted", "events", json!({ "minItems": 1 })),
        ("EndpointWanted", "description", json!({ "pattern": LINE, "maxLength": 200 })),
        ("EndpointChange", "url", json!({ "format": "uri" })),
        ("EndpointChange", "events", json!({ "minItems": 1 })),
        ("EndpointChange", "description", json!({ "pattern": LINE, "maxLength": 200 })),
        ("PackBody", "name", offer()),
        ("PackBody", "bonus", json!({ "type": "integer" })),
        ("PlanBody", "name", offer()),
        ("PlanBody", "rollover", json!({ "type": "integer" })),
        ("PlanBody", "tier", one_of(&["basic", "pro"])),
        ("PlanBody", "interval", one_of(&["month", "year"])),
        ("Price", "currency", json!({ "pattern": CURRENCY })),
        ("Price", "amount_minor", json!({ "minimum": 1 })),
        ("ChatEvent", "event", chat_events()),
        ("Completion", "messages", messages()),
        ("Completion", "max_tokens", tokens(1)),
        ("Completion", "max_completion_tokens", tokens(1)),
        ("Question", "max_output_tokens", tokens(0)),
        ("Completion", "n", json!({ "minimum": 1, "maximum": 1 })),
        ("Completion", "temperature", json!({ "minimum": 0, "maximum": 2 })),
        ("Completion", "top_p", json!({ "minimum": 0, "maximum": 1 })),
        ("Completion", "tools", json!({ "maxItems": 0 })),
        ("Completion", "functions", json!({ "maxItems": 0 })),
        ("Completion", "function_call", json!({ "enum": ["none", null] })),
        ("Completion", "modalities", json!({ "items": { "type": "string", "const": "text" } })),
        ("Completion", "audio", json!({ "type": "null" })),
        ("Completion", "logprobs", json!({ "enum": [false, null] })),
        ("Completion", "response_format", json!({ "properties": { "type": { "const": "text" } } })),
        ("Prompt", "role", one_of(&["user", "system", "developer", "assistant"])),
        ("Prompt", "content", json!({ "example": "Hello." })),
        ("Prompt", "tool_calls", json!({ "maxItems": 0 })),
        ("Prompt", "function_call", json!({ "type": "null" })),
        ("Part", "type", json!({ "const": "text" })),
        ("Part", "text", json!({ "type": "string" })),
    ]
}

/// Half of what 32 bits hold are no `int32`.
fn tokens(least: u32) -> Value {
    json!({ "format": "int64", "minimum": least, "maximum": u32::MAX })
}

fn chat_events() -> Value {
    json!({ "enum": [
        "message.posted", "reply.started", "message.delta", "message.completed", "message.failed",
        "message.cancelling", "message.cancelled", "message.retried", "chat.retitled", "chat.deleted", "reset",
    ] })
}

/// Somebody must have asked something.
fn messages() -> Value {
    let asked = json!({ "type": "object", "properties": { "role": { "const": "user" } } });
    json!({ "minItems": 1, "maxItems": 1000, "contains": asked })
}

/// Schemas as a whole: what holds between fields.
fn wholes() -> Vec<(&'static str, Value)> {
    let to = |channel: &str, to: Value| json!({ "properties": { "channel": { "const": channel }, "to": to } });
    let reached = || {
        json!({ "oneOf": [
            to("email", json!({ "type": "string", "format": "email" })),
            to("sms", json!({ "type": "string", "pattern": PHONE })),
        ] })
    };
    vec![
        ("CodeTo", reached()),
        ("NewContact", reached()),
        (
            "ReachedAt",
            json!({ "oneOf": [only("email", "phone"), only("phone", "email")],
                "example": { "email": "ada@example.com" } }),
        ),
        ("Agreement", agreement()),
        ("Part", json!({ "required": ["type", "text"] })),
        (
            "Stop",
            json!({ "oneOf": [
                { "type": "string", "pattern": TEXT, "minLength": 1 },
                { "type": "array", "maxItems": 4, "items": { "type": "string", "pattern": TEXT, "minLength": 1 } },
            ] }),
        ),
    ]
}

/// Whoever turns it on says on what, and agrees.
fn agreement() -> Value {
    let amount = || json!({ "type": "integer", "minimum": 1 });
    json!({ "oneOf": [
        { "properties": { "enabled": { "const": false } } },
        {
            "properties": {
                "enabled": { "const": true },
                "consent": { "const": true },
                "pack": { "type": "string", "format": "uuid" },
                "threshold": amount(),
                "monthly_cap_minor": amount(),
            },
            "required": ["enabled", "consent", "pack", "threshold", "monthly_cap_minor"],
        },
    ] })
}

/// One of two fields.
fn only(this: &str, other: &str) -> Value {
    json!({
        "properties": { this: { "type": "string" }, other: { "type": "null" } },
        "required": [this],
    })
}

/// Parameters of queries: above all, where a page of a list may begin.
fn queries() -> Vec<(&'static str, &'static str, Value)> {
    let number = || json!({ "type": "integer", "format": "int64" });
    let id = || json!({ "type": "string", "format": "uuid" });
    vec![
        ("/api/v1/admin/declines", "cursor", number()),
        ("/api/v1/admin/events", "cursor", number()),
        ("/api/v1/admin/jobs", "cursor", number()),
        ("/api/v1/admin/purchases", "cursor", id()),
        ("/api/v1/admin/stripe/reports", "cursor", id()),
        ("/api/v1/admin/users", "cursor", id()),
        ("/api/v1/admin/users/{id}/transactions", "cursor", number()),
        ("/api/v1/admin/verifications", "cursor", id()),
        ("/api/v1/ai/analyses", "cursor", id()),
        ("/api/v1/chats", "cursor", json!({ "pattern": CHATS_CURSOR })),
        ("/api/v1/chats/{id}/messages", "cursor", json!({ "type": "integer", "format": "int32" })),
        ("/api/v1/me/audit", "cursor", number()),
        ("/api/v1/wallet/transactions", "cursor", number()),
        ("/api/v1/webhook-endpoints/{id}/deliveries", "cursor", number()),
        ("/api/v1/admin/purchases", "state", stages()),
    ]
}

fn stages() -> Value {
    json!({ "type": "string", "enum": [
        "nothing", "created", "checkout_opened", "awaiting_payment", "paid", "fulfilled", "expired",
        "payment_failed", "quarantined",
    ] })
}

/// The names of the schemas that are sent.
fn bodies(paths: &Value, sent: &mut Vec<String>) {
    let operations = paths.as_object().into_iter().flatten();
    let operations = operations.flat_map(|(_, item)| item.as_object().into_iter().flatten());
    operations.for_each(|(_, operation)| references(&operation["requestBody"], sent));
}

fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let name =
                fields.get("$ref").and_then(Value::as_str).and_then(|it| it.rsplit('/').next());
            found.extend(name.map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Says of texts that are sent, and of which nothing else is said, that U+0000 is not in them.
fn forbid_nul(schemas: &mut Map<String, Value>, mut names: Vec<String>) {
    let mut at = 0;
    while let Some(name) = names.get(at).cloned() {
        at += 1;
        if names[..at - 1].contains(&name) {
            continue;
        }
        if let Some(schema) = schemas.get_mut(&name) {
            references(schema, &mut names);
            forbid_nul_in(schema);
        }
    }
}

fn forbid_nul_in(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            let is_text = fields.get("type").is_some_and(|kind| match kind {
                Value::Array(kinds) => kinds.iter().any(|kind| kind == "string"),
                kind => kind == "string",
            });
            let is_bound =
                ["pattern", "format", "enum", "const"].iter().any(|it| fields.contains_key(*it));
            if is_text && !is_bound {
                fields.insert("pattern".to_owned(), json!(TEXT));
            }
            fields.values_mut().for_each(forbid_nul_in);
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_nul_in),
        _ => {}
    }
}
