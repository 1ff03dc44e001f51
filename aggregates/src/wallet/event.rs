//! What happened in a wallet. Events are for ever: see `tests/wire.rs` before changing one.

use chrono::{DateTime, Utc};
use cqrs_es::DomainEvent;
use serde::{Deserialize, Serialize};

use super::terms::{Balance, GrantTerms, HoldFigures, Movement, Origin, Price, SpendWindow, Usage};
use crate::credits::Credits;
use crate::id::{ApiKeyId, DebitId, HoldId, ReversalGroup, UserId};

/// What happened in a wallet. `at` is the time the command carried; `balance` is the wallet
/// afterwards; a [`Movement`] is one grant afterwards; `key` is the API key by which it was spent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum WalletEvent {
    /// The wallet exists, for this person.
    Opened { owner: UserId, at: DateTime<Utc> },

    /// A bucket of credits arrived.
    Granted { grant: GrantTerms, reason: String, balance: Balance, at: DateTime<Utc> },
    /// Unspent credits of a grant were withdrawn by an administrator.
    GrantVoided { movement: Movement, reason: String, balance: Balance, at: DateTime<Utc> },
    /// A grant's time was over: what remained is breakage (`movement.amount`).
    GrantExpired { movement: Movement, balance: Balance, at: DateTime<Utc> },

    /// Credits were set aside, from these grants.
    HoldAuthorized {
        hold: HoldId,
        origin: Origin,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<ApiKeyId>,
        amount: Credits,
        figures: HoldFigures,
        movements: Vec<Movement>,
        price: Price,
        reason: String,
        balance: Balance,
        #[serde(deserialize_with = "crate::time::read")]
        at: DateTime<Utc>,
    },
    /// More credits were set aside for an open hold.
    HoldIncremented {
        hold: HoldId,
        amount: Credits,
        figures: HoldFigures,
        movements: Vec<Movement>,
        balance: Balance,
        at: DateTime<Utc>,
    },
    /// An open hold will last longer.
    HoldExtended { hold: HoldId, figures: HoldFigures, at: DateTime<Utc> },
    /// Held credits were spent (`amount`, per grant `movement.amount`). When `last`, the rest
    /// (`released`) went back to its grants, or was breakage where the grant had expired.
    HoldCaptured {
        hold: HoldId,
        amount: Credits,
        released: Credits,
        last: bool,
        figures: HoldFigures,
        usage: Option<Usage>,
        movements: Vec<Movement>,
        balance: Balance,
        #[serde(deserialize_with = "crate::time::read")]
        at: DateTime<Utc>,
    },
    /// An open hold was given up: per grant `movement.released`, and `movement.expired` as breakage.
    HoldReleased {
        hold: HoldId,
        amount: Credits,
        figures: HoldFigures,
        reason: String,
        movements: Vec<Movement>,
        balance: Balance,
        at: DateTime<Utc>,
    },
    /// An open hold's time was over; moves as `HoldReleased`.
    HoldExpired {
        hold: HoldId,
        amount: Credits,
        figures: HoldFigures,
        movements: Vec<Movement>,
        balance: Balance,
        at: DateTime<Utc>,
    },
    /// What an expired hold had delivered was charged after all; `uncovered` found no credits.
    HoldLateCaptured {
        hold: HoldId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<ApiKeyId>,
        amount: Credits,
        uncovered: Credits,
        usage: Option<Usage>,
        movements: Vec<Movement>,
        balance: Balance,
        at: DateTime<Utc>,
    },

    /// Credits were spent in one step.
    Debited {
        debit: DebitId,
        origin: Origin,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<ApiKeyId>,
        amount: Credits,
        movements: Vec<Movement>,
        price: Price,
        reason: String,
        balance: Balance,
        #[serde(deserialize_with = "crate::time::read")]
        at: DateTime<Utc>,
    },
    /// Spent credits came back: to their grants, and what had expired since as breakage.
    DebitReversed {
        debit: DebitId,
        amount: Credits,
        reversed: Credits,
        movements: Vec<Movement>,
        reason: String,
        balance: Balance,
        at: DateTime<Utc>,
    },

    /// The share of a payment's grants that its refunds and disputes reverse; remembered when
    /// its grants have not arrived, or some of their credits are held.
    ReversalTargetSet {
        group: ReversalGroup,
        reversed_minor: i64,
        paid_minor: i64,
        at: DateTime<Utc>,
    },
    /// Credits of reversed grants were taken back: `recovered` from grants, `indebted` as debt.
    ClawedBack {
        group: ReversalGroup,
        recovered: Credits,
        indebted: Credits,
        movements: Vec<Movement>,
        balance: Balance,
        at: DateTime<Utc>,
    },
    /// Less is reversed than before: debt was forgiven first, the rest came back as a grant.
    Reinstated {
        group: ReversalGroup,
        debt_forgiven: Credits,
        restored: Option<GrantTerms>,
        balance: Balance,
        at: DateTime<Utc>,
    },
    /// Debt was paid from grants.
    DebtRepaid { amount: Credits, movements: Vec<Movement>, balance: Balance, at: DateTime<Utc> },
    /// Debt was given up by an administrator.
    DebtWrittenOff { amount: Credits, reason: String, balance: Balance, at: DateTime<Utc> },

    /// Spending is stopped.
    Frozen { reason: String, at: DateTime<Utc> },
    /// Spending is allowed again.
    Unfrozen { reason: String, at: DateTime<Utc> },
    /// What came of subscriptions cannot be spent.
    QuotaSuspended { at: DateTime<Utc> },
    /// It can be spent again.
    QuotaResumed { at: DateTime<Utc> },
    /// How much may be spent in a window (UTC), by one key where one is named; none lifts the
    /// limit.
    SpendLimitSet {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<ApiKeyId>,
        window: SpendWindow,
        limit: Option<Credits>,
        at: DateTime<Utc>,
    },
}

