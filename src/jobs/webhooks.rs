//! Sending webhooks. When one is tried again is written with it: the queue only wakes whoever sends.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::given::{app, told};
use crate::queue::{self, About};
use crate::webhooks;

/// Sends what waits for an endpoint.
#[derive(Serialize, Deserialize)]
pub(super) struct SendWebhooks(About);

impl TaskHandler for SendWebhooks {
    const IDENTIFIER: &'static str = queue::SEND_WEBHOOKS;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let endpoint = self.0.subject.parse().map_err(|_| "that is no endpoint".to_owned())?;
        webhooks::send(&app(&context)?, endpoint).await.map_err(told)
    }
}
