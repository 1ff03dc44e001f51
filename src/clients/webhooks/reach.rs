//! Which addresses webhooks may go to: who names one could have this server speak to what only it can
//! reach (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

/// The longest address that is taken, in characters.
const LONGEST: usize = 2_048;

/// How far webhooks may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To what anybody can reach. The default.
    Public,
    /// To private addresses, too, and to this machine without TLS; in `local` only.
    Private,
}

/// Why nothing is sent to an address. Each says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Not a URL.
    #[error("must be a URL, as https://example.com/webhooks")]
    Malformed,
    /// Nobody has so long a one.
    #[error("must not be longer than {LONGEST} characters")]
    Long,
    /// Anybody could read what is sent.
    #[error("must begin with https://")]
    Scheme,
    /// The signature says who we are.
    #[error("must have no user and no password: check the signature instead")]
    Userinfo,
    /// Nothing of it is sent.
    #[error("must have no fragment: remove what follows #")]
    Fragment,
    /// Other services listen there.
    #[error("must have port 443, or 1024 or above")]
    Port,
    /// Only this server, or its neighbours, can reach it.
    #[error("must be an address that can be reached from everywhere, not a private one")]
    Private,
}

impl Reach {
    /// The address, where something may be sent to it. What a name stands for is looked at when it is
    /// sent, each time, since it may stand for something else by then.
    pub fn check(self, url: &str) -> Result<Url, UrlError> {
        if url.chars().count() > LONGEST {
            return Err(UrlError::Long);
        }
        let url = Url::parse(url).map_err(|_| UrlError::Malformed)?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(UrlError::Malformed)?;
        let literal = host.trim_matches(['[', ']']).parse::<IpAddr>().ok();
        let is_here = host == "localhost" || literal.is_some_and(|address| address.is_loopback());
        match url.scheme() {
            "https" => {}
            "http" if self == Self::Private && is_here => {}
            _ => return Err(UrlError::Scheme),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(UrlError::Userinfo);
        }
        if url.fragment().is_some() {
            return Err(UrlError::Fragment);
        }
        let port = url.port_or_known_default().unwrap_or_default();
        if !matches!((self, port), (_, 443 | 1_024..) | (Self::Private, 1..)) {
            return Err(UrlError::Port);
        }
        if literal.is_some_and(|address| !self.allows(address)) {
            return Err(UrlError::Private);
        }
        Ok(url)
    }

    /// Whether something may be sent to this address.
    #[must_use]
    pub fn allows(self, address: IpAddr) -> bool {
        self == Self::Private || is_public(address)
    }
}

/// What is not reached from everywhere, or is nobody's, of version 4, by IANA's registry of special
/// addresses: the network, and how many of its bits count.
const SPECIAL_V4: [(Ipv4Addr, u32); 19] = [
    // This network and this machine; private ones.
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Shared by the customers of a provider; link-local, where clouds keep their metadata.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // What a virtual machine of Azure's asks its host by.
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    // Protocols: of the IETF, AS112, AMT, the relay of 6to4, AS112 by delegation.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 175, 48, 0), 24),
    // Benchmarks; documentation.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast; reserved, and broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// What is given out to anybody, of version 6. All else is not: this machine, private and link-local
/// addresses, multicast.
const GIVEN_OUT: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// What of that is special: protocols (Teredo, benchmarks and others), 6to4, documentation.
const SPECIAL_V6: [(Ipv6Addr, u32); 4] = [
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// By what a network of version 6 alone reaches version 4 (NAT64).
const NAT64: (Ipv6Addr, u32) = (Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

/// Whether an address is reached from everywhere.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in = |&(network, bits): &(Ipv4Addr, u32)| {
        (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits
    };
    !SPECIAL_V4.iter().any(is_in)
}

/// Of those that stand for an address of version 4, that one decides.
fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(mapped) = address.to_ipv4_mapped() {
        return is_public_v4(mapped);
    }
    let is_in = |&(network, bits): &(Ipv6Addr, u32)| {
        (address.to_bits() ^ network.to_bits()).leading_zeros() >= bits
    };
    if is_in(&NAT64) {
        let [.., a, b, c, d] = address.octets();
        return is_public_v4(Ipv4Addr::new(a, b, c, d));
    }
    is_in(&GIVEN_OUT) && !SPECIAL_V6.iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_a_neighbour_reaches_is_no_public_address() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.255.254",
            "168.63.129.16",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::808:808",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            let parsed = address.parse().expect(address);
            assert!(!Reach::Public.allows(parsed), "{address}");
            assert!(Reach::Private.allows(parsed), "{address}");
        }
    }

    #[test]
    fn what_everybody_reaches_is_a_public_address() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "64:ff9b::808:808",
            "2001:4860:4860::8888",
            "2606:4700:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(Reach::Public.allows(address.parse().expect(address)), "{address}");
        }
    }

    #[test]
    fn an_address_that_nothing_may_be_sent_to_says_why() {
        use UrlError as E;
        let long = format!("https://example.com/{}", "a".repeat(LONGEST));
        for (url, why) in [
            ("", E::Malformed),
            ("example.com", E::Malformed),
            ("https://", E::Malformed),
            ("http://example.com/", E::Scheme),
            ("http://127.0.0.1:8080/", E::Scheme),
            ("ftp://example.com/", E::Scheme),
            ("file:///etc/passwd", E::Malformed),
            ("https://ada@example.com/", E::Userinfo),
            ("https://:x@example.com/", E::Userinfo),
            ("https://example.com/#a", E::Fragment),
            ("https://example.com:0/", E::Port),
            ("https://example.com:25/", E::Port),
            ("https://example.com:80/", E::Port),
            ("https://127.0.0.1/", E::Private),
            ("https://2130706433/", E::Private),
            ("https://0x7f.1/", E::Private),
            ("https://0177.0.0.1/", E::Private),
            ("https://[::1]/", E::Private),
            ("https://[::ffff:7f00:1]/", E::Private),
            ("https://169.254.169.254/latest", E::Private),
            ("https://[fd00:ec2::254]/", E::Private),
            (long.as_str(), E::Long),
        ] {
            assert_eq!(Reach::Public.check(url), Err(why), "{url}");
        }
        for url in ["https://example.com", "https://example.com:8443/a?b=c", "https://8.8.8.8/"] {
            assert!(Reach::Public.check(url).is_ok(), "{url}");
        }
    }

    #[test]
    fn on_ones_own_machine_no_tls_is_needed_to_reach_it() {
        for url in ["http://127.0.0.1:8080/", "http://localhost:80/", "http://[::1]/"] {
            assert!(Reach::Private.check(url).is_ok(), "{url}");
        }
        for url in ["http://example.com/", "http://10.0.0.1/"] {
            assert_eq!(Reach::Private.check(url), Err(UrlError::Scheme), "{url}");
        }
    }
}
