//! What of a wallet is told.

use std::collections::HashMap;

use aggregates::id::UserId;
use aggregates::wallet::{Balance, WalletEvent};
use serde_json::json;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::telling::Logged;
use super::{EventType, Fall, Told};
use crate::error::Result;

/// What wallets had at the last of their events that was looked at.
#[derive(Default)]
pub(super) struct Balances(HashMap<String, Balance>);

impl Balances {
    /// What the event tells: of the balance, only what it has changed.
    pub(super) async fn told(
        &mut self,
        db: &mut PgConnection,
        logged: &Logged,
        event: &WalletEvent,
    ) -> Result<Vec<Told>> {
        let mut told = Vec::new();
        let (user, at) = (UserId(logged.id()?), logged.recorded_at);
        if let WalletEvent::HoldExpired { hold, amount, figures, .. } = event {
            let data = json!({
                "wallet_id": user, "hold_id": hold, "authorized": figures.authorized,
                "captured": figures.captured, "released": amount,
                "expires_at": figures.expires_at,
            });
            told.push(Told { user, kind: EventType::HoldExpired, at, data, fall: None });
        }
        let Some(after) = event.balance() else { return Ok(told) };
        let before = match self.0.insert(logged.aggregate_id.clone(), after) {
            Some(before) => before,
            None => balance_before(db, logged).await?.unwrap_or_default(),
        };
        let data = json!({
            "wallet_id": user, "available": after.available, "held": after.held,
            "debt": after.debt, "spendable": after.spendable(),
        });
        if after.available < before.available {
            let (before, after) = (before.available.get(), after.available.get());
            let (data, fall) = (data.clone(), Some(Fall { before, after }));
            told.push(Told { user, kind: EventType::LowBalance, at, data, fall });
        }
        if after.spendable().is_zero() && !before.spendable().is_zero() {
            told.push(Told { user, kind: EventType::Depleted, at, data, fall: None });
        }
        Ok(told)
    }
}

/// What the wallet had after the event before, of those that say so; none where there is none.
async fn balance_before(db: &mut PgConnection, logged: &Logged) -> Result<Option<Balance>> {
    let before: Option<Json<Balance>> = sqlx::query_scalar(
        "select payload -> event_type -> 'balance' from events
         where aggregate_type = 'wallet' and aggregate_id = $1 and sequence < $2
           and payload -> event_type -> 'balance' is not null
         order by sequence desc limit 1",
    )
    .bind(&logged.aggregate_id)
    .bind(logged.sequence)
    .fetch_optional(db)
    .await?;
    Ok(before.map(|Json(balance)| balance))
}