/// The proof that credits are set aside: whoever spends our money with a provider shows it. Only the
/// event of an authorisation makes one.
///
/// ```
/// use aggregates::{id::HoldId, wallet::OpenHold};
///
/// fn spend(hold: &OpenHold) -> HoldId {
///     hold.id()
/// }
/// ```
///
/// Nobody makes one of an id:
///
/// ```compile_fail,E0423
/// use aggregates::{id::HoldId, wallet::OpenHold};
///
/// fn forge(hold: HoldId) -> OpenHold {
///     OpenHold(hold)
/// }
/// ```
///
/// Nor a second of the first, to keep when that is spent:
///
/// ```compile_fail,E0599
/// use aggregates::{id::HoldId, wallet::OpenHold};
///
/// fn keep(hold: &OpenHold) -> OpenHold {
///     OpenHold::clone(hold)
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct OpenHold(HoldId);

impl OpenHold {
    /// Which hold it is.
    #[must_use]
    pub fn id(&self) -> HoldId {
        self.0
    }
}

impl WalletEvent {
    /// The hold that this event opens, where it opens one.
    #[must_use]
    pub fn opens(&self) -> Option<OpenHold> {
        match self {
            Self::HoldAuthorized { hold, .. } => Some(OpenHold(*hold)),
            _ => None,
        }
    }

    /// The wallet after this event, where the event moved credits.
    #[must_use]
    pub fn balance(&self) -> Option<Balance> {
        match self {
            Self::Granted { balance, .. }
            | Self::GrantVoided { balance, .. }
            | Self::GrantExpired { balance, .. }
            | Self::HoldAuthorized { balance, .. }
            | Self::HoldIncremented { balance, .. }
            | Self::HoldCaptured { balance, .. }
            | Self::HoldReleased { balance, .. }
            | Self::HoldExpired { balance, .. }
            | Self::HoldLateCaptured { balance, .. }
            | Self::Debited { balance, .. }
            | Self::DebitReversed { balance, .. }
            | Self::ClawedBack { balance, .. }
            | Self::Reinstated { balance, .. }
            | Self::DebtRepaid { balance, .. }
            | Self::DebtWrittenOff { balance, .. } => Some(*balance),
            Self::Opened { .. }
            | Self::HoldExtended { .. }
            | Self::ReversalTargetSet { .. }
            | Self::Frozen { .. }
            | Self::Unfrozen { .. }
            | Self::QuotaSuspended { .. }
            | Self::QuotaResumed { .. }
            | Self::SpendLimitSet { .. } => None,
        }
    }

    /// The grants after this event, as far as it changed grants that existed.
    #[must_use]
    pub fn movements(&self) -> &[Movement] {
        match self {
            Self::GrantVoided { movement, .. } | Self::GrantExpired { movement, .. } => {
                std::slice::from_ref(movement)
            }
            Self::HoldAuthorized { movements, .. }
            | Self::HoldIncremented { movements, .. }
            | Self::HoldCaptured { movements, .. }
            | Self::HoldReleased { movements, .. }
            | Self::HoldExpired { movements, .. }
            | Self::HoldLateCaptured { movements, .. }
            | Self::Debited { movements, .. }
            | Self::DebitReversed { movements, .. }
            | Self::ClawedBack { movements, .. }
            | Self::DebtRepaid { movements, .. } => movements,
            Self::Opened { .. }
            | Self::Granted { .. }
            | Self::HoldExtended { .. }
            | Self::ReversalTargetSet { .. }
            | Self::Reinstated { .. }
            | Self::DebtWrittenOff { .. }
            | Self::Frozen { .. }
            | Self::Unfrozen { .. }
            | Self::QuotaSuspended { .. }
            | Self::QuotaResumed { .. }
            | Self::SpendLimitSet { .. } => &[],
        }
    }

    /// The grant that this event brought into being.
    #[must_use]
    pub fn granted(&self) -> Option<&GrantTerms> {
        match self {
            Self::Granted { grant, .. } => Some(grant),
            Self::Reinstated { restored, .. } => restored.as_ref(),
            _ => None,
        }
    }

    /// The event's name, as the log's `event_type`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "Opened",
            Self::Granted { .. } => "Granted",
            Self::GrantVoided { .. } => "GrantVoided",
            Self::GrantExpired { .. } => "GrantExpired",
            Self::HoldAuthorized { .. } => "HoldAuthorized",
            Self::HoldIncremented { .. } => "HoldIncremented",
            Self::HoldExtended { .. } => "HoldExtended",
            Self::HoldCaptured { .. } => "HoldCaptured",
            Self::HoldReleased { .. } => "HoldReleased",
            Self::HoldExpired { .. } => "HoldExpired",
            Self::HoldLateCaptured { .. } => "HoldLateCaptured",
            Self::Debited { .. } => "Debited",
            Self::DebitReversed { .. } => "DebitReversed",
            Self::ReversalTargetSet { .. } => "ReversalTargetSet",
            Self::ClawedBack { .. } => "ClawedBack",
            Self::Reinstated { .. } => "Reinstated",
            Self::DebtRepaid { .. } => "DebtRepaid",
            Self::DebtWrittenOff { .. } => "DebtWrittenOff",
            Self::Frozen { .. } => "Frozen",
            Self::Unfrozen { .. } => "Unfrozen",
            Self::QuotaSuspended { .. } => "QuotaSuspended",
            Self::QuotaResumed { .. } => "QuotaResumed",
            Self::SpendLimitSet { .. } => "SpendLimitSet",
        }
    }
}

impl DomainEvent for WalletEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        "1".to_owned()
    }
}
