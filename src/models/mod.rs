//! What models are on offer: for whom, at which price, and who answers for them. One file says it, which
//! an operator may replace; its version stands in every event that was charged by it.

mod known;
mod rate;

use std::path::Path;
use std::str::FromStr;

use aggregates::credits::Credits;
use serde::de::IntoDeserializer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clients::llm::{Llm, PROVIDERS, Route, Task};

pub use known::KnownTiers;
pub use rate::{Rate, RateError, Rates, TokenCount};

/// What is on offer where no file says otherwise.
const DEFAULT: &str = include_str!("default.json");
/// What a client may name instead of a model: the first of its tier.
pub const AUTO: &str = "auto";
/// The longest answer that may be offered, in tokens.
const LONGEST: u32 = 1_000_000;

/// What somebody has subscribed to; each has what the ones before have.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Nothing.
    Free,
    /// A plan with the small models.
    Basic,
    /// A plan with all of them.
    Pro,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Free, Self::Basic, Self::Pro];
}

impl FromStr for Tier {
    type Err = serde::de::value::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::deserialize(name.into_deserializer())
    }
}

/// Why a file of models cannot be used: what is wrong with what.
#[derive(Debug, thiserror::Error)]
pub enum ModelsError {
    /// It cannot be read.
    #[error("SALDO_MODELS: {0} cannot be read: {1}")]
    Unreadable(String, std::io::Error),
    /// It is not what it should be: a price that is missing, zero or negative, too.
    #[error("SALDO_MODELS: the models are not as they should be: {0}")]
    Malformed(#[from] serde_path_to_error::Error<serde_json::Error>),
    /// Something comes after it.
    #[error("SALDO_MODELS: nothing may follow the object of the models: {0}")]
    Longer(serde_json::Error),
    /// Two models have one id, or one has what is no id.
    #[error(
        "SALDO_MODELS: models[].id: {0:?} is there twice, or is no id: give each model a word of its own, other than \"auto\", \
         of 1 to 100 characters without spaces"
    )]
    Id(String),
    /// A tier names what is not there, or what it may not use.
    #[error(
        "SALDO_MODELS: the tier {0:?} names {1:?}, which is not a model that it may use: name one of its own tier, or of one below"
    )]
    TierModel(Tier, String),
    /// A model has nobody who answers.
    #[error(
        "SALDO_MODELS: routes of {0:?} are empty: name at least one provider, and what it calls the model"
    )]
    NoRoute(String),
    /// A route names a provider that there is not.
    #[error("SALDO_MODELS: routes of {0:?}: there is no provider {1:?}: name one of {names}", names = PROVIDERS.join(", "))]
    Provider(String, String),
    /// An answer must have a length.
    #[error("SALDO_MODELS: max_output_tokens of {0:?} must be between 1 and {LONGEST}")]
    Length(String),
    /// The file has no version, or one that is no word.
    #[error("SALDO_MODELS: the version must have 1 to 40 characters, none of them spaces")]
    Version,
    /// Somebody would have no model at all.
    #[error(
        "SALDO_MODELS: the tier {0:?} has no model whose provider is configured: add \"local-1\" to it, or a key"
    )]
    Nobody(Tier),
}

/// A model on offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// What clients call it.
    pub id: String,
    /// From which tier on it may be used.
    pub tier: Tier,
    /// What its tokens cost.
    pub rates: Rates,
    /// The longest answer, in tokens.
    pub max_output_tokens: u32,
    /// Who answers, the first who can.
    pub routes: Vec<Route>,
}

