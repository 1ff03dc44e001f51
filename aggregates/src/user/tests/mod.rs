//! The rules of a person's account.

mod standing;

use chrono::{DateTime, TimeDelta};
use cqrs_es::test::TestFramework;
use uuid::Uuid;

use super::*;

const AT: DateTime<Utc> = DateTime::UNIX_EPOCH;
const LATER: DateTime<Utc> = DateTime::<Utc>::MAX_UTC;

fn user() -> TestFramework<User> {
    TestFramework::with(())
}

fn ask(ask: Ask) -> UserCommand {
    UserCommand { now: AT, ask }
}

fn register() -> UserCommand {
    ask(Ask::Register {
        email: Some("ada@example.com".into()),
        name: Some("Ada".into()),
        by: SignIn::Password,
    })
}

fn registered() -> UserEvent {
    registered_by(SignIn::Password)
}

fn registered_by(by: SignIn) -> UserEvent {
    UserEvent::Registered {
        email: Pii::Clear(Some("ada@example.com".into())),
        name: Pii::Clear(Some("Ada".into())),
        by,
        at: AT,
    }
}

fn rename(name: &str) -> UserCommand {
    ask(Ask::ChangeProfile { name: Some(name.into()), instead_of: None })
}

fn renamed(name: &str) -> UserEvent {
    UserEvent::ProfileChanged { name: Pii::Clear(Some(name.into())), at: AT }
}

fn verified() -> UserEvent {
    UserEvent::EmailVerified { email: Pii::Clear("ada@example.com".into()), at: AT }
}

