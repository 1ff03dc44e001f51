//! What an operator may set: the environment, and `.env` in the working directory.

mod ai;

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::TimeDelta;
use secrecy::SecretString;

use crate::clients::address::AddressError;
use crate::clients::mail::MailSettings;
use crate::clients::oauth::{self, Issuer, Places, ProviderSettings, Providers};
use crate::clients::sms::{self, SmsSender, SmsSettings};
use crate::clients::stripe::{self, Stripe};
use crate::clients::webhooks::{Reach, Webhooks};

pub use ai::AiConfig;

/// Where Saldo runs; decides what is required and what is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Environment {
    /// On somebody's own machine: keys are made, nothing is required.
    Local,
    /// Shared by developers.
    Dev,
    /// As production, for rehearsal.
    Staging,
    /// For customers.
    Production,
}

/// What an operator may set.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Where Saldo runs.
    #[arg(long, env = "SALDO_ENV", value_enum, default_value = "local")]
    pub environment: Environment,
    /// Where it listens.
    #[arg(long, env = "SALDO_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The database; without it, a private Postgres under the data folder.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// The data folder: the private Postgres, keys, signed heads.
    #[arg(long, env = "SALDO_DATA_DIR", default_value = ".saldo")]
    pub data_dir: PathBuf,
    /// Connections to the database, besides the writer's and the projections' own.
    #[arg(long, env = "SALDO_DATABASE_CONNECTIONS", default_value = "16")]
    pub database_connections: u32,
    /// How people come in, and how they are written to.
    #[command(flatten)]
    pub sign_in: SignInConfig,
    /// How things are sold.
    #[command(flatten)]
    pub billing: BillingConfig,
    /// Who answers AI calls.
    #[command(flatten)]
    pub ai: AiConfig,
    /// How AI calls are metered.
    #[command(flatten)]
    pub meter: MeterConfig,
    /// How customers' own systems are told.
    #[command(flatten)]
    pub webhooks: WebhookConfig,
}

/// How customers' own systems are told.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WebhookConfig {
    /// Whether webhooks may go to private addresses, and to this machine without TLS; in `local` only.
    #[arg(long = "webhooks-private", env = "SALDO_WEBHOOKS_PRIVATE", value_enum)]
    pub private: Option<Switch>,
}

/// How AI calls are metered.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct MeterConfig {
    /// A file that says which models are on offer, for whom and at which price; see `docs/models.md`.
    #[arg(long, env = "SALDO_MODELS")]
    pub models: Option<PathBuf>,
    /// For how many seconds the credits of a call stay held when the server that makes it dies; 180 by
    /// default.
    #[arg(long, env = "SALDO_CALL_HOLD_S", value_parser = clap::value_parser!(u16).range(2..=3600))]
    pub call_hold_s: Option<u16>,
    /// For how many seconds the credits of a call that waits to be made stay held; an hour by default. A call
    /// that is not begun by then fails, and costs nothing.
    #[arg(long, env = "SALDO_QUEUED_HOLD_S", value_parser = clap::value_parser!(u32).range(2..=86_400))]
    pub queued_hold_s: Option<u32>,
}

/// A server that lives keeps its holds open; longer than it takes to find somebody who answers.
const CALL_HOLD_S: u16 = 180;
/// Longer than a queue is on a bad day; nobody wants their answer later than that.
const QUEUED_HOLD_S: u32 = 3600;

/// How things are sold.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct BillingConfig {
    /// What Stripe knows this server by, `sk_…` or `rk_…`; without it, nothing is sold.
    #[arg(long, env = "STRIPE_SECRET_KEY", hide_env_values = true)]
    pub stripe_secret_key: Option<SecretString>,
    /// What Stripe signs webhooks with, `whsec_…`; two with a comma while one replaces the other.
    #[arg(
        long = "stripe-webhook-secret",
        env = "STRIPE_WEBHOOK_SECRET",
        hide_env_values = true,
        value_delimiter = ','
    )]
    pub webhook_secrets: Vec<SecretString>,
    /// What speaks as Stripe does, where it is not Stripe; with a test key only.
    #[arg(long, env = "STRIPE_API_BASE")]
    pub stripe_api_base: Option<String>,
    /// What becomes of a wallet while a subscription is not paid in time.
    #[arg(long, env = "SALDO_PAST_DUE", value_enum)]
    pub past_due: Option<PastDue>,
    /// For how many days after a payment has failed nothing becomes of it; 3 by default.
    #[arg(long, env = "SALDO_PAST_DUE_GRACE_DAYS", value_parser = clap::value_parser!(u8).range(0..=90))]
    pub past_due_grace_days: Option<u8>,
    /// What becomes of a wallet while a payment of its owner's is disputed.
    #[arg(long, env = "SALDO_DISPUTED", value_enum)]
    pub disputed: Option<Disputed>,
    /// What an early fraud warning of a bank does.
    #[arg(long, env = "SALDO_FRAUD_WARNING", value_enum)]
    pub fraud_warning: Option<FraudWarning>,
}

