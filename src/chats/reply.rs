//! A model replies, one message after the other: what it writes is told in slices, and what came is
//! charged.

mod conversation;
mod ending;
mod pen;

use aggregates::chat::Chat;
use aggregates::id::{ChatId, MessageId, UserId};

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
}

fn metadata() -> Metadata {
    Metadata { actor: Some("reply".to_owned()), ..Metadata::default() }
}

/// Makes the replies that wait in a chat, in their order. Nobody else makes them at the same time: see
/// its job. An error is one of ours, to be tried again.
pub async fn run(app: &App, chat: ChatId) -> Result<()> {
    loop {
        let state = app.store.load::<Chat>(chat).await?;
        let (Some(owner), Some(reply)) = (state.owner(), state.waiting().next()) else {
            return Ok(());
        };
        let turn = Turn { chat, owner, reply };
        if app.store.codec().key(owner).await.map_err(Problem::failed)?.is_none() {
            ending::forget(app, turn).await?;
            continue;
        }
        let is_to_stop = state.to_cancel() == Some(reply);
        let ending = match metering::past(app, &turn.payer()).await? {
            // Whoever made it before has died, after it was charged or before.
            Past::Charged(charged) => Ending::recalled(app, turn, charged).await?,
            Past::Never | Past::Over if is_to_stop => Ending::Left,
            Past::Never => pen::write(app, turn).await?,
            Past::Over => Ending::Failed("interrupted".to_owned()),
        };
        ending::note(app, turn, ending).await?;
    }
}
