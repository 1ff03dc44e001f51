//! What stands beside the log of chats: a row for each chat that is there, and the texts of what was
//! said in it. Of a chat that was deleted, or whose owner was erased, nothing is left.

use std::collections::{HashMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::Chats;
use super::trail::{Text, Trail};
use crate::verify::VerifyError;
use crate::verify::report::{Kind, Report};
use crate::verify::rows;

const RULE: &str = "what was said in a chat is kept as long as the chat";

const STREAMS: &str = "select chat_id, user_id from public.chat_streams";
const TEXTS: &str = "select text_id, chat_id, user_id from public.chat_texts";

/// Compares the rows with the chats; `is_erased` says whether a person was.
pub(super) async fn compare(
    db: &mut PgConnection,
    chats: &Chats,
    is_erased: impl Fn(Uuid) -> bool + Send + Sync,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let kept = chats.trails.iter().filter(|(_, trail)| {
        !trail.is_deleted && trail.owner.is_some_and(|owner| !is_erased(owner))
    });
    let kept: HashMap<Uuid, &Trail> = kept.map(|(id, trail)| (*id, trail)).collect();
    let owned =
        |chat: Uuid, user: Uuid| kept.get(&chat).copied().filter(|trail| trail.owner == Some(user));
    let mut there = HashSet::new();
    rows::each(db, STREAMS, |fields| {
        let (chat, user) = (fields.uuid()?, fields.uuid()?);
        report.rows += 1;
        if owned(chat, user).is_none() {
            report.find(Kind::Beside, format_args!("chat {chat}"), RULE, "nothing", "its row");
        }
        there.insert(chat);
        Some(())
    })
    .await?;
    for chat in kept.keys().filter(|chat| !there.contains(*chat)) {
        report.find(Kind::Beside, format_args!("chat {chat}"), RULE, "its row", "none");
    }
    let mut there = HashSet::new();
    rows::each(db, TEXTS, |fields| {
        let (text, chat, user) = (fields.uuid()?, fields.uuid()?, fields.uuid()?);
        report.rows += 1;
        let known = owned(chat, user).and_then(|trail| trail.texts.get(&text));
        if known.is_none_or(|known| *known == Text::None) {
            let place = format_args!("chat {chat}, text {text}");
            report.find(Kind::Beside, place, RULE, "no text", "one");
        }
        there.insert(text);
        Some(())
    })
    .await?;
    for (chat, trail) in kept {
        let texts = trail.texts.iter().filter(|(_, text)| **text == Text::There);
        for (text, _) in texts.filter(|(text, _)| !there.contains(*text)) {
            let place = format_args!("chat {chat}, text {text}");
            report.find(Kind::Beside, place, RULE, "a text", "none");
        }
    }
    Ok(())
}
