//! Who asks, as far as the request itself says.

use std::net::IpAddr;

use aggregates::id::UserId;

use super::sessions::Origin;
use crate::store::Metadata;

/// Longer names of clients are cut.
const LONGEST_AGENT: usize = 200;

/// Who asks without having signed in, and from where.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The request's id.
    pub request_id: Option<String>,
    /// The client's `User-Agent`.
    pub agent: Option<String>,
    /// The client's address in the network.
    pub address: Option<IpAddr>,
}

impl Visitor {
    /// What stands beside the events of what the person does.
    #[must_use]
    pub fn metadata(&self, user: UserId) -> Metadata {
        Metadata {
            request_id: self.request_id.clone(),
            actor: Some(user.to_string()),
            request_hash: None,
        }
    }

    pub(super) fn origin(&self) -> Origin {
        let agent = self.agent.as_ref();
        Origin {
            agent: agent.map(|agent| agent.chars().take(LONGEST_AGENT).collect()),
            address: self.address.map(|address| address.to_string()),
        }
    }

    /// What tries are counted by: an address, or a whole site of them (IPv6 gives each customer a
    /// /64).
    #[must_use]
    pub fn counted(&self) -> String {
        match self.address {
            Some(IpAddr::V6(address)) => match address.to_ipv4_mapped() {
                Some(address) => address.to_string(),
                None => format!("{:x?}", &address.segments()[..4]),
            },
            Some(IpAddr::V4(address)) => address.to_string(),
            None => "nowhere".to_owned(),
        }
    }
}
