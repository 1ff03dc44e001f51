//! The command line.

mod admin;
mod arguments;
mod audit;
mod check;
mod demo;
mod health;
mod keys;
mod logs;
mod runtime;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::SecondsFormat;
use clap::{Parser, Subcommand};
use projections::runner;

use self::arguments::Arguments;
use crate::bench;
use crate::config::{self, Config, LogFormat, Reading, Secrets};
use crate::serve::{self, StartError};
use crate::store::Store;

#[derive(Parser)]
#[command(
    name = "saldo",
    version,
    about = "The event-sourced backend for selling AI by the credit."
)]
/// What can be said; [`Arguments`] read it.
struct Cli {
    /// A file of settings; `saldo.toml` here, where there is one and no other is named.
    #[arg(long = "config", env = "SALDO_CONFIG", value_name = "FILE")]
    settings_file: Option<PathBuf>,
    #[command(flatten)]
    config: Config,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the API; what happens when nothing else is asked for.
    Serve,
    /// Run jobs and keep the read models, without serving.
    Work,
    /// Ask the server that listens here whether it lives; ends with 1 when it does not say so.
    Health,
    /// Look at the settings.
    #[command(subcommand)]
    Config(check::ConfigCommand),
    /// Say who may administer, and forget people again.
    #[command(subcommand)]
    Admin(admin::Admin),
    /// Look after the keys of the house.
    #[command(subcommand)]
    Keys(keys::KeyCommand),
    /// Walk the main job step by step, on a running server or on one of its own.
    Demo {
        /// The server; by default the one that listens here, or one of its own.
        #[arg(long)]
        url: Option<String>,
    },
    /// Bring the database up to date, and end.
    Migrate,
    /// Prove the log, and all that follows from it; ends with 1 when something is wrong.
    Verify {
        /// Say it as one JSON object.
        #[arg(long)]
        json: bool,
        /// The signed heads; by default those in the data folder.
        #[arg(long)]
        heads: Option<PathBuf>,
    },
    /// Replay a stream through a reader that is not ours.
    #[command(subcommand)]
    Replay(audit::Replay),
    /// Measure how fast it is, against plain SQL, on databases of its own.
    Bench {
        /// Say it as one JSON object.
        #[arg(long, global = true)]
        json: bool,
        #[command(flatten)]
        options: bench::Options,
        #[command(subcommand)]
        part: Option<bench::Part>,
    },
    /// Look after the read models.
    #[command(subcommand)]
    Projections(Projections),
}

#[derive(Subcommand)]
enum Projections {
    /// Say how far each read model is behind the log.
    List,
    /// Rebuild a read model from the log, while everything goes on.
    Rebuild {
        /// One of those that `saldo projections list` names.
        name: String,
    },
}

