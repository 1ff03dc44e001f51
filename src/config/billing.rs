//! How things are sold.

use chrono::TimeDelta;
use secrecy::SecretString;

use super::{Config, ConfigError};
use crate::clients::stripe::{self, Stripe};

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

impl BillingConfig {
    /// For how long after a payment has failed nothing becomes of it.
    pub(super) fn grace(&self) -> TimeDelta {
        TimeDelta::days(self.past_due_grace_days.unwrap_or(GRACE_DAYS).into())
    }
}

impl Config {
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
}
