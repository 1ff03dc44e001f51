//! What nobody needs any more is removed, once a day.

use chrono::TimeDelta;
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::given::app;
use crate::clock;
use crate::error::chain;

/// How long sessions, codes and links are kept after their end, and webhooks, calls that nobody waits for
/// and declined spends after they were written: long enough to look into what somebody reports. What calls delivered is kept
/// elsewhere, and no call waits for longer than its credits are held, a day at most.
const KEPT: TimeDelta = TimeDelta::days(30);

/// How long what was told of a chat can be told again, to whoever was away, and to whoever goes on with a
/// reply whose maker has died. The messages stay.
const TOLD: TimeDelta = TimeDelta::days(3);

/// Removes what nobody needs any more.
#[derive(Serialize, Deserialize)]
pub(super) struct Sweep {}

impl TaskHandler for Sweep {
    const IDENTIFIER: &'static str = "sweep";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let app = app(&context)?;
        let now = clock::now();
        for (statement, before) in [
            ("delete from limits where empty_at < $1", now),
            ("delete from challenges where expires_at < $1", now - KEPT),
            ("delete from sessions where least(ended_at, expires_at) < $1", now - KEPT),
            ("delete from webhook_deliveries where created_at < $1", now - KEPT),
            ("delete from queued_calls where created_at < $1", now - KEPT),
            ("delete from declines where declined_at < $1", now - KEPT),
            ("delete from chat_stream where created_at < $1", now - TOLD),
            ("delete from chat_days where day < ($1 at time zone 'UTC')::date", now - KEPT),
            ("delete from dev_inbox where sent_at < $1", now - KEPT),
            (
                "delete from graphile_worker._private_jobs
                 where attempts >= max_attempts and updated_at < $1",
                now - KEPT,
            ),
        ] {
            let deleted = sqlx::query(statement).bind(before).execute(app.db()).await;
            deleted.map_err(|error| chain(&error))?;
        }
        Ok::<(), String>(())
    }
}
