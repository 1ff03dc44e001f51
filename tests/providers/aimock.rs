//! What npm's aimock, which speaks all three wires, is understood to say.

use std::time::Instant;

use saldo::clients::llm::{Finish, ProviderError};

use crate::asking::{Heard, ask, milliseconds, unavailable};
use crate::llm::Wire;
use crate::node::aimock;

const TEXT: &str = "Credits are granted to wallets, and each that moved is an event.";

/// Asks on each wire.
async fn each(text: &str, mut see: impl FnMut(Wire, Heard)) {
    let Some(aimock) = aimock() else { return };
    for wire in Wire::ALL {
        see(wire, ask(wire, &aimock.url, text).await);
    }
}

#[tokio::test]
async fn an_answer_comes_in_pieces_with_what_was_used_and_its_end() {
    each("Answer plainly", |wire, heard| {
        assert_eq!(heard.text, TEXT, "{wire:?}");
        assert!(heard.pieces > 3, "{wire:?}: {heard:?}");
        assert_eq!(heard.used(), (Some(11), Some(7)), "{wire:?}");
        assert_eq!(heard.finish, Some(Finish::Stop), "{wire:?}");
    })
    .await;
}

#[tokio::test]
async fn nothing_used_is_zero_and_not_unknown() {
    each("Answer for nothing", |wire, heard| {
        assert_eq!((heard.text.as_str(), heard.used()), (TEXT, (Some(0), Some(0))), "{wire:?}");
    })
    .await;
}

#[tokio::test]
async fn the_reason_of_the_end_is_told() {
    each("Answer at length", |wire, heard| {
        assert_eq!((heard.text.as_str(), heard.finish), (TEXT, Some(Finish::Length)), "{wire:?}");
    })
    .await;
}

#[tokio::test]
async fn thoughts_are_no_part_of_the_answer() {
    each("Answer with thoughts", |wire, heard| {
        assert_eq!((heard.text.as_str(), heard.finish), (TEXT, Some(Finish::Stop)), "{wire:?}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_that_is_truncated_or_disconnected_is_cut_short_after_what_came() {
    for text in ["Be truncated", "Be disconnected"] {
        each(text, |wire, heard| {
            assert_eq!(heard.error, Some(ProviderError::CutShort), "{text}, {wire:?}: {heard:?}");
            assert!(!heard.text.is_empty() && heard.text.len() < TEXT.len(), "{wire:?}: {heard:?}");
            assert!(TEXT.starts_with(&heard.text), "{wire:?}: {heard:?}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_provider_that_takes_its_time_is_heard_out() {
    let Some(aimock) = aimock() else { return };
    for (text, least) in [("Answer late", 400), ("Answer slowly", 200)] {
        for wire in Wire::ALL {
            let asked = Instant::now();
            let heard = ask(wire, &aimock.url, text).await;
            assert_eq!(heard.text, TEXT, "{wire:?}");
            assert!(asked.elapsed() >= milliseconds(least), "{text}, {wire:?}: {asked:?}");
        }
    }
}

#[tokio::test]
async fn refusals_say_what_should_follow() {
    for (text, expected) in [
        ("Be limited", unavailable(Some(7))),
        ("Be overloaded", unavailable(None)),
        ("Be dropped", unavailable(None)),
        ("Be cut off", unavailable(None)),
        ("Be malformed", ProviderError::Invalid),
    ] {
        each(text, |wire, heard| {
            let expected = Heard { error: Some(expected.clone()), ..Heard::default() };
            assert_eq!(heard, expected, "{text}, {wire:?}");
        })
        .await;
    }
    each("Have an unknown key", |wire, heard| match heard.error {
        Some(ProviderError::Misconfigured(said)) => {
            assert!(said.contains("401"), "{wire:?}: {said}");
        }
        other => panic!("{wire:?}: {other:?}"),
    })
    .await;
}
