//! What of a plan's quota is due, from what was paid: by the invoices' lines and by nothing else.
//!
//! A line for a whole period begins a *base*: the period in months, one tranche each. A change in
//! between adds the rest of the new plan and takes the rest of the old one, so that a tranche is
//! worth the sum of its parts over time: `floor(Σ ± quota × seconds of the line in the tranche ÷
//! seconds of the tranche)`. What was given before counts, however often plans are changed: up,
//! down and up again brings no more than was paid for, and nothing that was given is taken back.

use chrono::{DateTime, Months, TimeDelta, Utc};

use super::Subscription;
use super::error::SubscriptionError;
use super::terms::{Carry, Invoice, InvoiceState, Line, LineKind, Period, PlanVersion, Tranche};
use crate::catalogue::Interval;
use crate::credits::{Credits, NotCredits};
use crate::id::{GrantId, ReversalGroup, SubscriptionId};
use crate::wallet::{Funding, GrantKind, GrantTerms, Priority};

/// How much longer than its time a tranche lasts: Stripe asks for a renewal about an hour after the
/// period has ended, and nobody should be without quota meanwhile.
pub(super) const GRACE: TimeDelta = TimeDelta::hours(3);

/// A period that was paid for as a whole.
struct Base<'a> {
    line: &'a Line,
    /// The place of its invoice.
    place: usize,
    /// What the base before has given and was paid back for: it is made up for by the first tranches.
    excess: Credits,
    /// When each of its tranches begins, and when the last one ends.
    marks: Vec<DateTime<Utc>>,
}

/// A line of an invoice that is paid.
#[derive(Clone, Copy)]
struct Placed<'a> {
    line: &'a Line,
    /// The place of its invoice among those that were paid.
    place: usize,
    paid_at: Option<DateTime<Utc>>,
}

impl Period {
    /// How many seconds of it are in the other.
    fn seconds_in(&self, other: &Self) -> i128 {
        let (start, end) = (self.start.max(other.start), self.end.min(other.end));
        i128::from((end - start).num_seconds().max(0))
    }

    fn seconds(&self) -> i128 {
        self.seconds_in(self)
    }

    fn covers(&self, moment: DateTime<Utc>) -> bool {
        self.start <= moment && moment < self.end
    }
}

impl<'a> Base<'a> {
    /// Month ends clamp: 31 January, 28 February, 31 March. A month's plan is one tranche, whatever
    /// day its end falls on.
    fn of(Placed { line, place, .. }: Placed<'a>) -> Self {
        let Period { start, end } = line.period;
        let months = match (line.kind, line.plan.terms.interval) {
            (LineKind::Trial, _) | (_, Interval::Month) => 1,
            (_, Interval::Year) => 12,
        };
        let begins = (0..months).filter_map(|month| start.checked_add_months(Months::new(month)));
        let mut marks: Vec<_> = begins.take_while(|begins| *begins < end).collect();
        marks.push(end);
        Self { line, place, excess: Credits::ZERO, marks }
    }

    fn tranches(&self) -> impl Iterator<Item = Period> + '_ {
        self.marks.windows(2).map(|marks| Period { start: marks[0], end: marks[1] })
    }

    /// Whether a line is about this period.
    fn has(&self, line: &Line) -> bool {
        match line.kind {
            LineKind::Whole | LineKind::Trial => line == self.line,
            LineKind::Rest | LineKind::GivenBack => {
                line.period.end == self.line.period.end
                    && self.line.period.covers(line.period.start)
            }
        }
    }

    /// What a tranche is worth by these lines. A trial has its share of a month, at most a whole one.
    fn worth(&self, tranche: &Period, lines: &[Placed<'_>]) -> Result<Credits, NotCredits> {
        let whole = match self.line.kind {
            LineKind::Trial => month_from(tranche.start).seconds().max(tranche.seconds()),
            _ => tranche.seconds(),
        };
        let mut parts: i128 = 0;
        for Placed { line, .. } in lines.iter().filter(|placed| self.has(placed.line)) {
            let part = i128::from(line.plan.terms.quota.get()) * line.period.seconds_in(tranche);
            let part = if line.kind == LineKind::GivenBack { -part } else { part };
            parts = parts.checked_add(part).ok_or(NotCredits)?;
        }
        let worth = parts.max(0) / whole.max(1);
        i64::try_from(worth).map_err(|_| NotCredits).and_then(Credits::try_from)
    }
}

