//! Every id is its own type. `Uuid` appears here and at the edges.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

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
                Self(Uuid::new_v5(&cause, purpose.as_bytes()))
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
