//! Our double of Stripe: a real HTTP server with state, a clock of its own and signed webhooks.
//!
//! What an application does goes over HTTP, as with Stripe. What people, banks and time do has
//! levers here: methods of [`StripeDouble`], each in the file of what it moves.

mod calls;
mod cards;
mod charges;
mod checkout;
mod clock;
mod customers;
mod delivery;
mod disputes;
mod dunning;
mod events;
mod expansion;
mod failure;
mod faults;
mod form;
mod hosted;
mod idempotency;
mod invoice_payments;
mod invoices;
mod lists;
mod moods;
mod parameters;
mod payment_intents;
mod payments;
mod periods;
mod portal;
mod previews;
mod prices;
mod products;
mod prorations;
mod refunds;
mod routes;
mod server;
mod shapes;
mod signatures;
mod subscription_changes;
mod subscription_items;
mod subscriptions;
mod truth;
mod wire;
mod world;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use serde_json::Value;
use tokio::net::TcpListener;

pub use calls::Call;
pub use delivery::{Delivered, Manner};
pub use disputes::Funds;
pub use faults::Fault;
pub use form::Form;
pub use moods::{AfterDunning, Mood};
pub use shapes::Shape;
pub use signatures::{Envelope, signature};
pub use truth::{InvoiceTruth, LineTruth, PaymentTruth, SubscriptionTruth, Truth};
use world::World;

pub const SECRET_KEY: &str = "sk_test_51DoubleOfStripe";
/// What webhooks are signed with, unless told otherwise.
pub const WEBHOOK_SECRET: &str = "whsec_double_of_stripe";
/// What may sign beside it while secrets are rotated.
pub const NEXT_WEBHOOK_SECRET: &str = "whsec_double_of_stripe_next";
/// The version whose shapes the double speaks.
pub const API_VERSION: &str = "2026-09-30.endive";

/// A running double; its task ends with the test's runtime.
#[derive(Clone)]
pub struct StripeDouble {
    pub url: String,
    world: Arc<Mutex<World>>,
}

impl StripeDouble {
    /// Starts on a free port, at the present second.
    pub async fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        Self::start_at(i64::try_from(since.as_secs()).expect("before the sun burns out")).await
    }

    /// Starts with the clock at a moment in Unix seconds.
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime of its test")]
    pub async fn start_at(now: i64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let world = World::starting(now);
        let double = Self { url, world: Arc::new(Mutex::new(world)) };
        let routes = Router::new().fallback(server::answer).with_state(double.clone());
        let service = routes.into_make_service_with_connect_info::<wire::Tear>();
        let listener = wire::Tearing(listener);
        tokio::spawn(async move { axum::serve(listener, service).await });
        double
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("nobody panicked")
    }

    /// All calls so far, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.clone()
    }

    /// The calls so far to a path.
    pub fn calls_to(&self, method: &str, path: &str) -> Vec<Call> {
        let world = self.world();
        let calls = world.calls.iter().filter(|call| call.method == method && call.path == path);
        calls.cloned().collect()
    }

    /// The next calls to a place go wrong: `/v1/refunds`, or `POST /v1/refunds`.
    pub fn fault(&self, place: &str, times: u32, fault: Fault) {
        self.world().faults.plan(place, times, fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.world().faults.clear();
    }

    /// An object as it is now, in the current shape.
    pub fn object(&self, id: &str) -> Value {
        self.world().the(id)
    }

    /// All objects of a kind, newest first.
    pub fn objects(&self, kind: &str) -> Vec<Value> {
        self.world().all(kind).cloned().collect()
    }

    /// In which shape answers are from now on.
    pub fn answers_in(&self, shape: Shape) {
        self.world().answer_shape = shape;
    }

    /// In which shape events are from now on.
    pub fn events_in(&self, shape: Shape) {
        self.world().event_shape = shape;
    }
}
