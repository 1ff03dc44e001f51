//! Verifications of the log, for whoever has asked: in the background, on any node, one at a time.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, Type};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result, chain};
use crate::queue::{Job, VERIFY};
use crate::store::heads::{self, HeadError};
use crate::verify::{self, Evidence, Finding, Report, Subject, VerifyError};

/// How a verification stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Type, ToSchema)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum VerificationState {
    /// No node has taken it yet.
    Waiting,
    /// A node is at it, or was killed and is followed by another.
    Running,
    /// Nothing is wrong.
    Clean,
    /// Something is: `report` says what.
    Findings,
    /// It could not be carried out: `error` says why.
    Failed,
}

/// A verification that was asked for.
#[derive(Clone, Debug, Serialize, FromRow, ToSchema)]
pub struct Verification {
    /// Its id.
    pub id: Uuid,
    /// How it stands.
    pub state: VerificationState,
    /// When it was asked for.
    pub asked_at: DateTime<Utc>,
    /// When a node began last.
    pub started_at: Option<DateTime<Utc>>,
    /// When it was done.
    pub ended_at: Option<DateTime<Utc>>,
    /// What was found.
    #[schema(value_type = Option<VerificationReport>)]
    pub report: Option<Json<VerificationReport>>,
    /// Why nothing could be.
    pub error: Option<String>,
}

/// What a verification found, as `saldo verify` tells it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerificationReport {
    /// The first hundred findings, in the order of the log.
    pub findings: Vec<VerificationFinding>,
    /// How many there are, those left out included.
    pub found: u64,
    /// Events that were read.
    pub events: u64,
    /// Batches that were read.
    pub batches: u64,
    /// Wallets that were followed.
    pub wallets: u64,
    /// Wallets that were followed only up to their first finding.
    pub abandoned: u64,
    /// Signed heads that were compared with the chain: those of the node that was at it.
    pub heads: u64,
    /// Rows of read models and snapshots that were compared.
    pub rows: u64,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerificationFinding {
    /// What kind of thing is wrong.
    #[schema(example = "read_model")]
    pub kind: String,
    /// Where: a position, a stream and sequence, a row.
    pub place: String,
    /// What must be.
    pub rule: String,
    /// What the log, or the rule, says.
    pub expected: String,
    /// What was found instead.
    pub found: String,
}

/// Why a verification failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Heads(#[from] HeadError),
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

/// Has the log verified, soon. While one is under way it is that one.
pub async fn ask_for(app: &App) -> Result<Verification> {
    let mut tx = app.db().begin().await?;
    forget_given_up(&mut tx).await?;
    let begun: Option<Uuid> = sqlx::query_scalar(
        "insert into verifications (verification_id, asked_at) values ($1, $2)
         on conflict do nothing returning verification_id",
    )
    .bind(Uuid::now_v7())
    .bind(clock::now())
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(id) = begun {
        Job::unordered(VERIFY, &id.to_string()).enqueue(&mut tx).await?;
    }
    // Where there is one already, that; ids are by the clocks of nodes, and do not tell which it is.
    let open = "select verification_id from verifications where ended_at is null";
    let open = sqlx::query_scalar(open).fetch_optional(&mut *tx).await?;
    tx.commit().await?;
    let asked = find(app, begun.or(open), None, 1).await?.pop();
    asked.ok_or_else(|| Problem::failed("a verification is not there"))
}

/// Those whose work was given up have ended, and keep no other waiting.
async fn forget_given_up(db: &mut PgConnection) -> sqlx::Result<()> {
    let forgotten = sqlx::query(
        "update verifications v set ended_at = $1, error = 'its work was given up'
         where v.ended_at is null and not exists (
             select from graphile_worker.jobs j where j.key = $2 || '/' || v.verification_id
                 and (j.attempts < j.max_attempts or j.locked_at is not null))",
    );
    forgotten.bind(clock::now()).bind(VERIFY).execute(db).await.map(drop)
}

