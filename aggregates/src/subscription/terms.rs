//! The words of subscriptions.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::catalogue::PlanTerms;
use crate::credits::Credits;
use crate::id::{GrantId, PlanId, UserId};
use crate::money::Money;
use crate::wallet::GrantTerms;

/// Where a subscription is in its life: up to `Abandoned` by our own word, then by Stripe's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There is none.
    #[default]
    Nothing,
    /// It was ordered, and Stripe has none yet.
    Ordered,
    /// Nobody finished the checkout.
    Abandoned,
    /// The first invoice is not paid, and may still be.
    Incomplete,
    /// It was not paid in time. For ever.
    IncompleteExpired,
    /// It costs nothing yet.
    Trialing,
    /// It is paid.
    Active,
    /// An invoice is not paid, and is tried again.
    PastDue,
    /// An invoice is not paid, and is tried no more.
    Unpaid,
    /// The trial ended without a card.
    Paused,
    /// It is over. For ever.
    Canceled,
}

impl Status {
    /// The name as the API has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Ordered => "ordered",
            Self::Abandoned => "abandoned",
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
            Self::Trialing => "trialing",
            Self::Active => "active",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
            Self::Canceled => "canceled",
        }
    }

    /// Whether it has ended at Stripe, which is for ever.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::IncompleteExpired | Self::Canceled)
    }

    /// Whether it runs at Stripe: a person has one such at a time.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Trialing | Self::Active | Self::PastDue | Self::Unpaid | Self::Paused)
    }

    /// Whether an invoice of it should have been paid.
    #[must_use]
    pub fn is_behind(self) -> bool {
        matches!(self, Self::PastDue | Self::Unpaid)
    }
}

/// A plan on certain terms, which never change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanVersion {
    /// Which plan.
    pub plan: PlanId,
    /// Which of its terms.
    pub version: u32,
    /// Those.
    pub terms: PlanTerms,
}

/// What was ordered. Credits come from here and from what plans' prices stand for, never from what
/// Stripe says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Who subscribes.
    pub user: UserId,
    /// To what.
    pub plan: PlanVersion,
}

/// A time, from `start` until before `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Period {
    /// Since when.
    pub start: DateTime<Utc>,
    /// Until when, without that moment.
    pub end: DateTime<Utc>,
}

/// Another plan that waits to be paid for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What it will be.
    pub plan: PlanVersion,
    /// When nobody waits any longer.
    pub expires_at: DateTime<Utc>,
}

/// A subscription as Stripe has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// How it is: never ours.
    pub status: Status,
    /// What its price stands for: of a change at the end of the period, what will be.
    pub plan: PlanVersion,
    /// The period that runs.
    pub period: Period,
    /// When it will end, where somebody has ended it for later.
    pub ends_at: Option<DateTime<Utc>>,
    /// Another plan that waits to be paid for.
    pub change: Option<Change>,
}

/// How far an invoice is. Drafts are nobody's business.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceState {
    /// It is to be paid.
    Open,
    /// It is paid. For ever.
    Paid,
    /// It was a mistake.
    Void,
    /// It was given up, and may still be paid.
    Uncollectible,
}

impl InvoiceState {
    /// The name as the API has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paid => "paid",
            Self::Void => "void",
            Self::Uncollectible => "uncollectible",
        }
    }
}

/// Why there is an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceReason {
    /// The subscription began.
    Create,
    /// A period began.
    Cycle,
    /// The plan was changed.
    Update,
    /// Something else.
    Other,
}

impl InvoiceReason {
    /// The name as the API has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Cycle => "cycle",
            Self::Update => "update",
            Self::Other => "other",
        }
    }
}

/// What a line of an invoice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// A whole period.
    Whole,
    /// A trial: time that costs nothing at first.
    Trial,
    /// The rest of a period, from a change on.
    Rest,
    /// The rest of a period that was paid for, given back.
    GivenBack,
}

/// A line of an invoice: which plan for which time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What it is for.
    pub kind: LineKind,
    /// The plan that its price stands for.
    pub plan: PlanVersion,
    /// The time.
    pub period: Period,
}

/// An invoice as Stripe has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Stripe's id.
    pub id: String,
    /// How far it is.
    pub state: InvoiceState,
    /// Why there is one.
    pub reason: InvoiceReason,
    /// What it comes to; below nothing where more is given back.
    pub total: Money,
    /// What was paid of that, in the same currency.
    pub paid_minor: i64,
    /// Stripe's payment intents.
    pub intents: Vec<String>,
    /// How often payment was tried.
    pub attempts: u32,
    /// What it is for, of plans.
    pub lines: Vec<Line>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it was paid.
    pub paid_at: Option<DateTime<Utc>>,
}

impl Invoice {
    /// The line that it brings something by: what it gives back comes before.
    #[must_use]
    pub fn brings(&self) -> Option<&Line> {
        self.lines.iter().rfind(|line| line.kind != LineKind::GivenBack)
    }
}

/// A part of a plan's quota that is granted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tranche {
    /// The invoice that paid for it.
    pub invoice: String,
    /// The time that it is for.
    pub period: Period,
    /// What is granted.
    pub grant: GrantTerms,
    /// What of the time before is carried over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carry: Option<Carry>,
}

/// What is carried over from one time to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carry {
    /// The grants of the time before.
    pub from: Vec<GrantId>,
    /// How much of what is left in them, at most.
    pub most: Credits,
}

/// What its owner wants of a subscription that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Another plan.
    Change { plan: PlanId },
    /// Its end with the period that is paid for.
    CancelAtPeriodEnd,
    /// Its end now.
    CancelNow,
    /// That it does not end after all.
    Resume,
}
