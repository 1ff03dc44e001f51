//! How much may be spent from a person's wallet, by whomever or by one key.

use aggregates::credits::Credits;
use aggregates::id::{ApiKeyId, UserId, WalletId};
use aggregates::wallet::{Ask, Wallet, WalletCommand};

use super::Visitor;
use crate::app::App;
use crate::clock;
use crate::error::Result;
use crate::store::Envelope;

/// How much may be spent or held; none is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SpendLimits {
    /// Per day (UTC).
    pub per_day: Option<Credits>,
    /// Per month (UTC).
    pub per_month: Option<Credits>,
}

/// Replaces the limits of the person's wallet, or of a key to it; the position of the event.
pub async fn set(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    key: Option<ApiKeyId>,
    SpendLimits { per_day, per_month }: SpendLimits,
) -> Result<i64> {
    let envelope = Envelope::once(visitor.metadata(user));
    let ask = Ask::SetSpendLimits { key, per_day, per_month };
    let command = WalletCommand { now: clock::now(), ask };
    let outcome = app.store.execute::<Wallet>(WalletId::from(user), envelope, command).await?;
    app.wrote(user, outcome.position);
    Ok(outcome.position)
}
