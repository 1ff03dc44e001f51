//! Writing webhooks of what the log says. What was before an event is read from the log, too: nothing
//! has to be remembered, and it is the same however often it is looked at.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

use aggregates::event::Event;
use aggregates::id::{EndpointId, UserId};
use chrono::{DateTime, Utc};
use cqrs_es::Aggregate;
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::deliveries::{New, wake};
use super::wallets::Balances;
use super::{EventType, Told, purchases, subscriptions};
use crate::app::App;
use crate::error::{Problem, Result};
use crate::store::Stored;

/// An event of the log.
#[derive(FromRow)]
pub(super) struct Logged {
    pub(super) position: i64,
    aggregate_type: String,
    pub(super) aggregate_id: String,
    pub(super) sequence: i64,
    event_type: String,
    event_version: String,
    payload: String,
    pub(super) recorded_at: DateTime<Utc>,
}

/// An endpoint that is on.
#[derive(Clone, FromRow)]
struct Listener {
    endpoint_id: Uuid,
    events: Vec<String>,
    low_balance_threshold: i64,
    after: i64,
}

/// Whether anybody listens to anything.
pub async fn anybody_listens(db: &mut PgConnection) -> sqlx::Result<bool> {
    sqlx::query_scalar("select exists (select from webhook_endpoints where enabled)")
        .fetch_one(db)
        .await
}

/// Writes what is told of the events after `from`, up to `to`, once.
pub async fn tell(app: &App, db: &mut PgConnection, from: i64, to: i64) -> Result<()> {
    // Of wallets, which spend all the time, only those are read whose owners listen.
    let events: Vec<Logged> = sqlx::query_as(
        "select position, aggregate_type, aggregate_id, sequence, event_type, event_version,
             payload::text, recorded_at
         from events
         where position > $1 and position <= $2 and (aggregate_type in ('purchase', 'subscription')
             or aggregate_type = 'wallet' and aggregate_id in (
                 select user_id::text from webhook_endpoints where enabled)) is true
         order by position",
    )
    .bind(from)
    .bind(to)
    .fetch_all(&mut *db)
    .await?;
    let (mut balances, mut listeners) = (Balances::default(), HashMap::new());
    let mut woken = BTreeSet::new();
    for event in &events {
        for told in what_is_told(app, db, &mut balances, event).await? {
            let listeners = listening(db, &mut listeners, told.user).await?;
            woken.extend(write(db, listeners, event.position, &told).await?);
        }
    }
    // In order, so that two who write at once do not wait for each other.
    for endpoint in woken {
        wake(db, endpoint, None).await?;
    }
    Ok(())
}

async fn what_is_told(
    app: &App,
    db: &mut PgConnection,
    balances: &mut Balances,
    logged: &Logged,
) -> Result<Vec<Told>> {
    match logged.decode()? {
        Event::Wallet(event) => balances.told(db, logged, &event).await,
        Event::Purchase(event) => purchases::told(db, logged, event).await,
        Event::Subscription(event) => subscriptions::told(app, db, logged, *event).await,
        Event::User(_) | Event::Pack(_) | Event::Plan(_) | Event::Recharge(_) | Event::Chat(_) => {
            Ok(vec![])
        }
    }
}

/// The person's endpoints that are on, read once in a round.
async fn listening<'a>(
    db: &mut PgConnection,
    known: &'a mut HashMap<UserId, Vec<Listener>>,
    user: UserId,
) -> Result<&'a [Listener]> {
    let unknown = match known.entry(user) {
        Entry::Occupied(known) => return Ok(known.into_mut()),
        Entry::Vacant(unknown) => unknown,
    };
    let listeners = sqlx::query_as(
        "select endpoint_id, events, low_balance_threshold, after
         from webhook_endpoints where user_id = $1 and enabled",
    );
    Ok(unknown.insert(listeners.bind(user.0).fetch_all(db).await?))
}

/// Writes it for those who listen; which endpoints those are.
async fn write(
    db: &mut PgConnection,
    listeners: &[Listener],
    position: i64,
    told: &Told,
) -> Result<Vec<EndpointId>> {
    let mut written = Vec::new();
    for listener in listeners.iter().filter(|it| it.after < position && it.hears(told)) {
        let mut data = told.data.clone();
        if told.kind == EventType::LowBalance {
            data["threshold"] = listener.low_balance_threshold.into();
        }
        let name = format!("{position}/{}", told.kind.name());
        let endpoint = EndpointId(listener.endpoint_id);
        let id = Uuid::new_v5(&listener.endpoint_id, name.as_bytes());
        let (event_type, at) = (told.kind.name(), told.at);
        if (New { id, endpoint, event_type, at, data, grant: None }).write(db).await? {
            written.push(endpoint);
        }
    }
    Ok(written)
}

impl Listener {
    fn hears(&self, told: &Told) -> bool {
        let wanted = [EventType::All.name(), told.kind.name()];
        let is_wanted = self.events.iter().any(|event| wanted.contains(&event.as_str()));
        is_wanted && told.fall.is_none_or(|fall| fall.passes(self.low_balance_threshold))
    }
}

impl Logged {
    fn decode(&self) -> Result<Event> {
        let Self { aggregate_type, event_type, event_version, payload, .. } = self;
        Event::decode_text(aggregate_type, event_type, event_version, payload)
            .map_err(Problem::failed)
    }

    /// The id of its stream.
    pub(super) fn id(&self) -> Result<Uuid> {
        self.aggregate_id.parse().map_err(Problem::failed)
    }
}

/// An aggregate as it was before an event of its own.
pub(super) async fn before<A: Stored>(
    db: &mut PgConnection,
    logged: &Logged,
    own: fn(Event) -> Option<A::Event>,
) -> Result<A> {
    let events: Vec<Logged> = sqlx::query_as(
        "select position, aggregate_type, aggregate_id, sequence, event_type, event_version,
             payload::text, recorded_at
         from events
         where aggregate_type = $1 and aggregate_id = $2 and sequence < $3 order by sequence",
    )
    .bind(<A as Aggregate>::TYPE)
    .bind(&logged.aggregate_id)
    .bind(logged.sequence)
    .fetch_all(db)
    .await?;
    let mut aggregate = A::default();
    for event in events {
        if let Some(event) = own(event.decode()?) {
            aggregate.apply(event);
        }
    }
    Ok(aggregate)
}