/// Runs what the arguments ask for.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::read();
    let serves = matches!(arguments.command, None | Some(Command::Serve | Command::Work));
    let runtime = match runtime::runtime(serves) {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    // A health check comes every few seconds, and must not depend on who keeps the secrets.
    let secrets = match arguments.command {
        Some(Command::Health) => Secrets::Left,
        _ => Secrets::Fetched,
    };
    let reading = runtime.block_on(config::read(&arguments.sources(), secrets));
    if let Some(Command::Config(command)) = &arguments.command {
        return check::check(reading, command);
    }
    let Reading { config, problems, warnings, .. } = reading;
    if !problems.0.is_empty() {
        return fail(&problems);
    }
    let command = arguments.command.unwrap_or(Command::Serve);
    let format = config.log_format(std::io::stderr().is_terminal());
    let audience = if serves { logs::Audience::Operators } else { logs::Audience::Asker };
    let logs = match logs::begin(&config, format, audience, runtime.handle()) {
        Ok(logs) => logs,
        Err(error) => return fail(&error),
    };
    if serves {
        for warning in warnings.into_iter().chain(config.warnings()) {
            tracing::warn!("{warning}");
        }
    }
    let ended = runtime.block_on(execute(&config, command));
    logs.end();
    // What still reads for nobody, as a verification that was cut, keeps the program from ending no longer.
    runtime.shutdown_background();
    match ended {
        Ok(code) => code,
        Err(error) if format == LogFormat::Json => {
            tracing::error!(error, "saldo has ended");
            ExitCode::FAILURE
        }
        Err(error) => fail(&*error),
    }
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("saldo: {error}");
    ExitCode::FAILURE
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn execute(config: &Config, command: Command) -> Result<ExitCode, Failure> {
    match command {
        // Told when the settings are read.
        Command::Config(_) => {}
        Command::Serve => {
            let greeted = match config.log_format(std::io::stderr().is_terminal()) {
                LogFormat::Human => greet,
                LogFormat::Json => |address| tracing::info!(%address, "listening"),
            };
            serve::serve(config, greeted).await?;
        }
        Command::Work => serve::work(config).await?,
        Command::Health => health::health(config).await?,
        Command::Admin(admin) => admin::admin(config, admin).await?,
        Command::Keys(command) => keys::keys(config, command).await?,
        Command::Demo { url } => demo::demo(config, url).await?,
        Command::Migrate => {
            serve::database(config).await?;
            println!("the database is up to date");
        }
        Command::Verify { json, heads } => return audit::verify(config, json, heads).await,
        Command::Replay(replay) => audit::replay(config, replay).await?,
        Command::Bench { json, options, part: None } => {
            say(&bench::run(config, &options).await?, json)?;
        }
        Command::Bench { json, part: Some(part), .. } => {
            let figures = part.run(config).await?;
            say(&figures, json)?;
            return Ok(if figures.are_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Command::Projections(Projections::List) => list(config).await?,
        Command::Projections(Projections::Rebuild { name }) => rebuild(config, &name).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn say(figures: &bench::Figures, json: bool) -> Result<(), Failure> {
    if json {
        println!("{}", serde_json::to_string_pretty(figures)?);
    } else {
        print!("{figures}");
    }
    Ok(())
}

/// Says where it listens, how to sign in, and one line to try.
fn greet(address: std::net::SocketAddr) {
    let told = format!(
        "Saldo listens on http://{address} (the API: http://{address}/docs)\n\
         Sign up with an e-mail address and a password; later, sign in at /api/v1/auth/login:\n  \
         curl -s http://{address}/api/v1/auth/register -H 'content-type: application/json' \\\n    \
         -d '{{\"email\":\"ada@example.com\",\"password\":\"correct horse battery\"}}'\n"
    );
    // Nobody has to listen: a server whose output is closed serves all the same.
    let _ = std::io::stdout().write_all(told.as_bytes());
}

async fn list(config: &Config) -> Result<(), StartError> {
    let serve::Database { pool, .. } = &serve::database(config).await?;
    let (head, lags) = runner::lag(pool).await?;
    println!("the log ends at position {head}");
    for lag in lags {
        let halted = match (lag.halted_at, lag.error) {
            (Some(since), Some(why)) => {
                let since = since.to_rfc3339_opts(SecondsFormat::Secs, true);
                format!(", HALTED since {since}: {why}")
            }
            _ => String::new(),
        };
        let paused = lag.paused_at.map(|since| {
            format!(", paused since {}", since.to_rfc3339_opts(SecondsFormat::Secs, true))
        });
        let paused = paused.unwrap_or_default();
        println!(
            "{}: position {}, {} events and {} ms behind{halted}{paused}",
            lag.name, lag.position, lag.events, lag.milliseconds
        );
    }
    Ok(())
}

async fn rebuild(config: &Config, name: &str) -> Result<(), Failure> {
    let database = serve::database_of_owner(config).await?;
    let (pool, options) = (&database.pool, database.options.clone());
    let all = runner::all();
    let names = || all.iter().map(|projection| projection.name()).collect::<Vec<_>>().join(", ");
    let projection = all
        .iter()
        .find(|projection| projection.name() == name)
        .ok_or_else(|| format!("there is no read model {name}: choose one of {}", names()))?;
    let keys = crate::keys::Keys::in_folder(&config.data_dir)?;
    let store = Store::start(pool.clone(), options, keys.wrapping()).await?;
    let position = projections::rebuild::rebuild(pool, &**projection, store.codec()).await?;
    println!("{name} was rebuilt from {position} events");
    Ok(())
}
