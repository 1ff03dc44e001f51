//! What an operator may set: on the command line, in the environment and `.env`, and in a file.

mod ai;
mod billing;
mod check;
mod file;
mod layers;
mod meter;
mod production;
mod redis;
mod secrets;
mod sentry;
mod setting;
mod sign_in;
mod vault;
mod watch;
mod web;
mod webhooks;

use std::net::SocketAddr;
use std::path::PathBuf;

use chrono::TimeDelta;
use secrecy::SecretString;

use crate::clients::address::AddressError;
use crate::clients::redis::RedisUrlError;
use crate::store::heads;

pub use ai::AiConfig;
pub use billing::{BillingConfig, Disputed, FraudWarning, PastDue};
pub use check::Problems;
pub use layers::{Layer, Reading, Secrets, Shown, Sources, read};
pub use meter::MeterConfig;
pub use redis::RedisConfig;
pub use setting::Setting;
pub use sign_in::SignInConfig;
pub use vault::VaultConfig;
pub use watch::{LogFormat, REQUESTS, WatchConfig};
pub use web::{WebConfig, WebSettings};
pub use webhooks::WebhookConfig;

/// Where Saldo runs; decides what is required and what is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Environment {
    /// On somebody's own machine: nothing is required.
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
    /// The database again, by the role that owns it: for `saldo migrate` and `saldo projections rebuild`, where
    /// the role of `DATABASE_URL` may only append to the log.
    #[arg(long, env = "SALDO_MIGRATIONS_DATABASE_URL", hide_env_values = true)]
    pub migrations_database_url: Option<SecretString>,
    /// A standby of the database, which answers queries of read models as far as it has what the caller must see;
    /// without it, and while it is behind or away, the database does.
    #[arg(long, env = "SALDO_REPLICA_DATABASE_URL", hide_env_values = true)]
    pub replica_database_url: Option<SecretString>,
    /// The data folder: the private Postgres, keys, signed heads.
    #[arg(long, env = "SALDO_DATA_DIR", default_value = ".saldo")]
    pub data_dir: PathBuf,
    /// Connections to the database, besides the writer's and the projections' own.
    #[arg(long, env = "SALDO_DATABASE_CONNECTIONS", default_value = "16")]
    pub database_connections: u32,
    /// Where nodes keep together what helps and is not needed.
    #[command(flatten)]
    pub redis: RedisConfig,
    /// Who may ask from where, and by which way.
    #[command(flatten)]
    pub web: WebConfig,
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
    /// How it is watched.
    #[command(flatten)]
    pub watch: WatchConfig,
    /// Where secrets are kept.
    #[command(flatten)]
    pub vault: VaultConfig,
}

/// Whether something is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Switch {
    /// It is.
    On,
    /// It is not.
    Off,
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
    /// Not the address of a site.
    #[error(
        "SALDO_CORS_ORIGINS has {0:?}: name each site as browsers do, https://app.example.com, without a path"
    )]
    Origin(String),
    /// Who would be sent where is not known.
    #[error(
        "SALDO_HTTPS_REDIRECT=on needs SALDO_TRUSTED_PROXIES, and a SALDO_PUBLIC_URL with https://"
    )]
    Redirect,
    /// Whoever guesses it reads how business goes.
    #[error("SALDO_METRICS_TOKEN could be guessed: set one of at least 16 characters")]
    ShortToken,
    /// No address of a collector.
    #[error(
        "OTEL_EXPORTER_OTLP_ENDPOINT is no address of a collector: set one as http://127.0.0.1:4318, which takes OTLP over HTTP, without user, query or fragment"
    )]
    Collector,
    /// Nobody could be told of errors.
    #[error("SENTRY_DSN is no DSN: copy it from the settings of the project at Sentry")]
    Dsn,
    /// This program does not know how to tell Sentry.
    #[error(
        "SENTRY_DSN is set, and this saldo was built without Sentry: build it with `cargo build --release --features sentry`, or remove the setting"
    )]
    WithoutSentry,
    /// Half of what a service needs.
    #[error("{0} needs {1} beside it: set both, or neither")]
    Half(&'static str, &'static str),
    /// An address of a provider cannot be used.
    #[error("{0}: {1}")]
    Url(&'static str, AddressError),
    /// An address of a Redis cannot be used.
    #[error("REDIS_URL {0}")]
    Redis(#[from] RedisUrlError),
    /// Not three addresses.
    #[error("{0} must have three addresses with commas: authorize, token, API")]
    Urls(&'static str),
    /// Nothing can be sent.
    #[error("SALDO_SMTP_URL is needed outside SALDO_ENV=local: people could not be written to")]
    NoMail,
    /// A secret is kept where nobody is let in.
    #[error("{0} is needed to read what is kept in Vault: set it")]
    NoVault(&'static str),
    /// Customers would be at risk.
    #[error("{0}, with SALDO_ENV=production")]
    Unsafe(&'static str),
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
    /// Who may ask from where, and by which way.
    pub web: WebSettings,
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
    /// What whoever reads the metrics has to bring; nobody reads them, where there is none.
    pub metrics_token: Option<SecretString>,
    /// Where the heads are that this node has signed.
    pub heads: PathBuf,
}

impl Config {
    /// What handlers need of it, for a server that listens at this address.
    pub fn settings(&self, listens: SocketAddr) -> Result<Settings, ConfigError> {
        let local = self.environment == Environment::Local;
        let public_url = self.sign_in.public_url.clone();
        let public_url = public_url.unwrap_or_else(|| format!("http://{listens}"));
        Ok(Settings {
            environment: self.environment,
            public_url: public_url.trim_end_matches('/').to_owned(),
            must_verify: self
                .sign_in
                .verify_addresses
                .map_or(!local, |switch| switch == Switch::On),
            rate_limits: self.rate_limits()?,
            web: self.web_settings()?,
            sends_texts: local || self.sms()?.is_some(),
            past_due: self.billing.past_due.unwrap_or_default(),
            past_due_grace: self.billing.grace(),
            disputed: self.billing.disputed.unwrap_or_default(),
            fraud_warning: self.billing.fraud_warning.unwrap_or_default(),
            call_hold: self.meter.call_hold(),
            queued_hold: self.meter.queued_hold(),
            metrics_token: self.metrics_token()?,
            heads: self.data_dir.join(heads::FILE),
        })
    }

    /// Whether requests are limited.
    fn rate_limits(&self) -> Result<bool, ConfigError> {
        match self.sign_in.rate_limits {
            Some(Switch::Off) if self.environment != Environment::Local => {
                Err(ConfigError::LimitsOff)
            }
            limits => Ok(limits != Some(Switch::Off)),
        }
    }
}
