//! The log of the server: one line for each thing that happened, to the standard error.

use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;

use tracing_subscriber::EnvFilter;

use crate::clients::stripe::webhook;
use crate::config::{LogFormat, REQUESTS};

/// Whether each request has a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Requests {
    /// It has.
    Told,
    /// It has not: what is asked is asked by ourselves.
    Quiet,
}

/// Begins the log. `RUST_LOG` says what of, where it is set.
pub(super) fn begin(format: LogFormat, requests: Requests) {
    // Notices of the database say that what should be there is there.
    let usual = || {
        let quiet = match requests {
            Requests::Told => String::new(),
            Requests::Quiet => format!(",{REQUESTS}=warn"),
        };
        EnvFilter::new(format!("info,sqlx::postgres::notice=warn,{}{quiet}", webhook::QUIET))
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| usual());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match format {
        LogFormat::Human => log.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => {
            log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
            std::panic::set_hook(Box::new(tell_panic));
        }
    }
}

/// A panic is a line as any other. What it says is left out: it may hold a value that is nobody's business.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(at, "a panic: a bug of Saldo's");
}
