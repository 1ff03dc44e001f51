//! What a person does with a chat.

use aggregates::chat::{Ask, Chat, ChatCommand, ChatError, ChatEvent};
use aggregates::id::{ChatId, MessageId, UserId};
use serde_json::json;
use uuid::Uuid;

use super::telling::{CANCELLED, CANCELLING};
use super::{allowance, telling, texts};
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::metering;
use crate::models::Tier;
use crate::queue::{Job, REPLY};
use crate::store::{Envelope, ExecuteError, Outcome, SideRow};

/// Characters of a title that a first message gives.
const TITLE: usize = 60;

/// Something that is said.
pub struct Post {
    /// In which chat.
    pub chat: ChatId,
    /// What.
    pub text: String,
    /// Which model is to reply; the usual one of the person's tier, where none is named.
    pub model: Option<String>,
    /// Where the ids of the message and its reply derive from.
    pub intent: Uuid,
}

/// What was said, and the reply that waits.
#[derive(Clone, Copy, Debug)]
pub struct Posted {
    /// What was said; none where a reply is tried again.
    pub message: Option<MessageId>,
    /// The reply.
    pub reply: MessageId,
    /// The position of the event.
    pub position: i64,
    /// Whether this is the answer to an earlier request.
    pub replayed: bool,
}

impl Posted {
    fn new(message: Option<MessageId>, reply: MessageId, outcome: &Outcome<Chat>) -> Self {
        Self { message, reply, position: outcome.position, replayed: outcome.replayed }
    }
}

/// The chat, where it is the person's.
pub async fn own(app: &App, user: UserId, chat: ChatId) -> Result<Chat> {
    let state = app.store.load::<Chat>(chat).await?;
    if state.owner() == Some(user) { Ok(state) } else { Err(Problem::not_found()) }
}

async fn send(
    app: &App,
    user: UserId,
    chat: ChatId,
    envelope: Envelope,
    ask: Ask,
) -> Result<Outcome<Chat>> {
    Ok(try_to_send(app, user, chat, envelope, ask).await?)
}

async fn try_to_send(
    app: &App,
    user: UserId,
    chat: ChatId,
    envelope: Envelope,
    ask: Ask,
) -> Result<Outcome<Chat>, ExecuteError<ChatError>> {
    let command = ChatCommand { now: clock::now(), ask };
    let outcome = app.store.execute::<Chat>(chat, envelope, command).await?;
    app.wrote(user, outcome.position);
    Ok(outcome)
}

/// Begins a chat.
pub async fn create(
    app: &App,
    user: UserId,
    chat: ChatId,
    title: Option<&str>,
    mut envelope: Envelope,
) -> Result<Outcome<Chat>> {
    envelope.side.push(SideRow::ChatOpened { chat_id: chat, user_id: user });
    if let Some(title) = title {
        envelope.side.push(texts::row(app, user, chat, chat.0, title).await?);
    }
    send(app, user, chat, envelope, Ask::Create { owner: user }).await
}

/// Calls it something else.
pub async fn retitle(
    app: &App,
    user: UserId,
    chat: ChatId,
    title: &str,
    envelope: Envelope,
) -> Result<Outcome<Chat>> {
    own(app, user, chat).await?;
    let told = json!({ "title": title });
    let envelope = envelope
        .with(texts::row(app, user, chat, chat.0, title).await?)
        .with(telling::row(app, user, chat, None, "chat.retitled", &told).await?);
    send(app, user, chat, envelope, Ask::Retitle).await
}

/// Says something; the reply to it waits for its turn. What it costs is held when it is its turn.
pub async fn post(app: &App, user: UserId, post: Post, mut envelope: Envelope) -> Result<Posted> {
    let Post { chat, text, model, intent } = post;
    own(app, user, chat).await?;
    let reply = MessageId::derive(intent, "reply");
    let message = MessageId::derive(intent, "message");
    let posted = |outcome: &Outcome<Chat>| Posted::new(Some(message), reply, outcome);
    let (tier, model) = match allowed(app, user, model.as_deref()).await {
        Ok(allowed) => allowed,
        Err(problem) => {
            return asked_before(app, chat, &envelope, problem).await.map(|it| posted(&it));
        }
    };
    envelope.side.push(texts::row(app, user, chat, message.0, &text).await?);
    // Somebody may give it one meanwhile: theirs stands.
    if !texts::has_title(app, chat).await? {
        envelope.side.push(texts::first_title(app, user, chat, &title_of(&text)).await?);
    }
    let told = json!({ "reply_id": reply });
    envelope
        .side
        .push(telling::row(app, user, chat, Some(message), "message.posted", &told).await?);
    will_reply(app, user, chat, tier, &mut envelope);
    Ok(posted(&send(app, user, chat, envelope, Ask::Post { message, reply, model }).await?))
}

/// Has the last reply, which failed or was cancelled, tried again.
pub async fn retry(
    app: &App,
    user: UserId,
    chat: ChatId,
    reply: MessageId,
    intent: Uuid,
    mut envelope: Envelope,
) -> Result<Posted> {
    let state = own(app, user, chat).await?;
    let again = MessageId::derive(intent, "reply");
    let posted = |outcome: &Outcome<Chat>| Posted::new(None, again, outcome);
    let (tier, model) = match allowed_again(app, user, state.asked()).await {
        Ok(allowed) => allowed,
        Err(problem) => {
            return asked_before(app, chat, &envelope, problem).await.map(|it| posted(&it));
        }
    };
    let told = json!({ "reply_id": again });
    envelope.side.push(telling::row(app, user, chat, Some(reply), "message.retried", &told).await?);
    will_reply(app, user, chat, tier, &mut envelope);
    Ok(posted(&send(app, user, chat, envelope, Ask::Retry { reply, again, model }).await?))
}

