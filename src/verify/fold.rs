//! Following the log: each wallet's books and its aggregate side by side, each person's account,
//! and what the read models must say at the position that they have reached.

use std::collections::HashMap;

use aggregates::id::UserId;
use aggregates::user::UserEvent;
use aggregates::wallet::{Wallet, WalletEvent};
use foldhash::fast::RandomState;
use serde_json::Value;
use uuid::Uuid;

use super::book::{Book, Fault, HoldState, Line};
use super::chats::Chats;
use super::events::{Fact, Record, Shard, Unread};
use super::facts::{Claim, Figures, UserFact, WalletFact};
use super::people::{self, Person, Told, UserTrail};
use super::report::{Kind, Report};
use super::snapshots::Snapshots;
use super::trade::Trades;
use super::usage::Usage;
use super::{Checkpoints, Subject};
use crate::store::{Codec, hex, place};

/// A wallet as it was when `balances` last wrote it, where the log has gone on since.
#[derive(Debug, Default)]
pub(super) struct Behind {
    pub(super) balance: Claim,
    pub(super) sequence: i64,
    pub(super) position: i64,
    /// Remaining and held of each grant.
    pub(super) grants: HashMap<Uuid, (i64, i64)>,
    /// Holds that have changed since; none, when it was not there.
    pub(super) holds: HashMap<Uuid, Option<(HoldState, Figures)>>,
}

/// What the credit history must have of an event.
pub(super) enum Expected<'a> {
    /// Nobody can say: the wallet's books are lost.
    Unknown,
    /// No row.
    Nothing,
    /// This row, of this wallet.
    Row(Uuid, Line<'a>),
}

/// What the log says of a wallet.
#[derive(Default)]
pub(super) struct WalletTrail {
    pub(super) book: Book,
    pub(super) behind: Option<Box<Behind>>,
    /// Up to what `usage` has seen.
    pub(super) usage: Usage,
    replayed: Wallet,
    /// The event of whose state there is a snapshot.
    snapshot: Option<i64>,
}

/// The log as far as it was followed.
pub(super) struct Fold {
    subject: Subject,
    codec: Codec,
    pub(super) checkpoints: Checkpoints,
    snapshots: Snapshots,
    pub(super) wallets: HashMap<Uuid, WalletTrail, RandomState>,
    pub(super) users: HashMap<Uuid, UserTrail>,
    pub(super) persons: HashMap<Uuid, Person>,
    pub(super) trades: Trades,
    pub(super) chats: Chats,
}

impl Fold {
    pub(super) fn new(
        subject: Subject,
        codec: Codec,
        checkpoints: Checkpoints,
        snapshots: Snapshots,
    ) -> Self {
        Self {
            subject,
            codec,
            checkpoints,
            snapshots,
            wallets: HashMap::default(),
            users: HashMap::new(),
            persons: HashMap::new(),
            trades: Trades::up_to(checkpoints.billing),
            chats: Chats::up_to(checkpoints.chats),
        }
    }

