//! An answer as it is written, in OpenAI's chunks.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::completions::{Consumed, Head, reason};
use super::errors::Failure;
use crate::metering::{Charged, End, Glass, Poured};

/// How often a comment says that the stream is alive, while nothing comes.
const ALIVE: Duration = Duration::from_secs(15);

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Consumed>,
}

/// One event of an answer that comes as it is written.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says what an event looks like")]
pub(super) struct CompletionEvent {
    /// A `chat.completion.chunk` of OpenAI's, or `[DONE]` at the end.
    #[schema(example = "[DONE]")]
    data: String,
}

/// Where what was used is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsagePlace {
    /// In the chunk that says why the answer ends: who does not ask for usage takes the first choice of every
    /// chunk, and would fail where there is none.
    AtTheEnd,
    /// In a chunk of its own without a choice, as who asks for usage expects.
    Apart,
}

/// Who writes an answer down.
pub(super) struct Writer {
    pub(super) head: Head,
    pub(super) usage: UsagePlace,
}

impl Writer {
    fn chunk(&self, choices: Value, usage: Option<Consumed>) -> Event {
        let Head { id, created, model } = &self.head;
        let object = "chat.completion.chunk";
        event(&Chunk { id, object, created: *created, model, choices, usage })
    }

    fn begins(&self) -> Event {
        let delta = json!({ "role": "assistant", "content": "" });
        self.chunk(choice(&delta, None), None)
    }

    fn says(&self, text: &str) -> Event {
        self.chunk(choice(&json!({ "content": text }), None), None)
    }

    /// Why it ends; what was used, and what it cost; and that nothing follows.
    fn ends(&self, end: End, charged: &Charged) -> Vec<Event> {
        let (why, used) = (choice(&json!({}), Some(reason(end))), Some(charged.into()));
        let mut events = match self.usage {
            UsagePlace::AtTheEnd => vec![self.chunk(why, used)],
            UsagePlace::Apart => vec![self.chunk(why, None), self.chunk(json!([]), used)],
        };
        events.push(Event::default().data("[DONE]"));
        events
    }

    /// What was used of an answer that did not come to its end.
    fn used(&self, charged: &Charged) -> Event {
        let choices = match self.usage {
            UsagePlace::AtTheEnd => choice(&json!({}), None),
            UsagePlace::Apart => json!([]),
        };
        self.chunk(choices, Some(charged.into()))
    }

    /// What goes to a client of what comes from the meter.
    fn events(&self, poured: Poured) -> Vec<Event> {
        match poured {
            Poured::Text(text) => vec![self.says(&text)],
            Poured::Ended(end, charged) => self.ends(end, &charged),
            Poured::Failed(problem, charged) => {
                let used = charged.map(|charged| self.used(&charged));
                used.into_iter().chain([event(&Failure::from(&problem))]).collect()
            }
        }
    }
}

fn choice(delta: &Value, finish_reason: Option<&str>) -> Value {
    json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason }])
}

/// What cannot be written cannot be: these are texts and numbers.
fn event(what: &impl Serialize) -> Event {
    Event::default().json_data(what).unwrap_or_default()
}

/// An answer that is being written.
pub(super) fn of(writer: Writer, glass: Glass) -> Response {
    let begins = stream::iter([writer.begins()]);
    let parts = glass.into_stream().flat_map(move |part| stream::iter(writer.events(part)));
    respond(begins.chain(parts))
}

/// An answer that was written before.
pub(super) fn again(writer: &Writer, text: String, end: End, charged: Charged) -> Response {
    let all = [Poured::Text(text), Poured::Ended(end, charged)];
    let parts: Vec<_> = all.into_iter().flat_map(|part| writer.events(part)).collect();
    let mut response = respond(stream::iter([writer.begins()].into_iter().chain(parts)));
    response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
    response
}

fn respond(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let alive = KeepAlive::new().interval(ALIVE).text("still writing");
    let mut response = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(alive).into_response();
    let headers = response.headers_mut();
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
