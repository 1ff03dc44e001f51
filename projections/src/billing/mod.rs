//! What is on sale, and what was bought.

mod offers;
mod purchases;

use std::sync::Arc;

use aggregates::event::Event;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;

use crate::journal::Recorded;
use crate::projector::Projection;

pub use offers::{PackRow, PlanRow, packs, plans, to_list};
pub use purchases::{
    PurchaseRow, by_intent, in_stage, is_disputed_beside, moved_since, of_user, unfulfilled,
};

/// Follows the log into `billing`. Few events: each is a statement of its own.
pub struct Billing;

impl Projection for Billing {
    fn name(&self) -> &'static str {
        "billing"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["pack", "plan", "purchase"]
    }

    fn project<'a>(
        &'a self,
        db: &'a mut PgConnection,
        recorded: &'a [Arc<Recorded>],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            for recorded in recorded {
                let id = recorded.aggregate_id;
                match &recorded.event {
                    Event::Pack(event) => offers::follow_pack(db, id, event).await?,
                    Event::Plan(event) => offers::follow_plan(db, id, event).await?,
                    Event::Purchase(event) => purchases::follow(db, id, event).await?,
                    Event::User(_) | Event::Wallet(_) => {}
                }
            }
            Ok(())
        })
    }
}
