//! Heads of the log, signed and kept outside the database: whoever rewrites the log and its chain
//! from some batch on cannot rewrite these.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sqlx::PgExecutor;

use super::hex;

/// The file's name in the data folder.
pub const FILE: &str = "heads.jsonl";
/// More bytes than two lines have: a head is found without reading the years before it.
const LONGEST_LINES: u64 = 4096;

/// Why heads cannot be signed, kept or trusted.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The head could not be asked for.
    #[error("the head of the log could not be read")]
    Database(#[from] sqlx::Error),
    /// The file or its folder cannot be used.
    #[error("the signed heads in {} cannot be read or written", path.display())]
    File { path: PathBuf, source: std::io::Error },
    /// A line is not what Saldo wrote; line 0 is the last.
    #[error("line {line} of {} is not a signed head", path.display())]
    Malformed { path: PathBuf, line: usize },
    /// The log has lost what was signed.
    #[error("the log ends at position {found}, and its head at position {signed} was signed")]
    Behind { signed: i64, found: i64 },
    /// Nobody has this key.
    #[error("no key is called {0}")]
    UnknownKey(String),
    /// Signed by somebody else, or changed since.
    #[error("the signature is not of this head")]
    Forged,
}

/// Where the log ends, and the hash that covers all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The position of the last event.
    pub position: i64,
    /// The hash of the last batch.
    #[serde(serialize_with = "write_hex", deserialize_with = "read_hex")]
    pub hash: [u8; 32],
    /// When the last batch was recorded.
    pub recorded_at: DateTime<Utc>,
}

/// A head, and who vouches for it: one line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedHead {
    /// What is signed.
    #[serde(flatten)]
    pub head: Head,
    /// The key that signed it.
    pub key_id: String,
    /// Ed25519 over [`Head`] and the key's id.
    #[serde(serialize_with = "write_hex", deserialize_with = "read_hex")]
    pub signature: [u8; 64],
}

/// The key that signs heads.
pub struct HeadKey {
    id: String,
    key: SigningKey,
}

impl HeadKey {
    /// A key under an id.
    #[must_use]
    pub fn new(id: String, secret: &[u8; 32]) -> Self {
        Self { id, key: SigningKey::from_bytes(secret) }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }
}

/// Public keys by their ids: the one in use, and those before it.
#[derive(Clone, Default)]
pub struct Ring(HashMap<String, VerifyingKey>);

impl Ring {
    /// The ring of one key.
    #[must_use]
    pub fn of(key: &HeadKey) -> Self {
        Self::default().and(key)
    }

    /// The same with another key.
    #[must_use]
    pub fn and(mut self, key: &HeadKey) -> Self {
        self.0.insert(key.id.clone(), key.key.verifying_key());
        self
    }

    /// The same with another public key; `None` when the bytes are no key.
    #[must_use]
    pub fn with(mut self, id: String, public: &[u8; 32]) -> Option<Self> {
        self.0.insert(id, VerifyingKey::from_bytes(public).ok()?);
        Some(self)
    }

    /// Whether a key of the ring signed this.
    pub fn check(&self, signed: &SignedHead) -> Result<(), HeadError> {
        let key = self.0.get(&signed.key_id);
        let key = key.ok_or_else(|| HeadError::UnknownKey(signed.key_id.clone()))?;
        let signature = Signature::from_bytes(&signed.signature);
        key.verify_strict(&signed.head.message(&signed.key_id), &signature)
            .map_err(|_| HeadError::Forged)
    }
}

impl Head {
    /// The head of the log now.
    pub async fn read(db: impl PgExecutor<'_>) -> Result<Self, sqlx::Error> {
        let (position, hash, recorded_at): (i64, Vec<u8>, DateTime<Utc>) =
            sqlx::query_as("select position, hash, recorded_at from public.log_head")
                .fetch_one(db)
                .await?;
        let hash = hash.try_into().map_err(|_| sqlx::Error::Decode("a hash of 32 bytes".into()))?;
        Ok(Self { position, hash, recorded_at })
    }

    /// What is signed: a tag, then every field; numbers big-endian, the text preceded by its length.
    fn message(&self, key_id: &str) -> Vec<u8> {
        let mut message = b"saldo head, version 1".to_vec();
        message.extend((key_id.len() as u64).to_be_bytes());
        message.extend(key_id.as_bytes());
        message.extend(self.position.to_be_bytes());
        message.extend(self.recorded_at.timestamp_micros().to_be_bytes());
        message.extend(self.hash);
        message
    }
}

/// Signs a head.
#[must_use]
pub fn sign_head(key: &HeadKey, head: Head) -> SignedHead {
    let signature = key.key.sign(&head.message(&key.id)).to_bytes();
    SignedHead { head, key_id: key.id.clone(), signature }
}

/// Signs the head of the log and appends it to the file, where the log has grown since the last
/// one. Any number of processes may do so.
pub async fn sign_when_moved(
    db: impl PgExecutor<'_>,
    key: &HeadKey,
    path: &Path,
) -> Result<Option<SignedHead>, HeadError> {
    let head = Head::read(db).await?;
    let signed = last_head(path)?.map_or(0, |last| last.head.position);
    if head.position == signed {
        return Ok(None);
    }
    if head.position < signed {
        return Err(HeadError::Behind { signed, found: head.position });
    }
    let signed = sign_head(key, head);
    append_head(path, &signed)?;
    Ok(Some(signed))
}

