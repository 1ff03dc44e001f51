//! Customers: one for each person.

use std::collections::HashMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde_json::Value;
use stripe_core::customer::{
    CreateCustomer, DeleteCustomer, ListCustomer, RetrieveCustomer, SearchCustomer, UpdateCustomer,
};
use uuid::Uuid;

use super::error::StripeError;
use super::fields::Fields;
use super::send::{PAGE, id};
use super::{Metadata, Stripe};

/// What our id is called in a customer's metadata.
const USER: &str = "user";

/// A customer. What is personal in it does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Customer {
    /// `cus_…`.
    pub id: String,
    /// Whose it is, by our own metadata.
    pub user: Option<Uuid>,
    /// Where Stripe writes to.
    pub email: Option<String>,
    /// The card that they pay with by default.
    pub card: Option<String>,
    /// What we wrote on it.
    pub metadata: Metadata,
    /// When it was made.
    pub created: DateTime<Utc>,
    /// Whether money moves.
    pub livemode: bool,
}

/// What a customer is made of, or changed to. What is None stays as it is.
#[derive(Clone, Copy)]
pub struct NewCustomer<'a> {
    /// Whose it is.
    pub user: Uuid,
    /// Where Stripe writes to.
    pub email: Option<&'a str>,
    /// The name on invoices.
    pub name: Option<&'a str>,
}

impl NewCustomer<'_> {
    fn metadata(&self) -> HashMap<String, String> {
        HashMap::from([(USER.to_owned(), self.user.to_string())])
    }
}

impl Customer {
    pub(super) fn read(answer: &Value) -> Result<Self, StripeError> {
        let fields = Fields::of(answer)?;
        // What is left of a customer that somebody deleted.
        if fields.optional("deleted")? == Some(true) {
            return Err(StripeError::NotFound);
        }
        let metadata = fields.metadata()?;
        Ok(Self {
            id: fields.id()?,
            user: metadata.get(USER).and_then(|user| user.parse().ok()),
            email: fields.optional("email")?,
            card: match fields.maybe_object("invoice_settings")? {
                Some(settings) => settings.maybe_reference("default_payment_method")?,
                None => None,
            },
            metadata,
            created: fields.required("created")?,
            livemode: fields.required("livemode")?,
        })
    }
}

impl Stripe {
    /// Makes a customer.
    pub async fn create_customer(
        &self,
        customer: &NewCustomer<'_>,
        key: &str,
    ) -> Result<Customer, StripeError> {
        let mut request = CreateCustomer::new().metadata(customer.metadata());
        if let Some(email) = customer.email {
            request = request.email(email);
        }
        if let Some(name) = customer.name {
            request = request.name(name);
        }
        Customer::read(&self.write(&request, key).await?)
    }

    /// Changes a customer, and writes on it whose it is.
    pub async fn update_customer(
        &self,
        customer: &str,
        changes: &NewCustomer<'_>,
        key: &str,
    ) -> Result<Customer, StripeError> {
        let mut request =
            UpdateCustomer::new(id("customer", customer)?).metadata(changes.metadata());
        if let Some(email) = changes.email {
            request = request.email(email);
        }
        if let Some(name) = changes.name {
            request = request.name(name);
        }
        Customer::read(&self.write(&request, key).await?)
    }

    /// Deletes a customer, with all that is personal in it; its subscriptions end at once. One that
    /// is gone already is deleted.
    pub async fn delete_customer(&self, customer: &str) -> Result<(), StripeError> {
        match self.delete(&DeleteCustomer::new(id("customer", customer)?)).await {
            Ok(_) | Err(StripeError::NotFound) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// A customer; `NotFound` when somebody deleted it.
    pub async fn customer(&self, customer: &str) -> Result<Customer, StripeError> {
        Customer::read(&self.read(&RetrieveCustomer::new(id("customer", customer)?)).await?)
    }

    /// The customer that a person has, by what we wrote on it; the oldest of several.
    ///
    /// Stripe's search finds what was made a minute ago, in an outage an hour ago, and in some
    /// countries nothing at all. The list by address has what was made just now: it is read where
    /// the search finds nobody. Who is in neither may still have been made a moment ago without an
    /// address, which is what the key of `create_customer` is for.
    pub async fn find_customer(
        &self,
        user: Uuid,
        email: Option<&str>,
    ) -> Result<Option<Customer>, StripeError> {
        let query = format!("metadata['{USER}']:'{user}'");
        let found = match self.read(&SearchCustomer::new(query).limit(PAGE)).await {
            Ok(answer) => objects(answer)?,
            Err(StripeError::Invalid { .. }) => Vec::new(),
            Err(error) => return Err(error),
        };
        if let Some(customer) = oldest_of(&found, user)? {
            return Ok(Some(customer));
        }
        let Some(email) = email else { return Ok(None) };
        let listed = self.all(|after| page(email, after)).await?;
        oldest_of(&listed, user)
    }
}

fn page(email: &str, after: Option<String>) -> ListCustomer {
    let list = ListCustomer::new().email(email).limit(PAGE);
    match after {
        Some(after) => list.starting_after(after),
        None => list,
    }
}

fn objects(mut answer: Value) -> Result<Vec<Value>, StripeError> {
    match answer.get_mut("data").map(Value::take) {
        Some(Value::Array(data)) => Ok(data),
        _ => Err(StripeError::unusable("data")),
    }
}

fn oldest_of(customers: &[Value], user: Uuid) -> Result<Option<Customer>, StripeError> {
    let mut oldest: Option<Customer> = None;
    for customer in customers {
        let customer = match Customer::read(customer) {
            Err(StripeError::NotFound) => continue,
            customer => customer?,
        };
        let older = oldest.as_ref().is_none_or(|oldest| customer.created < oldest.created);
        if customer.user == Some(user) && older {
            oldest = Some(customer);
        }
    }
    Ok(oldest)
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut customer = f.debug_struct("Customer");
        customer.field("id", &self.id).field("user", &self.user);
        customer.finish_non_exhaustive()
    }
}

impl fmt::Debug for NewCustomer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewCustomer").field("user", &self.user).finish_non_exhaustive()
    }
}
