//! Events of the log as they are read, many at a time and on several threads.

use serde::Deserialize;
use uuid::Uuid;

use super::VerifyError;
use super::facts::{UserFact, WalletFact};
use super::rows::{Fields, Rows};
use crate::store::hash::{Stored, leaf_hash};
use aggregates::wallet::WalletEvent;

/// The columns, in the order in which they are read.
pub(super) const COLUMNS: &str = "aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload, metadata, position, recorded_at, command_id, ordinal, leaf_hash";

/// An event, checked as far as it can be alone.
pub(super) struct Record {
    pub(super) position: i64,
    pub(super) sequence: i64,
    pub(super) recorded_at: i64,
    pub(super) command_id: Uuid,
    pub(super) ordinal: i16,
    /// As stored.
    pub(super) leaf: [u8; 32],
    /// As computed, where that is another.
    pub(super) tampered: Option<[u8; 32]>,
    pub(super) request_id: Option<String>,
    pub(super) fact: Fact,
}

/// What happened, to whom.
pub(super) enum Fact {
    /// As the oracle understands it, and as the aggregate does.
    Wallet(Uuid, Result<Box<(WalletFact, WalletEvent)>, Unread>),
    /// With the stored payload, which may have to be decrypted.
    User(Uuid, Result<(UserFact, Box<str>), Unread>),
    /// Of a stream that this version does not know.
    Stranger(Box<str>),
}

/// Why an event means nothing to this version.
pub(super) enum Unread {
    Unknown(String),
    Malformed(String),
}

#[derive(Deserialize)]
struct Metadata {
    request_id: Option<String>,
}

/// Decodes and hashes events.
pub(super) fn decode(rows: &Rows) -> Result<Vec<Record>, VerifyError> {
    rows.read(record)
}

fn record(fields: &mut Fields<'_>) -> Option<Record> {
    let (aggregate_type, aggregate_id) = (fields.text()?, fields.text()?);
    let sequence = fields.i64()?;
    let (event_type, event_version) = (fields.text()?, fields.text()?);
    let (payload, metadata) = (fields.text()?, fields.text()?);
    let (position, recorded_at) = (fields.i64()?, fields.micros()?);
    let (command_id, ordinal) = (fields.uuid()?, fields.i16()?);
    let leaf = fields.bytes()?.try_into().unwrap_or_default();
    let computed = leaf_hash(&Stored {
        aggregate_type,
        aggregate_id,
        sequence,
        event_type,
        event_version,
        payload,
        metadata,
        command_id: command_id.as_bytes(),
        ordinal,
    });
    Some(Record {
        position,
        sequence,
        recorded_at,
        command_id,
        ordinal,
        leaf,
        tampered: (computed != leaf).then_some(computed),
        request_id: request_id(metadata),
        fact: fact(aggregate_type, aggregate_id, event_type, event_version, payload),
    })
}

fn request_id(metadata: &str) -> Option<String> {
    serde_json::from_str::<Metadata>(metadata).ok()?.request_id
}

fn fact(kind: &str, id: &str, event_type: &str, version: &str, payload: &str) -> Fact {
    // Ids have one form only: another would be another stream.
    let uuid = Uuid::try_parse(id).ok().filter(|uuid| {
        let mut text = Uuid::encode_buffer();
        uuid.hyphenated().encode_lower(&mut text) == id
    });
    match (kind, uuid) {
        ("wallet", Some(id)) => {
            let both = read(event_type, version, payload, WalletFact::name).and_then(|fact| {
                let event = serde_json::from_str(payload);
                let event = event.map_err(|error| Unread::Malformed(error.to_string()))?;
                Ok(Box::new((fact, event)))
            });
            Fact::Wallet(id, both)
        }
        ("user", Some(id)) => {
            let fact = read(event_type, version, payload, UserFact::name);
            Fact::User(id, fact.map(|fact| (fact, payload.into())))
        }
        _ => Fact::Stranger(format!("{kind}/{id}").into()),
    }
}

fn read<'de, T: Deserialize<'de>>(
    event_type: &str,
    version: &str,
    payload: &'de str,
    name: fn(&T) -> &'static str,
) -> Result<T, Unread> {
    if version != "1" {
        return Err(Unread::Unknown(format!("{event_type} in version {version}")));
    }
    match serde_json::from_str::<T>(payload) {
        Ok(fact) if name(&fact) == event_type => Ok(fact),
        Ok(fact) => Err(Unread::Malformed(format!("{} as {event_type}", name(&fact)))),
        Err(error) if error.to_string().starts_with("unknown variant") => {
            Err(Unread::Unknown(event_type.to_owned()))
        }
        Err(error) => Err(Unread::Malformed(error.to_string())),
    }
}