/// What models are on offer.
#[derive(Clone, Debug)]
pub struct Models {
    version: String,
    fixed: Fixed,
    free: TierTerms,
    basic: TierTerms,
    pro: TierTerms,
    offered: Vec<Model>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixed {
    summarize: Rate,
    analyze: Rate,
}

/// What a tier has.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TierTerms {
    /// Which models answer where nobody names one; the first that is configured.
    models: Vec<String>,
    /// Messages a day (UTC); as many as can be paid, when none.
    #[serde(default)]
    chat_messages_per_day: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    fixed: Fixed,
    tiers: TiersFile,
    models: Vec<ModelFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TiersFile {
    free: TierTerms,
    basic: TierTerms,
    pro: TierTerms,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    id: String,
    tier: Tier,
    input_per_million: Rate,
    output_per_million: Rate,
    max_output_tokens: u32,
    routes: Vec<RouteFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RouteFile {
    provider: String,
    model: String,
}

impl Models {
    /// What this file says is on offer, or what is where there is none, as far as its providers are
    /// configured.
    pub fn load(file: Option<&Path>, providers: &Llm) -> Result<Self, ModelsError> {
        match file {
            None => Self::parse(DEFAULT, providers),
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let named = |error| ModelsError::Unreadable(path.display().to_string(), error);
                Self::parse(&text.map_err(named)?, providers)
            }
        }
    }

    fn parse(text: &str, providers: &Llm) -> Result<Self, ModelsError> {
        let mut json = serde_json::Deserializer::from_str(text);
        let File { version, fixed, tiers, models } = serde_path_to_error::deserialize(&mut json)?;
        json.end().map_err(ModelsError::Longer)?;
        if version.is_empty() || version.len() > 40 || version.contains(char::is_whitespace) {
            return Err(ModelsError::Version);
        }
        let TiersFile { free, basic, pro } = tiers;
        let models = models.into_iter().map(Model::try_from).collect::<Result<Vec<_>, _>>()?;
        let mut all = Self { version, fixed, free, basic, pro, offered: models };
        all.check()?;
        for model in &mut all.offered {
            model.routes.retain(|route| providers.has(&route.provider));
        }
        all.offered.retain(|model| !model.routes.is_empty());
        for tier in Tier::ALL {
            if all.of_tier(tier).is_none() {
                return Err(ModelsError::Nobody(tier));
            }
        }
        Ok(all)
    }

    fn check(&self) -> Result<(), ModelsError> {
        for (place, model) in self.offered.iter().enumerate() {
            let is_twice = self.offered.iter().skip(place + 1).any(|other| other.id == model.id);
            let is_word = !model.id.is_empty() && !model.id.contains(char::is_whitespace);
            if is_twice || !is_word || model.id.len() > 100 || model.id == AUTO {
                return Err(ModelsError::Id(model.id.clone()));
            }
        }
        for model in &self.offered {
            let mut named = model.routes.iter().map(|route| route.provider.as_str());
            if let Some(unknown) = named.find(|name| !PROVIDERS.contains(name)) {
                return Err(ModelsError::Provider(model.id.clone(), unknown.to_owned()));
            }
        }
        for tier in Tier::ALL {
            for id in &self.terms(tier).models {
                if self.find(id).is_none_or(|model| model.tier > tier) {
                    return Err(ModelsError::TierModel(tier, id.clone()));
                }
            }
        }
        Ok(())
    }

    fn terms(&self, tier: Tier) -> &TierTerms {
        match tier {
            Tier::Free => &self.free,
            Tier::Basic => &self.basic,
            Tier::Pro => &self.pro,
        }
    }

    fn of_tier(&self, tier: Tier) -> Option<&Model> {
        self.terms(tier).models.iter().find_map(|id| self.find(id))
    }

    /// The version of what is said here.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The model of this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&Model> {
        self.offered.iter().find(|model| model.id == id)
    }

    /// All models.
    #[must_use]
    pub fn all(&self) -> &[Model] {
        &self.offered
    }

    /// The model that answers a tier where it names none.
    #[must_use]
    pub fn usual(&self, tier: Tier) -> &Model {
        // A list without a model for each tier is not loaded.
        self.of_tier(tier).unwrap_or(&self.offered[0])
    }

    /// What a call of a fixed price costs; none where the price is metered.
    #[must_use]
    pub fn fixed(&self, task: Task) -> Option<Credits> {
        match task {
            Task::Summarize => Some(self.fixed.summarize.credits()),
            Task::Analyze => Some(self.fixed.analyze.credits()),
            Task::Chat => None,
        }
    }

    /// Messages a day in chats; as many as can be paid, when none.
    #[must_use]
    pub fn chat_messages_per_day(&self, tier: Tier) -> Option<u32> {
        self.terms(tier).chat_messages_per_day
    }
}

impl TryFrom<ModelFile> for Model {
    type Error = ModelsError;

