//! Who asked what, and how it ended.

use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use serde_json::Value;

use super::{Recorder, Wire};

/// How long something that will happen may take to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request to a provider.
#[derive(Clone, Debug)]
pub struct Call {
    pub wire: Wire,
    /// With the query.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
    pub at: Instant,
    /// None while it is answered.
    pub end: Option<End>,
}

impl Call {
    /// A header's value; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All was sent that should be.
    Whole,
    /// The connection was torn, as told.
    Torn,
    /// Whoever asked hung up.
    Left {
        /// How many pieces had been sent.
        after: usize,
        /// How long after the request.
        within: Duration,
    },
}

impl Recorder {
    /// All calls so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// The calls so far on a wire, in order.
    pub fn calls_on(&self, wire: Wire) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.wire == wire).collect()
    }

    /// The call of this number, from 1, once it has come.
    pub async fn called(&self, number: usize) -> Call {
        self.until(&format!("call {number}"), |calls| calls.get(number - 1).cloned()).await
    }

    /// How the call of this number ended, from 1, once it has.
    pub async fn ended(&self, number: usize) -> End {
        let end = |calls: &[Call]| calls.get(number - 1).and_then(|call| call.end);
        self.until(&format!("the end of call {number}"), end).await
    }

    async fn until<T>(&self, what: &str, look: impl Fn(&[Call]) -> Option<T>) -> T {
        let mut news = self.news.subscribe();
        let seen = async {
            loop {
                let found = look(&self.state().calls);
                if let Some(found) = found {
                    return found;
                }
                news.changed().await.expect("the recorder is here");
            }
        };
        let seen = tokio::time::timeout(PATIENCE, seen).await;
        seen.unwrap_or_else(|_| panic!("{what} does not come: {:?}", self.calls().len()))
    }

    /// Notes a call, and says which it is.
    pub(super) fn note(&self, call: Call) -> usize {
        let mut state = self.state();
        state.calls.push(call);
        let index = state.calls.len() - 1;
        drop(state);
        self.news.send_replace(());
        index
    }

    pub(super) fn note_end(&self, index: usize, end: End) {
        self.state().calls[index].end = Some(end);
        self.news.send_replace(());
    }

    /// When a call came.
    pub(super) fn since(&self, index: usize) -> Duration {
        self.state().calls[index].at.elapsed()
    }
}
