//! How a subscription stands, and what is news of it.

use super::*;

#[test]
fn what_is_paid_stays_paid() {
    let invoice = whole("in_1", basic(), "2027-06-01", "2027-07-01");
    let mut subscription = with(vec![invoice.clone()]);
    more(&mut subscription, vec![Invoice { state: InvoiceState::Open, ..invoice }]);
    assert_eq!(subscription.invoices()[0].state, InvoiceState::Paid);
}

/// T11.
#[test]
fn what_is_over_does_not_come_back() {
    let mut subscription = with(vec![]);
    let over = Standing { status: Status::Canceled, ..standing(basic()) };
    let sync = |standing: &Standing, after| Ask::Sync {
        stripe: "sub_1".into(),
        standing: standing.clone(),
        invoices: vec![],
        after,
    };
    ask(&mut subscription, "2027-06-02", sync(&over, 1)).expect("read");
    assert_eq!(subscription.status(), Status::Canceled);
    let late = ask(&mut subscription, "2027-06-03", sync(&standing(basic()), 2));
    assert_eq!(late, Ok(vec![]));
    assert_eq!(subscription.status(), Status::Canceled);
}

#[test]
fn an_older_reading_does_not_count() {
    let mut subscription = with(vec![]);
    let behind = Standing { status: Status::PastDue, ..standing(basic()) };
    let sync = |standing: &Standing, after| Ask::Sync {
        stripe: "sub_1".into(),
        standing: standing.clone(),
        invoices: vec![],
        after,
    };
    assert!(ask(&mut subscription, "2027-06-02", sync(&behind, 1)).is_ok());
    let older = ask(&mut subscription, "2027-06-02", sync(&standing(basic()), 1));
    assert_eq!(older, Err(SubscriptionError::Moved));
    assert_eq!(ask(&mut subscription, "2027-06-02", sync(&behind, 1)), Ok(vec![]));
    let other = Ask::Sync {
        stripe: "sub_2".into(),
        standing: standing(basic()),
        invoices: vec![],
        after: 2,
    };
    assert_eq!(ask(&mut subscription, "2027-06-02", other), Err(SubscriptionError::OtherAtStripe));
}

#[test]
fn only_what_has_changed_is_told() {
    let mut subscription = with(vec![]);
    let (ends_at, plan) = (Some(at("2027-07-01")), pro());
    let change = Some(Change { plan: pro(), expires_at: at("2027-06-03") });
    let found = Standing { plan, ends_at, change, ..standing(basic()) };
    let sync = |standing: Standing, after| Ask::Sync {
        stripe: "sub_1".into(),
        standing,
        invoices: vec![],
        after,
    };
    let events = ask(&mut subscription, "2027-06-02", sync(found.clone(), 1)).expect("read");
    let names: Vec<_> = events.iter().map(SubscriptionEvent::name).collect();
    assert_eq!(names, ["PlanChanged", "EndScheduled", "ChangeAwaited"]);
    assert_eq!(subscription.standing(), Some(&found));
    let back = sync(standing(pro()), subscription.readings());
    let events = ask(&mut subscription, "2027-06-02", back).expect("read");
    let names: Vec<_> = events.iter().map(SubscriptionEvent::name).collect();
    assert_eq!(names, ["EndUnscheduled", "ChangeClosed"]);
}

#[test]
fn a_duplicate_brings_nothing() {
    let mut subscription = with(vec![whole("in_1", basic(), "2027-06-01", "2027-07-01")]);
    ask(&mut subscription, "2027-06-01", Ask::MarkDuplicate).expect("marked");
    assert_eq!(release(&mut subscription, "2027-06-15"), []);
}

#[test]
fn what_is_granted_is_awaited_no_more() {
    let mut subscription = with(vec![whole("in_1", basic(), "2027-06-01", "2027-07-01")]);
    release(&mut subscription, "2027-06-01");
    let grants: Vec<_> = subscription.awaited().map(|tranche| tranche.grant.id).collect();
    assert_eq!(grants.len(), 1);
    let note = || Ask::NoteGranted { grants: grants.clone() };
    assert_eq!(ask(&mut subscription, "2027-06-01", note()).map(|events| events.len()), Ok(1));
    assert_eq!(ask(&mut subscription, "2027-06-01", note()), Ok(vec![]));
    assert_eq!(subscription.awaited().count(), 0);
}
