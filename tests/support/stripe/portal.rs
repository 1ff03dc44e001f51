//! The billing portal.

use serde_json::{Value, json};

use super::StripeDouble;
use super::failure::Outcome;
use super::form::Form;
use super::subscription_changes;
use super::world::{LIVEMODE, World, text};

pub fn create(world: &mut World, form: &Form) -> Outcome {
    let customer = form.required("customer")?;
    world.find_at("customer", "customer", customer)?;
    let id = world.id("bps");
    let session = json!({
        "id": id, "object": "billing_portal.session", "configuration": "bpc_double",
        "created": world.now, "customer": customer, "customer_account": null, "flow": null,
        "livemode": LIVEMODE, "locale": null, "on_behalf_of": null,
        "return_url": form.or_null("return_url"),
        "url": format!("https://billing.stripe.com/p/session/{id}"),
    });
    Ok(world.add(Some("billing_portal.session.created"), session))
}

impl StripeDouble {
    /// The person picks another plan in the portal, which charges the difference at once.
    pub fn portal_change_plan(&self, subscription: &str, price: &str) -> Value {
        let item = self.object(subscription)["items"]["data"][0]["id"].clone();
        self.portal(
            subscription,
            json!({
                "items": [{ "id": item, "price": price }],
                "proration_behavior": "always_invoice",
            }),
        )
    }

    /// The person cancels in the portal, at the period's end.
    pub fn portal_cancel(&self, subscription: &str) -> Value {
        self.portal(subscription, json!({ "cancel_at_period_end": "true" }))
    }

    /// The person takes the cancellation back.
    pub fn portal_undo_cancel(&self, subscription: &str) -> Value {
        self.portal(subscription, json!({ "cancel_at_period_end": "false" }))
    }

    /// Somebody names the day of its end in the dashboard.
    pub fn ends_at(&self, subscription: &str, at: i64) -> Value {
        self.portal(subscription, json!({ "cancel_at": at.to_string() }))
    }

    /// Somebody sets in the dashboard that a trial which ends without a card waits for one.
    pub fn pauses_without_card(&self, subscription: &str) -> Value {
        let settings = json!({ "end_behavior": { "missing_payment_method": "pause" } });
        let patch = json!({ "trial_settings": settings });
        self.world().change(subscription, &["customer.subscription.updated"], patch)
    }

    /// Somebody cancels in the dashboard, at once.
    pub fn cancel_now(&self, subscription: &str) -> Value {
        let mut world = self.world();
        let done = subscription_changes::cancel(&mut world, subscription, &Form::default());
        done.expect("a live subscription")
    }

    fn portal(&self, subscription: &str, form: Value) -> Value {
        let mut world = self.world();
        let done = subscription_changes::update(&mut world, subscription, &Form::of(form));
        let subscription = done.expect("a change that Stripe takes");
        world.the(text(&subscription["id"]))
    }
}
