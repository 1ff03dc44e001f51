//! One setting, as the command line defines it: the one place where settings are named.

use std::any::TypeId;

use clap::{Arg, Args, Command};
use secrecy::SecretString;

use super::Config;

/// How far a name may be from another for them to be the same, written wrong.
const NEAR: usize = 3;
/// What most names begin with.
const PREFIX: &str = "SALDO_";

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What it is called in the environment, and in the file: `SALDO_LISTEN`.
    pub name: String,
    /// What it is called on the command line, without the `--` in front.
    pub option: String,
    /// Whether nobody may see it. It may then be read from a file of its own, or from Vault.
    pub is_secret: bool,
    /// Whether it has several values, with commas.
    pub is_list: bool,
    /// What it is where nobody says anything.
    pub default: Option<String>,
}

impl Setting {
    /// All of them, in the order in which they are defined.
    #[must_use]
    pub fn all() -> Vec<Self> {
        definition().get_arguments().filter_map(Self::of).collect()
    }

    fn of(argument: &Arg) -> Option<Self> {
        let default = argument.get_default_values().first();
        Some(Self {
            name: argument.get_env()?.to_str()?.to_owned(),
            option: argument.get_long()?.to_owned(),
            is_secret: argument.get_value_parser().type_id() == TypeId::of::<SecretString>(),
            is_list: argument.get_value_delimiter().is_some(),
            default: default.and_then(|default| default.to_str()).map(str::to_owned),
        })
    }

    /// What names the file that a secret is in.
    #[must_use]
    pub fn in_file(&self) -> String {
        format!("{}_FILE", self.name)
    }

    /// What it may be called where it is set.
    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        let in_file = self.is_secret.then(|| self.in_file());
        std::iter::once(self.name.clone()).chain(in_file)
    }
}

/// The settings alone, without the commands.
pub(super) fn definition() -> Command {
    Config::augment_args(Command::new("saldo"))
}

/// What somebody may have meant by a name that there is not.
pub(super) fn nearest(settings: &[Setting], unknown: &str) -> Option<String> {
    let unknown = unknown.to_uppercase().replace('-', "_");
    let prefixed = format!("{PREFIX}{unknown}");
    let distance = |name: &str| {
        let (is, would_be) =
            (strsim::levenshtein(&unknown, name), strsim::levenshtein(&prefixed, name));
        is.min(would_be)
    };
    let names = settings.iter().flat_map(Setting::names);
    let near = names.map(|name| (distance(&name), name)).filter(|(distance, _)| *distance <= NEAR);
    near.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_so_by_its_type_and_shows_in_no_help() {
        let definition = definition();
        let mut secrets = 0;
        for argument in definition.get_arguments().filter(|argument| argument.get_env().is_some()) {
            let setting = Setting::of(argument).expect("a name and an option");
            assert_eq!(setting.is_secret, argument.is_hide_env_values_set(), "{}", setting.name);
            secrets += usize::from(setting.is_secret);
        }
        assert!(secrets > 10, "{secrets} are found");
    }

    #[test]
    fn every_setting_can_be_set_on_the_command_line_and_by_one_name_elsewhere() {
        let (definition, settings) = (definition(), Setting::all());
        let options = definition.get_arguments().filter(|argument| argument.get_long().is_some());
        assert_eq!(options.count(), settings.len());
        let mut names: Vec<_> = settings.iter().flat_map(Setting::names).collect();
        names.sort();
        let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    #[test]
    fn a_name_that_is_written_wrong_is_recognised() {
        let meant = |name: &str| nearest(&Setting::all(), name);
        for (wrong, right) in [
            ("SALDO_LISTN", "SALDO_LISTEN"),
            ("saldo_listen", "SALDO_LISTEN"),
            ("listen", "SALDO_LISTEN"),
            ("public-url", "SALDO_PUBLIC_URL"),
            ("STRIPE_SECRET_KEYFILE", "STRIPE_SECRET_KEY_FILE"),
        ] {
            assert_eq!(meant(wrong).as_deref(), Some(right), "{wrong}");
        }
        assert_eq!(meant("something_else_altogether"), None);
    }
}
