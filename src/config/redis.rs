//! Where nodes keep together what helps and is not needed.

use secrecy::{ExposeSecret, SecretString};

use super::{Config, ConfigError};
use crate::clients::redis::RedisUrl;

/// Where nodes keep together what helps and is not needed.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct RedisConfig {
    /// A Redis, `redis://user:password@host:6379/0`, or `rediss://…` for TLS; without it, lists are read from
    /// the database each time.
    #[arg(long = "redis-url", env = "REDIS_URL", hide_env_values = true)]
    pub url: Option<SecretString>,
}

impl Config {
    /// Where Redis is, where there is one; what is set to nothing is not set.
    pub fn redis(&self) -> Result<Option<RedisUrl>, ConfigError> {
        let url = self.redis.url.as_ref().map(|url| url.expose_secret().trim());
        let url = url.filter(|url| !url.is_empty()).map(str::parse).transpose();
        Ok(url?)
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

    #[test]
    fn without_an_address_there_is_none_and_one_that_cannot_be_read_is_refused_by_name() {
        let redis = |url: &str| Line::parse_from(["saldo", "--redis-url", url]).config.redis();
        assert!(redis("redis://127.0.0.1").expect("a good address").is_some());
        assert!(redis(" ").expect("no address").is_none());
        let said = redis("127.0.0.1:6379").expect_err("no URL").to_string();
        assert!(said.starts_with("REDIS_URL ") && said.contains("redis://"), "{said}");
    }
}
