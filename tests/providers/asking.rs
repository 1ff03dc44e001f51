//! Asking a provider, and what comes of it.

use std::time::Duration;

use futures_util::StreamExt;
use saldo::clients::llm::{
    Answer, Anthropic, Endpoint, Finish, Gemini, Llm, LlmProvider, Message, OpenAi, Patience,
    Piece, ProviderError, Request, Role, Route, Task, Tokens,
};

use crate::llm::{Wire, open_hold};

/// What the tests' providers know us by.
pub const KEY: &str = "sk-a-key-of-tests";
pub const MODEL: &str = "model-1";

/// The provider of a wire at this place, with usual patience.
pub fn provider(wire: Wire, url: &str) -> Box<dyn LlmProvider> {
    patient(wire, url, Patience::default())
}

pub fn patient(wire: Wire, url: &str, patience: Patience) -> Box<dyn LlmProvider> {
    let base = url.parse().expect("a URL");
    let endpoint = Endpoint { base, key: Some(KEY.into()) };
    match wire {
        Wire::OpenAi => Box::new(OpenAi::new(&endpoint, patience).expect("a provider")),
        Wire::Anthropic => Box::new(Anthropic::new(&endpoint, patience).expect("a provider")),
        Wire::Gemini => Box::new(Gemini::new(&endpoint, patience).expect("a provider")),
    }
}

pub fn route(wire: Wire) -> Route {
    Route { provider: wire.provider().to_owned(), model: MODEL.to_owned() }
}

pub fn message(role: Role, text: &str) -> Message {
    Message { role, text: text.to_owned() }
}

pub fn request(text: &str) -> Request {
    Request {
        task: Task::Chat,
        messages: vec![message(Role::User, text)],
        max_output_tokens: 100,
        temperature: None,
        top_p: None,
        stop: vec![],
    }
}

/// What came of an answer.
#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    pub text: String,
    /// How many pieces the text came in.
    pub pieces: usize,
    pub tokens: Tokens,
    pub finish: Option<Finish>,
    pub error: Option<ProviderError>,
}

impl Heard {
    /// What was read and written, as the provider told it.
    pub fn used(&self) -> (Option<u64>, Option<u64>) {
        (self.tokens.input, self.tokens.output)
    }
}

/// Hears an answer to its end; nothing may come after it.
pub async fn hear(mut answer: Answer) -> Heard {
    let mut heard = Heard::default();
    while let Some(piece) = answer.next().await {
        assert!(heard.finish.is_none() && heard.error.is_none(), "{piece:?} comes after the end");
        match piece {
            Ok(Piece::Text(text)) => {
                heard.text.push_str(&text);
                heard.pieces += 1;
            }
            Ok(Piece::Usage(tokens)) => heard.tokens = tokens,
            Ok(Piece::Finished(finish)) => heard.finish = Some(finish),
            Err(error) => heard.error = Some(error),
        }
    }
    assert!(answer.next().await.is_none(), "an answer that is over stays so");
    assert_eq!(heard.finish.is_some(), heard.error.is_none(), "an answer has one end: {heard:?}");
    heard
}

/// Asks the provider of a wire at this place, and hears all it says.
pub async fn ask(wire: Wire, url: &str, text: &str) -> Heard {
    ask_of(&*provider(wire, url), &request(text)).await
}

pub async fn ask_of(provider: &dyn LlmProvider, request: &Request) -> Heard {
    let answer = provider.answer(&open_hold(), MODEL, request).await;
    match answer {
        Ok(answer) => hear(answer).await,
        Err(error) => Heard { error: Some(error), ..Heard::default() },
    }
}

/// Asks the routes of these wires, in their order: who answers, and what.
pub async fn climb(llm: &Llm, wires: &[Wire]) -> Result<(&'static str, Heard), ProviderError> {
    let routes: Vec<_> = wires.iter().copied().map(route).collect();
    let answering = llm.answer(&open_hold(), &routes, &request("Hello")).await?;
    Ok((answering.provider, hear(answering.answer).await))
}

pub fn unavailable(retry_after: Option<u32>) -> ProviderError {
    ProviderError::Unavailable { retry_after }
}

pub const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}
