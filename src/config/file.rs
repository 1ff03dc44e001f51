//! `saldo.toml`: settings by their names, below the environment.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::secrets;
use super::setting::{Setting, nearest};

/// What is read where no other file is named.
pub const USUAL: &str = "saldo.toml";

/// The right of everybody to read a file.
const READ_BY_ALL: u32 = 0o004;

/// What a file says.
#[derive(Default)]
pub(super) struct SettingsFile {
    /// Where it is.
    pub(super) path: PathBuf,
    /// What it sets, by name.
    pub(super) values: BTreeMap<String, String>,
    /// What in it cannot be used.
    pub(super) problems: Vec<String>,
    /// What in it is not as it should be.
    pub(super) warnings: Vec<String>,
}

impl SettingsFile {
    /// The file at `path`, or the usual one, which need not be there.
    pub(super) fn read(path: Option<&Path>, settings: &[Setting]) -> Self {
        let is_named = path.is_some();
        let path = path.unwrap_or(Path::new(USUAL)).to_owned();
        let mut file = Self { path, ..Self::default() };
        match fs::read_to_string(&file.path) {
            Ok(text) => file.take(&text, settings),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {}
            Err(error) => {
                file.complain(&format!("cannot be read ({error}): check its path and rights"));
            }
        }
        file
    }

    fn complain(&mut self, what: &str) {
        self.problems.push(format!("{} {what}", self.path.display()));
    }

    fn take(&mut self, text: &str, settings: &[Setting]) {
        let table: Table = match text.parse() {
            Ok(table) => table,
            // The error's own text would show the line, which may hold a secret.
            Err(error) => return self.refuse(text, &error),
        };
        for (name, value) in table {
            let Some(setting) =
                settings.iter().find(|setting| setting.names().any(|known| known == name))
            else {
                let meant = nearest(settings, &name);
                let meant =
                    meant.map(|meant| format!(": did you mean {meant}?")).unwrap_or_default();
                self.complain(&format!("sets {name}, which is no setting{meant}"));
                continue;
            };
            match as_text(&value, setting) {
                Ok(text) => drop(self.values.insert(name, text)),
                Err(remedy) => {
                    self.complain(&format!("sets {name} to what it cannot be: {remedy}"));
                }
            }
        }
        self.look_at_rights(settings);
    }

    fn refuse(&mut self, text: &str, error: &toml::de::Error) {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        self.complain(&format!("is not TOML: line {line}: {}", error.message()));
    }

    fn look_at_rights(&mut self, settings: &[Setting]) {
        let mode = fs::metadata(&self.path).map(|about| about.permissions().mode());
        let has_secret = settings.iter().filter(|setting| setting.is_secret).find(|setting| {
            let value = self.values.get(&setting.name);
            value.is_some_and(|value| !secrets::is_reference(value))
        });
        if let (Ok(mode), Some(secret)) = (mode, has_secret)
            && mode & READ_BY_ALL != 0
        {
            let path = self.path.display();
            let name = &secret.name;
            self.warnings.push(format!(
                "{path} holds {name} and may be read by everybody: run chmod 600 on it, or name a file or Vault instead"
            ));
        }
    }
}

/// A value as the environment would have it.
fn as_text(value: &Value, setting: &Setting) -> Result<String, &'static str> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(number) => Ok(number.to_string()),
        Value::Boolean(true) => Ok("on".to_owned()),
        Value::Boolean(false) => Ok("off".to_owned()),
        Value::Array(values) if setting.is_list => {
            let texts = values.iter().map(|value| match value {
                Value::String(text) => Ok(text.as_str()),
                _ => Err("write a list of texts in quotes"),
            });
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join(","))
        }
        Value::Array(_) => Err("it has one value: write it without brackets"),
        Value::Float(_) | Value::Datetime(_) | Value::Table(_) => {
            Err("write a text in quotes, a whole number, or true or false")
        }
    }
}
