//! Settings in layers: what is usual, below the file, below the environment, below the command line.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use clap::FromArgMatches;
use clap::error::{ContextKind, ContextValue};

use super::file::SettingsFile;
use super::secrets::{self, Place};
use super::setting::{Setting, definition, nearest};
use super::{Config, Problems};

/// Who says something of settings.
pub struct Sources<'a> {
    /// A file that was named; without it the usual one is read, where it is there.
    pub file: Option<&'a Path>,
    /// The environment, `.env` included. What is set to nothing is not set.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// The names in it that `.env` has filled.
    pub dotenv: &'a BTreeSet<OsString>,
    /// The command line, by the names of settings.
    pub command_line: &'a BTreeMap<String, String>,
}

impl Sources<'_> {
    /// Who has set a variable of the environment.
    fn layer_of(&self, name: &str) -> Layer {
        if self.dotenv.contains(OsStr::new(name)) { Layer::DotEnv } else { Layer::Environment }
    }
}

/// Whether secrets that are kept elsewhere are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// They are.
    Fetched,
    /// They are as if they were not set: nobody will need them.
    Left,
}

/// Who has said what a setting is; the later ones have the last word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Nobody: it is as usual.
    Default,
    /// A file of settings.
    File(PathBuf),
    /// The file `.env`.
    DotEnv,
    /// The environment.
    Environment,
    /// The command line.
    CommandLine,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::DotEnv => f.write_str(".env"),
            Self::Environment => f.write_str("environment"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// What a setting was set to.
pub(super) struct Given {
    pub(super) setting: Setting,
    pub(super) layer: Layer,
    /// Where a secret is kept.
    pub(super) place: Place,
    pub(super) text: String,
}

/// A setting, as it may be shown.
pub struct Shown {
    /// Its name.
    pub name: String,
    /// Its value; of a secret, whether it is set.
    pub value: String,
    /// Who has said so, and where a secret is kept.
    pub from: String,
}

/// What was read.
pub struct Reading {
    /// The configuration, without what cannot be used.
    pub config: Config,
    /// All settings, as they may be shown.
    pub shown: Vec<Shown>,
    /// What cannot be used; with any, nothing should start.
    pub problems: Problems,
    /// What is not as it should be.
    pub warnings: Vec<String>,
}

/// Reads all settings. Nothing is started before that, and nothing is read again.
pub async fn read(sources: &Sources<'_>, secrets: Secrets) -> Reading {
    let settings = Setting::all();
    let mut file = SettingsFile::read(sources.file, &settings);
    let mut problems = std::mem::take(&mut file.problems);
    let mut warnings = std::mem::take(&mut file.warnings);
    warnings.extend(unknown(sources, &settings));
    let mut given = Vec::new();
    for setting in &settings {
        match choose(setting, &file, sources) {
            Ok(chosen) => given.extend(chosen),
            Err(problem) => problems.push(problem),
        }
    }
    let shown = settings.iter().map(|setting| show(setting, &given)).collect();
    match secrets {
        Secrets::Fetched => secrets::fetch(&mut given, &mut problems).await,
        Secrets::Left => given.retain(|given| matches!(given.place, Place::Here)),
    }
    let config = parse(&mut given, &mut problems);
    Reading { config, shown, problems: Problems(problems), warnings }
}

/// What the highest layer says that says anything.
fn choose(
    setting: &Setting,
    file: &SettingsFile,
    sources: &Sources<'_>,
) -> Result<Option<Given>, String> {
    if let Some(text) = sources.command_line.get(&setting.name) {
        return Given::new(setting, Layer::CommandLine, Some(text.clone()), None);
    }
    let variable = |name: &str| match sources.environment.get(&OsString::from(name)) {
        Some(value) if !value.is_empty() => {
            let text = value.to_str().map(str::to_owned);
            let layer = sources.layer_of(name);
            text.map(Some).ok_or(format!("{name} ({layer}) is not text: write it in UTF-8"))
        }
        _ => Ok(None),
    };
    let in_file = setting.in_file();
    let named = if setting.is_secret { variable(&in_file)? } else { None };
    let value = variable(&setting.name)?;
    let layer = sources.layer_of(if value.is_some() { &setting.name } else { &in_file });
    let given = Given::new(setting, layer, value, named)?;
    if given.is_some() {
        return Ok(given);
    }
    let value = |name: &str| file.values.get(name).filter(|value| !value.is_empty()).cloned();
    let named = if setting.is_secret { value(&in_file) } else { None };
    Given::new(setting, Layer::File(file.path.clone()), value(&setting.name), named)
}

impl Given {
    /// What a layer says: the value, or the path of the file that has it.
    fn new(
        setting: &Setting,
        layer: Layer,
        value: Option<String>,
        path: Option<String>,
    ) -> Result<Option<Self>, String> {
        let (place, text) = match (value, path) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                let (name, in_file) = (&setting.name, setting.in_file());
                return Err(format!(
                    "{name} and {in_file} are both set ({layer}): remove one of them"
                ));
            }
            (None, Some(path)) => (Place::File(path.into()), String::new()),
            (Some(text), None) if secrets::is_reference(&text) => {
                (Place::Vault(text), String::new())
            }
            (Some(text), None) => (Place::Here, text),
        };
        Ok(Some(Self { setting: setting.clone(), layer, place, text }))
    }

    /// A sentence about it that never has a secret inside.
    pub(super) fn complain(&self, why: &str) -> String {
        let Self { setting, layer, text, .. } = self;
        let name = &setting.name;
        match self.place {
            Place::Here if !setting.is_secret => {
                format!("{name}={text} ({layer}) cannot be used: {why}")
            }
            _ => format!("{name} ({layer}) cannot be used: {why}"),
        }
    }
}

