//! Whose customer of Stripe's somebody is: one for each person, found again by our id in its
//! metadata.

use aggregates::id::UserId;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::stripe;
use crate::accounts;
use crate::app::App;
use crate::clients::stripe::{NewCustomer, StripeError};
use crate::error::{Problem, Result};
use crate::queue::{DELETE_CUSTOMER, Job};
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
    let found = customers.find_customer(user.0, email.as_deref()).await?;
    let is_new = found.is_none();
    let customer = if let Some(found) = found {
        found
    } else {
        let new = NewCustomer { user: user.0, email: email.as_deref(), name: name.as_deref() };
        // One key has one body at Stripe, and one answer: who has another name by now is asked for by
        // another, and so is who comes after one that was deleted.
        let gone_at = gone_at(app, user).await?;
        let told = format!("{user}\n{email:?}\n{name:?}\n{gone_at:?}");
        let key = format!("customer/{user}/{}", hex(&Sha256::digest(told)[..8]));
        customers.create_customer(&new, &key).await?
    };
    keep(app, user, &customer.id, is_new).await
}

/// Keeps whose customer it is, and tells which one the person has. Whoever is erased meanwhile has
/// none: the lock is on what their erasure changes, so that either sees the other. Two who keep the same
/// one come one after the other by it, too: of two at once, one would find its customer taken, which no
/// conflict about the person answers. One that was just made beside another is nobody's: it is deleted,
/// and so is one whose person is gone.
async fn keep(app: &App, user: UserId, customer: &str, is_new: bool) -> Result<String> {
    let mut unit = app.db().begin().await?;
    sqlx::query(
        "insert into stripe_customers (user_id, customer)
         select user_id, $2 from person_keys where user_id = $1 and destroyed_at is null
         for no key update
         on conflict (user_id) do update set customer = excluded.customer, gone_at = null
         where stripe_customers.gone_at is not null",
    )
    .bind(user.0)
    .bind(customer)
    .execute(&mut *unit)
    .await?;
    let kept = sqlx::query_scalar("select customer from stripe_customers where user_id = $1");
    let kept: Option<String> = kept.bind(user.0).fetch_optional(&mut *unit).await?;
    if kept.as_ref().is_none_or(|kept| is_new && kept != customer) {
        Job::about(DELETE_CUSTOMER, customer).enqueue(&mut unit).await?;
    }
    unit.commit().await?;
    kept.ok_or_else(Problem::not_found)
}

/// Has Stripe forget a customer whose person was erased.
pub async fn forget(app: &App, customer: &str) -> Result<()> {
    Ok(stripe(app)?.delete_customer(customer).await?)
}

/// The person's customer, where there is one.
pub(super) async fn known(app: &App, user: UserId) -> Result<Option<String>> {
    let customer = sqlx::query_scalar(
        "select customer from stripe_customers where user_id = $1 and gone_at is null",
    );
    Ok(customer.bind(user.0).fetch_optional(app.db()).await?)
}

/// When the person's customer was deleted, where it was.
async fn gone_at(app: &App, user: UserId) -> Result<Option<DateTime<Utc>>> {
    let gone_at = sqlx::query_scalar("select gone_at from stripe_customers where user_id = $1");
    let gone_at: Option<Option<DateTime<Utc>>> =
        gone_at.bind(user.0).fetch_optional(app.db()).await?;
    Ok(gone_at.flatten())
}

/// Looks whether somebody has deleted a customer at Stripe: whoever it was of has another one made when
/// they need it.
pub(super) async fn look(app: &App, customer: &str) -> Result<()> {
    match stripe(app)?.customer(customer).await {
        Err(StripeError::NotFound) => {}
        found => return Ok(found.map(drop)?),
    }
    sqlx::query(
        "update stripe_customers set gone_at = clock_timestamp()
         where customer = $1 and gone_at is null",
    )
    .bind(customer)
    .execute(app.db())
    .await?;
    Ok(())
}

/// Whose customer this is; nobody's of ours, when none.
pub(super) async fn whose(app: &App, customer: &str) -> Result<Option<UserId>> {
    let user: Option<uuid::Uuid> =
        sqlx::query_scalar("select user_id from stripe_customers where customer = $1")
            .bind(customer)
            .fetch_optional(app.db())
            .await?;
    Ok(user.map(UserId))
}
