//! The program in a folder of its own, with nothing in its environment but what a test puts there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder to start it in; removed when dropped.
pub struct Program {
    pub folder: PathBuf,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub said: String,
    pub complained: String,
}

impl Program {
    pub fn new() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("saldo-setting-up-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        Self { folder }
    }

    /// A file in the folder that only its owner may read; its path.
    pub fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.join(name);
        fs::write(&path, text).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("its rights");
        path.to_str().expect("a text").to_owned()
    }

    pub fn command(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_saldo"));
        program.args(arguments).current_dir(&self.folder);
        let path = std::env::var_os("PATH").unwrap_or_default();
        program.env_clear().env("PATH", path).envs(environment.iter().copied());
        program
    }

    pub fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
        let Output { status, stdout, stderr } =
            self.command(arguments, environment).output().expect("the program runs");
        Ended {
            code: status.code(),
            said: String::from_utf8(stdout).expect("a text"),
            complained: String::from_utf8(stderr).expect("a text"),
        }
    }

    /// `saldo config check` with these settings.
    pub fn check(&self, environment: &[(&str, &str)]) -> Ended {
        self.run(&["config", "check"], environment)
    }
}

impl Ended {
    /// The value of a setting, and where it is from.
    pub fn shown(&self, name: &str) -> (String, String) {
        let line = self.said.lines().find(|line| line.split_whitespace().next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("{name} is shown: {self:?}"));
        let cells: Vec<_> =
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let [_, value, from] = cells.as_slice() else { panic!("three cells: {line}") };
        ((*value).to_owned(), (*from).to_owned())
    }

    /// What cannot be used.
    pub fn problems(&self) -> Vec<&str> {
        self.said.lines().filter_map(|line| line.strip_prefix("problem: ")).collect()
    }

    /// What is not as it should be.
    pub fn warnings(&self) -> Vec<&str> {
        self.said.lines().filter_map(|line| line.strip_prefix("warning: ")).collect()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // What cannot be removed is left to be looked at.
        let _ = fs::remove_dir_all(&self.folder);
    }
}
