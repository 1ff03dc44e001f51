//! Chats, and what was said in them: who said what when, and what became of it. The texts are beside
//! the log.

mod outcome;
mod reading;

use std::sync::Arc;

use aggregates::chat::ChatEvent;
use aggregates::event::Event;
use aggregates::id::MessageId;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::journal::Recorded;
use crate::projector::{Projection, all_of};

use outcome::Outcome;

pub use reading::{
    ChatRow, Exchange, MessageRow, Waiting, chat_of, chats_of, conversation, message_of,
    messages_of, waiting,
};

/// Follows the log into `chats`. Few events: each is a statement or two of its own.
pub struct Chats;

impl Projection for Chats {
    fn name(&self) -> &'static str {
        "chats"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["chat"]
    }

    fn project<'a>(
        &'a self,
        db: &'a mut PgConnection,
        recorded: &'a [Arc<Recorded>],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            for recorded in recorded {
                if let Event::Chat(event) = &recorded.event {
                    follow(db, recorded.aggregate_id, recorded.position, event).await?;
                }
            }
            Ok(())
        })
    }
}

async fn follow(
    db: &mut PgConnection,
    chat: Uuid,
    position: i64,
    event: &ChatEvent,
) -> sqlx::Result<()> {
    match event {
        ChatEvent::Created { owner, at } => {
            let new = sqlx::query(
                "insert into chats (chat_id, user_id, created_at, updated_at)
                 values ($1, $2, $3, $3)",
            );
            new.bind(chat).bind(owner.0).bind(at).execute(&mut *db).await?;
            Ok(())
        }
        ChatEvent::Retitled { at } => touch(db, chat, *at).await,
        ChatEvent::Posted { message, reply, model, at } => {
            say(db, chat, position, *message, *at).await?;
            let to = To::Message(*message);
            wait(db, chat, position, *reply, to, model, *at).await?;
            count(db, chat, 2, *at).await
        }
        ChatEvent::Retried { reply, again, model, at } => {
            wait(db, chat, position, *again, To::TheSameAs(*reply), model, *at).await?;
            count(db, chat, 1, *at).await
        }
        ChatEvent::Replied { .. }
        | ChatEvent::ReplyFailed { .. }
        | ChatEvent::ReplyCancelled { .. } => end(db, chat, event).await,
        ChatEvent::CancelAsked { reply, .. } => {
            let asked = sqlx::query(
                "update chats set cancel_asked = true where chat_id = $1 and waiting = $2",
            );
            let asked = asked.bind(chat).bind(reply.0).execute(&mut *db).await?;
            all_of(1, asked.rows_affected())
        }
        ChatEvent::Read { messages, .. } => {
            let read = sqlx::query("update chats set unread = unread - $2 where chat_id = $1");
            let read = read.bind(chat).bind(int(*messages)).execute(&mut *db).await?;
            all_of(1, read.rows_affected())
        }
        ChatEvent::Deleted { .. } => delete(db, chat).await,
    }
}

/// A count as its column has it.
fn int(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

async fn touch(db: &mut PgConnection, chat: Uuid, at: DateTime<Utc>) -> sqlx::Result<()> {
    let touched = sqlx::query("update chats set updated_at = $2 where chat_id = $1");
    let touched = touched.bind(chat).bind(at).execute(db).await?;
    all_of(1, touched.rows_affected())
}

/// A person's message; the next in the chat.
async fn say(
    db: &mut PgConnection,
    chat: Uuid,
    position: i64,
    message: MessageId,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let said = sqlx::query(
        "insert into messages (message_id, chat_id, position, number, role, state, created_at,
             completed_at)
         select $1, chat_id, $3, messages + 1, 'user', 'done', $4, $4
         from chats where chat_id = $2",
    );
    let said = said.bind(message.0).bind(chat).bind(position).bind(at).execute(db).await?;
    all_of(1, said.rows_affected())
}

/// What a reply is to.
enum To {
    /// What was just said.
    Message(MessageId),
    /// What the reply before was to, which came to nothing.
    TheSameAs(MessageId),
}

