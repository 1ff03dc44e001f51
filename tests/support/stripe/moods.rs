//! How cards, refunds and unpaid subscriptions behave.

use std::collections::HashMap;

use super::StripeDouble;
use super::world::World;

/// What a bank says to a payment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    #[default]
    Pays,
    /// Says no, with a decline code such as `insufficient_funds`.
    Declines(&'static str),
    /// Wants the person to confirm (3-D Secure).
    Authenticates,
    /// Says yes or no some days later.
    Processes,
}

/// What becomes of a subscription when the last attempt to collect has failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterDunning {
    #[default]
    Cancel,
    Unpaid,
    PastDue,
}

#[derive(Default)]
pub struct Moods {
    /// By payment method.
    cards: HashMap<String, Mood>,
    pub refunds_wait: bool,
    pub after_dunning: AfterDunning,
}

impl World {
    pub fn mood_of(&self, method: Option<&str>) -> Mood {
        let known = |method: &str| self.moods.cards.get(method).copied().unwrap_or_default();
        method.map_or(Mood::Declines("card_declined"), known)
    }
}

impl StripeDouble {
    /// How a payment method takes payments from now on.
    pub fn card_is(&self, method: &str, mood: Mood) {
        self.world().moods.cards.insert(method.to_owned(), mood);
    }

    /// How all payment methods of a customer take payments from now on.
    pub fn cards_of(&self, customer: &str, mood: Mood) {
        let mut world = self.world();
        for method in world.with("payment_method", "customer", customer) {
            let id = super::world::text(&method["id"]).to_owned();
            world.moods.cards.insert(id, mood);
        }
    }

    /// Refunds from now on are pending until they are settled, or are made at once.
    pub fn refunds_wait(&self, wait: bool) {
        self.world().moods.refunds_wait = wait;
    }

    /// What becomes of subscriptions whose renewal nobody paid.
    pub fn after_dunning(&self, then: AfterDunning) {
        self.world().moods.after_dunning = then;
    }
}
