//! Why there is no embedded database.

use std::io;
use std::path::PathBuf;

use super::binaries::OLDEST;

/// Why there is no embedded database: one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// No server binaries.
    #[error(
        "there is no PostgreSQL {OLDEST} or newer here ({}): install one (Debian, Ubuntu: apt-get install postgresql; \
         macOS: brew install postgresql@17), or set DATABASE_URL",
        tried.join("; ")
    )]
    NoBinaries {
        /// Each source, and what it gave.
        tried: Vec<String>,
    },
    /// The data is of another major version than the binaries.
    #[error(
        "the data folder {} holds data of PostgreSQL {data}, which is not here ({}): {}, or set SALDO_DATA_DIR to another folder",
        path.display(), tried.join("; "), remedy(*data)
    )]
    OtherMajor {
        /// The folder of the cluster.
        path: PathBuf,
        /// The major version of the data.
        data: u32,
        /// Each source, and what it gave.
        tried: Vec<String>,
    },
    /// Root may not run Postgres, and there is nobody to run it as.
    #[error(
        "PostgreSQL refuses to run as root, and there is neither a user postgres nor a user nobody: start Saldo as another user, or set DATABASE_URL"
    )]
    NobodyToRunAs,
    /// The data folder cannot be used.
    #[error("the data folder {} cannot be used ({source}): check its permissions, or set SALDO_DATA_DIR", path.display())]
    Folder {
        /// The folder of the cluster.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The disk is full.
    #[error("there is no space left for the data folder {}: free some, or set SALDO_DATA_DIR to a folder on another disk", path.display())]
    DiskFull {
        /// The folder of the cluster.
        path: PathBuf,
    },
    /// Nothing can stop the server when its last user goes.
    #[error(
        "neither flock (of util-linux) nor perl is there to watch over the private PostgreSQL: install one, or set DATABASE_URL"
    )]
    NoWatcher,
    /// The data could not be made.
    #[error("the private PostgreSQL could not make its data folder in {}: {said}", path.display())]
    Initialise {
        /// The folder of the cluster.
        path: PathBuf,
        /// The last lines of initdb.
        said: String,
    },
    /// The server did not start.
    #[error("the private PostgreSQL did not start; its log {} ends with: {tail}", log.display())]
    Start {
        /// The server's log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server started and does not answer.
    #[error("the private PostgreSQL does not answer: {0}")]
    Answer(#[from] sqlx::Error),
}

impl EmbeddedError {
    /// What went wrong with a file below `path`.
    pub(super) fn of_file(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull => Self::DiskFull { path },
            _ => Self::Folder { path, source },
        }
    }
}

fn remedy(data: u32) -> String {
    if data < OLDEST {
        format!("bring it to PostgreSQL {OLDEST} or newer by pg_upgrade")
    } else {
        format!("install PostgreSQL {data}")
    }
}