/// A reply that is to be made; the next in the chat, behind what it is to.
async fn wait(
    db: &mut PgConnection,
    chat: Uuid,
    position: i64,
    reply: MessageId,
    to: To,
    model: &str,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let (message, before) = match to {
        To::Message(message) => (Some(message.0), None),
        To::TheSameAs(reply) => (None, Some(reply.0)),
    };
    let waits = sqlx::query(
        "with known as (
             update messages set retried_by = $1 where message_id = $6 and chat_id = $2
             returning answers)
         insert into messages (message_id, chat_id, position, number, role, state, answers, model,
             created_at)
         select $1, c.chat_id, $3, c.messages + case when $5::uuid is null then 1 else 2 end,
             'assistant', 'queued', coalesce($5, (select answers from known)), $4, $7
         from chats c where c.chat_id = $2",
    );
    let waits = waits.bind(reply.0).bind(chat).bind(position).bind(model);
    let waits = waits.bind(message).bind(before).bind(at).execute(db).await?;
    all_of(1, waits.rows_affected())
}

/// So many messages more.
async fn count(
    db: &mut PgConnection,
    chat: Uuid,
    messages: i32,
    at: DateTime<Utc>,
) -> sqlx::Result<()> {
    let more = sqlx::query(
        "update chats set messages = messages + $2, updated_at = $3 where chat_id = $1",
    );
    let more = more.bind(chat).bind(messages).bind(at).execute(&mut *db).await?;
    all_of(1, more.rows_affected())?;
    look_around(db, chat).await
}

/// What waits now, and what there is to read last. Whoever was to stop has.
async fn look_around(db: &mut PgConnection, chat: Uuid) -> sqlx::Result<()> {
    let looked = sqlx::query(
        "update chats c
         set waiting = w.message_id,
             cancel_asked = c.cancel_asked and c.waiting is not distinct from w.message_id,
             last_message = l.message_id, last_role = l.role
         from (select $1::uuid as chat_id) t
         left join lateral (
             select message_id from messages m
             where m.chat_id = t.chat_id and m.state = 'queued' order by m.number limit 1) w on true
         left join lateral (
             select message_id, role from messages m
             where m.chat_id = t.chat_id and m.state = 'done' order by m.number desc limit 1) l on true
         where c.chat_id = t.chat_id",
    );
    let looked = looked.bind(chat).execute(db).await?;
    all_of(1, looked.rows_affected())
}

async fn end(db: &mut PgConnection, chat: Uuid, event: &ChatEvent) -> sqlx::Result<()> {
    let Some((reply, at, outcome)) = Outcome::of(event) else { return Ok(()) };
    let tokens = |count: Option<u64>| count.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let ended = sqlx::query(
        "update messages
         set state = $3, finish = $4, hold_id = $5, credits = $6, model = coalesce($7, model),
             input_tokens = $8, output_tokens = $9, code = $10, completed_at = $11
         where message_id = $1 and chat_id = $2 and state = 'queued'",
    )
    .bind(reply.0)
    .bind(chat)
    .bind(outcome.state)
    .bind(outcome.finish)
    .bind(outcome.hold)
    .bind(outcome.credits)
    .bind(outcome.model)
    .bind(tokens(outcome.input_tokens))
    .bind(tokens(outcome.output_tokens))
    .bind(outcome.code)
    .bind(at)
    .execute(&mut *db)
    .await?;
    all_of(1, ended.rows_affected())?;
    let new = i32::from(outcome.state == "done");
    let told =
        sqlx::query("update chats set unread = unread + $2, updated_at = $3 where chat_id = $1");
    let told = told.bind(chat).bind(new).bind(at).execute(&mut *db).await?;
    all_of(1, told.rows_affected())?;
    look_around(db, chat).await
}

async fn delete(db: &mut PgConnection, chat: Uuid) -> sqlx::Result<()> {
    let messages = sqlx::query("delete from messages where chat_id = $1");
    messages.bind(chat).execute(&mut *db).await?;
    let gone = sqlx::query("delete from chats where chat_id = $1").bind(chat).execute(db).await?;
    all_of(1, gone.rows_affected())
}
