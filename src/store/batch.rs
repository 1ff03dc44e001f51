//! A batch of units as `append_events` takes it, and what it says to each of them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::unit::{SideRow, Unit};

/// What the log said to one unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// In the log; its last event is at this position. Its streams are as it left them until
    /// another stranger than these is counted.
    Appended { last_position: i64, recorded_at: DateTime<Utc>, strangers: u64 },
    /// One of its commands is in the log already; nothing was written.
    Duplicate,
    /// A stream is not where the unit expects it; nothing was written.
    Conflict,
    /// An address belongs to somebody else; nothing was written.
    Claimed,
    /// A day's allowance is used up; nothing was written.
    Spent,
}

/// A batch as the arrays of `append_events`.
pub(super) struct Columns<'a> {
    /// How many events each unit has.
    lengths: Vec<i64>,
    stream_unit: Vec<i32>,
    stream_type: Vec<&'a str>,
    stream_id: Vec<&'a str>,
    stream_expected: Vec<i64>,
    stream_sure: Vec<bool>,
    unit: Vec<i32>,
    aggregate_type: Vec<&'a str>,
    aggregate_id: Vec<&'a str>,
    sequence: Vec<i64>,
    event_type: Vec<&'a str>,
    event_version: Vec<&'a str>,
    payload: Vec<&'a str>,
    metadata: Vec<&'a str>,
    command_id: Vec<uuid::Uuid>,
    ordinal: Vec<i16>,
    leaf: Vec<Vec<u8>>,
    side: Option<serde_json::Value>,
}

#[derive(Serialize)]
struct SideOfUnit<'a> {
    unit: usize,
    #[serde(flatten)]
    row: &'a SideRow,
}

impl<'a> Columns<'a> {
    /// `strangers` is the writer's count of them.
    pub(super) fn of(units: &'a [Unit], strangers: u64) -> Self {
        let numbered = || (0_i32..).zip(units);
        let streams: Vec<_> =
            numbered().flat_map(|(n, unit)| unit.streams.iter().map(move |s| (n, s))).collect();
        let events: Vec<_> =
            numbered().flat_map(|(n, unit)| unit.events.iter().map(move |e| (n, e))).collect();
        let side: Vec<_> = units
            .iter()
            .enumerate()
            .flat_map(|(unit, u)| u.side.iter().map(move |row| SideOfUnit { unit, row }))
            .collect();
        Self {
            lengths: units.iter().map(Unit::length).collect(),
            stream_unit: streams.iter().map(|(n, _)| *n).collect(),
            stream_type: streams.iter().map(|(_, s)| s.aggregate_type).collect(),
            stream_id: streams.iter().map(|(_, s)| s.aggregate_id.as_str()).collect(),
            stream_expected: streams.iter().map(|(_, s)| s.expected).collect(),
            stream_sure: streams.iter().map(|(_, s)| s.strangers == Some(strangers)).collect(),
            unit: events.iter().map(|(n, _)| *n).collect(),
            aggregate_type: events.iter().map(|(_, e)| e.aggregate_type).collect(),
            aggregate_id: events.iter().map(|(_, e)| e.aggregate_id.as_str()).collect(),
            sequence: events.iter().map(|(_, e)| e.sequence).collect(),
            event_type: events.iter().map(|(_, e)| e.event_type.as_str()).collect(),
            event_version: events.iter().map(|(_, e)| e.event_version.as_str()).collect(),
            payload: events.iter().map(|(_, e)| e.payload.as_str()).collect(),
            metadata: events.iter().map(|(_, e)| e.metadata.as_str()).collect(),
            command_id: events.iter().map(|(_, e)| e.command_id.0).collect(),
            ordinal: events.iter().map(|(_, e)| e.ordinal).collect(),
            leaf: events.iter().map(|(_, e)| e.leaf().to_vec()).collect(),
            side: (!side.is_empty()).then(|| serde_json::json!(side)),
        }
    }

    /// Has it appended; `known` is the hash of the log's head as the writer left it, where it knows.
    pub(super) async fn append(
        &self,
        known: Option<&[u8]>,
        connection: &mut PgConnection,
    ) -> Result<PgRow, sqlx::Error> {
        sqlx::query("select last_position, at, head, alone, duplicates, conflicts, claimed, spent from append_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)")
            .bind(&self.stream_unit)
            .bind(&self.stream_type)
            .bind(&self.stream_id)
            .bind(&self.stream_expected)
            .bind(&self.stream_sure)
            .bind(&self.unit)
            .bind(&self.aggregate_type)
            .bind(&self.aggregate_id)
            .bind(&self.sequence)
            .bind(&self.event_type)
            .bind(&self.event_version)
            .bind(&self.payload)
            .bind(&self.metadata)
            .bind(&self.command_id)
            .bind(&self.ordinal)
            .bind(&self.leaf)
            .bind(self.side.as_ref())
            .bind(known)
            .fetch_one(connection)
            .await
    }

    /// What the answer of `append_events` says to each unit: those that are in none of its lists
    /// are in the log in their order, the last of them up to its end.
    pub(super) fn verdicts(
        &self,
        row: &PgRow,
        strangers: u64,
    ) -> Result<Vec<Verdict>, sqlx::Error> {
        let mut refused = HashMap::new();
        for (list, verdict) in [
            ("spent", Verdict::Spent),
            ("claimed", Verdict::Claimed),
            ("conflicts", Verdict::Conflict),
            ("duplicates", Verdict::Duplicate),
        ] {
            let units: Option<Vec<i32>> = row.try_get(list)?;
            refused.extend(units.into_iter().flatten().map(|unit| (unit, verdict)));
        }
        let (end, recorded_at): (i64, _) = (row.try_get("last_position")?, row.try_get("at")?);
        let units = || (0_i32..).zip(&self.lengths);
        let appended = units().filter(|(unit, _)| !refused.contains_key(unit));
        let mut last_position = end - appended.map(|(_, length)| length).sum::<i64>();
        let verdict = |(unit, length): (i32, &i64)| {
            refused.get(&unit).copied().unwrap_or_else(|| {
                last_position += length;
                Verdict::Appended { last_position, recorded_at, strangers }
            })
        };
        Ok(units().map(verdict).collect())
    }
}
