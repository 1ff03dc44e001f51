//! The customer portal: a page of Stripe's for cards, invoices and the plan.

use stripe_billing::billing_portal_session::CreateBillingPortalSession;

use super::error::StripeError;
use super::send::{id, link};
use super::{Link, Stripe};

impl Stripe {
    /// A page where a customer changes cards or the plan. It is good for some minutes.
    pub async fn create_portal(
        &self,
        customer: &str,
        return_url: &str,
        key: &str,
    ) -> Result<Link, StripeError> {
        let request = CreateBillingPortalSession::new()
            .customer(id("customer", customer)?)
            .return_url(return_url);
        link(&self.write(&request, key).await?)
    }
}
