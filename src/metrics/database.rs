//! What only the database knows.

use std::sync::Arc;
use std::time::Duration;

use projections::runner::{self, Lag};

use super::page::{Kind, Page, Seconds};
use super::work::{self, Work};
use crate::app::App;

/// For how long what the database said is good: scrapes come every 15 seconds, from two or three.
const GOOD: Duration = Duration::from_secs(5);

/// What the database says, as a part of the page.
pub(super) async fn text(app: &App) -> Arc<str> {
    app.probes.metrics.find(GOOD, asked(app), || unknown().into()).await
}

async fn asked(app: &App) -> Arc<str> {
    match tokio::try_join!(runner::lag(&app.probes.db), work::find(app)) {
        Ok(((_, lags), work)) => {
            let mut page = up(1);
            projections(&mut page, &lags);
            work.tell(&mut page);
            page.into_text().into()
        }
        Err(error) => {
            tracing::warn!(error = %error, "the database does not answer a scrape");
            unknown().into()
        }
    }
}

fn unknown() -> String {
    let mut page = up(0);
    projections(&mut page, &[]);
    Work::default().tell(&mut page);
    page.into_text()
}

fn up(is: u8) -> Page {
    let mut page = Page::default();
    page.one("saldo_database_up", Kind::Gauge, "Whether the database answers.", is);
    page
}

fn projections(page: &mut Page, lags: &[Lag]) {
    let help = "Events of the log that a read model has not seen.";
    let mut events = page.family("saldo_projection_lag_events", Kind::Gauge, help);
    for lag in lags {
        events.sample(&[("name", &lag.name)], lag.events);
    }
    let help = "For how long a read model has not seen the first of them.";
    let mut seconds = page.family("saldo_projection_lag_seconds", Kind::Gauge, help);
    for lag in lags {
        let microseconds = u64::try_from(lag.milliseconds).unwrap_or_default() * 1000;
        seconds.sample(&[("name", &lag.name)], Seconds(microseconds));
    }
    let help = "Whether a read model cannot get past an event.";
    let mut halted = page.family("saldo_projection_halted", Kind::Gauge, help);
    for lag in lags {
        halted.sample(&[("name", &lag.name)], u8::from(lag.halted.is_some()));
    }
    let help = "Whether a read model stands still since an administrator wants it to.";
    let mut paused = page.family("saldo_projection_paused", Kind::Gauge, help);
    for lag in lags {
        paused.sample(&[("name", &lag.name)], u8::from(lag.paused_at.is_some()));
    }
}
