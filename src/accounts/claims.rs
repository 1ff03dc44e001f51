//! What only one person can have, and who has it: kept as keyed hashes, one for each key that there
//! is. While one key follows another, a node that does not know the new one yet and a node that does
//! meet in the old one, so that two people cannot both have what they claim at once.

use aggregates::id::{IdentityId, UserId};
use sqlx::PgPool;
use uuid::Uuid;

use crate::clients::oauth::Provider;
use crate::keys::{Key, KeyRing};
use crate::store::{Claimed, SideRow, hex};

/// An address, a telephone or an account at a provider. Never printed: it is personal data.
pub struct Claim {
    what: Claimed,
    /// What is hashed.
    text: String,
}

/// Who has it.
pub struct Owner {
    /// The person.
    pub user: UserId,
    /// Which of the person's identities it is, where it is one.
    pub identity: Option<IdentityId>,
}

impl Claim {
    pub(super) fn email(email: &str) -> Self {
        Self { what: Claimed::Email, text: format!("email\n{email}") }
    }

    pub(super) fn phone(phone: &str) -> Self {
        Self { what: Claimed::Phone, text: format!("phone\n{phone}") }
    }

    pub(super) fn identity(provider: Provider, subject: &str) -> Self {
        Self { what: Claimed::Identity, text: format!("identity\n{provider}\n{subject}") }
    }

    /// Its hash under one key.
    pub(super) fn hash(&self, key: &Key) -> [u8; 32] {
        key.hash(&self.text)
    }

    /// Its hashes under all keys.
    pub(super) fn hashes(&self, lookup: &KeyRing) -> Vec<[u8; 32]> {
        lookup.hashes(&self.text)
    }

    /// The rows that say that it is the person's.
    #[must_use]
    pub fn rows(
        &self,
        lookup: &KeyRing,
        user_id: UserId,
        identity_id: Option<IdentityId>,
    ) -> Vec<SideRow> {
        let row = |key: Key| SideRow::Claim {
            claim_hash: hex(&self.hash(&key)),
            key_id: key.id,
            what: self.what,
            user_id,
            identity_id,
        };
        lookup.all().into_iter().map(|dated| row(dated.key)).collect()
    }

    /// The row that says that the person gives up all that is of its kind.
    pub(super) fn released(&self, user_id: UserId) -> SideRow {
        SideRow::ClaimsReleased { user_id, what: self.what }
    }

    /// Who has it now.
    pub async fn owner(&self, db: &PgPool, lookup: &KeyRing) -> sqlx::Result<Option<Owner>> {
        let row: Option<(Uuid, Option<Uuid>)> = sqlx::query_as(
            "select user_id, identity_id from claims where claim_hash = any($1) limit 1",
        )
        .bind(self.hashes(lookup))
        .fetch_optional(db)
        .await?;
        Ok(row.map(|(user, identity)| Owner {
            user: UserId(user),
            identity: identity.map(IdentityId),
        }))
    }
}
