//! People, as the oracle follows them: what the aggregate must have arrived at, and what the read
//! model must say.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aggregates::pii::Pii;
use aggregates::user::User;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::facts::UserFact;
use super::report::{Kind, Report};

/// A piece of personal data, or none; hidden where there is one that cannot be read any more,
/// because the person was erased further on in the log.
pub(super) type Text = Pii<Option<String>>;

const NOTHING: Text = Pii::Clear(None);

/// Whether the log has a text here, readable or not.
pub(super) fn is_there(text: &Text) -> bool {
    text.as_clear().is_none_or(Option::is_some)
}

/// What the log says of a person at the position that `users` has reached. Times are in
/// microseconds since 1970.
pub(super) struct Person {
    pub(super) email: Text,
    pub(super) email_verified: bool,
    pub(super) phone: Text,
    pub(super) name: Text,
    pub(super) role: String,
    pub(super) status: String,
    pub(super) registered_at: i64,
    pub(super) last_seen_at: i64,
}

impl Person {
    /// Whether a row has these for address, telephone and name.
    pub(super) fn has_personal(&self, row: [Option<&str>; 3]) -> bool {
        let says = |(text, found): (&Text, Option<&str>)| match text {
            Pii::Clear(text) => text.as_deref() == found,
            Pii::Hidden => found.is_some(),
        };
        [&self.email, &self.phone, &self.name].into_iter().zip(row).all(says)
    }

    /// What is not personal of it.
    pub(super) fn rest(&self) -> (bool, &str, &str, i64, i64) {
        (self.email_verified, &self.role, &self.status, self.registered_at, self.last_seen_at)
    }
}

/// The personal data of an event.
pub(super) struct Told {
    email: Text,
    phone: Text,
    name: Text,
}

impl Told {
    pub(super) fn of(opened: &Value) -> Self {
        let told = opened.as_object().and_then(|event| event.values().next());
        let text = |field: &str| {
            let text = told.and_then(|told| Text::deserialize(told.get(field)?).ok());
            text.unwrap_or(NOTHING)
        };
        Self { email: text("email"), phone: text("phone"), name: text("name") }
    }
}

/// A person whom the log tells of, as the oracle and the aggregate follow them.
#[derive(Default)]
pub(super) struct UserTrail {
    pub(super) sequence: i64,
    pub(super) replayed: User,
    pub(super) status: &'static str,
    role: String,
    pub(super) email: Text,
    email_verified: bool,
    pub(super) phone: Text,
    name: Text,
    pub(super) has_password: bool,
    pub(super) identities: BTreeSet<Uuid>,
    /// Sessions that nobody ended; some may be over by time.
    pub(super) sessions: BTreeSet<Uuid>,
    /// With what they may be used for.
    pub(super) keys: BTreeMap<Uuid, Vec<String>>,
}

impl UserTrail {
    /// Enters an event that was applied to the aggregate already.
    pub(super) fn follow(&mut self, fact: &UserFact, told: &Told, report: &mut Report, id: Uuid) {
        if self.status == "erased" {
            let place = format_args!("user {id}");
            let rule = "nothing happens to who was erased";
            report.find(Kind::Domain, place, rule, "the end", fact.name());
        }
        match fact {
            UserFact::Registered { by, .. } => {
                "user".clone_into(&mut self.role);
                self.status = "active";
                (self.email, self.phone) = (told.email.clone(), NOTHING);
                self.name = told.name.clone();
                self.has_password = **by == "password";
            }
            UserFact::ProfileChanged { .. } => self.name.clone_from(&told.name),
            UserFact::EmailVerified { .. } => {
                (self.email, self.email_verified) = (told.email.clone(), true);
            }
            UserFact::PhoneVerified { .. } => self.phone.clone_from(&told.phone),
            UserFact::PasswordSet {} => self.has_password = true,
            UserFact::IdentityLinked { identity } => drop(self.identities.insert(*identity)),
            UserFact::IdentityUnlinked { identity } => drop(self.identities.remove(identity)),
            UserFact::SessionStarted { session, .. } => drop(self.sessions.insert(*session)),
            UserFact::SessionsEnded { sessions } => {
                self.sessions.retain(|session| !sessions.contains(session));
            }
            UserFact::TakenOver {} => self.shut(),
            UserFact::ApiKeyCreated { key, scopes, .. } => {
                self.keys.insert(*key, scopes.clone());
            }
            UserFact::ApiKeyRevoked { key } => drop(self.keys.remove(key)),
            UserFact::RoleChanged { role } => self.role.clone_from(role),
            UserFact::Deactivated { reason } => {
                self.status = if reason.is_some() { "barred" } else { "deactivated" };
                self.sessions.clear();
            }
            UserFact::Reactivated {} => self.status = "active",
            UserFact::Erased {} => {
                self.shut();
                (self.email, self.phone, self.name) = (NOTHING, NOTHING, NOTHING);
                "user".clone_into(&mut self.role);
                (self.status, self.email_verified) = ("erased", false);
            }
        }
    }

