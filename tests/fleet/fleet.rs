//! Servers and workers as processes, what they share, and what becomes of them.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use saldo::embedded::{Cluster, Mode};
use sqlx::AssertSqlSafe;

use crate::customer::Offers;
use crate::proxy::Proxy;
use crate::redis_server::{RedisServer, free_port};
use crate::stripe_post::Stripe;
use crate::support::{Database, Server};

const SERVERS: usize = 3;
const WORKERS: usize = 2;
/// Everybody who can be killed: Redis and Postgres, too.
const ALL: usize = SERVERS + WORKERS + 2;
/// Its own Postgres: others do without theirs for nobody.
const CLUSTER: &str = "saldo-test-fleet";
/// Of the turns of Postgres, the one in which not one process of its is killed, but all of it.
const WHOLE: usize = 3;
/// How long what was killed is away.
const AWAY: Duration = Duration::from_millis(700);
/// How long after they have told it to stop operators' tools kill a node.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long everything may take to come to rest: a hold of a call expires after two seconds, and what a dead
/// node had taken of the queue waits for a minute of silence.
const REST: Duration = Duration::from_mins(3);

/// A token is cheap: a call costs a credit.
const MODELS: &str = r#"{
    "version": "fleet-1",
    "fixed": { "summarize": 1, "analyze": 1 },
    "tiers": {
        "free": { "models": ["local-1"], "chat_messages_per_day": 5 },
        "basic": { "models": ["local-1"] }, "pro": { "models": ["local-1"] }
    },
    "models": [
        { "id": "local-1", "tier": "free", "input_per_million": 10000, "output_per_million": 10000,
          "max_output_tokens": 4000, "routes": [{ "provider": "local", "model": "local-1" }] }
    ]
}"#;

pub struct Fleet {
    database: Database,
    cluster: Cluster,
    redis: RedisServer,
    stripe: Arc<Stripe>,
    proxy: Proxy,
    nodes: Vec<Node>,
    /// Whose turn it is to be killed.
    turn: usize,
}

/// A server, or a worker.
struct Node {
    command: Command,
    process: Child,
}

impl Node {
    fn start(mut command: Command) -> Self {
        let process = command.spawn().expect("a node can be started");
        Self { command, process }
    }

    fn kill(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it ends");
    }

    fn start_again(&mut self) {
        self.process = self.command.spawn().expect("a node can be started");
    }

