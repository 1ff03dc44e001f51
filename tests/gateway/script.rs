//! A provider that says what the last message asks for, and notices when it is left.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregates::wallet::OpenHold;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use saldo::clients::llm::{Answer, Finish, LlmProvider, Piece, ProviderError, Request, Tokens};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// What happens next in an answer.
#[derive(Clone)]
pub enum Step {
    /// It begins to fail.
    Fails(ProviderError),
    Says(String),
    Used(Option<u64>, Option<u64>),
    Ends(Finish),
    /// It goes on when the test lets it.
    Waits,
    Rests(Duration),
}

/// What the provider does, and what was done to it.
#[derive(Clone)]
pub struct Script(Arc<Inside>);

struct Inside {
    answers: Mutex<HashMap<String, Vec<Step>>>,
    requests: Mutex<Vec<Vec<String>>>,
    models: Mutex<Vec<String>>,
    holds: Mutex<Vec<Uuid>>,
    left: AtomicUsize,
    leave: Semaphore,
    charges_on: bool,
}

impl Script {
    /// A provider that stops charging when it is left, or one that charges on.
    pub fn new(charges_on: bool) -> Self {
        Self(Arc::new(Inside {
            answers: Mutex::default(),
            requests: Mutex::default(),
            models: Mutex::default(),
            holds: Mutex::default(),
            left: AtomicUsize::new(0),
            leave: Semaphore::new(0),
            charges_on,
        }))
    }

    /// Answers this message so.
    pub fn answer(&self, message: &str, steps: Vec<Step>) {
        self.0.answers.lock().expect("not poisoned").insert(message.to_owned(), steps);
    }

    /// Lets one that waits go on.
    pub fn go_on(&self) {
        self.0.leave.add_permits(1);
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.requests().len()
    }

    /// The texts of all requests.
    pub fn requests(&self) -> Vec<Vec<String>> {
        self.0.requests.lock().expect("not poisoned").clone()
    }

    /// The models of all requests.
    pub fn models(&self) -> Vec<String> {
        self.0.models.lock().expect("not poisoned").clone()
    }

    /// On account of which holds it was asked.
    pub fn holds(&self) -> Vec<Uuid> {
        self.0.holds.lock().expect("not poisoned").clone()
    }

    /// How many answers were left before their end.
    pub fn left(&self) -> usize {
        self.0.left.load(Ordering::SeqCst)
    }
}

/// Counts an answer that is dropped before its end.
struct Guard(Script, bool);

impl Drop for Guard {
    fn drop(&mut self) {
        if !self.1 {
            self.0.0.left.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl LlmProvider for Script {
    fn name(&self) -> &'static str {
        "local"
    }

    fn stops_when_left(&self) -> bool {
        !self.0.charges_on
    }

    fn answer<'a>(
        &'a self,
        hold: &'a OpenHold,
        model: &'a str,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<Answer, ProviderError>> {
        Box::pin(async move {
            let texts = request.messages.iter().map(|message| message.text.clone()).collect();
            self.0.requests.lock().expect("not poisoned").push(texts);
            self.0.models.lock().expect("not poisoned").push(model.to_owned());
            self.0.holds.lock().expect("not poisoned").push(hold.id().0);
            let message = request.messages.last().map_or("", |message| message.text.as_str());
            let steps = self.0.answers.lock().expect("not poisoned").get(message).cloned();
            let steps = steps.unwrap_or_else(|| panic!("no script for {message:?}"));
            if let Some(Step::Fails(error)) = steps.first() {
                return Err(error.clone());
            }
            let guard = Guard(self.clone(), false);
            let begins = (steps.into_iter(), guard);
            Ok(stream::unfold(begins, async |(mut steps, mut guard)| {
                loop {
                    let piece = match steps.next()? {
                        Step::Waits => {
                            guard.0.0.leave.acquire().await.expect("never closed").forget();
                            continue;
                        }
                        Step::Rests(time) => {
                            tokio::time::sleep(time).await;
                            continue;
                        }
                        Step::Says(text) => Ok(Piece::Text(text)),
                        Step::Used(input, output) => Ok(Piece::Usage(Tokens { input, output })),
                        Step::Ends(finish) => {
                            guard.1 = true;
                            Ok(Piece::Finished(finish))
                        }
                        Step::Fails(error) => {
                            guard.1 = true;
                            Err(error)
                        }
                    };
                    return Some((piece, (steps, guard)));
                }
            })
            .boxed())
        })
    }
}
