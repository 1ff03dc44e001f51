//! All that is wrong with a configuration, at once.

use std::fmt;

use super::{Config, ConfigError, Environment};

/// What keeps a node from starting, a sentence each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("nothing is wrong"),
            [problem] => f.write_str(problem),
            problems => {
                write!(f, "the settings have {} problems:", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
            }
        }
    }
}

impl std::error::Error for Problems {}

impl Config {
    /// What keeps a node from starting. Who sends messages and which models are offered is looked at by those who
    /// do so.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigError> {
        let mut problems: Vec<_> = self.origins().filter_map(Result::err).collect();
        if self.migrations_database_url.is_some() && self.database_url.is_none() {
            let half = ConfigError::Half("SALDO_MIGRATIONS_DATABASE_URL", "DATABASE_URL");
            problems.push(half);
        }
        problems.extend(self.rate_limits().err());
        problems.extend(self.https_redirect().err());
        problems.extend(self.metrics_token().err());
        problems.extend(self.traces().err());
        problems.extend(self.sentry().err());
        problems.extend(self.google().err());
        problems.extend(self.github().err());
        problems.extend(self.x().err());
        problems.extend(self.stripe().err());
        problems.extend(self.gemini().err());
        problems.extend(self.anthropic().err());
        problems.extend(self.openai().err());
        problems.extend(self.webhooks().err());
        problems.extend(self.redis().err());
        if self.environment == Environment::Production {
            problems.extend(self.risks().map(ConfigError::Unsafe));
        }
        problems
    }

    /// What would be refused in production, where this is the rehearsal.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let risks: Vec<_> = match self.environment {
            Environment::Local | Environment::Production => vec![],
            Environment::Dev | Environment::Staging => self.risks().collect(),
        };
        risks.into_iter().map(|risk| format!("production would refuse this: {risk}")).collect()
    }
}
