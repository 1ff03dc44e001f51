//! Verifying the log, for whoever has asked for it.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::given::{app, told};
use crate::administration::verifications;
use crate::queue::{self, About};

/// Carries a verification out.
#[derive(Serialize, Deserialize)]
pub(super) struct Verify(About);

impl TaskHandler for Verify {
    const IDENTIFIER: &'static str = queue::VERIFY;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let id = self.0.subject.parse().map_err(|_| "it is about no verification".to_owned())?;
        verifications::carry_out(&app(&context)?, id).await.map_err(told)
    }
}
