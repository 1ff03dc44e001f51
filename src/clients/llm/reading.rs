//! Answers as they come: server-sent events, read by whoever knows the wire, and the end made explicit.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, stream};
use reqwest::Response;
use sse_stream::{Sse, SseByteStream};
use tokio::time::{Instant, timeout_at};

use super::patience::Patience;
use super::{Answer, Finish, Piece, ProviderError, Tokens};

/// The longest event, in bytes with what is between it and the one before: those of answers have some
/// hundreds.
const LONGEST_EVENT: usize = 1024 * 1024;

/// More tokens than any model reads or writes for one answer: a provider that says more has not said how many.
const MOST_TOKENS: u64 = 10_000_000;

/// Whoever knows what a provider's events say.
pub(super) trait Wire: Send + 'static {
    /// Whether an answer is whole when the reason of its end was said, whatever comes or does not come
    /// then.
    const REASON_IS_THE_END: bool;

    /// What the data of one event says.
    fn read(&mut self, data: &str) -> Result<Said, ProviderError>;
}

/// What one event says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    /// More text.
    pub(super) text: String,
    /// What was used; what is not said stands as it was.
    pub(super) usage: Tokens,
    /// Why there will be no more text.
    pub(super) reason: Option<Finish>,
    /// Whether the answer is over.
    pub(super) over: bool,
}

/// The answer of a response that has begun well.
pub(super) fn answer<W: Wire>(
    response: Response,
    wire: W,
    asked: Instant,
    patience: Patience,
) -> Answer {
    let reading = Reading {
        events: Events::of(response),
        wire,
        ready: VecDeque::new(),
        tokens: Tokens::default(),
        has_text: false,
        reason: None,
        over: false,
        until: asked + patience.first_event,
        latest: asked + patience.answer,
        patience,
    };
    stream::unfold(reading, Reading::next).fuse().boxed()
}

/// An answer on its way.
struct Reading<W> {
    events: Events,
    wire: W,
    ready: VecDeque<Result<Piece, ProviderError>>,
    tokens: Tokens,
    has_text: bool,
    reason: Option<Finish>,
    over: bool,
    /// When the next event must have come.
    until: Instant,
    /// When the answer must be whole.
    latest: Instant,
    patience: Patience,
}

impl<W: Wire> Reading<W> {
    async fn next(mut self) -> Option<(Result<Piece, ProviderError>, Self)> {
        while self.ready.is_empty() && !self.over {
            match self.event().await {
                Ok(data) => match self.wire.read(&data) {
                    Ok(said) => self.take(said),
                    Err(error) => self.fail(error),
                },
                Err(error) => self.broke(error),
            }
        }
        self.ready.pop_front().map(|piece| (piece, self))
    }

    /// The data of the next event; a stream that ends has not said all.
    async fn event(&mut self) -> Result<String, ProviderError> {
        let next = timeout_at(self.until.min(self.latest), self.events.next()).await;
        let data = next.map_err(|_| ProviderError::TimedOut)??;
        let wait = match self.reason {
            Some(_) if W::REASON_IS_THE_END => self.patience.usage,
            _ => self.patience.next_event,
        };
        self.until = Instant::now() + wait;
        data.ok_or(ProviderError::CutShort)
    }

    fn take(&mut self, said: Said) {
        if !said.text.is_empty() {
            self.has_text = true;
            self.ready.push_back(Ok(Piece::Text(said.text)));
        }
        let tokens = self.tokens.then(said.usage.within(MOST_TOKENS));
        if tokens != self.tokens {
            self.tokens = tokens;
            self.ready.push_back(Ok(Piece::Usage(tokens)));
        }
        if said.reason.is_some() && self.reason.is_none() {
            self.reason = said.reason;
            if W::REASON_IS_THE_END {
                self.until = Instant::now() + self.patience.usage;
            }
        }
        if said.over {
            self.finish(self.reason.unwrap_or(Finish::Stop));
        }
    }

    /// The stream ended, or broke, before the wire said that it would.
    fn broke(&mut self, error: ProviderError) {
        match self.reason {
            Some(reason) if W::REASON_IS_THE_END => self.finish(reason),
            _ => self.fail(error),
        }
    }

    /// A provider that stops before its first word will not work on the text.
    fn finish(&mut self, finish: Finish) {
        if finish == Finish::Filtered && !self.has_text {
            return self.fail(ProviderError::Refused);
        }
        self.ready.push_back(Ok(Piece::Finished(finish)));
        self.over = true;
    }

    fn fail(&mut self, error: ProviderError) {
        self.ready.push_back(Err(error));
        self.over = true;
    }
}

/// The events of a response, none longer than [`LONGEST_EVENT`].
struct Events {
    events: BoxStream<'static, Result<Sse, sse_stream::Error>>,
    /// Bytes read since the last event.
    since: Arc<AtomicUsize>,
}

/// Why no more bytes come.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the connection broke")]
    Cut(#[source] reqwest::Error),
    #[error("an event is too long")]
    TooLong,
}

impl Events {
    fn of(response: Response) -> Self {
        let since = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&since);
        let bytes = stream::try_unfold(response, move |mut response| {
            let counted = Arc::clone(&counted);
            async move {
                let chunk = response.chunk().await.map_err(Broken::Cut)?;
                let Some(chunk) = chunk else { return Ok(None) };
                let so_far = counted.fetch_add(chunk.len(), Ordering::Relaxed) + chunk.len();
                if so_far > LONGEST_EVENT {
                    return Err(Broken::TooLong);
                }
                Ok(Some((chunk, response)))
            }
        });
        Self { events: SseByteStream::new(Box::pin(bytes)).boxed(), since }
    }

    /// The data of the next event that has any.
    async fn next(&mut self) -> Result<Option<String>, ProviderError> {
        while let Some(event) = self.events.next().await {
            let event = event.map_err(|error| why(&error))?;
            self.since.store(0, Ordering::Relaxed);
            if event.data.is_some() {
                return Ok(event.data);
            }
        }
        Ok(None)
    }
}

fn why(error: &sse_stream::Error) -> ProviderError {
    match error {
        sse_stream::Error::Body(error) => match error.downcast_ref() {
            Some(Broken::Cut(_)) => ProviderError::CutShort,
            Some(Broken::TooLong) | None => ProviderError::Invalid,
        },
        // Text that is no text.
        _ => ProviderError::Invalid,
    }
}
