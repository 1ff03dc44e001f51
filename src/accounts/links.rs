//! Links that are sent by mail: they verify an address, lead to another password, or back to an
//! account that rests.

use aggregates::id::UserId;
use aggregates::user::{self, SignIn, Status, User};
use secrecy::SecretString;
use uuid::Uuid;

use super::Visitor;
use super::challenges::{Draft, Passed, Purpose, check_link, count, of_token};
use super::contact::Contact;
use crate::app::App;
use crate::clients::mail::Letter;
use crate::error::{Problem, Result};
use crate::queue::LetterTo;

/// Sends a link. Where there is nobody to send it to, all but the sending is done, so that the
/// answer takes as long.
async fn send_link(
    app: &App,
    purpose: Purpose,
    contact: &Contact,
    user: Option<UserId>,
    letter: impl FnOnce(String) -> Letter,
    page: &str,
) -> Result<()> {
    let draft = Draft::link(purpose, contact.clone(), user)?;
    let letter = LetterTo { to: contact.value().to_owned(), letter: letter(draft.href(app, page)) };
    let job = letter.job(&app.keys, draft.id.0).map_err(Problem::failed)?;
    draft.keep(app, Some(contact), user.map(|_| job)).await.map(drop)
}

/// Sends a link to verify an address, if it is that of an account that has not done so. The answer
/// never tells.
pub async fn ask_to_verify(app: &App, visitor: &Visitor, contact: &Contact) -> Result<()> {
    count(app, visitor, Purpose::Verify, contact).await?;
    send_verification(app, contact).await
}

/// The same, where it was counted already.
pub async fn send_verification(app: &App, contact: &Contact) -> Result<()> {
    let owner = super::owner(app, contact).await?;
    let state = app.store.load(owner.unwrap_or_default()).await?;
    let user = owner.filter(|_| user_may_verify(&state));
    let name = state.name().cloned();
    let letter = |link| Letter::VerifyAddress { name, link };
    send_link(app, Purpose::Verify, contact, user, letter, "verify").await
}

fn user_may_verify(state: &User) -> bool {
    state.status() == Status::Active && !state.email_verified()
}

/// Verifies the address that a link was sent to; the position of the event. Where people come in
/// without having verified anything, whoever follows the link outside of the account's own session
/// may not be who wrote the address down: they take the account over (T26).
pub async fn verify(
    app: &App,
    visitor: &Visitor,
    in_session: Option<UserId>,
    token: &str,
) -> Result<()> {
    let passed = check_link(app, Purpose::Verify, token).await?;
    let (user, contact) = still_theirs(app, passed).await?;
    if app.settings.must_verify || in_session == Some(user) {
        super::tell(app, visitor, user, super::proven(&contact), []).await?;
        return Ok(());
    }
    super::prove(app, visitor, user, &contact, SignIn::EmailCode).await
}

/// Sends a link to another password, if the address is that of an account. The answer never tells.
pub async fn ask_to_reset(app: &App, visitor: &Visitor, contact: &Contact) -> Result<()> {
    count(app, visitor, Purpose::Reset, contact).await?;
    send_reset(app, contact).await
}

/// The same, where it was counted already.
pub async fn send_reset(app: &App, contact: &Contact) -> Result<()> {
    let owner = super::owner(app, contact).await?;
    let state = app.store.load::<User>(owner.unwrap_or_default()).await?;
    let user = owner.filter(|_| state.status() == Status::Active);
    let name = state.name().cloned();
    let letter = |link| Letter::ResetPassword { name, link };
    send_link(app, Purpose::Reset, contact, user, letter, "reset").await
}

/// Sets another password by a link, which proves the address, too; all sessions end. The position
/// of the event.
pub async fn reset(
    app: &App,
    visitor: &Visitor,
    token: &str,
    password: SecretString,
) -> Result<i64> {
    let (challenge, _) =
        of_token(token).ok_or_else(|| Problem::field("token", "is not readable"))?;
    let user: Option<Option<Uuid>> =
        sqlx::query_scalar("select user_id from challenges where challenge_id = $1")
            .bind(challenge.0)
            .fetch_optional(app.db())
            .await?;
    // A password that is refused must not use up the link.
    let state = app.store.load(UserId(user.flatten().unwrap_or_default())).await?;
    super::password::check_new(&state, &password)?;
    let passed = check_link(app, Purpose::Reset, token).await?;
    let (user, contact) = still_theirs(app, passed).await?;
    super::prove(app, visitor, user, &contact, SignIn::EmailCode).await?;
    let state = super::state(app, user).await?;
    super::password::set(app, visitor, user, &state, password, None).await
}

/// Sends a link to use an account again, if the address is that of one that rests. The answer never
/// tells.
pub async fn ask_to_reactivate(app: &App, visitor: &Visitor, contact: &Contact) -> Result<()> {
    count(app, visitor, Purpose::Reactivate, contact).await?;
    let owner = super::owner(app, contact).await?;
    let state = app.store.load::<User>(owner.unwrap_or_default()).await?;
    let user = owner.filter(|_| state.status() == Status::Deactivated);
    let name = state.name().cloned();
    let letter = |link| Letter::Reactivate { name, link };
    send_link(app, Purpose::Reactivate, contact, user, letter, "reactivate").await
}

/// Uses an account again, by a link; the position of the event.
pub async fn reactivate(app: &App, visitor: &Visitor, token: &str) -> Result<i64> {
    let passed = check_link(app, Purpose::Reactivate, token).await?;
    let (user, _) = still_theirs(app, passed).await?;
    Ok(super::tell(app, visitor, user, user::Ask::Reactivate, []).await?)
}

/// Whose account a link was asked for, while the address it was sent to is still that account's.
async fn still_theirs(app: &App, passed: Passed) -> Result<(UserId, Contact)> {
    let Passed { proved, user } = passed;
    let user = user.ok_or_else(Problem::not_found)?;
    if super::owner(app, &proved).await? == Some(user) {
        return Ok((user, proved));
    }
    Err(Problem::field("token", "was sent to an address that the account had before"))
}
