//! Proofs that somebody is reached at an address or a telephone: codes to type, links to follow.
//! Each is bound to what it was asked for, is used once, and is guessed a few times at most: one
//! statement counts the guess, compares it and uses it up.

use aggregates::id::{ChallengeId, UserId};
use aggregates::user::{self, Provider, SignIn, Status, User};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use uuid::Uuid;

use super::contact::Contact;
use super::{Entered, Visitor, limits};
use crate::app::App;
use crate::clients::mail::Letter;
use crate::clients::sms::code_text;
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::{Job, LetterTo, TextTo};
use crate::store::SideRow;

/// How long a code is good (ASVS 5.0, 6.5.5: at most ten minutes).
pub const CODE_LASTS: TimeDelta = TimeDelta::minutes(10);
/// How long a link to verify an address or to use an account again is good.
const LINK_LASTS: TimeDelta = TimeDelta::hours(24);
/// How long a link to another password is good.
const RESET_LASTS: TimeDelta = TimeDelta::hours(1);
/// How long a browser has, from its return from a provider, to ask for its session.
pub const EXCHANGE_LASTS: TimeDelta = TimeDelta::minutes(2);
/// Guesses of one code: of a million codes that gives one in 200,000.
const MOST: i32 = 5;
/// How long before another code may be asked for, in seconds.
pub const RESEND_AFTER: i64 = limits::RESENT.every().num_seconds();

/// What a proof is for. One that was asked for one thing is good for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Coming in by a code.
    SignIn,
    /// Adding a telephone or an address, by a code.
    Add,
    /// Verifying the account's address, by a link.
    Verify,
    /// Another password, by a link.
    Reset,
    /// Using an account again, by a link.
    Reactivate,
    /// A session for whoever came back from a provider.
    Exchange,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::Add => "add",
            Self::Verify => "verify",
            Self::Reset => "reset",
            Self::Reactivate => "reactivate",
            Self::Exchange => "exchange",
        }
    }

    fn lasts(self) -> TimeDelta {
        match self {
            Self::SignIn | Self::Add => CODE_LASTS,
            Self::Verify | Self::Reactivate => LINK_LASTS,
            Self::Reset => RESET_LASTS,
            Self::Exchange => EXCHANGE_LASTS,
        }
    }
}

/// A proof that was given.
pub struct Passed<T = Contact> {
    /// What is proved: most often, where its owner is reached.
    pub proved: T,
    /// Whose account it was asked for, where it was for one.
    pub user: Option<UserId>,
}

/// A challenge that is not in the database yet.
struct Draft<T> {
    id: ChallengeId,
    purpose: Purpose,
    /// What passing it proves.
    proves: T,
    user: Option<UserId>,
    secret: SecretString,
}

impl<T: Serialize> Draft<T> {
    /// A code of six digits.
    fn code(purpose: Purpose, proves: T, user: Option<UserId>) -> Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(Problem::failed)?;
        // 2^64 is so much more than a million that no code is likelier than another.
        let secret = format!("{:06}", u64::from_be_bytes(bytes) % 1_000_000).into();
        Ok(Self { id: ChallengeId(Uuid::now_v7()), purpose, proves, user, secret })
    }

    /// 32 random bytes, for a link.
    fn link(purpose: Purpose, proves: T, user: Option<UserId>) -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(Problem::failed)?;
        let (id, secret) = (ChallengeId(Uuid::now_v7()), BASE64.encode(bytes).into());
        Ok(Self { id, purpose, proves, user, secret })
    }

    /// Where the link leads.
    fn href(&self, app: &App, page: &str) -> String {
        let token = token(self.id, self.secret.expose_secret());
        format!("{}/{page}#token={token}", app.settings.public_url)
    }

    /// Keeps the challenge, and enqueues what tells of it. `sent_to` is the contact that it goes to,
    /// as claims have it, so that an erasure finds it.
    async fn keep(
        self,
        app: &App,
        sent_to: Option<&Contact>,
        job: Option<Job>,
    ) -> Result<ChallengeId> {
        let now = clock::now();
        let sealed = app.keys.sealing.seal(&place(self.id), &self.proves);
        let mut tx = app.db().begin().await?;
        sqlx::query(
            "insert into challenges (challenge_id, purpose, user_id, sent_to, sealed, secret_hash,
                 most, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(self.id.0)
        .bind(self.purpose.name())
        .bind(self.user.map(|user| user.0))
        .bind(sent_to.map(|contact| contact.hash(&app.keys.lookup)))
        .bind(sealed.map_err(Problem::failed)?)
        .bind(hash(app, self.id, self.secret.expose_secret()))
        .bind(MOST)
        .bind(now)
        .bind(now + self.purpose.lasts())
        .execute(&mut *tx)
        .await?;
        if let Some(job) = job {
            job.enqueue(&mut tx).await?;
        }
        tx.commit().await?;
        Ok(self.id)
    }
}

fn place(challenge: ChallengeId) -> String {
    format!("challenge/{challenge}")
}

/// A secret is good for its own challenge only.
fn hash(app: &App, challenge: ChallengeId, secret: &str) -> [u8; 32] {
    app.keys.lookup.hash(&format!("challenge\n{challenge}\n{secret}"))
}

