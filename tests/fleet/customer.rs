//! Somebody who buys, subscribes, spends, calls models and chats, and asks again under the same key until they are
//! answered.

use std::time::Instant;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::listening::Listening;
use crate::sign_in::{PAUSE, SignedIn, TRIES};
use crate::stripe_post::Stripe;
use crate::support::{Answer, Server};

/// Messages that somebody without a plan may post in a day.
const MESSAGES: usize = 5;

/// They sign in anew whenever so many rounds are over.
const ROUNDS: usize = 10;

/// Packs that somebody buys, one in each round; in the next they subscribe to a plan.
const PACKS: usize = 3;

/// Where customers are served, and where they pay.
pub struct Market<'a> {
    pub door: &'a Server,
    pub stripe: &'a Stripe,
    pub offers: &'a Offers,
}

/// The ids of what they buy.
pub struct Offers {
    pub pack: String,
    pub plan: String,
}

/// What was answered, by its ids.
#[derive(Default)]
pub struct Done {
    /// People who signed up, and all their sessions.
    pub people: Vec<String>,
    pub sessions: Vec<String>,
    /// How often a session was renewed.
    pub renewed: usize,
    pub chats: Vec<String>,
    /// Packs that were paid.
    pub purchases: Vec<String>,
    /// Plans that were paid.
    pub subscriptions: Vec<String>,
    /// Debits, each of which was reversed.
    pub debits: Vec<String>,
    pub captured: Vec<String>,
    pub released: Vec<String>,
    /// AI calls: the ids of their holds.
    pub calls: Vec<String>,
    pub messages: Vec<String>,
    /// How often they came back to hear their chat.
    pub back: usize,
    /// Commands that were not answered the first time.
    pub asked_again: usize,
}

impl Done {
    pub fn count(&self) -> usize {
        2 * (self.debits.len() + self.captured.len() + self.released.len())
            + self.people.len()
            + self.sessions.len()
            + self.renewed
            + self.chats.len()
            + self.calls.len()
            + self.messages.len()
            + self.purchases.len()
            + self.subscriptions.len()
    }
}

pub struct Customer {
    person: SignedIn,
    chat: String,
    listening: Listening,
    done: Done,
    /// Whether there is something left for calls.
    can_call: bool,
}

impl Customer {
    /// Signs up, with a hundred credits, and opens a chat, which they hear from then on.
    pub async fn come(Market { door, .. }: &Market<'_>, number: usize) -> Self {
        let person = SignedIn::up(door, number).await;
        let mut done = Done::default();
        done.people.push(person.user.clone());
        done.sessions.push(person.session());
        let chat = ask(door, &person, &mut done, "/api/v1/chats", "chat", &json!({})).await;
        let chat = id(&chat.body);
        done.chats.push(chat.clone());
        let listening = Listening::to(door, &person, &chat);
        Self { person, chat, listening, done, can_call: true }
    }

    /// Goes on until it is time.
    pub async fn go_on(mut self, market: &Market<'_>, until: Instant) -> Self {
        let door = market.door;
        let mut round = 0;
        while Instant::now() < until {
            if round % ROUNDS == 0 {
                self.sign_in(door).await;
            }
            if round <= PACKS {
                self.buy(market, round).await;
            }
            self.debit(door, round).await;
            self.hold(door, round).await;
            if self.can_call {
                self.call(door, round).await;
            }
            if round < MESSAGES {
                self.say(door, round).await;
            }
            round += 1;
        }
        self
    }

    /// What came of it, once all of it is heard.
    pub async fn leave(self, door: &Server) -> Done {
        let path = format!("/api/v1/chats/{}/messages", self.chat);
        let bearer = format!("Bearer {}", self.person.access);
        let headers = [("authorization", bearer.as_str())];
        let messages = door.send(Method::GET, &path, &headers, None).await.expect("an answer");
        assert_eq!(messages.status, StatusCode::OK, "{:?}", messages.body);
        let messages = messages.body["items"].as_array().expect("messages").clone();
        let (said, replies): (Vec<_>, Vec<_>) =
            messages.into_iter().partition(|message| message["role"] == "user");
        assert_eq!((said.len(), replies.len()), (self.done.messages.len(), said.len()));
        let back = self.listening.has_all(&replies).await;
        Done { back, ..self.done }
    }

    /// Begins another session, and goes on with its second tokens.
    async fn sign_in(&mut self, door: &Server) {
        self.person = self.person.again(door).await;
        self.done.sessions.push(self.person.session());
        if let Some(renewed) = self.person.renewed(door).await {
            self.person = renewed;
            self.done.renewed += 1;
        } else {
            // Its answer was lost for too long.
            self.person = self.person.again(door).await;
            self.done.sessions.push(self.person.session());
        }
    }

