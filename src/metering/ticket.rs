//! A hold that pays for one call: opened, kept, made larger, and ended once.

mod ending;

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use aggregates::credits::Credits;
use aggregates::id::{CommandId, HoldId, WalletId};
use aggregates::wallet::{Ask, OpenHold, Price, Spend, Wallet, WalletError, WalletEvent};
use axum::http::StatusCode;
use chrono::TimeDelta;

use super::payer::Payer;
use super::timing::Stopwatch;
use crate::app::App;
use crate::calls::Call;
use crate::clock;
use crate::declines::Operation;
use crate::error::{Problem, Result};
use crate::store::{ExecuteError, Outcome, SideRow};

pub(super) use ending::{charged, count, remaining, usage};

/// How often one idempotency key may be tried again after failed calls.
const TRIES: u32 = 100;

/// A hold that pays for one call; only an authorisation makes it.
pub(super) struct Ticket {
    hold: OpenHold,
    pub(super) payer: Payer,
    pub(super) authorized: Credits,
    /// The version of the prices that it is charged by.
    pub(super) prices: Option<String>,
    /// When it expires, in milliseconds of Unix time.
    expires_at: AtomicI64,
    /// Where the log has the hold.
    pub(super) position: i64,
    /// How often it was made larger.
    increments: u32,
    watch: Stopwatch,
    /// The process does not stop while it is here.
    _call: Call,
}

/// What came of asking for a hold.
pub(super) enum Opened {
    /// It is open.
    Now(Ticket),
    /// The call was made, and charged, before.
    Before(HoldId, Outcome<Wallet>),
    /// The call has failed before, and is not made again.
    Over,
}

/// What came of asking for more.
pub(super) enum More {
    Held,
    /// The wallet has no more; so much is left of what can be spent, where that is why.
    Refused {
        left: Credits,
    },
}

/// What a call is to hold before anybody is asked.
pub(super) struct Wanted {
    pub(super) amount: Credits,
    /// What will do, where the wallet has no more.
    pub(super) least: Credits,
    pub(super) price: Price,
    pub(super) reason: &'static str,
    /// Whether a call that has failed is not made again under the same key.
    pub(super) once: bool,
}

/// The hold of a call's first attempt.
pub(super) fn first(payer: &Payer) -> HoldId {
    attempt_of(payer, 0)
}

fn attempt_of(payer: &Payer, attempt: u32) -> HoldId {
    HoldId::derive(payer.intent, &format!("hold {attempt}"))
}

/// Holds what is wanted, under the first id of the intent that no failed call has used.
pub(super) async fn open(app: &App, payer: Payer, wanted: Wanted) -> Result<Opened> {
    open_with(app, payer, wanted, app.settings.call_hold, |_| vec![]).await
}

/// The same, for so long, with rows that live or die with the hold.
pub(super) async fn open_with(
    app: &App,
    payer: Payer,
    wanted: Wanted,
    lasts: TimeDelta,
    side: impl Fn(HoldId) -> Vec<SideRow>,
) -> Result<Opened> {
    let Wanted { mut amount, least, price, reason, once } = wanted;
    let mut watch = Stopwatch::start();
    let mut attempt = 0;
    while attempt < TRIES {
        let hold = attempt_of(&payer, attempt);
        if payer.may_repeat
            && let Some(before) = payer.known(app, hold, "capture").await?
        {
            return Ok(Opened::Before(hold, before));
        }
        let expires_at = clock::now() + lasts;
        let reason = reason.to_owned();
        let spend = Spend { by: payer.by(), amount, price: price.clone(), reason };
        let ask = Ask::Authorize { hold, spend, expires_at };
        match payer.send(app, command(hold, "authorize"), side(hold), ask).await {
            Ok(outcome) if !outcome.replayed => {
                let hold = outcome.events.iter().find_map(WalletEvent::opens);
                let hold = hold.ok_or_else(|| Problem::failed("a hold did not open"))?;
                let (authorized, position) = (amount, outcome.position);
                let prices = version_of(&price);
                app.wrote(payer.user, position);
                watch.held();
                return Ok(Opened::Now(Ticket {
                    hold,
                    payer,
                    authorized,
                    prices,
                    expires_at: AtomicI64::new(expires_at.timestamp_millis()),
                    position,
                    increments: 0,
                    watch,
                    _call: app.calls.begin(),
                }));
            }
            // The key's earlier call failed and was released, or is still running.
            Ok(_) => {
                let wallet = app.store.load::<Wallet>(WalletId::from(payer.user)).await?;
                if wallet.hold(hold).is_some() {
                    return Err(still_running());
                }
                // It may have been charged since it was looked for.
                if let Some(before) = payer.known(app, hold, "capture").await? {
                    return Ok(Opened::Before(hold, before));
                }
                if once {
                    return Ok(Opened::Over);
                }
                attempt += 1;
            }
            Err(ExecuteError::Refused(WalletError::InsufficientCredits { available, .. }))
                if available >= least && available < amount =>
            {
                amount = available;
            }
            Err(ExecuteError::Refused(WalletError::HoldIdTaken)) => return Err(still_running()),
            Err(error) => {
                app.declines.hear(payer.user, payer.key, Operation::Call, &error);
                return Err(error.into());
            }
        }
    }
    Err(Problem::field("Idempotency-Key", "was used by too many failed calls: use a new key"))
}

