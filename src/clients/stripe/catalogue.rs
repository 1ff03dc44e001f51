//! What is on sale, as Stripe has it: products and their prices.

use serde_json::Value;
use stripe_product::price::{
    CreatePrice, CreatePriceRecurring, CreatePriceRecurringInterval, ListPrice, UpdatePrice,
};
use stripe_product::product::{CreateProduct, UpdateProduct};
use stripe_types::Currency;

use super::error::StripeError;
use super::fields::Fields;
use super::send::{PAGE, id};
use super::words::words;
use super::{Metadata, Stripe, written};

/// A thing on sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Its id, which may be one of ours.
    pub id: String,
    /// What people read on invoices.
    pub name: String,
    /// Whether it can be sold.
    pub active: bool,
    /// What we wrote on it.
    pub metadata: Metadata,
    /// Whether money moves.
    pub livemode: bool,
}

/// What a product is made of.
#[derive(Clone, Debug)]
pub struct NewProduct<'a> {
    /// Its id: with one of ours, a second product cannot be made for a thing, however late.
    /// Refused as `resource_already_exists`.
    pub id: &'a str,
    /// What people read on invoices.
    pub name: &'a str,
    /// What people read at checkout.
    pub description: Option<&'a str>,
    /// What we write on it.
    pub metadata: Metadata,
}

/// What changes in a product. What is None stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ProductChanges<'a> {
    /// What people read on invoices.
    pub name: Option<&'a str>,
    /// What people read at checkout.
    pub description: Option<&'a str>,
    /// Whether it can be sold.
    pub active: Option<bool>,
}

/// What a thing costs. Its amount never changes: another amount is another price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// `price_…`.
    pub id: String,
    /// Of which product.
    pub product: String,
    /// Whether it can be bought for.
    pub active: bool,
    /// In small letters, as Stripe writes it.
    pub currency: String,
    /// In the currency's smallest unit. None where the amount is reckoned by tiers or parts of it.
    pub unit_amount: Option<i64>,
    /// How often it is paid; None for once.
    pub cadence: Option<Cadence>,
    /// What it can be found by.
    pub lookup_key: Option<String>,
    /// What we wrote on it.
    pub metadata: Metadata,
    /// Whether money moves.
    pub livemode: bool,
}

/// What a price is made of.
#[derive(Clone, Debug)]
pub struct NewPrice<'a> {
    /// Of which product.
    pub product: &'a str,
    /// Three letters.
    pub currency: &'a str,
    /// In the currency's smallest unit.
    pub unit_amount: i64,
    /// How often it is paid; None for once.
    pub cadence: Option<Cadence>,
    /// What it can be found by. The price that had the key before loses it.
    pub lookup_key: &'a str,
    /// What we write on it.
    pub metadata: Metadata,
}

/// How often something is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// Of what.
    pub interval: Interval,
    /// How many of them.
    pub count: i64,
}

words! {
    /// A length of time.
    Interval {
        /// A day.
        Day = "day",
        /// A week.
        Week = "week",
        /// A month.
        Month = "month",
        /// A year.
        Year = "year",
    }
}

impl Product {
    fn read(answer: &Value) -> Result<Self, StripeError> {
        let fields = Fields::of(answer)?;
        Ok(Self {
            id: fields.id()?,
            name: fields.required("name")?,
            active: fields.required("active")?,
            metadata: fields.metadata()?,
            livemode: fields.required("livemode")?,
        })
    }
}

impl Price {
    fn read(answer: &Value) -> Result<Self, StripeError> {
        let fields = Fields::of(answer)?;
        let cadence = fields.maybe_object("recurring")?.map(|recurring| {
            let count = recurring.required("interval_count")?;
            Ok(Cadence { interval: recurring.required("interval")?, count })
        });
        Ok(Self {
            id: fields.id()?,
            product: fields.reference("product")?,
            active: fields.required("active")?,
            currency: fields.required("currency")?,
            unit_amount: fields.optional("unit_amount")?,
            cadence: cadence.transpose()?,
            lookup_key: fields.optional("lookup_key")?,
            metadata: fields.metadata()?,
            livemode: fields.required("livemode")?,
        })
    }
}

