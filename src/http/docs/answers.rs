//! What every operation may answer besides what it says itself: who is not known, what is not readable, what is too
//! much. Said once for all of them, as middleware and extractors answer once for all.

use serde_json::{Value, json};

/// Who looks after the server is not counted, and asks with nothing.
const WATCHED: [&str; 4] = ["/livez", "/readyz", "/healthz", "/metrics"];
const PROBLEM: &str = "#/components/schemas/Problem";
const PROBLEM_JSON: &str = "application/problem+json";

/// Adds what is missing to a document, and says of problems how they are sent.
pub(super) fn complete(document: &mut Value) {
    let Some(paths) = document.get_mut("paths").and_then(Value::as_object_mut) else { return };
    for (path, item) in paths {
        let operations = item.as_object_mut().into_iter().flatten();
        for (_, operation) in operations.filter(|(_, it)| it.get("responses").is_some()) {
            constrain(operation);
            let missing = usual(path, operation);
            if let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
                for (status, what) in missing {
                    responses.entry(status).or_insert_with(|| answer(path, what));
                }
                responses.values_mut().for_each(send_as_problem);
            }
        }
    }
}

/// The statuses that an operation may answer by what it takes.
fn usual(path: &str, operation: &Value) -> Vec<(&'static str, &'static str)> {
    if WATCHED.iter().any(|watched| path.starts_with(watched)) {
        return vec![];
    }
    let takes = |place: &str| {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        parameters.into_iter().any(|parameter| parameter["in"] == place)
    };
    let mut usual = vec![
        ("429", "too many requests: wait for Retry-After"),
        ("503", "busy, or a part of the house is away: ask again"),
    ];
    let has_body = operation.get("requestBody").is_some();
    if has_body || takes("header") || takes("query") {
        usual.push(("400", "not readable"));
    }
    if has_body {
        usual.push(("408", "the body did not come in time: ask again"));
        usual.push(("413", "longer than a body may be"));
        usual.push(("415", "not sent as application/json"));
    }
    if (has_body || takes("query") || takes("header")) && !path.starts_with("/v1/") {
        usual.push(("422", "readable, and not acceptable: see errors"));
    }
    if takes("path") {
        usual.push(("404", "no such thing, or not the caller's"));
    }
    if operation.get("security").is_some() {
        usual.push(("401", "nobody is known by what was sent"));
        usual.push(("403", "the caller may not do this"));
    }
    usual
}

/// A problem, in the words of whoever asks.
fn answer(path: &str, what: &str) -> Value {
    let (kind, schema) = if path.starts_with("/v1/") {
        ("application/json", "#/components/schemas/Failure")
    } else {
        (PROBLEM_JSON, PROBLEM)
    };
    json!({ "description": what, "content": { kind: { "schema": { "$ref": schema } } } })
}

fn send_as_problem(response: &mut Value) {
    let content = response.get_mut("content").and_then(Value::as_object_mut);
    let Some(content) = content else { return };
    let is_problem =
        content.get("application/json").is_some_and(|it| it["schema"]["$ref"] == PROBLEM);
    if is_problem && let Some(problem) = content.remove("application/json") {
        content.insert(PROBLEM_JSON.to_owned(), problem);
    }
}

/// A parameter that is nothing is not sent.
fn never_null(schema: &mut Value) {
    if let Some(kinds) = schema.get_mut("type").and_then(Value::as_array_mut) {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            schema["type"] = kind.clone();
        }
    }
}

/// What parameters that are the same everywhere may say.
fn constrain(operation: &mut Value) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    let parameters = parameters.into_iter().flatten();
    for parameter in parameters {
        never_null(&mut parameter["schema"]);
        if parameter["in"] != "header" {
            continue;
        }
        let bounds = match parameter["name"].as_str() {
            Some("Idempotency-Key") => {
                json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*[!-~][ -~]*$" })
            }
            Some("X-Min-Position") => json!({ "type": "integer", "format": "int64", "minimum": 0 }),
            _ => continue,
        };
        parameter["schema"] = bounds;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn completed(path: &str, operation: &Value) -> Map<String, Value> {
        let mut document = json!({ "paths": { path: { "post": operation } } });
        complete(&mut document);
        document["paths"][path]["post"]["responses"].as_object().expect("answers").clone()
    }

    #[test]
    fn problems_are_sent_as_problems_and_what_is_said_already_stands() {
        let said = json!({ "description": "gone", "content": {
            "application/json": { "schema": { "$ref": PROBLEM } } } });
        let answers = completed("/api/v1/x", &json!({ "responses": { "429": said } }));
        assert_eq!(answers["429"]["description"], "gone");
        assert_eq!(answers["429"]["content"][PROBLEM_JSON]["schema"]["$ref"], PROBLEM);
        assert!(answers.contains_key("503") && !answers.contains_key("415"));
    }

    #[test]
    fn what_takes_a_body_says_how_it_may_not_be_sent_and_clients_of_openai_read_their_own_shape() {
        let answers =
            completed("/v1/x", &json!({ "responses": {}, "requestBody": {}, "security": [] }));
        let statuses: Vec<_> = answers.keys().map(String::as_str).collect();
        assert_eq!(statuses, ["400", "401", "403", "408", "413", "415", "429", "503"]);
        assert!(answers["413"]["content"]["application/json"].is_object());
        assert_eq!(completed("/livez", &json!({ "responses": {} })).len(), 0);
    }
}
