//! Secrets that are kept elsewhere: in files of their own, and in Vault.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::layers::{Given, parse};
use crate::clients::vault::{Reference, Secret, Vault, VaultError};

/// What a reference to Vault begins with.
const VAULT: &str = "vault:";

/// Where a setting's value is kept.
pub(super) enum Place {
    /// Where it is set.
    Here,
    /// In a file of its own.
    File(PathBuf),
    /// In Vault, by this reference.
    Vault(String),
}

/// Whether it is no secret, but says where one is.
pub(super) fn is_reference(text: &str) -> bool {
    text.starts_with(VAULT)
}

/// Fetches what is kept elsewhere; what cannot be had is taken out, and told. Files come first: Vault's token may be in
/// one.
pub(super) async fn fetch(given: &mut Vec<Given>, problems: &mut Vec<String>) {
    let (in_vault, others): (Vec<_>, Vec<_>) =
        given.drain(..).partition(|given| matches!(given.place, Place::Vault(_)));
    for other in others {
        match of_file(&other) {
            Ok(None) => given.push(other),
            Ok(Some(text)) => given.push(Given { text, ..other }),
            Err(why) => problems.push(other.complain(&why)),
        }
    }
    if in_vault.is_empty() {
        return;
    }
    match parse(given, problems).vault() {
        Ok(vault) => of_vault(&vault, in_vault, given, problems).await,
        Err(error) => {
            let why = error.to_string();
            problems.extend(in_vault.iter().map(|one| one.complain(&why)));
        }
    }
}

/// Asks for each path once.
async fn of_vault(
    vault: &Vault,
    in_vault: Vec<Given>,
    given: &mut Vec<Given>,
    problems: &mut Vec<String>,
) {
    let mut known: BTreeMap<String, Result<Secret, VaultError>> = BTreeMap::new();
    for one in in_vault {
        let reference = match reference(&one) {
            Ok(reference) => reference,
            Err(why) => {
                problems.push(one.complain(&why));
                continue;
            }
        };
        if !known.contains_key(&reference.path) {
            known.insert(reference.path.clone(), vault.read(&reference.path).await);
        }
        let field = match &known[&reference.path] {
            Ok(secret) => secret.field(&reference),
            Err(error) => Err(error.clone()),
        };
        match field {
            Ok(text) => given.push(Given { text, ..one }),
            Err(error) => problems.push(one.complain(&error.to_string())),
        }
    }
}

/// What is in a secret's file, without the end of its last line.
fn of_file(given: &Given) -> Result<Option<String>, String> {
    let Place::File(path) = &given.place else { return Ok(None) };
    let name = given.setting.in_file();
    let text = fs::read_to_string(path);
    let path = path.display();
    let text =
        text.map_err(|error| format!("{name} names {path}, which cannot be read ({error})"))?;
    let text = text.strip_suffix('\n').map_or(text.as_str(), |text| text.trim_end_matches('\r'));
    if text.is_empty() {
        return Err(format!("{name} names {path}, which is empty"));
    }
    Ok(Some(text.to_owned()))
}

fn reference(given: &Given) -> Result<Reference, String> {
    let Place::Vault(text) = &given.place else {
        return Err("it is not kept in Vault".to_owned());
    };
    if !given.setting.is_secret {
        return Err("it is no secret, and only secrets may be kept in Vault".to_owned());
    }
    if given.setting.name.starts_with("SALDO_VAULT_") {
        return Err("Vault cannot hold what opens it: name a file, or set it".to_owned());
    }
    let text = text.trim_start_matches(VAULT);
    text.parse::<Reference>().map_err(|error| error.to_string())
}
