//! Two wallets to which everything has happened that can happen to a wallet.

use aggregates::credits::Credits;
use aggregates::id::{
    ApiKeyId, CommandId, DebitId, GrantId, HoldId, ReversalGroup, UserId, WalletId,
};
use aggregates::user::{self, User, UserCommand};
use aggregates::wallet::{
    Ask, By, Funding, GrantKind, GrantTerms, Origin, Price, Priority, Spend, Usage, Wallet,
    WalletCommand, WalletEvent,
};
use chrono::{DateTime, TimeDelta, Utc};
use saldo::keys::Keys;
use saldo::store::{Envelope, Metadata, SideRow, Store};
use uuid::Uuid;

use crate::support::{Database, Person};

/// Every kind of event that a wallet can have.
pub const KINDS: [&str; 23] = [
    "Opened",
    "Granted",
    "GrantVoided",
    "GrantExpired",
    "HoldAuthorized",
    "HoldIncremented",
    "HoldExtended",
    "HoldCaptured",
    "HoldReleased",
    "HoldExpired",
    "HoldLateCaptured",
    "Debited",
    "DebitReversed",
    "ReversalTargetSet",
    "ClawedBack",
    "Reinstated",
    "DebtRepaid",
    "DebtWrittenOff",
    "Frozen",
    "Unfrozen",
    "QuotaSuspended",
    "QuotaResumed",
    "SpendLimitSet",
];

/// A wallet, and who talks to it.
struct Life {
    store: Store,
    wallet: WalletId,
    now: DateTime<Utc>,
    next: u128,
}

/// Commands to a wallet past the API, which has no words for some of them.
pub async fn store(database: &Database) -> Store {
    let keys = Keys::in_folder(&database.data).expect("the server has made keys");
    let pool = database.pool().await;
    Store::start(pool, database.options(), keys.wrapping()).await.expect("a store")
}

/// Lets everything happen to both wallets. The first ends at peace; the second ends in the middle
/// of everything: frozen, in debt, with an open hold.
pub async fn live(store: &Store, [first, second]: [&Person; 2]) {
    let mut life = Life::of(store, first);
    life.spend().await;
    life.reverse().await;
    life.ask(Ask::SetReversalTarget { group: life.group(), reversed_minor: 0, paid_minor: 100 })
        .await;
    let mut life = Life::of(store, second);
    life.spend().await;
    life.hold_that_grows().await;
    life.reverse().await;
    life.ask(Ask::SuspendQuota).await;
    life.ask(Ask::Freeze { reason: "an early fraud warning".to_owned() }).await;
}

/// Lets one wallet spend again and again, all at once.
pub async fn spend_often(store: &Store, person: &Person, times: u32) {
    let mut life = Life::of(store, person);
    life.grant(GrantKind::Adjustment, times, None).await;
    let mut spends = tokio::task::JoinSet::new();
    for number in 0..times {
        // Ids of its own for each.
        let next = u128::from(number + 1) << 32;
        let mut life = Life { next, store: store.clone(), ..life };
        spends.spawn(async move { life.debit(1).await });
        if spends.len() == 1_000 {
            spends.join_next().await.expect("a spend").expect("spends");
        }
    }
    spends.join_all().await;
}

/// What was delivered.
fn usage() -> Usage {
    Usage {
        model: "local-1".to_owned(),
        input_tokens: Some(7),
        output_tokens: None,
        prices: None,
        estimated: true,
    }
}

impl Life {
    fn of(store: &Store, person: &Person) -> Self {
        let (store, wallet) = (store.clone(), WalletId(person.id));
        Self { store, wallet, now: saldo::clock::now(), next: 0 }
    }

    /// An id that no other has, and that is the same each time.
    fn id(&mut self) -> Uuid {
        self.next += 1;
        Uuid::new_v5(&self.wallet.0, &self.next.to_be_bytes())
    }

    fn group(&self) -> ReversalGroup {
        ReversalGroup::derive(self.wallet.0, "payment")
    }

    async fn ask(&mut self, ask: Ask) -> Vec<WalletEvent> {
        let actor = Some(format!("api_key/{}", self.key()));
        let metadata = Metadata { actor, ..Metadata::default() };
        let envelope = Envelope::new(CommandId(self.id()), metadata);
        let command = WalletCommand { now: self.now, ask };
        let outcome = self.store.execute::<Wallet>(self.wallet, envelope, command).await;
        outcome.expect("the wallet agrees").events
    }

    async fn grant(&mut self, kind: GrantKind, amount: u32, lasts: Option<TimeDelta>) -> GrantId {
        let id = GrantId(self.id());
        let bought = kind == GrantKind::Purchased;
        let grant = GrantTerms {
            id,
            kind,
            amount: Credits::new(amount),
            priority: Priority::default(),
            expires_at: lasts.map(|lasts| self.now + lasts),
            funding: Funding::Adjustment,
            reversal_group: bought.then(|| self.group()),
        };
        self.ask(Ask::Grant { grant, reason: "a test".to_owned() }).await;
        id
    }