    /// Follows an event; says what the credit history must have of it.
    pub(super) async fn follow<'a>(
        &mut self,
        record: Record<'a>,
        report: &mut Report,
    ) -> Expected<'a> {
        let Record { position, sequence, command_id, tampered, asked_by, fact, .. } = record;
        if let Some(hashes) = tampered {
            let [computed, stored] = *hashes;
            let (place, rule) =
                (format_args!("position {position}"), "an event is what was hashed");
            report.find(Kind::Leaf, place, rule, hex(&computed), hex(&stored));
        }
        match fact {
            Fact::Wallet(id, Ok(both)) => {
                check_spender(position, &both.0, asked_by, report);
                self.wallet(id, (position, sequence, command_id), *both, report)
            }
            Fact::Wallet(id, Err(unread)) => {
                self.wallets.entry(id).or_default().book.lost = true;
                find_unread(position, &unread, report);
                Expected::Unknown
            }
            Fact::User(id, Ok((fact, payload))) => {
                self.user(id, (position, sequence), fact, payload, report).await;
                Expected::Nothing
            }
            Fact::User(_, Err(unread)) => {
                find_unread(position, &unread, report);
                Expected::Unknown
            }
            Fact::Trade(deal) => {
                self.trades.follow(&deal, (position, sequence), report);
                Expected::Nothing
            }
            Fact::Chat(deal) => {
                self.chats.follow(&deal, (position, sequence), report);
                Expected::Nothing
            }
            Fact::Stranger(stream) => {
                let place = format_args!("position {position}");
                report.find(
                    Kind::Unknown,
                    place,
                    "a stream is of a known kind",
                    "one of them",
                    stream,
                );
                Expected::Unknown
            }
        }
    }

    fn wallet<'a>(
        &mut self,
        id: Uuid,
        (position, sequence, command): (i64, i64, Uuid),
        (fact, event): (WalletFact<'a>, WalletEvent),
        report: &mut Report,
    ) -> Expected<'a> {
        let trail = self.wallets.entry(id).or_insert_with(|| {
            let snapshot = self.snapshots.sequence_of_wallet(id);
            WalletTrail { snapshot, ..WalletTrail::default() }
        });
        check_sequence(&mut trail.book.sequence, sequence, "wallet", id, report);
        if trail.book.lost {
            return Expected::Unknown;
        }
        if position > self.checkpoints.balances {
            trail.remember(fact.hold());
        }
        if position <= self.checkpoints.usage {
            trail.usage.follow(&fact);
        }
        trail.book.position = position;
        (self.subject.wallet)(&mut trail.replayed, event);
        if trail.snapshot == Some(sequence)
            && let Some(snapshot) = self.snapshots.take_wallet(id)
        {
            snapshot.compare(&trail.replayed, report);
        }
        match trail.book.follow(command, position, fact) {
            Ok(Some(line)) => Expected::Row(id, line),
            Ok(None) => Expected::Nothing,
            Err(fault) => {
                trail.book.lost = true;
                report.abandoned += 1;
                find_fault(format_args!("position {position}"), fault, report);
                Expected::Unknown
            }
        }
    }

    async fn user(
        &mut self,
        id: Uuid,
        (position, sequence): (i64, i64),
        fact: UserFact,
        payload: &str,
        report: &mut Report,
    ) {
        let trail = self.users.entry(id).or_default();
        check_sequence(&mut trail.sequence, sequence, "user", id, report);
        let opened = open(&self.codec, id, sequence, payload).await;
        let (clear, event) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let place = format_args!("position {position}");
                report.find(Kind::Unreadable, place, "personal data decrypts", "clear text", error);
                return;
            }
        };
        (self.subject.user)(&mut trail.replayed, event);
        if let Some(snapshot) = self.snapshots.take_user(id, sequence) {
            snapshot.compare_user(&self.codec, &trail.replayed, report).await;
        }
        let told = Told::of(&clear);
        trail.follow(&fact, &told, report, id);
        if position <= self.checkpoints.users {
            people::follow(&mut self.persons, id, fact, told);
        }
    }

    /// What is to follow a shard, with its snapshots.
    pub(super) fn split(&mut self, shard: Shard) -> Self {
        let snapshots = self.snapshots.split(shard);
        Self::new(self.subject, self.codec.clone(), self.checkpoints, snapshots)
    }

    /// Takes over what another shard has followed.
    pub(super) fn join(&mut self, other: Self) {
        self.snapshots.join(other.snapshots);
        self.wallets.extend(other.wallets);
        self.users.extend(other.users);
        self.persons.extend(other.persons);
        self.trades.join(other.trades);
        self.chats.join(other.chats);
    }

    /// The log is at its end: books are closed, and the aggregates must have arrived where they
    /// are.
    pub(super) fn close(&mut self, report: &mut Report) {
        report.wallets = self.wallets.len() as u64;
        for (id, trail) in &mut self.wallets {
            if trail.book.lost {
                continue;
            }
            if let Err(fault) = trail.book.settle() {
                find_fault(format_args!("wallet {id}, at its end"), fault, report);
            }
            trail.book.count_into(&mut report.credits);
            let (books, replayed) = (trail.book.state(), state_of(&trail.replayed));
            if let Some((field, expected, found)) = first_difference("", &books, &replayed) {
                let place = format_args!("wallet {id}{field}");
                report.find(
                    Kind::Replay,
                    place,
                    "replay arrives where the books do",
                    expected,
                    found,
                );
            }
        }
        for (id, trail) in &self.users {
            trail.compare(*id, report);
        }
        self.trades.close(&self.wallets, report);
        self.chats.close(&self.wallets, report);
        self.snapshots.find_left(report);
    }
}

