//! Pages of lists.

use serde_json::{Value, json};

use super::failure::{Failure, Outcome};
use super::form::Form;

/// One page of what there is, newest first.
pub fn page(url: &str, form: &Form, all: Vec<Value>) -> Outcome {
    let limit = form.integer("limit")?.unwrap_or(10);
    if !(1..=100).contains(&limit) {
        return Err(Failure::invalid("Invalid limit: must be between 1 and 100").at("limit"));
    }
    let limit = usize::try_from(limit).unwrap_or(100);
    let all: Vec<_> = all.into_iter().filter(|object| in_time(form, object)).collect();
    let place = |param: &str| -> Outcome<Option<usize>> {
        let Some(id) = form.text(param) else { return Ok(None) };
        let found = all.iter().position(|object| object["id"] == *id);
        found.map(Some).ok_or_else(|| Failure::no_such_at(param, "object", id))
    };
    let (start, end) = match (place("starting_after")?, place("ending_before")?) {
        (Some(after), _) => (after + 1, (after + 1 + limit).min(all.len())),
        (None, Some(before)) => (before.saturating_sub(limit), before),
        (None, None) => (0, limit.min(all.len())),
    };
    let has_more = if form.has("ending_before") { start > 0 } else { end < all.len() };
    Ok(list(url, &all[start..end], has_more))
}

pub fn list(url: &str, data: &[Value], has_more: bool) -> Value {
    json!({ "object": "list", "data": data, "has_more": has_more, "url": url })
}

/// Whether a list that knows the filter wants it.
pub fn wants(form: &Form, param: &str, value: &Value) -> bool {
    form.text(param).is_none_or(|wanted| value == wanted)
}

fn in_time(form: &Form, object: &Value) -> bool {
    let created = object["created"].as_i64().unwrap_or_default();
    let bound = |name: &str| form.text(name).and_then(|text| text.parse::<i64>().ok());
    bound("created").is_none_or(|exactly| created == exactly)
        && bound("created.gt").is_none_or(|bound| created > bound)
        && bound("created.gte").is_none_or(|bound| created >= bound)
        && bound("created.lt").is_none_or(|bound| created < bound)
        && bound("created.lte").is_none_or(|bound| created <= bound)
}
