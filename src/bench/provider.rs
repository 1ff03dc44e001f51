//! A provider that says the same to everybody after a while, in OpenAI's words.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

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

/// A running provider; ends when dropped.
pub(super) struct Provider {
    pub(super) address: SocketAddr,
    serving: JoinHandle<std::io::Result<()>>,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    stream: bool,
}

impl Provider {
    pub(super) async fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        // What it says is small: waiting to fill a packet would be measured as well.
        let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
        let routes = Router::new().route("/v1/chat/completions", post(answer));
        #[expect(clippy::disallowed_methods, reason = "ends when the provider is dropped")]
        let serving = tokio::spawn(axum::serve(listener, routes).into_future());
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

async fn answer(Json(asked): Json<Asked>) -> Response {
    tokio::time::sleep(THINKS).await;
    let (kind, said) =
        if asked.stream { ("text/event-stream", STREAMED) } else { ("application/json", WHOLE) };
    ([(CONTENT_TYPE, kind)], said).into_response()
}
