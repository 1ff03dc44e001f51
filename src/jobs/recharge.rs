//! Charging the cards of those whose balance is low, with retries.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::given::{app, told};
use crate::billing::recharge;
use crate::queue::{self, About};

/// Charges what is in flight of a person's.
#[derive(Serialize, Deserialize)]
pub(super) struct ChargeRecharge(About);

impl TaskHandler for ChargeRecharge {
    const IDENTIFIER: &'static str = queue::RECHARGE;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let user = self.0.subject.parse().map_err(|_| "that is no person".to_owned())?;
        recharge::charge(&app(&context)?, user).await.map_err(told)
    }
}
