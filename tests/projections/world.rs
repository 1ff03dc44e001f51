//! People and their wallets who live a random life, and the log that has it. The domain decides
//! what happens; only what is asked is random.

use std::collections::{BTreeMap, BTreeSet};

use aggregates::credits::Credits;
use aggregates::id::{
    ApiKeyId, DebitId, GrantId, HoldId, IdentityId, ReversalGroup, SessionId, UserId,
};
use aggregates::user::{
    self, EndReason, Provider, Role, Scope, SignIn, User, UserCommand, UserEvent,
};
use aggregates::wallet::{
    Ask, By, Funding, GrantKind, GrantTerms, Origin, Price, Priority, Spend, Usage, Wallet,
    WalletCommand, WalletEvent,
};
use chrono::{DateTime, TimeDelta, Utc};
use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use saldo::clock;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

/// An event before the log has it.
pub(crate) struct Line {
    pub(crate) aggregate_type: &'static str,
    pub(crate) aggregate_id: Uuid,
    pub(crate) sequence: i64,
    pub(crate) event_type: String,
    pub(crate) payload: Value,
}

impl Line {
    pub(crate) fn of<A: Aggregate>(aggregate_id: Uuid, sequence: i64, event: &A::Event) -> Self {
        let (event_type, payload) = (event.event_type(), serde_json::to_value(event).unwrap());
        Self { aggregate_type: A::TYPE, aggregate_id, sequence, event_type, payload }
    }
}

/// Appends the lines in their order, as one unit, with the function that the server uses; answers
/// where the log ends now.
pub(crate) async fn append(pool: &PgPool, lines: &[Line]) -> i64 {
    let column = |of: fn(&Line) -> String| lines.iter().map(of).collect::<Vec<String>>();
    let types = column(|line| line.aggregate_type.into());
    let ids = column(|line| line.aggregate_id.to_string());
    let mut streams: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for ((kind, id), line) in types.iter().zip(&ids).zip(lines) {
        streams.entry((kind, id)).or_insert(line.sequence - 1);
    }
    let (last, refused): (i64, Option<Vec<i32>>) = sqlx::query_as(
        "select last_position, coalesce(duplicates, conflicts, claimed, spent)
         from append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16,
             null, null)",
    )
    .bind(vec![0_i32; streams.len()])
    .bind(streams.keys().map(|(kind, _)| *kind).collect::<Vec<_>>())
    .bind(streams.keys().map(|(_, id)| *id).collect::<Vec<_>>())
    .bind(streams.values().copied().collect::<Vec<_>>())
    .bind(vec![false; streams.len()])
    .bind(vec![0_i32; lines.len()])
    .bind(&types)
    .bind(&ids)
    .bind(lines.iter().map(|line| line.sequence).collect::<Vec<_>>())
    .bind(column(|line| line.event_type.clone()))
    .bind(vec!["1"; lines.len()])
    .bind(column(|line| line.payload.to_string()))
    .bind(column(|line| {
        json!({ "request_id": format!("request-{}", line.sequence), "later": 1 }).to_string()
    }))
    .bind(lines.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(vec![0_i16; lines.len()])
    .bind(vec![vec![0_u8; 32]; lines.len()])
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(refused, None);
    last
}

/// Numbers that look random and are the same every time.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn credits(&mut self, most: u32) -> Credits {
        let amount = u32::try_from(self.below(most.into())).unwrap();
        Credits::new(1 + amount)
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    /// One of a few, so that ids are met again.
    fn id<T: From<Uuid>>(&mut self, few: u64) -> T {
        Uuid::from_u128(u128::from(1 + self.below(few))).into()
    }
}

/// People and their wallets.
pub(crate) struct World {
    random: Random,
    people: Vec<Person>,
    now: DateTime<Utc>,
    /// What has happened of what can, by name.
    pub(crate) seen: BTreeSet<String>,
}

/// A person, with what a server knows from the log when it asks.
#[derive(Default)]
struct Person {
    id: Uuid,
    user: User,
    user_sequence: i64,
    wallet: Wallet,
    wallet_sequence: i64,
    spent: BTreeMap<DebitId, Vec<(GrantId, Credits)>>,
    /// By which key each hold was opened.
    keys: BTreeMap<HoldId, Option<ApiKeyId>>,
    expired: Vec<(HoldId, Option<ApiKeyId>, Credits)>,
}

impl World {
    pub(crate) fn new(seed: u64, people: usize) -> Self {
        let person = || Person { id: Uuid::now_v7(), ..Person::default() };
        // In whole microseconds, as Postgres and the server's clock have it.
        let now = DateTime::from_timestamp(clock::now().timestamp() - 900, 0).unwrap();
        let people = std::iter::repeat_with(person).take(people).collect();
        Self { random: Random(seed), people, now, seen: BTreeSet::new() }
    }

