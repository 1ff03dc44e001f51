//! Who is told of errors.

use secrecy::{ExposeSecret, SecretString};
#[cfg(feature = "sentry")]
use sentry::types::Dsn;

use super::{Config, ConfigError};

impl Config {
    /// Where errors are sent, where they are.
    #[cfg(feature = "sentry")]
    pub fn sentry(&self) -> Result<Option<Dsn>, ConfigError> {
        let dsn = self.dsn().map(|dsn| dsn.expose_secret().trim().parse());
        dsn.transpose().map_err(|_| ConfigError::Dsn)
    }

    /// Nowhere: this program does not know how.
    #[cfg(not(feature = "sentry"))]
    pub(super) fn sentry(&self) -> Result<(), ConfigError> {
        self.dsn().map_or(Ok(()), |_| Err(ConfigError::WithoutSentry))
    }

    /// What is set; what is set to nothing is not set.
    fn dsn(&self) -> Option<&SecretString> {
        self.watch.sentry_dsn.as_ref().filter(|dsn| !dsn.expose_secret().trim().is_empty())
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

    fn problems(dsn: &str) -> Vec<String> {
        let config = Line::parse_from(["saldo", "--sentry-dsn", dsn]).config;
        config.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_cannot_be_told_to_sentry_is_refused_by_name_and_without_the_key() {
        assert_eq!(problems(""), Vec::<String>::new());
        let good = problems("https://a-key@sentry.example/1");
        let wrong = problems("a-key");
        assert!(wrong[0].starts_with("SENTRY_DSN ") && !wrong[0].contains("a-key"), "{wrong:?}");
        if cfg!(feature = "sentry") {
            assert_eq!(good, Vec::<String>::new());
        } else {
            assert!(
                good[0].contains("--features sentry") && !good[0].contains("a-key"),
                "{good:?}"
            );
        }
    }
}
