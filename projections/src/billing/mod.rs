//! What is on sale, and what was bought.

mod invoices;
mod offers;
mod payments;
mod purchases;
mod recharges;
mod subscriptions;

use std::sync::Arc;

use aggregates::event::Event;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;

use crate::journal::Recorded;
use crate::projector::Projection;

pub use invoices::invoice_paid_by;
pub use offers::{PackRow, PlanRow, packs, plan_of_price, plans, to_list};
pub use payments::{PaymentRow, payment_of, payments_of};
pub use purchases::{PurchaseRow, by_intent, in_stage, moved_since, unfulfilled};
pub use recharges::{RechargeRow, recharge_of, recharges_in_flight, recharges_over, to_recharge};
pub use subscriptions::{
    Running, SubscriptionRow, Troubles, behind, by_stripe, due, has_subscribed, ordered, running,
    running_of, subscription_of, subscriptions_of, tier_of, troubles,
};

/// Follows the log into `billing`. Few events: each is a statement of its own.
pub struct Billing;

impl Projection for Billing {
    fn name(&self) -> &'static str {
        "billing"
    }

    fn streams(&self) -> &'static [&'static str] {
        &["pack", "plan", "purchase", "recharge", "subscription"]
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
                    Event::Subscription(event) => subscriptions::follow(db, id, event).await?,
                    Event::Recharge(event) => recharges::follow(db, id, event).await?,
                    Event::User(_) | Event::Wallet(_) | Event::Chat(_) => {}
                }
            }
            Ok(())
        })
    }
}
