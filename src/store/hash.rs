//! The hashes that make the log tamper-evident. They cover what is stored, ciphertext included, so
//! destroying a person's key breaks none.

use sha2::{Digest, Sha256};

/// An event as the log stores it, without the place and the time that the log itself gives.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// The kind of its stream.
    pub aggregate_type: &'a str,
    /// Its stream.
    pub aggregate_id: &'a str,
    /// Its place in its stream, from 1.
    pub sequence: i64,
    /// What happened.
    pub event_type: &'a str,
    /// In which form.
    pub event_version: &'a str,
    /// The stored bytes.
    pub payload: &'a str,
    /// The stored bytes.
    pub metadata: &'a str,
    /// The command that caused it.
    pub command_id: &'a [u8; 16],
    /// Its place among the command's events, from 0.
    pub ordinal: i16,
}

/// SHA-256 over a tag and every field; numbers big-endian, texts preceded by their length.
#[must_use]
pub fn leaf_hash(event: &Stored<'_>) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix("saldo event, version 1");
    let mut text = |text: &str| {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    };
    text(event.aggregate_type);
    text(event.aggregate_id);
    text(event.event_type);
    text(event.event_version);
    text(event.payload);
    text(event.metadata);
    hash.update(event.sequence.to_be_bytes());
    hash.update(event.command_id);
    hash.update(event.ordinal.to_be_bytes());
    hash.finalize().into()
}

/// The hash of a batch, which the next batch's covers: see `append_events`. `recorded_at` is in
/// microseconds since 1970.
#[must_use]
pub fn batch_hash<'a>(
    previous: &[u8],
    first_position: i64,
    last_position: i64,
    recorded_at: i64,
    leaves: impl IntoIterator<Item = &'a [u8; 32]>,
) -> [u8; 32] {
    let mut hash = Sha256::new_with_prefix(previous);
    hash.update(first_position.to_be_bytes());
    hash.update(last_position.to_be_bytes());
    hash.update(recorded_at.to_be_bytes());
    for leaf in leaves {
        hash.update(leaf);
    }
    hash.finalize().into()
}
