//! How customers' own systems are told.

use super::{Config, ConfigError, Environment, Switch};
use crate::clients::webhooks::{Reach, Webhooks};

/// How customers' own systems are told.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WebhookConfig {
    /// Whether webhooks may go to private addresses, and to this machine without TLS; in `local` only.
    #[arg(long = "webhooks-private", env = "SALDO_WEBHOOKS_PRIVATE", value_enum)]
    pub private: Option<Switch>,
}

impl Config {
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
}
