//! Whose customer of Stripe's somebody is: one for each person, found again by our id in its
//! metadata.

use aggregates::id::UserId;
use sha2::{Digest, Sha256};

use super::stripe;
use crate::accounts;
use crate::app::App;
use crate::clients::stripe::NewCustomer;
use crate::error::{Problem, Result};
use crate::store::hex;

/// The person's customer; made where there is none. Whoever asks at the same time gets the same one:
/// Stripe answers one key with one customer.
pub async fn of(app: &App, user: UserId) -> Result<String> {
    if let Some(known) = known(app, user).await? {
        return Ok(known);
    }
    let state = accounts::state(app, user).await?;
    let (email, name) = (state.email().cloned(), state.name().cloned());
    let customers = stripe(app)?;
    let customer = if let Some(found) = customers.find_customer(user.0, email.as_deref()).await? {
        found
    } else {
        let new = NewCustomer { user: user.0, email: email.as_deref(), name: name.as_deref() };
        // One key has one body at Stripe: who has another name by now is asked for by another.
        let told = format!("{user}\n{email:?}\n{name:?}");
        let key = format!("customer/{user}/{}", hex(&Sha256::digest(told)[..8]));
        customers.create_customer(&new, &key).await?
    };
    sqlx::query(
        "insert into stripe_customers (user_id, customer) values ($1, $2)
         on conflict do nothing",
    )
    .bind(user.0)
    .bind(&customer.id)
    .execute(app.db())
    .await?;
    known(app, user).await?.ok_or_else(|| Problem::failed("the customer was not kept"))
}

/// The same, where there is one.
pub(super) async fn known(app: &App, user: UserId) -> Result<Option<String>> {
    let customer = sqlx::query_scalar("select customer from stripe_customers where user_id = $1");
    Ok(customer.bind(user.0).fetch_optional(app.db()).await?)
}