    pub(crate) fn wallets(&self) -> Vec<Uuid> {
        self.people.iter().map(|person| person.id).collect()
    }

    /// At least so many events.
    pub(crate) async fn live(&mut self, events: usize) -> Vec<Line> {
        let mut lines = vec![];
        while lines.len() < events {
            let count = u64::try_from(self.people.len()).unwrap();
            let index = usize::try_from(self.random.below(count)).unwrap();
            let milliseconds = i64::try_from(self.random.below(200)).unwrap();
            self.now += TimeDelta::milliseconds(milliseconds);
            let happened = self.people[index].happen(&mut self.random, self.now).await;
            self.seen.extend(happened.iter().map(|line| line.event_type.clone()));
            lines.extend(happened);
        }
        lines
    }
}

impl Person {
    async fn happen(&mut self, random: &mut Random, now: DateTime<Utc>) -> Vec<Line> {
        if self.user_sequence == 0 {
            let (email, by) = (format!("{}@example.com", self.id), SignIn::Password);
            let name = random.chance(2).then(|| "Ada".to_owned());
            return self.user(now, user::Ask::Register { email: Some(email), name, by }).await;
        }
        if self.wallet_sequence == 0 {
            return self.wallet(now, Ask::Open { owner: UserId(self.id) }).await;
        }
        if random.chance(20) {
            let ask = self.ask_user(random, now);
            return self.user(now, ask).await;
        }
        let ask = self.ask(random, now);
        self.wallet(now, ask).await
    }

    /// What happens to an account; often in the order in which it must.
    fn ask_user(&self, random: &mut Random, now: DateTime<Utc>) -> user::Ask {
        use user::Ask as A;
        let identity = IdentityId::derive(self.id, &random.below(3).to_string());
        let key = ApiKeyId::derive(self.id, &random.below(3).to_string());
        let session = SessionId::derive(self.id, &random.below(5).to_string());
        match random.below(44) {
            0..8 => A::ChangeProfile {
                name: random.chance(2).then(|| now.to_string()),
                instead_of: None,
            },
            8..16 => {
                A::StartSession { session, by: SignIn::Password, expires_at: now, as_of: None }
            }
            16 => A::VerifyEmail { email: format!("{}@example.org", self.id) },
            17 => A::VerifyPhone { phone: format!("+1555{}", random.below(9_999_999)) },
            18 => A::SetPassword { keep: random.chance(2).then_some(session) },
            19..21 => A::LinkIdentity { identity, provider: Provider::Github },
            21..26 => A::UnlinkIdentity { identity },
            26..28 => A::EndSession { session, why: EndReason::SignedOut },
            28..30 => A::TakeOver { by: SignIn::EmailCode },
            30..32 => A::CreateApiKey { key, name: now.to_string(), scopes: vec![Scope::Ai] },
            32 => A::EndOtherSessions { keep: session },
            33 => A::ChangeRole { role: Role::Admin, reason: None },
            34 => A::ChangeRole { role: Role::User, reason: None },
            35 => A::Deactivate { reason: None },
            36 => A::Deactivate { reason: Some("test".to_owned()) },
            37..39 => A::Reactivate { reason: random.chance(2).then(|| "test".to_owned()) },
            39..43 => A::RevokeApiKey { key },
            // Of few people, who would be gone too soon.
            _ if random.chance(4) => A::Erase,
            _ => A::Reactivate { reason: None },
        }
    }

    async fn user(&mut self, now: DateTime<Utc>, ask: user::Ask) -> Vec<Line> {
        let sink = EventSink::default();
        if self.user.handle(UserCommand { now, ask }, &(), &sink).await.is_err() {
            return vec![];
        }
        let mut line = |event: &UserEvent| {
            self.user_sequence += 1;
            Line::of::<User>(self.id, self.user_sequence, event)
        };
        sink.collect().await.iter().map(&mut line).collect()
    }

    async fn wallet(&mut self, now: DateTime<Utc>, ask: Ask) -> Vec<Line> {
        let sink = EventSink::default();
        // A refusal is what often happens when anything is asked.
        if self.wallet.handle(WalletCommand { now, ask }, &(), &sink).await.is_err() {
            return vec![];
        }
        let mut lines = vec![];
        for event in sink.collect().await {
            self.wallet_sequence += 1;
            lines.push(Line::of::<Wallet>(self.id, self.wallet_sequence, &event));
            match event {
                WalletEvent::Debited { debit, movements, .. } => {
                    let spent = movements.iter().map(|m| (m.grant, m.amount)).collect();
                    self.spent.insert(debit, spent);
                }
                WalletEvent::HoldAuthorized { hold, key, .. } => drop(self.keys.insert(hold, key)),
                WalletEvent::HoldExpired { hold, amount, .. } => {
                    let key = self.keys.get(&hold).copied().flatten();
                    self.expired.push((hold, key, amount));
                }
                _ => {}
            }
        }
        lines
    }

