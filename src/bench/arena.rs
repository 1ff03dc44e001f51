//! A log with wallets to spend from, and servers on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregates::credits::Credits;
use aggregates::id::{CommandId, DebitId, GrantId, SessionId, UserId, WalletId};
use aggregates::user::{self, SignIn, User, UserCommand};
use aggregates::wallet::{
    self, By, Funding, GrantKind, GrantTerms, Price, Priority, Spend, Wallet, WalletCommand,
};
use projections::runner;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::ground::Scratch;
use super::load::{Client, Spender};
use super::{BenchError, WALLETS};
use crate::clock;
use crate::config::{
    AiConfig, BillingConfig, Config, Environment, MeterConfig, RedisConfig, SignInConfig,
    VaultConfig, WatchConfig, WebConfig, WebhookConfig,
};
use crate::keys::Keys;
use crate::serve::{self, Database};
use crate::store::{Envelope, Metadata, Store};
use crate::tokens::Tokens;

/// Commands under way at once while a log is filled.
const FILLING: usize = 512;
/// How long read models may take to reach the end of the log.
const PATIENCE: Duration = Duration::from_mins(20);

/// A log with wallets to spend from.
pub(super) struct Arena {
    pub(super) config: Config,
    pub(super) database: Database,
    /// Writes past the API, to fill the log.
    pub(super) store: Store,
    pub(super) keys: Keys,
    tokens: Tokens,
    users: Vec<UserId>,
}

impl Arena {
    /// People with plenty of credits, in a new log.
    pub(super) async fn open(scratch: &Scratch) -> Result<Self, BenchError> {
        let config = Config {
            environment: Environment::Local,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            database_url: Some(scratch.url.clone().into()),
            migrations_database_url: None,
            replica_database_url: None,
            data_dir: scratch.data.clone(),
            database_connections: 16,
            sign_in: SignInConfig::default(),
            billing: BillingConfig::default(),
            ai: AiConfig::default(),
            meter: MeterConfig::default(),
            web: WebConfig::default(),
            webhooks: WebhookConfig::default(),
            redis: RedisConfig::default(),
            watch: WatchConfig::default(),
            vault: VaultConfig::default(),
        };
        let database = serve::database(&config).await?;
        let keys = Keys::in_folder(&scratch.data)?;
        // What fills the log need not wait for the disk; what is measured does.
        let options = database.options.clone().options([("synchronous_commit", "off")]);
        let store = Store::start(database.pool.clone(), options, keys.wrapping()).await?;
        let tokens = Tokens::new(&keys.access_tokens.all())?;
        let mut arena = Self { config, database, store, keys, tokens, users: vec![] };
        for _ in 0..WALLETS {
            let user = arena.sign_up().await?;
            arena.users.push(user);
        }
        Ok(arena)
    }

    /// Somebody new, without a way in: nothing beside the log tells of one.
    pub(super) async fn sign_up(&self) -> Result<UserId, BenchError> {
        let (user, now) = (UserId(Uuid::now_v7()), clock::now());
        let (key, row) = self.store.codec().new_key(user).map_err(BenchError::store)?;
        let mut envelope = Envelope::once(Metadata::default()).with(row);
        envelope.person_key = Some(key);
        let register = user::Ask::Register { email: None, name: None, by: SignIn::SmsCode };
        let grant = GrantTerms {
            id: GrantId::derive(user.0, "bench"),
            kind: GrantKind::Promotional,
            amount: Credits::new(1_000_000_000),
            priority: Priority::default(),
            expires_at: None,
            funding: Funding::Signup,
            reversal_group: None,
        };
        let open = [
            WalletCommand { now, ask: wallet::Ask::Open { owner: user } },
            WalletCommand { now, ask: wallet::Ask::Grant { grant, reason: "bench".to_owned() } },
        ];
        let creation = self.store.create(envelope);
        let creation = creation.with::<User>(user, [UserCommand { now, ask: register }]);
        let creation = creation.await.map_err(BenchError::store)?;
        let creation = creation.with::<Wallet>(WalletId::from(user), open);
        creation.await.map_err(BenchError::store)?.append().await.map_err(BenchError::store)?;
        Ok(user)
    }

    /// Everybody, with tokens that are fresh.
    pub(super) fn spenders(&self) -> Result<Arc<[Spender]>, BenchError> {
        self.users.iter().map(|user| self.spender(*user)).collect()
    }

