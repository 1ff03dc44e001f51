//! Starting and stopping a node.

mod connections;
mod database;
mod operators;
mod patient;
mod roles;
mod room;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use projections::journal::Unseal;
use projections::runner::Runner;
use sqlx::migrate::MigrateError;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, Parts};
use crate::billing::offers;
use crate::calls::Calls;
use crate::clients::llm::Llm;
use crate::clients::redis::Redis;
use crate::clock;
use crate::closings::Closings;
use crate::config::{Config, ConfigError, Problems};
use crate::counters::Counters;
use crate::declines::Declines;
use crate::embedded::EmbeddedError;
use crate::health::Probes;
use crate::jobs::{self, JobsError, Messages};
use crate::keys::{Keys, KeysError};
use crate::models::{KnownTiers, Models, ModelsError};
use crate::passwords::Passwords;
use crate::processes::Signer;
use crate::queue::{self, Job};
use crate::rates::Rates;
use crate::store::Store;
use crate::tokens::Tokens;
use crate::wakes::Wakes;
use crate::{http, processes};

pub(crate) use connections::serve as connections;
pub use database::{Database, database, database_of_owner};
use database::{OLDEST, installation};
pub(crate) use room::Room;

/// How long background work may take to come to an end.
const STOPPING: Duration = Duration::from_secs(12);

