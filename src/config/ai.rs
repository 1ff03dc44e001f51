//! Who answers AI calls.

use secrecy::{ExposeSecret, SecretString};

use super::{Config, ConfigError, Environment};
use crate::clients::address::{AddressError, is_secure, parse};
use crate::clients::llm::{
    ANTHROPIC, Anthropic, Endpoint, GEMINI, Gemini, Llm, LlmProvider, Local, OPENAI, OpenAi,
    Patience, SettingsError,
};

/// Who answers AI calls, besides the provider that needs no key.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AiConfig {
    /// What Gemini knows this server by.
    #[arg(long, env = "GEMINI_API_KEY", hide_env_values = true)]
    pub gemini_api_key: Option<SecretString>,
    /// Gemini's API, or what speaks as it does.
    #[arg(long, env = "GEMINI_BASE_URL")]
    pub gemini_base_url: Option<String>,
    /// What Anthropic knows this server by.
    #[arg(long, env = "ANTHROPIC_API_KEY", hide_env_values = true)]
    pub anthropic_api_key: Option<SecretString>,
    /// Anthropic's API, or what speaks as it does.
    #[arg(long, env = "ANTHROPIC_BASE_URL")]
    pub anthropic_base_url: Option<String>,
    /// What OpenAI knows this server by.
    #[arg(long, env = "OPENAI_API_KEY", hide_env_values = true)]
    pub openai_api_key: Option<SecretString>,
    /// OpenAI's API, or what speaks as it does, with its path: `http://127.0.0.1:11434/v1`. A server that
    /// wants no key needs none.
    #[arg(long, env = "OPENAI_BASE_URL")]
    pub openai_base_url: Option<String>,
}

impl Config {
    /// Who answers AI calls: whoever has a key, and the provider that needs none.
    pub fn llm(&self) -> Result<Llm, ConfigError> {
        let mut providers: Vec<Box<dyn LlmProvider>> = vec![Box::new(Local)];
        providers.extend(self.gemini()?);
        providers.extend(self.anthropic()?);
        providers.extend(self.openai()?);
        Ok(Llm::new(providers))
    }

    pub(super) fn gemini(&self) -> Result<Option<Box<dyn LlmProvider>>, ConfigError> {
        let (key, base) = (self.ai.gemini_api_key.as_ref(), self.ai.gemini_base_url.as_deref());
        let endpoint = self.endpoint(key, ("GEMINI_BASE_URL", base, GEMINI))?;
        let Some(endpoint) = endpoint.filter(has_key) else { return Ok(None) };
        Ok(Some(Box::new(Gemini::new(&endpoint, Patience::default())?)))
    }

    pub(super) fn anthropic(&self) -> Result<Option<Box<dyn LlmProvider>>, ConfigError> {
        let (key, base) =
            (self.ai.anthropic_api_key.as_ref(), self.ai.anthropic_base_url.as_deref());
        let endpoint = self.endpoint(key, ("ANTHROPIC_BASE_URL", base, ANTHROPIC))?;
        let Some(endpoint) = endpoint.filter(has_key) else { return Ok(None) };
        Ok(Some(Box::new(Anthropic::new(&endpoint, Patience::default())?)))
    }

    pub(super) fn openai(&self) -> Result<Option<Box<dyn LlmProvider>>, ConfigError> {
        let (key, base) = (self.ai.openai_api_key.as_ref(), self.ai.openai_base_url.as_deref());
        let endpoint = self.endpoint(key, ("OPENAI_BASE_URL", base, OPENAI))?;
        let Some(endpoint) = endpoint else { return Ok(None) };
        Ok(Some(Box::new(OpenAi::new(&endpoint, Patience::default())?)))
    }

