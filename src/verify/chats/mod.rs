//! Chats, as the oracle follows them: by the rules, against what was captured for their replies, and
//! against what their tables and the rows beside the log must say.

mod facts;
mod tables;
mod texts;
mod trail;

use std::collections::HashMap;
use std::hash::BuildHasher;

use aggregates::event::Event;
use sqlx::PgConnection;
use uuid::Uuid;

use super::VerifyError;
use super::fold::{Fold, WalletTrail};
use super::report::{Kind, Report};
use super::trade::{self, Deal};

use facts::Fact;
use tables::Tables;
use trail::Trail;

/// All chats, by their ids.
#[derive(Debug, Default)]
pub(super) struct Chats {
    trails: HashMap<Uuid, Trail>,
    /// How far the read model has come, and what it must say there.
    reached: i64,
    tables: Tables,
}

impl Chats {
    /// Nothing yet; the read model has come up to this position.
    pub(super) fn up_to(reached: i64) -> Self {
        Self { reached, ..Self::default() }
    }

    /// Takes over what another shard has followed.
    pub(super) fn join(&mut self, other: Self) {
        self.trails.extend(other.trails);
        self.tables.join(other.tables);
    }

    /// Enters an event, as the oracle reads it; the aggregate must be able to read it, too.
    pub(super) fn follow(
        &mut self,
        deal: &Deal<'_>,
        (position, sequence): (i64, i64),
        report: &mut Report,
    ) {
        let Deal { kind, id, event_type, version, payload } = *deal;
        let place = format_args!("position {position}");
        let readable = Event::decode_text(kind, event_type, version, payload);
        let fact = readable
            .map_err(|error| error.to_string())
            .and_then(|_| trade::read(payload, event_type, Fact::name));
        let trail = self.trails.entry(id).or_default();
        if sequence != trail.sequence + 1 {
            let expected = trail.sequence + 1;
            report.find(Kind::Sequence, place, "a stream has no holes", expected, sequence);
        }
        trail.sequence = sequence;
        let fact: Fact = match fact {
            Ok(fact) => fact,
            Err(why) => {
                let rule = "an event is what its type says";
                report.find(Kind::Unreadable, place, rule, event_type, why);
                return;
            }
        };
        if let Some(rule) = trail.enter(id, &fact) {
            report.find(Kind::Domain, place, rule, "what follows", event_type);
        }
        if position <= self.reached {
            self.tables.follow(id, position, &fact);
        }
    }

    /// The log is at its end: wallets and chats must agree.
    pub(super) fn close<S: BuildHasher>(
        &self,
        wallets: &HashMap<Uuid, WalletTrail, S>,
        report: &mut Report,
    ) {
        let mut paid_by: HashMap<Uuid, Uuid> = HashMap::new();
        for (chat, trail) in &self.trails {
            let wallet = trail.owner.and_then(|owner| wallets.get(&owner));
            trail.close(*chat, wallet.map(|wallet| &wallet.book), report);
            for (hold, reply) in trail.holds() {
                if let Some(other) = paid_by.insert(hold, reply) {
                    let place = format_args!("chat {chat}, hold {hold}");
                    report.find(Kind::Domain, place, "a hold pays for one reply", other, reply);
                }
            }
        }
    }
}

/// Compares the tables, and what stands beside the log, with the chats.
pub(super) async fn compare(
    db: &mut PgConnection,
    fold: &Fold,
    report: &mut Report,
) -> Result<(), VerifyError> {
    fold.chats.tables.compare(db, report).await?;
    let is_erased =
        |person: Uuid| fold.users.get(&person).is_some_and(|trail| trail.status == "erased");
    texts::compare(db, &fold.chats, is_erased, report).await
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Every form that an event has ever had in the log.
    #[test]
    fn what_the_aggregate_reads_is_read_here() {
        let golden = include_str!("../../../aggregates/tests/wire.jsonl").lines();
        let golden = golden.map(|line| serde_json::from_str(line).expect("a line of four"));
        let chats = golden.filter(|(kind, ..): &(String, String, String, Value)| kind == "chat");
        let mut read = 0;
        for (_, event_type, _, payload) in chats {
            let fact = trade::read(&payload.to_string(), &event_type, Fact::name);
            assert!(fact.is_ok(), "{payload}");
            read += 1;
        }
        assert!(read >= 10, "{read} were read");
    }
}
