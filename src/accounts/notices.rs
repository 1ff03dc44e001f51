//! Whoever has an account is told by mail what is done to it that they should know of. The letter is
//! enqueued in the unit of the event: there is none without the other.

use aggregates::id::{CommandId, UserId};
use aggregates::user::{Ask, EndReason, Provider, User};
use uuid::Uuid;

use crate::app::App;
use crate::clients::mail::Letter;
use crate::clock;
use crate::queue::LetterTo;
use crate::store::{CodecError, LoadError, SideRow};

/// Why no letter could be written.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// Who the person is could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The letter could not be sealed.
    #[error(transparent)]
    Seal(#[from] CodecError),
}

/// The letter that goes with a command, where the person should be told, and is reached somewhere.
pub(super) async fn row(
    app: &App,
    user: UserId,
    ask: &Ask,
    command: CommandId,
) -> Result<Option<SideRow>, NoticeError> {
    if !is_told(ask) {
        return Ok(None);
    }
    let state = app.store.load::<User>(user).await?;
    let Some((to, letter)) = state.email().and_then(|to| Some((to, letter(&state, ask)?))) else {
        return Ok(None);
    };
    // An address that nobody has proved may be a stranger's; whoever takes over has just proved it.
    if !state.email_verified() && !matches!(ask, Ask::TakeOver { .. }) {
        return Ok(None);
    }
    let id = Uuid::new_v5(&command.0, b"notice");
    Ok(Some(LetterTo { to: to.clone(), letter }.job(&app.keys, id)?.row()))
}

/// Whether anybody is ever told of this.
fn is_told(ask: &Ask) -> bool {
    match ask {
        Ask::SetPassword { .. }
        | Ask::VerifyEmail { .. }
        | Ask::LinkIdentity { .. }
        | Ask::UnlinkIdentity { .. }
        | Ask::TakeOver { .. }
        | Ask::CreateApiKey { .. }
        | Ask::Deactivate { .. }
        | Ask::EndSession { why: EndReason::Reused, .. } => true,
        Ask::Register { .. }
        | Ask::ChangeProfile { .. }
        | Ask::VerifyPhone { .. }
        | Ask::StartSession { .. }
        | Ask::EndSession { .. }
        | Ask::EndOtherSessions { .. }
        | Ask::RevokeApiKey { .. }
        | Ask::ChangeRole { .. }
        | Ask::Reactivate { .. }
        | Ask::Erase => false,
    }
}

/// What a person is told, to the address that the account has before.
fn letter(state: &User, ask: &Ask) -> Option<Letter> {
    let (name, at) = (state.name().cloned(), clock::now());
    match ask {
        Ask::SetPassword { .. } => Some(Letter::PasswordChanged { name, at }),
        Ask::VerifyEmail { email } if state.email() != Some(email) => {
            Some(Letter::AddressChanged { name, at })
        }
        Ask::LinkIdentity { identity, provider } if !state.has_identity(*identity) => {
            Some(Letter::IdentityLinked { name, provider: told(*provider), at })
        }
        Ask::UnlinkIdentity { identity } => {
            let provider = told(state.provider_of(*identity)?);
            Some(Letter::IdentityUnlinked { name, provider, at })
        }
        Ask::TakeOver { .. } => Some(Letter::AccountTakenOver { name, at }),
        Ask::CreateApiKey { name: key_name, .. } => {
            Some(Letter::ApiKeyCreated { name, key_name: key_name.clone(), at })
        }
        Ask::Deactivate { .. } => Some(Letter::Deactivated { name, at }),
        Ask::EndSession { why: EndReason::Reused, .. } => Some(Letter::SessionReused { name, at }),
        _ => None,
    }
}

fn told(provider: Provider) -> String {
    match provider {
        Provider::Google => "Google",
        Provider::Github => "GitHub",
        Provider::X => "X",
    }
    .to_owned()
}
