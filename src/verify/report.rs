//! What a verification found.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use serde::Serialize;

/// What kind of thing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An event is missing, or stands where none may.
    Position,
    /// A stream is not in order.
    Sequence,
    /// Time goes back, or a batch and its events do not agree.
    Time,
    /// A command has two outcomes, or half a one.
    Command,
    /// An event is not what was stored.
    Leaf,
    /// A batch is not what was chained.
    Chain,
    /// The log is not what was signed.
    Head,
    /// A head was not signed by us.
    Signature,
    /// An event that this version of Saldo does not know.
    Unknown,
    /// An event without the shape of its type; personal data in clear is one.
    Unreadable,
    /// A rule of the domain is broken.
    Domain,
    /// A read model does not say what the log says.
    ReadModel,
    /// A row beside the log, of who comes in and by what, does not say what the log says.
    Beside,
    /// A snapshot does not say what the log says.
    Snapshot,
    /// The aggregate does not arrive where the books do.
    Replay,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing is wrong.
    pub kind: Kind,
    /// Where: a position, a stream and sequence, a row.
    pub place: String,
    /// What must be.
    pub rule: &'static str,
    /// What the log, or the rule, says.
    pub expected: String,
    /// What was found instead.
    pub found: String,
    /// The position in the log that was at hand.
    #[serde(skip)]
    at: i64,
}

impl Display for Finding {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let Self { kind, place, rule, expected, found, .. } = self;
        write!(f, "{place}: {rule}: expected {expected}, found {found} ({kind:?})")
    }
}

/// Credits over all wallets: what was issued is the sum of the rest (I10).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Credits {
    /// Granted, restored grants included.
    pub issued: i128,
    /// In grants.
    pub available: i128,
    /// In open holds.
    pub held: i128,
    /// Spent.
    pub consumed: i128,
    /// Expired.
    pub breakage: i128,
    /// Withdrawn by administrators.
    pub voided: i128,
    /// Taken back by reversals.
    pub recovered: i128,
    /// Spent on debt.
    pub repaid: i128,
    /// Owed; no part of what was issued.
    pub debt: i128,
}

/// What a verification found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// The first findings, in the order of the log.
    pub findings: Vec<Finding>,
    /// How many there are, those left out included.
    pub found: u64,
    /// Events that were read.
    pub events: u64,
    /// Batches that were read.
    pub batches: u64,
    /// Wallets that were followed.
    pub wallets: u64,
    /// Wallets that were followed only up to their first finding.
    pub abandoned: u64,
    /// Signed heads that were compared with the chain.
    pub heads: u64,
    /// Rows of read models and snapshots that were compared.
    pub rows: u64,
    /// Over all wallets that were followed to their end.
    pub credits: Credits,
    /// How long it took.
    pub elapsed: Duration,
    #[serde(skip)]
    most: usize,
    #[serde(skip)]
    at: i64,
}

impl Report {
    pub(super) fn keeping(most: usize) -> Self {
        Self { most, ..Self::default() }
    }

    /// What is found from now on is about this position, or follows from it.
    pub(super) fn at(&mut self, position: i64) {
        self.at = position;
    }

    /// Takes over what was found in another shard, in the order of the log.
    pub(super) fn join(&mut self, other: Self) {
        self.found += other.found;
        self.abandoned += other.abandoned;
        self.rows += other.rows;
        self.findings.extend(other.findings);
        self.findings.sort_by_key(|finding| finding.at);
        self.findings.truncate(self.most);
        self.at = self.at.max(other.at);
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.found == 0
    }

    /// I10, over all wallets.
    pub(super) fn check_credits(&mut self) {
        let Credits {
            issued, available, held, consumed, breakage, voided, recovered, repaid, ..
        } = self.credits;
        let sum = available + held + consumed + breakage + voided + recovered + repaid;
        if issued != sum {
            let rule = "I10: what was issued is somewhere";
            self.find(Kind::Domain, "all wallets", rule, issued, sum);
        }
    }

    pub(super) fn find(
        &mut self,
        kind: Kind,
        place: impl Display,
        rule: &'static str,
        expected: impl Display,
        found: impl Display,
    ) {
        self.found += 1;
        if self.findings.len() < self.most {
            let (place, expected, found) =
                (place.to_string(), expected.to_string(), found.to_string());
            self.findings.push(Finding { kind, place, rule, expected, found, at: self.at });
        }
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for finding in &self.findings {
            writeln!(f, "{finding}")?;
        }
        let left_out = self.found - self.findings.len() as u64;
        if left_out > 0 {
            writeln!(f, "… and {left_out} more")?;
        }
        let Self { events, batches, wallets, heads, rows, elapsed, found, .. } = self;
        let verdict =
            if *found == 0 { "nothing is wrong".to_owned() } else { format!("{found} findings") };
        write!(
            f,
            "{verdict}: {events} events in {batches} batches, {wallets} wallets, {heads} signed \
             heads, {rows} rows, {} ms",
            elapsed.as_millis()
        )
    }
}
