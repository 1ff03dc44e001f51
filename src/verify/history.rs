//! The credit history must have a row for each event that moved credits, as the log says, and no
//! other (I7). It is read beside the log, and compared where it arrives.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::mpsc;
use uuid::Uuid;

use super::VerifyError;
use super::book::Line;
use super::events::{Record, Shard};
use super::facts::Claim;
use super::fold::Expected;
use super::models::{RULE, same};
use super::report::{Kind, Report};
use super::rows::{Fields, Rows};

/// A row of the credit history, as its table has it.
struct HistoryRow<'a> {
    position: i64,
    wallet: Uuid,
    kind: &'a str,
    amount: i64,
    consumed: i64,
    balance: Claim,
    reason: &'a str,
    reference: Uuid,
    request_id: Option<&'a str>,
    recorded_at: i64,
}

/// The columns of the credit history, in the order in which they are read. Zero is sent as null,
/// as in the log, and a null of the table's own as what no balance is.
pub(super) const TABLE: &str = "select position, wallet_id, kind, amount, consumed, \
     available_after, nullif(coalesce(held_after, -1), 0), nullif(coalesce(debt_after, -1), 0), \
     reason, reference, request_id, recorded_at from transactions.transactions order by position";

impl<'a> HistoryRow<'a> {
    /// Whose it is, to be passed over or read.
    fn skip(fields: &mut Fields<'a>) -> Option<(i64, Uuid)> {
        Some((fields.i64()?, fields.uuid()?))
    }

    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        let (position, wallet) = (fields.i64()?, fields.uuid()?);
        let (kind, amount) = (fields.text()?, fields.i64()?);
        let (consumed, available) = (fields.i64()?, fields.i64()?);
        let (held, debt) = (fields.opt_i64()?.unwrap_or(0), fields.opt_i64()?.unwrap_or(0));
        Some(Self {
            position,
            wallet,
            kind,
            amount,
            consumed,
            balance: Claim { available, held, debt },
            reason: fields.text()?,
            reference: fields.uuid()?,
            request_id: fields.opt_text()?,
            recorded_at: fields.micros()?,
        })
    }
}

/// The credit history of a shard, beside the log.
pub(super) struct History {
    rows: mpsc::Receiver<Arc<Rows>>,
    page: Arc<Rows>,
    /// Where the next row begins in the page.
    at: usize,
    shard: Shard,
    /// How far the projection has come.
    reached: i64,
}

impl History {
    pub(super) fn new(rows: mpsc::Receiver<Arc<Rows>>, shard: Shard, reached: i64) -> Self {
        Self { rows, page: Arc::default(), at: 0, shard, reached }
    }

    /// The shard's next row up to a position, and where the one after it begins. Nothing after the
    /// position is looked at: it may be long until another shard lets it come.
    async fn next(
        &mut self,
        position: i64,
    ) -> Result<Option<(HistoryRow<'_>, usize)>, VerifyError> {
        loop {
            while self.page.is_over(self.at) {
                let Some(page) = self.rows.recv().await else { return Ok(None) };
                (self.page, self.at) = (page, 0);
            }
            let ((at, wallet), after) = self.page.row(self.at, HistoryRow::skip)?;
            if at > position {
                return Ok(None);
            }
            if self.shard.has(wallet) {
                break;
            }
            self.at = after;
        }
        self.page.row(self.at, HistoryRow::read).map(Some)
    }

    /// What the history has of this event must be what the log says.
    pub(super) async fn compare(
        &mut self,
        event: &Event<'_>,
        expected: Expected<'_>,
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        let (position, reached) = (event.position, self.reached);
        self.pass(position - 1, report).await?;
        let place = format_args!("transactions, position {position}");
        let mut found = false;
        while let Some((row, after)) = self.next(position).await? {
            found = true;
            if position > reached {
                let expected = "no row beyond the checkpoint";
                report.find(Kind::ReadModel, place, RULE, expected, "a row");
            } else {
                row.compare(event, &expected, report);
            }
            self.at = after;
        }
        if !found && position <= reached && matches!(expected, Expected::Row(..)) {
            report.find(Kind::ReadModel, place, RULE, "a row", "none");
        }
        Ok(())
    }

    /// Up to this position no event is of this shard, and so no row may be.
    pub(super) async fn pass(
        &mut self,
        position: i64,
        report: &mut Report,
    ) -> Result<(), VerifyError> {
        while let Some((row, after)) = self.next(position).await? {
            let place = format_args!("transactions, position {}", row.position);
            report.find(Kind::ReadModel, place, RULE, "no row of another event", "a row");
            self.at = after;
        }
        Ok(())
    }
}

impl HistoryRow<'_> {
    fn compare(&self, event: &Event<'_>, expected: &Expected<'_>, report: &mut Report) {
        let place = format_args!("transactions, position {}", self.position);
        match expected {
            Expected::Unknown => {}
            Expected::Nothing => report.find(Kind::ReadModel, place, RULE, "no row", "one"),
            Expected::Row(wallet, line) => {
                report.rows += 1;
                let Line { kind, amount, consumed, balance, reason, reference } = line;
                let (reason, request_id) = (reason.as_ref(), event.request_id.as_deref());
                let moved = (*amount, *consumed, *balance);
                let expected =
                    (*wallet, *kind, moved, reason, *reference, request_id, event.recorded_at);
                let moved = (self.amount, self.consumed, self.balance);
                let (reason, reference) = (self.reason, self.reference);
                let found = (
                    self.wallet,
                    self.kind,
                    moved,
                    reason,
                    reference,
                    self.request_id,
                    self.recorded_at,
                );
                same(report, place, &expected, &found);
            }
        }
    }
}

/// What the credit history repeats of an event.
pub(super) struct Event<'a> {
    pub(super) position: i64,
    request_id: Option<Cow<'a, str>>,
    recorded_at: i64,
}

impl<'a> Event<'a> {
    pub(super) fn of(record: &mut Record<'a>) -> Self {
        let Record { position, recorded_at, .. } = *record;
        Self { position, request_id: record.request_id.take(), recorded_at }
    }
}
