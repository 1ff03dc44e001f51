//! What the oracle understands of an event: structs of its own, read from the stored JSON. Nothing
//! here is shared with the aggregates, so that an error in their types cannot hide itself.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use uuid::Uuid;

/// A wallet after an event, as the event claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Claim {
    pub(super) available: i64,
    pub(super) held: i64,
    pub(super) debt: i64,
}

/// What an event moved in a grant, and the grant afterwards, as the event claims.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Movement {
    pub(super) grant: Uuid,
    pub(super) amount: i64,
    pub(super) released: i64,
    pub(super) expired: i64,
    pub(super) from_expired: i64,
    pub(super) remaining: i64,
    pub(super) held: i64,
}

/// A hold after an event, as the event claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Figures {
    pub(super) authorized: i64,
    pub(super) captured: i64,
    pub(super) released: i64,
    #[serde(deserialize_with = "time")]
    pub(super) expires_at: At,
}

/// A grant as it arrives.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Terms {
    pub(super) id: Uuid,
    pub(super) kind: String,
    pub(super) amount: i64,
    pub(super) priority: i16,
    pub(super) expires_at: Option<DateTime<Utc>>,
    pub(super) funding: serde_json::Value,
    pub(super) reversal_group: Option<Uuid>,
}

/// What was delivered for the credits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct UsageFact<'a> {
    #[serde(borrow)]
    pub(super) model: Cow<'a, str>,
    pub(super) input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    #[serde(default)]
    pub(super) estimated: bool,
}

type At = DateTime<Utc>;

/// Reads a time in the one form that the log has (RFC 3339); chrono's own reading tries more, and
/// takes longer.
fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<At, D::Error> {
    let text = <&str>::deserialize(deserializer)?;
    let time = DateTime::parse_from_rfc3339(text).map_err(serde::de::Error::custom)?;
    Ok(time.to_utc())
}

