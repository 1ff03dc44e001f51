//! The rules of chats.

use super::*;

#[test]
fn a_chat_begins_once_and_is_its_owner_s() {
    let create = || now(Ask::Create { owner: owner() });
    chat().given_no_previous_events().when(create()).then_expect_events(vec![created()]);
    chat().given(vec![created()]).when(create()).then_expect_events(vec![]);
    let other = UserId(Uuid::from_u128(2));
    chat()
        .given(vec![created()])
        .when(now(Ask::Create { owner: other }))
        .then_expect_error(ChatError::Taken);
}

#[test]
fn nothing_is_asked_of_a_chat_that_never_began() {
    let asks = [post(1), complete(1), fail(1), complete_cancelled(1), retry(1, 2)];
    let cancels = [Ask::CancelWaiting { reply: reply(1) }, Ask::Cancel { reply: reply(1) }];
    let more = [Ask::Retitle, Ask::Read, Ask::Delete];
    for ask in asks.into_iter().chain(cancels).chain(more) {
        chat().given_no_previous_events().when(now(ask)).then_expect_error(ChatError::NotFound);
    }
}

#[test]
fn nothing_is_asked_of_a_chat_that_was_deleted() {
    let asks = [post(2), complete(1), fail(1), complete_cancelled(1), retry(1, 2)];
    let cancels = [Ask::CancelWaiting { reply: reply(1) }, Ask::Cancel { reply: reply(1) }];
    let more = [Ask::Retitle, Ask::Read, Ask::Delete];
    let created_again = Ask::Create { owner: owner() };
    for ask in asks.into_iter().chain(cancels).chain(more).chain([created_again]) {
        chat()
            .given(vec![created(), posted(1), deleted()])
            .when(now(ask))
            .then_expect_error(ChatError::Deleted);
    }
}

#[test]
fn a_chat_is_called_something_else_as_often_as_one_likes() {
    let retitled = || ChatEvent::Retitled { at: AT };
    chat()
        .given(vec![created(), retitled()])
        .when(now(Ask::Retitle))
        .then_expect_events(vec![retitled()]);
}

#[test]
fn what_is_said_waits_for_its_reply_and_is_not_said_twice() {
    chat().given(vec![created()]).when(now(post(1))).then_expect_events(vec![posted(1)]);
    chat().given(vec![created(), posted(1)]).when(now(post(1))).then_expect_events(vec![]);
    chat().given(vec![created(), posted(1)]).when(now(post(2))).then_expect_events(vec![posted(2)]);
}

#[test]
fn sixteen_replies_wait_at_most() {
    let given = |count| {
        let posts = (1..=count).map(posted);
        [created()].into_iter().chain(posts).collect::<Vec<_>>()
    };
    chat().given(given(15)).when(now(post(16))).then_expect_events(vec![posted(16)]);
    chat().given(given(16)).when(now(post(17))).then_expect_error(ChatError::TooManyWaiting);
    let mut one_less = given(16);
    one_less.push(replied(1));
    chat().given(one_less).when(now(post(17))).then_expect_events(vec![posted(17)]);
}

#[test]
fn a_chat_has_ten_thousand_messages_at_most_replies_included() {
    let talk = |posts| {
        let exchanges = (1..=posts).flat_map(|number| [posted(number), replied(number)]);
        [created()].into_iter().chain(exchanges).collect::<Vec<_>>()
    };
    let mut one_left = talk(4_998);
    one_left.extend([posted(4_999), failed(4_999)]);
    chat().given(one_left.clone()).when(now(post(5_000))).then_expect_events(vec![posted(5_000)]);
    one_left.extend([retried(4_999, 9_001), failed(9_001)]);
    chat().given(one_left.clone()).when(now(post(5_000))).then_expect_error(ChatError::Full);
    let again = || now(retry(9_001, 9_002));
    chat().given(one_left.clone()).when(again()).then_expect_events(vec![retried(9_001, 9_002)]);
    one_left.extend([retried(9_001, 9_002), failed(9_002)]);
    chat().given(one_left).when(now(retry(9_002, 9_003))).then_expect_error(ChatError::Full);
}

#[test]
fn replies_come_in_the_order_in_which_they_were_asked_for() {
    let given = || vec![created(), posted(1), posted(2)];
    chat().given(given()).when(now(complete(1))).then_expect_events(vec![replied(1)]);
    for ask in [complete(2), fail(2), complete_cancelled(2), complete(3)] {
        chat().given(given()).when(now(ask)).then_expect_error(ChatError::NotWaiting);
    }
    let mut first_there = given();
    first_there.push(replied(1));
    chat().given(first_there.clone()).when(now(complete(2))).then_expect_events(vec![replied(2)]);
    for ask in [complete(1), fail(1), complete_cancelled(1), Ask::Cancel { reply: reply(1) }] {
        chat().given(first_there.clone()).when(now(ask)).then_expect_error(ChatError::NotWaiting);
    }
}

#[test]
fn a_reply_that_fails_makes_way_for_the_next() {
    let given = || vec![created(), posted(1), posted(2)];
    chat().given(given()).when(now(fail(1))).then_expect_events(vec![failed(1)]);
    chat()
        .given(vec![created(), posted(1), posted(2), failed(1)])
        .when(now(complete(2)))
        .then_expect_events(vec![replied(2)]);
}