/// Why a node does not start: one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The private database does not start.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The setting is no address of a database.
    #[error("{0} is not an address of a database: {1}")]
    DatabaseUrl(&'static str, sqlx::Error),
    /// The database does not answer.
    #[error("the database does not answer: check that it runs and that DATABASE_URL is right: {0}")]
    Database(#[from] sqlx::Error),
    /// The database is too old.
    #[error(
        "the database is PostgreSQL {0}, and Saldo needs {OLDEST} or newer: upgrade it, or set DATABASE_URL to another"
    )]
    TooOld(i32),
    /// The schema could not be brought up to date.
    #[error("the database could not be migrated: {0}")]
    Migrate(#[from] MigrateError),
    /// Settings cannot be used.
    #[error(transparent)]
    Problems(Problems),
    /// The schema is not up to date, and its owner is somebody else.
    #[error(
        "the database is not up to date, and the role of DATABASE_URL may not change that: run `saldo migrate` with SALDO_MIGRATIONS_DATABASE_URL beside it"
    )]
    Behind,
    /// What only the owner may do.
    #[error("this is for the role that owns the tables: set SALDO_MIGRATIONS_DATABASE_URL")]
    NotOwner,
    /// The server's role cannot be given what it needs.
    #[error("the role of DATABASE_URL cannot be let in: {0}{1}")]
    Role(sqlx::Error, String),
    /// A setting cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The models cannot be offered.
    #[error(transparent)]
    Models(#[from] ModelsError),
    /// What is sold could not be put on sale.
    #[error("what is sold could not be put on sale: {0}")]
    Shop(String),
    /// Jobs cannot be run.
    #[error(transparent)]
    Jobs(#[from] JobsError),
    /// The keys are missing or unreadable.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// The port is taken, or not allowed.
    #[error("cannot listen on {address}: {source}; set {setting} to a free address")]
    Listen { setting: &'static str, address: SocketAddr, source: std::io::Error },
}

/// A node that runs: handlers' state, projections and process managers.
pub struct Node {
    /// What handlers share.
    pub app: App,
    signer: Signer,
    stop: watch::Sender<bool>,
    working: JoinHandle<()>,
    _database: Database,
}

impl Node {
    /// Starts everything but the HTTP listener, which listens at `address`.
    pub async fn start(config: &Config, address: SocketAddr, llm: Llm) -> Result<Self, StartError> {
        let settings = config.settings(address)?;
        let messages = Messages::new(config)?;
        let providers = config.providers()?;
        let stripe = config.stripe()?;
        let models = Models::load(config.meter.models.as_deref(), &llm)?;
        let webhooks = config.webhooks()?;
        let redis = config.redis()?;
        let database = database(config).await?;
        let keys = Keys::in_folder(&config.data_dir)?;
        let (pool, options) = (database.pool.clone(), database.options.clone());
        let installation = installation(&pool).await?;
        let redis = match redis {
            Some(url) => {
                let redis = Redis::new(&url, &installation);
                // The first who ask are to find it connected, should it be there.
                let _ = redis.ping().await;
                Some(redis)
            }
            None => None,
        };
        let store = Store::start(pool.clone(), options.clone(), keys.wrapping()).await?;
        let (stop, stopped) = watch::channel(false);
        let unseal: Arc<dyn Unseal> = Arc::new(store.codec().clone());
        let projections = Runner::start(&pool, &unseal, store.tail(), &stopped);
        let replica = database::replica(config, &installation, store.head())?;
        let app = App::new(Parts {
            projections,
            replica,
            tokens: Tokens::new(&keys.access_tokens.all())?,
            passwords: Passwords::default(),
            models,
            webhooks,
            llm,
            tiers: KnownTiers::default(),
            rates: Rates::new(redis.clone()),
            redis,
            counters: Counters::default(),
            declines: Declines::default(),
            probes: Probes::new(options.clone()),
            started_at: clock::now(),
            wakes: Wakes::default(),
            leaving: watch::Sender::new(false),
            calls: Calls::default(),
            written: std::sync::Mutex::default(),
            store,
            keys,
            settings,
            providers,
            closings: Closings::default(),
            stripe,
            stripe_secrets: config.billing.webhook_secrets.clone(),
        });
        processes::prepare(&app).await?;
        if app.stripe.is_some() {
            offers::open_shop(&app).await.map_err(|problem| StartError::Shop(problem.detail))?;
            let mut db = pool.acquire().await?;
            Job::about(queue::HEAL, "stripe").enqueue(&mut db).await?;
        }
        let signer = Signer::new(&app, app.settings.heads.clone());
        processes::start(&app, &signer, &stopped);
        let working = jobs::run(app.clone(), messages, options, stopped);
        #[expect(clippy::disallowed_methods, reason = "ends when `stop` turns true")]
        let working = tokio::spawn(working);
        Ok(Self { app, signer, stop, working, _database: database })
    }

    /// Ends the background work, and signs the log's end. A projection finishes the step that it is
    /// in, unless that takes too long: then the database undoes the step, and the next node takes
    /// it again.
    pub async fn stop(self) {
        self.app.leaving.send_replace(true);
        self.stop.send_replace(true);
        // Too late is as good as in time: holds expire, and jobs are taken by others.
        let ended = async {
            let _ =
                tokio::join!(self.app.projections.ended(), self.working, self.app.calls.ended());
            processes::keep_declines(&self.app).await;
        };
        let _ = tokio::time::timeout(STOPPING, ended).await;
        self.signer.sign().await;
    }
}

/// All that keeps a node from starting, as far as its settings say.
#[must_use]
pub fn problems(config: &Config) -> Vec<String> {
    let problems = config.problems().into_iter().chain(Messages::problems(config));
    let mut problems: Vec<_> = problems.map(|problem| problem.to_string()).collect();
    // Without providers nobody knows what could be offered; that they are wrong is told already.
    if let Ok(llm) = config.llm() {
        let models = Models::load(config.meter.models.as_deref(), &llm);
        problems.extend(models.err().map(|error| error.to_string()));
    }
    problems
}

fn check(config: &Config) -> Result<(), StartError> {
    match problems(config) {
        problems if problems.is_empty() => Ok(()),
        problems => Err(StartError::Problems(Problems(problems))),
    }
}

/// Serves until told to stop (SIGINT or SIGTERM). `ready` is told the address.
pub async fn serve(config: &Config, ready: impl FnOnce(SocketAddr)) -> Result<(), StartError> {
    serve_until(config, told_to_stop(), ready).await
}

/// Serves until `stop` ends. `ready` is told the address.
pub async fn serve_until(
    config: &Config,
    stop: impl Future<Output = ()> + Send + 'static,
    ready: impl FnOnce(SocketAddr),
) -> Result<(), StartError> {
    check(config)?;
    let room = Room::for_clients(&config.web.trusted_proxies);
    let (listener, address) = listen("SALDO_LISTEN", config.listen).await?;
    let operators = operators::listen(config).await?;
    let node = Node::start(config, address, config.llm()?).await?;
    let _answering = operators.map(|listener| operators::answer(&node.app, listener));
    let router = http::router(node.app.clone());
    ready(address);
    let app = node.app.clone();
    let stop = async move {
        stop.await;
        app.leaving.send_replace(true);
    };
    tokio::select! {
        () = connections(listener, router, room, stop) => {}
        () = node.app.overdue() => tracing::warn!("requests that have not ended in time are cut"),
    }
    node.stop().await;
    Ok(())
}

/// Listens; the error names the setting.
async fn listen(
    setting: &'static str,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Listen { setting, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Runs jobs and keeps the read models until told to stop, without serving.
pub async fn work(config: &Config) -> Result<(), StartError> {
    check(config)?;
    let operators = operators::listen(config).await?;
    let node = Node::start(config, config.listen, config.llm()?).await?;
    let _answering = operators.map(|listener| operators::answer(&node.app, listener));
    tracing::info!("working on jobs");
    told_to_stop().await;
    node.stop().await;
    Ok(())
}

async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ => std::future::pending().await,
    }
}
