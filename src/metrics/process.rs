//! What runs, since when, and with how much.

use std::fs;

use super::page::{Kind, Page};
use crate::app::App;

pub(super) fn tell(page: &mut Page, app: &App) {
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    let help = "What runs here: always 1.";
    page.family("saldo_build_info", Kind::Gauge, help).sample(&version, 1);
    let help = "When the process started, in seconds of Unix time.";
    let started_at = app.started_at.timestamp();
    page.one("process_start_time_seconds", Kind::Gauge, help, started_at);
    // Where there is no /proc, it is not told.
    if let Some(bytes) = resident() {
        let help = "Memory of the process.";
        page.one("process_resident_memory_bytes", Kind::Gauge, help, bytes);
    }
    if let Ok(files) = fs::read_dir("/proc/self/fd") {
        let help = "Files and connections that are open.";
        page.one("process_open_fds", Kind::Gauge, help, files.count());
    }
    let help = "Connections to the database for queries and commands, by whether they are at work.";
    let mut connections = page.family("saldo_database_connections", Kind::Gauge, help);
    let (all, idle) = (app.db().size(), u32::try_from(app.db().num_idle()).unwrap_or(u32::MAX));
    connections.sample(&[("state", "idle")], idle);
    connections.sample(&[("state", "used")], all.saturating_sub(idle));
}

/// The memory that the process has, in bytes.
fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
