//! The keys of the house: one follows another, and the old one goes when nothing needs it.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::{Subcommand, ValueEnum};

use super::Failure;
use crate::accounts::challenges::LINK_LASTS;
use crate::accounts::{rehashing, resealing};
use crate::clock;
use crate::config::Config;
use crate::keys::{Keys, Purpose, retired};
use crate::serve;
use crate::store::{self, Store};
use crate::tokens::{ACCESS_LASTS, REFRESH_LASTS};

#[derive(Subcommand)]
pub(super) enum KeyCommand {
    /// Say which keys there are, by their ids.
    List,
    /// Add a key, which makes what is new in an hour, when every node has it; what the one before
    /// has made stays good.
    Rotate {
        /// What the key is for.
        which: Purpose,
        /// Not in an hour, but now. A node that has not read the file yet, which takes seconds, does
        /// not know what the key has made.
        #[arg(long)]
        at_once: bool,
    },
    /// Let the keys go that another has followed, after making again what they alone can read. Safe
    /// to stop and to start again.
    Retire {
        /// What the keys are for.
        which: Purpose,
        /// Tokens only: do not wait until what they have signed is over. It is good no more.
        #[arg(long)]
        at_once: bool,
    },
}

/// How long after a key was added it is used: by then every node has it, also one with a copy of the
/// file that is carried to it.
const USED_IN: TimeDelta = TimeDelta::hours(1);
/// How long a node may still use the key before, since its clock is behind, or it was slow to read.
const SETTLES: TimeDelta = TimeDelta::minutes(1);
/// Longer than a browser is away at a provider's, with what was sealed in its cookie.
const AWAY: TimeDelta = TimeDelta::hours(1);

pub(super) async fn keys(config: &Config, command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::List => list(config),
        KeyCommand::Rotate { which, at_once } => rotate(config, which, at_once),
        KeyCommand::Retire { which, at_once } => retire(config, which, at_once).await,
    }
}

fn list(config: &Config) -> Result<(), Failure> {
    let keys = Keys::in_folder(&config.data_dir)?;
    for purpose in Purpose::value_variants() {
        let newest = keys.ring(*purpose).newest().id;
        for dated in keys.ring(*purpose).all() {
            let state = match dated.from {
                _ if dated.key.id == newest => "in use".to_owned(),
                from if from > clock::now() => format!("used from {}", told(from)),
                _ => "followed; saldo keys retire lets it go".to_owned(),
            };
            println!("{}: {}, {state}", purpose.name(), dated.key.id);
        }
    }
    Ok(())
}

fn rotate(config: &Config, which: Purpose, at_once: bool) -> Result<(), Failure> {
    let from = if at_once { clock::now() } else { clock::now() + USED_IN };
    Keys::rotate(&config.data_dir, which, from)?;
    println!(
        "a new key for {} is used from {}; what the one before has made stays good until saldo keys retire {0}",
        which.name(),
        told(from)
    );
    Ok(())
}

/// How long what a key has made is good, or cannot be found to be made again.
fn lasts(which: Purpose) -> TimeDelta {
    match which {
        Purpose::AccessTokens => ACCESS_LASTS + SETTLES,
        Purpose::RefreshTokens => REFRESH_LASTS + SETTLES,
        Purpose::KeyEncryption | Purpose::Heads => SETTLES,
        Purpose::Lookup => LINK_LASTS + SETTLES,
        Purpose::Sealing => AWAY + SETTLES,
    }
}

async fn retire(config: &Config, which: Purpose, at_once: bool) -> Result<(), Failure> {
    let may_end = matches!(which, Purpose::AccessTokens | Purpose::RefreshTokens);
    if at_once && !may_end {
        return Err("--at-once is for tokens: what other keys have made must not be lost".into());
    }
    let keys = Keys::in_folder(&config.data_dir)?;
    let lasts = if at_once { TimeDelta::zero() } else { lasts(which) };
    let old = keys.ring(which).followed(clock::now() - lasts);
    if old.is_empty() {
        return Err(none_goes(which, keys.ring(which).first_followed().map(|at| at + lasts)).into());
    }
    make_again(config, &keys, which, &old).await?;
    retired::note(&serve::database(config).await?.pool, which, &old).await?;
    // What a node with an older file has written meanwhile; now the database lets it write no more.
    make_again(config, &keys, which, &old).await?;
    Keys::retire(&config.data_dir, which, &old)?;
    println!("{} of the keys for {} are gone: {}", old.len(), which.name(), old.join(", "));
    Ok(())
}

/// Makes again what old keys alone can read.
async fn make_again(
    config: &Config,
    keys: &Keys,
    which: Purpose,
    old: &[String],
) -> Result<(), Failure> {
    match which {
        Purpose::KeyEncryption => rewrap(config, keys, old).await,
        Purpose::Lookup => rehash(config, keys, old).await,
        Purpose::Sealing => reseal(config, keys, old).await,
        Purpose::AccessTokens | Purpose::RefreshTokens | Purpose::Heads => Ok(()),
    }
}

/// Why no key goes: before `may` the oldest is still needed; where there is no such time it is the only one.
fn none_goes(which: Purpose, may: Option<DateTime<Utc>>) -> String {
    let name = which.name();
    match may {
        Some(at) => format!("no key for {name} can go before {}", told(at)),
        None => {
            format!(
                "no key for {name} can go: there is one only, and saldo keys rotate {name} adds another"
            )
        }
    }
}

async fn rewrap(config: &Config, keys: &Keys, old: &[String]) -> Result<(), Failure> {
    let database = serve::database(config).await?;
    let told = |done| eprintln!("{done} keys of persons are wrapped again");
    store::rewrap(&database.pool, &*keys.wrapping(), told).await?;
    match store::wrapped_with(&database.pool, old).await? {
        0 => Ok(()),
        left => Err(format!(
            "{left} keys of persons were wrapped with the old key meanwhile: a node has another keys.json; \
             give it this one, and try again"
        )
        .into()),
    }
}

async fn rehash(config: &Config, keys: &Keys, old: &[String]) -> Result<(), Failure> {
    let database = serve::database(config).await?;
    let (pool, options) = (database.pool.clone(), database.options.clone());
    let store = Store::start(pool, options, keys.wrapping()).await?;
    let done = rehashing::rehash(&store, keys, old).await?;
    eprintln!("{done} addresses, telephones and identities are hashed again");
    if rehashing::are_needed(&database.pool, keys, old).await? {
        return Err(
            "some are known by the old key only: where a node has another keys.json, give it this one; where a key \
             for sealing is gone from this one, put it back; and try again"
                .into(),
        );
    }
    // What may yet be written with the old key has the new one beside it.
    Ok(rehashing::forget(&database.pool, keys, old).await?)
}

async fn reseal(config: &Config, keys: &Keys, old: &[String]) -> Result<(), Failure> {
    let database = serve::database(config).await?;
    let done = resealing::reseal(&database.pool, &keys.sealing).await?;
    eprintln!("{done} identities are sealed again");
    match resealing::sealed_with(&database.pool, old).await? {
        0 => Ok(()),
        left => Err(format!(
            "{left} codes, links and messages still need the old key: try again when they are over, within a day"
        )
        .into()),
    }
}

fn told(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
