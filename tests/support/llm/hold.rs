//! An open hold, as a wallet's event makes it.

use aggregates::credits::Credits;
use aggregates::id::HoldId;
use aggregates::wallet::{Balance, HoldFigures, OpenHold, Origin, Price, WalletEvent};
use uuid::Uuid;

/// Of a wallet that nobody has; for tests of what comes after the hold.
pub fn open_hold() -> OpenHold {
    let amount = Credits::new(10);
    let event = WalletEvent::HoldAuthorized {
        hold: HoldId(Uuid::now_v7()),
        origin: Origin::Gateway,
        key: None,
        amount,
        figures: HoldFigures { authorized: amount, ..HoldFigures::default() },
        movements: vec![],
        price: Price::Free,
        reason: "chat".to_owned(),
        balance: Balance::default(),
        at: saldo::clock::now(),
    };
    event.opens().expect("an authorisation opens a hold")
}
