//! Rows as `copy … to stdout (format binary)` sends them: the cheapest way out of Postgres.

use chrono::{DateTime, Utc};
use futures_util::TryStreamExt;
use sqlx::PgConnection;
use uuid::Uuid;

use super::VerifyError;

/// What stands before the first row.
const HEADER: usize = 19;
/// Microseconds from 1970 to 2000, where Postgres begins to count.
const EPOCH: i64 = 946_684_800_000_000;
/// Rows that are handed on together.
const ROWS: usize = 1024;

/// What comes after the last row: a row of −1 fields.
const END: [u8; 2] = [0xff; 2];

/// Some rows, one after the other, each behind its length.
#[derive(Default)]
pub(super) struct Rows(Vec<u8>);

/// Copies what a query selects; `each` takes the rows in order, and gives back rows that nobody
/// wants any more, whose memory is used again.
pub(super) async fn copy(
    db: &mut PgConnection,
    query: &str,
    mut each: impl AsyncFnMut(Rows) -> Result<Rows, VerifyError>,
) -> Result<(), VerifyError> {
    let statement = format!("copy ({query}) to stdout (format binary)");
    let mut messages = db.copy_out_raw(&statement).await?;
    let (mut rows, mut count, mut skip) = (Rows::default(), 0, HEADER);
    // Postgres sends each row as a message of its own; the header comes with the first.
    while let Some(message) = messages.try_next().await? {
        let skipped = skip.min(message.len());
        skip -= skipped;
        let row = &message[skipped..];
        if row.is_empty() || row == END {
            continue;
        }
        rows.push(row)?;
        count += 1;
        if count == ROWS {
            rows = each(rows).await?;
            rows.0.clear();
            count = 0;
        }
    }
    each(rows).await.map(drop)
}

/// Copies what a query selects; `row` decodes the rows, in order.
pub(super) async fn each(
    db: &mut PgConnection,
    query: &str,
    mut row: impl FnMut(&mut Fields<'_>) -> Option<()> + Send,
) -> Result<(), VerifyError> {
    copy(db, query, async |rows: Rows| {
        rows.each(&mut row).collect::<Result<(), VerifyError>>()?;
        Ok(rows)
    })
    .await
}

impl Rows {
    fn push(&mut self, row: &[u8]) -> Result<(), VerifyError> {
        let length = u32::try_from(row.len()).map_err(|_| VerifyError::Protocol)?;
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(row);
        Ok(())
    }

    /// Decodes every row, one at a time: what becomes of one is gone before the next is made.
    pub(super) fn each<'a, T>(
        &'a self,
        mut row: impl FnMut(&mut Fields<'a>) -> Option<T>,
    ) -> impl Iterator<Item = Result<T, VerifyError>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            (!self.is_over(at)).then(|| {
                let (row, after) = self.row(at, &mut row)?;
                at = after;
                Ok(row)
            })
        })
    }

    /// Whether no row begins at this byte.
    pub(super) fn is_over(&self, at: usize) -> bool {
        at >= self.0.len()
    }

    /// Decodes the row that begins at this byte, or the first of its fields; says where the next
    /// one begins.
    pub(super) fn row<'a, T>(
        &'a self,
        at: usize,
        row: impl FnOnce(&mut Fields<'a>) -> Option<T>,
    ) -> Result<(T, usize), VerifyError> {
        let (fields, after) = self.fields(at).ok_or(VerifyError::Protocol)?;
        let mut fields = Fields(fields);
        let row = fields.count().and_then(|_| row(&mut fields)).ok_or(VerifyError::Protocol)?;
        Ok((row, after))
    }

    fn fields(&self, at: usize) -> Option<(&[u8], usize)> {
        let (length, rest) = self.0.get(at..)?.split_first_chunk()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        Some((rest.get(..length)?, at + size_of::<u32>() + length))
    }
}

/// What may be null.
type Nullable<T> = Option<T>;

/// The fields of rows, in the order of the query.
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn count(&mut self) -> Option<i16> {
        let (count, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(i16::from_be_bytes(*count))
    }

    /// The next field.
    fn next(&mut self) -> Option<Nullable<&'a [u8]>> {
        let (length, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else { return Some(None) };
        let (field, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(Some(field))
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        self.next()?
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    pub(super) fn opt_text(&mut self) -> Option<Nullable<&'a str>> {
        self.next()?.map(std::str::from_utf8).transpose().ok()
    }

    pub(super) fn string(&mut self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    pub(super) fn opt_string(&mut self) -> Option<Nullable<String>> {
        Some(self.opt_text()?.map(str::to_owned))
    }

    pub(super) fn bool(&mut self) -> Option<bool> {
        self.opt_bool()?
    }

    pub(super) fn opt_bool(&mut self) -> Option<Nullable<bool>> {
        Some(self.next()?.map(|field| field == [1]))
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.bytes()?.try_into().ok()?))
    }

    pub(super) fn opt_i64(&mut self) -> Option<Nullable<i64>> {
        let Some(field) = self.next()? else { return Some(None) };
        Some(Some(i64::from_be_bytes(field.try_into().ok()?)))
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.bytes()?.try_into().ok()?))
    }

    pub(super) fn opt_i16(&mut self) -> Option<Nullable<i16>> {
        let Some(field) = self.next()? else { return Some(None) };
        Some(Some(i16::from_be_bytes(field.try_into().ok()?)))
    }

    pub(super) fn uuid(&mut self) -> Option<Uuid> {
        Uuid::from_slice(self.bytes()?).ok()
    }

    pub(super) fn opt_uuid(&mut self) -> Option<Nullable<Uuid>> {
        self.next()?.map(Uuid::from_slice).transpose().ok()
    }

    /// A time in microseconds since 1970; infinity is as far as numbers go.
    pub(super) fn micros(&mut self) -> Option<i64> {
        Some(self.i64()?.saturating_add(EPOCH))
    }

    pub(super) fn opt_micros(&mut self) -> Option<Nullable<i64>> {
        Some(self.opt_i64()?.map(|micros| micros.saturating_add(EPOCH)))
    }
}

/// Microseconds since 1970 as people read them.
pub(super) fn time(micros: i64) -> String {
    match DateTime::<Utc>::from_timestamp_micros(micros) {
        Some(time) => time.to_rfc3339(),
        None => micros.to_string(),
    }
}
