//! A model replies, one message after the other: what it writes is told in slices, and what came is
//! charged.

mod conversation;
mod ending;
mod pen;

use aggregates::chat::Chat;
use aggregates::id::{ChatId, MessageId, UserId};

use super::telling;
use crate::app::App;
use crate::error::{Problem, Result};
use crate::metering::{self, Past, Payer};
use crate::store::Metadata;

use ending::Ending;

/// A reply that is to be made.
#[derive(Clone, Copy)]
struct Turn {
    chat: ChatId,
    owner: UserId,
    reply: MessageId,
    /// What was told last of the chat before its state was read: whether the reply is to stop, that says up to here,
    /// and what is told from here on afterwards.
    since: i64,
}

impl Turn {
    /// Who pays for it: the person, whoever makes it. Each reply has one call.
    fn payer(&self) -> Payer {
        Payer {
            user: self.owner,
            key: None,
            metadata: metadata(),
            intent: self.reply.0,
            may_repeat: true,
        }
    }

    async fn is_to_stop(&self, app: &App) -> Result<bool> {
        telling::is_to_stop(app, self.chat, self.reply, self.since).await
    }
}

fn metadata() -> Metadata {
    Metadata { actor: Some("reply".to_owned()), ..Metadata::default() }
}

/// Makes the replies that wait in a chat, in their order. Nobody else makes them at the same time: see
/// its job. An error is one of ours, to be tried again.
pub async fn run(app: &App, chat: ChatId) -> Result<()> {
    while let Some((turn, is_to_stop)) = next(app, chat).await? {
        let owner = turn.owner;
        if app.store.codec().key(owner).await.map_err(Problem::failed)?.is_none() {
            ending::forget(app, turn).await?;
            continue;
        }
        let ending = match metering::past(app, &turn.payer()).await? {
            // Whoever made it before has died, after it was charged or before.
            Past::Charged(charged) => Ending::recalled(app, turn, charged).await?,
            Past::Never | Past::Over if is_to_stop => Ending::Left,
            Past::Never => pen::write(app, turn).await?,
            Past::Over => Ending::Failed("interrupted".to_owned()),
        };
        ending::note(app, turn, ending).await?;
    }
    Ok(())
}

/// Ends the replies that wait in a chat, since nobody is to make them any more: they have failed, and are free.
pub async fn abandon(app: &App, chat: ChatId) -> Result<()> {
    while let Some((turn, _)) = next(app, chat).await? {
        let ending = match metering::past(app, &turn.payer()).await? {
            Past::Charged(charged) => Ending::recalled(app, turn, charged).await?,
            Past::Never | Past::Over => Ending::Failed("given_up".to_owned()),
        };
        ending::note(app, turn, ending).await?;
    }
    Ok(())
}

/// The reply whose turn it is, where any waits, and whether the person has said that it is to stop.
async fn next(app: &App, chat: ChatId) -> Result<Option<(Turn, bool)>> {
    let since = telling::range(app, chat).await?.map_or(0, |(_, last)| last);
    let state = app.store.load::<Chat>(chat).await?;
    let (Some(owner), Some(reply)) = (state.owner(), state.waiting().next()) else {
        return Ok(None);
    };
    let is_to_stop = state.to_cancel() == Some(reply);
    Ok(Some((Turn { chat, owner, reply, since }, is_to_stop)))
}
