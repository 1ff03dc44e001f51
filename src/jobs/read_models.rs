//! Building read models anew, for whoever has asked for it.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::given::{app, told};
use crate::administration::read_models;
use crate::queue::{self, About};

/// Builds a read model anew.
#[derive(Serialize, Deserialize)]
pub(super) struct Rebuild(About);

impl TaskHandler for Rebuild {
    const IDENTIFIER: &'static str = queue::REBUILD;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        read_models::rebuild(&app(&context)?, &self.0.subject).await.map_err(told)
    }
}
