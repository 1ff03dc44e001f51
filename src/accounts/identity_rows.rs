//! What is kept of identities beside the log.

use aggregates::id::{IdentityId, UserId};
use serde::{Deserialize, Serialize};

use super::claims::Claim;
use super::identities::Shown;
use super::provider_tokens;
use crate::app::App;
use crate::clients::oauth::Profile;
use crate::clock;
use crate::error::{Problem, Result};
use crate::keys::Keys;
use crate::store::SideRow;

/// What the provider says of the person, as it is kept: encrypted, and bound to the identity.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// What it knows the person by: with this, the identity can be looked up by another key.
    subject: String,
    #[serde(flatten)]
    shown: Shown,
}

/// The rows of an identity that is to be.
pub(super) fn rows(
    app: &App,
    id: IdentityId,
    user: UserId,
    profile: &Profile,
) -> Result<Vec<SideRow>> {
    let mut rows = claim(profile).rows(&app.keys.lookup, user, Some(id));
    rows.push(SideRow::Identity {
        identity_id: id,
        user_id: user,
        provider: profile.provider.to_string(),
        sealed: seal(app, id, profile)?,
        tokens: Some(provider_tokens::seal(app, id, &profile.tokens)?),
        linked_at: clock::now(),
    });
    Ok(rows)
}

pub(super) fn seal(app: &App, id: IdentityId, profile: &Profile) -> Result<String> {
    let shown = Shown {
        name: profile.name.clone(),
        email: profile.email.as_ref().map(|email| email.address.clone()),
    };
    let kept = Kept { subject: profile.subject.clone(), shown };
    app.keys.sealing.seal(&place(id), &kept).map_err(Problem::failed)
}

/// What the person claims by it.
pub(super) fn claim(profile: &Profile) -> Claim {
    Claim::identity(profile.provider, &profile.subject)
}

/// The same, by what is kept; none where that cannot be opened.
pub(super) fn claim_of(
    keys: &Keys,
    id: IdentityId,
    provider: Option<&str>,
    sealed: Option<&str>,
) -> Option<Claim> {
    let kept = keys.sealing.open::<Kept>(&place(id), sealed?).ok()?;
    Some(Claim::identity(provider?.parse().ok()?, &kept.subject))
}

/// What is sealed of an identity is bound to this.
pub(super) fn place(identity: IdentityId) -> String {
    format!("identity/{identity}")
}
