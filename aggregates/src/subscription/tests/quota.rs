//! What paid invoices bring.

use proptest::prelude::*;

use super::*;
use crate::subscription::quota::GRACE;

#[test]
fn a_month_that_is_paid_brings_its_quota_once() {
    let mut subscription = with(vec![whole("in_1", basic(), "2027-06-01", "2027-07-01")]);
    assert_eq!(amounts(&release(&mut subscription, "2027-06-01")), [1_000]);
    assert_eq!(release(&mut subscription, "2027-06-01"), []);
    assert_eq!(release(&mut subscription, "2027-06-30"), []);
    let GrantTerms { kind, expires_at, .. } = subscription.released[0].grant.clone();
    assert_eq!(kind, GrantKind::Quota);
    assert_eq!(expires_at, Some(at("2027-07-01") + GRACE));
}

#[test]
fn nothing_is_due_of_what_is_not_paid() {
    for state in [InvoiceState::Open, InvoiceState::Void, InvoiceState::Uncollectible] {
        let invoice = whole("in_1", basic(), "2027-06-01", "2027-07-01");
        let unpaid = Invoice { state, paid_minor: 0, paid_at: None, ..invoice.clone() };
        let mut subscription = with(vec![unpaid]);
        assert_eq!(release(&mut subscription, "2027-06-15"), []);
        assert_eq!(subscription.entitlement(at("2027-06-15")), None);
        more(&mut subscription, vec![invoice]);
        assert_eq!(amounts(&release(&mut subscription, "2027-06-15")), [1_000]);
        assert_eq!(subscription.entitlement(at("2027-06-15")), Some(&basic()));
    }
}

/// T17: over month ends and a leap day.
#[test]
fn a_year_is_released_by_the_month_and_month_ends_clamp() {
    let year = plan("Basic", 1_000, Interval::Year);
    let mut subscription = with(vec![whole("in_1", year, "2028-01-31", "2029-01-31")]);
    let days = ["2028-01-31", "2028-02-28", "2028-02-29", "2028-03-30", "2028-03-31", "2028-04-30"];
    let released = days.map(|day| amounts(&release(&mut subscription, day)));
    let (some, none) = (vec![1_000], vec![]);
    assert_eq!(released, [some.clone(), none.clone(), some.clone(), none, some.clone(), some]);
    assert_eq!(subscription.next_at(), Some(at("2028-05-31")));
    let rest = release(&mut subscription, "2029-06-01");
    assert_eq!(amounts(&rest), [1_000; 8]);
    assert_eq!(subscription.next_at(), None);
    let mut starts: Vec<_> =
        subscription.released.iter().map(|tranche| tranche.period.start).collect();
    starts.dedup();
    assert_eq!(starts.len(), 12);
    assert_eq!(rest.last().map(|tranche| tranche.period.end), Some(at("2029-01-31")));
}

/// A month that ends later than its first day would have it is still one month.
#[test]
fn a_month_from_the_last_of_february_is_one_tranche() {
    let mut subscription = with(vec![whole("in_1", basic(), "2027-02-28", "2027-03-31")]);
    assert_eq!(amounts(&release(&mut subscription, "2027-03-30")), [1_000]);
}