/// How many days Stripe has for its first retries, before anybody is stopped.
const GRACE_DAYS: u8 = 3;

/// What becomes of a wallet while a payment of its owner's is disputed. What the bank has withdrawn is
/// taken back in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Disputed {
    /// Nothing can be spent until the bank has decided. The default.
    #[default]
    Freeze,
    /// What is left in it can be spent.
    Keep,
}

/// What an early fraud warning of a bank does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum FraudWarning {
    /// Somebody is told, in the server's log. The default.
    #[default]
    Note,
    /// The wallet is frozen, too, until an administrator lets it go.
    Freeze,
}

/// What becomes of a wallet while a subscription is not paid in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PastDue {
    /// What is in it can be spent; no quota comes. The default.
    #[default]
    Keep,
    /// Only what was bought, or given away, can be spent: nothing that came of subscriptions.
    #[value(name = "purchased_only")]
    PurchasedOnly,
    /// Nothing can be spent.
    Freeze,
}

/// Whether something is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// How people come in, and how they are written to.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SignInConfig {
    /// Where people reach Saldo's pages: what links in mails begin with. By default, where it
    /// listens.
    #[arg(long, env = "SALDO_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Whether an address must be verified before anybody signs in by it; off in `local`, else on.
    #[arg(long, env = "SALDO_VERIFY_ADDRESSES", value_enum)]
    pub verify_addresses: Option<Switch>,
    /// Off for load tests, in `local` only.
    #[arg(long, env = "SALDO_RATE_LIMITS", value_enum)]
    pub rate_limits: Option<Switch>,
    /// What Google knows this server by (OpenID Connect).
    #[arg(long, env = "SALDO_GOOGLE_CLIENT_ID")]
    pub google_client_id: Option<String>,
    /// The secret that came with it.
    #[arg(long, env = "SALDO_GOOGLE_CLIENT_SECRET", hide_env_values = true)]
    pub google_client_secret: Option<SecretString>,
    /// Google, or another issuer of OpenID Connect.
    #[arg(long, env = "SALDO_GOOGLE_ISSUER")]
    pub google_issuer: Option<String>,
    /// What GitHub knows this server by.
    #[arg(long, env = "SALDO_GITHUB_CLIENT_ID")]
    pub github_client_id: Option<String>,
    /// The secret that came with it.
    #[arg(long, env = "SALDO_GITHUB_CLIENT_SECRET", hide_env_values = true)]
    pub github_client_secret: Option<SecretString>,
    /// GitHub's pages and API, or what speaks as they do: authorize, token, API, with commas.
    #[arg(long, env = "SALDO_GITHUB_URLS", value_delimiter = ',')]
    pub github_urls: Vec<String>,
    /// What X knows this server by.
    #[arg(long, env = "SALDO_X_CLIENT_ID")]
    pub x_client_id: Option<String>,
    /// The secret that came with it.
    #[arg(long, env = "SALDO_X_CLIENT_SECRET", hide_env_values = true)]
    pub x_client_secret: Option<SecretString>,
    /// X's pages and API, or what speaks as they do: authorize, token, API, with commas.
    #[arg(long, env = "SALDO_X_URLS", value_delimiter = ',')]
    pub x_urls: Vec<String>,
    /// The mail server: `smtps://user:password@host`, or `smtp://…?tls=required`.
    #[arg(long, env = "SALDO_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// Whom mail is from.
    #[arg(long, env = "SALDO_MAIL_FROM", default_value = "Saldo <saldo@localhost>")]
    pub mail_from: String,
    /// The account at Twilio, `AC…`.
    #[arg(long, env = "SALDO_TWILIO_ACCOUNT")]
    pub twilio_account: Option<String>,
    /// Its password.
    #[arg(long, env = "SALDO_TWILIO_TOKEN", hide_env_values = true)]
    pub twilio_token: Option<SecretString>,
    /// Whom text messages are from: a number, or a messaging service (`MG…`).
    #[arg(long, env = "SALDO_TWILIO_FROM")]
    pub twilio_from: Option<String>,
    /// Twilio's API, or what speaks as it does.
    #[arg(long, env = "SALDO_TWILIO_BASE_URL", default_value = sms::TWILIO)]
    pub twilio_base_url: String,
    /// Where text messages are posted to, where not to Twilio.
    #[arg(long, env = "SALDO_SMS_WEBHOOK_URL")]
    pub sms_webhook_url: Option<String>,
    /// What proves to it that it is us.
    #[arg(long, env = "SALDO_SMS_WEBHOOK_SECRET", hide_env_values = true)]
    pub sms_webhook_secret: Option<SecretString>,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Only one's own machine may go without limits.
    #[error("SALDO_RATE_LIMITS=off is for load tests, with SALDO_ENV=local only: remove it")]
    LimitsOff,
    /// Elsewhere, customers could have the server speak to its neighbours.
    #[error("SALDO_WEBHOOKS_PRIVATE=on is for tests, with SALDO_ENV=local only: remove it")]
    WebhooksPrivate,
    /// Half of what a service needs.
    #[error("{0} needs {1} beside it: set both, or neither")]
    Half(&'static str, &'static str),
    /// An address of a provider cannot be used.
    #[error("{0}: {1}")]
    Url(&'static str, AddressError),
    /// Not three addresses.
    #[error("{0} must have three addresses with commas: authorize, token, API")]
    Urls(&'static str),
    /// Nothing can be sent.
    #[error("SALDO_SMTP_URL is needed outside SALDO_ENV=local: people could not be written to")]
    NoMail,
    /// A service refuses its settings.
    #[error("{0}")]
    Service(String),
}

/// What handlers need of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where Saldo runs.
    pub environment: Environment,
    /// What links in mails begin with; no slash at its end.
    pub public_url: String,
    /// Whether an address must be verified before anybody signs in by it.
    pub must_verify: bool,
    /// Whether requests are limited.
    pub rate_limits: bool,
    /// Whether text messages go anywhere: to whoever was configured, or in `local` to the inbox.
    pub sends_texts: bool,
    /// What becomes of a wallet while a subscription is not paid in time.
    pub past_due: PastDue,
    /// For how long after a payment has failed nothing becomes of it.
    pub past_due_grace: TimeDelta,
    /// What becomes of a wallet while a payment of its owner's is disputed.
    pub disputed: Disputed,
    /// What an early fraud warning of a bank does.
    pub fraud_warning: FraudWarning,
    /// For how long the credits of a call are held at a time.
    pub call_hold: TimeDelta,
    /// For how long the credits of a call that waits to be made are held.
    pub queued_hold: TimeDelta,
}