    /// One person, with a token that is fresh.
    pub(super) fn spender(&self, user: UserId) -> Result<Spender, BenchError> {
        let session = SessionId(Uuid::now_v7());
        let bearer = self.tokens.issue(user, session, clock::now()).map_err(BenchError::store)?;
        Ok(Spender { bearer })
    }

    /// Lets `spenders` spend in turn until the log has `events` more.
    pub(super) async fn fill(&self, spenders: &[UserId], events: i64) -> Result<(), BenchError> {
        let mut under_way = JoinSet::new();
        for (number, user) in (0..events).zip(spenders.iter().cycle()) {
            if usize::try_from(number).is_ok_and(|number| number >= FILLING) {
                settled(under_way.join_next().await)?;
            }
            let (store, wallet) = (self.store.clone(), WalletId::from(*user));
            under_way.spawn(async move { spend(&store, wallet).await });
        }
        while let Some(joined) = under_way.join_next().await {
            settled(Some(joined))?;
        }
        Ok(())
    }

    /// Some of the people.
    pub(super) fn users(&self) -> &[UserId] {
        &self.users
    }

    /// The end of the log.
    pub(super) async fn head(&self) -> Result<i64, BenchError> {
        Ok(projections::journal::head(&self.database.pool).await?)
    }

    /// Waits until the read models have seen all of the log.
    pub(super) async fn caught_up(&self) -> Result<(), BenchError> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let (_, lags) = runner::lag(&self.database.pool).await?;
            if lags.iter().all(|lag| lag.events == 0) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(BenchError::Answer("the read models do not reach the end of the log".to_owned()))
    }

    /// A server on this log.
    pub(super) async fn serve(&self) -> Result<Server, BenchError> {
        Server::start(&self.config).await
    }
}

async fn spend(store: &Store, wallet: WalletId) -> Result<(), BenchError> {
    let envelope = Envelope::new(CommandId(Uuid::now_v7()), Metadata::default());
    let spend = Spend {
        by: By::person(),
        amount: Credits::new(10),
        price: Price::Stated,
        reason: "summarize".to_owned(),
    };
    let ask = wallet::Ask::Debit { debit: DebitId(envelope.command_id.0), spend };
    let command = WalletCommand { now: clock::now(), ask };
    store.execute::<Wallet>(wallet, envelope, command).await.map_err(BenchError::store)?;
    Ok(())
}

type Joined = Result<Result<(), BenchError>, tokio::task::JoinError>;

fn settled(joined: Option<Joined>) -> Result<(), BenchError> {
    joined.map_or(Ok(()), |joined| joined.map_err(std::io::Error::other)?)
}

/// A server in a process of its own, as it is in production; killed when dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) process: u32,
    /// From the start of the process to the first answer of `/health`.
    pub(super) ready_after: Duration,
    child: Child,
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    async fn start(config: &Config) -> Result<Self, BenchError> {
        let began = Instant::now();
        let url = config.database_url.as_ref().map(secrecy::ExposeSecret::expose_secret);
        let (ai, meter) = (&config.ai, &config.meter);
        let mut child = Command::new(std::env::current_exe()?)
            .arg("serve")
            .envs(ai.openai_base_url.iter().map(|url| ("OPENAI_BASE_URL", url)))
            .envs(meter.models.iter().map(|models| ("SALDO_MODELS", models)))
            .env("DATABASE_URL", url.unwrap_or_default())
            .env("SALDO_DATA_DIR", &config.data_dir)
            .env("SALDO_LISTEN", config.listen.to_string())
            .env("SALDO_ENV", "local")
            .env("SALDO_RATE_LIMITS", "off")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let silent = || BenchError::Answer("the server did not say where it listens".to_owned());
        let mut stdout = BufReader::new(child.stdout.take().ok_or_else(silent)?);
        let mut line = String::new();
        stdout.read_line(&mut line).await?;
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        let address = address.and_then(|address| address.parse().ok()).ok_or_else(silent)?;
        Client::connect(address).await?.is_well("/health").await?;
        let process = child.id().ok_or_else(silent)?;
        Ok(Self { address, process, ready_after: began.elapsed(), child, _stdout: stdout })
    }

    /// Ends the server as an operator does.
    pub(super) async fn stop(mut self) -> Result<(), BenchError> {
        let process = i32::try_from(self.process).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(process) = process {
            rustix::process::kill_process(process, rustix::process::Signal::TERM)
                .map_err(std::io::Error::from)?;
        }
        self.child.wait().await?;
        Ok(())
    }
}
