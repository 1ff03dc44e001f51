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
use crate::store::SideRow;

/// A kind of link: what it is for, which of our pages it leads to, whose account it is sent for, and
/// the letter around it.
#[derive(Clone, Copy)]
pub struct Kind {
    purpose: Purpose,
    page: &'static str,
    is_for: fn(&User) -> bool,
    letter: fn(Option<String>, String) -> Letter,
}

/// Verifies the address of an account that has not done so.
pub const VERIFY: Kind = Kind {
    purpose: Purpose::Verify,
    page: "verify",
    is_for: |user| user.status() == Status::Active && !user.email_verified(),
    letter: |name, link| Letter::VerifyAddress { name, link },
};

/// Leads to another password.
pub const RESET: Kind = Kind {
    purpose: Purpose::Reset,
    page: "reset",
    is_for: |user| user.status() == Status::Active,
    letter: |name, link| Letter::ResetPassword { name, link },
};

/// Leads back to an account that rests.
pub const REACTIVATE: Kind = Kind {
    purpose: Purpose::Reactivate,
    page: "reactivate",
    is_for: |user| user.status() == Status::Deactivated,
    letter: |name, link| Letter::Reactivate { name, link },
};

/// Sends a link, if the address is that of an account that it is for. The answer never tells.
pub async fn ask(app: &App, visitor: &Visitor, kind: Kind, contact: &Contact) -> Result<()> {
    count(app, visitor, kind.purpose, contact).await?;
    send(app, kind, contact).await
}

/// The same, where it was counted already. Where there is nobody to send it to, all but the sending
/// is done, so that the answer takes as long.
pub async fn send(app: &App, kind: Kind, contact: &Contact) -> Result<()> {
    let owner = super::owner(app, contact).await?;
    let state = app.store.load::<User>(owner.unwrap_or_default()).await?;
    let user = owner.filter(|_| (kind.is_for)(&state));
    let draft = Draft::link(kind.purpose, contact.clone(), user)?;
    let letter = (kind.letter)(state.name().cloned(), draft.href(app, kind.page));
    let letter = LetterTo { to: contact.value().to_owned(), letter };
    let job = letter.job(&app.keys, draft.id.0).map_err(Problem::failed)?;
    draft.keep(app, Some(contact), user.map(|_| job)).await.map(drop)
}

/// Verifies the address that a link was sent to. Where people come in without having verified
/// anything, whoever follows the link outside of the account's own session may not be who wrote the
/// address down: they take the account over (T26).
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

/// Uses an account again, by a link; the position of the event.
pub async fn reactivate(app: &App, visitor: &Visitor, token: &str) -> Result<i64> {
    let passed = check_link(app, Purpose::Reactivate, token).await?;
    let (user, _) = still_theirs(app, passed).await?;
    let keys = SideRow::ApiKeysRest { user_id: user, rest: false };
    Ok(super::tell(app, visitor, user, user::Ask::Reactivate { reason: None }, [keys]).await?)
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
