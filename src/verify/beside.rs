//! The rows beside the log that say who comes in, and by what: they are written in the unit of the
//! event that tells of them, so that each must be there, and no other.

use std::collections::HashMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::VerifyError;
use super::fold::Fold;
use super::people::{UserTrail, is_there};
use super::report::{Kind, Report};
use super::rows;

const RULE: &str = "what stands beside the log is what the log says";

/// What may be used, by person, in an order of its own. Sessions are apart: the log knows more of
/// them, since nobody tells it of time.
const WAYS: &str = "select user_id, 'password' as way from public.passwords
    union all select user_id, 'claim ' || kind
    from (select distinct user_id, kind, identity_id from public.claims) claimed
    union all select user_id, 'identity ' || identity_id from public.identities
    union all select user_id, 'api key ' || key_id || ' for ' || array_to_string(scopes, ', ')
        || case when rests then ', resting' else '' end
    from public.api_keys where revoked_at is null
    union all select user_id, 'key of personal data' from public.person_keys
    where wrapped_key is not null";
const SESSIONS: &str = "select user_id, session_id from public.sessions where ended_at is null";

/// Compares them with what the log says of each person.
pub(super) async fn compare(
    db: &mut PgConnection,
    fold: &Fold,
    report: &mut Report,
) -> Result<(), VerifyError> {
    let mut found: HashMap<Uuid, Vec<String>> = HashMap::new();
    rows::each(db, WAYS, |fields| {
        let (user, way) = (fields.uuid()?, fields.text()?.to_owned());
        found.entry(user).or_default().push(way);
        report.rows += 1;
        Some(())
    })
    .await?;
    for (user, trail) in &fold.users {
        find_difference(*user, &trail.ways(), found.remove(user).unwrap_or_default(), report);
    }
    for (stranger, ways) in found {
        find_difference(stranger, &[], ways, report);
    }
    rows::each(db, SESSIONS, |fields| {
        let (user, session) = (fields.uuid()?, fields.uuid()?);
        report.rows += 1;
        if !fold.users.get(&user).is_some_and(|trail| trail.has_session(session)) {
            let place = format_args!("user {user}");
            report.find(Kind::Beside, place, RULE, "no session that is over", session);
        }
        Some(())
    })
    .await
}

fn find_difference(user: Uuid, expected: &[String], mut found: Vec<String>, report: &mut Report) {
    found.sort_unstable();
    let place = format_args!("user {user}");
    for way in expected.iter().filter(|way| !found.contains(way)) {
        report.find(Kind::Beside, place, RULE, way, "none");
    }
    for way in found.iter().filter(|way| !expected.contains(way)) {
        report.find(Kind::Beside, place, RULE, "none", way);
    }
    if expected.len() != found.len() {
        report.find(Kind::Beside, place, RULE, expected.len(), found.len());
    }
}

impl UserTrail {
    /// What the person may come in by, and be asked for by programs, as the rows tell it.
    fn ways(&self) -> Vec<String> {
        let rests = if matches!(self.status, "deactivated" | "barred") { ", resting" } else { "" };
        let keys = self.keys.iter();
        let keys =
            keys.map(|(key, scopes)| format!("api key {key} for {}{rests}", scopes.join(", ")));
        let identities = self.identities.iter().map(|identity| format!("identity {identity}"));
        let mut ways: Vec<String> = keys.chain(identities).collect();
        ways.extend(self.has_password.then(|| "password".to_owned()));
        ways.extend(is_there(&self.email).then(|| "claim email".to_owned()));
        ways.extend(is_there(&self.phone).then(|| "claim phone".to_owned()));
        ways.extend((self.status != "erased").then(|| "key of personal data".to_owned()));
        ways.extend(self.identities.iter().map(|_| "claim identity".to_owned()));
        ways.sort_unstable();
        ways
    }

    fn has_session(&self, session: Uuid) -> bool {
        self.sessions.contains(&session)
    }
}
