//! What is told of a chat as it happens, in server-sent events. Whoever comes back goes on where they were,
//! on any node, by `Last-Event-ID`.

use std::convert::Infallible;
use std::time::Duration;

use aggregates::id::{ChatId, SessionId, UserId};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::chats;
use crate::chats::telling::{self, Told};
use crate::error::{Problem, Result};
use crate::http::caller::{Caller, InPerson};
use crate::http::json::{Path, Query};

/// How often it is looked for news, where nobody was heard to tell any.
const LOOK: Duration = Duration::from_secs(2);
/// How long one connection lasts: about as long as an access token. Whoever wants more comes back.
const LASTS: Duration = Duration::from_mins(15);
/// How often a comment says that the stream is alive, while nothing happens.
const ALIVE: Duration = Duration::from_secs(15);

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(events))
}

/// From where on.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
struct After {
    /// As the header `Last-Event-ID`, where a client cannot send it: what came after this is told; what is
    /// to come, where none is given.
    after: Option<i64>,
}

/// What is told: one event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it says what an event looks like")]
struct ChatEvent {
    /// Where it stands among those of the chat.
    #[schema(example = "42")]
    id: String,
    /// What happened.
    #[schema(example = "message.delta")]
    event: String,
    /// More about it, as JSON.
    #[schema(example = r#"{"text":"Hel"}"#)]
    data: String,
}

/// Who listens to a chat, and how far they have heard.
struct Listener {
    app: App,
    user: UserId,
    session: SessionId,
    chat: ChatId,
    heard: i64,
    news: watch::Receiver<()>,
    leaving: watch::Receiver<bool>,
    ends: Instant,
    over: bool,
}

/// What happens in a chat, as it happens: `message.posted`, `reply.started`, `message.delta` with a `text`,
/// `message.completed`, `message.failed`, `message.cancelling`, `message.cancelled`, `message.retried`,
/// `chat.retitled`, `chat.deleted`. Each has an id; whoever comes back with it as `Last-Event-ID` misses nothing and
/// hears nothing twice. What was told long ago is not kept: then `reset` comes first, and the messages are to be read
/// anew.
#[utoipa::path(get, path = "/chats/{id}/events", tag = "chats",
    params(("id" = String, Path, format = Uuid), After, ("Last-Event-ID" = Option<i64>, Header,)),
    responses((status = 200, content_type = "text/event-stream", body = ChatEvent), (status = 404, body = Problem)),
    security(("bearer" = [])))]
async fn events(
    State(app): State<App>,
    person: InPerson,
    Path(chat): Path<ChatId>,
    Query(After { after }): Query<After>,
    headers: HeaderMap,
) -> Result<Response> {
    let InPerson { caller: Caller { user, .. }, session } = person;
    chats::own(&app, user, chat).await?;
    let after = last_event(&headers)?.or(after);
    // Whoever listens before they look misses nothing.
    let news = app.wakes.of(chat.0);
    let (first, last) = telling::range(&app, chat).await?.ok_or_else(Problem::not_found)?;
    let wanted = after.unwrap_or(last);
    let is_lost = wanted < first - 1 || wanted > last;
    let heard = if is_lost { last } else { wanted };
    let reset = is_lost.then(|| event(heard, "reset", &json!({})));
    let ends = Instant::now() + LASTS;
    let leaving = app.leaving.subscribe();
    let listener = Listener { app, user, session, chat, heard, news, leaving, ends, over: false };
    Ok(respond(stream::iter(reset).chain(listener.told())))
}

fn last_event(headers: &HeaderMap) -> Result<Option<i64>> {
    let Some(id) = headers.get("last-event-id") else { return Ok(None) };
    let id = id.to_str().ok().and_then(|id| id.parse().ok());
    id.map(Some).ok_or_else(|| Problem::field("Last-Event-ID", "must be the id of an event"))
}

impl Listener {
    /// All that is told, as long as it is heard and the chat is there. An error ends it: the client comes back.
    fn told(self) -> impl Stream<Item = Event> + Send {
        let pages = stream::unfold(self, async |mut listener| {
            let page = listener.next().await?;
            Some((stream::iter(page), listener))
        });
        pages.flatten()
    }

    async fn next(&mut self) -> Option<Vec<Event>> {
        while self.is_heard() {
            self.news.mark_unchanged();
            let told = telling::after(&self.app, self.user, self.chat, self.heard).await.ok()?;
            if let Some(last) = told.last() {
                self.heard = last.seq;
                return Some(told.into_iter().filter_map(shown).collect());
            }
            if telling::range(&self.app, self.chat).await.ok()?.is_none() {
                self.over = true;
                return Some(vec![event(self.heard, "chat.deleted", &json!({}))]);
            }
            let news = timeout_at(self.ends, timeout(LOOK, self.news.changed()));
            // Too late is as good as in time.
            tokio::select! {
                _ = news => {}
                _ = self.leaving.wait_for(|leaving| *leaving) => {}
            }
        }
        None
    }

    /// Whether it goes on: not when the node is to stop, the session is over, or it has lasted long enough.
    fn is_heard(&self) -> bool {
        let is_over = self.over || *self.leaving.borrow() || self.app.closings.has(self.session);
        !is_over && Instant::now() < self.ends
    }
}

/// What a client is shown of it: not what only the maker of a reply needs.
fn shown(told: Told) -> Option<Event> {
    let Told { seq, kind, message, mut data } = told;
    if kind == "reply.written" {
        return None;
    }
    if let (Value::Object(data), Some(message)) = (&mut data, message) {
        data.insert("message_id".to_owned(), json!(message));
    }
    Some(event(seq, &kind, &data))
}

/// What cannot be written cannot be: these are texts and numbers.
fn event(seq: i64, kind: &str, data: &Value) -> Event {
    Event::default().id(seq.to_string()).event(kind).json_data(data).unwrap_or_default()
}

fn respond(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let alive = KeepAlive::new().interval(ALIVE).text("still here");
    let mut response = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(alive).into_response();
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
