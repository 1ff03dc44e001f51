//! Webhooks on their way: in order or not, once or twice, late or never, until they are taken.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::Client;
use serde_json::Value;

use super::StripeDouble;
use super::events::is_of;
use super::signatures::Envelope;
use super::world::{number, text};

/// Stripe waits no longer for an endpoint.
const PATIENCE: Duration = Duration::from_secs(30);
/// An event is tried for three days.
const TRIED: i64 = 3 * 24 * 3600;

/// What is to be delivered, by event id.
#[derive(Default)]
pub struct Outbox {
    pending: Vec<String>,
    held: Vec<String>,
    endpoint: Option<(Client, String)>,
    envelope: Envelope,
}

impl Outbox {
    pub fn push(&mut self, event: &str) {
        self.pending.push(event.to_owned());
    }
}

/// The order of a delivery, and how often each is sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner {
    seed: Option<u64>,
    twice: bool,
    at_once: bool,
}

impl Manner {
    pub fn in_order() -> Self {
        Self::default()
    }

    /// In an order that the seed decides.
    pub fn shuffled(seed: u64) -> Self {
        Self { seed: Some(seed), ..Self::default() }
    }

    /// Each twice. Shuffled, the copies are far apart.
    pub fn twice(self) -> Self {
        Self { twice: true, ..self }
    }

    /// All at the same time, as Stripe may, not one after the other.
    pub fn at_once(self) -> Self {
        Self { at_once: true, ..self }
    }
}

/// What the endpoint said to one event.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub event: String,
    pub kind: String,
    /// None if there was no answer.
    pub status: Option<u16>,
    pub body: String,
}

impl Delivered {
    pub fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

impl StripeDouble {
    /// Where webhooks go, and by which client.
    pub fn webhooks_go_to(&self, client: Client, url: &str) {
        self.world().outbox.endpoint = Some((client, url.to_owned()));
    }

    /// How webhooks are wrapped from now on.
    pub fn wrap_in(&self, envelope: Envelope) {
        self.world().outbox.envelope = envelope;
    }

    /// Sends all that waits, in order, once each. What is not taken waits for the next time.
    pub async fn deliver(&self) -> Vec<Delivered> {
        self.deliver_in(Manner::in_order()).await
    }

    pub async fn deliver_in(&self, manner: Manner) -> Vec<Delivered> {
        let mut ids = self.due();
        if manner.twice {
            ids = ids.iter().flat_map(|id| [id.clone(), id.clone()]).collect();
        }
        if let Some(seed) = manner.seed {
            shuffle(&mut ids, seed);
        }
        let delivered = if manner.at_once {
            join_all(ids.iter().map(|id| self.redeliver(id))).await
        } else {
            let mut delivered = Vec::new();
            for id in &ids {
                delivered.push(self.redeliver(id).await);
            }
            delivered
        };
        let taken = delivered.iter().filter(|sent| sent.is_taken());
        let taken: HashSet<_> = taken.map(|sent| sent.event.as_str()).collect();
        self.world().outbox.pending.retain(|id| !taken.contains(id.as_str()));
        delivered
    }

    /// Delivers until all is taken, some times at most; the last answers.
    pub async fn deliver_until_taken(&self, times: u32) -> Vec<Delivered> {
        let mut last = self.deliver().await;
        for _ in 1..times {
            if last.iter().all(Delivered::is_taken) {
                break;
            }
            last = self.deliver().await;
        }
        last
    }

    /// Sends one event, be it again.
    pub async fn redeliver(&self, id: &str) -> Delivered {
        let event = self.event(id);
        let (header, body) = self.world().outbox.envelope.seal(&event);
        let (status, answer) = self.post(&header, body).await;
        let kind = text(&event["type"]).to_owned();
        Delivered { event: id.to_owned(), kind, status, body: answer }
    }

    /// Posts anything at all to the endpoint; its status, if it answered, and its words.
    pub async fn post(&self, header: &str, body: String) -> (Option<u16>, String) {
        let endpoint = self.world().outbox.endpoint.clone();
        let (client, url) = endpoint.expect("webhooks have an endpoint to go to");
        let request = client.post(url).timeout(PATIENCE).body(body);
        let request = request.header("content-type", "application/json; charset=utf-8");
        match request.header("stripe-signature", header).send().await {
            Ok(answer) => {
                let status = answer.status().as_u16();
                (Some(status), answer.text().await.unwrap_or_default())
            }
            Err(error) => (None, error.to_string()),
        }
    }

    /// What an event would be sent as: its header and body.
    pub fn sealed(&self, id: &str) -> (String, String) {
        let event = self.event(id);
        self.world().outbox.envelope.seal(&event)
    }

    /// The ids of what waits to be delivered.
    pub fn waiting(&self) -> Vec<String> {
        self.world().outbox.pending.clone()
    }

    /// Keeps back what waits of a type (`invoice.*`, `*`) until `let_go`.
    pub fn hold_back(&self, kind: &str) {
        let taken = self.take_out(kind);
        self.world().outbox.held.extend(taken);
    }

    /// What was kept back is delivered next, after what waits.
    pub fn let_go(&self) {
        let mut world = self.world();
        let held = std::mem::take(&mut world.outbox.held);
        world.outbox.pending.extend(held);
    }

    /// What waits of a type is never delivered; the list of events still has it.
    pub fn lose(&self, kind: &str) -> usize {
        self.take_out(kind).len()
    }

    /// Of what waits, loses some percent that the seed picks.
    pub fn lose_some(&self, percent: u64, seed: u64) -> usize {
        let mut world = self.world();
        let before = world.outbox.pending.len();
        let mut random = Random(seed);
        world.outbox.pending.retain(|_| random.below(100) >= percent);
        before - world.outbox.pending.len()
    }

    fn take_out(&self, kind: &str) -> Vec<String> {
        let (taken, kept) = self
            .waiting()
            .into_iter()
            .partition::<Vec<_>, _>(|id| is_of(text(&self.event(id)["type"]), kind));
        self.world().outbox.pending = kept;
        taken
    }

    /// What waits and is not too old to be tried.
    fn due(&self) -> Vec<String> {
        let now = self.now();
        let mut waiting = self.waiting();
        waiting.retain(|id| now - number(&self.event(id)["created"]) <= TRIED);
        self.world().outbox.pending.clone_from(&waiting);
        waiting
    }

    fn event(&self, id: &str) -> Value {
        let world = self.world();
        let found = world.events.iter().find(|event| event["id"] == *id);
        found.unwrap_or_else(|| panic!("the double has no event {id}")).clone()
    }
}

fn shuffle(ids: &mut [String], seed: u64) {
    let mut random = Random(seed);
    for last in (1..ids.len()).rev() {
        let bound = u64::try_from(last + 1).expect("a small number");
        ids.swap(last, usize::try_from(random.below(bound)).expect("a small number"));
    }
}

/// Numbers that a seed decides (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}
