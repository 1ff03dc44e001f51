//! A provider that says the same to everybody after a while, in OpenAI's words.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// How long it thinks.
const THINKS: Duration = Duration::from_millis(50);

const WHOLE: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1793491200,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"Every credit that moved is an event."},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":17,"completion_tokens":8,"total_tokens":25}}"#;

const STREAMED: &str = concat!(
    r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1793491200,"model":"bench","choices":[{"index":0,"delta":{"role":"assistant","content":"Every credit that moved "},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1793491200,"model":"bench","choices":[{"index":0,"delta":{"content":"is an event."},"finish_reason":null}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1793491200,"model":"bench","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1793491200,"model":"bench","choices":[],"usage":{"prompt_tokens":17,"completion_tokens":8,"total_tokens":25}}"#,
    "\n\ndata: [DONE]\n\n",
);

/// Headers of a request, at most.
const HEADERS: usize = 64;

/// A running provider; ends when dropped.
pub(super) struct Provider {
    pub(super) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Provider {
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        #[expect(clippy::disallowed_methods, reason = "ends when the provider is dropped")]
        let serving = tokio::spawn(serve(listener));
        Ok(Self { address, serving })
    }

    /// What a client of OpenAI's is told as its base.
    pub(super) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener) {
    let mut clients = JoinSet::new();
    // A machine without files for another connection ends what is measured, as it would with any provider.
    while let Ok((stream, _)) = listener.accept().await {
        clients.spawn(answer(stream));
        while clients.try_join_next().is_some() {}
    }
}

/// Answers a client's requests one after the other, whatever they ask. A whole HTTP server would take its part of the
/// machine that is measured: a provider's is elsewhere.
async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    // What it says is small: waiting to fill a packet would be measured as well.
    stream.set_nodelay(true)?;
    let whole = answer_of("application/json", WHOLE);
    let streamed = answer_of("text/event-stream", STREAMED);
    let mut buffer = Vec::new();
    loop {
        let length = loop {
            if let Some(length) = length(&buffer)? {
                break length;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let is_streamed = wants_stream(&buffer[..length]);
        buffer.drain(..length);
        tokio::time::sleep(THINKS).await;
        stream.write_all(if is_streamed { &streamed } else { &whole }).await?;
    }
}

fn answer_of(kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// How long the request is that the buffer begins with, once all of it has come. Its body has a length.
fn length(buffer: &[u8]) -> std::io::Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(buffer).map_err(std::io::Error::other)?;
    let httparse::Status::Complete(head) = parsed else { return Ok(None) };
    let told = request.headers.iter().find(|it| it.name.eq_ignore_ascii_case("content-length"));
    let told = told.and_then(|header| std::str::from_utf8(header.value).ok());
    let length = head + told.and_then(|length| length.parse().ok()).unwrap_or(0);
    Ok((buffer.len() >= length).then_some(length))
}

/// Whether a request asks for its answer in parts; clients write that with a space or without.
fn wants_stream(request: &[u8]) -> bool {
    [&b"\"stream\":true"[..], b"\"stream\": true"]
        .iter()
        .any(|said| request.windows(said.len()).any(|window| window == *said))
}