fn token(challenge: ChallengeId, secret: &str) -> String {
    format!("{}.{secret}", BASE64.encode(challenge.0.as_bytes()))
}

/// The challenge and the secret in a link's token.
fn of_token(token: &str) -> Option<(ChallengeId, &str)> {
    let (challenge, secret) = token.split_once('.')?;
    let bytes: [u8; 16] = BASE64.decode(challenge).ok()?.try_into().ok()?;
    Some((ChallengeId(Uuid::from_bytes(bytes)), secret))
}

/// Counts what is sent to a contact for one purpose, and how soon after the one before.
pub async fn count(
    app: &App,
    visitor: &Visitor,
    purpose: Purpose,
    contact: &Contact,
) -> Result<()> {
    // For each purpose: whoever asks for codes in another's name must not keep them from a link.
    let what = format!("{} {}", purpose.name(), contact.value());
    limits::ASKED_FROM.count(app, &visitor.counted()).await?;
    limits::RESENT.count(app, &what).await?;
    limits::SENT_TO.count(app, &what).await
}

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
    let (what, claim_hash) = (contact.claimed(), contact.hex_hash(&app.keys.lookup));
    let rows = [
        SideRow::ClaimsReleased { user_id: user, what },
        SideRow::Claim { claim_hash, what, user_id: user },
    ];
    Ok(super::tell(app, visitor, user, super::proven(&contact), rows).await?)
}

/// A code that was typed.
pub async fn check_code(
    app: &App,
    purpose: Purpose,
    challenge: ChallengeId,
    code: &str,
) -> Result<Passed> {
    check(app, purpose, challenge, code).await?.ok_or_else(|| {
        Problem::field("code", "is wrong, was used, or is too old: ask for another one")
    })
}

/// A link that was followed.
pub async fn check_link<T: DeserializeOwned>(
    app: &App,
    purpose: Purpose,
    token: &str,
) -> Result<Passed<T>> {
    let passed = match of_token(token) {
        Some((challenge, secret)) => check(app, purpose, challenge, secret).await?,
        None => None,
    };
    passed.ok_or_else(|| {
        Problem::field("token", "is wrong, was used, or is too old: ask for another link")
    })
}

async fn check<T: DeserializeOwned>(
    app: &App,
    purpose: Purpose,
    challenge: ChallengeId,
    secret: &str,
) -> Result<Option<Passed<T>>> {
    let row = sqlx::query(
        "update challenges
         set attempts = attempts + 1, used_at = case when secret_hash = $3 then $4 end
         where challenge_id = $1 and purpose = $2 and used_at is null and attempts < most
           and expires_at > $4
         returning used_at is not null as passed, user_id, sealed",
    )
    .bind(challenge.0)
    .bind(purpose.name())
    .bind(hash(app, challenge, secret))
    .bind(clock::now())
    .fetch_optional(app.db())
    .await?;
    let Some(row) = row else { return Ok(None) };
    if !row.try_get::<bool, _>("passed")? {
        return Ok(None);
    }
    let proved = app.keys.sealing.open(&place(challenge), row.try_get("sealed")?);
    let user: Option<Uuid> = row.try_get("user_id")?;
    Ok(Some(Passed { proved: proved.map_err(Problem::failed)?, user: user.map(UserId) }))
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

/// Whose account a link was asked for, while the address it was sent to is still that account's.
async fn still_theirs(app: &App, passed: Passed) -> Result<(UserId, Contact)> {
    let Passed { proved, user } = passed;
    let user = user.ok_or_else(Problem::not_found)?;
    if super::owner(app, &proved).await? == Some(user) {
        return Ok((user, proved));
    }
    Err(Problem::field("token", "was sent to an address that the account had before"))
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

/// Whoever came back from a provider.
#[derive(Serialize, Deserialize)]
pub struct Returned {
    /// Who vouches for them.
    pub provider: Provider,
    /// The account's epoch then.
    pub epoch: u32,
    /// What only the browser that came back has, hashed.
    browser: Vec<u8>,
}

/// A word that is good once, soon, for a session of whoever came back from a provider; and what the
/// browser keeps beside it, so that nobody else's browser is signed in by the word.
pub async fn exchangeable(app: &App, user: UserId, provider: Provider) -> Result<(String, String)> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Problem::failed)?;
    let browser = BASE64.encode(bytes);
    let epoch = super::state(app, user).await?.epoch();
    let returned = Returned { provider, epoch, browser: app.keys.lookup.hash(&browser).to_vec() };
    let draft = Draft::link(Purpose::Exchange, returned, Some(user))?;
    let word = token(draft.id, draft.secret.expose_secret());
    draft.keep(app, None, None).await.map(|_| (word, browser))
}

/// Who came back, and from where.
pub async fn exchange(app: &App, word: &str, browser: &str) -> Result<(UserId, Returned)> {
    let Passed::<Returned> { proved, user } = check_link(app, Purpose::Exchange, word).await?;
    if !app.keys.lookup.is_hash(browser, &proved.browser) {
        return Err(Problem::field("code", "belongs to a sign-in of another browser"));
    }
    Ok((user.ok_or_else(Problem::not_found)?, proved))
}