#[test]
fn a_reply_that_only_waits_is_cancelled_at_once() {
    let cancel = |number| now(Ask::CancelWaiting { reply: reply(number) });
    chat()
        .given(vec![created(), posted(1), posted(2)])
        .when(cancel(2))
        .then_expect_events(vec![cancelled(2)]);
    for number in [2, 3] {
        chat()
            .given(vec![created(), posted(1), posted(2), cancelled(2)])
            .when(cancel(number))
            .then_expect_error(ChatError::NotWaiting);
    }
}

/// Whoever tells of it knows which of both it was.
#[test]
fn a_reply_that_only_waits_is_not_asked_to_stop_and_the_first_is_not_gone_at_once() {
    let given = || vec![created(), posted(1), posted(2)];
    chat()
        .given(given())
        .when(now(Ask::Cancel { reply: reply(2) }))
        .then_expect_error(ChatError::NotWaiting);
    let first = || now(Ask::CancelWaiting { reply: reply(1) });
    chat().given(given()).when(first()).then_expect_error(ChatError::ItsTurn);
    let mut asked = given();
    asked.push(cancel_asked(1));
    chat().given(asked).when(first()).then_expect_error(ChatError::ItsTurn);
    let mut over = given();
    over.push(replied(1));
    chat().given(over).when(first()).then_expect_error(ChatError::NotWaiting);
}

#[test]
fn a_reply_that_is_under_way_is_asked_to_stop_once() {
    let cancel = || now(Ask::Cancel { reply: reply(1) });
    chat()
        .given(vec![created(), posted(1)])
        .when(cancel())
        .then_expect_events(vec![cancel_asked(1)]);
    let asked = || vec![created(), posted(1), cancel_asked(1)];
    chat().given(asked()).when(cancel()).then_expect_events(vec![]);
    chat().given(asked()).when(now(complete_cancelled(1))).then_expect_events(vec![cut_off(1)]);
    // Whoever made it had not heard.
    chat().given(asked()).when(now(complete(1))).then_expect_events(vec![replied(1)]);
}

#[test]
fn what_was_asked_of_one_reply_is_not_asked_of_the_next() {
    let cancel = || now(Ask::Cancel { reply: reply(2) });
    for end in [replied(1), failed(1), cut_off(1)] {
        let given = vec![created(), posted(1), posted(2), cancel_asked(1), end];
        chat().given(given).when(cancel()).then_expect_events(vec![cancel_asked(2)]);
    }
}

#[test]
fn the_last_reply_is_tried_again_when_it_came_to_nothing() {
    for end in [failed(1), cut_off(1)] {
        chat()
            .given(vec![created(), posted(1), end])
            .when(now(retry(1, 2)))
            .then_expect_events(vec![retried(1, 2)]);
    }
    let queued = || vec![created(), posted(1), posted(2), cancelled(2)];
    chat().given(queued()).when(now(retry(2, 3))).then_expect_events(vec![retried(2, 3)]);
    let again = || vec![created(), posted(1), failed(1), retried(1, 2)];
    chat().given(again()).when(now(retry(1, 2))).then_expect_events(vec![]);
    chat().given(again()).when(now(retry(1, 3))).then_expect_error(ChatError::NotRetriable);
    chat().given(again()).when(now(complete(2))).then_expect_events(vec![replied(2)]);
}

#[test]
fn it_is_known_of_which_model_the_last_reply_was_asked() {
    let named = |model: &str| ChatEvent::Posted {
        message: message(1),
        reply: reply(1),
        model: model.to_owned(),
        at: AT,
    };
    let asked = |events: Vec<ChatEvent>| {
        let mut state = Chat::default();
        for event in events {
            state.apply(event);
        }
        state.asked().map(str::to_owned)
    };
    assert_eq!(asked(vec![created()]), None);
    let failed_of_large = || vec![created(), named("large"), failed(1)];
    assert_eq!(asked(failed_of_large()).as_deref(), Some("large"));
    let mut again = failed_of_large();
    again.push(retried(1, 2));
    assert_eq!(asked(again), Some(model()));
    let mut gone = failed_of_large();
    gone.push(deleted());
    assert_eq!(asked(gone), None);
}

#[test]
fn what_is_there_or_waits_or_was_talked_past_is_not_tried_again() {
    for given in [
        vec![created()],
        vec![created(), posted(1)],
        vec![created(), posted(1), replied(1)],
        vec![created(), posted(1), failed(1), posted(2)],
        vec![created(), posted(1), posted(2), failed(1)],
    ] {
        chat().given(given).when(now(retry(1, 3))).then_expect_error(ChatError::NotRetriable);
    }
}

#[test]
fn what_came_is_seen_once() {
    let read = |messages| ChatEvent::Read { messages, at: AT };
    chat().given(vec![created(), posted(1)]).when(now(Ask::Read)).then_expect_events(vec![]);
    let given =
        || vec![created(), posted(1), replied(1), posted(2), replied(2), posted(3), failed(3)];
    chat().given(given()).when(now(Ask::Read)).then_expect_events(vec![read(2)]);
    let mut seen = given();
    seen.push(read(2));
    chat().given(seen).when(now(Ask::Read)).then_expect_events(vec![]);
}

#[test]
fn a_chat_is_deleted_with_all_that_waits() {
    chat()
        .given(vec![created(), posted(1), cancel_asked(1)])
        .when(now(Ask::Delete))
        .then_expect_events(vec![deleted()]);
    let mut state = Chat::default();
    for event in [created(), posted(1), posted(2), deleted()] {
        state.apply(event);
    }
    assert_eq!((state.owner(), state.waiting().len(), state.to_cancel()), (None, 0, None));
}
