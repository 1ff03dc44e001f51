//! Load over HTTP: connections that stay open, each with one request under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{BenchError, CONNECTIONS};

/// What a connection does over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// `POST /wallet/debits`.
    Debit,
    /// The same with an `Idempotency-Key`, each time a new one.
    KeyedDebit,
    /// `POST /wallet/holds`, and then its capture: two requests, counted as one.
    HoldAndCapture,
    /// `POST /ai/summarize`: hold, provider, capture and a stored result in one request.
    PaidCall,
}

/// Somebody who spends.
#[derive(Clone)]
pub(super) struct Spender {
    bearer: HeaderValue,
}

impl Spender {
    pub(super) fn new(token: &str) -> Result<Self, BenchError> {
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}"))
            .map_err(|_| BenchError::Answer("a token is no header".to_owned()))?;
        bearer.set_sensitive(true);
        Ok(Self { bearer })
    }
}

/// What a load came to.
pub(super) struct Done {
    /// How many times the work was done in a second.
    pub(super) per_second: f64,
    /// How long each took, sorted.
    pub(super) took: Vec<Duration>,
}

impl Done {
    /// The time that this share of the work, in percent, stayed below.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        let place = self.took.len().saturating_sub(1) * percent / 100;
        self.took.get(place).copied().unwrap_or_default()
    }
}

/// Does the work on all connections at once, for this long, each time for a spender at random.
pub(super) async fn run(
    server: SocketAddr,
    spenders: &Arc<[Spender]>,
    work: Work,
    lasts: Duration,
) -> Result<Done, BenchError> {
    let mut connections = JoinSet::new();
    let mut clients = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        clients.push(Client::connect(server).await?);
    }
    let began = Instant::now();
    for (number, mut client) in (0_u64..).zip(clients) {
        let spenders = Arc::clone(spenders);
        connections.spawn(async move {
            let (mut took, mut dice) = (Vec::new(), Dice::seeded(number));
            while began.elapsed() < lasts {
                let spender = &spenders[dice.below(spenders.len())];
                let start = Instant::now();
                client.work(spender, work).await?;
                took.push(start.elapsed());
            }
            Ok::<_, BenchError>(took)
        });
    }
    let mut took = Vec::new();
    while let Some(joined) = connections.join_next().await {
        took.extend(joined.map_err(std::io::Error::other)??);
    }
    let seconds = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let count = u32::try_from(took.len()).map_or(f64::INFINITY, f64::from);
    Ok(Done { per_second: count / seconds, took })
}

/// A connection that stays open.
pub(super) struct Client {
    sender: SendRequest<Full<Bytes>>,
    host: HeaderValue,
}

impl Client {
    pub(super) async fn connect(server: SocketAddr) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        #[expect(clippy::disallowed_methods, reason = "ends with the connection")]
        tokio::spawn(connection);
        let host = HeaderValue::try_from(server.to_string())
            .map_err(|_| BenchError::Answer("an address is no header".to_owned()))?;
        Ok(Self { sender, host })
    }

    /// Does the work once, and insists that it was done.
    pub(super) async fn work(&mut self, spender: &Spender, work: Work) -> Result<(), BenchError> {
        const DEBIT: Bytes = Bytes::from_static(br#"{"amount":10,"reason":"summarize"}"#);
        const HOLD: Bytes = Bytes::from_static(br#"{"amount":10,"reason":"summarize"}"#);
        const CAPTURE: Bytes = Bytes::from_static(br#"{"amount":10}"#);
        const TEXT: Bytes = Bytes::from_static(
            br#"{"text":"Credits are granted. Calls spend credits. Every credit that moved is an event."}"#,
        );
        match work {
            Work::Debit => {
                self.post(spender, "/api/v1/wallet/debits", DEBIT, false).await?;
            }
            Work::KeyedDebit => {
                self.post(spender, "/api/v1/wallet/debits", DEBIT, true).await?;
            }
            Work::HoldAndCapture => {
                let answer = self.post(spender, "/api/v1/wallet/holds", HOLD, false).await?;
                let Hold { id } = serde_json::from_slice(&answer)
                    .map_err(|error| BenchError::Answer(error.to_string()))?;
                let path = format!("/api/v1/wallet/holds/{id}/capture");
                self.post(spender, &path, CAPTURE, false).await?;
            }
            Work::PaidCall => {
                self.post(spender, "/api/v1/ai/summarize", TEXT, false).await?;
            }
        }
        Ok(())
    }

    async fn post(
        &mut self,
        spender: &Spender,
        path: &str,
        body: Bytes,
        keyed: bool,
    ) -> Result<Bytes, BenchError> {
        let mut request = Request::post(path)
            .header(HOST, &self.host)
            .header(AUTHORIZATION, &spender.bearer)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if keyed {
            request = request.header("idempotency-key", Uuid::now_v7().to_string());
        }
        let request =
            request.body(Full::new(body)).map_err(|error| BenchError::Answer(error.to_string()))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if status == StatusCode::OK || status == StatusCode::CREATED {
            return Ok(body);
        }
        Err(BenchError::Answer(format!("{status}: {}", String::from_utf8_lossy(&body))))
    }

    /// Asks until the server says that it is well.
    pub(super) async fn healthy(&mut self) -> Result<(), BenchError> {
        let request = Request::get("/health").header(HOST, &self.host).body(Full::default());
        let request = request.map_err(|error| BenchError::Answer(error.to_string()))?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        answer.into_body().collect().await?;
        match status {
            StatusCode::OK => Ok(()),
            other => Err(BenchError::Answer(format!("/health says {other}"))),
        }
    }
}

#[derive(Deserialize)]
struct Hold {
    id: Uuid,
}

/// Numbers that look random, the same in every run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }
}
