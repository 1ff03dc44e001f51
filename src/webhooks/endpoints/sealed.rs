//! What of an endpoint is encrypted with its owner's key.

use aggregates::id::{EndpointId, UserId};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::app::App;
use crate::clients::webhooks::Secret;
use crate::error::{Problem, Result};

/// Secrets that are good at once: each is another signature with each webhook.
const MOST: usize = 4;

/// What of an endpoint is encrypted.
#[derive(Serialize, Deserialize)]
pub(in crate::webhooks) struct Sealed {
    /// Where to.
    pub(in crate::webhooks) url: String,
    /// What its owner calls it.
    pub(super) description: Option<String>,
    /// The newest first.
    secrets: Vec<Kept>,
}

/// A secret.
#[derive(Serialize, Deserialize)]
struct Kept {
    secret: Secret,
    /// The request that had it made.
    by: Uuid,
    made_at: DateTime<Utc>,
    /// Until when it is good, once there is another.
    until: Option<DateTime<Utc>>,
}

impl Sealed {
    pub(super) fn new(
        url: String,
        description: Option<String>,
        secret: Secret,
        by: Uuid,
        made_at: DateTime<Utc>,
    ) -> Self {
        Self { url, description, secrets: vec![Kept { secret, by, made_at, until: None }] }
    }

    /// The server that listens, as people know it.
    pub(in crate::webhooks) fn host(&self) -> String {
        let url = reqwest::Url::parse(&self.url).ok();
        url.and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The secrets that are good at a time.
    pub(in crate::webhooks) fn good_at(&self, now: DateTime<Utc>) -> Vec<&Secret> {
        let good = self.secrets.iter().filter(|kept| kept.is_good_at(now));
        good.map(|kept| &kept.secret).collect()
    }

    /// Whether this request had a secret made that is still kept.
    pub(super) fn knows(&self, by: Uuid) -> bool {
        self.secrets.iter().any(|kept| kept.by == by)
    }

    /// The secret that this request had made, where that was not before `since`.
    pub(super) fn secret_by(&self, by: Uuid, since: DateTime<Utc>) -> Option<Secret> {
        let found = self.secrets.iter().find(|kept| kept.by == by && kept.made_at >= since);
        found.map(|kept| kept.secret.clone())
    }

    /// Puts another secret before the one until now, which is good until then; not where there are too
    /// many.
    pub(super) fn rotate(
        &mut self,
        secret: Secret,
        by: Uuid,
        now: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> bool {
        self.secrets.retain(|kept| kept.is_good_at(now));
        if self.secrets.len() >= MOST {
            return false;
        }
        for kept in &mut self.secrets {
            kept.until.get_or_insert(until);
        }
        self.secrets.insert(0, Kept { secret, by, made_at: now, until: None });
        true
    }
}

impl Kept {
    fn is_good_at(&self, now: DateTime<Utc>) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// What it is bound to.
pub(super) fn place(endpoint: EndpointId) -> String {
    format!("webhook_endpoint/{endpoint}")
}

pub(super) async fn seal(
    app: &App,
    user: UserId,
    endpoint: EndpointId,
    kept: &Sealed,
) -> Result<String> {
    let sealed = app.store.codec().seal_value(user, &place(endpoint), kept).await;
    sealed.map_err(Problem::failed)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn secret() -> Secret {
        Secret::random().expect("random bytes")
    }

    #[test]
    fn the_secret_before_is_good_beside_the_new_one_for_its_time() {
        let (now, day) = (DateTime::UNIX_EPOCH, TimeDelta::days(1));
        let [first, second] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let mut kept = Sealed::new(String::new(), None, secret(), first, now);
        assert_eq!(kept.good_at(now + day * 400).len(), 1);
        assert!(kept.rotate(secret(), second, now, now + day));
        assert_eq!(kept.good_at(now + day - TimeDelta::seconds(1)).len(), 2);
        assert_eq!(kept.good_at(now + day).len(), 1);
        assert!(kept.knows(first) && kept.secret_by(second, now).is_some());
        assert!(kept.secret_by(second, now + day).is_none());
    }

    #[test]
    fn only_so_many_secrets_are_good_at_once() {
        let (now, day) = (DateTime::UNIX_EPOCH, TimeDelta::days(1));
        let by = Uuid::from_u128;
        let mut kept = Sealed::new(String::new(), None, secret(), by(0), now);
        let rotated = (1..=4).map(|number| kept.rotate(secret(), by(number), now, now + day));
        assert_eq!(rotated.collect::<Vec<_>>(), [true, true, true, false]);
        assert!(kept.rotate(secret(), by(5), now + day, now + day * 2));
        assert_eq!(kept.good_at(now + day).len(), 2);
    }
}
