//! Events of the log as they are read: by the chain, which wants the order and the hashes of all,
//! and by shards, each of which wants everything of its own streams.

use std::borrow::Cow;

use serde::Deserialize;
use uuid::Uuid;

use super::facts::{UserFact, WalletFact};
use super::plain;
use super::rows::Fields;
use super::trade::{Deal, Trades};
use crate::store::hash::{Stored, leaf_hash};
use aggregates::wallet::WalletEvent;

/// The columns, in the order in which they are read: first what the chain wants. What is nearly
/// always the same is sent as null, the cheapest of all to send; a null of the table's own, which
/// only somebody puts there who changes its definition, as what no event has.
pub(super) const TABLE: &str = "select position, aggregate_id, recorded_at, command_id, \
     nullif(coalesce(ordinal, (-1)::int2), 0), leaf_hash, \
     nullif(coalesce(aggregate_type, ''), 'wallet'), sequence, event_type, \
     nullif(coalesce(event_version, ''), '1'), payload, metadata from public.events order by position";

/// What the chain wants of an event.
pub(super) struct Link {
    pub(super) position: i64,
    pub(super) recorded_at: i64,
    pub(super) command_id: Uuid,
    pub(super) ordinal: i16,
    /// As stored.
    pub(super) leaf: [u8; 32],
}

/// An event, checked as far as it can be alone.
pub(super) struct Record<'a> {
    pub(super) position: i64,
    pub(super) sequence: i64,
    pub(super) recorded_at: i64,
    pub(super) command_id: Uuid,
    /// The leaf hash as computed and as stored, where they differ.
    pub(super) tampered: Option<Box<[[u8; 32]; 2]>>,
    pub(super) request_id: Option<Cow<'a, str>>,
    /// The API key that asked, where one did.
    pub(super) asked_by: Option<Uuid>,
    pub(super) fact: Fact<'a>,
}

/// One of several parts of all streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shard {
    pub(super) number: usize,
    pub(super) of: usize,
}

impl Shard {
    /// Whether a stream is in it, by the last digit of its id.
    pub(super) fn has(self, stream: Uuid) -> bool {
        self.has_digit(stream.as_bytes()[15] & 0xf)
    }

    /// The same for an id as it is written. What does not end with a digit is in the first.
    fn has_written(self, stream: &[u8]) -> bool {
        let last = stream.last().and_then(|last| char::from(*last).to_digit(16));
        self.has_digit(last.and_then(|digit| digit.try_into().ok()).unwrap_or_default())
    }

    fn has_digit(self, digit: u8) -> bool {
        usize::from(digit) % self.of == self.number
    }
}

/// What happened, to whom.
pub(super) enum Fact<'a> {
    /// As the oracle understands it, and as the aggregate does.
    Wallet(Uuid, Result<Box<(WalletFact<'a>, WalletEvent)>, Unread>),
    /// With the stored payload, which may have to be decrypted.
    User(Uuid, Result<(UserFact, &'a str), Unread>),
    /// Of a purchase or an offer, to be read by who follows them.
    Trade(Deal<'a>),
    /// Of a chat, likewise.
    Chat(Deal<'a>),
    /// Of a stream that this version does not know.
    Stranger(Box<str>),
}

/// Why an event means nothing to this version.
pub(super) enum Unread {
    Unknown(String),
    Malformed(String),
}

#[derive(Default, Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    request_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    actor: Option<Cow<'a, str>>,
}

impl Link {
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let (position, _stream) = (fields.i64()?, fields.bytes()?);
        Some(Self {
            position,
            recorded_at: fields.micros()?,
            command_id: fields.uuid()?,
            ordinal: fields.opt_i16()?.unwrap_or(0),
            leaf: fields.bytes()?.try_into().unwrap_or_default(),
        })
    }
}

/// An event as a shard sees it.
pub(super) enum Seen<'a> {
    Mine(Record<'a>),
    /// Of another shard, at this position.
    Passed(i64),
}

impl<'a> Seen<'a> {
    /// Decodes and hashes an event of the shard; passes over one of another.
    pub(super) fn read(fields: &mut Fields<'a>, shard: Shard) -> Option<Self> {
        let (position, aggregate_id) = (fields.i64()?, fields.bytes()?);
        if !shard.has_written(aggregate_id) {
            return Some(Self::Passed(position));
        }
        record(position, std::str::from_utf8(aggregate_id).ok()?, fields).map(Self::Mine)
    }
}

/// The id of a stream. Ids have one form only: another would be another stream.
fn stream(id: &str) -> Option<Uuid> {
    let mut text = Uuid::encode_buffer();
    Uuid::try_parse(id).ok().filter(|uuid| uuid.hyphenated().encode_lower(&mut text) == id)
}

fn record<'a>(position: i64, aggregate_id: &str, fields: &mut Fields<'a>) -> Option<Record<'a>> {
    let (recorded_at, command_id) = (fields.micros()?, fields.uuid()?);
    let ordinal = fields.opt_i16()?.unwrap_or(0);
    let leaf = fields.bytes()?.try_into().unwrap_or_default();
    let aggregate_type = fields.opt_text()?.unwrap_or("wallet");
    let (sequence, event_type) = (fields.i64()?, fields.text()?);
    let event_version = fields.opt_text()?.unwrap_or("1");
    let (payload, metadata) = (fields.text()?, fields.text()?);
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
    let fact = match (aggregate_type, stream(aggregate_id)) {
        ("wallet", Some(id)) => Fact::Wallet(id, wallet(event_type, event_version, payload)),
        ("user", Some(id)) => {
            let fact = read(event_type, event_version, payload, UserFact::name);
            Fact::User(id, fact.map(|fact| (fact, payload)))
        }
        (kind @ "chat", Some(id)) => {
            Fact::Chat(Deal { kind, id, event_type, version: event_version, payload })
        }
        (kind, Some(id)) if Trades::know(kind) => {
            Fact::Trade(Deal { kind, id, event_type, version: event_version, payload })
        }
        _ => Fact::Stranger(format!("{aggregate_type}/{aggregate_id}").into()),
    };
    let tampered = (computed != leaf).then(|| Box::new([computed, leaf]));
    let Metadata { request_id, actor } = serde_json::from_str(metadata).unwrap_or_default();
    let asked_by = actor.and_then(|actor| actor.strip_prefix("api_key/")?.parse().ok());
    Some(Record {
        position,
        sequence,
        recorded_at,
        command_id,
        tampered,
        request_id,
        asked_by,
        fact,
    })
}

/// The event as the oracle reads it, and as the aggregate does.
fn wallet<'a>(
    event_type: &str,
    version: &str,
    payload: &'a str,
) -> Result<Box<(WalletFact<'a>, WalletEvent)>, Unread> {
    let fact = match plain::wallet_fact(payload) {
        Some(fact) if version == "1" && fact.name() == event_type => fact,
        _ => read(event_type, version, payload, WalletFact::name)?,
    };
    let event = serde_json::from_str(payload);
    let event = event.map_err(|error| Unread::Malformed(error.to_string()))?;
    Ok(Box::new((fact, event)))
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
