//! What a model reads before it replies.

use aggregates::id::UserId;
use projections::chats::{Exchange, MessageRow};
use uuid::Uuid;

use super::Turn;
use crate::app::App;
use crate::chats::texts;
use crate::clients::llm::{Message, Request, Role, Task};
use crate::error::{Problem, Result};
use crate::metering::{self, Conversation};
use crate::models::Model;

/// The longest past that is read, in tokens, about: what is older is not read any more.
const PAST: u64 = 16_000;
/// The longest reply, in tokens, where the model could write more: what it thinks before is counted with it.
const LONGEST: u32 = 8_000;

/// What a reply is to be made of, and by which model.
pub(super) async fn of(app: &App, turn: Turn) -> Result<Conversation> {
    let row = waiting(app, turn).await?;
    let tier = metering::tier_now(app, turn.owner).await?;
    let model = metering::chosen_before(app, tier, row.model.as_deref());
    let past = projections::chats::conversation(app.db(), turn.chat.0, row.number).await?;
    Ok(Conversation {
        payer: turn.payer(),
        feature: "chat",
        model: model.clone(),
        request: request(app, turn.owner, &past, model).await?,
    })
}

/// The reply as the read model has it, once it has it.
async fn waiting(app: &App, turn: Turn) -> Result<MessageRow> {
    let head = projections::journal::head(app.db()).await?;
    app.reached("chats", head).await?;
    let row = projections::chats::message_of(app.db(), turn.chat.0, turn.reply.0).await?;
    row.ok_or_else(|| Problem::failed("a reply that waits is not in the read model"))
}

async fn request(app: &App, user: UserId, past: &[Exchange], model: &Model) -> Result<Request> {
    let ids: Vec<Uuid> = past.iter().map(|said| said.message_id).collect();
    let mut texts = texts::of(app, user, &ids).await?;
    let said = past.iter().filter_map(|said| {
        let role = if said.role == "user" { Role::User } else { Role::Assistant };
        Some(Message { role, text: texts.remove(&said.message_id)? })
    });
    Ok(Request {
        task: Task::Chat,
        messages: metering::latest(said.collect(), PAST).await,
        max_output_tokens: model.max_output_tokens.min(LONGEST),
        temperature: None,
        top_p: None,
        stop: vec![],
    })
}
