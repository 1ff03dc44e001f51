//! AI calls that were asked for by somebody who does not wait.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::given::{app, told};
use crate::metering;
use crate::queue::{self, About};

/// Makes a call that waits.
#[derive(Serialize, Deserialize)]
pub(super) struct MakeCall(About);

impl TaskHandler for MakeCall {
    const IDENTIFIER: &'static str = queue::MAKE_CALL;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let call = self.0.subject.parse().map_err(|_| "that is no call".to_owned())?;
        metering::make(&app(&context)?, call).await.map_err(told)
    }
}