/// The newest verifications, from before an id.
pub async fn newest(app: &App, before: Option<Uuid>, limit: i64) -> Result<Vec<Verification>> {
    find(app, None, before, limit).await
}

/// The verification of this id.
pub async fn of(app: &App, id: Uuid) -> Result<Option<Verification>> {
    Ok(find(app, Some(id), None, 1).await?.pop())
}

/// What nobody will be at any more has failed, whoever comes to know.
async fn find(
    app: &App,
    id: Option<Uuid>,
    before: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Verification>> {
    let found = sqlx::query_as(
        "select v.verification_id as id, v.asked_at, v.started_at, v.ended_at, v.report,
             case when w.is_lost then 'its work was given up' else v.error end as error,
             case
                 when w.is_lost or v.error is not null then 'failed'
                 when v.started_at is null then 'waiting'
                 when v.ended_at is null then 'running'
                 when v.report -> 'found' = '0' then 'clean'
                 else 'findings' end as state
         from verifications v
         cross join lateral (select v.ended_at is null and not exists (
             select from graphile_worker.jobs j where j.key = $4 || '/' || v.verification_id
                 and (j.attempts < j.max_attempts or j.locked_at is not null)) as is_lost) w
         where ($1::uuid is null or v.verification_id = $1)
             and ($2::uuid is null or v.verification_id < $2)
         order by v.verification_id desc limit $3",
    );
    Ok(found.bind(id).bind(before).bind(limit).bind(VERIFY).fetch_all(app.db()).await?)
}

/// Carries a verification out, unless it has ended. One that fails has ended, too: it can be asked for again.
pub async fn carry_out(app: &App, id: Uuid) -> Result<()> {
    let begun = sqlx::query(
        "update verifications set started_at = $2 where verification_id = $1 and ended_at is null",
    );
    if begun.bind(id).bind(clock::now()).execute(app.db()).await?.rows_affected() == 0 {
        return Ok(());
    }
    let (report, error) = match prove(app).await {
        Ok(report) if report.is_clean() => (Some(report), None),
        Ok(report) => {
            tracing::error!(verification = %id, found = report.found, "a verification found what must not be");
            (Some(report), None)
        }
        Err(failure) => (None, Some(chain(&failure))),
    };
    let ended = sqlx::query(
        "update verifications set ended_at = $2, report = $3, error = $4
         where verification_id = $1 and ended_at is null",
    );
    let report = report.map(|report| Json(VerificationReport::from(report)));
    ended.bind(id).bind(clock::now()).bind(report).bind(error).execute(app.db()).await?;
    Ok(())
}

async fn prove(app: &App) -> Result<Report, Failure> {
    let evidence = Evidence {
        heads: heads::read_heads(&app.settings.heads)?,
        ring: app.keys.head_ring(),
        codec: app.store.codec().clone(),
        subject: Subject::default(),
    };
    let options = app.db().connect_options();
    let options = (*options).clone().application_name("saldo verify");
    // In a thread of its own: it is busy for long, and others have requests to answer.
    let here = Handle::current();
    let proving = spawn_blocking(move || here.block_on(verify::verify(&options, evidence)));
    Ok(proving.await.map_err(VerifyError::from)??)
}

impl From<Report> for VerificationReport {
    fn from(report: Report) -> Self {
        Self {
            found: report.found,
            events: report.events,
            batches: report.batches,
            wallets: report.wallets,
            abandoned: report.abandoned,
            heads: report.heads,
            rows: report.rows,
            elapsed_ms: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
            findings: report.findings.into_iter().map(VerificationFinding::from).collect(),
        }
    }
}

impl From<Finding> for VerificationFinding {
    fn from(finding: Finding) -> Self {
        let kind = serde_json::to_value(finding.kind).unwrap_or_default();
        Self {
            kind: kind.as_str().unwrap_or_default().to_owned(),
            place: finding.place,
            rule: finding.rule.to_owned(),
            expected: finding.expected,
            found: finding.found,
        }
    }
}
