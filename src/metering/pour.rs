//! An answer that flows to whoever reads it: when nobody reads any more, what was delivered until then is
//! charged all the same.

use std::time::Duration;

use futures_util::stream::{self, Stream};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::broken::Broken;
use super::charged::Charged;
use super::talk::{Begun, Conversation, End, Next, Talk};
use crate::app::App;
use crate::clients::llm::ProviderError;
use crate::detach::DetachOnDrop;
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
    /// It broke; what was delivered until then was charged, where anything was.
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

/// What came of asking.
pub enum Flow {
    /// The answer flows: the call's id, and what comes.
    Now(Uuid, Glass),
    /// It was given, and charged, before: what was kept of it.
    Before(Box<Charged>, Value),
}

/// What comes of an answer, for its reader. It is poured where it is read; of a reader who goes away, or who
/// reads it as a stream, in a task of its own.
pub struct Glass {
    parts: mpsc::Receiver<Poured>,
    pouring: Option<DetachOnDrop<()>>,
}

impl Glass {
    /// What comes next; nothing after the end.
    pub async fn next(&mut self) -> Option<Poured> {
        let Self { parts, pouring } = self;
        if let Some(pours) = pouring {
            tokio::select! {
                biased;
                part = parts.recv() => return part,
                () = pours => *pouring = None,
            }
        }
        parts.recv().await
    }

    /// What comes, whether or not it is asked for in time.
    pub fn into_stream(self) -> impl Stream<Item = Poured> + Send + 'static {
        stream::unfold(self.parts, async |mut parts| {
            let part = parts.recv().await?;
            Some((part, parts))
        })
    }
}

/// What came of beginning, before its reader has it.
enum Begin {
    Now(Uuid, mpsc::Receiver<Poured>),
    Before(Box<Charged>, Value),
}

/// Holds an estimate, asks, and pours the answer out until it ends. A client that hangs up leaves no credits held.
pub async fn pour(app: App, conversation: Conversation, reader: Reader) -> Result<Flow> {
    let (waits, mut begun) = oneshot::channel();
    let mut pouring =
        DetachOnDrop::new(async move { flow(&app, conversation, reader, waits).await });
    let (begun, pouring) = tokio::select! {
        biased;
        begun = &mut begun => (begun, Some(pouring)),
        () = &mut pouring => (begun.await, None),
    };
    match begun.unwrap_or_else(|_| Err(Problem::failed("a call ended without an answer")))? {
        Begin::Now(id, parts) => Ok(Flow::Now(id, Glass { parts, pouring })),
        Begin::Before(charged, kept) => Ok(Flow::Before(charged, kept)),
    }
}

async fn flow(
    app: &App,
    conversation: Conversation,
    reader: Reader,
    mut waits: oneshot::Sender<Result<Begin>>,
) {
    // Whoever asked for all of it can ask again under their key, and gets it then. Who charges on is asked on,
    // so that the bill is right.
    let is_kept = reader == Reader::Whole && conversation.payer.may_repeat;
    let may_leave = !is_kept && app.llm.stops_when_left(&conversation.model.routes);
    let left = async {
        if may_leave {
            waits.closed().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    let talk = match Talk::begin(app, conversation, left).await {
        Ok(Begun::Now(talk)) => talk,
        Ok(Begun::Left) => return,
        Ok(Begun::Before(charged, kept)) => {
            // Who has gone can ask again.
            let _ = waits.send(Ok(Begin::Before(charged, kept)));
            return;
        }
        Err(problem) => {
            // Who has gone finds that nothing was charged.
            let _ = waits.send(Err(problem));
            return;
        }
    };
    let (tap, glass) = mpsc::channel(WAITING);
    if waits.send(Ok(Begin::Now(talk.id(), glass))).is_err() && !is_kept {
        gone(talk, app.overdue()).await;
    } else if let Some(last) = run(app, talk, reader, &tap).await {
        // Who has gone does not get it, and finds it in their history.
        let _ = tap.send_timeout(last, PATIENCE).await;
    }
}

/// Pours; what is to be said at the end, where somebody is there.
async fn run(
    app: &App,
    mut talk: Box<Talk>,
    reader: Reader,
    tap: &mpsc::Sender<Poured>,
) -> Option<Poured> {
    let mut said = String::new();
    let is_kept = reader == Reader::Whole && talk.may_repeat();
    // One deadline for all of it: it does not begin anew with each piece.
    let mut overdue = std::pin::pin!(app.overdue());
    loop {
        let next = tokio::select! {
            next = talk.next() => next,
            () = tap.closed(), if !is_kept => {
                gone(talk, overdue).await;
                return None;
            }
            // What came is charged before the process ends.
            () = &mut overdue => {
                settle(talk).await;
                return None;
            }
        };
        match next {
            Ok(Next::Text(text)) => {
                if talk.may_repeat() {
                    said.push_str(&text);
                }
                if tap.send_timeout(Poured::Text(text), PATIENCE).await.is_err() && !is_kept {
                    gone(talk, overdue).await;
                    return None;
                }
            }
            Ok(Next::Ended(End::Filtered)) if !talk.has_text() => {
                let refused = ProviderError::Refused.into();
                return Some(failed(talk, &refused, Reader::Whole).await);
            }
            Ok(Next::Ended(end)) => {
                let kept = talk.may_repeat().then(|| json!({ "text": said, "end": end }));
                return Some(match talk.charge(kept).await {
                    Ok(charged) => Poured::Ended(end, charged),
                    Err(problem) => Poured::Failed(problem, None),
                });
            }
            Err(broken) => return Some(failed(talk, &broken, reader).await),
        }
    }
}

/// Charges what a reader had before the answer broke; nothing, where they had nothing.
async fn failed(talk: Box<Talk>, broken: &Broken, reader: Reader) -> Poured {
    let (problem, ended) = if reader == Reader::Stream && talk.has_text() {
        (broken.problem_of_the_rest(), talk.charge(None).await.map(Some))
    } else {
        (broken.problem(), talk.release("the call failed").await.map(|()| None))
    };
    match ended {
        Ok(charged) => Poured::Failed(problem, charged),
        Err(problem) => Poured::Failed(problem, None),
    }
}

/// Nobody reads any more.
async fn gone(mut talk: Box<Talk>, overdue: impl Future<Output = ()>) {
    talk.leave(overdue).await;
    settle(talk).await;
}

/// Charges what came, for nobody. Nothing that came costs nothing.
async fn settle(talk: Box<Talk>) {
    let ended = if talk.has_cost() {
        talk.charge(None).await.map(drop)
    } else {
        talk.release("the caller hung up").await
    };
    if let Err(problem) = ended {
        tracing::error!(cause = problem.cause, "a call whose caller hung up could not be settled");
    }
}