    async fn hold(&mut self, amount: u32) -> HoldId {
        let hold = HoldId(self.id());
        let spend = self.by_key(amount);
        let expires_at = self.now + TimeDelta::minutes(10);
        self.ask(Ask::Authorize { hold, spend, expires_at }).await;
        hold
    }

    /// The API key that spends.
    fn key(&self) -> ApiKeyId {
        ApiKeyId::derive(self.wallet.0, "key")
    }

    fn by(&self) -> By {
        By { origin: Origin::Gateway, key: Some(self.key()) }
    }

    fn by_key(&self, amount: u32) -> Spend {
        Spend {
            by: self.by(),
            amount: Credits::new(amount),
            price: Price::Stated,
            reason: "a test".to_owned(),
        }
    }

    async fn capture(&mut self, hold: HoldId, amount: u32, last: bool) {
        let (by, amount) = (self.by(), Credits::new(amount));
        self.ask(Ask::Capture { hold, by, amount, last, usage: Some(usage()) }).await;
    }

    async fn debit(&mut self, amount: u32) -> (DebitId, Vec<(GrantId, Credits)>) {
        let debit = DebitId(self.id());
        let mut spend = self.by_key(amount);
        spend.by.origin = Origin::Api;
        let events = self.ask(Ask::Debit { debit, spend }).await;
        let moved = events.last().expect("an event").movements();
        (debit, moved.iter().map(|movement| (movement.grant, movement.amount)).collect())
    }

    async fn spend(&mut self) {
        let bought = self.grant(GrantKind::Purchased, 1000, None).await;
        let quota = self.grant(GrantKind::Quota, 50, Some(TimeDelta::hours(1))).await;
        let (per_day, per_month) = (Some(Credits::new(5000)), Some(Credits::new(9000)));
        for key in [None, Some(self.key())] {
            self.ask(Ask::SetSpendLimits { key, per_day, per_month }).await;
        }
        let hold = self.hold_that_grows().await;
        self.capture(hold, 5, true).await;
        let hold = self.hold(20).await;
        let (by, reason) = (self.by(), "nobody came".to_owned());
        self.ask(Ask::Release { hold, by, reason }).await;
        let hold = self.hold(20).await;
        self.now += TimeDelta::minutes(11);
        self.ask(Ask::ExpireHold { hold }).await;
        let (amount, expired) = (Credits::new(5), Credits::new(20));
        let key = Some(self.key());
        let usage = Some(usage());
        self.ask(Ask::CaptureLate { hold, key, amount, expired, usage }).await;
        self.ask(Ask::VoidGrant {
            grant: bought,
            amount: Some(Credits::new(10)),
            reason: "a mistake".to_owned(),
        })
        .await;
        self.now += TimeDelta::hours(1);
        self.ask(Ask::ExpireGrant { grant: quota }).await;
        let (debit, spent) = self.debit(40).await;
        let (amount, reason) = (Credits::new(15), "not delivered".to_owned());
        self.ask(Ask::ReverseDebit { debit, amount, spent, reason }).await;
        self.ask(Ask::Freeze { reason: "a dispute".to_owned() }).await;
        self.ask(Ask::Unfreeze { reason: "it was won".to_owned() }).await;
        self.grant(GrantKind::Quota, 50, None).await;
        self.ask(Ask::SuspendQuota).await;
        self.debit(1).await;
        self.ask(Ask::ResumeQuota).await;
    }

    /// A hold that grows, is kept longer, is captured in part, and stays open.
    async fn hold_that_grows(&mut self) -> HoldId {
        let hold = self.hold(30).await;
        let (by, amount) = (self.by(), Credits::new(5));
        self.ask(Ask::Increment { hold, by, amount }).await;
        self.capture(hold, 10, false).await;
        let expires_at = self.now + TimeDelta::days(1);
        self.ask(Ask::Extend { hold, by, expires_at }).await;
        hold
    }

    /// Spends what was bought, and then has its payment reversed: what is left is taken, what is
    /// owed is paid with what else there is, some of the rest is written off.
    async fn reverse(&mut self) {
        self.debit(900).await;
        self.grant(GrantKind::Adjustment, 30, None).await;
        let group = self.group();
        self.ask(Ask::SetReversalTarget { group, reversed_minor: 100, paid_minor: 100 }).await;
        let (amount, reason) = (Credits::new(10), "goodwill".to_owned());
        self.ask(Ask::WriteOffDebt { amount, reason }).await;
    }
}

/// A person is forgotten: the key of their data goes with the event.
pub async fn erase(store: &Store, user: UserId) {
    let envelope =
        Envelope::once(Metadata::default()).with(SideRow::PersonErased { user_id: user });
    let command = UserCommand { now: saldo::clock::now(), ask: user::Ask::Erase };
    store.execute::<User>(user, envelope, command).await.expect("the person is erased");
}