/// T16.
#[test]
fn up_down_and_up_again_in_one_period_brings_no_more_than_one_up() {
    let first = whole("in_1", basic(), "2027-06-01", "2027-07-01");
    let up = change("in_2", "2027-06-11", basic(), pro());
    let down = change("in_3", "2027-06-16", pro(), basic());
    let again = change("in_4", "2027-06-21", basic(), pro());
    let mut subscription = with(vec![first.clone()]);
    assert_eq!(amounts(&release(&mut subscription, "2027-06-01")), [1_000]);
    // Two thirds of the month are left: 9,000 × 2 / 3.
    more(&mut subscription, vec![first.clone(), up.clone()]);
    assert_eq!(amounts(&release(&mut subscription, "2027-06-11")), [6_000]);
    assert_eq!(subscription.entitlement(at("2027-06-11")), Some(&pro()));
    // Half of it is given back in money; what was given stays, and counts.
    more(&mut subscription, vec![first.clone(), up.clone(), down.clone()]);
    assert_eq!(release(&mut subscription, "2027-06-16"), []);
    assert_eq!(subscription.entitlement(at("2027-06-17")), Some(&basic()));
    // 1,000 + 6,000 − 4,500 + 3,000 is less than the 7,000 that were given.
    more(&mut subscription, vec![first.clone(), up.clone(), down.clone(), again.clone()]);
    assert_eq!(release(&mut subscription, "2027-06-21"), []);
    // Read all at once, it is the same.
    let mut late = with(vec![again, down, up, first]);
    assert_eq!(amounts(&release(&mut late, "2027-06-21")), [1_000, 6_000]);
}

#[test]
fn a_renewal_begins_anew() {
    let first = whole("in_1", basic(), "2027-06-01", "2027-07-01");
    let up = change("in_2", "2027-06-11", basic(), pro());
    let next = whole("in_3", pro(), "2027-07-01", "2027-08-01");
    let mut subscription = with(vec![first, up, next]);
    assert_eq!(amounts(&release(&mut subscription, "2027-07-02")), [1_000, 6_000, 10_000]);
}

#[test]
fn a_year_that_is_raised_brings_more_in_the_months_that_are_left() {
    let year = |quota| plan("Year", quota, Interval::Year);
    let lines = vec![
        line(LineKind::GivenBack, year(1_000), "2027-03-16", "2028-01-01"),
        line(LineKind::Rest, year(2_000), "2027-03-16", "2028-01-01"),
    ];
    let first = whole("in_1", year(1_000), "2027-01-01", "2028-01-01");
    let mut subscription = with(vec![first, paid("in_2", lines)]);
    let released = release(&mut subscription, "2027-04-01");
    // March has 16 of its 31 days left.
    assert_eq!(amounts(&released), [1_000, 1_000, 1_000, 516, 1_000, 1_000]);
    let groups: Vec<_> = released.iter().map(|tranche| tranche.invoice.as_str()).collect();
    assert_eq!(groups, ["in_1", "in_1", "in_1", "in_2", "in_1", "in_2"]);
}

/// The month was granted and is given back in money: the first month of the year has it already.
#[test]
fn a_month_that_is_changed_for_a_year_does_not_count_twice() {
    let year = plan("Year", 1_000, Interval::Year);
    let lines = vec![
        line(LineKind::GivenBack, basic(), "2027-06-16", "2027-07-01"),
        line(LineKind::Whole, year, "2027-06-16", "2028-06-16"),
    ];
    let mut subscription = with(vec![whole("in_1", basic(), "2027-06-01", "2027-07-01")]);
    assert_eq!(amounts(&release(&mut subscription, "2027-06-01")), [1_000]);
    more(&mut subscription, vec![paid("in_2", lines)]);
    assert_eq!(amounts(&release(&mut subscription, "2027-06-16")), [500]);
    assert_eq!(amounts(&release(&mut subscription, "2027-07-16")), [1_000]);
}

/// A great month is spent, and given back in money for a small year: the year brings what is left of it
/// when the month's rest is made up for.
#[test]
fn what_was_given_back_in_money_is_made_up_for_by_the_months_that_follow() {
    let month = whole("in_1", pro(), "2027-06-01", "2027-07-01");
    let (day, end) = ("2027-06-16", "2028-06-16");
    let year = plan("Year", 1_000, Interval::Year);
    let year = vec![
        line(LineKind::GivenBack, pro(), day, "2027-07-01"),
        line(LineKind::Whole, year, day, end),
    ];
    let mut subscription = with(vec![month, paid("in_2", year)]);
    assert_eq!(amounts(&release(&mut subscription, "2027-06-01")), [10_000]);
    assert_eq!(amounts(&release(&mut subscription, "2027-06-16")), [] as [i64; 0]);
    assert_eq!(amounts(&release(&mut subscription, "2027-10-16")), [] as [i64; 0], "five months");
    assert_eq!(amounts(&release(&mut subscription, "2027-11-16")), [1_000]);
    assert_eq!(amounts(&release(&mut subscription, "2028-06-15")), [1_000; 6]);
}

