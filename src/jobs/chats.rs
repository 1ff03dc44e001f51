//! Replies in chats. Work of one chat is done one after the other; what a node that died was at is taken
//! again, and finds what became of it.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::given::{app, told};
use crate::chats::reply;
use crate::queue::{self, About};

/// Makes the replies that wait in a chat.
#[derive(Serialize, Deserialize)]
pub(super) struct Reply(About);

impl TaskHandler for Reply {
    const IDENTIFIER: &'static str = queue::REPLY;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let app = app(&context)?;
        let chat = self.0.subject.parse().map_err(|_| "that is no chat".to_owned())?;
        reply::run(&app, chat).await.map_err(told)
    }
}