/// The configuration of what can be used; what cannot is taken out, and told.
pub(super) fn parse(given: &mut Vec<Given>, problems: &mut Vec<String>) -> Config {
    let definition = definition().no_binary_name(true).mut_args(|argument| argument.env(None));
    loop {
        let arguments =
            given.iter().map(|given| format!("--{}={}", given.setting.option, given.text));
        let matches = definition.clone().try_get_matches_from(arguments);
        let error = match matches.and_then(|matches| Config::from_arg_matches(&matches)) {
            Ok(config) => return config,
            Err(error) => error,
        };
        let wrong = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::String(argument)) => given.iter().position(|given| {
                argument.split_whitespace().next() == Some(&format!("--{}", given.setting.option))
            }),
            _ => None,
        };
        let Some(wrong) = wrong.or(given.len().checked_sub(1)) else {
            unreachable!("what is usual can be used: {error}")
        };
        problems.push(given.remove(wrong).complain(&remedy(&error)));
    }
}

/// What would do instead.
fn remedy(error: &clap::Error) -> String {
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
            format!("choose one of {}", valid.join(", "))
        }
        _ => std::error::Error::source(error)
            .map_or_else(|| error.kind().to_string(), ToString::to_string),
    }
}

fn show(setting: &Setting, given: &[Given]) -> Shown {
    let name = setting.name.clone();
    let Some(given) = given.iter().find(|given| given.setting == *setting) else {
        let value = setting.default.clone().unwrap_or_else(|| "not set".to_owned());
        return Shown { name, value, from: Layer::Default.to_string() };
    };
    let value = if setting.is_secret { "set".to_owned() } else { given.text.clone() };
    let from = match &given.place {
        Place::Here => given.layer.to_string(),
        Place::File(path) => format!("{}, in {}", given.layer, path.display()),
        Place::Vault(reference) => format!("{}, in {reference}", given.layer),
    };
    Shown { name, value, from }
}

/// Names in the environment that are nearly ours: nobody reads them.
fn unknown(sources: &Sources<'_>, settings: &[Setting]) -> Vec<String> {
    let names = sources.environment.keys().filter_map(|name| name.to_str());
    let ours = names.filter(|name| name.starts_with("SALDO_") && !BESIDE.contains(name));
    let unknown = ours.filter(|name| {
        !settings.iter().any(|setting| setting.names().any(|known| known == **name))
    });
    unknown
        .map(|name| match nearest(settings, name) {
            Some(meant) => {
                format!("{name} ({}) is no setting: did you mean {meant}?", sources.layer_of(name))
            }
            None => format!("{name} ({}) is no setting", sources.layer_of(name)),
        })
        .collect()
}

/// What is read of the environment besides settings.
const BESIDE: [&str; 2] = ["SALDO_CONFIG", "SALDO_PG_NO_SYSTEM"];
