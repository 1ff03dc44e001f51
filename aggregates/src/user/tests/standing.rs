//! Whether an account may be used, and what its person may do.

use super::*;

const SPAM: Option<&str> = Some("sends spam");

fn let_rest(reason: Option<&str>) -> UserCommand {
    ask(Ask::Deactivate { reason: reason.map(str::to_owned) })
}

fn use_again(reason: Option<&str>) -> UserCommand {
    ask(Ask::Reactivate { reason: reason.map(str::to_owned) })
}

fn rests(reason: Option<&str>) -> UserEvent {
    UserEvent::Deactivated { reason: reason.map(str::to_owned), at: AT }
}

fn used_again(reason: Option<&str>) -> UserEvent {
    UserEvent::Reactivated { reason: reason.map(str::to_owned), at: AT }
}

fn change_to(role: Role) -> UserCommand {
    ask(Ask::ChangeRole { role, reason: Some("joins the support".to_owned()) })
}

fn changed_to(role: Role) -> UserEvent {
    UserEvent::RoleChanged { role, reason: Some("joins the support".to_owned()), at: AT }
}

#[test]
fn an_account_that_rests_takes_nobody_in_until_it_is_used_again() {
    let resting = || vec![registered(), verified(), signed_in(1), rests(None)];
    user().given(vec![registered()]).when(let_rest(None)).then_expect_error(UserError::NoWayBack);
    user().given(resting()).when(start(2)).then_expect_error(UserError::NotActive);
    user().given(resting()).when(let_rest(None)).then_expect_events(vec![]);
    user()
        .given(resting())
        .when(ask(Ask::EndSession { session: session(1), why: EndReason::Ended }))
        .then_expect_events(vec![]);
    user().given(resting()).when(use_again(None)).then_expect_events(vec![used_again(None)]);
    user()
        .given([resting(), vec![used_again(None)]].concat())
        .when(start(2))
        .then_expect_events(vec![signed_in(2)]);
}

#[test]
fn whom_an_administrator_lets_rest_comes_back_by_an_administrator_only() {
    let barred = || vec![registered(), rests(SPAM)];
    user().given(vec![registered()]).when(let_rest(SPAM)).then_expect_events(vec![rests(SPAM)]);
    user().given(barred()).when(let_rest(SPAM)).then_expect_events(vec![]);
    user().given(barred()).when(use_again(None)).then_expect_error(UserError::Barred);
    user().given(barred()).when(use_again(SPAM)).then_expect_events(vec![used_again(SPAM)]);
    let own = || vec![registered(), verified(), rests(None)];
    user().given(own()).when(let_rest(SPAM)).then_expect_events(vec![rests(SPAM)]);
    let later = [barred(), vec![used_again(SPAM), verified(), rests(None)]].concat();
    user().given(later).when(use_again(None)).then_expect_events(vec![used_again(None)]);
}

#[test]
fn a_role_changes_once_and_is_taken_from_an_account_that_rests() {
    let admin = || vec![registered(), changed_to(Role::Admin)];
    user()
        .given(vec![registered()])
        .when(change_to(Role::Admin))
        .then_expect_events(vec![changed_to(Role::Admin)]);
    user().given(admin()).when(change_to(Role::Admin)).then_expect_events(vec![]);
    let resting = || [admin(), vec![rests(SPAM)]].concat();
    user()
        .given(resting())
        .when(change_to(Role::User))
        .then_expect_events(vec![changed_to(Role::User)]);
    let nobody = vec![registered(), rests(SPAM)];
    user().given(nobody).when(change_to(Role::Admin)).then_expect_error(UserError::NotActive);
}
