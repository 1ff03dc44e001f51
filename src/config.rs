//! What an operator may set: the environment, and `.env` in the working directory.

use std::net::SocketAddr;
use std::path::PathBuf;

use secrecy::SecretString;

/// Where Saldo runs; decides what is required and what is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Environment {
    /// On somebody's own machine: keys are made, nothing is required.
    Local,
    /// Shared by developers.
    Dev,
    /// As production, for rehearsal.
    Staging,
    /// For customers.
    Production,
}

/// What an operator may set.
#[derive(Clone, Debug, clap::Args)]
pub struct Config {
    /// Where Saldo runs.
    #[arg(long, env = "SALDO_ENV", value_enum, default_value = "local")]
    pub environment: Environment,
    /// Where it listens.
    #[arg(long, env = "SALDO_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// The database; without it, a private Postgres under the data folder.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// The data folder: the private Postgres, keys, signed heads.
    #[arg(long, env = "SALDO_DATA_DIR", default_value = ".saldo")]
    pub data_dir: PathBuf,
    /// Connections to the database, besides the writer's and the projections' own.
    #[arg(long, env = "SALDO_DATABASE_CONNECTIONS", default_value = "16")]
    pub database_connections: u32,
}