impl Cadence {
    fn recurring(&self) -> Result<CreatePriceRecurring, StripeError> {
        let interval = match self.interval {
            Interval::Day => CreatePriceRecurringInterval::Day,
            Interval::Week => CreatePriceRecurringInterval::Week,
            Interval::Month => CreatePriceRecurringInterval::Month,
            Interval::Year => CreatePriceRecurringInterval::Year,
            Interval::Unknown(_) => return Err(StripeError::param("recurring[interval]")),
        };
        let count = u64::try_from(self.count).ok().filter(|count| *count > 0);
        let count = count.ok_or_else(|| StripeError::param("recurring[interval_count]"))?;
        let mut recurring = CreatePriceRecurring::new(interval);
        recurring.interval_count = Some(count);
        Ok(recurring)
    }
}

/// A currency, as Stripe writes it.
pub(super) fn currency(code: &str) -> Result<Currency, StripeError> {
    let letters = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    let known: Result<Currency, _> = code.to_ascii_lowercase().parse();
    known.ok().filter(|_| letters).ok_or_else(|| StripeError::param("currency"))
}

impl Stripe {
    /// Puts a thing on sale.
    pub async fn create_product(
        &self,
        product: &NewProduct<'_>,
        key: &str,
    ) -> Result<Product, StripeError> {
        let mut request = CreateProduct::new(product.name).id(id("id", product.id)?);
        if let Some(metadata) = written(&product.metadata) {
            request = request.metadata(metadata);
        }
        if let Some(description) = product.description {
            request = request.description(description);
        }
        Product::read(&self.write(&request, key).await?)
    }

    /// Changes a thing on sale, or takes it off.
    pub async fn update_product(
        &self,
        product: &str,
        changes: &ProductChanges<'_>,
        key: &str,
    ) -> Result<Product, StripeError> {
        let mut request = UpdateProduct::new(id("product", product)?);
        if let Some(name) = changes.name {
            request = request.name(name);
        }
        if let Some(description) = changes.description {
            request = request.description(description);
        }
        if let Some(active) = changes.active {
            request = request.active(active);
        }
        Product::read(&self.write(&request, key).await?)
    }

    /// Makes a price, which takes its lookup key from whichever had it.
    pub async fn create_price(
        &self,
        price: &NewPrice<'_>,
        key: &str,
    ) -> Result<Price, StripeError> {
        let mut request = CreatePrice::new(currency(price.currency)?)
            .product(id("product", price.product)?)
            .unit_amount(price.unit_amount)
            .lookup_key(price.lookup_key)
            .transfer_lookup_key(true);
        if let Some(metadata) = written(&price.metadata) {
            request = request.metadata(metadata);
        }
        if let Some(cadence) = &price.cadence {
            request = request.recurring(cadence.recurring()?);
        }
        Price::read(&self.write(&request, key).await?)
    }

    /// Sells nothing more for this price. Who pays it already goes on paying it.
    pub async fn archive_price(&self, price: &str, key: &str) -> Result<Price, StripeError> {
        let request = UpdatePrice::new(id("price", price)?).active(false);
        Price::read(&self.write(&request, key).await?)
    }

    /// All prices, of one product or of all, those that are archived too.
    pub async fn list_prices(&self, product: Option<&str>) -> Result<Vec<Price>, StripeError> {
        let page = |after: Option<String>| {
            let mut list = ListPrice::new().limit(PAGE);
            if let Some(product) = product {
                list = list.product(product);
            }
            if let Some(after) = after {
                list = list.starting_after(after);
            }
            list
        };
        self.all(page).await?.iter().map(Price::read).collect()
    }

    /// The price that has this lookup key.
    pub async fn find_price(&self, lookup_key: &str) -> Result<Option<Price>, StripeError> {
        let list = ListPrice::new().lookup_keys(vec![lookup_key.to_owned()]).limit(1_i64);
        let answer = self.read(&list).await?;
        let found = answer.get("data").and_then(Value::as_array);
        let found = found.ok_or_else(|| StripeError::unusable("data"))?;
        found.first().map(Price::read).transpose()
    }
}
