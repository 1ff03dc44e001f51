//! How far the read models are, and building one anew.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use projections::rebuild::{self, RebuildError};
use projections::{projector, runner};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::{Problem, Result, chain};
use crate::queue::{Job, REBUILD};
use crate::store::owns_log;

/// A read model, and how far it is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReadModel {
    /// Its name.
    #[schema(example = "balances")]
    pub name: String,
    /// The last position of the log that it has seen.
    pub position: i64,
    /// How many events it has not seen.
    pub events: i64,
    /// For how long it has not seen the first of them.
    pub milliseconds: i64,
    /// The position that it cannot get past, where there is one.
    pub halted: Option<i64>,
    /// Why it cannot.
    pub error: Option<String>,
    /// Since when it cannot.
    pub halted_at: Option<DateTime<Utc>>,
    /// Since when it stands still, since an administrator wants it to: then nothing is wrong with it.
    pub paused_at: Option<DateTime<Utc>>,
    /// Whether it is being built anew, or is about to be.
    pub rebuilding: bool,
}

/// The last position of the log, and all read models.
pub async fn all(app: &App) -> Result<(i64, Vec<ReadModel>)> {
    let (position, lags) = runner::lag(app.db()).await?;
    let rebuilding: BTreeSet<String> = sqlx::query_scalar(
        "select split_part(key, '/', 2) from graphile_worker.jobs
         where task_identifier = $1 and key is not null and attempts < max_attempts",
    )
    .bind(REBUILD)
    .fetch_all(app.db())
    .await?
    .into_iter()
    .collect();
    let models = lags.into_iter().map(|lag| {
        let rebuilding = rebuilding.contains(&lag.name);
        ReadModel {
            name: lag.name,
            position: lag.position,
            events: lag.events,
            milliseconds: lag.milliseconds,
            halted: lag.halted,
            error: lag.error,
            halted_at: lag.halted_at,
            paused_at: lag.paused_at,
            rebuilding,
        }
    });
    Ok((position, models.collect()))
}

/// Has a read model built anew, soon, on any node; the one that there is serves meanwhile. 404 for one that there is
/// not, 409 where the role that serves may not make tables.
pub async fn ask_for(app: &App, name: &str) -> Result<()> {
    if !runner::all().iter().any(|model| model.name() == name) {
        return Err(Problem::not_found());
    }
    if !owns_log(app.db()).await? {
        let detail = format!(
            "the role that serves does not own the tables: run `saldo projections rebuild {name}` \
             with SALDO_MIGRATIONS_DATABASE_URL"
        );
        return Err(Problem::new(StatusCode::CONFLICT, "not_the_owner", detail));
    }
    let mut db = app.db().acquire().await?;
    Ok(Job::about(REBUILD, name).enqueue(&mut db).await?)
}

/// Has a read model stand still on all nodes, until it is resumed. 404 for one that there is not.
pub async fn pause(app: &App, name: &str) -> Result<()> {
    if projector::pause(app.db(), name).await? { Ok(()) } else { Err(Problem::not_found()) }
}

/// Has a read model go on from where it stands. 404 for one that there is not.
pub async fn resume(app: &App, name: &str) -> Result<()> {
    if projector::resume(app.db(), name).await? { Ok(()) } else { Err(Problem::not_found()) }
}

/// Builds a read model anew, unless that is being done elsewhere.
pub async fn rebuild(app: &App, name: &str) -> Result<()> {
    let all = runner::all();
    let model = all.iter().find(|model| model.name() == name).ok_or_else(Problem::not_found)?;
    match rebuild::rebuild(app.db(), &**model, app.store.codec()).await {
        Ok(position) => {
            tracing::info!(read_model = name, position, "a read model was built anew");
            Ok(())
        }
        Err(RebuildError::Running) => Ok(()),
        Err(error) => Err(Problem::failed(chain(&error))),
    }
}
