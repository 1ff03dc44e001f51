//! Work that follows: enqueued with the events it follows from, or in a transaction of its own, and
//! run by `jobs` with retries.

use aggregates::id::{CommandId, PurchaseId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::clients::mail::Letter;
use crate::keys::Keys;
use crate::store::{CodecError, SideRow};

/// What letters and texts wait as. Whom they go to and what they say is personal data, and may be a
/// way into an account: it is encrypted with a key of the house.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sealed {
    /// What makes a message that is sent twice recognisable as one.
    pub id: Uuid,
    /// The message.
    pub sealed: String,
}

/// A letter that waits to be sent.
#[derive(Clone, Serialize, Deserialize)]
pub struct LetterTo {
    /// The address.
    pub to: String,
    /// What it says.
    pub letter: Letter,
}

/// A text message that waits to be sent.
#[derive(Clone, Serialize, Deserialize)]
pub struct TextTo {
    /// The telephone.
    pub to: String,
    /// What it says.
    pub text: String,
}

/// Work that is to be enqueued. Work of the same key that waits is replaced.
#[derive(Clone, Debug)]
pub struct Job {
    task: &'static str,
    payload: serde_json::Value,
    key: String,
    most: i32,
    /// Work of one queue is done one after the other.
    queue: Option<String>,
}

/// Work that makes a person a customer of Stripe's.
pub const CREATE_CUSTOMER: &str = "create_customer";
/// Work that deletes a customer of Stripe's whose person was erased. Enqueued by the trigger that
/// forgets whose customer it was, too: see `0008_subscriptions.sql`.
pub const DELETE_CUSTOMER: &str = "delete_customer";
/// Work that settles what Stripe has told of an object.
pub const SETTLE_OBJECT: &str = "settle_object";
/// Work that looks for what Stripe has told and nobody has heard.
pub const HEAL: &str = "heal";
/// Work that compares what Stripe says of money and subscriptions with what is said here.
pub const RECONCILE: &str = "reconcile";
/// Work that lists a pack at Stripe.
pub const LIST_PACK: &str = "list_pack";
/// Work that lists a plan at Stripe.
pub const LIST_PLAN: &str = "list_plan";

/// Work that writes the letter of an event, by its position.
pub const WRITE_LETTER: &str = "write_letter";
/// Work that charges the card of whose recharge is in flight.
pub const RECHARGE: &str = "recharge";
/// Work that sends what waits for a customer's endpoint of webhooks.
pub const SEND_WEBHOOKS: &str = "send_webhooks";
/// Work that makes the replies that wait in a chat.
pub const REPLY: &str = "reply";
/// Work that builds a read model anew.
pub const REBUILD: &str = "rebuild";
/// Work that verifies the log.
pub const VERIFY: &str = "verify";
/// Work that makes an AI call that somebody has asked for and does not wait for.
pub const MAKE_CALL: &str = "make_call";

/// What work is about.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// Its id.
    pub subject: String,
}

/// What an administrator has decided to give back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Refund {
    /// Of which purchase.
    pub purchase: PurchaseId,
    /// The decision: each is carried out once.
    pub decision: CommandId,
}

impl Refund {
    /// The name of the work.
    pub const TASK: &'static str = "refund";

    /// The work of giving it back.
    #[must_use]
    pub fn job(&self) -> Job {
        let Self { purchase, decision } = self;
        Job {
            task: Self::TASK,
            payload: json!(self),
            key: format!("{}/{purchase}/{decision}", Self::TASK),
            most: MOST_ABOUT,
            queue: Some(queue_of(Self::TASK, &purchase.to_string())),
        }
    }
}

impl LetterTo {
    /// The name of the work.
    pub const TASK: &'static str = "send_letter";

    /// The work of sending it.
    pub fn job(&self, keys: &Keys, id: Uuid) -> Result<Job, CodecError> {
        job(Self::TASK, keys, id, self)
    }
}

impl TextTo {
    /// The name of the work.
    pub const TASK: &'static str = "send_text";

    /// The work of sending it.
    pub fn job(&self, keys: &Keys, id: Uuid) -> Result<Job, CodecError> {
        job(Self::TASK, keys, id, self)
    }
}