impl Config {
    /// What handlers need of it, for a server that listens at this address.
    pub fn settings(&self, listens: SocketAddr) -> Result<Settings, ConfigError> {
        let local = self.environment == Environment::Local;
        let rate_limits = self.sign_in.rate_limits != Some(Switch::Off);
        if !rate_limits && !local {
            return Err(ConfigError::LimitsOff);
        }
        let public_url = self.sign_in.public_url.clone();
        let public_url = public_url.unwrap_or_else(|| format!("http://{listens}"));
        Ok(Settings {
            environment: self.environment,
            public_url: public_url.trim_end_matches('/').to_owned(),
            must_verify: self
                .sign_in
                .verify_addresses
                .map_or(!local, |switch| switch == Switch::On),
            rate_limits,
            sends_texts: local || self.sms()?.is_some(),
            past_due: self.billing.past_due.unwrap_or_default(),
            past_due_grace: TimeDelta::days(
                self.billing.past_due_grace_days.unwrap_or(GRACE_DAYS).into(),
            ),
            disputed: self.billing.disputed.unwrap_or_default(),
            fraud_warning: self.billing.fraud_warning.unwrap_or_default(),
            call_hold: TimeDelta::seconds(self.meter.call_hold_s.unwrap_or(CALL_HOLD_S).into()),
            queued_hold: TimeDelta::seconds(
                self.meter.queued_hold_s.unwrap_or(QUEUED_HOLD_S).into(),
            ),
        })
    }

    /// Who takes money; nobody where nothing is sold.
    pub fn stripe(&self) -> Result<Option<Stripe>, ConfigError> {
        let billing = &self.billing;
        let Some(secret_key) = billing.stripe_secret_key.clone() else { return Ok(None) };
        if billing.webhook_secrets.is_empty() {
            return Err(ConfigError::Half("STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET"));
        }
        let base = billing.stripe_api_base.as_deref().map(str::parse).transpose();
        let base =
            base.map_err(|_| ConfigError::Service(stripe::SettingsError::Base.to_string()))?;
        let settings = stripe::Settings { secret_key, base, timeout: stripe::TIMEOUT };
        let stripe = Stripe::new(&settings);
        stripe.map(Some).map_err(|error| ConfigError::Service(error.to_string()))
    }

