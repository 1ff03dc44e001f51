//! Rows in the binary format of COPY, as the manual of Postgres gives it under "Binary Format".

use chrono::{DateTime, Utc};

/// 2000-01-01, where Postgres counts from, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

/// Rows on their way to the database. A field that is too long for the format spoils all of them.
pub(crate) struct Copied {
    bytes: Vec<u8>,
    fits: bool,
}

impl Copied {
    pub(crate) fn begin() -> Self {
        let mut bytes = b"PGCOPY\n\xff\r\n\0".to_vec();
        // No flags, no extension.
        bytes.extend([0; 8]);
        Self { bytes, fits: true }
    }

    /// A new row; that many fields follow.
    pub(crate) fn row(&mut self, fields: i16) {
        self.bytes.extend(fields.to_be_bytes());
    }

    /// A `bigint`.
    pub(crate) fn integer(&mut self, value: i64) {
        self.bytes(&value.to_be_bytes());
    }

    /// A `timestamptz`.
    pub(crate) fn time(&mut self, time: DateTime<Utc>) {
        self.integer(time.timestamp_micros().saturating_sub(EPOCH));
    }

    /// A `text` or a `uuid`.
    pub(crate) fn bytes(&mut self, field: &[u8]) {
        let length = i32::try_from(field.len());
        self.fits &= length.is_ok();
        self.bytes.extend(length.unwrap_or(0).to_be_bytes());
        self.bytes.extend(field);
    }

    /// The same, or null.
    pub(crate) fn optional(&mut self, field: Option<&[u8]>) {
        match field {
            Some(field) => self.bytes(field),
            None => self.bytes.extend((-1_i32).to_be_bytes()),
        }
    }

    /// All of it.
    pub(crate) fn end(mut self) -> sqlx::Result<Vec<u8>> {
        self.bytes.extend((-1_i16).to_be_bytes());
        if self.fits {
            return Ok(self.bytes);
        }
        Err(sqlx::Error::Encode("a field is longer than two gigabytes".into()))
    }
}