impl Base<'_> {
    /// What of the excess is left when a tranche begins.
    fn excess_at(&self, tranche: &Period, lines: &[Placed<'_>]) -> Result<Credits, NotCredits> {
        let mut left = self.excess;
        for before in self.tranches().take_while(|before| before.start < tranche.start) {
            if left.is_zero() {
                break;
            }
            left = left.saturating_sub(sum(&shares_beyond(Credits::ZERO, self, &before, lines)?)?);
        }
        Ok(left)
    }

    /// What was given up to a moment, was paid back since, and has not been made up for.
    fn owed_at(&self, moment: DateTime<Utc>, lines: &[Placed<'_>]) -> Result<Credits, NotCredits> {
        for tranche in self.tranches() {
            let excess = self.excess_at(&tranche, lines)?;
            if tranche.covers(moment) {
                let given = sum(&shares(self, &tranche, lines)?)?.checked_add(excess)?;
                return Ok(given.saturating_sub(self.worth(&tranche, lines)?));
            }
            if excess.is_zero() {
                continue;
            }
            if tranche.end == moment && moment == self.line.period.end {
                let worth = sum(&shares_beyond(Credits::ZERO, self, &tranche, lines)?)?;
                return Ok(excess.saturating_sub(worth));
            }
        }
        Ok(Credits::ZERO)
    }
}

fn sum(shares: &[(usize, Credits)]) -> Result<Credits, NotCredits> {
    Credits::sum(shares.iter().map(|(_, amount)| *amount))
}

fn month_from(start: DateTime<Utc>) -> Period {
    Period { start, end: start.checked_add_months(Months::new(1)).unwrap_or(start) }
}

impl Subscription {
    /// The invoices that are paid, in the order in which they were.
    #[must_use]
    pub fn paid(&self) -> Vec<&Invoice> {
        let paid = self.invoices.iter().filter(|invoice| invoice.state == InvoiceState::Paid);
        let mut paid: Vec<_> = paid.collect();
        paid.sort_by_key(|invoice| (invoice.paid_at, invoice.created_at, &invoice.id));
        paid
    }

    /// Whether any of what was paid for it stands.
    fn stands(&self, invoice: &Invoice) -> bool {
        let reversed = self.reversal(&invoice.id).reversed_minor;
        reversed == 0 || reversed < invoice.paid_minor
    }

    /// What is due at `now` and not released yet, and when more will be. It follows from what was
    /// paid alone, in the order in which it was: whatever is known when, it comes to the same.
    pub(super) fn due(
        &self,
        id: SubscriptionId,
        now: DateTime<Utc>,
    ) -> Result<(Vec<Tranche>, Option<DateTime<Utc>>), SubscriptionError> {
        let invoices = self.paid();
        let lines = placed(&invoices);
        let (mut due, mut next) = (vec![], None::<DateTime<Utc>>);
        for base in bases(&lines)? {
            for period in base.tranches() {
                if period.start > now {
                    next = Some(next.map_or(period.start, |next| next.min(period.start)));
                    break;
                }
                for (place, amount) in shares(&base, &period, &lines)? {
                    let invoice = invoices[place];
                    let terms = self.grant_terms(id, invoice, &base, period, now);
                    let known = self.released.iter().any(|known| known.grant.id == terms.id);
                    if known || !self.stands(invoice) {
                        continue;
                    }
                    let carry = self.carry(&base, &period, place, &lines);
                    let (invoice, grant) = (invoice.id.clone(), GrantTerms { amount, ..terms });
                    due.push(Tranche { invoice, period, grant, carry });
                }
            }
        }
        Ok((due, next))
    }

    /// What the first grant of a tranche carries over from the time right before it.
    fn carry(
        &self,
        base: &Base<'_>,
        tranche: &Period,
        place: usize,
        lines: &[Placed<'_>],
    ) -> Option<Carry> {
        let most = base.line.plan.terms.rollover;
        let first = lines.iter().any(|it| it.place == place && it.line == base.line);
        if most.is_zero() || !first {
            return None;
        }
        let before = self.released.iter().filter(|before| before.period.end == tranche.start);
        let from: Vec<_> = before.map(|before| before.grant.id).collect();
        (!from.is_empty()).then_some(Carry { from, most })
    }

    /// The grant of an invoice for a tranche, still without an amount. What comes too late for its
    /// time lasts as long as it would have.
    fn grant_terms(
        &self,
        id: SubscriptionId,
        invoice: &Invoice,
        base: &Base<'_>,
        tranche: Period,
        now: DateTime<Utc>,
    ) -> GrantTerms {
        let Period { start, end } = tranche;
        let ends = if end > now { end } else { now + (end - start) };
        GrantTerms {
            id: GrantId::derive(
                id.0,
                &format!("{} for {} from {start}", invoice.id, base.line.plan.plan),
            ),
            kind: GrantKind::Quota,
            amount: Credits::ZERO,
            priority: Priority::default(),
            expires_at: ends.checked_add_signed(GRACE),
            funding: Funding::SubscriptionPeriod {
                subscription: self.stripe.clone().unwrap_or_default(),
                period_start: start,
            },
            reversal_group: Some(group_of(id, &invoice.id)),
        }
    }

    /// The lines of what stands, in order.
    fn standing_lines(&self) -> impl Iterator<Item = &Line> {
        let invoices = self.paid().into_iter().filter(|invoice| self.stands(invoice));
        invoices.flat_map(|invoice| &invoice.lines)
    }

    /// The plan that is paid for at `now`; none when nothing is.
    #[must_use]
    pub fn entitlement(&self, now: DateTime<Utc>) -> Option<&PlanVersion> {
        self.standing_lines().filter(|line| line.period.covers(now)).fold(None, |plan, line| {
            let given_back = line.kind == LineKind::GivenBack;
            if given_back { plan.filter(|plan| **plan != line.plan) } else { Some(&line.plan) }
        })
    }

    /// Until when something is paid for.
    #[must_use]
    pub fn entitled_until(&self) -> Option<DateTime<Utc>> {
        let lines: Vec<_> = self.standing_lines().collect();
        let given_back_at = |at: usize, line: &Line| {
            let gives_back = |it: &&&Line| it.kind == LineKind::GivenBack && it.plan == line.plan;
            let mut later = lines[at..].iter().filter(gives_back);
            later.find(|it| it.period.end == line.period.end).map(|it| it.period.start)
        };
        let paid = lines.iter().enumerate().filter(|(_, it)| it.kind != LineKind::GivenBack);
        paid.map(|(at, line)| given_back_at(at, line).unwrap_or(line.period.end)).max()
    }
}

/// The lines of invoices that are paid, in the order in which they were.
fn placed<'a>(invoices: &[&'a Invoice]) -> Vec<Placed<'a>> {
    let invoices = invoices.iter().enumerate();
    let lines = invoices.flat_map(|(place, invoice)| {
        let paid_at = invoice.paid_at;
        invoice.lines.iter().map(move |line| Placed { line, place, paid_at })
    });
    lines.collect()
}