/// The person's tier, and the model that is to reply, where they may ask for it and have anything to pay
/// with.
async fn allowed(app: &App, user: UserId, model: Option<&str>) -> Result<(Tier, String)> {
    let tier = metering::tier_now(app, user).await?;
    let model = metering::choose(app, tier, model)?.id.clone();
    metering::can_pay(app, user).await?;
    Ok((tier, model))
}

/// The same for what was asked before: of the same model, as long as they may ask for it.
async fn allowed_again(app: &App, user: UserId, asked: Option<&str>) -> Result<(Tier, String)> {
    let tier = metering::tier_now(app, user).await?;
    let model = metering::chosen_before(app, tier, asked).id.clone();
    metering::can_pay(app, user).await?;
    Ok((tier, model))
}

/// What was done when the same was asked before: that stands, whatever is in the way by now.
async fn asked_before(
    app: &App,
    chat: ChatId,
    envelope: &Envelope,
    problem: Problem,
) -> Result<Outcome<Chat>> {
    app.store.known::<Chat>(chat, envelope).await?.ok_or(problem)
}

/// The reply counts as one of the day's, and somebody makes it.
fn will_reply(app: &App, user: UserId, chat: ChatId, tier: Tier, envelope: &mut Envelope) {
    envelope.side.push(allowance::used(app, user, tier));
    envelope.side.push(Job::about(REPLY, &chat.to_string()).row());
}

/// Stops a reply: at once where it waits, and where it is under way as soon as whoever makes it hears.
pub async fn cancel(
    app: &App,
    user: UserId,
    chat: ChatId,
    reply: MessageId,
    envelope: Envelope,
) -> Result<Outcome<Chat>> {
    own(app, user, chat).await?;
    // Which of both it is, the log decides: what is told of it, and whether it counts as one of the day's,
    // lives or dies with that.
    match drop_waiting(app, user, chat, reply, envelope.clone()).await? {
        Err(ExecuteError::Refused(ChatError::ItsTurn)) => {}
        outcome => return Ok(outcome?),
    }
    let told = telling::row(app, user, chat, Some(reply), CANCELLING, &json!({})).await?;
    // Whoever was to make it may come back late, or not at all.
    let envelope = envelope.with(told).with(Job::about(REPLY, &chat.to_string()).row());
    send(app, user, chat, envelope, Ask::Cancel { reply }).await
}

/// Drops a reply that waits, which counts as none of the day's then; what the log says to that.
async fn drop_waiting(
    app: &App,
    user: UserId,
    chat: ChatId,
    reply: MessageId,
    envelope: Envelope,
) -> Result<Result<Outcome<Chat>, ExecuteError<ChatError>>> {
    let free = json!({ "credits": 0 });
    let envelope = envelope
        .with(telling::row(app, user, chat, Some(reply), CANCELLED, &free).await?)
        .with(allowance::back(app, user, chat, reply).await?);
    Ok(try_to_send(app, user, chat, envelope, Ask::CancelWaiting { reply }).await)
}

/// Notes that the person has seen what there is.
pub async fn read(
    app: &App,
    user: UserId,
    chat: ChatId,
    envelope: Envelope,
) -> Result<Outcome<Chat>> {
    own(app, user, chat).await?;
    send(app, user, chat, envelope, Ask::Read).await
}

/// Deletes it, with all that was said in it. A reply that is under way stops; those that wait are dropped before, one by
/// one, since each comes back to the day that it was asked for on.
pub async fn delete(
    app: &App,
    user: UserId,
    chat: ChatId,
    envelope: Envelope,
) -> Result<Outcome<Chat>> {
    for reply in own(app, user, chat).await?.waiting().skip(1) {
        let dropping = Envelope::once(envelope.metadata.clone());
        match drop_waiting(app, user, chat, reply, dropping).await? {
            // Its turn has come, or it is gone: so is this.
            Ok(_) | Err(ExecuteError::Refused(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let envelope = envelope.with(SideRow::ChatForgotten { chat_id: chat });
    send(app, user, chat, envelope, Ask::Delete).await
}

/// Whether a cancellation was carried out at once.
#[must_use]
pub fn is_cancelled(outcome: &Outcome<Chat>) -> bool {
    outcome.events.iter().any(|event| matches!(event, ChatEvent::ReplyCancelled { .. }))
}

/// What a chat is called by its first message: the beginning of it, up to a whole word.
fn title_of(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= TITLE {
        return line;
    }
    let cut: String = line.chars().take(TITLE).collect();
    let whole = cut.rsplit_once(' ').map_or(cut.as_str(), |(whole, _)| whole);
    format!("{whole}…")
}

#[cfg(test)]
mod tests {
    use super::title_of;

    #[test]
    fn a_title_is_the_beginning_of_the_first_message_in_whole_words() {
        assert_eq!(title_of("  Hello,\n you "), "Hello, you");
        let long = "word ".repeat(30);
        assert_eq!(title_of(&long), format!("{}…", "word ".repeat(12).trim_end()));
        assert_eq!(title_of(&"x".repeat(100)).chars().count(), 61);
    }
}
