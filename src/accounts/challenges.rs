//! Proofs that somebody is reached at an address or a telephone: codes to type, links to follow.
//! Each is bound to what it was asked for, is used once, and is guessed a few times at most: one
//! statement counts the guess, compares it and uses it up.

use aggregates::id::{ChallengeId, UserId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use uuid::Uuid;

use super::contact::Contact;
use super::{Visitor, limits};
use crate::app::App;
use crate::clock;
use crate::error::{Problem, Result};
use crate::queue::Job;

/// How long a code is good (ASVS 5.0, 6.5.5: at most ten minutes).
pub const CODE_LASTS: TimeDelta = TimeDelta::minutes(10);
/// How long a link to verify an address or to use an account again is good.
pub const LINK_LASTS: TimeDelta = TimeDelta::hours(24);
/// How long a link to another password is good.
const RESET_LASTS: TimeDelta = TimeDelta::hours(1);
/// How long a browser has, from its return from a provider, to ask for its session.
pub const EXCHANGE_LASTS: TimeDelta = TimeDelta::minutes(2);
/// Guesses of one code: of a million codes that gives one in 200,000.
const MOST: i32 = 5;
/// How long before another code may be asked for, in seconds.
pub const RESEND_AFTER: i64 = limits::RESENT.within().num_seconds();

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
pub(super) struct Draft<T> {
    pub(super) id: ChallengeId,
    purpose: Purpose,
    /// What passing it proves.
    proves: T,
    user: Option<UserId>,
    pub(super) secret: SecretString,
}

impl<T: Serialize> Draft<T> {
    /// A code of six digits.
    pub(super) fn code(purpose: Purpose, proves: T, user: Option<UserId>) -> Result<Self> {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(Problem::failed)?;
        // 2^64 is so much more than a million that no code is likelier than another.
        let secret = format!("{:06}", u64::from_be_bytes(bytes) % 1_000_000).into();
        Ok(Self { id: ChallengeId(Uuid::now_v7()), purpose, proves, user, secret })
    }

    /// 32 random bytes, for a link.
    pub(super) fn link(purpose: Purpose, proves: T, user: Option<UserId>) -> Result<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(Problem::failed)?;
        let (id, secret) = (ChallengeId(Uuid::now_v7()), BASE64.encode(bytes).into());
        Ok(Self { id, purpose, proves, user, secret })
    }

    /// Where the link leads.
    pub(super) fn href(&self, app: &App, page: &str) -> String {
        let token = token(self.id, self.secret.expose_secret());
        format!("{}/{page}#token={token}", app.settings.public_url)
    }

    /// Keeps the challenge, and enqueues what tells of it. `sent_to` is the contact that it goes to,
    /// as claims have it, under each key, so that an erasure finds it.
    pub(super) async fn keep(
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
        .bind(sent_to.map(|contact| contact.claim().hashes(&app.keys.lookup)))
        .bind(sealed.map_err(Problem::failed)?)
        .bind(app.keys.lookup.hash(&hashed(self.id, self.secret.expose_secret())))
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

pub(super) fn place(challenge: ChallengeId) -> String {
    format!("challenge/{challenge}")
}

/// A secret is good for its own challenge only.
fn hashed(challenge: ChallengeId, secret: &str) -> String {
    format!("challenge\n{challenge}\n{secret}")
}

pub(super) fn token(challenge: ChallengeId, secret: &str) -> String {
    format!("{}.{secret}", BASE64.encode(challenge.0.as_bytes()))
}

/// The challenge and the secret in a link's token.
pub(super) fn of_token(token: &str) -> Option<(ChallengeId, &str)> {
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
         set attempts = attempts + 1, used_at = case when secret_hash = any($3) then $4 end
         where challenge_id = $1 and purpose = $2 and used_at is null and attempts < most
           and expires_at > $4
         returning used_at is not null as passed, user_id, sealed",
    )
    .bind(challenge.0)
    .bind(purpose.name())
    .bind(app.keys.lookup.hashes(&hashed(challenge, secret)))
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
