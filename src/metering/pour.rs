//! An answer that flows to whoever reads it, in a task of its own: when nobody reads any more, what was
//! delivered until then is charged all the same.

use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use super::talk::{Charged, End, Next, Talk, provider_failed};
use crate::clients::llm::ProviderError;
use crate::error::{Problem, Result};

/// Pieces that wait for their reader.
const WAITING: usize = 32;
/// How long a reader may take for a piece, before they count as gone.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a reader gets of an answer.
pub enum Poured {
    /// More text.
    Text(String),
    /// The end, and what it cost.
    Ended(End, Charged),
    /// The provider failed; what was delivered until then was charged, where anything was.
    Failed(Problem, Option<Charged>),
}

/// How an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// As it comes: what came is had, also where its end is not.
    Stream,
    /// All of it, or nothing.
    Whole,
}

/// Pours an answer out until it ends.
pub fn pour(talk: Box<Talk>, reader: Reader) -> mpsc::Receiver<Poured> {
    let (tap, glass) = mpsc::channel(WAITING);
    #[expect(
        clippy::disallowed_methods,
        reason = "a client that hangs up must not leave credits held; it ends with the provider's stream"
    )]
    tokio::spawn(async move {
        if let Some(last) = run(talk, reader, &tap).await {
            // Who has gone does not get it, and finds it in their history.
            let _ = tap.send_timeout(last, PATIENCE).await;
        }
    });
    glass
}

/// Pours; what is to be said at the end, where somebody is there.
async fn run(mut talk: Box<Talk>, reader: Reader, tap: &mpsc::Sender<Poured>) -> Option<Poured> {
    let mut said = String::new();
    loop {
        let next = tokio::select! {
            next = talk.next() => next,
            () = tap.closed() => return gone(talk).await,
        };
        match next {
            Ok(Next::Text(text)) => {
                if talk.may_repeat() {
                    said.push_str(&text);
                }
                if tap.send_timeout(Poured::Text(text), PATIENCE).await.is_err() {
                    return gone(talk).await;
                }
            }
            Ok(Next::Ended(End::Filtered)) if !talk.has_text() => {
                return Some(failed(talk, &ProviderError::Refused, Reader::Whole).await);
            }
            Ok(Next::Ended(end)) => {
                let kept = talk.may_repeat().then(|| json!({ "text": said, "end": end }));
                return Some(match talk.charge(kept).await {
                    Ok(charged) => Poured::Ended(end, charged),
                    Err(problem) => Poured::Failed(problem, None),
                });
            }
            Err(error) => return Some(failed(talk, &error, reader).await),
        }
    }
}

/// Charges what a reader had before the provider failed; nothing, where they had nothing.
async fn failed(talk: Box<Talk>, error: &ProviderError, reader: Reader) -> Poured {
    let mut problem = provider_failed(error);
    let ended: Result<_> = if reader == Reader::Stream && talk.has_text() {
        "the AI provider failed; what was delivered until then was charged"
            .clone_into(&mut problem.detail);
        talk.charge(None).await.map(Some)
    } else {
        talk.release("the call failed").await.map(|()| None)
    };
    match ended {
        Ok(charged) => Poured::Failed(problem, charged),
        Err(problem) => Poured::Failed(problem, None),
    }
}

/// Nobody reads any more. A provider that charges on is read to its end, so that the bill is right; one
/// that does not is left. Nothing that came costs nothing.
async fn gone(mut talk: Box<Talk>) -> Option<Poured> {
    if !talk.stops_when_left() {
        while let Ok(Next::Text(_)) = talk.next().await {}
    }
    let ended = if talk.has_cost() {
        talk.charge(None).await.map(drop)
    } else {
        talk.release("the caller hung up").await
    };
    if let Err(problem) = ended {
        tracing::error!(cause = problem.cause, "a call whose caller hung up could not be settled");
    }
    None
}
