//! How many replies a person may ask for in a day.

use aggregates::id::{ChatId, MessageId, UserId};

use crate::app::App;
use crate::clock;
use crate::error::Result;
use crate::models::Tier;
use crate::store::SideRow;

/// A reply counts as one of the day's.
pub(super) fn used(app: &App, user: UserId, tier: Tier) -> SideRow {
    // Whoever has no limit is counted, too: it is shown to them, and a plan may end during the day.
    let most = app.models.chat_messages_per_day(tier).unwrap_or(i32::MAX.unsigned_abs());
    SideRow::ChatAllowance { user_id: user, day: clock::now().date_naive(), most }
}

/// What came to nothing does not count as one of the day's on which it was asked for.
pub(super) async fn back(
    app: &App,
    user: UserId,
    chat: ChatId,
    reply: MessageId,
) -> Result<SideRow> {
    let row = projections::chats::message_of(app.db(), chat.0, reply.0).await?;
    let day = row.map_or_else(clock::now, |row| row.created_at).date_naive();
    Ok(SideRow::ChatAllowanceBack { user_id: user, day })
}
