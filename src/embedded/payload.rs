//! Postgres out of crates: its binaries lie in cargo's registry since the build.
//!
//! They need glibc 2.38 (Ubuntu 24.04, Debian 13) or macOS on arm64, and a machine that built
//! Saldo itself: the paths are of the builder.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::runtime::Runtime;

pub(super) const RUNTIME: Runtime = Runtime {
    origin: "PostgreSQL 18 by cargo",
    name: "crates-0.3.3",
    programs: "bin",
    libraries: Some("lib"),
    fill,
};

cfg_select! {
    all(feature = "payload", any(
        all(target_os = "linux", target_env = "gnu", any(target_arch = "x86_64", target_arch = "aarch64")),
        all(target_os = "macos", target_arch = "aarch64"),
    )) => {
        const PARTS: &[&str] = &[
            postgres_part_1::PAYLOAD_ROOT,
            postgres_part_2::PAYLOAD_ROOT,
            postgres_part_3::PAYLOAD_ROOT,
        ];
    }
    _ => {
        const PARTS: &[&str] = &[];
    }
}

/// Each part has some of the files of one tree.
fn fill(folder: &Path) -> Result<(), String> {
    if PARTS.is_empty() {
        return Err("there is none for this platform, or Saldo was built without it".to_owned());
    }
    for part in PARTS {
        let tree = Path::new(part).join("files/runtime");
        if !tree.is_dir() {
            return Err("Saldo was built on another machine".to_owned());
        }
        copy(&tree, folder).map_err(|error| format!("it cannot be copied ({error})"))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            // A crate does not keep who may run what.
            let mode = if to.ends_with("bin") { 0o755 } else { 0o644 };
            fs::set_permissions(&target, fs::Permissions::from_mode(mode))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_one_tree_with_programs_that_may_run() {
        let folder = std::env::temp_dir().join(format!("saldo-payload-{}", std::process::id()));
        let filled = fill(&folder);
        if PARTS.is_empty() {
            return assert!(filled.is_err_and(|why| why.contains("for this platform")));
        }
        filled.expect("cargo fetched the parts");
        for program in ["bin/postgres", "bin/initdb"] {
            let mode = fs::metadata(folder.join(program)).expect(program).permissions().mode();
            assert_eq!(mode & 0o777, 0o755, "{program}");
        }
        for file in ["share/postgresql/postgres.bki", "lib/postgresql/plpgsql.so"] {
            assert!(folder.join(file).is_file(), "{file}");
        }
        fs::remove_dir_all(folder).expect("the folder is ours");
    }
}
