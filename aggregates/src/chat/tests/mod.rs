//! Chats under test: what is asked of them, and what happened.

mod invariants;
mod rules;

use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;
use crate::id::HoldId;

const AT: DateTime<Utc> = DateTime::UNIX_EPOCH;

fn chat() -> TestFramework<Chat> {
    TestFramework::with(())
}

fn now(ask: Ask) -> ChatCommand {
    ChatCommand { now: AT, ask }
}

fn owner() -> UserId {
    UserId(Uuid::from_u128(1))
}

/// What is said as that, and the reply to it.
fn message(number: u128) -> MessageId {
    MessageId(Uuid::from_u128(1_000 + number))
}

fn reply(number: u128) -> MessageId {
    MessageId(Uuid::from_u128(2_000_000 + number))
}

fn hold(number: u128) -> HoldId {
    HoldId(Uuid::from_u128(3_000_000 + number))
}

fn model() -> String {
    "local-1".to_owned()
}

fn post(number: u128) -> Ask {
    Ask::Post { message: message(number), reply: reply(number), model: model() }
}

fn complete(number: u128) -> Ask {
    Ask::Complete {
        reply: reply(number),
        finish: ReplyFinish::Stop,
        hold: hold(number),
        credits: Credits::new(10),
        model: model(),
        input_tokens: Some(12),
        output_tokens: None,
    }
}

fn fail(number: u128) -> Ask {
    Ask::Fail { reply: reply(number), code: "provider_failed".to_owned() }
}

fn complete_cancelled(number: u128) -> Ask {
    Ask::CompleteCancelled {
        reply: reply(number),
        hold: Some(hold(number)),
        credits: Credits::new(4),
        model: Some(model()),
        input_tokens: Some(12),
        output_tokens: Some(3),
    }
}

fn retry(number: u128, again: u128) -> Ask {
    Ask::Retry { reply: reply(number), again: reply(again), model: model() }
}

fn created() -> ChatEvent {
    ChatEvent::Created { owner: owner(), at: AT }
}

fn posted(number: u128) -> ChatEvent {
    ChatEvent::Posted { message: message(number), reply: reply(number), model: model(), at: AT }
}

fn replied(number: u128) -> ChatEvent {
    ChatEvent::Replied {
        reply: reply(number),
        finish: ReplyFinish::Stop,
        hold: hold(number),
        credits: Credits::new(10),
        model: model(),
        input_tokens: Some(12),
        output_tokens: None,
        at: AT,
    }
}

fn failed(number: u128) -> ChatEvent {
    ChatEvent::ReplyFailed { reply: reply(number), code: "provider_failed".to_owned(), at: AT }
}

fn cancel_asked(number: u128) -> ChatEvent {
    ChatEvent::CancelAsked { reply: reply(number), at: AT }
}

/// A reply that was stopped before anything was delivered.
fn cancelled(number: u128) -> ChatEvent {
    ChatEvent::ReplyCancelled {
        reply: reply(number),
        hold: None,
        credits: Credits::ZERO,
        model: None,
        input_tokens: None,
        output_tokens: None,
        at: AT,
    }
}

/// A reply that was stopped half-way.
fn cut_off(number: u128) -> ChatEvent {
    ChatEvent::ReplyCancelled {
        reply: reply(number),
        hold: Some(hold(number)),
        credits: Credits::new(4),
        model: Some(model()),
        input_tokens: Some(12),
        output_tokens: Some(3),
        at: AT,
    }
}

fn retried(number: u128, again: u128) -> ChatEvent {
    ChatEvent::Retried { reply: reply(number), again: reply(again), model: model(), at: AT }
}

fn deleted() -> ChatEvent {
    ChatEvent::Deleted { at: AT }
}
