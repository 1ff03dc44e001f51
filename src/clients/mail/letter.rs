//! What we write to people.

use std::fmt;

use aggregates::money::Money;
use chrono::{DateTime, Utc};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use super::{MailError, Rendered, render};

/// The longest name that a mail repeats, in characters: nobody reads a longer one.
const LONGEST_NAME: usize = 64;

/// One mail to one person. It is the payload of a job; it prints no more than which letter it is.
#[derive(Clone, Deserialize, PartialEq, Eq, Serialize)]
#[serde(tag = "letter", rename_all = "snake_case")]
pub enum Letter {
    /// Asks whether the address is theirs.
    VerifyAddress { name: Option<String>, link: String },
    /// Lets them choose a new password.
    ResetPassword { name: Option<String>, link: String },
    /// Lets them use an account again that was deactivated.
    Reactivate { name: Option<String>, link: String },
    /// A code to sign in with, valid for so many minutes.
    Code { code: String, minutes: u32 },
    /// The password was changed.
    PasswordChanged { name: Option<String>, at: DateTime<Utc> },
    /// The address was changed; goes to the old one.
    AddressChanged { name: Option<String>, at: DateTime<Utc> },
    /// One can sign in by a provider, too.
    IdentityLinked { name: Option<String>, provider: String, at: DateTime<Utc> },
    /// One cannot sign in by a provider any more.
    IdentityUnlinked { name: Option<String>, provider: String, at: DateTime<Utc> },
    /// A refresh token was used twice, and the session was ended.
    SessionReused { name: Option<String>, at: DateTime<Utc> },
    /// The address was proven by somebody who signed in by provider or code; the password, sessions
    /// and links that the account had before were removed.
    AccountTakenOver { name: Option<String>, at: DateTime<Utc> },
    /// Nobody can sign in any more.
    Deactivated { name: Option<String>, at: DateTime<Utc> },
    /// The personal data is gone, the name with it.
    Erased { at: DateTime<Utc> },
    /// A program can act for them.
    ApiKeyCreated { name: Option<String>, key_name: String, at: DateTime<Utc> },
    /// Something was bought and paid for.
    Receipt { name: Option<String>, what: String, amount: Money, credits: i64, at: DateTime<Utc> },
    /// Another period of a subscription is paid.
    Renewed { name: Option<String>, plan: String, amount: Money, credits: i64, at: DateTime<Utc> },
    /// The quota of another month is there, of what is paid already.
    QuotaRenewed { name: Option<String>, plan: String, credits: i64, at: DateTime<Utc> },
    /// An invoice could not be collected; the link is where it can be paid.
    PaymentFailed { name: Option<String>, plan: String, amount: Money, link: Option<String> },
    /// A subscription will end at this time.
    SubscriptionEnds { name: Option<String>, plan: String, at: DateTime<Utc> },
    /// A subscription is over.
    SubscriptionEnded { name: Option<String>, plan: String, at: DateTime<Utc> },
    /// Their card was charged for a pack, as they agreed to, and the credits are there.
    Recharged { name: Option<String>, pack: String, credits: i64, price: Money, at: DateTime<Utc> },
    /// Their card was declined for a pack; it is tried again then, if ever.
    RechargeDeclined {
        name: Option<String>,
        pack: String,
        price: Money,
        at: DateTime<Utc>,
        again_at: Option<DateTime<Utc>>,
    },
    /// Their bank wants to see them before it pays for a pack.
    ConfirmRecharge {
        name: Option<String>,
        pack: String,
        price: Money,
        link: String,
        until: DateTime<Utc>,
    },
    /// What they agreed to cannot be bought any more: it costs more, or is sold no more.
    RechargeStopped { name: Option<String>, dearer: bool, at: DateTime<Utc> },
    /// An endpoint of theirs has taken no webhook since then, and gets none any more.
    WebhooksStopped { name: Option<String>, host: String, since: DateTime<Utc>, at: DateTime<Utc> },
}

