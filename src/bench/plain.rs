//! The plain-SQL wallet, driven by pgbench: what Saldo is measured against.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::{ConnectOptions, Executor};
use tokio::process::Command;

use super::ground::Scratch;
use super::{BenchError, CONNECTIONS, WALLETS};

const SCHEMA: &str = include_str!("sql/schema.sql");
const SINGLE_STATEMENT: &str = include_str!("sql/single_statement.sql");
const FOR_UPDATE: &str = include_str!("sql/for_update.sql");

/// How the spend is written in SQL.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// One statement that checks, updates and inserts.
    SingleStatement,
    /// A transaction that locks the wallet first.
    ForUpdate,
}

/// A database with plain wallets.
pub(super) struct Plain {
    program: PathBuf,
    folder: PathBuf,
    url: String,
}

impl Plain {
    /// Makes the tables, and writes the scripts into `folder`.
    pub(super) async fn prepare(scratch: &Scratch, folder: &Path) -> Result<Self, BenchError> {
        let program = crate::embedded::program("pgbench").ok_or(BenchError::NoPgbench)?;
        let mut db = scratch.options.connect().await?;
        db.execute(SCHEMA).await?;
        let plain = Self { program, folder: folder.to_owned(), url: scratch.url.clone() };
        for (form, text) in
            [(Form::SingleStatement, SINGLE_STATEMENT), (Form::ForUpdate, FOR_UPDATE)]
        {
            std::fs::write(plain.script(form), text)?;
        }
        Ok(plain)
    }

    fn script(&self, form: Form) -> PathBuf {
        self.folder.join(match form {
            Form::SingleStatement => "single_statement.sql",
            Form::ForUpdate => "for_update.sql",
        })
    }

    /// Spends a second, for this long, on all wallets or on one.
    pub(super) async fn run(
        &self,
        form: Form,
        hot: bool,
        lasts: Duration,
    ) -> Result<f64, BenchError> {
        let wallets = if hot { 1 } else { WALLETS };
        let output = Command::new(&self.program)
            .args(["-n", "-M", "prepared", "-j", "2"])
            .args(["-c", &CONNECTIONS.to_string(), "-T", &lasts.as_secs().to_string()])
            .args(["-D", &format!("wallets={wallets}")])
            .arg("-f")
            .arg(self.script(form))
            .arg(&self.url)
            .stdin(std::process::Stdio::null())
            .output()
            .await?;
        let said = String::from_utf8_lossy(&output.stdout);
        // "tps = 9876.543210 (without initial connection time)"
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = "));
        rate.and_then(|rate| rate.split_whitespace().next()?.parse().ok()).ok_or_else(|| {
            BenchError::Pgbench(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        })
    }
}