    /// Waits until it has ended well, as it does before anybody kills it.
    fn ends(&mut self, told: Instant) {
        while told.elapsed() < PATIENCE {
            if let Some(ended) = self.process.try_wait().expect("a child of ours") {
                assert!(ended.success(), "a node ended with {ended}");
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("a node has not ended {PATIENCE:?} after it was told to stop");
    }
}

/// The Postgres of this database, started where it does not run. Its socket is in its folder.
async fn cluster_of(database: &Database) -> Cluster {
    let socket = database.socket();
    let folder = socket.parent().expect("it is in a folder");
    Cluster::start(Mode::Durable, folder).await.expect("a private PostgreSQL")
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Fleet {
    /// Everything; nothing, and said aloud, where a program is missing.
    pub async fn start() -> Option<Self> {
        let redis = RedisServer::start().await?;
        let ports: Vec<_> = (0..SERVERS).map(|_| free_port()).collect();
        let proxy = Proxy::start(&ports)?;
        let database = Database::durable_in(CLUSTER).await;
        std::fs::create_dir_all(&database.data).expect("a folder");
        let models = database.data.join("models.json");
        std::fs::write(&models, MODELS).expect("a file");
        let redis_url = redis.url();
        let mut stripe = Stripe::start().await;
        stripe.tell(&proxy.url);
        let shared = [
            ("SALDO_RATE_LIMITS", "off"),
            ("SALDO_CALL_HOLD_S", "2"),
            // Of five nodes, with those of nodes that were killed and are not missed yet, they have to fit.
            ("SALDO_DATABASE_CONNECTIONS", "8"),
            ("SALDO_TRUSTED_PROXIES", "127.0.0.1/32"),
            ("SALDO_MODELS", models.to_str().expect("a path")),
            ("REDIS_URL", &redis_url),
        ];
        let shared = [&shared[..], &stripe.settings()].concat();
        let node = |what: &str, listen: &str| {
            let mut command = database.program(&shared);
            // What they say of those that are away is no news here.
            command
                .env("RUST_LOG", "error,stripe_webhook=off")
                .env("SALDO_LISTEN", listen)
                .arg(what);
            command.stdout(Stdio::null());
            Node::start(command)
        };
        let servers = ports.iter().map(|port| node("serve", &format!("127.0.0.1:{port}")));
        let mut nodes: Vec<_> = servers.collect();
        nodes.extend((0..WORKERS).map(|_| node("work", "127.0.0.1:0")));
        let stripe = Arc::new(stripe);
        let cluster = cluster_of(&database).await;
        let fleet = Self { database, cluster, redis, stripe, proxy, nodes, turn: 0 };
        fleet.answers().await;
        Some(fleet)
    }

    pub fn database(&self) -> &Database {
        &self.database
    }

    /// What customers see of all of it.
    pub fn door(&self) -> Server {
        Server::within(self.proxy.url.clone())
    }

    /// Where customers pay.
    pub fn stripe(&self) -> Arc<Stripe> {
        Arc::clone(&self.stripe)
    }

    /// What is on sale, once Stripe has all of it.
    pub async fn offers(&self) -> Offers {
        let door = self.door();
        let offer = async |path: &str, name: &str| {
            for _ in 0..600 {
                let listed = door.send(reqwest::Method::GET, path, &[], None).await;
                let items = listed.map(|answer| answer.body["items"].clone()).unwrap_or_default();
                let mut items = items.as_array().into_iter().flatten();
                if let Some(offer) = items.find(|offer| offer["name"] == name) {
                    return offer["id"].as_str().expect("an id").to_owned();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            panic!("{name} is not on sale");
        };
        let pack = offer("/api/v1/billing/packs", "Starter").await;
        Offers { pack, plan: offer("/api/v1/billing/plans", "Basic").await }
    }

    async fn answers(&self) {
        let door = self.door();
        for _ in 0..600 {
            let ready = door.send(reqwest::Method::GET, "/readyz", &[], None).await;
            if ready.is_ok_and(|answer| answer.status.is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no server is ready");
    }

    /// `kill -9` for a server, a worker, Redis or Postgres in turn. It is back a moment later.
    pub async fn kill_the_next(&mut self) {
        let (turn, round) = (self.turn % ALL, self.turn / ALL + 1);
        self.turn += 1;
        match turn {
            0 if round == WHOLE => self.kill_postgres().await,
            0 => self.crash_postgres().await,
            1 => {
                self.redis.kill();
                tokio::time::sleep(AWAY).await;
                self.redis.restart().await;
            }
            number => {
                let node = &mut self.nodes[number - 2];
                node.kill();
                tokio::time::sleep(AWAY).await;
                node.start_again();
            }
        }
    }

    /// Whether all of Postgres was killed once.
    pub fn has_lost_postgres(&self) -> bool {
        self.turn > (WHOLE - 1) * ALL
    }

    /// `kill -9` for the first of its processes, whose end the others follow; started again on the same data.
    async fn kill_postgres(&mut self) {
        let postmaster = self.cluster.postmaster().expect("it runs").to_string();
        let killed = Command::new("kill").args(["-9", &postmaster]).status();
        assert!(killed.expect("kill runs").success());
        tokio::time::sleep(AWAY).await;
        self.cluster = cluster_of(&self.database).await;
        assert_ne!(self.cluster.postmaster().expect("it runs").to_string(), postmaster);
    }

    /// One of its processes gets `kill -9`: it ends them all, throws its memory away, and recovers from its disk.
    async fn crash_postgres(&self) {
        let pool = self.database.pool().await;
        let appender = "select pid from pg_stat_activity
             where application_name = 'saldo appender' and datname = current_database() limit 1";
        let backend: Option<i32> =
            sqlx::query_scalar(appender).fetch_optional(&pool).await.expect("Postgres answers");
        // A moment without a writer has nobody to kill.
        let Some(backend) = backend else { return };
        let killed = Command::new("kill").args(["-9", &backend.to_string()]).status();
        assert!(killed.expect("kill runs").success());
        pool.close().await;
    }

    /// Waits until Stripe is heard and everything of its is settled, no hold is open, no reply is awaited, and
    /// every read model has all of the log.
    pub async fn comes_to_rest(&self) {
        self.answers().await;
        let pool = self.database.pool().await;
        let deadline = tokio::time::Instant::now() + REST;
        while self.stripe.untold() > 0 {
            assert!(tokio::time::Instant::now() < deadline, "nobody takes what Stripe tells");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let restless = [
            "select count(*) from stripe_inbox where state = 'waiting'",
            "select count(*) from graphile_worker._private_jobs where attempts < max_attempts
                 and key like 'settle_object/%'",
            "select count(*) from balances.holds where state = 'authorized'",
            "select count(*) from chats.messages where state = 'queued'",
            "select count(*) from projections.checkpoints c, log_head h where c.position < h.position",
        ];
        for query in restless {
            loop {
                let left: i64 = sqlx::query_scalar(AssertSqlSafe(query))
                    .fetch_one(&pool)
                    .await
                    .expect("Postgres answers");
                if left == 0 {
                    break;
                }
                assert!(tokio::time::Instant::now() < deadline, "{left} left of: {query}");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        pool.close().await;
    }

    /// Ends all nodes as an operator does; each has to end well, and in time.
    pub fn stop(&mut self) {
        let told_at = Instant::now();
        for node in &self.nodes {
            let told =
                Command::new("kill").args(["-TERM", &node.process.id().to_string()]).status();
            assert!(told.expect("kill runs").success());
        }
        for mut node in std::mem::take(&mut self.nodes) {
            node.ends(told_at);
        }
    }

    pub async fn remove(self) {
        let Self { database, nodes, .. } = self;
        drop(nodes);
        database.remove().await;
    }
}