/// Appends a line and waits until the disk has it. A line that a crash left unfinished is cut off.
pub fn append_head(path: &Path, signed: &SignedHead) -> Result<(), HeadError> {
    let failed = |source| HeadError::File { path: path.to_owned(), source };
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let mut file = open.map_err(failed)?;
    file.lock().map_err(failed)?;
    let mut line = serde_json::to_vec(signed).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    write_line(&mut file, &line).map_err(failed)?;
    // A new file is there only when its folder says so.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new("."))).and_then(|it| it.sync_all()).map_err(failed)
}

fn write_line(file: &mut File, line: &[u8]) -> std::io::Result<()> {
    let (_, end) = last_line(file)?;
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    file.write_all(line)?;
    file.sync_all()
}

/// The last whole line, and where it ends.
fn last_line(file: &mut File) -> std::io::Result<(Vec<u8>, u64)> {
    let start = file.seek(SeekFrom::End(0))?.saturating_sub(LONGEST_LINES);
    file.seek(SeekFrom::Start(start))?;
    let mut lines = Vec::new();
    file.read_to_end(&mut lines)?;
    let Some(end) = lines.iter().rposition(|byte| *byte == b'\n') else {
        return Ok((vec![], start));
    };
    let begin = lines[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    Ok((lines[begin..end].to_vec(), start + end as u64 + 1))
}

/// The newest signed head, where there is one.
pub fn last_head(path: &Path) -> Result<Option<SignedHead>, HeadError> {
    let failed = |source| HeadError::File { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    let (line, _) = last_line(&mut file).map_err(failed)?;
    if line.is_empty() {
        return Ok(None);
    }
    let malformed = |_| HeadError::Malformed { path: path.to_owned(), line: 0 };
    serde_json::from_slice(&line).map(Some).map_err(malformed)
}

/// All signed heads, the oldest first; none when there is no file yet.
pub fn read_heads(path: &Path) -> Result<Vec<SignedHead>, HeadError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(source) => return Err(HeadError::File { path: path.to_owned(), source }),
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let head = |(line, text): (usize, &str)| {
        serde_json::from_str(text)
            .map_err(|_| HeadError::Malformed { path: path.to_owned(), line: line + 1 })
    };
    whole.lines().enumerate().map(head).collect()
}

fn write_hex<S: Serializer, const N: usize>(bytes: &[u8; N], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&hex(bytes))
}

fn read_hex<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<[u8; N], D::Error> {
    let text = String::deserialize(from)?;
    let pairs = (0..text.len()).step_by(2).map(|at| text.get(at..at + 2).unwrap_or_default());
    let bytes: Result<Vec<u8>, _> = pairs.map(|pair| u8::from_str_radix(pair, 16)).collect();
    let bytes = bytes.map_err(serde::de::Error::custom)?;
    bytes.try_into().map_err(|_| serde::de::Error::custom("of another length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> HeadKey {
        HeadKey::new("first".to_owned(), &[7; 32])
    }

    fn head(position: i64) -> Head {
        let recorded_at = DateTime::from_timestamp_micros(1_800_000_000_123_456).expect("a time");
        Head { position, hash: [9; 32], recorded_at }
    }

    #[test]
    fn a_signature_holds_for_its_head_and_key_only() {
        let signed = sign_head(&key(), head(5));
        let ring = Ring::of(&key());
        assert!(ring.check(&signed).is_ok());
        let tamperings: [fn(&mut SignedHead); 4] = [
            |signed| signed.head.position += 1,
            |signed| signed.head.hash[0] ^= 1,
            |signed| signed.head.recorded_at += chrono::TimeDelta::microseconds(1),
            |signed| signed.signature[0] ^= 1,
        ];
        for tamper in tamperings {
            let mut changed = signed.clone();
            tamper(&mut changed);
            assert!(matches!(ring.check(&changed), Err(HeadError::Forged)));
        }
        let other = Ring::default().with("other".to_owned(), &key().public()).expect("a key");
        assert!(matches!(other.check(&signed), Err(HeadError::UnknownKey(_))));
    }

    #[test]
    fn heads_are_read_as_they_were_appended_and_a_torn_line_is_cut_off() {
        let path = std::env::temp_dir().join(format!("saldo-heads-{}", std::process::id()));
        let signed = [sign_head(&key(), head(5)), sign_head(&key(), head(9))];
        append_head(&path, &signed[0]).expect("the file can be written");
        let mut file = OpenOptions::new().append(true).open(&path).expect("the file is there");
        file.write_all(b"{\"position\":").expect("the file can be written");
        assert_eq!(read_heads(&path).expect("readable"), signed[..1]);
        append_head(&path, &signed[1]).expect("the file can be written");
        assert_eq!(read_heads(&path).expect("readable"), signed);
        assert_eq!(last_head(&path).expect("readable").as_ref(), signed.last());
        std::fs::remove_file(&path).expect("the file is there");
    }
}
