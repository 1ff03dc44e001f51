//! Who knocks, before anybody knows who they are.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

use super::problems::RequestId;
use crate::accounts::Visitor;

/// What proxies say of whom they speak for, the last proxy's word last.
const FORWARDED: &str = "x-forwarded-for";

/// From where a request comes: from beyond the proxies that are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ClientAddress(pub(super) IpAddr);

impl ClientAddress {
    /// The address of the connection; where that is a proxy of ours, the last address that none of ours has. What
    /// stands before it in the header anybody may have written.
    pub(super) fn find(
        extensions: &Extensions,
        headers: &HeaderMap,
        trusted: &[IpNet],
    ) -> Option<Self> {
        let ConnectInfo(peer) = extensions.get::<ConnectInfo<SocketAddr>>()?;
        let is_ours = |address: &IpAddr| is_within(address, trusted);
        let mut client = peer.ip();
        let said = headers.get_all(FORWARDED).iter().filter_map(|value| value.to_str().ok());
        let said: Vec<&str> = said.flat_map(|value| value.split(',')).collect();
        for address in said.iter().rev() {
            if !is_ours(&client) {
                break;
            }
            let Ok(address) = address.trim().parse() else { break };
            client = address;
        }
        Some(Self(client.to_canonical()))
    }
}

/// Whether the connection is one of our proxies'.
pub(super) fn is_from_proxy(extensions: &Extensions, trusted: &[IpNet]) -> bool {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>();
    peer.is_some_and(|ConnectInfo(peer)| is_within(&peer.ip(), trusted))
}

/// Whether the address is of one of these networks.
pub(crate) fn is_within(address: &IpAddr, networks: &[IpNet]) -> bool {
    let address = address.to_canonical();
    networks.iter().any(|network| network.contains(&address))
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            request_id: parts.extensions.get::<RequestId>().map(|RequestId(id)| id.clone()),
            agent: agent.map(str::to_owned),
            address: parts.extensions.get::<ClientAddress>().map(|ClientAddress(it)| *it),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut extensions = Extensions::new();
        let peer = SocketAddr::new(peer.parse().expect("an address"), 1234);
        extensions.insert(ConnectInfo(peer));
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED, value.parse().expect("a header"));
        }
        let trusted: Vec<_> = trusted.iter().map(|net| net.parse().expect("a network")).collect();
        ClientAddress::find(&extensions, &headers, &trusted).expect("a peer").0.to_string()
    }

    #[test]
    fn only_proxies_of_ours_are_believed_and_only_the_last_that_is_not_ours_counts() {
        let ours = ["10.0.0.0/8", "2001:db8::/32"];
        assert_eq!(client("203.0.113.9", &["198.51.100.1"], &ours), "203.0.113.9");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"], &ours), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.2"], &ours), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["1.1.1.1", "198.51.100.1"], &ours), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &[], &ours), "10.0.0.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1, nonsense"], &ours), "10.0.0.1");
        assert_eq!(client("::ffff:10.0.0.1", &["198.51.100.1"], &ours), "198.51.100.1");
        assert_eq!(client("10.0.0.1", &["198.51.100.1"], &[]), "10.0.0.1");
    }
}
