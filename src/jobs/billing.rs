//! What follows at Stripe, and from Stripe, with retries.

use aggregates::catalogue::{PackTerms, PlanTerms};
use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::{Deserialize, Serialize};

use super::given::{app, told};
use crate::billing::{customers, heal, inbox, letters, offers, recharge, reconcile, refunds};
use crate::queue::{self, About};

/// Makes a person a customer of Stripe's.
#[derive(Serialize, Deserialize)]
pub(super) struct CreateCustomer(About);

/// Has Stripe forget a customer whose person was erased.
#[derive(Serialize, Deserialize)]
pub(super) struct DeleteCustomer(About);

/// Settles what Stripe has told of an object.
#[derive(Serialize, Deserialize)]
pub(super) struct SettleObject(About);

/// Gives back what an administrator has decided to give back.
#[derive(Serialize, Deserialize)]
pub(super) struct Refund(queue::Refund);

/// Lists a pack at Stripe as it is.
#[derive(Serialize, Deserialize)]
pub(super) struct ListPack(About);

/// Lists a plan at Stripe as it is.
#[derive(Serialize, Deserialize)]
pub(super) struct ListPlan(About);

/// Writes the letter of an event.
#[derive(Serialize, Deserialize)]
pub(super) struct WriteLetter(About);

/// Looks for what Stripe has told and nobody has heard.
#[derive(Serialize, Deserialize)]
pub(super) struct Heal {}

/// Compares what Stripe says of money with what is said here.
#[derive(Serialize, Deserialize)]
pub(super) struct Reconcile {}

impl TaskHandler for CreateCustomer {
    const IDENTIFIER: &'static str = queue::CREATE_CUSTOMER;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let app = app(&context)?;
        let user = self.0.subject.parse().map_err(|_| "that is no person".to_owned())?;
        match customers::of(&app, user).await {
            // Who is gone meanwhile needs none.
            Err(problem) if problem.status == 404 => Ok(()),
            customer => customer.map(drop).map_err(told),
        }
    }
}

impl TaskHandler for DeleteCustomer {
    const IDENTIFIER: &'static str = queue::DELETE_CUSTOMER;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        customers::forget(&app(&context)?, &self.0.subject).await.map_err(told)
    }
}

impl TaskHandler for SettleObject {
    const IDENTIFIER: &'static str = queue::SETTLE_OBJECT;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        inbox::settle(&app(&context)?, &self.0.subject).await.map_err(told)
    }
}

impl TaskHandler for WriteLetter {
    const IDENTIFIER: &'static str = queue::WRITE_LETTER;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let position = self.0.subject.parse().map_err(|_| "that is no position".to_owned())?;
        letters::write(&app(&context)?, position).await.map_err(told)
    }
}

impl TaskHandler for Refund {
    const IDENTIFIER: &'static str = queue::Refund::TASK;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        refunds::make(&app(&context)?, self.0).await.map_err(told)
    }
}

impl TaskHandler for ListPack {
    const IDENTIFIER: &'static str = queue::LIST_PACK;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let id = self.0.subject.parse().map_err(|_| "that is no pack".to_owned())?;
        offers::list::<PackTerms>(&app(&context)?, id).await.map(drop).map_err(told)
    }
}

impl TaskHandler for ListPlan {
    const IDENTIFIER: &'static str = queue::LIST_PLAN;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let id = self.0.subject.parse().map_err(|_| "that is no plan".to_owned())?;
        offers::list::<PlanTerms>(&app(&context)?, id).await.map(drop).map_err(told)
    }
}

impl TaskHandler for Heal {
    const IDENTIFIER: &'static str = queue::HEAL;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let app = app(&context)?;
        if app.stripe.is_none() {
            return Ok(());
        }
        // One does not wait for the other.
        let (healed, listed) = (heal::heal(&app).await, offers::list_all(&app).await);
        healed.and(listed).and(recharge::chase(&app).await).map_err(told)
    }
}

impl TaskHandler for Reconcile {
    const IDENTIFIER: &'static str = queue::RECONCILE;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let app = app(&context)?;
        if app.stripe.is_none() {
            return Ok(());
        }
        reconcile::reconcile(&app).await.map_err(told)
    }
}