/// What each invoice brings of a tranche, by its place: what it makes the tranche worth, beyond what
/// it was worth before at its best. Of a tranche that has not begun, an invoice brings no more than
/// what later ones leave of it: what was given back before is not given.
fn shares(
    base: &Base<'_>,
    tranche: &Period,
    lines: &[Placed<'_>],
) -> Result<Vec<(usize, Credits)>, NotCredits> {
    shares_beyond(base.excess_at(tranche, lines)?, base, tranche, lines)
}

/// The same, of what a tranche is worth beyond an excess.
fn shares_beyond(
    excess: Credits,
    base: &Base<'_>,
    tranche: &Period,
    lines: &[Placed<'_>],
) -> Result<Vec<(usize, Credits)>, NotCredits> {
    let mut worths: Vec<(Placed<'_>, Credits)> = vec![];
    for placed in lines.iter().filter(|placed| base.has(placed.line)) {
        let worth = base.worth(tranche, until(placed.place, lines))?.saturating_sub(excess);
        match worths.last_mut().filter(|(last, _)| last.place == placed.place) {
            Some(last) => last.1 = worth,
            None => worths.push((*placed, worth)),
        }
    }
    let (mut best, mut shares) = (Credits::ZERO, vec![]);
    for (at, (placed, worth)) in worths.iter().enumerate() {
        let later = worths[at + 1..].iter();
        let before = later.filter(|(later, _)| later.paid_at <= Some(tranche.start));
        let left = before.map(|(_, worth)| *worth).fold(*worth, Credits::min);
        let more = left.saturating_sub(best);
        if !more.is_zero() {
            shares.push((placed.place, more));
            best = left;
        }
    }
    Ok(shares)
}

/// The lines of the invoices up to a place.
fn until<'a, 'b>(place: usize, lines: &'b [Placed<'a>]) -> &'b [Placed<'a>] {
    &lines[..lines.partition_point(|placed| placed.place <= place)]
}

/// The periods that were paid for as a whole, in order.
fn bases<'a>(lines: &[Placed<'a>]) -> Result<Vec<Base<'a>>, NotCredits> {
    let whole =
        |placed: &&Placed<'_>| matches!(placed.line.kind, LineKind::Whole | LineKind::Trial);
    let mut bases: Vec<Base<'a>> = vec![];
    for placed in lines.iter().filter(whole) {
        let mut base = Base::of(*placed);
        let start = base.line.period.start;
        // A change to a plan that is paid by another interval begins a new period at once.
        if let Some(before) = bases.iter().rfind(|before| before.line.period.start < start) {
            base.excess = before.owed_at(start, until(base.place, lines))?;
        }
        bases.push(base);
    }
    Ok(bases)
}

/// What is reversed with an invoice of a subscription.
#[must_use]
pub fn group_of(id: SubscriptionId, invoice: &str) -> ReversalGroup {
    ReversalGroup::derive(id.0, &format!("invoice {invoice}"))
}
