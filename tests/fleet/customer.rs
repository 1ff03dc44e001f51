//! Somebody who buys, subscribes, spends, calls models and chats, and asks again under the same key until they are
//! answered.

use std::time::{Duration, Instant};

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::stripe_post::Stripe;
use crate::support::{Answer, Person, Server};

/// The pause before somebody asks again, and how often they do: two minutes, until it is a failure of ours.
const PAUSE: Duration = Duration::from_millis(100);
const TRIES: usize = 1200;
/// Messages that somebody without a plan may post in a day.
const MESSAGES: usize = 5;

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
    /// Commands that were not answered the first time.
    pub asked_again: usize,
}

impl Done {
    pub fn count(&self) -> usize {
        2 * (self.debits.len() + self.captured.len() + self.released.len())
            + self.calls.len()
            + self.messages.len()
            + self.purchases.len()
            + self.subscriptions.len()
    }
}

pub struct Customer {
    person: Person,
    chat: String,
    done: Done,
    /// Whether there is something left for calls.
    can_call: bool,
}

impl Customer {
    /// Signs up, with a hundred credits, and opens a chat.
    pub async fn come(Market { door, .. }: &Market<'_>, number: usize) -> Self {
        let person = sign_up(door, number).await;
        let mut customer =
            Self { person, chat: String::new(), done: Done::default(), can_call: true };
        let chat = customer.ask(door, "/api/v1/chats", "chat", &json!({})).await;
        customer.chat = id(&chat.body);
        customer
    }

    /// Goes on until it is time; what came of it.
    pub async fn go_on(mut self, market: &Market<'_>, until: Instant) -> Done {
        let door = market.door;
        let mut round = 0;
        while Instant::now() < until {
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
        self.done
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

    /// Asks until there is an answer that stands.
    async fn ask(&mut self, door: &Server, path: &str, key: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {}", self.person.token);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
        let mut last = None;
        for number in 0..TRIES {
            let answer = door.send(Method::POST, path, &headers, Some(body)).await;
            self.done.asked_again += usize::from(number == 1);
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
}

/// A new person; whoever is not answered comes as somebody else.
async fn sign_up(door: &Server, number: usize) -> Person {
    for again in 0..TRIES {
        let email = format!("{number}-{again}@example.com");
        let body = json!({ "email": email, "password": "correct horse battery", "name": "Ada" });
        let answer = door.send(Method::POST, "/api/v1/auth/register", &[], Some(&body)).await;
        if let Ok(answer) = answer
            && answer.status == StatusCode::CREATED
        {
            let token = answer.body["access_token"].as_str().expect("a token").to_owned();
            return Person { id: id(&answer.body["user"]).parse().expect("an id"), token };
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("nobody can sign up");
}

fn id(body: &Value) -> String {
    body["id"].as_str().unwrap_or_else(|| panic!("{body} has no id")).to_owned()
}