    fn ask(&mut self, random: &mut Random, now: DateTime<Utc>) -> Ask {
        let by = By::person();
        let soon = now + TimeDelta::seconds(i64::try_from(random.below(60)).unwrap());
        let reason = "a reason".to_owned();
        // Debt is soon repaid, or there is nothing to repay it from.
        if !self.wallet.balance(now).debt.is_zero() && random.chance(4) {
            return Ask::WriteOffDebt { amount: random.credits(2), reason };
        }
        // Ids of holds come back, also after their hold has ended.
        match random.below(44) {
            0..=6 => Ask::Grant { grant: terms(random, now), reason },
            7..=13 => {
                let origin = if random.chance(2) { Origin::Gateway } else { Origin::Api };
                let reason = if random.chance(2) { "summarize" } else { "chat" };
                let spend = spend(random, origin, reason.to_owned());
                Ask::Authorize { hold: random.id(6), spend, expires_at: soon }
            }
            14..=15 => {
                let (hold, amount) = (random.id(6), random.credits(50));
                Ask::Increment { hold, by, amount }
            }
            16 => Ask::Extend { hold: random.id(6), by, expires_at: soon },
            17..=20 => {
                let (hold, last) = (random.id(6), random.chance(2));
                let by = if random.chance(2) { Origin::Gateway } else { Origin::Api };
                let by = By { origin: by, key: None };
                Ask::Capture { hold, by, amount: random.credits(100), last, usage: usage(random) }
            }
            21..=22 => Ask::Release { hold: random.id(6), by, reason },
            23..=24 => Ask::ExpireHold { hold: random.id(6) },
            25 => match self.expired.pop() {
                Some((hold, key, expired)) => {
                    let usage = usage(random);
                    Ask::CaptureLate { hold, key, amount: expired, expired, usage }
                }
                None => Ask::ExpireHold { hold: random.id(6) },
            },
            26..=30 => {
                let spend = spend(random, Origin::Api, reason);
                Ask::Debit { debit: DebitId(Uuid::now_v7()), spend }
            }
            31 => match self.spent.pop_last() {
                Some((debit, spent)) => {
                    Ask::ReverseDebit { debit, amount: random.credits(20), spent, reason }
                }
                None => Ask::Unfreeze { reason },
            },
            32..=33 => Self::reversal(random),
            34 => self.void(random, reason),
            35 => Ask::Freeze { reason },
            36..=38 => Ask::Unfreeze { reason },
            _ => {
                let per_day = random.chance(2).then_some(Credits::new(1_000_000));
                Ask::SetSpendLimits { key: None, per_day, per_month: None }
            }
        }
    }

    fn reversal(random: &mut Random) -> Ask {
        let reversed_minor = i64::try_from(random.below(101)).unwrap();
        Ask::SetReversalTarget { group: random.id(3), reversed_minor, paid_minor: 100 }
    }

    fn void(&self, random: &mut Random, reason: String) -> Ask {
        let grants: Vec<GrantId> = self.wallet.grants().map(|(id, _)| id).collect();
        let any = random.below(1 + u64::try_from(grants.len()).unwrap());
        let grant = grants.get(usize::try_from(any).unwrap()).copied().unwrap_or_default();
        Ask::VoidGrant { grant, amount: None, reason }
    }
}

fn spend(random: &mut Random, origin: Origin, reason: String) -> Spend {
    let key = random.chance(3).then(|| random.id(3));
    Spend { by: By { origin, key }, amount: random.credits(200), price: Price::Stated, reason }
}

fn usage(random: &mut Random) -> Option<Usage> {
    let tokens = |random: &mut Random| random.chance(2).then(|| random.below(1_000));
    (!random.chance(3)).then(|| Usage {
        model: if random.chance(2) { "large" } else { "small" }.to_owned(),
        input_tokens: tokens(random),
        output_tokens: tokens(random),
        prices: random.chance(2).then(|| "test-1".to_owned()),
        estimated: random.chance(3),
    })
}

fn terms(random: &mut Random, now: DateTime<Utc>) -> GrantTerms {
    let seconds = i64::try_from(1 + random.below(60)).unwrap();
    let group: ReversalGroup = random.id(3);
    GrantTerms {
        id: GrantId(Uuid::now_v7()),
        kind: if random.chance(2) { GrantKind::Promotional } else { GrantKind::Purchased },
        amount: random.credits(500),
        priority: Priority::try_from(u8::try_from(random.below(3)).unwrap()).unwrap(),
        expires_at: (!random.chance(3)).then(|| now + TimeDelta::seconds(seconds)),
        funding: Funding::Purchase(group.0),
        reversal_group: random.chance(2).then_some(group),
    }
}