impl WalletTrail {
    /// Keeps what the wallet was, before an event that `balances` has not seen.
    fn remember(&mut self, hold: Option<Uuid>) {
        let Self { book, behind, .. } = self;
        let behind = behind.get_or_insert_with(|| {
            let grants = book
                .grants
                .iter()
                .map(|grant| (grant.terms.id, (grant.parts.remaining, grant.parts.held)));
            Box::new(Behind {
                balance: book.balance(),
                // The event that is at hand is counted already.
                sequence: book.sequence - 1,
                position: book.position,
                grants: grants.collect(),
                holds: HashMap::new(),
            })
        });
        if let Some(id) = hold {
            behind
                .holds
                .entry(id)
                .or_insert_with(|| book.holds.get(&id).map(|hold| (hold.state, hold.figures)));
        }
    }
}

/// The payload in clear, and the event in it.
async fn open(
    codec: &Codec,
    id: Uuid,
    sequence: i64,
    payload: &str,
) -> Result<(Value, UserEvent), Box<dyn std::error::Error + Send + Sync>> {
    let mut clear: Value = serde_json::from_str(payload)?;
    codec.open(UserId(id), &place("user", &id.to_string(), sequence), &mut clear).await?;
    let event = serde_json::from_value(clear.clone())?;
    Ok((clear, event))
}

/// What a key spends counts against its limits: the event must name the key that asked.
fn check_spender(
    position: i64,
    fact: &WalletFact<'_>,
    asked_by: Option<Uuid>,
    report: &mut Report,
) {
    let (WalletFact::Debited { key, .. } | WalletFact::HoldAuthorized { key, .. }) = fact else {
        return;
    };
    if *key != asked_by {
        let place = format_args!("position {position}");
        let rule = "a spend is counted against the key that asked";
        report.find(Kind::Domain, place, rule, told(asked_by), told(*key));
    }
}

fn told(key: Option<Uuid>) -> String {
    key.map_or_else(|| "no key".to_owned(), |key| key.to_string())
}

fn check_sequence(at: &mut i64, found: i64, kind: &str, id: Uuid, report: &mut Report) {
    if found != *at + 1 {
        let place = format_args!("{kind} {id}");
        report.find(Kind::Sequence, place, "a stream has no holes", *at + 1, found);
    }
    *at = found;
}

fn find_unread(position: i64, unread: &Unread, report: &mut Report) {
    let place = format_args!("position {position}");
    match unread {
        Unread::Unknown(name) => {
            report.find(Kind::Unknown, place, "an event is of a known kind", "a kind", name);
        }
        Unread::Malformed(why) => {
            report.find(Kind::Unreadable, place, "an event has its shape", "that shape", why);
        }
    }
}

fn find_fault(place: std::fmt::Arguments<'_>, fault: Fault, report: &mut Report) {
    report.find(Kind::Domain, place, fault.rule, fault.expected, fault.found);
}

/// The aggregate's state as the books tell theirs: what a hold has of a grant and is nothing is
/// left out.
pub(super) fn state_of(wallet: &Wallet) -> Value {
    let mut state = serde_json::to_value(wallet).unwrap_or_default();
    let holds = state.get_mut("holds").and_then(Value::as_object_mut);
    for hold in holds.into_iter().flat_map(|holds| holds.values_mut()) {
        if let Some(Value::Object(allocations)) = hold.get_mut("allocations") {
            allocations.retain(|_, open| *open != 0);
        }
    }
    state
}

/// Where two values differ first, and how.
pub(super) fn first_difference(
    path: &str,
    expected: &Value,
    found: &Value,
) -> Option<(String, String, String)> {
    if expected == found {
        return None;
    }
    if let (Value::Object(left), Value::Object(right)) = (expected, found) {
        let mut names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
        let null = Value::Null;
        return names.find_map(|name| {
            let (left, right) = (left.get(name), right.get(name));
            let path = format!("{path}/{name}");
            first_difference(&path, left.unwrap_or(&null), right.unwrap_or(&null))
        });
    }
    Some((path.to_owned(), expected.to_string(), found.to_string()))
}
