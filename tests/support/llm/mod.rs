//! A double of AI providers: a real HTTP server that speaks the wires of all three, says what it is told
//! to, and notes who asked, and who hung up.
//!
//! ```ignore
//! let providers = Recorder::start().await;
//! let gate = Gate::closed();
//! providers.script(Wire::OpenAi, Reply::says("one two three").held_after(2, &gate));
//! // … a server whose OPENAI_BASE_URL is `providers.url()` is asked …
//! let call = providers.called(1).await;
//! gate.open();
//! assert_eq!(providers.ended(1).await, End::Whole);
//! ```

mod calls;
mod gate;
mod hold;
mod reply;
mod server;
mod wire;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use calls::{Call, End};
pub use gate::Gate;
pub use hold::open_hold;
pub use reply::{Ending, Reply, Step};
pub use wire::Wire;

/// A running double; its task ends with the test's runtime.
#[derive(Clone)]
pub struct Recorder {
    url: String,
    state: Arc<Mutex<State>>,
    /// Told of whatever happens.
    news: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    scripts: HashMap<Wire, VecDeque<Reply>>,
    always: HashMap<Wire, Reply>,
}

impl Recorder {
    /// Starts on a free port of this machine.
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime of its test")]
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let recorder = Self { url, state: Arc::default(), news: watch::Sender::new(()) };
        let routes = Router::new().fallback(server::answer).with_state(recorder.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        recorder
    }

    /// What each provider's base URL is set to.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The next call on a wire that has no answer yet is answered so.
    pub fn script(&self, wire: Wire, reply: Reply) {
        self.state().scripts.entry(wire).or_default().push_back(reply);
    }

    /// All calls on a wire are answered so that nothing else was scripted for. At first, they are answered
    /// with a few words.
    pub fn always(&self, wire: Wire, reply: Reply) {
        self.state().always.insert(wire, reply);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }
}
