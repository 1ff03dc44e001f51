//! Passwords: registering, signing in, changing.

use aggregates::id::{SessionId, UserId};
use aggregates::user::{self, SignIn, Status, User};
use secrecy::SecretString;
use uuid::Uuid;

use super::challenges::{self, Purpose};
use super::contact::{Contact, check_password};
use super::{Entered, Entering, Newcomer, Visitor, limits, links};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::store::{ExecuteError, SideRow};

/// What somebody who registers is told.
pub enum Registered {
    /// They are in.
    Entered(Box<Entered>),
    /// They must prove their address first.
    MustVerify,
}

/// Creates an account that is entered by address and password. Where addresses must be proven, an
/// address that has an account answers as one that has none.
pub async fn register(
    app: &App,
    visitor: &Visitor,
    contact: Contact,
    password: SecretString,
    name: Option<String>,
) -> Result<Registered> {
    limits::FROM_ADDRESS.count(app, &visitor.counted()).await?;
    let local = contact.value().split('@').next().unwrap_or_default();
    let known = [contact.value(), local, name.as_deref().unwrap_or_default(), "saldo"];
    check_password(&password, &known)?;
    let hash = app.passwords.hash(password).await.map_err(Problem::failed)?;
    let entering = if app.settings.must_verify { Entering::Later } else { Entering::AtOnce };
    if entering == Entering::Later {
        challenges::count(app, visitor, Purpose::Verify, &contact).await?;
    }
    let newcomer = Newcomer {
        contact: Some(contact.clone()),
        proven: false,
        name,
        by: SignIn::Password,
        rows: vec![SideRow::Password { user_id: UserId::default(), hash }],
        asks: vec![],
    };
    match super::register(app, visitor, newcomer, entering).await {
        Ok((_, Some(entered))) => Ok(Registered::Entered(Box::new(entered))),
        Ok((_, None)) => {
            links::send(app, links::VERIFY, &contact).await?;
            Ok(Registered::MustVerify)
        }
        // Whoever reads what is sent there sets the password, not whoever was first to write the
        // address down.
        Err(ExecuteError::Claimed) if entering == Entering::Later => {
            links::send(app, links::RESET, &contact).await?;
            Ok(Registered::MustVerify)
        }
        Err(error) => Err(error.into()),
    }
}

/// Takes in whoever knows the password. Unknown, locked and deactivated accounts answer as a wrong
/// password does, in the same time.
pub async fn enter(
    app: &App,
    visitor: &Visitor,
    contact: &Contact,
    password: SecretString,
) -> Result<Entered> {
    let account = contact.value();
    limits::FROM_ADDRESS.count(app, &visitor.counted()).await?;
    limits::TO_ACCOUNT.count(app, account).await?;
    // Counted before the guess is looked at: a hundred at once are a hundred.
    let has_room = limits::WRONG_PASSWORDS.has_room(app, account).await?;
    // The account first: what changes after that is seen when the session begins. Somebody who is
    // not there takes as long to load.
    let user = super::owner(app, contact).await?;
    let state = app.store.load::<User>(user.unwrap_or(UserId(Uuid::now_v7()))).await?;
    let hash = hash_of(app, user.unwrap_or_default()).await?;
    let usable = has_room && state.status() == Status::Active;
    let right = app.passwords.verify(password, hash.filter(|_| usable)).await;
    let (Some(user), true) = (user, right.map_err(Problem::failed)?) else {
        return Err(Problem::unauthorized("the e-mail address or the password is wrong"));
    };
    if app.settings.must_verify && !state.email_verified() {
        return Err(Problem::new(
            axum::http::StatusCode::FORBIDDEN,
            "email_not_verified",
            "the address is not verified yet: ask for a link at /auth/email/verification",
        ));
    }
    limits::WRONG_PASSWORDS.forget(app, account).await?;
    super::enter(app, visitor, user, SignIn::Password, Some(state.epoch())).await
}

/// Sets another password, for whoever knows the one before, where there is one; all other sessions
/// end. The position of the event.
pub async fn change(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    keep: SessionId,
    before: Option<SecretString>,
    password: SecretString,
) -> Result<i64> {
    confirm(app, user, before, "current_password").await?;
    let state = super::state(app, user).await?;
    set(app, visitor, user, &state, password, Some(keep)).await
}

async fn hash_of(app: &App, user: UserId) -> Result<Option<String>> {
    let hash = sqlx::query_scalar("select hash from passwords where user_id = $1").bind(user.0);
    Ok(hash.fetch_optional(app.db()).await?)
}

/// Whoever does what a stolen session must not do knows the password, where there is one (ASVS 5.0,
/// 7.5.1); `field` is where it was sent.
pub async fn confirm(
    app: &App,
    user: UserId,
    password: Option<SecretString>,
    field: &str,
) -> Result<()> {
    let Some(hash) = hash_of(app, user).await? else { return Ok(()) };
    let account = user.to_string();
    limits::TO_ACCOUNT.count(app, &account).await?;
    limits::WRONG_PASSWORDS.count(app, &account).await?;
    let password = password.unwrap_or_else(|| SecretString::from(""));
    if app.passwords.verify(password, Some(hash)).await.map_err(Problem::failed)? {
        return limits::WRONG_PASSWORDS.forget(app, &account).await;
    }
    Err(Problem::field(field, "must be the password of this account"))
}

/// Sets the password; all sessions but one end.
pub async fn set(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    state: &User,
    password: SecretString,
    keep: Option<SessionId>,
) -> Result<i64> {
    check_new(state, &password)?;
    let hash = app.passwords.hash(password).await.map_err(Problem::failed)?;
    let rows =
        [SideRow::Password { user_id: user, hash }, SideRow::SessionsEnded { user_id: user, keep }];
    Ok(super::tell(app, visitor, user, user::Ask::SetPassword { keep }, rows).await?)
}

/// Whether the person may have this password.
pub fn check_new(state: &User, password: &SecretString) -> Result<()> {
    let words = [state.email(), state.name()].map(|word| word.map_or("", String::as_str));
    check_password(password, &words)
}
