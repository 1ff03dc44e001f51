//! What a model reads before it replies.

use projections::chats::MessageRow;
use uuid::Uuid;

use super::Turn;
use crate::app::App;
use crate::chats::texts;
use crate::clients::llm::{Message, Request, Role, Task};
use crate::error::{Problem, Result};
use crate::metering::{self, Conversation, Latest};
use crate::models::Model;

/// The longest past that is read, in tokens, about: what is older is not read any more.
const PAST: u64 = 16_000;
/// Messages that are looked up at a time: what is read of most chats, and not much of the longest.
const PAGE: i64 = 50;
/// The longest reply, in tokens, where the model could write more: what it thinks before is counted with it.
const LONGEST: u32 = 8_000;

/// What a reply is to be made of, and by which model.
pub(super) async fn of(app: &App, turn: Turn) -> Result<Conversation> {
    let row = waiting(app, turn).await?;
    let tier = metering::tier_now(app, turn.owner).await?;
    let model = metering::chosen_before(app, tier, row.model.as_deref());
    let past = past(app, turn, row.number).await?;
    Ok(Conversation {
        payer: turn.payer(),
        feature: "chat",
        model: model.clone(),
        request: request(past, model),
    })
}

/// The reply as the read model has it, once it has it.
async fn waiting(app: &App, turn: Turn) -> Result<MessageRow> {
    let head = projections::journal::head(app.db()).await?;
    app.reached("chats", head).await?;
    let row = projections::chats::message_of(app.db(), turn.chat.0, turn.reply.0).await?;
    row.ok_or_else(|| Problem::failed("a reply that waits is not in the read model"))
}

/// What was said before a place in the chat, as much of it as is read: a chat is read from its end, page by page, and
/// what is older stays where it is.
async fn past(app: &App, turn: Turn, mut before: i32) -> Result<Vec<Message>> {
    let mut past = Latest::within(PAST);
    loop {
        let page = projections::chats::conversation(app.db(), turn.chat.0, before, PAGE).await?;
        let Some(oldest) = page.last() else { return Ok(past.in_order()) };
        before = oldest.number;
        let ids: Vec<Uuid> = page.iter().map(|said| said.message_id).collect();
        let mut texts = texts::of(app, turn.owner, &ids).await?;
        for said in page {
            let Some(text) = texts.remove(&said.message_id) else { continue };
            let role = if said.role == "user" { Role::User } else { Role::Assistant };
            if !past.add(Message { role, text }).await {
                return Ok(past.in_order());
            }
        }
    }
}

fn request(messages: Vec<Message>, model: &Model) -> Request {
    Request {
        task: Task::Chat,
        messages,
        max_output_tokens: model.max_output_tokens.min(LONGEST),
        temperature: None,
        top_p: None,
        stop: vec![],
    }
}
