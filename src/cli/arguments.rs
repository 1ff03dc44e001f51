//! What the arguments say, before anything is made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, CommandFactory, FromArgMatches};

use super::{Cli, Command};
use crate::config::{Setting, Sources};

/// Which file has settings, where another than the usual one.
const FILE: (&str, &str) = ("settings_file", "SALDO_CONFIG");

/// What was asked for, and by which settings.
pub(super) struct Arguments {
    /// What to do.
    pub(super) command: Option<Command>,
    file: Option<PathBuf>,
    settings: BTreeMap<String, String>,
    environment: BTreeMap<OsString, OsString>,
    dotenv: BTreeSet<OsString>,
}

impl Arguments {
    /// Reads them, and `.env`; ends the program where help is asked for, or where they are none of ours.
    pub(super) fn read() -> Self {
        let before: BTreeSet<_> = std::env::vars_os().map(|(name, _)| name).collect();
        // A missing `.env` is usual; an unreadable one is told by what it leaves unset.
        let _ = dotenvy::dotenv();
        let matches = lenient().try_get_matches().unwrap_or_else(|error| match error.kind() {
            // Help shows what may be set, which the lenient form does not know.
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                match Cli::command().try_get_matches() {
                    Err(help) => help.exit(),
                    Ok(_) => error.exit(),
                }
            }
            _ => error.exit(),
        });
        let command = matches.subcommand_name().map(|_| Command::from_arg_matches(&matches));
        let command = command.transpose().unwrap_or_else(|error| error.exit());
        let environment: BTreeMap<_, _> = std::env::vars_os().collect();
        let dotenv = environment.keys().filter(|name| !before.contains(*name)).cloned().collect();
        let (option, variable) = FILE;
        let named = environment.get(&OsString::from(variable)).filter(|path| !path.is_empty());
        let file = said(&matches, option).map(PathBuf::from).or(named.map(PathBuf::from));
        Self { command, file, settings: settings(&matches), environment, dotenv }
    }

    /// Who says something of settings.
    pub(super) fn sources(&self) -> Sources<'_> {
        let Self { file, settings, environment, dotenv, .. } = self;
        Sources { file: file.as_deref(), environment, dotenv, command_line: settings }
    }
}

/// The command line, where every setting is a text, and nothing but the arguments is read: what a setting may be is
/// looked at when all layers are known.
fn lenient() -> clap::Command {
    Cli::command().mut_args(|argument| match argument.get_env() {
        Some(_) => argument.env(None).value_parser(ValueParser::string()),
        None => argument,
    })
}

fn settings(matches: &ArgMatches) -> BTreeMap<String, String> {
    let command = lenient();
    let id = |setting: &Setting| {
        let mut arguments = command.get_arguments();
        let argument = arguments.find(|argument| argument.get_long() == Some(&setting.option));
        argument.map(|argument| argument.get_id().to_string())
    };
    let settings = Setting::all().into_iter();
    settings
        .filter_map(|setting| Some((id(&setting)?, setting)))
        .filter_map(|(id, setting)| Some((setting.name, said(matches, &id)?)))
        .collect()
}

fn said(matches: &ArgMatches, id: &str) -> Option<String> {
    if matches.value_source(id) != Some(ValueSource::CommandLine) {
        return None;
    }
    let values: Vec<&str> = matches.get_many::<String>(id)?.map(String::as_str).collect();
    Some(values.join(","))
}
