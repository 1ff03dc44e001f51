//! The rules of a person's account.

use chrono::DateTime;
use cqrs_es::test::TestFramework;

use super::*;
use crate::id::SessionId;

fn user() -> TestFramework<User> {
    TestFramework::with(())
}

fn ask(ask: Ask) -> UserCommand {
    UserCommand { now: DateTime::UNIX_EPOCH, ask }
}

fn register() -> UserCommand {
    ask(Ask::Register {
        email: "ada@example.com".into(),
        name: Some("Ada".into()),
        by: SignIn::Password,
    })
}

fn registered() -> UserEvent {
    UserEvent::Registered {
        email: Pii::Clear("ada@example.com".into()),
        name: Pii::Clear(Some("Ada".into())),
        by: SignIn::Password,
        at: DateTime::UNIX_EPOCH,
    }
}

fn rename(name: &str) -> UserCommand {
    ask(Ask::ChangeProfile { name: Some(name.into()), instead_of: None })
}

#[test]
fn a_person_registers_once() {
    user().given_no_previous_events().when(register()).then_expect_events(vec![registered()]);
    user()
        .given(vec![registered()])
        .when(register())
        .then_expect_error(UserError::AlreadyRegistered);
}

#[test]
fn a_profile_needs_an_account() {
    user()
        .given_no_previous_events()
        .when(rename("Ada"))
        .then_expect_error(UserError::NotRegistered);
}

#[test]
fn a_name_that_does_not_change_is_no_event() {
    user().given(vec![registered()]).when(rename("Ada")).then_expect_events(vec![]);
}

#[test]
fn a_new_name_is_recorded() {
    user().given(vec![registered()]).when(rename("Countess")).then_expect_events(vec![
        UserEvent::ProfileChanged {
            name: Pii::Clear(Some("Countess".into())),
            at: DateTime::UNIX_EPOCH,
        },
    ]);
}

#[test]
fn a_change_of_what_was_read_needs_that_it_is_still_so() {
    let instead_of = |read: Option<&str>| {
        let instead_of = Some(read.map(Into::into));
        ask(Ask::ChangeProfile { name: Some("Countess".into()), instead_of })
    };
    for read in [Some("Augusta"), None] {
        user()
            .given(vec![registered()])
            .when(instead_of(read))
            .then_expect_error(UserError::ProfileMoved);
    }
    let changed = UserEvent::ProfileChanged {
        name: Pii::Clear(Some("Countess".into())),
        at: DateTime::UNIX_EPOCH,
    };
    user()
        .given(vec![registered()])
        .when(instead_of(Some("Ada")))
        .then_expect_events(vec![changed]);
}

#[test]
fn a_session_needs_an_account() {
    let start = ask(Ask::StartSession {
        session: SessionId::default(),
        by: SignIn::Password,
        expires_at: DateTime::UNIX_EPOCH,
    });
    user().given_no_previous_events().when(start).then_expect_error(UserError::NotRegistered);
}
