//! How whoever operates a node watches it.

use std::net::SocketAddr;

use clap::ValueEnum;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::{Config, ConfigError, Environment};
use crate::clients::address;

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
    /// Where traces are sent: a collector that takes OTLP over HTTP, without `/v1/traces`. Without it there are none.
    #[arg(long = "otel-exporter-otlp-endpoint", env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Where errors are sent: the DSN of a project at Sentry. Needs a program that was built with `--features sentry`.
    #[arg(long, env = "SENTRY_DSN", hide_env_values = true)]
    pub sentry_dsn: Option<SecretString>,
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

    /// Where traces are sent, where they are; what is set to nothing is not set.
    pub fn traces(&self) -> Result<Option<Url>, ConfigError> {
        let set = self.watch.otlp_endpoint.as_deref().map(str::trim);
        let Some(set) = set.filter(|set| !set.is_empty()) else { return Ok(None) };
        let collector = address::parse(set).ok();
        let collector = collector.filter(|url| ["http", "https"].contains(&url.scheme()));
        let collector = collector.ok_or(ConfigError::Collector)?;
        Ok(Some(address::below(&collector, "v1/traces")))
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
    fn traces_go_below_a_collectors_address_and_to_nothing_else() {
        let traces = |at: &str| config(&["--otel-exporter-otlp-endpoint", at]).traces();
        let told = |at: &str| traces(at).expect("an address").map(|url| url.to_string());
        assert_eq!(config(&[]).traces().expect("none"), None);
        assert_eq!(told(" "), None);
        let known = Some("http://127.0.0.1:4318/v1/traces".to_owned());
        assert_eq!(told("http://127.0.0.1:4318"), known);
        let below = Some("https://collector.example/saldo/v1/traces".to_owned());
        assert_eq!(told("https://collector.example/saldo/"), below);
        for wrong in ["collector:4317", "grpc://collector", "http://me:word@collector", "/traces"] {
            let said = traces(wrong).expect_err(wrong).to_string();
            assert!(said.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT "), "{said}");
            assert!(!said.contains("word"), "{said}");
        }
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
