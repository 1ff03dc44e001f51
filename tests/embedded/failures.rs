//! What goes wrong ends with one sentence that says what to do.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use crate::support::{Folder, complaint, naming, skip, wait_until};

fn migrate(folder: &Folder) -> Output {
    folder.saldo("migrate").output().expect("saldo can be started")
}

fn holding(folder: &Folder, major: u32) -> PathBuf {
    let data = folder.postgres().join(format!("data-{major}"));
    fs::create_dir_all(&data).expect("the folder is ours");
    fs::write(data.join("PG_VERSION"), format!("{major}\n")).expect("the folder is ours");
    data
}

#[test]
fn data_of_a_version_that_is_too_old_is_left_alone_and_both_versions_are_named() {
    let folder = Folder::new();
    let data = holding(&folder, 14);
    let said = complaint(&migrate(&folder));
    let postgres = folder.postgres();
    for part in ["data of PostgreSQL 14", ": PostgreSQL 1", "pg_upgrade", "SALDO_DATA_DIR"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(said.contains(&*postgres.to_string_lossy()), "{said}");
    assert_eq!(fs::read_dir(data).expect("the folder is ours").count(), 1);
}

#[test]
fn data_of_a_version_that_is_not_installed_asks_for_that_version() {
    let folder = Folder::new();
    holding(&folder, 99);
    let said = complaint(&migrate(&folder));
    assert!(
        said.contains("data of PostgreSQL 99") && said.contains("install PostgreSQL 99"),
        "{said}"
    );
}

#[test]
fn a_taken_port_is_told_before_anything_starts() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it listens").to_string();
    let output =
        folder.saldo("serve").env("SALDO_LISTEN", &address).output().expect("saldo can be started");
    let said = complaint(&output);
    assert!(said.contains(&address) && said.contains("set SALDO_LISTEN"), "{said}");
    assert!(!folder.postgres().exists());
}

#[test]
fn a_database_that_does_not_answer_is_told_soon_and_without_its_password() {
    let folder = Folder::new();
    // Nobody listens there any more.
    let free = TcpListener::bind("127.0.0.1:0")
        .and_then(|port| port.local_addr())
        .expect("a port is free");
    // Somebody listens there, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    for address in [free, silent.local_addr().expect("it listens")] {
        let url = format!("postgres://saldo:geheim@{address}/saldo");
        let since = Instant::now();
        let output = folder
            .saldo("migrate")
            .env("DATABASE_URL", url)
            .output()
            .expect("saldo can be started");
        assert!(since.elapsed() < Duration::from_secs(20), "{address}: {:?}", since.elapsed());
        let said = complaint(&output);
        assert!(said.contains("does not answer") && said.contains("DATABASE_URL"), "{said}");
        assert!(!said.contains("geheim"), "{said}");
    }
    assert!(!folder.postgres().exists());
}

/// A small disk of its own; gone when dropped.
struct Disk(PathBuf);

impl Disk {
    /// Mounted on the folder, or why not.
    fn mount(folder: &Path, size: &str) -> Result<Self, String> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size},mode=755"), "saldo"]).arg(folder);
        let output = mount.output().map_err(|error| format!("mount does not run: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("a small disk cannot be mounted: {}", said.trim()));
        }
        Ok(Self(folder.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[test]
fn a_disk_too_small_for_the_data_is_told_and_left_empty() {
    let folder = Folder::new();
    let _disk = match Disk::mount(&folder.0, "8m") {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let said = complaint(&migrate(&folder));
    assert!(said.contains("no space left") && said.contains("SALDO_DATA_DIR"), "{said}");
    let left = fs::read_dir(folder.postgres()).expect("the folder is ours");
    let left = left.map(|entry| entry.expect("an entry")).filter(|entry| entry.path().is_dir());
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["socket"]);
}

#[test]
fn a_disk_that_has_become_full_is_told_and_with_space_all_is_well_again() {
    let folder = Folder::new();
    let _disk = match Disk::mount(&folder.0, "192m") {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let stopped = || wait_until("the server has stopped", || naming(&folder.0).is_empty());
    assert!(migrate(&folder).status.success());
    stopped();
    let filler = folder.0.join("filler");
    let full = fs::write(&filler, vec![1; 192 << 20]).expect_err("the disk is smaller");
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    let said = complaint(&migrate(&folder));
    assert!(said.contains("no space left") && said.contains("SALDO_DATA_DIR"), "{said}");
    stopped();
    fs::remove_file(filler).expect("the folder is ours");
    assert!(migrate(&folder).status.success());
    stopped();
}
