//! Packs and plans as their tables show them, and what prices of Stripe's stand for.

use uuid::Uuid;

use super::{Row, Shop};
use crate::verify::offers::{Fact, Listing, PackTerms, PlanTerms};
use crate::verify::purchases::Money;
use crate::verify::rows::Fields;

/// An offer, whichever it is of. Of a plan, the terms come twice: in columns of their own, and whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Offer<T> {
    terms: T,
    /// How often they were set.
    version: i64,
    on_sale: bool,
    listing: Listed,
    created_at: i64,
}

/// As what Stripe lists it, if it does.
#[derive(Debug, Default, PartialEq, Eq)]
struct Listed {
    product: Option<String>,
    price: Option<String>,
    version: Option<i64>,
    active: Option<bool>,
}

pub(super) type Pack = Offer<PackTerms>;
pub(super) type Plan = Offer<[Option<PlanTerms>; 2]>;

/// What a price of Stripe's stands for, whatever the plan becomes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Price {
    plan: Uuid,
    version: i64,
    terms: Option<PlanTerms>,
}

impl Row for Pack {
    type Key = Uuid;
    const TABLE: &str = "packs";
    const QUERY: &str = "select pack_id, name, credits, bonus, amount_minor, currency, \
         lasts_days::int8, version::int8, on_sale, product, price, listed_version::int8, \
         listed_active, created_at from billing.packs";

    fn key(fields: &mut Fields<'_>) -> Option<Uuid> {
        fields.uuid()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let terms = PackTerms {
            name: fields.string()?,
            credits: fields.i64()?,
            bonus: fields.i64()?,
            price: Money { amount_minor: fields.i64()?, currency: fields.string()? },
            lasts_days: fields.opt_i64()?,
        };
        Offer::read_with(terms, fields)
    }
}

impl Row for Plan {
    type Key = Uuid;
    const TABLE: &str = "plans";
    const QUERY: &str = "select plan_id, terms::text, name, tier, quota, amount_minor, currency, \
         pay_interval, rollover, trial_days::int8, version::int8, on_sale, product, price, \
         listed_version::int8, listed_active, created_at from billing.plans";

    fn key(fields: &mut Fields<'_>) -> Option<Uuid> {
        fields.uuid()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let whole = whole(fields)?;
        let terms = PlanTerms {
            name: fields.string()?,
            tier: fields.string()?,
            quota: fields.i64()?,
            price: Money { amount_minor: fields.i64()?, currency: fields.string()? },
            interval: fields.string()?,
            rollover: fields.i64()?,
            trial_days: fields.i64()?,
        };
        Offer::read_with([Some(terms), whole], fields)
    }
}

impl Row for Price {
    type Key = String;
    const TABLE: &str = "prices";
    const QUERY: &str = "select price, plan_id, version::int8, terms::text from billing.prices";

    fn key(fields: &mut Fields<'_>) -> Option<String> {
        fields.string()
    }

    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self { plan: fields.uuid()?, version: fields.i64()?, terms: whole(fields)? })
    }
}

/// Terms as JSON; what is none is nobody's terms.
#[expect(clippy::option_option, reason = "no column, and a column of something else")]
fn whole(fields: &mut Fields<'_>) -> Option<Option<PlanTerms>> {
    fields.text().map(|text| serde_json::from_str(text).ok())
}

impl<T> Offer<T> {
    fn read_with(terms: T, fields: &mut Fields<'_>) -> Option<Self> {
        Some(Self {
            terms,
            version: fields.i64()?,
            on_sale: fields.bool()?,
            listing: Listed {
                product: fields.opt_string()?,
                price: fields.opt_string()?,
                version: fields.opt_i64()?,
                active: fields.opt_bool()?,
            },
            created_at: fields.micros()?,
        })
    }

    fn of(terms: T, created_at: i64) -> Self {
        Self { terms, version: 1, on_sale: true, listing: Listed::default(), created_at }
    }

    fn become_of(&mut self, terms: T) {
        self.terms = terms;
        self.version += 1;
    }

    /// What changes besides the terms.
    fn follow<F>(&mut self, fact: &Fact<F>) {
        match fact {
            Fact::Created { .. } | Fact::Changed { .. } => {}
            Fact::Retired {} => self.on_sale = false,
            Fact::Restored {} => self.on_sale = true,
            Fact::Listed { listing: Listing { product, price, version, active } } => {
                self.listing = Listed {
                    product: Some(product.clone()),
                    price: Some(price.clone()),
                    version: Some(*version),
                    active: Some(*active),
                };
            }
        }
    }
}

impl Shop {
    pub(in crate::verify) fn pack(&mut self, id: Uuid, fact: &Fact<PackTerms>) {
        if let Fact::Created { terms, at } = fact {
            self.packs.insert(id, Offer::of(terms.clone(), at.timestamp_micros()));
            return;
        }
        let Some(pack) = self.packs.get_mut(&id) else { return };
        match fact {
            Fact::Changed { terms } => pack.become_of(terms.clone()),
            other => pack.follow(other),
        }
    }

    pub(in crate::verify) fn plan(&mut self, id: Uuid, fact: &Fact<PlanTerms>) {
        let twice = |terms: &PlanTerms| [Some(terms.clone()), Some(terms.clone())];
        if let Fact::Created { terms, at } = fact {
            self.plans.insert(id, Offer::of(twice(terms), at.timestamp_micros()));
            return;
        }
        let Some(plan) = self.plans.get_mut(&id) else { return };
        match fact {
            Fact::Changed { terms } => plan.become_of(twice(terms)),
            other => plan.follow(other),
        }
        if let Fact::Listed { listing } = fact {
            let [terms, _] = &plan.terms;
            let price = Price { plan: id, version: listing.version, terms: terms.clone() };
            self.prices.entry(listing.price.clone()).or_insert(price);
        }
    }
}
