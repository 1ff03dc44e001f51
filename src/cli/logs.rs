//! What the server tells of itself: its log, one line for each thing that happened, to the standard error, and traces.

#[cfg(feature = "sentry")]
mod errors;
mod traces;

use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;

use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

#[cfg(feature = "sentry")]
use self::errors::Errors;
use self::traces::Traces;
pub(super) use self::traces::TracesError;
use crate::clients::stripe::webhook;
use crate::config::{Config, LogFormat, REQUESTS};
use crate::traces::TRACES;

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// Those who operate a server: each request has a line, and traces are sent.
    Operators,
    /// Whoever has just asked for something: what is asked is asked by ourselves.
    Asker,
}

/// What has to come to an end before the program does.
#[must_use]
pub(super) struct Logs {
    traces: Option<Traces>,
    #[cfg(feature = "sentry")]
    errors: Option<Errors>,
}

/// Somebody who hears of what happens.
type Listener = Box<dyn Layer<Registry> + Send + Sync>;

/// Begins the log, and traces, where they are wanted. `RUST_LOG` says what the log is of, where it is set.
pub(super) fn begin(
    config: &Config,
    format: LogFormat,
    audience: Audience,
    runtime: &Handle,
) -> Result<Logs, TracesError> {
    // What is wrong with the setting is told with all else that is.
    let collector = config.traces().ok().flatten().filter(|_| audience == Audience::Operators);
    let traces = collector
        .map(|collector| Traces::begin(&collector, config.environment, runtime.clone()))
        .transpose()?;
    let others = traces.iter().map(Traces::layer);
    #[cfg(feature = "sentry")]
    let errors = errors(config, audience, runtime)?;
    #[cfg(feature = "sentry")]
    let others = others.chain(errors.iter().map(|_| Errors::layer(filter(audience))));
    let others: Vec<_> = others.collect();
    #[cfg(feature = "sentry")]
    let are_told = errors.is_some();
    #[cfg(not(feature = "sentry"))]
    let are_told = false;
    listening(format, filter(audience), others).init();
    match format {
        LogFormat::Json => std::panic::set_hook(Box::new(tell_panic)),
        LogFormat::Human if are_told => tell_panics_too(),
        LogFormat::Human => {}
    }
    Ok(Logs {
        traces,
        #[cfg(feature = "sentry")]
        errors,
    })
}

impl Logs {
    /// Sends what there is left; not for a thread that runs others' tasks.
    pub(super) fn end(self) {
        #[cfg(feature = "sentry")]
        drop(self.errors);
        if let Some(traces) = &self.traces {
            traces.end();
        }
    }
}

#[cfg(feature = "sentry")]
fn errors(
    config: &Config,
    audience: Audience,
    runtime: &Handle,
) -> Result<Option<Errors>, TracesError> {
    // What is wrong with the setting is told with all else that is.
    let dsn = config.sentry().ok().flatten().filter(|_| audience == Audience::Operators);
    let errors = dsn.map(|dsn| Errors::begin(dsn, config.environment, runtime.clone()));
    Ok(errors.transpose()?)
}

/// Who hears of what happens. Each has a filter of their own, so that what nobody wants costs nothing. They are a list,
/// since a layer that is not there would be one without a filter, which wants everything.
fn listening(format: LogFormat, filter: EnvFilter, mut others: Vec<Listener>) -> impl Subscriber {
    others.push(lines(format).with_filter(filter).boxed());
    tracing_subscriber::registry().with(others)
}

/// Notices of the database, and of the queue's migrations, say that what should be there is there, or is made now; those of
/// the queue, that each job was done.
const NOTICES: &str = "sqlx::postgres::notice=warn,graphile_worker_migrations=warn,graphile_worker::runner::run_once=warn";

/// What the log is of. Spans are for traces.
fn filter(audience: Audience) -> EnvFilter {
    let usual = || {
        let quiet = match audience {
            Audience::Operators => String::new(),
            Audience::Asker => format!(",{REQUESTS}=warn"),
        };
        EnvFilter::new(format!("info,{NOTICES},{}{quiet}", webhook::QUIET))
    };
    let spans = format!("{TRACES}=off").parse().expect("a directive");
    EnvFilter::try_from_default_env().unwrap_or_else(|_| usual()).add_directive(spans)
}

fn lines(format: LogFormat) -> Listener {
    let lines = fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Human => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => {
            lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
        }
    }
}

/// A panic is a line as any other. What it says is left out: it may hold a value that is nobody's business.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    let at = panic.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(at, "a panic: a bug of Saldo's");
}

/// A panic is told to others, too, who are not told what it says.
fn tell_panics_too() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        tell_panic(panic);
    }));
}

#[cfg(test)]
mod tests {
    use tracing::subscriber::with_default;

    use super::*;

    #[test]
    fn spans_are_made_for_traces_only() {
        let is_made = |others: Vec<Listener>| {
            let listening = listening(LogFormat::Human, filter(Audience::Operators), others);
            with_default(listening, || {
                !tracing::info_span!(target: TRACES, "request").is_disabled()
            })
        };
        assert!(!is_made(vec![]));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let collector = "http://127.0.0.1:1/v1/traces".parse().expect("an address");
        let environment = crate::config::Environment::Local;
        let traces = Traces::begin(&collector, environment, runtime.handle().clone());
        assert!(is_made(vec![traces.expect("an exporter").layer()]));
    }
}
