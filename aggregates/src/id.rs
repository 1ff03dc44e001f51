//! Every id is its own type. `Uuid` appears here and at the edges.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Version 5 of RFC 9562; but what follows from an id that is ordered by time (version 7) keeps its
/// time, since an index takes new ids fastest at its end.
fn derive(cause: Uuid, purpose: &str) -> Uuid {
    let derived = Uuid::new_v5(&cause, purpose.as_bytes());
    if cause.get_version_num() != 7 {
        return derived;
    }
    let (time, _) = cause.as_u64_pair();
    let (_, hash) = derived.as_u64_pair();
    Uuid::from_u64_pair(time, hash)
}

macro_rules! ids {
    ($($(#[$doc:meta])+ $name:ident)+) => {$(
        $(#[$doc])+
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// The id that follows from `cause` for this `purpose`: the same every time.
            #[must_use]
            pub fn derive(cause: Uuid, purpose: &str) -> Self {
                Self(derive(cause, purpose))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }

        impl From<$name> for Uuid {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }
    )+};
}

ids! {
    /// A person.
    UserId
    /// A person's wallet; the same UUID as the person's.
    WalletId
    /// A bucket of credits in a wallet.
    GrantId
    /// An authorisation to spend.
    HoldId
    /// A one-shot spend.
    DebitId
    /// One intent to change something; the log never accepts it twice.
    CommandId
    /// What may be reversed together: the grants of one payment.
    ReversalGroup
    /// A person's session on one device.
    SessionId
    /// A person as a provider knows them.
    IdentityId
    /// A person's key for programs.
    ApiKeyId
    /// A pack of credits on sale.
    PackId
    /// A plan on sale.
    PlanId
    /// A purchase of a pack.
    PurchaseId
    /// A subscription to a plan.
    SubscriptionId
    /// A proof that was asked for: a code, or a link.
    ChallengeId
    /// A conversation with a model.
    ChatId
    /// What was said in a chat: a person's message, or a model's reply.
    MessageId
    /// Where a customer's own system listens.
    EndpointId
    /// What is sent to one of them.
    DeliveryId
}

impl ReversalGroup {
    /// What was carried over from the grants of this payment. It is reversed where the whole of the
    /// payment is: of a part, the grants that it came from answer for all that was granted.
    #[must_use]
    pub fn of_carried(self) -> Self {
        Self::derive(self.0, "carried over")
    }
}

impl From<UserId> for WalletId {
    fn from(user: UserId) -> Self {
        Self(user.0)
    }
}

impl From<WalletId> for UserId {
    fn from(wallet: WalletId) -> Self {
        Self(wallet.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_the_same_every_time_and_another_for_another_purpose() {
        for cause in [Uuid::now_v7(), Uuid::new_v5(&Uuid::nil(), b"key")] {
            let derived = CommandId::derive(cause, "hold");
            assert_eq!(derived, CommandId::derive(cause, "hold"));
            assert_ne!(derived, CommandId::derive(cause, "capture"));
            assert_ne!(derived.0, cause);
            assert_eq!(derived.0.get_version_num(), cause.get_version_num());
        }
    }

    #[test]
    fn what_follows_from_ids_in_order_is_in_order() {
        let causes = [1, 2, 3].map(|at| {
            let time = uuid::Timestamp::from_unix_time(1_800_000_000 + at, 0, 0, 0);
            Uuid::new_v7(time)
        });
        let derived = causes.map(|cause| CommandId::derive(cause, "debit"));
        assert!(derived.is_sorted(), "{derived:?}");
    }
}