    fn try_from(file: ModelFile) -> Result<Self, ModelsError> {
        let ModelFile { id, tier, input_per_million, output_per_million, .. } = file;
        let rates = Rates { input: input_per_million, output: output_per_million };
        if file.routes.is_empty() {
            return Err(ModelsError::NoRoute(id));
        }
        if !(1..=LONGEST).contains(&file.max_output_tokens) {
            return Err(ModelsError::Length(id));
        }
        let routes = file.routes.into_iter();
        let routes = routes.map(|RouteFile { provider, model }| Route { provider, model });
        let max_output_tokens = file.max_output_tokens;
        Ok(Self { id, tier, rates, max_output_tokens, routes: routes.collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::llm::{Anthropic, Endpoint, Gemini, Local, OpenAi, Patience};

    fn local() -> Llm {
        Llm::new(vec![Box::new(Local)])
    }

    /// The default file with this in the place of that.
    fn with(that: &str, this: &str) -> Result<Models, ModelsError> {
        assert!(DEFAULT.contains(that), "{that} is not in the file");
        Models::parse(&DEFAULT.replacen(that, this, 1), &local())
    }

    #[test]
    fn without_any_key_the_local_model_answers_everybody() {
        let models = Models::load(None, &local()).expect("the default file is good");
        for tier in Tier::ALL {
            assert_eq!(models.usual(tier).id, "local-1");
        }
        assert_eq!(models.all().len(), 1);
        assert_eq!(models.chat_messages_per_day(Tier::Free), Some(5));
        assert_eq!(models.chat_messages_per_day(Tier::Basic), None);
    }

    /// All that there are; nobody is asked.
    fn everybody() -> Llm {
        let base = "https://example.com".parse().expect("an address");
        let endpoint = Endpoint { base, key: Some("a key".into()) };
        let patience = Patience::default;
        Llm::new(vec![
            Box::new(Local),
            Box::new(Gemini::new(&endpoint, patience()).expect("good settings")),
            Box::new(Anthropic::new(&endpoint, patience()).expect("good settings")),
            Box::new(OpenAi::new(&endpoint, patience()).expect("good settings")),
        ])
    }

    #[test]
    fn each_tier_has_its_model_where_all_providers_are_configured() {
        let models = Models::load(None, &everybody()).expect("the default file is good");
        for (tier, id, provider) in [
            (Tier::Free, "gemini-2.5-flash-lite", "gemini"),
            (Tier::Basic, "claude-haiku-4-5", "anthropic"),
            (Tier::Pro, "claude-sonnet-4-5", "anthropic"),
        ] {
            let usual = models.usual(tier);
            assert_eq!((usual.id.as_str(), usual.tier), (id, tier));
            let first = Route { provider: provider.to_owned(), model: id.to_owned() };
            assert_eq!(usual.routes.first(), Some(&first));
        }
        let limits = Tier::ALL.map(|tier| models.chat_messages_per_day(tier));
        assert_eq!(limits, [Some(5), None, None]);
    }

    /// T3.
    #[test]
    fn a_price_that_is_missing_or_not_positive_is_an_error_that_names_it() {
        let price = "\"output_per_million\": 1000,";
        for wrong in ["0", "-1", "1.5", "null", "\"5\"", "9223372036854775808"] {
            let error = with(price, &format!("\"output_per_million\": {wrong},"));
            let error = error.expect_err(wrong).to_string();
            assert!(error.contains("models[0].output_per_million"), "{wrong}: {error}");
        }
        let error = with(price, "").expect_err("it is missing").to_string();
        assert!(error.contains("output_per_million"), "{error}");
        for wrong in ["0", "-10"] {
            let error = with("\"summarize\": 10", &format!("\"summarize\": {wrong}"));
            let error = error.expect_err(wrong).to_string();
            assert!(error.contains("fixed.summarize"), "{error}");
        }
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let id = |error| matches!(error, Err(ModelsError::Id(_)));
        assert!(id(with("\"id\": \"gpt-5\"", "\"id\": \"local-1\"")));
        assert!(id(with("\"id\": \"gpt-5\"", "\"id\": \"auto\"")));
        let of_tier = with("\"claude-haiku-4-5\", \"gemini", "\"claude-sonnet-4-5\", \"gemini");
        assert!(matches!(of_tier, Err(ModelsError::TierModel(Tier::Basic, _))), "{of_tier:?}");
        let nobody = with("\"gpt-5-nano\", \"local-1\"], \"chat", "\"gpt-5-nano\"], \"chat");
        assert!(matches!(nobody, Err(ModelsError::Nobody(Tier::Free))), "{nobody:?}");
        let provider = with("\"provider\": \"anthropic\"", "\"provider\": \"antropic\"");
        let error = provider.expect_err("it is misspelt").to_string();
        assert!(
            error.contains("\"claude-haiku-4-5\"") && error.contains("\"antropic\""),
            "{error}"
        );
        assert!(error.contains("local, gemini, anthropic, openai"), "{error}");
        let longer = Models::parse(&format!("{DEFAULT} {{}}"), &local());
        assert!(matches!(longer, Err(ModelsError::Longer(_))), "{longer:?}");
        let version = with("\"2026-11\"", "\"\"");
        assert!(matches!(version, Err(ModelsError::Version)), "{version:?}");
    }
}
