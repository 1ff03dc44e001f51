//! Redis, where it is configured. What it keeps helps and is never needed: it is asked for a quarter of a
//! second at most, and when it has failed not at all for a moment, so that nobody waits for it.
//!
//! What it brings back after a restart, or has when it takes over from another, may be older than what it
//! was told last. So all names are bound to the run of the server: what is of another run is not looked at,
//! and expires.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisError,
    RedisResult, cmd,
};
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

/// For how long it is asked, and how long connecting may take. In one datacentre it is a millisecond.
const PATIENCE: Duration = Duration::from_millis(250);
/// For how long it is not asked when it has failed.
const AWAY: Duration = Duration::from_secs(1);

/// Where it is; read, not yet called.
#[derive(Clone, Debug)]
pub struct RedisUrl(Client);

/// Why an address is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RedisUrlError {
    /// It is no address of a Redis.
    #[error(
        "is no address of a Redis: write redis://user:password@host:6379/0, or rediss:// for TLS"
    )]
    Malformed,
    /// Anybody could say that they are Redis.
    #[error("must not end with #insecure: have the certificate signed by whom this machine trusts")]
    Insecure,
}

impl std::str::FromStr for RedisUrl {
    type Err = RedisUrlError;

    fn from_str(url: &str) -> Result<Self, RedisUrlError> {
        // The client's own errors may repeat what was written, and that has a password.
        let place = url.into_connection_info().map_err(|_| RedisUrlError::Malformed)?;
        if matches!(place.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
            return Err(RedisUrlError::Insecure);
        }
        // Questions are small: waiting to fill a packet would only delay them.
        let place = place.set_tcp_settings(TcpSettings::default().set_nodelay(true));
        Client::open(place).map(Self).map_err(|_| RedisUrlError::Malformed)
    }
}

/// It does not answer, or not in time: go on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Redis does not answer")]
pub struct Away;

/// All of it happens at once, or nothing.
pub struct Script(redis::Script);

impl Script {
    /// The script in Lua. `KEYS[1]` is the name, the arguments are `ARGV`.
    #[must_use]
    pub fn new(lua: &str) -> Self {
        Self(redis::Script::new(lua))
    }
}

/// The one connection to Redis, made anew when it is lost; cheap to clone.
#[derive(Clone)]
pub struct Redis(Arc<Inside>);

struct Inside {
    client: Client,
    /// Whose names these are: several Saldos may share a Redis.
    installation: String,
    state: Mutex<State>,
}

enum State {
    Here(Link),
    /// Nobody asks before `until`: then one connects, and the others go on without. `noted` once somebody
    /// was told.
    Away {
        until: Instant,
        noted: bool,
    },
}

#[derive(Clone)]
struct Link {
    connection: MultiplexedConnection,
    /// What all names begin with.
    prefix: Arc<str>,
}

impl Link {
    fn name(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }
}

impl Redis {
    /// Nothing is asked yet: a node starts without Redis, too.
    #[must_use]
    pub fn new(url: &RedisUrl, installation: &str) -> Self {
        let (client, installation) = (url.0.clone(), installation.to_owned());
        let state = Mutex::new(State::Away { until: Instant::now(), noted: false });
        Self(Arc::new(Inside { client, installation, state }))
    }

    /// Runs a script on what has this name.
    pub async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        name: &str,
        arguments: &[&str],
    ) -> Result<T, Away> {
        let mut link = self.link().await?;
        let mut invocation = script.0.prepare_invoke();
        invocation.key(link.name(name)).arg(arguments);
        let answer = in_time(invocation.invoke_async(&mut link.connection)).await;
        answer.map_err(|error| self.lost(&link, &error))
    }

    /// Whether it answers.
    pub async fn ping(&self) -> Result<(), Away> {
        let mut link = self.link().await?;
        let answer = in_time(cmd("PING").exec_async(&mut link.connection)).await;
        answer.map_err(|error| self.lost(&link, &error))
    }

    /// Removes what has these names.
    pub async fn forget(&self, names: &[String]) -> Result<(), Away> {
        if names.is_empty() {
            return Ok(());
        }
        let mut link = self.link().await?;
        let mut unlink = cmd("UNLINK");
        for name in names {
            unlink.arg(link.name(name));
        }
        let answer = in_time(unlink.exec_async(&mut link.connection)).await;
        answer.map_err(|error| self.lost(&link, &error))
    }

    /// The connection. Whoever is first after a moment without one makes it.
    async fn link(&self) -> Result<Link, Away> {
        let noted = {
            let mut state = self.state();
            let noted = match &*state {
                State::Here(link) => return Ok(link.clone()),
                State::Away { until, .. } if Instant::now() < *until => return Err(Away),
                State::Away { noted, .. } => *noted,
            };
            // Should this caller go away in the middle, another one tries later.
            *state = State::Away { until: Instant::now() + PATIENCE + AWAY, noted };
            noted
        };
        match in_time(self.connect()).await {
            Ok(link) => {
                info!("Redis answers");
                *self.state() = State::Here(link.clone());
                Ok(link)
            }
            Err(error) => {
                if !noted {
                    warn!(error = %error, "Redis cannot be reached; Saldo goes on without it");
                }
                *self.state() = State::Away { until: Instant::now() + AWAY, noted: true };
                Err(Away)
            }
        }
    }

    async fn connect(&self) -> RedisResult<Link> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let client = &self.0.client;
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let server: String = cmd("INFO").arg("server").query_async(&mut connection).await?;
        let run = server.lines().find_map(|line| line.strip_prefix("run_id:"));
        let run = run.ok_or((redis::ErrorKind::UnexpectedReturnType, "INFO has no run_id"))?;
        let prefix = format!("saldo:{}:{run}", self.0.installation);
        Ok(Link { connection, prefix: prefix.into() })
    }

    /// After a failure a new connection is made, in a moment.
    fn lost(&self, link: &Link, error: &RedisError) -> Away {
        let mut state = self.state();
        // Others may have noticed, and have another connection by now.
        if matches!(&*state, State::Here(now) if Arc::ptr_eq(&now.prefix, &link.prefix)) {
            warn!(error = %error, "Redis fails; Saldo goes on without it");
            *state = State::Away { until: Instant::now() + AWAY, noted: true };
        }
        Away
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn in_time<T>(answer: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut).into();
    timeout(PATIENCE, answer).await.map_err(late).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_used_is_refused_without_being_repeated() {
        for good in ["redis://127.0.0.1:6379/1", "rediss://ada:secret@redis.example", "unix:///r"] {
            assert!(good.parse::<RedisUrl>().is_ok(), "{good}");
        }
        for bad in ["", "localhost:6379", "http://ada:secret@redis.example", "redis://:secret@h/x"]
        {
            let said = bad.parse::<RedisUrl>().expect_err(bad).to_string();
            assert!(said.contains("redis://") && !said.contains("secret"), "{bad}: {said}");
        }
        let insecure = "rediss://redis.example#insecure".parse::<RedisUrl>();
        assert!(matches!(insecure, Err(RedisUrlError::Insecure)));
    }
}