    /// Who tells customers' own systems.
    pub fn webhooks(&self) -> Result<Webhooks, ConfigError> {
        let reach = match self.webhooks.private {
            Some(Switch::On) if self.environment != Environment::Local => {
                return Err(ConfigError::WebhooksPrivate);
            }
            Some(Switch::On) => Reach::Private,
            Some(Switch::Off) | None => Reach::Public,
        };
        Webhooks::new(reach).map_err(|error| ConfigError::Service(error.to_string()))
    }

    /// With whose accounts people can sign in.
    pub fn providers(&self) -> Result<Providers, ConfigError> {
        let sign_in = &self.sign_in;
        let issuer = sign_in.google_issuer.as_deref().map(Issuer::new).transpose();
        let issuer = issuer.map_err(|error| ConfigError::Url("SALDO_GOOGLE_ISSUER", error))?;
        let google = client(
            sign_in.google_client_id.as_ref(),
            sign_in.google_client_secret.as_ref(),
            ["SALDO_GOOGLE_CLIENT_ID", "SALDO_GOOGLE_CLIENT_SECRET"],
            issuer.unwrap_or_else(Issuer::google),
        )?;
        let github = client(
            sign_in.github_client_id.as_ref(),
            sign_in.github_client_secret.as_ref(),
            ["SALDO_GITHUB_CLIENT_ID", "SALDO_GITHUB_CLIENT_SECRET"],
            places("SALDO_GITHUB_URLS", &sign_in.github_urls, Places::github)?,
        )?;
        let x = client(
            sign_in.x_client_id.as_ref(),
            sign_in.x_client_secret.as_ref(),
            ["SALDO_X_CLIENT_ID", "SALDO_X_CLIENT_SECRET"],
            places("SALDO_X_URLS", &sign_in.x_urls, Places::x)?,
        )?;
        let settings = oauth::Settings { google, github, x, ..oauth::Settings::default() };
        Providers::new(settings).map_err(|error| ConfigError::Service(error.to_string()))
    }

    /// Who sends mail; nobody in `local`, where it is kept to be looked at.
    pub fn mail(&self) -> Result<Option<MailSettings>, ConfigError> {
        match &self.sign_in.smtp_url {
            Some(smtp_url) => Ok(Some(MailSettings {
                smtp_url: smtp_url.clone(),
                from: self.sign_in.mail_from.clone(),
                root_certificates: None,
            })),
            None if self.environment == Environment::Local => Ok(None),
            None => Err(ConfigError::NoMail),
        }
    }

    /// Who sends text messages, where anybody does.
    pub fn sms(&self) -> Result<Option<SmsSettings>, ConfigError> {
        let sign_in = &self.sign_in;
        if let Some(account_sid) = &sign_in.twilio_account {
            let half = |name| ConfigError::Half("SALDO_TWILIO_ACCOUNT", name);
            let from = sign_in.twilio_from.clone().ok_or_else(|| half("SALDO_TWILIO_FROM"))?;
            return Ok(Some(SmsSettings::Twilio {
                base_url: sign_in.twilio_base_url.clone(),
                account_sid: account_sid.clone(),
                auth_token: sign_in
                    .twilio_token
                    .clone()
                    .ok_or_else(|| half("SALDO_TWILIO_TOKEN"))?,
                sender: match from.strip_prefix("MG") {
                    Some(_) => SmsSender::MessagingService(from),
                    None => SmsSender::From(from),
                },
            }));
        }
        let Some(url) = &sign_in.sms_webhook_url else { return Ok(None) };
        let half = ConfigError::Half("SALDO_SMS_WEBHOOK_URL", "SALDO_SMS_WEBHOOK_SECRET");
        let secret = sign_in.sms_webhook_secret.clone().ok_or(half)?;
        Ok(Some(SmsSettings::Webhook { url: url.clone(), secret }))
    }
}

/// A provider that is set up, where it is; half of it is an error.
fn client<Base>(
    id: Option<&String>,
    secret: Option<&SecretString>,
    [id_name, secret_name]: [&'static str; 2],
    base: Base,
) -> Result<Option<ProviderSettings<Base>>, ConfigError> {
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some(ProviderSettings {
            client_id: id.clone(),
            client_secret: secret.clone(),
            base,
        })),
        (Some(_), None) => Err(ConfigError::Half(id_name, secret_name)),
        (None, Some(_)) => Err(ConfigError::Half(secret_name, id_name)),
        (None, None) => Ok(None),
    }
}

fn places(
    name: &'static str,
    urls: &[String],
    usual: fn() -> Places,
) -> Result<Places, ConfigError> {
    match urls {
        [] => Ok(usual()),
        [authorize, token, api] => {
            Places::new(authorize, token, api).map_err(|error| ConfigError::Url(name, error))
        }
        _ => Err(ConfigError::Urls(name)),
    }
}
