//! An answer as it is written, in events.

use serde_json::Value;

/// An answer as it came.
pub struct Stream {
    response: reqwest::Response,
    unread: String,
}

impl Stream {
    pub fn new(response: reqwest::Response) -> Self {
        Self { response, unread: String::new() }
    }

    /// The next event; none at the end.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let data = event.strip_prefix("data: ").map(str::to_owned);
                self.unread = rest.into();
                match data {
                    Some(data) => return Some(data),
                    None => continue,
                }
            }
            let chunk = self.response.chunk().await.expect("a chunk")?;
            self.unread.push_str(std::str::from_utf8(&chunk).expect("plain text"));
        }
    }

    /// Reads until this text has come.
    pub async fn until(&mut self, text: &str) {
        let mut said = String::new();
        while !said.contains(text) {
            let event = self.next().await.unwrap_or_else(|| panic!("it ended after {said:?}"));
            let event: Value = serde_json::from_str(&event).expect("JSON");
            said.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or(""));
        }
    }

    /// All that comes, as JSON; and whether it ends as it should.
    pub async fn rest(mut self) -> (Vec<Value>, bool) {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            if event == "[DONE]" {
                return (events, true);
            }
            events.push(serde_json::from_str(&event).expect("JSON"));
        }
        (events, false)
    }
}

/// What was said in these events.
pub fn said(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}
