//! `expand`: ids become the objects that they name, and what is hidden is shown.

use serde_json::Value;

use super::form::Form;
use super::lists::list;
use super::world::{World, text};

pub fn expand(world: &World, form: &Form, mut object: Value) -> Value {
    for path in form.words("expand") {
        let path: Vec<_> = path.split('.').collect();
        grow(world, &mut object, &path);
    }
    object
}

fn grow(world: &World, value: &mut Value, path: &[&str]) {
    if let Some(object) = value.as_str().and_then(|id| world.get(id)) {
        *value = object.clone();
    }
    let Some((field, rest)) = path.split_first() else { return };
    match value {
        Value::Array(rows) => rows.iter_mut().for_each(|row| grow(world, row, path)),
        Value::Object(_) => {
            if let Some(hidden) = hidden(world, value, field) {
                value[*field] = hidden;
            }
            if !value[*field].is_null() {
                grow(world, &mut value[*field], rest);
            }
        }
        _ => {}
    }
}

/// What an object has only for those who ask.
fn hidden(world: &World, object: &Value, field: &str) -> Option<Value> {
    let id = text(&object["id"]);
    let (kind, by) = match (text(&object["object"]), field) {
        ("checkout.session", "line_items") => return Some(world.hidden(id, field).clone()),
        ("invoice", "payments") => ("invoice_payment", "invoice"),
        ("charge", "refunds") => ("refund", "charge"),
        ("customer", "subscriptions") => ("subscription", "customer"),
        _ => return None,
    };
    let url = format!("/v1/{}s/{id}/{field}", text(&object["object"]));
    Some(list(&url, &world.with(kind, by, id), false))
}
