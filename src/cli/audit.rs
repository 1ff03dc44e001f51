//! What auditors ask: is the log true, and what does a stranger read in it.

use std::path::PathBuf;
use std::process::ExitCode;

use aggregates::credits::Credits;
use aggregates::id::WalletId;
use aggregates::wallet::{Balance, Wallet, WalletEvent};
use secrecy::ExposeSecret;

use super::Failure;
use crate::clock;
use crate::config::Config;
use crate::keys::Keys;
use crate::serve;
use crate::store::heads;
use crate::store::{Codec, replay};
use crate::verify::{self, Evidence, Report, Subject};

#[derive(clap::Subcommand)]
pub(super) enum Replay {
    /// A wallet: every event, and where they lead.
    Wallet {
        /// The wallet's id, which is its owner's.
        id: WalletId,
    },
}

/// Verifies everything, and tells what was found.
pub(super) async fn verify(
    config: &Config,
    json: bool,
    heads: Option<PathBuf>,
) -> Result<ExitCode, Failure> {
    let report = report(config, heads).await?;
    if json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        println!("{report}");
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Verifies everything, and insists that nothing is found.
pub(super) async fn verified(config: &Config) -> Result<(), Failure> {
    let report = report(config, None).await?;
    println!("{report}");
    if report.is_clean() { Ok(()) } else { Err("the log is not true: see what was found".into()) }
}

async fn report(config: &Config, heads: Option<PathBuf>) -> Result<Report, Failure> {
    let database = serve::database(config).await?;
    let keys = Keys::in_folder(&config.data_dir)?;
    let file = heads.unwrap_or_else(|| config.data_dir.join(heads::FILE));
    let evidence = Evidence {
        heads: heads::read_heads(&file)?,
        ring: keys.head_ring(),
        codec: Codec::new(database.pool.clone(), keys.wrapping()),
        subject: Subject::default(),
    };
    Ok(verify::verify(&database.options, evidence).await?)
}

/// Replays a stream through postgres-es, event by event.
pub(super) async fn replay(config: &Config, Replay::Wallet { id }: Replay) -> Result<(), Failure> {
    let database = serve::database(config).await?;
    let url = database.url.expose_secret();
    let replayed = replay::replay::<Wallet>(&database.pool, url, id, |sequence, event| {
        println!("{}", told(sequence, event));
    })
    .await?;
    if replayed.events == 0 {
        return Err(format!("there is no wallet {id}").into());
    }
    let Balance { available, held, debt } = replayed.state.balance(clock::now());
    println!(
        "{} events, as many as the log counts; now available {available}, held {held}, debt {debt}",
        replayed.events
    );
    Ok(())
}

/// An event as a line.
fn told(sequence: i64, event: &WalletEvent) -> String {
    let amount = amount(event).map(|amount| amount.to_string()).unwrap_or_default();
    let line = format!("{sequence:>8}  {:<18} {amount:>12}", event.name());
    match event.balance() {
        Some(Balance { available, held, debt }) => {
            format!("{line}  available {available}, held {held}, debt {debt}")
        }
        None => line,
    }
}

/// How many credits an event is about, where it is about credits.
fn amount(event: &WalletEvent) -> Option<Credits> {
    match event {
        WalletEvent::Granted { grant, .. } => Some(grant.amount),
        WalletEvent::GrantVoided { movement, .. } | WalletEvent::GrantExpired { movement, .. } => {
            Some(movement.amount)
        }
        WalletEvent::HoldAuthorized { amount, .. }
        | WalletEvent::HoldIncremented { amount, .. }
        | WalletEvent::HoldCaptured { amount, .. }
        | WalletEvent::HoldReleased { amount, .. }
        | WalletEvent::HoldExpired { amount, .. }
        | WalletEvent::HoldLateCaptured { amount, .. }
        | WalletEvent::Debited { amount, .. }
        | WalletEvent::DebitReversed { amount, .. }
        | WalletEvent::DebtRepaid { amount, .. }
        | WalletEvent::DebtWrittenOff { amount, .. } => Some(*amount),
        WalletEvent::ClawedBack { recovered, .. } => Some(*recovered),
        WalletEvent::Reinstated { restored, .. } => restored.as_ref().map(|grant| grant.amount),
        WalletEvent::SpendLimitSet { limit, .. } => *limit,
        WalletEvent::Opened { .. }
        | WalletEvent::HoldExtended { .. }
        | WalletEvent::ReversalTargetSet { .. }
        | WalletEvent::Frozen { .. }
        | WalletEvent::Unfrozen { .. }
        | WalletEvent::QuotaSuspended { .. }
        | WalletEvent::QuotaResumed { .. } => None,
    }
}
