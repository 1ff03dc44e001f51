//! Snapshots must say what a replay of their stream says at their event (I8).

use std::collections::HashMap;

use aggregates::id::UserId;
use aggregates::user::User;
use aggregates::wallet::Wallet;
use foldhash::fast::RandomState;
use serde_json::Value;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::events::Shard;
use super::fold::first_difference;
use super::report::{Kind, Report};
use crate::store::{Codec, Stored, place};

/// A snapshot that a replay has not reached yet.
pub(super) struct Snapshot {
    id: Uuid,
    sequence: i64,
    state: String,
}

/// Snapshots of the shapes that this version reads, by their streams.
#[derive(Default)]
pub(super) struct Snapshots {
    wallets: HashMap<Uuid, Snapshot, RandomState>,
    users: HashMap<Uuid, Snapshot, RandomState>,
}

impl Snapshots {
    pub(super) async fn read(db: &mut PgConnection) -> sqlx::Result<Self> {
        let rows = sqlx::query(
            "select aggregate_type, aggregate_id::uuid as id, sequence, state from public.snapshots
             where (aggregate_type, shape) in (('wallet', $1), ('user', $2))",
        )
        .bind(Wallet::SHAPE)
        .bind(User::SHAPE)
        .fetch_all(db)
        .await?;
        let mut snapshots = Self::default();
        for row in rows {
            let (kind, id): (&str, Uuid) = (row.try_get("aggregate_type")?, row.try_get("id")?);
            let of = if kind == "wallet" { &mut snapshots.wallets } else { &mut snapshots.users };
            let (sequence, state) = (row.try_get("sequence")?, row.try_get("state")?);
            of.insert(id, Snapshot { id, sequence, state });
        }
        Ok(snapshots)
    }

    /// Those of a shard, which are no longer here then.
    pub(super) fn split(&mut self, shard: Shard) -> Self {
        let split = |of: &mut HashMap<Uuid, Snapshot, RandomState>| {
            of.extract_if(|id, _| shard.has(*id)).collect()
        };
        Self { wallets: split(&mut self.wallets), users: split(&mut self.users) }
    }

    /// Takes over those of another shard.
    pub(super) fn join(&mut self, other: Self) {
        self.wallets.extend(other.wallets);
        self.users.extend(other.users);
    }

    /// The event of whose state a wallet has a snapshot.
    pub(super) fn sequence_of_wallet(&self, id: Uuid) -> Option<i64> {
        self.wallets.get(&id).map(|snapshot| snapshot.sequence)
    }

    pub(super) fn take_wallet(&mut self, id: Uuid) -> Option<Snapshot> {
        self.wallets.remove(&id)
    }

    pub(super) fn take_user(&mut self, id: Uuid, sequence: i64) -> Option<Snapshot> {
        let due = self.users.get(&id).is_some_and(|snapshot| snapshot.sequence == sequence);
        due.then(|| self.users.remove(&id))?
    }

    /// What is left is of events that the log does not have.
    pub(super) fn find_left(&self, report: &mut Report) {
        for snapshot in self.wallets.values().chain(self.users.values()) {
            let found = format_args!("one of event {}", snapshot.sequence);
            report.find(
                Kind::Snapshot,
                snapshot.told(),
                "a snapshot is of an event",
                "none",
                found,
            );
        }
    }
}

impl Snapshot {
    fn told(&self) -> String {
        format!("snapshot of {}", self.id)
    }

    pub(super) fn compare(&self, replayed: &Wallet, report: &mut Report) {
        let state = serde_json::from_str::<Wallet>(&self.state).ok();
        self.compare_values(
            state.map(serde_json::to_value),
            serde_json::to_value(replayed),
            report,
        );
    }

    pub(super) async fn compare_user(&self, codec: &Codec, replayed: &User, report: &mut Report) {
        let state = self.open(codec).await;
        self.compare_values(state.map(Ok), serde_json::to_value(replayed), report);
    }

    /// The state of a person, in clear.
    async fn open(&self, codec: &Codec) -> Option<Value> {
        let mut state = serde_json::from_str(&self.state).ok()?;
        let place = place("snapshot/user", &self.id.to_string(), self.sequence);
        codec.open(UserId(self.id), &place, &mut state).await.ok()?;
        Some(state)
    }

    fn compare_values(
        &self,
        found: Option<serde_json::Result<Value>>,
        expected: serde_json::Result<Value>,
        report: &mut Report,
    ) {
        report.rows += 1;
        let (Some(Ok(found)), Ok(expected)) = (found, expected) else {
            report.find(
                Kind::Snapshot,
                self.told(),
                "a snapshot is readable",
                "a state",
                "something else",
            );
            return;
        };
        if let Some((field, expected, found)) = first_difference("", &expected, &found) {
            let place = format_args!("{}{field}", self.told());
            report.find(
                Kind::Snapshot,
                place,
                "I8: a snapshot is what a replay says",
                expected,
                found,
            );
        }
    }
}
