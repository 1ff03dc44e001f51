//! Who pays for a call, and how that is said to the log.

use aggregates::id::{ApiKeyId, CommandId, HoldId, UserId, WalletId};
use aggregates::wallet::{Ask, By, Origin, Wallet, WalletCommand, WalletError};
use uuid::Uuid;

use super::surely::surely;
use super::ticket::command;
use crate::app::App;
use crate::clock;
use crate::error::Result;
use crate::store::{Envelope, ExecuteError, Metadata, Outcome, SideRow};

/// Who pays, and for which request.
#[derive(Clone)]
pub struct Payer {
    /// Who pays.
    pub user: UserId,
    /// By which of their keys, where not in person.
    pub key: Option<ApiKeyId>,
    /// What stands beside the events.
    pub metadata: Metadata,
    /// Where the ids of the call derive from.
    pub intent: Uuid,
    /// Whether the intent may have been asked before.
    pub may_repeat: bool,
}

impl Payer {
    pub(super) fn by(&self) -> By {
        By { origin: Origin::Gateway, key: self.key }
    }

    /// What was done with a hold for this purpose, where it was.
    pub(super) async fn known(
        &self,
        app: &App,
        hold: HoldId,
        purpose: &str,
    ) -> Result<Option<Outcome<Wallet>>> {
        let envelope = Envelope::new(command(hold, purpose), self.metadata.clone());
        Ok(app.store.known::<Wallet>(WalletId::from(self.user), &envelope).await?)
    }

    /// Gives all of a hold back; `side` is written with it. No, where it was open no more, and nothing is
    /// written.
    pub(super) async fn release(
        &self,
        app: &App,
        hold: HoldId,
        reason: &str,
        side: &[SideRow],
    ) -> Result<bool> {
        let ask = Ask::Release { hold, by: self.by(), reason: reason.to_owned() };
        match self.send_surely(app, command(hold, "release"), side, &ask).await {
            Ok(outcome) => app.wrote(self.user, outcome.position),
            Err(ExecuteError::Refused(WalletError::HoldNotOpen)) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    pub(super) async fn send(
        &self,
        app: &App,
        id: CommandId,
        side: Vec<SideRow>,
        ask: Ask,
    ) -> Result<Outcome<Wallet>, ExecuteError<WalletError>> {
        let mut envelope = Envelope::new(id, self.metadata.clone());
        envelope.side = side;
        let command = WalletCommand { now: clock::now(), ask };
        app.store.execute::<Wallet>(WalletId::from(self.user), envelope, command).await
    }

    /// As `send`, again and again while the log cannot be reached.
    pub(super) async fn send_surely(
        &self,
        app: &App,
        id: CommandId,
        side: &[SideRow],
        ask: &Ask,
    ) -> Result<Outcome<Wallet>, ExecuteError<WalletError>> {
        let passes = |error: &_| matches!(error, ExecuteError::Busy | ExecuteError::Unavailable);
        surely(passes, || self.send(app, id, side.to_vec(), ask.clone())).await
    }
}
