//! Where Vault is, which may hold secrets.

use secrecy::SecretString;

use super::{Config, ConfigError, Environment};
use crate::clients::address::{AddressError, is_secure, parse};
use crate::clients::vault::{Vault, VaultSettings};

/// Where Vault is, which may hold secrets.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct VaultConfig {
    /// HashiCorp Vault, or OpenBao: `https://vault.example.com:8200`. A secret is then named where it would
    /// stand: `vault:secret/data/saldo#stripe_secret_key`.
    #[arg(long = "vault-addr", env = "SALDO_VAULT_ADDR")]
    pub address: Option<String>,
    /// What Vault lets us in by; it needs to read, and nothing else.
    #[arg(long = "vault-token", env = "SALDO_VAULT_TOKEN", hide_env_values = true)]
    pub token: Option<SecretString>,
    /// Which namespace of Vault, where it has several.
    #[arg(long = "vault-namespace", env = "SALDO_VAULT_NAMESPACE")]
    pub namespace: Option<String>,
}

impl Config {
    /// Who holds secrets.
    pub(super) fn vault(&self) -> Result<Vault, ConfigError> {
        let VaultConfig { address, token, namespace } = &self.vault;
        let address = address.as_deref().ok_or(ConfigError::NoVault("SALDO_VAULT_ADDR"))?;
        let token = token.clone().ok_or(ConfigError::NoVault("SALDO_VAULT_TOKEN"))?;
        let wrong = |error| ConfigError::Url("SALDO_VAULT_ADDR", error);
        let address = parse(address).map_err(wrong)?;
        if self.environment != Environment::Local && !is_secure(&address) {
            return Err(wrong(AddressError::Insecure));
        }
        let settings = VaultSettings { address, token, namespace: namespace.clone() };
        Vault::new(settings).map_err(|error| ConfigError::Service(error.to_string()))
    }
}