/// What was given back in money for the rest of a year brings nothing any more in the months to come.
#[test]
fn a_year_that_is_given_back_brings_no_more_from_then_on() {
    let year = |quota| plan("Year", quota, Interval::Year);
    let back = || line(LineKind::GivenBack, year(10_000), "2027-03-16", "2028-01-01");
    let lower = line(LineKind::Rest, year(1_000), "2027-03-16", "2028-01-01");
    let month = line(LineKind::Whole, basic(), "2027-03-16", "2027-04-16");
    let first = || whole("in_1", year(10_000), "2027-01-01", "2028-01-01");
    for (lines, later) in [
        (vec![back(), lower], vec![1_000, 1_000]),
        (vec![back(), month], vec![]),
        (vec![back()], vec![]),
    ] {
        let mut subscription = with(vec![first()]);
        assert_eq!(amounts(&release(&mut subscription, "2027-03-01")), [10_000; 3]);
        more(&mut subscription, vec![first(), paid("in_2", lines)]);
        assert_eq!(release(&mut subscription, "2027-03-16"), []);
        assert_eq!(amounts(&release(&mut subscription, "2027-05-01")), later);
    }
}

/// However often the interval is changed, what is due is reckoned at once.
#[test]
fn many_changes_of_the_interval_are_reckoned_at_once() {
    let year = plan("Year", 1_000, Interval::Year);
    let mut invoices = vec![whole("in_0", basic(), "2027-06-01", "2027-07-01")];
    for day in 2..=28 {
        let start = format!("2027-06-{day:02}");
        let (old, old_end, new, end) = if day % 2 == 0 {
            (basic(), "2027-07-01".to_owned(), year.clone(), format!("2028-06-{day:02}"))
        } else {
            let before = format!("2028-06-{:02}", day - 1);
            (year.clone(), before, basic(), format!("2027-07-{day:02}"))
        };
        let old_end =
            if day > 2 && day % 2 == 0 { format!("2027-07-{:02}", day - 1) } else { old_end };
        let back = line(LineKind::GivenBack, old, &start, &old_end);
        let lines = vec![back, line(LineKind::Whole, new, &start, &end)];
        invoices.push(paid(&format!("in_{day}"), lines));
    }
    let mut subscription = with(invoices);
    let released = release(&mut subscription, "2027-06-30");
    let sum = Credits::sum(released.iter().map(|tranche| tranche.grant.amount)).expect("fits");
    assert!((1_000..=2_000).contains(&sum.get()), "{sum}");
}

#[test]
fn a_trial_has_its_share_of_a_month() {
    let trial = paid("in_1", vec![line(LineKind::Trial, basic(), "2027-06-01", "2027-06-15")]);
    let mut subscription = with(vec![Invoice { paid_minor: 0, total: usd(0), ..trial }]);
    assert_eq!(amounts(&release(&mut subscription, "2027-06-01")), [466]);
    let long = paid("in_1", vec![line(LineKind::Trial, basic(), "2027-06-01", "2027-08-15")]);
    let mut subscription = with(vec![long]);
    assert_eq!(amounts(&release(&mut subscription, "2027-06-01")), [1_000]);
}

#[test]
fn what_comes_too_late_for_its_time_lasts_as_long_as_it_would_have() {
    let mut subscription = with(vec![whole("in_1", basic(), "2027-06-01", "2027-07-01")]);
    let released = release(&mut subscription, "2027-08-01");
    assert_eq!(released[0].grant.expires_at, Some(at("2027-08-31") + GRACE));
}

