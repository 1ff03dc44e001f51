//! Codes that are sent to an address or a telephone, to come in by or to add it to an account.

use aggregates::id::{ChallengeId, UserId};
use aggregates::user::SignIn;
use secrecy::ExposeSecret;

use super::challenges::{CODE_LASTS, Draft, Passed, Purpose, check_code, count};
use super::contact::Contact;
use super::{Entered, Visitor, limits};
use crate::app::App;
use crate::clients::mail::Letter;
use crate::clients::sms::code_text;
use crate::error::{Problem, Result};
use crate::queue::{LetterTo, TextTo};

/// Sends a code. `user` is whom it is for, where it is for an account that is known.
pub async fn send_code(
    app: &App,
    visitor: &Visitor,
    purpose: Purpose,
    contact: &Contact,
    user: Option<UserId>,
) -> Result<ChallengeId> {
    if matches!(contact, Contact::Phone(_)) && !app.settings.sends_texts {
        return Err(Problem::field("channel", "text messages are not set up here: use email"));
    }
    count(app, visitor, purpose, contact).await?;
    let draft = Draft::code(purpose, contact.clone(), user)?;
    let code = draft.secret.expose_secret().to_owned();
    let minutes = u32::try_from(CODE_LASTS.num_minutes()).unwrap_or(u32::MAX);
    let job = match contact {
        Contact::Email(to) => {
            let letter = Letter::Code { code, minutes };
            LetterTo { to: to.clone(), letter }.job(&app.keys, draft.id.0)
        }
        Contact::Phone(to) => {
            let text = code_text(&code, minutes);
            TextTo { to: to.clone(), text }.job(&app.keys, draft.id.0)
        }
    };
    draft.keep(app, Some(contact), Some(job.map_err(Problem::failed)?)).await
}

/// Takes in whoever typed the code that was sent to them.
pub async fn enter(
    app: &App,
    visitor: &Visitor,
    challenge: ChallengeId,
    code: &str,
    name: Option<String>,
) -> Result<Entered> {
    limits::FROM_ADDRESS.count(app, &visitor.counted()).await?;
    let Passed { proved: contact, .. } = check_code(app, Purpose::SignIn, challenge, code).await?;
    let by = match contact {
        Contact::Email(_) => SignIn::EmailCode,
        Contact::Phone(_) => SignIn::SmsCode,
    };
    super::enter_by_contact(app, visitor, &contact, name, by).await
}

/// Gives the account another address or telephone, by a code that was sent there; the position of
/// the event.
pub async fn add(
    app: &App,
    visitor: &Visitor,
    user: UserId,
    challenge: ChallengeId,
    code: &str,
) -> Result<i64> {
    let passed = check_code(app, Purpose::Add, challenge, code).await?;
    if passed.user != Some(user) {
        return Err(Problem::not_found());
    }
    let contact = passed.proved;
    let claim = contact.claim();
    let mut rows = vec![claim.released(user)];
    rows.extend(claim.rows(&app.keys.lookup, user, None));
    Ok(super::tell(app, visitor, user, super::proven(&contact), rows).await?)
}