/// What happened in a wallet.
#[derive(Debug, Deserialize)]
pub(super) enum WalletFact<'a> {
    Opened {
        owner: Uuid,
    },
    Granted {
        grant: Terms,
        #[serde(borrow)]
        reason: Cow<'a, str>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    GrantVoided {
        movement: Movement,
        #[serde(borrow)]
        reason: Cow<'a, str>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    GrantExpired {
        movement: Movement,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    HoldAuthorized {
        hold: Uuid,
        #[serde(borrow)]
        origin: Cow<'a, str>,
        key: Option<Uuid>,
        amount: i64,
        figures: Figures,
        movements: Vec<Movement>,
        #[serde(borrow)]
        reason: Cow<'a, str>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    HoldIncremented {
        hold: Uuid,
        amount: i64,
        figures: Figures,
        movements: Vec<Movement>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    HoldExtended {
        hold: Uuid,
        figures: Figures,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    HoldCaptured {
        hold: Uuid,
        amount: i64,
        released: i64,
        last: bool,
        figures: Figures,
        #[serde(borrow)]
        usage: Option<UsageFact<'a>>,
        movements: Vec<Movement>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    HoldReleased {
        hold: Uuid,
        amount: i64,
        figures: Figures,
        #[serde(borrow)]
        reason: Cow<'a, str>,
        movements: Vec<Movement>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    HoldExpired {
        hold: Uuid,
        amount: i64,
        figures: Figures,
        movements: Vec<Movement>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    HoldLateCaptured {
        hold: Uuid,
        key: Option<Uuid>,
        amount: i64,
        uncovered: i64,
        #[serde(borrow)]
        usage: Option<UsageFact<'a>>,
        movements: Vec<Movement>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    Debited {
        debit: Uuid,
        key: Option<Uuid>,
        amount: i64,
        movements: Vec<Movement>,
        #[serde(borrow)]
        reason: Cow<'a, str>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    DebitReversed {
        debit: Uuid,
        amount: i64,
        reversed: i64,
        movements: Vec<Movement>,
        #[serde(borrow)]
        reason: Cow<'a, str>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    ReversalTargetSet {
        group: Uuid,
        reversed_minor: i64,
        paid_minor: i64,
    },
    ClawedBack {
        group: Uuid,
        recovered: i64,
        indebted: i64,
        movements: Vec<Movement>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    Reinstated {
        group: Uuid,
        debt_forgiven: i64,
        restored: Option<Terms>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    DebtRepaid {
        amount: i64,
        movements: Vec<Movement>,
        balance: Claim,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    DebtWrittenOff {
        amount: i64,
        #[serde(borrow)]
        reason: Cow<'a, str>,
        balance: Claim,
    },
    Frozen {
        #[serde(borrow)]
        reason: Cow<'a, str>,
    },
    Unfrozen {},
    QuotaSuspended {},
    QuotaResumed {},
    SpendLimitSet {
        key: Option<Uuid>,
        window: Window,
        limit: Option<i64>,
    },
}

/// A window of a spend limit, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Window {
    Day,
    Month,
}

impl WalletFact<'_> {
    /// The hold that it is about.
    pub(super) fn hold(&self) -> Option<Uuid> {
        match self {
            Self::HoldAuthorized { hold, .. }
            | Self::HoldIncremented { hold, .. }
            | Self::HoldExtended { hold, .. }
            | Self::HoldCaptured { hold, .. }
            | Self::HoldReleased { hold, .. }
            | Self::HoldExpired { hold, .. }
            | Self::HoldLateCaptured { hold, .. } => Some(*hold),
            _ => None,
        }
    }

    /// The name that the log's `event_type` must have.
    pub(super) fn name(&self) -> &'static str {
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
            Self::Unfrozen {} => "Unfrozen",
            Self::QuotaSuspended {} => "QuotaSuspended",
            Self::QuotaResumed {} => "QuotaResumed",
            Self::SpendLimitSet { .. } => "SpendLimitSet",
        }
    }
}

/// What happened to a person's account. Personal data is sealed here, and stays so.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "that personal data is sealed is checked by reading it")]
pub(super) enum UserFact {
    Registered {
        email: Sealed,
        name: Sealed,
        by: Box<serde_json::Value>,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    ProfileChanged {
        name: Sealed,
    },
    EmailVerified {
        email: Sealed,
    },
    PhoneVerified {
        phone: Sealed,
    },
    PasswordSet {},
    IdentityLinked {
        identity: Uuid,
    },
    IdentityUnlinked {
        identity: Uuid,
    },
    SessionStarted {
        session: Uuid,
        #[serde(deserialize_with = "time")]
        at: At,
    },
    SessionsEnded {
        sessions: Vec<Uuid>,
    },
    TakenOver {},
    ApiKeyCreated {
        key: Uuid,
        name: Sealed,
        scopes: Vec<String>,
    },
    ApiKeyRevoked {
        key: Uuid,
    },
    RoleChanged {
        role: String,
    },
    Deactivated {
        /// Where an administrator decided it.
        reason: Option<String>,
    },
    Reactivated {},
    Erased {},
}

/// Personal data as the log keeps it. What is not sealed is not readable as this.
#[derive(Debug, Deserialize)]
pub(super) enum Sealed {
    #[serde(rename = "$sealed")]
    Sealed(IgnoredAny),
    /// Nothing to hide.
    #[serde(rename = "$pii")]
    Nothing(()),
}

impl UserFact {
    /// The name that the log's `event_type` must have.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Registered { .. } => "Registered",
            Self::ProfileChanged { .. } => "ProfileChanged",
            Self::EmailVerified { .. } => "EmailVerified",
            Self::PhoneVerified { .. } => "PhoneVerified",
            Self::PasswordSet {} => "PasswordSet",
            Self::IdentityLinked { .. } => "IdentityLinked",
            Self::IdentityUnlinked { .. } => "IdentityUnlinked",
            Self::SessionStarted { .. } => "SessionStarted",
            Self::SessionsEnded { .. } => "SessionsEnded",
            Self::TakenOver {} => "TakenOver",
            Self::ApiKeyCreated { .. } => "ApiKeyCreated",
            Self::ApiKeyRevoked { .. } => "ApiKeyRevoked",
            Self::RoleChanged { .. } => "RoleChanged",
            Self::Deactivated { .. } => "Deactivated",
            Self::Reactivated {} => "Reactivated",
            Self::Erased {} => "Erased",
        }
    }
}