#[test]
fn what_is_left_of_a_month_is_carried_into_the_next_where_the_plan_says_so() {
    let first = whole("in_1", rolling_over(300), "2027-06-01", "2027-07-01");
    let next = whole("in_2", rolling_over(300), "2027-07-01", "2027-08-01");
    let mut subscription = with(vec![first]);
    let one = release(&mut subscription, "2027-06-01");
    assert_eq!(one[0].carry, None);
    more(&mut subscription, vec![next]);
    let carry = Carry { from: vec![one[0].grant.id], most: Credits::new(300) };
    assert_eq!(release(&mut subscription, "2027-07-01")[0].carry, Some(carry));
}

#[test]
fn what_is_reversed_as_a_whole_brings_nothing_more_until_it_stands_again() {
    let year = plan("Year", 1_000, Interval::Year);
    let mut subscription = with(vec![whole("in_1", year, "2027-01-01", "2028-01-01")]);
    assert_eq!(amounts(&release(&mut subscription, "2027-01-01")), [1_000]);
    let reversing = |after, reversed_minor| Ask::SetReversal {
        invoice: "in_1".into(),
        reversal: Reversal { reversed_minor, ..Reversal::default() },
        after,
    };
    ask(&mut subscription, "2027-01-20", reversing(0, 900)).expect("reversed");
    assert_eq!(release(&mut subscription, "2027-02-01"), []);
    assert_eq!(subscription.entitled_until(), None);
    let older = ask(&mut subscription, "2027-01-20", reversing(0, 100));
    assert_eq!(older, Err(SubscriptionError::Moved));
    ask(&mut subscription, "2027-01-20", reversing(1, 0)).expect("reinstated");
    assert_eq!(amounts(&release(&mut subscription, "2027-02-01")), [1_000]);
}

/// A day of June.
fn day() -> impl Strategy<Value = i64> {
    0..30_i64
}

proptest! {
    /// However often plans are changed: what a month brings is at most what the best plan in it
    /// brings in a month, at least what the first one does, and the same however it is read.
    #[test]
    fn a_month_brings_no_more_than_its_best_plan(
        mut days in proptest::collection::vec((day(), any::<bool>()), 0..8),
        order in any::<u64>(),
    ) {
        days.sort_by_key(|(day, _)| *day);
        let (mut plan, mut invoices) = (basic(), vec![whole("in_0", basic(), "2027-06-01", "2027-07-01")]);
        for (number, (day, up)) in days.into_iter().enumerate() {
            let new = if up { pro() } else { basic() };
            let start = at("2027-06-01") + chrono::TimeDelta::days(day);
            let rest = Period { start, end: at("2027-07-01") };
            let lines = vec![
                Line { kind: LineKind::GivenBack, plan: plan.clone(), period: rest },
                Line { kind: LineKind::Rest, plan: new.clone(), period: rest },
            ];
            let made = start + chrono::TimeDelta::seconds(1 + number.try_into().unwrap_or(0));
            invoices.push(Invoice {
                created_at: made, paid_at: Some(made), ..paid(&format!("in_{}", number + 1), lines)
            });
            plan = new;
        }
        let mut told = Subscription::default();
        ask(&mut told, "2027-06-01", ordered()).expect("ordered");
        for known in 1..=invoices.len() {
            more(&mut told, invoices[..known].to_vec());
            release(&mut told, "2027-06-30");
        }
        let step_by_step = Credits::sum(told.released.iter().map(|it| it.grant.amount)).expect("fits");
        let turn = usize::try_from(order % 8).unwrap_or(0) % invoices.len();
        invoices.rotate_left(turn);
        let mut once = with(invoices);
        release(&mut once, "2027-06-30");
        let at_once = Credits::sum(once.released.iter().map(|it| it.grant.amount)).expect("fits");
        prop_assert!((1_000..=10_000).contains(&step_by_step.get()), "{}", step_by_step);
        prop_assert_eq!(step_by_step, at_once);
    }
}
