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

/// Some rows, one after the other.
#[derive(Default)]
pub(super) struct Rows(Vec<u8>);

/// Copies what a query selects; `each` takes the rows in order.
pub(super) async fn copy(
    db: &mut PgConnection,
    query: &str,
    mut each: impl AsyncFnMut(Rows) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    let statement = format!("copy ({query}) to stdout (format binary)");
    let mut messages = db.copy_out_raw(&statement).await?;
    let (mut rows, mut count, mut skip) = (Vec::new(), 0, HEADER);
    while let Some(message) = messages.try_next().await? {
        let skipped = skip.min(message.len());
        skip -= skipped;
        rows.extend_from_slice(&message[skipped..]);
        count += 1;
        if count == ROWS {
            let whole = std::mem::take(&mut rows);
            rows.reserve(whole.len() + whole.len() / 8);
            each(Rows(whole)).await?;
            count = 0;
        }
    }
    each(Rows(rows)).await
}

/// Copies what a query selects; `row` decodes the rows, in order.
pub(super) async fn each(
    db: &mut PgConnection,
    query: &str,
    mut row: impl FnMut(&mut Fields<'_>) -> Option<()> + Send,
) -> Result<(), VerifyError> {
    copy(db, query, async |rows: Rows| rows.each(&mut row).collect()).await
}

impl Rows {
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
        // The end of the copy is a row of −1 fields.
        self.0.get(at..).is_none_or(|rest| rest.is_empty() || rest.starts_with(&[0xff; 2]))
    }

    /// Decodes the row that begins at this byte; says where the next one begins.
    pub(super) fn row<'a, T>(
        &'a self,
        at: usize,
        row: impl FnOnce(&mut Fields<'a>) -> Option<T>,
    ) -> Result<(T, usize), VerifyError> {
        let mut fields = Fields(self.0.get(at..).unwrap_or_default());
        fields.count().ok_or(VerifyError::Protocol)?;
        let row = row(&mut fields).ok_or(VerifyError::Protocol)?;
        Ok((row, self.0.len() - fields.0.len()))
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

    /// Passes over fields.
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.next().map(drop))
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

    pub(super) fn i64(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.bytes()?.try_into().ok()?))
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.bytes()?.try_into().ok()?))
    }

    pub(super) fn uuid(&mut self) -> Option<Uuid> {
        Uuid::from_slice(self.bytes()?).ok()
    }

    /// A time in microseconds since 1970; infinity is as far as numbers go.
    pub(super) fn micros(&mut self) -> Option<i64> {
        Some(self.i64()?.saturating_add(EPOCH))
    }

    pub(super) fn opt_micros(&mut self) -> Option<Nullable<i64>> {
        let Some(field) = self.next()? else { return Some(None) };
        Some(Some(i64::from_be_bytes(field.try_into().ok()?).saturating_add(EPOCH)))
    }
}

/// Microseconds since 1970 as people read them.
pub(super) fn time(micros: i64) -> String {
    match DateTime::<Utc>::from_timestamp_micros(micros) {
        Some(time) => time.to_rfc3339(),
        None => micros.to_string(),
    }
}
