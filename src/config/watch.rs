//! How whoever operates a node watches it.

use std::net::SocketAddr;

use clap::ValueEnum;
use secrecy::{ExposeSecret, SecretString};

use super::{Config, ConfigError, Environment};

/// Fewer characters of a token could be guessed.
const SHORTEST: usize = 16;

/// How whoever operates a node watches it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WatchConfig {
    /// How the log of the server is written; for people on a terminal and in `local`, else as JSON.
    #[arg(long, env = "SALDO_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Where `/metrics`, `/livez`, `/readyz` and `/healthz` are answered besides, to whoever comes: an address
    /// that only those who operate it can reach.
    #[arg(long, env = "SALDO_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
    /// What `/metrics` beside the API wants as a bearer token, at least 16 characters; without it there is no
    /// such route, but in `local` to this machine.
    #[arg(long, env = "SALDO_METRICS_TOKEN", hide_env_values = true)]
    pub metrics_token: Option<SecretString>,
}

/// As what the lines of requests stand in the log of the server, for `RUST_LOG`.
pub const REQUESTS: &str = "saldo::requests";

/// How the log of the server is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Human,
}

impl Config {
    /// How the log of the server is written.
    #[must_use]
    pub fn log_format(&self, is_terminal: bool) -> LogFormat {
        let usual = if is_terminal || self.environment == Environment::Local {
            LogFormat::Human
        } else {
            LogFormat::Json
        };
        self.watch.log_format.unwrap_or(usual)
    }

    /// The token, where there is one; what is set to nothing is not set.
    pub(super) fn metrics_token(&self) -> Result<Option<SecretString>, ConfigError> {
        let token = self.watch.metrics_token.clone();
        let token = token.filter(|token| !token.expose_secret().is_empty());
        match &token {
            Some(token) if token.expose_secret().len() < SHORTEST => Err(ConfigError::ShortToken),
            _ => Ok(token),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        config: Config,
    }

    fn config(arguments: &[&str]) -> Config {
        Line::parse_from([&["saldo"], arguments].concat()).config
    }

    #[test]
    fn machines_read_json_and_people_do_not_unless_it_is_set() {
        let production = config(&["--environment", "production"]);
        assert_eq!(production.log_format(false), LogFormat::Json);
        assert_eq!(production.log_format(true), LogFormat::Human);
        assert_eq!(config(&[]).log_format(false), LogFormat::Human);
        assert_eq!(config(&["--log-format", "json"]).log_format(true), LogFormat::Json);
    }

    #[test]
    fn a_token_that_could_be_guessed_is_refused_by_name() {
        let token = |token: &str| config(&["--metrics-token", token]).metrics_token();
        assert!(token("0123456789abcdef").expect("long enough").is_some());
        assert!(token("").expect("none").is_none());
        let said = token("0123456789abcde").expect_err("too short").to_string();
        assert!(said.starts_with("SALDO_METRICS_TOKEN "), "{said}");
    }
}
