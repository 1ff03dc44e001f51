//! Everything the double knows: its clock, its objects and what became of them.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value, json};

use super::calls::Call;
use super::delivery::Outbox;
use super::failure::{Failure, Outcome};
use super::faults::Faults;
use super::form::Form;
use super::idempotency::Keys;
use super::invoices::Line;
use super::moods::Moods;
use super::shapes::{self, Shape};
use super::subscriptions::PendingChange;

pub const LIVEMODE: bool = false;

#[derive(Default)]
pub struct World {
    /// Unix seconds. They pass only when told to.
    pub now: i64,
    objects: HashMap<String, Value>,
    /// The ids of each kind, oldest first.
    kinds: HashMap<String, Vec<String>>,
    hidden: HashMap<(String, String), Value>,
    given: u64,
    /// Oldest first.
    pub events: Vec<Value>,
    pub outbox: Outbox,
    pub calls: Vec<Call>,
    pub faults: Faults,
    pub keys: Keys,
    pub moods: Moods,
    pub event_shape: Shape,
    pub answer_shape: Shape,
    /// Id and idempotency key of the request that is being answered.
    pub request: Option<(String, Option<String>)>,
    /// What checkout sessions were asked for with, by id.
    pub checkouts: HashMap<String, Form>,
    /// What the next invoice of a subscription charges besides, by subscription.
    pub unbilled: BTreeMap<String, Vec<Line>>,
    /// Changes that wait for the payment of an invoice, by invoice.
    pub pending_changes: HashMap<String, PendingChange>,
    /// The trials whose end was announced, by subscription and end.
    pub announced: HashSet<(String, i64)>,
}

impl World {
    pub fn starting(now: i64) -> Self {
        Self { now, ..Self::default() }
    }

    pub fn id(&mut self, prefix: &str) -> String {
        self.given += 1;
        format!("{prefix}_{:014}", self.given)
    }

    /// Numbers what is not an id.
    pub fn number(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    /// A new object, with the event that says so.
    pub fn add(&mut self, event: Option<&str>, object: Value) -> Value {
        let id = text(&object["id"]).to_owned();
        self.kinds.entry(text(&object["object"]).to_owned()).or_default().push(id.clone());
        self.objects.insert(id, object.clone());
        if let Some(event) = event {
            self.emit(event, &object, None);
        }
        object
    }

    /// Assigns fields, and tells it. An update that changes nothing is not told.
    pub fn change(&mut self, id: &str, events: &[&str], patch: Value) -> Value {
        let object = self.objects.get_mut(id).expect("the object was found before");
        let mut previous = Map::new();
        let Value::Object(patch) = patch else { unreachable!("a patch is an object") };
        for (field, value) in patch {
            let before = object[&field].take();
            if before != value {
                previous.insert(field.clone(), before);
            }
            object[&field] = value;
        }
        let object = object.clone();
        for event in events {
            match event.ends_with(".updated") {
                true if previous.is_empty() => {}
                true => self.emit(event, &object, Some(Value::Object(previous.clone()))),
                false => self.emit(event, &object, None),
            }
        }
        object
    }

    /// Keeps what an object shows only to whoever asks for it by `expand`.
    pub fn hide(&mut self, id: &str, field: &str, value: Value) {
        self.hidden.insert((id.to_owned(), field.to_owned()), value);
    }

    pub fn hidden(&self, id: &str, field: &str) -> &Value {
        self.hidden.get(&(id.to_owned(), field.to_owned())).unwrap_or(&Value::Null)
    }

    /// Puts another object in an object's place.
    pub fn replace(&mut self, id: &str, object: Value) -> Value {
        self.objects.insert(id.to_owned(), object.clone());
        object
    }

    /// Assigns fields and tells nobody.
    pub fn set(&mut self, id: &str, patch: Value) -> Value {
        self.change(id, &[], patch)
    }

    pub fn emit(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        let id = self.id("evt");
        let mut data = json!({ "object": shapes::render(self, object, self.event_shape) });
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        let (request, key) = self.request.clone().unzip();
        let event = json!({
            "id": id, "object": "event", "api_version": self.event_shape.version(),
            "created": self.now, "data": data, "livemode": LIVEMODE, "pending_webhooks": 1,
            "request": { "id": request, "idempotency_key": key.flatten() }, "type": kind,
        });
        self.outbox.push(&id);
        self.events.push(event);
    }

    pub fn get(&self, id: &str) -> Option<&Value> {
        self.objects.get(id)
    }

    /// What is known to be there.
    pub fn the(&self, id: &str) -> Value {
        self.objects.get(id).unwrap_or_else(|| panic!("the double has no {id}")).clone()
    }

    /// What a path names.
    pub fn find(&self, kind: &str, id: &str) -> Outcome {
        let found = self.objects.get(id).filter(|object| object["object"] == *kind);
        let found = found.filter(|object| object["deleted"] != json!(true));
        found.cloned().ok_or_else(|| Failure::no_such(kind, id))
    }

    /// What a parameter names.
    pub fn find_at(&self, param: &str, kind: &str, id: &str) -> Outcome {
        self.find(kind, id).map_err(|_| Failure::no_such_at(param, kind, id))
    }

    /// All of a kind, newest first.
    pub fn all(&self, kind: &str) -> impl DoubleEndedIterator<Item = &Value> {
        let ids = self.kinds.get(kind).into_iter().flatten().rev();
        ids.filter_map(|id| self.objects.get(id))
    }

    /// Those of a kind where a field has a value, newest first.
    pub fn with(&self, kind: &str, field: &str, value: &str) -> Vec<Value> {
        self.all(kind).filter(|object| object[field] == *value).cloned().collect()
    }
}

/// The text of a field that has one.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The number of a field that has one.
pub fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// An object with facts, and null for the rest of what it may have.
pub fn with_nulls(mut object: Value, names: &str) -> Value {
    for name in names.split_whitespace() {
        object[name] = Value::Null;
    }
    object
}