/// The ticket of a hold that somebody else has opened, with at least the time of a call; none when it is
/// open no more. Whoever opened it may still be at it: the call ends once all the same.
pub(super) async fn resume(app: &App, payer: Payer, hold: HoldId) -> Result<Option<Ticket>> {
    let mut watch = Stopwatch::start();
    let wallet = WalletId::from(payer.user);
    let authorize = command(hold, "authorize");
    let Some(opened) = app.store.outcome_of::<Wallet>(wallet, authorize).await? else {
        return Ok(None);
    };
    let state = app.store.load::<Wallet>(wallet).await?;
    let proof = opened.events.iter().find_map(WalletEvent::opens);
    let (Some(proof), Some(open)) = (proof, state.hold(hold)) else { return Ok(None) };
    let prices = opened.events.iter().find_map(priced_by);
    watch.held();
    let ticket = Ticket {
        hold: proof,
        payer,
        authorized: open.figures.authorized,
        prices,
        position: opened.position,
        expires_at: AtomicI64::new(open.figures.expires_at.timestamp_millis()),
        increments: 0,
        watch,
        _call: app.calls.begin(),
    };
    if ticket.left() < app.settings.call_hold {
        match ticket.extend(app).await {
            // Whoever is at it as well may have it held for longer.
            Ok(()) | Err(ExecuteError::Refused(WalletError::HoldExpiryPast)) => {}
            Err(ExecuteError::Refused(WalletError::HoldNotOpen)) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(ticket))
}

impl Ticket {
    /// The hold, for whoever is asked on its account.
    pub(super) fn hold(&self) -> &OpenHold {
        &self.hold
    }

    /// Holds more.
    pub(super) async fn increment(
        &mut self,
        app: &App,
        amount: Credits,
    ) -> Result<More, ExecuteError<WalletError>> {
        let ask = Ask::Increment { hold: self.hold.id(), by: self.payer.by(), amount };
        let id = command(self.hold.id(), &format!("increment {}", self.increments));
        self.watch.waited();
        let sent = self.payer.send(app, id, vec![], ask).await;
        self.watch.held();
        if let Err(error) = &sent {
            app.declines.hear(self.payer.user, self.payer.key, Operation::Call, error);
        }
        match sent {
            Ok(outcome) => {
                self.increments += 1;
                // As the log has it: an answer that was lost counts once.
                self.authorized = authorized(&outcome).unwrap_or(self.authorized);
                Ok(More::Held)
            }
            Err(ExecuteError::Refused(WalletError::InsufficientCredits { available, .. })) => {
                Ok(More::Refused { left: available })
            }
            Err(ExecuteError::Refused(_)) => Ok(More::Refused { left: Credits::ZERO }),
            Err(error) => Err(error),
        }
    }

    /// Keeps the hold open, where half of its time is over. It may fail: the next try comes soon.
    pub(super) async fn keep(&self, app: &App) {
        if self.left() > app.settings.call_hold / 2 {
            return;
        }
        if let Err(error) = self.extend(app).await {
            tracing::warn!(error = %error, "a hold could not be kept open");
        }
    }

    /// How long the hold is open yet.
    fn left(&self) -> TimeDelta {
        let expires_at = self.expires_at.load(Ordering::Relaxed);
        TimeDelta::milliseconds(expires_at.saturating_sub(clock::now().timestamp_millis()))
    }

    async fn extend(&self, app: &App) -> Result<(), ExecuteError<WalletError>> {
        let expires_at = clock::now() + app.settings.call_hold;
        let ask = Ask::Extend { hold: self.hold.id(), by: self.payer.by(), expires_at };
        let expires_at = expires_at.timestamp_millis();
        let id = command(self.hold.id(), &format!("extend {expires_at}"));
        self.payer.send(app, id, vec![], ask).await?;
        self.expires_at.store(expires_at, Ordering::Relaxed);
        Ok(())
    }

    /// Waits for something, and keeps the hold open meanwhile.
    pub(super) async fn kept_until<T>(&self, app: &App, what: impl Future<Output = T>) -> T {
        let beat = beat(app.settings.call_hold);
        let mut what = std::pin::pin!(what);
        loop {
            match tokio::time::timeout(beat, &mut what).await {
                Ok(done) => return done,
                Err(_) => self.keep(app).await,
            }
        }
    }

    /// The provider is at its end: what takes time from here on is the charge.
    pub(super) fn delivered(&mut self) {
        self.watch.waited();
    }
}

pub(super) fn command(hold: HoldId, purpose: &str) -> CommandId {
    CommandId::derive(hold.0, purpose)
}

/// What a hold has set aside after it was made larger.
fn authorized(outcome: &Outcome<Wallet>) -> Option<Credits> {
    outcome.events.iter().find_map(|event| match event {
        WalletEvent::HoldIncremented { figures, .. } => Some(figures.authorized),
        _ => None,
    })
}

/// The version of the prices that an event holds credits by.
fn priced_by(event: &WalletEvent) -> Option<String> {
    match event {
        WalletEvent::HoldAuthorized { price, .. } => version_of(price),
        _ => None,
    }
}

fn version_of(price: &Price) -> Option<String> {
    match price {
        Price::Fixed { version, .. } | Price::Metered { version } => Some(version.clone()),
        Price::Free | Price::Stated => None,
    }
}

fn still_running() -> Problem {
    let mut problem = Problem::new(
        StatusCode::CONFLICT,
        "still_running",
        "the first request with this Idempotency-Key is still running",
    );
    problem.retry_after = Some(1);
    problem
}

/// How often a hold is looked at that lasts so long.
fn beat(hold: TimeDelta) -> Duration {
    (hold / 4).to_std().unwrap_or(Duration::from_secs(1)).max(Duration::from_millis(100))
}
