//! What becomes of replies, as their row has it.

use aggregates::chat::ChatEvent;
use aggregates::id::MessageId;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What became of a reply.
#[derive(Default)]
pub(super) struct Outcome<'a> {
    pub(super) state: &'static str,
    pub(super) finish: Option<&'static str>,
    pub(super) hold: Option<Uuid>,
    pub(super) credits: i64,
    pub(super) model: Option<&'a str>,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) code: Option<&'a str>,
}

impl<'a> Outcome<'a> {
    /// With the reply that it is of, and when it came.
    pub(super) fn of(event: &'a ChatEvent) -> Option<(MessageId, DateTime<Utc>, Self)> {
        let (reply, at, outcome) = match event {
            ChatEvent::Replied {
                reply,
                finish,
                hold,
                credits,
                model,
                input_tokens,
                output_tokens,
                at,
            } => {
                let outcome = Self {
                    state: "done",
                    finish: Some(finish.name()),
                    hold: Some(hold.0),
                    credits: credits.get(),
                    model: Some(model),
                    input_tokens: *input_tokens,
                    output_tokens: *output_tokens,
                    code: None,
                };
                (reply, at, outcome)
            }
            ChatEvent::ReplyCancelled {
                reply,
                hold,
                credits,
                model,
                input_tokens,
                output_tokens,
                at,
            } => {
                let outcome = Self {
                    state: "cancelled",
                    hold: hold.map(|hold| hold.0),
                    credits: credits.get(),
                    model: model.as_deref(),
                    input_tokens: *input_tokens,
                    output_tokens: *output_tokens,
                    ..Self::default()
                };
                (reply, at, outcome)
            }
            ChatEvent::ReplyFailed { reply, code, at } => {
                (reply, at, Self { state: "failed", code: Some(code), ..Self::default() })
            }
            ChatEvent::Created { .. }
            | ChatEvent::Retitled { .. }
            | ChatEvent::Posted { .. }
            | ChatEvent::CancelAsked { .. }
            | ChatEvent::Retried { .. }
            | ChatEvent::Read { .. }
            | ChatEvent::Deleted { .. } => return None,
        };
        Some((*reply, *at, outcome))
    }
}
