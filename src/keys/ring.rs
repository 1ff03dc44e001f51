//! The keys of one purpose, while one follows another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::key::{DatedKey, Key};
use crate::clock;
use crate::store::{CodecError, KeyEncryptionKey, Wrapping};

/// The keys of one purpose, never none: the newest whose time has come makes what is new, and all
/// are good for what is there. Cheap to clone; what one clone learns, all know.
#[derive(Clone)]
pub struct KeyRing(Arc<RwLock<Vec<DatedKey>>>, Arc<AtomicBool>);

impl KeyRing {
    /// A ring of these, in whatever order; `None` when there are none.
    #[must_use]
    pub fn new(mut keys: Vec<DatedKey>) -> Option<Self> {
        keys.sort_by_key(|dated| dated.from);
        (!keys.is_empty()).then(|| Self(Arc::new(RwLock::new(keys)), Arc::default()))
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn all(&self) -> Vec<DatedKey> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one that makes what is new.
    #[must_use]
    pub fn newest(&self) -> Key {
        let (keys, now) = (self.0.read().unwrap_or_else(PoisonError::into_inner), clock::now());
        let begun = keys.iter().take_while(|dated| dated.from <= now).count();
        keys[begun.saturating_sub(1)].key.clone()
    }

    /// The one of this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<Key> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().find(|dated| dated.key.id == id).map(|dated| dated.key.clone())
    }

    /// The ids of those that another has followed, at `by` or before.
    #[must_use]
    pub fn followed(&self, by: DateTime<Utc>) -> Vec<String> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pairs = keys.windows(2).filter(|pair| pair[1].from <= by);
        pairs.map(|pair| pair[0].key.id.clone()).collect()
    }

    /// From when on the oldest is followed; none where it is the only one.
    #[must_use]
    pub fn first_followed(&self) -> Option<DateTime<Utc>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(1).map(|dated| dated.from)
    }

    /// Goes on with the keys of another ring.
    pub(super) fn renew(&self, newer: &Self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = newer.all();
    }

    /// Notes whether the one that makes what is new was retired elsewhere.
    pub(super) fn note_retired(&self, retired: bool) {
        self.1.store(retired, Ordering::Relaxed);
    }

    /// Whether that is so: others could not read what is made with it.
    #[must_use]
    pub fn was_retired(&self) -> bool {
        self.1.load(Ordering::Relaxed)
    }

    /// As [`Key::seal`], with the newest; refused where that was retired elsewhere.
    pub fn seal<T: Serialize>(&self, place: &str, value: &T) -> Result<String, CodecError> {
        if self.was_retired() {
            return Err(CodecError::Retired);
        }
        self.newest().seal(place, value)
    }

    /// As [`Key::open`], with the one that sealed it.
    pub fn open<T: DeserializeOwned>(&self, place: &str, sealed: &str) -> Result<T, CodecError> {
        let (id, _) = sealed.split_once('.').ok_or(CodecError::Undecryptable)?;
        self.find(id).ok_or(CodecError::Undecryptable)?.open(place, sealed)
    }

    /// The same, sealed with the newest.
    pub fn reseal(&self, place: &str, sealed: &str) -> Result<String, CodecError> {
        self.seal(place, &self.open::<Value>(place, sealed)?)
    }

    /// The keyed hash of a text under the newest.
    #[must_use]
    pub fn hash(&self, text: &str) -> [u8; 32] {
        self.newest().hash(text)
    }

    /// The keyed hashes of a text under all of them.
    #[must_use]
    pub fn hashes(&self, text: &str) -> Vec<[u8; 32]> {
        self.all().iter().map(|dated| dated.key.hash(text)).collect()
    }

    /// Whether it is the keyed hash of this text under any of them.
    #[must_use]
    pub fn is_hash(&self, text: &str, hash: &[u8]) -> bool {
        self.all().iter().any(|dated| dated.key.is_hash(text, hash))
    }
}

impl Wrapping for KeyRing {
    fn newest(&self) -> KeyEncryptionKey {
        wrapping(&self.newest())
    }

    fn find(&self, id: &str) -> Option<KeyEncryptionKey> {
        self.find(id).as_ref().map(wrapping)
    }
}

fn wrapping(key: &Key) -> KeyEncryptionKey {
    KeyEncryptionKey::new(key.id.clone(), *key.expose())
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn ring(keys: &[(u8, TimeDelta)]) -> KeyRing {
        let now = clock::now();
        let dated =
            keys.iter().map(|(n, in_)| DatedKey { key: Key::new([*n; 32]), from: now + *in_ });
        KeyRing::new(dated.collect()).expect("some keys")
    }

    #[test]
    fn the_newest_whose_time_has_come_makes_what_is_new() {
        let hour = TimeDelta::hours(1);
        let id = |n: u8| Key::new([n; 32]).id;
        let ring = ring(&[(3, hour), (1, -hour * 2), (2, -hour)]);
        assert_eq!(ring.newest().id, id(2));
        assert_eq!(ring.followed(clock::now()), [id(1)]);
        assert_eq!(ring.followed(clock::now() - hour * 2), Vec::<String>::new());
    }

    #[test]
    fn what_an_older_key_sealed_is_read_and_sealed_again_by_the_newest() {
        let (before, after) = (ring(&[(1, TimeDelta::zero())]), ring(&[(2, TimeDelta::zero())]));
        let sealed = before.seal("a place", &"a word").expect("sealed");
        assert!(after.open::<String>("a place", &sealed).is_err());
        after.renew(&ring(&[(1, -TimeDelta::hours(1)), (2, TimeDelta::zero())]));
        assert_eq!(after.open::<String>("a place", &sealed).expect("opened"), "a word");
        let again = after.reseal("a place", &sealed).expect("sealed");
        assert!(before.open::<String>("a place", &again).is_err());
        assert_eq!(after.open::<String>("a place", &again).expect("opened"), "a word");
    }
}
