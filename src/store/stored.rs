//! Which aggregates the store keeps, and where.

use aggregates::catalogue::{Pack, Plan};
use aggregates::chat::Chat;
use aggregates::event::Event;
use aggregates::purchase::Purchase;
use aggregates::recharge::Recharge;
use aggregates::subscription::Subscription;
use aggregates::user::User;
use aggregates::wallet::Wallet;
use cqrs_es::Aggregate;

use super::{Lane, Store};

/// An aggregate that the store keeps.
pub trait Stored:
    Aggregate<
        Services = (),
        Command: Clone + Send + Sync,
        Event: Into<Event>,
        Error: Send + Sync + 'static,
    > + 'static
{
    /// The version of the state's shape; a snapshot of another shape is ignored.
    const SHAPE: i32;
    /// After how many events a new snapshot is written.
    const SNAPSHOT_EVERY: i64 = 200;

    /// Commands that are decided back to back and appended as one unit: enough to amortise the round
    /// trip of a hot wallet.
    const COMMANDS_PER_UNIT: usize = 256;

    /// Where this process keeps its aggregates of this kind.
    fn lane(store: &Store) -> &Lane<Self>;
}

impl Stored for Wallet {
    const SHAPE: i32 = 3;

    fn lane(store: &Store) -> &Lane<Self> {
        &store.0.lanes.wallets
    }
}

impl Stored for User {
    const SHAPE: i32 = 3;
    /// The rows beside the log of a unit are written by kind; those of one command undo what those
    /// of another do, and want the commands' order.
    const COMMANDS_PER_UNIT: usize = 1;

    fn lane(store: &Store) -> &Lane<Self> {
        &store.0.lanes.users
    }
}

impl Stored for Purchase {
    const SHAPE: i32 = 2;

    fn lane(store: &Store) -> &Lane<Self> {
        &store.0.lanes.purchases
    }
}

impl Stored for Subscription {
    const SHAPE: i32 = 1;

    fn lane(store: &Store) -> &Lane<Self> {
        &store.0.lanes.subscriptions
    }
}

impl Stored for Pack {
    const SHAPE: i32 = 1;

    fn lane(store: &Store) -> &Lane<Self> {
        &store.0.lanes.packs
    }
}

impl Stored for Plan {
    const SHAPE: i32 = 1;

    fn lane(store: &Store) -> &Lane<Self> {
        &store.0.lanes.plans
    }
}

impl Stored for Recharge {
    const SHAPE: i32 = 1;

    fn lane(store: &Store) -> &Lane<Self> {
        &store.0.lanes.recharges
    }
}

impl Stored for Chat {
    const SHAPE: i32 = 2;
    /// An allowance that is used up refuses the whole unit: one command must not answer for another.
    const COMMANDS_PER_UNIT: usize = 1;

    fn lane(store: &Store) -> &Lane<Self> {
        &store.0.lanes.chats
    }
}

/// The aggregates that this process keeps, by kind.
#[derive(Default)]
pub(super) struct Lanes {
    wallets: Lane<Wallet>,
    users: Lane<User>,
    purchases: Lane<Purchase>,
    subscriptions: Lane<Subscription>,
    packs: Lane<Pack>,
    plans: Lane<Plan>,
    recharges: Lane<Recharge>,
    chats: Lane<Chat>,
}
