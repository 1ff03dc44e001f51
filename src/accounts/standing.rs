//! What administrators decide of somebody's account: that it rests, that it is used again, and what the person may do.

use std::time::Duration;

use aggregates::id::UserId;
use aggregates::user::{Ask, Role, Status, User};
use axum::http::StatusCode;
use projections::journal;
use projections::projector::{self, Projection, Step};
use projections::users::{self, Users, Which};
use sqlx::{PgPool, Postgres, Transaction};
use tokio::time::Instant;

use crate::app::App;
use crate::error::{Problem, Result};
use crate::store::{Envelope, Outcome, SideRow, Store};

/// Administrators that are looked at in search of another one: where so many are listed that are none any more, an
/// operator has other cares.
const LOOKED_AT: i64 = 200;
/// How long a node may take to bring the list of people to the end of the log, and how often that is looked at.
const CATCHES_UP: Duration = Duration::from_secs(5);
const LOOKS: Duration = Duration::from_millis(50);

/// Who decided about whom, and why.
pub struct Decision {
    /// What stands beside the event: the administrator is its actor.
    pub envelope: Envelope,
    /// The administrator.
    pub by: UserId,
    /// Whose account it is.
    pub about: UserId,
    /// For the log; no personal data.
    pub reason: String,
}

/// Lets the account rest until an administrator says otherwise: all sessions end, keys rest with it, and the person
/// has no way back.
pub async fn deactivate(app: &App, decision: Decision) -> Result<Outcome<User>> {
    let Decision { mut envelope, by, about, reason } = decision;
    if let Some(known) = app.store.known::<User>(about, &envelope).await? {
        return Ok(known);
    }
    let _others = others_administer(app, by, about).await?;
    envelope.side.push(SideRow::SessionsEnded { user_id: about, keep: None });
    envelope.side.push(SideRow::ApiKeysRest { user_id: about, rest: true });
    decide(app, by, about, envelope, Ask::Deactivate { reason: Some(reason) }).await
}

/// Has the account used again, whoever let it rest.
pub async fn reactivate(app: &App, decision: Decision) -> Result<Outcome<User>> {
    let Decision { mut envelope, by, about, reason } = decision;
    super::state(app, about).await?;
    envelope.side.push(SideRow::ApiKeysRest { user_id: about, rest: false });
    decide(app, by, about, envelope, Ask::Reactivate { reason: Some(reason) }).await
}

/// Gives the person a role; one that they have is theirs already.
pub async fn change_role(app: &App, decision: Decision, role: Role) -> Result<Outcome<User>> {
    let Decision { envelope, by, about, reason } = decision;
    let ask = Ask::ChangeRole { role, reason: Some(reason) };
    if let Some(known) = app.store.known::<User>(about, &envelope).await? {
        return Ok(known);
    }
    let _others = match role {
        Role::User => others_administer(app, by, about).await?,
        Role::Admin => None,
    };
    let is_used = super::state(app, about).await?.status() == Status::Active;
    if !is_used && role == Role::Admin {
        let detail = "the account is deactivated: have it used again first";
        return Err(Problem::new(StatusCode::CONFLICT, "not_active", detail));
    }
    decide(app, by, about, envelope, ask).await
}

async fn decide(
    app: &App,
    by: UserId,
    about: UserId,
    envelope: Envelope,
    ask: Ask,
) -> Result<Outcome<User>> {
    let outcome = super::told(app, envelope, about, ask).await?;
    app.wrote(by, outcome.position);
    Ok(outcome)
}

/// Where the account is an administrator's: whether somebody else administers, too, which stays so while what is
/// given back lives. Two who take the role from each other at once must not leave nobody.
pub(super) async fn others_administer(
    app: &App,
    by: UserId,
    about: UserId,
) -> Result<Option<Transaction<'static, Postgres>>> {
    if !administers(&super::state(app, about).await?) {
        return Ok(None);
    }
    let alone = alone(app.db()).await?;
    app.caught_up("users", by, None).await?;
    another_administers(app.db(), &app.store, about).await?;
    Ok(Some(alone))
}

/// The same for who runs the server, beside nodes or without any: the list of people may be behind.
pub async fn others_administer_beside_nodes(
    db: &PgPool,
    store: &Store,
    about: UserId,
) -> Result<Option<Transaction<'static, Postgres>>> {
    if !administers(&store.load::<User>(about).await?) {
        return Ok(None);
    }
    let alone = alone(db).await?;
    catch_up(db, store).await?;
    another_administers(db, store, about).await?;
    Ok(Some(alone))
}

/// Whoever waited for the lock would keep a connection from whoever has it.
async fn alone(db: &PgPool) -> Result<Transaction<'static, Postgres>> {
    let mut alone = db.begin().await?;
    let lock = "select pg_try_advisory_xact_lock(hashtext('administrators'))";
    if sqlx::query_scalar(lock).fetch_one(&mut *alone).await? {
        Ok(alone)
    } else {
        Err(Problem::busy("somebody else is changing who administers: try again"))
    }
}

async fn another_administers(db: &PgPool, store: &Store, about: UserId) -> Result<()> {
    let which = Which { role: Some(Role::Admin.name()), status: Some("active") };
    for row in users::newest(db, which, None, LOOKED_AT).await? {
        let other = UserId(row.user_id);
        // What is listed may be of a moment ago.
        if other != about && administers(&store.load::<User>(other).await?) {
            return Ok(());
        }
    }
    let detail = "this is the last administrator: let somebody else administer first";
    Err(Problem::new(StatusCode::CONFLICT, "last_administrator", detail))
}

/// Brings the list of people to the end of the log, unless a node is at it, and then waits for that. One that does not
/// get there lists fewer administrators at worst.
async fn catch_up(db: &PgPool, store: &Store) -> Result<()> {
    let deadline = Instant::now() + CATCHES_UP;
    let head = journal::head(db).await?;
    let mut db = db.acquire().await?;
    while projector::checkpoint(&mut *db, Users.name()).await? < head {
        let step = projector::step(&mut db, &Users, store.codec(), store.tail()).await;
        match step.map_err(Problem::failed)? {
            Step::Moved { .. } => {}
            Step::Led(_) if Instant::now() < deadline => tokio::time::sleep(LOOKS).await,
            Step::Led(_) | Step::CaughtUp(_) | Step::Paused(_) | Step::Halted(_) => break,
        }
    }
    Ok(())
}

fn administers(state: &User) -> bool {
    state.status() == Status::Active && state.role() == Role::Admin
}