    /// Buys a pack; at last, a plan.
    async fn buy(&mut self, Market { door, stripe, offers }: &Market<'_>, round: usize) {
        let is_pack = round < PACKS;
        let (path, body) = if is_pack {
            ("/api/v1/billing/checkout", json!({ "pack": offers.pack }))
        } else {
            ("/api/v1/billing/subscriptions", json!({ "plan": offers.plan }))
        };
        let order = self.ask(door, path, &format!("buy {round}"), &body).await.body;
        stripe.pay(&order);
        let Done { purchases, subscriptions, .. } = &mut self.done;
        if is_pack { purchases } else { subscriptions }.push(id(&order));
    }

    /// Spends a credit, and has it back.
    async fn debit(&mut self, door: &Server, round: usize) {
        let body = json!({ "amount": 1, "reason": "test" });
        let debit = self.ask(door, "/api/v1/wallet/debits", &format!("debit {round}"), &body).await;
        let debit = id(&debit.body);
        let path = format!("/api/v1/wallet/debits/{debit}/reverse");
        self.ask(door, &path, &format!("reverse {round}"), &json!({ "reason": "test" })).await;
        self.done.debits.push(debit);
    }

    /// Holds two credits, and takes one at first; later it lets them go.
    async fn hold(&mut self, door: &Server, round: usize) {
        let body = json!({ "amount": 2 });
        let hold = self.ask(door, "/api/v1/wallet/holds", &format!("hold {round}"), &body).await;
        let hold = id(&hold.body);
        let takes = round < 10;
        let (verb, body) = if takes {
            ("capture", json!({ "amount": 1 }))
        } else {
            ("release", json!({ "reason": "test" }))
        };
        let path = format!("/api/v1/wallet/holds/{hold}/{verb}");
        self.ask(door, &path, &format!("{verb} {round}"), &body).await;
        let ended = if takes { &mut self.done.captured } else { &mut self.done.released };
        ended.push(hold);
    }

    /// Asks a model, in turn for a completion and for a summary, until there is little left.
    async fn call(&mut self, door: &Server, round: usize) {
        let (path, body) = if round.is_multiple_of(2) {
            (
                "/v1/chat/completions",
                json!({ "messages": [{ "role": "user", "content": "Hello." }] }),
            )
        } else {
            ("/api/v1/ai/summarize", json!({ "text": "It rained. Then the sun came out again." }))
        };
        let answer = self.ask(door, path, &format!("call {round}"), &body).await;
        let call = answer.body["id"].as_str().expect("an id").trim_start_matches("chatcmpl-");
        self.done.calls.push(call.parse::<uuid::Uuid>().expect("an id").to_string());
        // What is held at once has to be there: the rest is for debits and holds.
        self.can_call = round < 50;
    }

    async fn say(&mut self, door: &Server, round: usize) {
        let path = format!("/api/v1/chats/{}/messages", self.chat);
        let said =
            self.ask(door, &path, &format!("say {round}"), &json!({ "text": "Hello." })).await;
        let message = said.body["message_id"].as_str().expect("an id");
        self.done.messages.push(message.to_owned());
    }

    async fn ask(&mut self, door: &Server, path: &str, key: &str, body: &Value) -> Answer {
        ask(door, &self.person, &mut self.done, path, key, body).await
    }
}

/// Asks until there is an answer that stands.
async fn ask(
    door: &Server,
    person: &SignedIn,
    done: &mut Done,
    path: &str,
    key: &str,
    body: &Value,
) -> Answer {
    let bearer = format!("Bearer {}", person.access);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    let mut last = None;
    for number in 0..TRIES {
        let answer = door.send(Method::POST, path, &headers, Some(body)).await;
        done.asked_again += usize::from(number == 1);
        match answer {
            Ok(answer) if answer.status.is_success() => return answer,
            // Who is away, at it, or was asked too often for one who pays, is asked again; anything else is a
            // failure of ours.
            Ok(answer) => {
                let later = [StatusCode::CONFLICT, StatusCode::TOO_MANY_REQUESTS];
                let passes = answer.status.is_server_error() || later.contains(&answer.status);
                assert!(passes, "{path} {key}: {} {:?}", answer.status, answer.body);
                last = Some(format!("{} {:?}", answer.status, answer.body));
            }
            Err(error) => last = Some(error.to_string()),
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("{path} {key} is never answered: {last:?}");
}

fn id(body: &Value) -> String {
    body["id"].as_str().unwrap_or_else(|| panic!("{body} has no id")).to_owned()
}