fn session(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

fn signed_in(number: u128) -> UserEvent {
    let (session, by) = (session(number), SignIn::Password);
    UserEvent::SessionStarted { session, by, expires_at: LATER, at: AT }
}

fn start(number: u128) -> UserCommand {
    ask(Ask::StartSession {
        session: session(number),
        by: SignIn::Password,
        expires_at: LATER,
        as_of: None,
    })
}

fn ended(numbers: &[u128], why: EndReason) -> UserEvent {
    let sessions = numbers.iter().map(|number| session(*number)).collect();
    UserEvent::SessionsEnded { sessions, why, at: AT }
}

const GOOGLE: IdentityId = IdentityId(Uuid::from_u128(7));
const KEY: ApiKeyId = ApiKeyId(Uuid::from_u128(9));

fn linked() -> UserEvent {
    UserEvent::IdentityLinked { identity: GOOGLE, provider: Provider::Google, at: AT }
}

fn create_key(key: ApiKeyId) -> UserCommand {
    ask(Ask::CreateApiKey { key, name: "laptop".into(), scopes: vec![Scope::Ai] })
}

fn key_created(key: ApiKeyId) -> UserEvent {
    let (name, scopes) = (Pii::Clear("laptop".into()), vec![Scope::Ai]);
    UserEvent::ApiKeyCreated { key, name, scopes, at: AT }
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
    let there = vec![registered(), renamed("Grace")];
    user().given(there).when(rename("Ada")).then_expect_events(vec![renamed("Ada")]);
}

#[test]
fn a_name_is_changed_only_from_what_was_read() {
    let change = |read: &str| {
        let instead_of = Some(Some(read.into()));
        ask(Ask::ChangeProfile { name: Some("Countess".into()), instead_of })
    };
    user()
        .given(vec![registered()])
        .when(change("Ada"))
        .then_expect_events(vec![renamed("Countess")]);
    user()
        .given(vec![registered()])
        .when(change("Grace"))
        .then_expect_error(UserError::ProfileMoved);
}

#[test]
fn an_address_is_verified_once() {
    let verify = || ask(Ask::VerifyEmail { email: "ada@example.com".into() });
    user().given(vec![registered()]).when(verify()).then_expect_events(vec![verified()]);
    user().given(vec![registered(), verified()]).when(verify()).then_expect_events(vec![]);
}

#[test]
fn an_account_is_taken_over_only_before_its_address_is_verified() {
    let take = || ask(Ask::TakeOver { by: SignIn::EmailCode });
    let taken = || UserEvent::TakenOver { by: SignIn::EmailCode, at: AT };
    user()
        .given(vec![registered(), signed_in(1), linked()])
        .when(take())
        .then_expect_events(vec![taken()]);
    user()
        .given(vec![registered(), verified()])
        .when(take())
        .then_expect_error(UserError::AlreadyVerified);
}

#[test]
fn nothing_of_whoever_was_there_before_outlives_a_takeover() {
    let mut user = User::default();
    let taken = UserEvent::TakenOver { by: SignIn::EmailCode, at: AT };
    let phone = UserEvent::PhoneVerified { phone: Pii::Clear("+15551234567".into()), at: AT };
    let admin = UserEvent::RoleChanged { role: Role::Admin, reason: None, at: AT };
    let before = [registered(), signed_in(1), linked(), key_created(KEY), phone, admin];
    for event in before.into_iter().chain([taken, verified()]) {
        user.apply(event);
    }
    assert!(user.phone().is_none() && user.role() == Role::User);
    assert!(!user.has_password() && !user.has_session(session(1)) && !user.has_identity(GOOGLE));
    assert!(user.api_keys.is_empty() && user.ways_in() == 1);
}

#[test]
fn another_password_ends_all_sessions_but_this_one() {
    let set = |keep| ask(Ask::SetPassword { keep });
    let there = || vec![registered(), signed_in(1), signed_in(2)];
    let over = |numbers: &[u128]| ended(numbers, EndReason::PasswordSet);
    let event = || UserEvent::PasswordSet { at: AT };
    user().given(there()).when(set(Some(session(1)))).then_expect_events(vec![event(), over(&[2])]);
    user().given(there()).when(set(None)).then_expect_events(vec![event(), over(&[1, 2])]);
    user().given(vec![registered()]).when(set(None)).then_expect_events(vec![event()]);
}

#[test]
fn a_session_ends_once_and_the_others_with_one_word() {
    let end = || ask(Ask::EndSession { session: session(1), why: EndReason::SignedOut });
    let over = || ended(&[1], EndReason::SignedOut);
    user().given(vec![registered(), signed_in(1)]).when(end()).then_expect_events(vec![over()]);
    user().given(vec![registered(), signed_in(1), over()]).when(end()).then_expect_events(vec![]);
    user()
        .given(vec![registered(), signed_in(1), signed_in(2), signed_in(3)])
        .when(ask(Ask::EndOtherSessions { keep: session(2) }))
        .then_expect_events(vec![ended(&[1, 3], EndReason::Ended)]);
}

#[test]
fn a_session_whose_time_is_over_is_forgotten() {
    let mut user = User::default();
    let until = AT + TimeDelta::days(90);
    let started = |number, expires_at, at| UserEvent::SessionStarted {
        session: session(number),
        by: SignIn::Password,
        expires_at,
        at,
    };
    for event in [registered(), started(1, until, AT), started(2, LATER, until)] {
        user.apply(event);
    }
    assert!(!user.has_session(session(1)) && user.has_session(session(2)));
}

#[test]
fn what_was_proved_before_a_way_in_changed_lets_nobody_in_after() {
    let start = |as_of| {
        let (session, by) = (session(1), SignIn::Password);
        ask(Ask::StartSession { session, by, expires_at: LATER, as_of: Some(as_of) })
    };
    let set = || UserEvent::PasswordSet { at: AT };
    user().given(vec![registered()]).when(start(0)).then_expect_events(vec![signed_in(1)]);
    user().given(vec![registered(), set()]).when(start(1)).then_expect_events(vec![signed_in(1)]);
    user()
        .given(vec![registered(), set()])
        .when(start(0))
        .then_expect_error(UserError::WayInChanged);
}

#[test]
fn a_password_without_an_address_is_no_way_in() {
    let by_github = UserEvent::Registered {
        email: Pii::Clear(None),
        name: Pii::Clear(None),
        by: SignIn::Provider(Provider::Github),
        at: AT,
    };
    user()
        .given(vec![by_github, linked(), UserEvent::PasswordSet { at: AT }])
        .when(ask(Ask::UnlinkIdentity { identity: GOOGLE }))
        .then_expect_error(UserError::LastWayIn);
}

#[test]
fn the_last_way_in_stays() {
    let unlink = || ask(Ask::UnlinkIdentity { identity: GOOGLE });
    let by_google = || vec![registered_by(SignIn::Provider(Provider::Google)), linked()];
    user().given(by_google()).when(unlink()).then_expect_error(UserError::LastWayIn);
    user()
        .given([by_google(), vec![verified()]].concat())
        .when(unlink())
        .then_expect_events(vec![UserEvent::IdentityUnlinked { identity: GOOGLE, at: AT }]);
    user().given(vec![registered()]).when(unlink()).then_expect_error(UserError::UnknownIdentity);
}

#[test]
fn a_key_is_created_and_revoked_once_and_there_are_only_so_many() {
    let revoke = || ask(Ask::RevokeApiKey { key: KEY });
    let there = || vec![registered(), key_created(KEY)];
    let revoked = || UserEvent::ApiKeyRevoked { key: KEY, at: AT };
    user()
        .given(vec![registered()])
        .when(create_key(KEY))
        .then_expect_events(vec![key_created(KEY)]);
    user().given(there()).when(create_key(KEY)).then_expect_events(vec![]);
    user().given(there()).when(revoke()).then_expect_events(vec![revoked()]);
    user().given(vec![registered()]).when(revoke()).then_expect_events(vec![]);
    let many = (100..150).map(|number| key_created(ApiKeyId(Uuid::from_u128(number))));
    user()
        .given(std::iter::once(registered()).chain(many).collect())
        .when(create_key(KEY))
        .then_expect_error(UserError::TooManyKeys);
}

#[test]
fn who_was_erased_does_not_come_back_and_nothing_is_left() {
    let gone = || vec![registered(), linked(), key_created(KEY), UserEvent::Erased { at: AT }];
    user().given(gone()).when(ask(Ask::Erase)).then_expect_events(vec![]);
    for again in [ask(Ask::Reactivate { reason: None }), start(1), rename("Ada"), register()] {
        user().given(gone()).when(again).then_expect_error(UserError::NotActive);
    }
    let mut user = User::default();
    for event in gone() {
        user.apply(event);
    }
    assert_eq!(user, User { status: Status::Erased, ..User::default() });
}
