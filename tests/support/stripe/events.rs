//! Events, as an application lists them to heal.

use serde_json::{Value, json};

use super::StripeDouble;
use super::failure::{Failure, Outcome};
use super::form::Form;
use super::lists::page;
use super::world::{World, text};

/// How far back events can be read.
const KEPT: i64 = 30 * 24 * 3600;

fn readable(world: &World) -> impl Iterator<Item = &Value> {
    let since = world.now - KEPT;
    world.events.iter().rev().filter(move |event| event["created"].as_i64() >= Some(since))
}

pub fn retrieve(world: &World, id: &str) -> Outcome {
    let found = readable(world).find(|event| event["id"] == *id);
    found.cloned().ok_or_else(|| Failure::no_such("event", id))
}

/// Newest first. A type may end in `*`.
pub fn list(world: &World, form: &Form) -> Outcome {
    let kinds = form.words("types");
    if kinds.len() > 20 {
        return Err(Failure::invalid("You can filter by 20 types at most.").at("types"));
    }
    let fits = |event: &&Value| {
        let kind = text(&event["type"]);
        form.text("type").is_none_or(|wanted| is_of(kind, wanted))
            && (kinds.is_empty() || kinds.iter().any(|wanted| is_of(kind, wanted)))
    };
    page("/v1/events", form, readable(world).filter(fits).cloned().collect())
}

/// Whether a type is what a pattern means.
pub fn is_of(kind: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == pattern,
    }
}

impl StripeDouble {
    /// All events so far, oldest first.
    pub fn events(&self) -> Vec<Value> {
        self.world().events.clone()
    }

    /// The events so far of a type, oldest first; the type may end in `*`.
    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        let mut events = self.events();
        events.retain(|event| is_of(text(&event["type"]), kind));
        events
    }

    /// An event that nothing caused: of an unknown type, or of a known one about nonsense.
    pub fn make_event(&self, kind: &str, object: &Value) -> Value {
        let mut world = self.world();
        world.emit(kind, object, None);
        world.events.last().cloned().unwrap_or(json!(null))
    }
}