/// What a sealed message is bound to.
#[must_use]
pub fn place(task: &str, id: Uuid) -> String {
    format!("job/{task}/{id}")
}

/// Tries of a message, each later than the one before: the last after some ten hours.
const MOST: i32 = 12;

/// Queues of one kind of work.
const QUEUES: u16 = 16;
/// Those of replies, which take long: two chats are seldom in the same.
const QUEUES_OF_REPLIES: u16 = 4096;
/// Tries of work about something: the last after some two days.
const MOST_ABOUT: i32 = 18;

fn job<T: Serialize>(
    task: &'static str,
    keys: &Keys,
    id: Uuid,
    what: &T,
) -> Result<Job, CodecError> {
    let sealed = keys.sealing.seal(&place(task, id), what)?;
    let (payload, key) = (json!(Sealed { id, sealed }), format!("{task}/{id}"));
    Ok(Job { task, payload, key, most: MOST, queue: None })
}

/// The queue of work about something.
fn queue_of(task: &str, subject: &str) -> String {
    let queues = if task == REPLY { QUEUES_OF_REPLIES } else { QUEUES };
    let hash = Sha256::digest(subject);
    format!("{task} {}", u16::from_be_bytes([hash[0], hash[1]]) % queues)
}

impl Job {
    /// Work about something, once for however many ask for it, and one at a time: what is about the
    /// same is in the same of a few queues, which are never removed, since work that was just put
    /// into a queue that goes would never be found.
    #[must_use]
    pub fn about(task: &'static str, subject: &str) -> Self {
        let key = format!("{task}/{subject}");
        let payload = json!(About { subject: subject.to_owned() });
        let queue = Some(queue_of(task, subject));
        Self { task, payload, queue, key, most: MOST_ABOUT }
    }

    /// Work about something, once for however many ask for it, that need not be done one at a time:
    /// who does it sees to that. Of so many that take long, none waits for another in its queue.
    #[must_use]
    pub fn unordered(task: &'static str, subject: &str) -> Self {
        Self { queue: None, ..Self::about(task, subject) }
    }

    /// The row that enqueues it with a unit's events.
    #[must_use]
    pub fn row(self) -> SideRow {
        let Self { task, payload, key, most, queue } = self;
        SideRow::Job { task, payload, job_key: key, most, queue }
    }

    /// Enqueues it in the caller's transaction.
    pub async fn enqueue(&self, db: &mut PgConnection) -> sqlx::Result<()> {
        self.enqueue_for(db, None).await
    }

    /// Enqueues it in the caller's transaction, to be done at a time; at once when none.
    pub async fn enqueue_for(
        &self,
        db: &mut PgConnection,
        at: Option<DateTime<Utc>>,
    ) -> sqlx::Result<()> {
        sqlx::query(
            "select graphile_worker.add_job(identifier => $1, payload => $2::json, job_key => $3,
                 max_attempts => $4, queue_name => $5, run_at => $6)",
        )
        .bind(self.task)
        .bind(self.payload.to_string())
        .bind(&self.key)
        .bind(self.most)
        .bind(&self.queue)
        .bind(at)
        .execute(db)
        .await?;
        Ok(())
    }
}

/// Work that was tried so often that nobody does it any more.
#[derive(Debug, sqlx::FromRow)]
pub struct GivenUp {
    /// Its task, and what it is about.
    pub key: String,
    /// Why it failed last.
    pub last_error: Option<String>,
}

/// Has work of these tasks that was given up tried once more, and tells what it is. What has no key
/// was not given up: other work has taken its place while it was done.
pub async fn try_again(db: &mut PgConnection, tasks: &[&str]) -> sqlx::Result<Vec<GivenUp>> {
    sqlx::query_as(
        "select again.key, again.last_error
         from graphile_worker.jobs j
         cross join lateral graphile_worker.reschedule_jobs(
             array[j.id], run_at => clock_timestamp(), attempts => j.max_attempts - 1) again
         where j.task_identifier = any($1) and j.attempts >= j.max_attempts and j.key is not null
           and j.locked_at is null",
    )
    .bind(tasks)
    .fetch_all(db)
    .await
}
