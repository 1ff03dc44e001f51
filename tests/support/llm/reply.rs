//! What is answered, in words or byte by byte.

use std::time::Duration;

use serde_json::Value;

use super::{Gate, Wire};

/// What is used where a test does not say: read.
const INPUT: u64 = 11;

/// An answer to one call.
#[derive(Clone)]
pub struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    /// What is waited for before the status.
    pub(super) late: Duration,
    pub(super) content: Content,
}

#[derive(Clone)]
pub(super) enum Content {
    Speech(Speech),
    Steps(Vec<Step>),
}

/// One thing after the other on the wire.
#[derive(Clone)]
pub enum Step {
    /// Sent as one piece.
    Bytes(Vec<u8>),
    /// Nothing comes for so long.
    Pause(Duration),
    /// Nothing comes until the gate is open.
    Wait(Gate),
    /// The connection breaks.
    Tear,
    /// Nothing comes any more, and the connection stays.
    Hang,
}

/// An answer in words, for any wire.
#[derive(Clone)]
pub(super) struct Speech {
    pub(super) words: Vec<String>,
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    pub(super) pace: Duration,
    pub(super) gate: Option<(usize, Gate)>,
    pub(super) ending: Ending,
}

/// How an answer in words ends, after its last word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As the wire ends, all being said.
    Stop,
    /// As the wire ends, being as long as it may be.
    Length,
    /// As the wire ends, the provider not wanting to go on.
    Filtered,
    /// With an error that the wire tells in the middle.
    Overloaded,
    /// The stream ends well, without a word that it is the end.
    Silent,
    /// The connection breaks.
    Torn,
    /// Nothing comes any more, and the connection stays.
    Hangs,
}

impl Reply {
    /// These words, one at a time, and the usual end: 11 tokens were read, one for each word written.
    pub fn says(text: &str) -> Self {
        let words: Vec<_> = text.split_inclusive(' ').map(str::to_owned).collect();
        let output = Some(words.len() as u64);
        let (pace, ending) = (Duration::ZERO, Ending::Stop);
        let speech = Speech { words, input: Some(INPUT), output, pace, gate: None, ending };
        Self { content: Content::Speech(speech), ..Self::steps(vec![]) }
    }

    /// Events, byte by byte.
    pub fn steps(steps: Vec<Step>) -> Self {
        let headers = vec![("content-type", "text/event-stream".to_owned())];
        Self { status: 200, headers, late: Duration::ZERO, content: Content::Steps(steps) }
    }

    /// Events of these bytes in one piece, which then end well.
    pub fn bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self::steps(vec![Step::Bytes(bytes.into())])
    }

    /// A refusal in JSON.
    pub fn refuses(status: u16, body: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        Self { status, headers, ..Self::bytes(body.to_string()) }
    }

    /// A page of HTML from something in between.
    pub fn page(status: u16) -> Self {
        let headers = vec![("content-type", "text/html".to_owned())];
        Self { status, headers, ..Self::bytes("<html><body>Something else</body></html>") }
    }

    /// 429, with or without the seconds to wait.
    pub fn too_many(retry_after: Option<u32>) -> Self {
        let reply =
            Self::refuses(429, &serde_json::json!({ "error": { "message": "Slow down." } }));
        match retry_after {
            Some(seconds) => reply.header("retry-after", seconds.to_string()),
            None => reply,
        }
    }

    /// With another header, or another value of it.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| *known != name);
        self.headers.push((name, value.into()));
        self
    }

    /// After so long, status and all.
    pub fn late(self, late: Duration) -> Self {
        Self { late, ..self }
    }

    /// This was read, and this written.
    pub fn tokens(self, input: u64, output: u64) -> Self {
        self.speech(|speech| (speech.input, speech.output) = (Some(input), Some(output)))
    }

    /// Without a word on what was used.
    pub fn without_usage(self) -> Self {
        self.speech(|speech| (speech.input, speech.output) = (None, None))
    }

    /// So long before each word.
    pub fn paced(self, pace: Duration) -> Self {
        self.speech(|speech| speech.pace = pace)
    }

    /// After so many words nothing comes until the gate is open.
    pub fn held_after(self, words: usize, gate: &Gate) -> Self {
        self.speech(|speech| speech.gate = Some((words, gate.clone())))
    }

    /// With another end.
    pub fn ending(self, ending: Ending) -> Self {
        self.speech(|speech| speech.ending = ending)
    }

    fn speech(mut self, change: impl FnOnce(&mut Speech)) -> Self {
        match &mut self.content {
            Content::Speech(speech) => change(speech),
            Content::Steps(_) => panic!("only an answer in words can be changed so"),
        }
        self
    }

    /// What happens on this wire.
    pub(super) fn on(&self, wire: Wire) -> Vec<Step> {
        match &self.content {
            Content::Speech(speech) => wire.steps(speech),
            Content::Steps(steps) => steps.clone(),
        }
    }
}
