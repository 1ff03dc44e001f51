//! The same call without metering: a gateway in a process of its own that parses, asks the provider by the same
//! client, and answers, as Saldo does, but knows nobody, holds nothing and charges nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;

use aggregates::credits::Credits;
use aggregates::id::HoldId;
use aggregates::wallet::{Balance, HoldFigures, OpenHold, Origin, Price, WalletEvent};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use futures_util::TryStreamExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use uuid::Uuid;

use super::BenchError;
use crate::clients::llm::{Llm, Message, Piece, Request, Role, Route, Task, Tokens};
use crate::clock;
use crate::config::Config;
use crate::serve;

/// A running gateway; killed when dropped.
pub(super) struct Unmetered {
    pub(super) address: SocketAddr,
    _child: Child,
    _stdout: BufReader<ChildStdout>,
}

impl Unmetered {
    /// Starts one that asks this provider.
    pub(super) async fn start(provider: &str) -> Result<Self, BenchError> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["bench", "unmetered"])
            .env("OPENAI_BASE_URL", provider)
            .env("SALDO_ENV", "local")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let silent = || BenchError::Answer("the gateway did not say where it listens".to_owned());
        let mut stdout = BufReader::new(child.stdout.take().ok_or_else(silent)?);
        let mut line = String::new();
        stdout.read_line(&mut line).await?;
        let address = line.trim().parse().map_err(|_| silent())?;
        Ok(Self { address, _child: child, _stdout: stdout })
    }
}

/// Serves until it is killed; says where, in a line.
pub(super) async fn serve(config: &Config) -> Result<(), BenchError> {
    let llm = config.llm().map_err(serve::StartError::from)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    let router = Router::new().route("/v1/chat/completions", post(complete)).with_state(llm);
    let room = serve::Room::for_clients(&[]);
    serve::connections(listener, router, room, std::future::pending()).await;
    Ok(())
}

#[derive(Deserialize)]
struct Asked {
    messages: Vec<Said>,
    max_tokens: u32,
}

#[derive(Deserialize)]
struct Said {
    content: String,
}

async fn complete(
    State(llm): State<Llm>,
    Json(Asked { messages, max_tokens }): Json<Asked>,
) -> Result<Json<Value>, StatusCode> {
    let said = |Said { content }| Message { role: Role::User, text: content };
    let request = Request {
        task: Task::Chat,
        messages: messages.into_iter().map(said).collect(),
        max_output_tokens: max_tokens,
        temperature: None,
        top_p: None,
        stop: vec![],
    };
    let routes = [Route { provider: "openai".to_owned(), model: "bench".to_owned() }];
    let hold = nobodys().ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
    let answering = llm.answer(&hold, &routes, &request).await;
    let mut answering = answering.map_err(|_| StatusCode::BAD_GATEWAY)?;
    let (mut text, mut tokens) = (String::new(), Tokens::default());
    while let Some(piece) =
        answering.answer.try_next().await.map_err(|_| StatusCode::BAD_GATEWAY)?
    {
        match piece {
            Piece::Text(more) => text.push_str(&more),
            Piece::Usage(used) => tokens = tokens.then(used),
            Piece::Finished(_) => break,
        }
    }
    Ok(Json(json!({
        "id": format!("chatcmpl-{}", Uuid::now_v7().simple()),
        "object": "chat.completion",
        "created": clock::now().timestamp(),
        "model": answering.model,
        "choices": [{
            "index": 0, "finish_reason": "stop",
            "message": { "role": "assistant", "content": text },
        }],
        "usage": { "prompt_tokens": tokens.input, "completion_tokens": tokens.output },
    })))
}

/// A hold of a wallet that nobody has: without one no provider can be called, and this one is our own.
fn nobodys() -> Option<OpenHold> {
    let amount = Credits::new(1);
    let event = WalletEvent::HoldAuthorized {
        hold: HoldId(Uuid::now_v7()),
        origin: Origin::Gateway,
        key: None,
        amount,
        figures: HoldFigures { authorized: amount, ..HoldFigures::default() },
        movements: vec![],
        price: Price::Free,
        reason: "bench".to_owned(),
        balance: Balance::default(),
        at: clock::now(),
    };
    event.opens()
}
