//! A client of server-sent events.

use reqwest::StatusCode;
use serde_json::Value;

use crate::support::{Person, Server};

/// Something that was told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    pub id: i64,
    pub kind: String,
    pub data: Value,
}

/// Somebody who listens to a chat.
pub struct Listener {
    response: reqwest::Response,
    unread: String,
}

impl Listener {
    /// From now on, or from after an event.
    pub async fn to(server: &Server, person: &Person, chat: &str, after: Option<i64>) -> Self {
        let client = saldo::clients::http().build().expect("a client");
        let url = format!("{}/api/v1/chats/{chat}/events", server.url);
        let mut request = client.get(url).bearer_auth(&person.token);
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        Self { response, unread: String::new() }
    }

    pub async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let event = event.to_owned();
                self.unread = rest.into();
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")))
                };
                let Some(id) = field("id") else { continue };
                return Some(Told {
                    id: id.parse().expect("a number"),
                    kind: field("event").expect("a kind").to_owned(),
                    data: serde_json::from_str(field("data").expect("data")).expect("JSON"),
                });
            }
            let chunk = self.response.chunk().await.expect("a chunk")?;
            self.unread.push_str(std::str::from_utf8(&chunk).expect("plain text"));
        }
    }

    /// All up to the first of this kind.
    pub async fn until(&mut self, kind: &str) -> Vec<Told> {
        let mut all = Vec::new();
        while all.last().is_none_or(|told: &Told| told.kind != kind) {
            let told = self.next().await;
            all.push(told.unwrap_or_else(|| panic!("it ended before {kind}: {all:?}")));
        }
        all
    }
}

/// The text of all slices.
pub fn text(told: &[Told]) -> String {
    told.iter().filter_map(|told| told.data["text"].as_str()).collect()
}

pub fn kinds(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.kind.as_str()).filter(|kind| *kind != "message.delta").collect()
}