    /// A provider's place, where a key or a place was set; what is set to nothing is not set.
    fn endpoint(
        &self,
        key: Option<&SecretString>,
        (name, set, usual): (&'static str, Option<&str>, &str),
    ) -> Result<Option<Endpoint>, ConfigError> {
        let key = key.filter(|key| !key.expose_secret().trim().is_empty()).cloned();
        let set = set.map(str::trim).filter(|set| !set.is_empty());
        if key.is_none() && set.is_none() {
            return Ok(None);
        }
        let wrong = |error| ConfigError::Url(name, error);
        let base = parse(set.unwrap_or(usual)).map_err(wrong)?;
        if !["http", "https"].contains(&base.scheme()) {
            return Err(wrong(AddressError::Malformed));
        }
        // On one's own machine a model may run on the next one, or in a container.
        if self.environment != Environment::Local && !is_secure(&base) {
            return Err(wrong(AddressError::Insecure));
        }
        Ok(Some(Endpoint { base, key }))
    }
}

/// A place alone does not say that somebody is to be asked: other programs read the same settings.
fn has_key(endpoint: &Endpoint) -> bool {
    endpoint.key.is_some()
}

impl From<SettingsError> for ConfigError {
    fn from(error: SettingsError) -> Self {
        Self::Service(error.to_string())
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

    const PROVIDERS: [&str; 4] = ["local", "gemini", "anthropic", "openai"];

    fn llm(environment: Environment, ai: AiConfig) -> Result<Llm, ConfigError> {
        let config = Line::parse_from(["saldo"]).config;
        Config { environment, ai, ..config }.llm()
    }

    /// Who is asked with this configuration, which is a good one.
    fn who(ai: AiConfig) -> Vec<&'static str> {
        let llm = llm(Environment::Local, ai).expect("a good configuration");
        PROVIDERS.into_iter().filter(|name| llm.has(name)).collect()
    }

    #[test]
    fn whoever_has_a_key_is_asked_and_the_embedded_provider_always() {
        let (none, key) = (AiConfig::default, || Some(SecretString::from("k")));
        assert_eq!(who(none()), ["local"]);
        assert_eq!(who(AiConfig { gemini_api_key: key(), ..none() }), ["local", "gemini"]);
        assert_eq!(who(AiConfig { anthropic_api_key: key(), ..none() }), ["local", "anthropic"]);
        assert_eq!(who(AiConfig { openai_api_key: key(), ..none() }), ["local", "openai"]);
        let blank = Some(SecretString::from(" "));
        assert_eq!(who(AiConfig { openai_api_key: blank, ..none() }), ["local"]);
    }

    #[test]
    fn only_what_is_compatible_with_openai_needs_no_key() {
        let here = Some("http://127.0.0.1:11434/v1".to_owned());
        let openai = AiConfig { openai_base_url: here.clone(), ..AiConfig::default() };
        assert_eq!(who(openai), ["local", "openai"]);
        let others = AiConfig {
            gemini_base_url: here.clone(),
            anthropic_base_url: here,
            ..AiConfig::default()
        };
        assert_eq!(who(others), ["local"]);
    }

    #[test]
    fn keys_are_sent_in_clear_on_this_machine_only_unless_it_is_somebodys_own() {
        let at = |environment, base: &str| {
            let gemini_api_key = Some(SecretString::from("k"));
            let ai = AiConfig {
                gemini_api_key,
                gemini_base_url: Some(base.to_owned()),
                ..AiConfig::default()
            };
            llm(environment, ai).err().map(|error| error.to_string())
        };
        let refused = at(Environment::Production, "http://models.example").expect("a refusal");
        assert!(refused.contains("GEMINI_BASE_URL") && refused.contains("https"), "{refused}");
        assert_eq!(at(Environment::Production, "http://127.0.0.1:9"), None);
        assert_eq!(at(Environment::Production, "https://models.example"), None);
        assert_eq!(at(Environment::Local, "http://models.example"), None);
    }

    #[test]
    fn an_address_or_a_key_that_cannot_be_used_is_refused_by_name() {
        let refused = |ai| llm(Environment::Local, ai).err().expect("a refusal").to_string();
        let openai_base_url = Some("ftp://models.example".to_owned());
        let said = refused(AiConfig { openai_base_url, ..AiConfig::default() });
        assert!(said.contains("OPENAI_BASE_URL"), "{said}");
        let anthropic_api_key = Some(SecretString::from("sk\nant"));
        let said = refused(AiConfig { anthropic_api_key, ..AiConfig::default() });
        assert!(said.contains("anthropic"), "{said}");
    }
}
