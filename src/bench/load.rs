//! Load over HTTP: connections that stay open, each with one request under way.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::inside::Inside;
use super::{BenchError, CONNECTIONS};

/// Headers of an answer, at most.
const HEADERS: usize = 64;

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
    /// `POST /v1/chat/completions`: the answer in one, of Saldo or of whoever speaks as OpenAI does.
    Completion,
}

/// Somebody who spends.
#[derive(Clone)]
pub(super) struct Spender {
    /// An access token.
    pub(super) bearer: String,
}

/// What a load came to.
pub(super) struct Done {
    /// How many times the work was done in a second.
    pub(super) per_second: f64,
    /// How long each took, sorted.
    pub(super) took: Vec<Duration>,
    /// What the server said of where the time of calls went, where it did.
    pub(super) inside: Vec<Inside>,
}

impl Done {
    /// The time that this share of the work, in percent, stayed below.
    pub(super) fn percentile(&self, percent: usize) -> Duration {
        percentile(&self.took, percent).unwrap_or_default()
    }
}

/// The time that this share of times, in percent, stayed below; `sorted` is.
pub(super) fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    sorted.get(sorted.len().saturating_sub(1) * percent / 100).copied()
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
            let (mut took, mut inside) = (Vec::new(), Vec::new());
            let mut dice = Dice::seeded(number);
            while began.elapsed() < lasts {
                let spender = &spenders[dice.below(spenders.len())];
                let start = Instant::now();
                client.work(spender, work).await?;
                took.push(start.elapsed());
                inside.extend(client.inside.take());
            }
            Ok::<_, BenchError>((took, inside))
        });
    }
    let (mut took, mut inside) = (Vec::new(), Vec::new());
    while let Some(joined) = connections.join_next().await {
        let one = joined.map_err(std::io::Error::other)??;
        took.extend(one.0);
        inside.extend(one.1);
    }
    let seconds = began.elapsed().as_secs_f64();
    took.sort_unstable();
    let count = u32::try_from(took.len()).map_or(f64::INFINITY, f64::from);
    Ok(Done { per_second: count / seconds, took, inside })
}

/// A connection that stays open, with one request under way. A whole HTTP client would take as much
/// of the machine as the server; pgbench, on the other side, takes next to nothing.
pub(super) struct Client {
    stream: TcpStream,
    head: String,
    buffer: Vec<u8>,
    /// What the last answer said of where its time went.
    inside: Option<Inside>,
}

impl Client {
    pub(super) async fn connect(server: SocketAddr) -> Result<Self, BenchError> {
        let stream = TcpStream::connect(server).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, head: String::new(), buffer: Vec::new(), inside: None })
    }

    /// Does the work once, and insists that it was done.
    pub(super) async fn work(&mut self, spender: &Spender, work: Work) -> Result<(), BenchError> {
        const DEBIT: &str = r#"{"amount":10,"reason":"summarize"}"#;
        const CAPTURE: &str = r#"{"amount":10}"#;
        const TEXT: &str = r#"{"text":"Credits are granted. Calls spend credits. Every credit that moved is an event."}"#;
        const QUESTION: &str = r#"{"model":"bench","messages":[{"role":"user","content":"What becomes of every credit that moved?"}],"max_tokens":100}"#;
        match work {
            Work::Debit => {
                self.post(spender, "/api/v1/wallet/debits", DEBIT, None).await?;
            }
            Work::KeyedDebit => {
                let key = Uuid::now_v7();
                self.post(spender, "/api/v1/wallet/debits", DEBIT, Some(key)).await?;
            }
            Work::HoldAndCapture => {
                let answer = self.post(spender, "/api/v1/wallet/holds", DEBIT, None).await?;
                let Hold { id } = serde_json::from_slice(answer)
                    .map_err(|error| BenchError::Answer(error.to_string()))?;
                let path = format!("/api/v1/wallet/holds/{id}/capture");
                self.post(spender, &path, CAPTURE, None).await?;
            }
            Work::PaidCall => {
                self.post(spender, "/api/v1/ai/summarize", TEXT, None).await?;
            }
            Work::Completion => {
                self.post(spender, "/v1/chat/completions", QUESTION, None).await?;
            }
        }
        Ok(())
    }

    /// Asks whether the server is well.
    pub(super) async fn is_well(&mut self, path: &str) -> Result<(), BenchError> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        self.answer().await?;
        Ok(())
    }

    async fn post(
        &mut self,
        Spender { bearer }: &Spender,
        path: &str,
        body: &str,
        key: Option<Uuid>,
    ) -> Result<&[u8], BenchError> {
        self.head.clear();
        // Writing to a string cannot fail.
        let _ = write!(
            self.head,
            "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {bearer}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n",
            body.len()
        );
        if let Some(key) = key {
            let _ = write!(self.head, "idempotency-key: {key}\r\n");
        }
        let _ = write!(self.head, "\r\n{body}");
        self.stream.write_all(self.head.as_bytes()).await?;
        self.answer().await
    }

    /// The body of the answer, which has a length and says that the work was done.
    async fn answer(&mut self) -> Result<&[u8], BenchError> {
        self.buffer.clear();
        let (head, length, done) = loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(BenchError::Answer("the server hung up".to_owned()));
            }
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            let mut answer = httparse::Response::new(&mut headers);
            let parsed = answer.parse(&self.buffer);
            let parsed = parsed.map_err(|error| BenchError::Answer(error.to_string()))?;
            let httparse::Status::Complete(head) = parsed else { continue };
            let length = answer.headers.iter().find(|header| header.name == "content-length");
            let length = length.and_then(|header| std::str::from_utf8(header.value).ok());
            let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
            if self.buffer.len() >= head + length {
                let told = answer.headers.iter().find(|header| header.name == "server-timing");
                let told = told.and_then(|header| std::str::from_utf8(header.value).ok());
                self.inside = told.and_then(Inside::read);
                break (head, length, matches!(answer.code, Some(200 | 201)));
            }
        };
        if done {
            return Ok(&self.buffer[head..head + length]);
        }
        Err(BenchError::Answer(String::from_utf8_lossy(&self.buffer).into_owned()))
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
