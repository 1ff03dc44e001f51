//! Somebody who hears a chat: whoever is killed, they come back to where they were, and hear everything once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use reqwest::StatusCode;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::sign_in::{PAUSE, SignedIn, TRIES};
use crate::support::Server;

/// What was heard.
#[derive(Default)]
struct Heard {
    /// The last event.
    last: i64,
    /// How often somebody came back.
    back: usize,
    /// What replies have said, and how they have ended.
    texts: HashMap<String, String>,
    ends: HashMap<String, String>,
}

/// Hears a chat from its beginning, until it is dropped.
pub struct Listening {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Listening {
    pub fn to(door: &Server, person: &SignedIn, chat: &str) -> Self {
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let url = format!("{}/api/v1/chats/{chat}/events", door.url);
        let (ear, token) = (Arc::clone(&heard), person.access.clone());
        let task = tokio::spawn(async move {
            let client = saldo::clients::http().build().expect("a client");
            loop {
                let last = ear.lock().expect("nobody panicked").last;
                let request = client.get(&url).bearer_auth(&token).header("last-event-id", last);
                if let Ok(response) = request.send().await {
                    hear(response, &ear).await;
                }
                ear.lock().expect("nobody panicked").back += 1;
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { heard, task }
    }

    /// Waits until the end of each reply was heard, and compares what was heard with what is kept; how often somebody had
    /// to come back.
    pub async fn has_all(&self, replies: &[Value]) -> usize {
        for reply in replies {
            let id = reply["id"].as_str().expect("an id");
            let (text, end) = self.until_ended(id).await;
            match reply["state"].as_str() {
                Some("done") => {
                    assert_eq!((text.as_str(), end.as_str()), (said(reply), "message.completed"));
                }
                Some("failed") => assert_eq!(end, "message.failed"),
                _ => panic!("{reply}"),
            }
        }
        let heard = self.heard.lock().expect("nobody panicked");
        assert_eq!(heard.ends.len(), replies.len(), "{:?}", heard.ends);
        heard.back
    }

    async fn until_ended(&self, reply: &str) -> (String, String) {
        for _ in 0..TRIES {
            {
                let heard = self.heard.lock().expect("they hear on: nothing was heard twice");
                if let Some(end) = heard.ends.get(reply) {
                    let text = heard.texts.get(reply).cloned().unwrap_or_default();
                    return (text, end.clone());
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("the end of {reply} is never heard");
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn said(reply: &Value) -> &str {
    reply["text"].as_str().expect("a text")
}

/// Takes in what comes, until the stream ends.
async fn hear(mut response: reqwest::Response, ear: &Mutex<Heard>) {
    let status = response.status();
    assert!(status == StatusCode::OK || status.is_server_error(), "{status}");
    let mut unread = String::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        unread.push_str(std::str::from_utf8(&chunk).expect("plain text"));
        while let Some((event, rest)) = unread.split_once("\n\n") {
            ear.lock().expect("nobody panicked").take(event);
            unread = rest.to_owned();
        }
    }
}

impl Heard {
    /// One event; comments are none.
    fn take(&mut self, event: &str) {
        let field =
            |name: &str| event.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        let (Some(id), Some(kind), Some(data)) = (field("id"), field("event"), field("data"))
        else {
            return;
        };
        let id = id.parse().expect("a number");
        assert!(id > self.last, "{id} after {}", self.last);
        self.last = id;
        let data: Value = serde_json::from_str(data).expect("JSON");
        let message = || data["message_id"].as_str().expect("a message").to_owned();
        match kind {
            "reply.started" => drop(self.texts.insert(message(), String::new())),
            "message.delta" => {
                let text = data["text"].as_str().expect("a text");
                self.texts.entry(message()).or_default().push_str(text);
            }
            "message.completed" | "message.failed" => {
                let before = self.ends.insert(message(), kind.to_owned());
                assert_eq!(before, None, "it ends twice: {data}");
            }
            "message.posted" => {}
            _ => panic!("nobody has done this: {event}"),
        }
    }
}
