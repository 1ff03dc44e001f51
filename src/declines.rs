//! Spends that were refused for want of credits: noted without making anybody wait, and kept in a table that has an end.
//! The log has none of them, since whoever is refused could grow it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aggregates::id::{ApiKeyId, UserId};
use aggregates::wallet::{Decline, WalletError};
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::clock;
use crate::store::ExecuteError;

/// Different declines that a node keeps in mind until it writes them, a second of them; of more, the server's log tells.
const NOTED: usize = 1000;
/// Declines of one person that are kept, the newest.
const KEPT: i64 = 100;

/// What was to be done with credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Spending in one step.
    Debit,
    /// Holding, or holding more, by a service of the customer's.
    Hold,
    /// An AI call, or going on with one.
    Call,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Hold => "hold",
            Self::Call => "call",
        }
    }
}

/// What repeats within a second is one row.
#[derive(PartialEq, Eq, Hash)]
struct Which {
    user: UserId,
    key: Option<ApiKeyId>,
    operation: Operation,
    reason: &'static str,
}

/// The last of them, and how many there were.
struct Noted {
    at: DateTime<Utc>,
    last: Decline,
    times: i64,
}

/// What this node has refused since it last wrote it down.
#[derive(Default)]
pub struct Declines {
    noted: Mutex<HashMap<Which, Noted>>,
}

impl Declines {
    /// Notes why a command did not come about, where it is for want of credits.
    pub fn hear(
        &self,
        user: UserId,
        key: Option<ApiKeyId>,
        operation: Operation,
        error: &ExecuteError<WalletError>,
    ) {
        if let ExecuteError::Refused(error) = error {
            self.note(user, key, operation, error);
        }
    }

    /// Notes a refusal, where it is for want of credits.
    pub fn note(
        &self,
        user: UserId,
        key: Option<ApiKeyId>,
        operation: Operation,
        error: &WalletError,
    ) {
        let Some(last) = error.decline() else { return };
        let which = Which { user, key, operation, reason: last.reason };
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= NOTED && !noted.contains_key(&which) {
            tracing::warn!(user = %user, reason = last.reason, "too many spends are refused for all to be noted");
            return;
        }
        let times = noted.get(&which).map_or(0, |before| before.times).saturating_add(1);
        noted.insert(which, Noted { at: clock::now(), last, times });
    }

    /// Writes down what was noted since, and forgets what each of these people had too many of. What cannot be written
    /// is lost, and said so by the error.
    pub async fn write(&self, db: &PgPool) -> sqlx::Result<()> {
        let noted = std::mem::take(&mut *self.noted.lock().unwrap_or_else(PoisonError::into_inner));
        if noted.is_empty() {
            return Ok(());
        }
        let each = || noted.iter();
        let users: Vec<Uuid> = each().map(|(which, _)| which.user.0).collect();
        sqlx::query(
            "insert into declines (declined_at, user_id, key_id, operation, reason, required, available, held, times)
             select * from unnest($1::timestamptz[], $2::uuid[], $3::uuid[], $4::text[], $5::text[],
                 $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[])",
        )
        .bind(each().map(|(_, noted)| noted.at).collect::<Vec<_>>())
        .bind(&users)
        .bind(each().map(|(which, _)| which.key.map(|key| key.0)).collect::<Vec<_>>())
        .bind(each().map(|(which, _)| which.operation.name()).collect::<Vec<_>>())
        .bind(each().map(|(which, _)| which.reason).collect::<Vec<_>>())
        .bind(each().map(|(_, noted)| noted.last.required.get()).collect::<Vec<_>>())
        .bind(each().map(|(_, noted)| noted.last.available.get()).collect::<Vec<_>>())
        .bind(each().map(|(_, noted)| noted.last.held.get()).collect::<Vec<_>>())
        .bind(each().map(|(_, noted)| noted.times).collect::<Vec<_>>())
        .execute(db)
        .await?;
        sqlx::query(
            "delete from declines d using (
                 select decline_id, row_number() over (partition by user_id order by decline_id desc) as age
                 from declines where user_id = any($1)) o
             where d.decline_id = o.decline_id and o.age > $2",
        )
        .bind(&users)
        .bind(KEPT)
        .execute(db)
        .await?;
        Ok(())
    }
}
