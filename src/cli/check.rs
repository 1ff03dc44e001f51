//! `saldo config check`: what is set, by whom, and what of it cannot be used.

use std::process::ExitCode;

use clap::Subcommand;

use crate::config::{Problems, Reading};
use crate::serve;

#[derive(Subcommand)]
pub(super) enum ConfigCommand {
    /// Read all settings, fetch the secrets, and say what is set, by whom, and all that is wrong with it; ends with 1
    /// when something is. Nothing is started.
    Check,
}

pub(super) fn check(reading: Reading, ConfigCommand::Check: &ConfigCommand) -> ExitCode {
    let Reading { config, shown, problems: Problems(mut problems), mut warnings } = reading;
    problems.extend(serve::problems(&config));
    warnings.extend(config.warnings());
    let names = shown.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    let values = shown.iter().map(|row| row.value.chars().count()).max().unwrap_or_default();
    for row in &shown {
        println!("{:names$}  {:values$}  {}", row.name, row.value, row.from);
    }
    for warning in &warnings {
        println!("\nwarning: {warning}");
    }
    for problem in &problems {
        println!("\nproblem: {problem}");
    }
    if problems.is_empty() {
        println!("\nthe settings can be used");
        ExitCode::SUCCESS
    } else {
        println!("\nthe settings cannot be used: problems: {}", problems.len());
        ExitCode::FAILURE
    }
}
