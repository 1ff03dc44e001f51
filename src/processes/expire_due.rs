//! Whenever the time of a hold or a grant is over, its wallet books it.
//!
//! Any number of nodes may run this: the command's id derives from the hold or grant, and the
//! wallet itself decides whether its time is over, so that nothing is booked twice or too soon.

use std::time::Duration;

use aggregates::id::{CommandId, GrantId, HoldId, WalletId};
use aggregates::wallet::{Ask, Wallet, WalletCommand, WalletError};
use projections::balances;
use tracing::warn;
use uuid::Uuid;

use crate::app::App;
use crate::clock;
use crate::store::{Envelope, ExecuteError, Metadata};

/// How often due holds and grants are looked for: how late a booking may be.
const EVERY: Duration = Duration::from_secs(1);
/// Bookings of one round; the rest follows in the next, at once.
const ROUND: i64 = 200;

/// Books what is due, for ever.
pub(super) async fn run(app: &App) {
    loop {
        match round(app).await {
            Ok(booked) if booked == ROUND => {}
            Ok(_) => tokio::time::sleep(EVERY).await,
            Err(error) => {
                warn!(error = %error, "due holds and grants could not be looked for");
                tokio::time::sleep(EVERY).await;
            }
        }
    }
}

async fn round(app: &App) -> sqlx::Result<i64> {
    let now = clock::now();
    let holds = balances::due_holds(app.db(), now, ROUND).await?;
    let grants = balances::due_grants(app.db(), now, ROUND).await?;
    let most = holds.len().max(grants.len());
    for (wallet, hold) in holds {
        book(app, wallet, hold, Ask::ExpireHold { hold: HoldId(hold) }).await;
    }
    for (wallet, grant) in grants {
        book(app, wallet, grant, Ask::ExpireGrant { grant: GrantId(grant) }).await;
    }
    Ok(i64::try_from(most).unwrap_or(ROUND))
}

async fn book(app: &App, wallet: Uuid, due: Uuid, ask: Ask) {
    let metadata = Metadata { actor: Some("expire_due".to_owned()), ..Metadata::default() };
    // What came back to an expired grant after its expiry is breakage at once, so one booking
    // for each is enough.
    let envelope = Envelope::new(CommandId::derive(due, "expire"), metadata);
    let command = WalletCommand { now: clock::now(), ask };
    match app.store.execute::<Wallet>(WalletId(wallet), envelope, command).await {
        Ok(_)
        // Somebody was faster: captured, released, extended, or booked.
        | Err(ExecuteError::Refused(
            WalletError::HoldNotOpen | WalletError::HoldNotDue | WalletError::GrantNotDue,
        )) => {}
        Err(error) => warn!(error = %error, wallet.id = %wallet, "an expiry could not be booked"),
    }
}
