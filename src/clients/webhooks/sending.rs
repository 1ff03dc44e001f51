//! Sending one message to one receiver: nothing is redirected, no answer takes for ever or fills the
//! memory, and no address is spoken to that is not to be reached, whatever its name says.

use std::error::Error;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use reqwest::{Client, Response, redirect};
use uuid::Uuid;

use super::{Reach, Secret, UrlError};

/// How long a receiver may take, from the look-up of its name to the end of its answer.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// How much of an answer is read, in bytes: more than any acknowledgement has.
const READ: usize = 16 * 1024;
/// How much of it is kept, in bytes: enough to see what went wrong.
const KEPT: usize = 1_024;
const AGENT: &str = concat!("Saldo-Webhooks/", env!("CARGO_PKG_VERSION"));

/// Sends webhooks; a clone is cheap.
#[derive(Clone, Debug)]
pub struct Webhooks {
    http: Client,
    reach: Reach,
}

/// A message to a receiver.
pub struct Message<'a> {
    /// Where to.
    pub url: &'a str,
    /// The same at each try, so that a receiver knows what it has taken.
    pub id: Uuid,
    /// Of this try, in seconds since 1970.
    pub timestamp: i64,
    /// What is told, as JSON.
    pub body: &'a str,
    /// Each of which signs: several, while one replaces the other.
    pub secrets: &'a [&'a Secret],
}

/// What became of a message.
#[derive(Debug)]
pub struct Sent {
    /// What was answered, if anything.
    pub outcome: Result<Answer, SendError>,
    /// How long it took.
    pub took: Duration,
}

/// What a receiver answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// How the body begins.
    pub body: String,
}

/// Why there is no answer. Its owner is told so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The address may not be sent to.
    #[error("the address {0}")]
    Url(#[from] UrlError),
    /// The name is nobody's.
    #[error("the name of the server cannot be resolved")]
    Name,
    /// It took too long.
    #[error("the server did not answer within {} seconds", TIMEOUT.as_secs())]
    TimedOut,
    /// There is no connection: nobody listens, or the certificate is not good.
    #[error("the server cannot be reached, or its certificate is not valid")]
    Unreachable,
    /// The connection broke.
    #[error("the connection broke before the answer was complete")]
    Broken,
    /// The secrets cannot sign: a bug of ours.
    #[error("the message could not be signed")]
    Unsigned,
}

impl Answer {
    /// Whether the message was taken.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether nothing is to be sent there any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.status == 410
    }
}

impl Webhooks {
    /// A sender that reaches so far.
    pub fn new(reach: Reach) -> reqwest::Result<Self> {
        let http = crate::clients::http()
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            // Who asks through a proxy does not see the address that it connects to.
            .no_proxy()
            // Each message has a connection of its own, whose address is looked at.
            .pool_max_idle_per_host(0)
            .dns_resolver(Resolver(reach))
            .build()?;
        Ok(Self { http, reach })
    }

    /// Whether something may be sent to this address.
    pub fn check(&self, url: &str) -> Result<(), UrlError> {
        self.reach.check(url).map(drop)
    }

    /// Sends a message, once.
    pub async fn send(&self, message: Message<'_>) -> Sent {
        let started = Instant::now();
        let outcome = self.outcome(message).await;
        Sent { outcome, took: started.elapsed() }
    }

    async fn outcome(&self, message: Message<'_>) -> Result<Answer, SendError> {
        let Message { url, id, timestamp, body, secrets } = message;
        let url = self.reach.check(url)?;
        let id = id.to_string();
        let signatures: Option<Vec<_>> =
            secrets.iter().map(|secret| secret.sign(&id, timestamp, body)).collect();
        let signatures = signatures.filter(|it| !it.is_empty()).ok_or(SendError::Unsigned)?;
        let response = self
            .http
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signatures.join(" "))
            .body(body.to_owned())
            .send()
            .await
            .map_err(|error| failure(&error))?;
        let status = response.status().as_u16();
        Ok(Answer { status, body: beginning(response).await? })
    }
}

/// How the body begins, as text.
async fn beginning(mut response: Response) -> Result<String, SendError> {
    let (mut read, mut kept) = (0, Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        read += chunk.len();
        let room = KEPT - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if read >= READ {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&kept).into_owned())
}

fn failure(error: &reqwest::Error) -> SendError {
    let mut causes = std::iter::successors(error.source(), |error| (*error).source());
    if let Some(refused) = causes.find_map(|cause| cause.downcast_ref::<SendError>()) {
        return *refused;
    }
    match error {
        error if error.is_timeout() => SendError::TimedOut,
        error if error.is_connect() => SendError::Unreachable,
        _ => SendError::Broken,
    }
}

/// Looks names up, and leaves out what may not be reached: who owns a name may have it stand for
/// another address at any time, so it is looked at for each connection, and connected to what was seen.
#[derive(Clone, Copy)]
struct Resolver(Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found: Vec<_> = found.map_err(|_| SendError::Name)?.collect();
            let is_named = !found.is_empty();
            let may = |address: &SocketAddr| reach.allows(address.ip());
            let allowed: Vec<_> = found.into_iter().filter(may).collect();
            match (allowed.is_empty(), is_named) {
                (false, _) => Ok(Box::new(allowed.into_iter()) as Addrs),
                (true, true) => Err(SendError::Url(UrlError::Private).into()),
                (true, false) => Err(SendError::Name.into()),
            }
        })
    }
}