impl Letter {
    /// Which letter it is, for logs: `verify_address` and so on.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::VerifyAddress { .. } => "verify_address",
            Self::ResetPassword { .. } => "reset_password",
            Self::Reactivate { .. } => "reactivate",
            Self::Code { .. } => "code",
            Self::PasswordChanged { .. } => "password_changed",
            Self::AddressChanged { .. } => "address_changed",
            Self::IdentityLinked { .. } => "identity_linked",
            Self::IdentityUnlinked { .. } => "identity_unlinked",
            Self::SessionReused { .. } => "session_reused",
            Self::AccountTakenOver { .. } => "account_taken_over",
            Self::Deactivated { .. } => "deactivated",
            Self::Erased { .. } => "erased",
            Self::ApiKeyCreated { .. } => "api_key_created",
            Self::Receipt { .. } => "receipt",
            Self::Renewed { .. } => "renewed",
            Self::QuotaRenewed { .. } => "quota_renewed",
            Self::PaymentFailed { .. } => "payment_failed",
            Self::SubscriptionEnds { .. } => "subscription_ends",
            Self::SubscriptionEnded { .. } => "subscription_ended",
            Self::Recharged { .. } => "recharged",
            Self::RechargeDeclined { .. } => "recharge_declined",
            Self::ConfirmRecharge { .. } => "confirm_recharge",
            Self::RechargeStopped { .. } => "recharge_stopped",
            Self::WebhooksStopped { .. } => "webhooks_stopped",
        }
    }

    /// The letter as it is read.
    ///
    /// # Errors
    ///
    /// [`MailError::Template`] when a template has a bug.
    pub fn render(&self) -> Result<Rendered, MailError> {
        Ok(render::render(self.kind(), &self.values())?)
    }

    fn values(&self) -> Value {
        match self {
            Self::VerifyAddress { name, link }
            | Self::ResetPassword { name, link }
            | Self::Reactivate { name, link } => {
                context! { name => greeted(name.as_deref()), link }
            }
            Self::Code { code, minutes } => context! { code, minutes },
            Self::PasswordChanged { name, at }
            | Self::AddressChanged { name, at }
            | Self::SessionReused { name, at }
            | Self::AccountTakenOver { name, at }
            | Self::Deactivated { name, at } => {
                context! { name => greeted(name.as_deref()), at => moment(*at) }
            }
            Self::IdentityLinked { name, provider, at }
            | Self::IdentityUnlinked { name, provider, at } => {
                context! { name => greeted(name.as_deref()), provider, at => moment(*at) }
            }
            Self::Erased { at } => context! { at => moment(*at) },
            Self::ApiKeyCreated { name, key_name, at } => {
                let key_name = one_line(key_name);
                context! { name => greeted(name.as_deref()), key_name, at => moment(*at) }
            }
            Self::Receipt { name, what, amount, credits, at }
            | Self::Renewed { name, plan: what, amount, credits, at } => {
                let (name, what) = (greeted(name.as_deref()), one_line(what));
                let amount = amount.told();
                context! { name, what, amount, credits, at => moment(*at) }
            }
            Self::QuotaRenewed { name, plan, credits, at } => {
                let (name, what) = (greeted(name.as_deref()), one_line(plan));
                context! { name, what, credits, at => moment(*at) }
            }
            Self::PaymentFailed { name, plan, amount, link } => {
                let (name, what) = (greeted(name.as_deref()), one_line(plan));
                context! { name, what, amount => amount.told(), link }
            }
            Self::SubscriptionEnds { name, plan, at }
            | Self::SubscriptionEnded { name, plan, at } => {
                let (name, what) = (greeted(name.as_deref()), one_line(plan));
                context! { name, what, at => moment(*at) }
            }
            Self::Recharged { name, pack, credits, price, at } => {
                let (name, pack) = (greeted(name.as_deref()), one_line(pack));
                context! { name, pack, credits, price => price.told(), at => moment(*at) }
            }
            Self::RechargeDeclined { name, pack, price, at, again_at } => {
                let (name, pack) = (greeted(name.as_deref()), one_line(pack));
                let again_at = again_at.map(moment);
                context! { name, pack, price => price.told(), at => moment(*at), again_at }
            }
            Self::ConfirmRecharge { name, pack, price, link, until } => {
                let (name, pack) = (greeted(name.as_deref()), one_line(pack));
                context! { name, pack, price => price.told(), link, until => moment(*until) }
            }
            Self::RechargeStopped { name, dearer, at } => {
                context! { name => greeted(name.as_deref()), dearer, at => moment(*at) }
            }
            Self::WebhooksStopped { name, host, since, at } => {
                let (name, host) = (greeted(name.as_deref()), one_line(host));
                context! { name, host, since => moment(*since), at => moment(*at) }
            }
        }
    }
}

impl fmt::Debug for Letter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.kind())
    }
}

/// The name in a greeting. One that mail programs would show as a link is left out: whoever signs up
/// with somebody else's address could have us send them an advertisement.
fn greeted(name: Option<&str>) -> Option<String> {
    let name = one_line(name?);
    let is_link = |word: &str| {
        let after_dots = word.split('.').skip(1);
        word.contains(['/', '@']) || after_dots.into_iter().any(|part| part.chars().count() > 1)
    };
    let is_plain = !name.is_empty() && !name.split(' ').any(is_link);
    is_plain.then_some(name)
}

/// A text that people chose, on one line, so that it cannot pass for more of the mail.
fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(LONGEST_NAME).collect()
}

/// A time to the minute, as it is read.
fn moment(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y at %H:%M UTC").to_string()
}
