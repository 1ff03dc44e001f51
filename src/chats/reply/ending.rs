//! How a reply ends, as the chat's log has it.

use aggregates::chat::{Ask, Chat, ChatCommand, ChatError, ReplyFinish};
use aggregates::id::{CommandId, HoldId};
use serde_json::json;

use super::{Turn, metadata};
use crate::app::App;
use crate::chats::telling::{self, CANCELLED, DELTA, Told};
use crate::chats::{allowance, texts};
use crate::clock;
use crate::error::Result;
use crate::metering::{Charged, End};
use crate::store::{Envelope, ExecuteError, SideRow};

/// How a reply ends.
pub(super) enum Ending {
    /// Something came, and was charged; it was stopped, where there is no finish.
    Charged { finish: Option<End>, text: String, charged: Charged },
    /// It came to nothing, for free.
    Failed(String),
    /// It was stopped before anything came.
    Left,
}

impl Ending {
    /// A reply that was charged, and whose maker died before it was noted: it was told before.
    pub(super) async fn recalled(app: &App, turn: Turn, charged: Charged) -> Result<Self> {
        let told = telling::written(app, turn.owner, turn.chat, turn.reply).await?;
        let slices = told.iter().filter(|told| told.kind == DELTA);
        let text = slices.filter_map(|told| told.data["text"].as_str()).collect();
        Ok(Self::Charged { finish: finish_of(&told), text, charged })
    }
}

fn finish_of(told: &[Told]) -> Option<End> {
    let written = told.iter().find(|told| told.kind == "reply.written")?;
    serde_json::from_value(written.data["finish"].clone()).ok()
}

/// Notes it in the log, with the text, and tells of it. Whose chat was deleted meanwhile hears nothing.
pub(super) async fn note(app: &App, turn: Turn, ending: Ending) -> Result<()> {
    let Turn { chat, owner, reply, .. } = turn;
    let mut side = Vec::new();
    let (what, data, ask) = match ending {
        Ending::Charged { finish, text, charged } => {
            side.push(texts::row(app, owner, chat, reply.0, &text).await?);
            let data =
                json!({ "finish": finish, "credits": charged.credits, "model": charged.model });
            match finish {
                Some(finish) => ("message.completed", data, complete(turn, finish, charged)),
                None => (CANCELLED, data, cancelled(turn, Some(charged))),
            }
        }
        Ending::Failed(code) => {
            let data = json!({ "code": code });
            side.push(allowance::back(app, owner, chat, reply).await?);
            ("message.failed", data, Ask::Fail { reply, code })
        }
        Ending::Left => {
            side.push(allowance::back(app, owner, chat, reply).await?);
            (CANCELLED, json!({ "credits": 0 }), cancelled(turn, None))
        }
    };
    side.push(telling::row(app, owner, chat, Some(reply), what, &data).await?);
    send(app, turn, side, ask).await
}

/// Notes that nobody is there any more to reply to.
pub(super) async fn forget(app: &App, turn: Turn) -> Result<()> {
    let code = "erased".to_owned();
    send(app, turn, vec![], Ask::Fail { reply: turn.reply, code }).await
}

async fn send(app: &App, turn: Turn, side: Vec<SideRow>, ask: Ask) -> Result<()> {
    let Turn { chat, owner, reply, .. } = turn;
    let mut envelope = Envelope::new(CommandId::derive(reply.0, "end"), metadata());
    envelope.side = side;
    let command = ChatCommand { now: clock::now(), ask };
    match app.store.execute::<Chat>(chat, envelope, command).await {
        Ok(outcome) => app.wrote(owner, outcome.position),
        Err(ExecuteError::Refused(ChatError::Deleted | ChatError::NotWaiting)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn complete(turn: Turn, finish: End, charged: Charged) -> Ask {
    let finish = match finish {
        End::Stop => ReplyFinish::Stop,
        End::Length => ReplyFinish::Length,
        End::Filtered => ReplyFinish::Filtered,
        End::Credits => ReplyFinish::Credits,
    };
    Ask::Complete {
        reply: turn.reply,
        finish,
        hold: HoldId(charged.id),
        credits: charged.credits,
        model: charged.model,
        input_tokens: Some(charged.counted.input),
        output_tokens: Some(charged.counted.output),
    }
}

fn cancelled(turn: Turn, charged: Option<Charged>) -> Ask {
    let counted = charged.as_ref().map(|charged| charged.counted);
    Ask::CompleteCancelled {
        reply: turn.reply,
        hold: charged.as_ref().map(|charged| HoldId(charged.id)),
        credits: charged.as_ref().map(|charged| charged.credits).unwrap_or_default(),
        model: charged.map(|charged| charged.model),
        input_tokens: counted.map(|counted| counted.input),
        output_tokens: counted.map(|counted| counted.output),
    }
}