    fn shut(&mut self) {
        self.has_password = false;
        self.phone = NOTHING;
        "user".clone_into(&mut self.role);
        self.identities.clear();
        self.sessions.clear();
        self.keys.clear();
    }

    /// The aggregate must have arrived where the log has. Personal data is not told.
    pub(super) fn compare(&self, id: Uuid, report: &mut Report) {
        let state = serde_json::to_value(&self.replayed).unwrap_or_default();
        let ids = |field: &str| -> BTreeSet<Uuid> {
            match state.get(field) {
                Some(Value::Object(map)) => map.keys().filter_map(|id| id.parse().ok()).collect(),
                Some(Value::Array(ids)) => {
                    ids.iter().filter_map(|id| id.as_str()?.parse().ok()).collect()
                }
                _ => BTreeSet::new(),
            }
        };
        let same = |field: &str, same: bool, report: &mut Report| {
            if !same {
                let place = format_args!("user {id}/{field}");
                let rule = "replay arrives where the log does";
                report.find(Kind::Replay, place, rule, "what the log says", "something else");
            }
        };
        let replayed = &self.replayed;
        let text = |field: &str| state.get(field).and_then(Value::as_str).unwrap_or_default();
        same("status", text("status") == self.status, report);
        same("role", text("role") == self.role, report);
        same("name", replayed.name() == readable(&self.name), report);
        same("email", replayed.email() == readable(&self.email), report);
        same("email_verified", replayed.email_verified() == self.email_verified, report);
        same("phone", replayed.phone() == readable(&self.phone), report);
        same("has_password", replayed.has_password() == self.has_password, report);
        same("identities", ids("identities") == self.identities, report);
        same("sessions", ids("sessions").is_subset(&self.sessions), report);
        same("api_keys", ids("api_keys").iter().eq(self.keys.keys()), report);
    }
}

/// The text, as an aggregate says it.
fn readable(text: &Text) -> Option<&String> {
    text.as_clear().and_then(Option::as_ref)
}

/// Follows what the read model says of a person.
pub(super) fn follow(
    persons: &mut HashMap<Uuid, Person>,
    id: Uuid,
    fact: UserFact,
    Told { email, phone, name }: Told,
) {
    if let UserFact::Registered { at, .. } = fact {
        let person = Person {
            email,
            email_verified: false,
            phone: NOTHING,
            name,
            role: "user".to_owned(),
            status: "active".to_owned(),
            registered_at: at.timestamp_micros(),
            last_seen_at: at.timestamp_micros(),
        };
        persons.insert(id, person);
        return;
    }
    let Some(person) = persons.get_mut(&id) else { return };
    match fact {
        UserFact::ProfileChanged { .. } => person.name = name,
        UserFact::EmailVerified { .. } => (person.email, person.email_verified) = (email, true),
        UserFact::PhoneVerified { .. } => person.phone = phone,
        UserFact::SessionStarted { at, .. } => person.last_seen_at = at.timestamp_micros(),
        UserFact::RoleChanged { role } => person.role = role,
        UserFact::TakenOver {} => {
            person.phone = NOTHING;
            "user".clone_into(&mut person.role);
        }
        UserFact::Deactivated { .. } => "deactivated".clone_into(&mut person.status),
        UserFact::Reactivated {} => "active".clone_into(&mut person.status),
        UserFact::Erased {} => {
            (person.email, person.phone, person.name) = (NOTHING, NOTHING, NOTHING);
            "user".clone_into(&mut person.role);
            "erased".clone_into(&mut person.status);
            person.email_verified = false;
        }
        UserFact::Registered { .. }
        | UserFact::PasswordSet {}
        | UserFact::IdentityLinked { .. }
        | UserFact::IdentityUnlinked { .. }
        | UserFact::SessionsEnded { .. }
        | UserFact::ApiKeyCreated { .. }
        | UserFact::ApiKeyRevoked { .. } => {}
    }
}
