//! Addresses of services that secrets are sent to.

use std::net::IpAddr;

use reqwest::Url;

/// Why a provider's address is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It is no URL, or has parts that it must not have.
    #[error("the provider's address must be a URL with a host, without user, query or fragment")]
    Malformed,
    /// Secrets would be sent in clear.
    #[error("the provider's address must begin with https, unless it is on this machine")]
    Insecure,
}

/// An address that others can be made of: with a host, without user, query or fragment.
pub(crate) fn parse(text: &str) -> Result<Url, AddressError> {
    let url = Url::parse(text).map_err(|_| AddressError::Malformed)?;
    let bare = url.username().is_empty() && url.password().is_none();
    if !bare || !url.has_host() || url.query().is_some() || url.fragment().is_some() {
        return Err(AddressError::Malformed);
    }
    Ok(url)
}

/// Nobody on the way can read what is sent there.
pub(crate) fn is_secure(url: &Url) -> bool {
    url.scheme() == "https" || url.scheme() == "http" && is_here(url)
}

/// It is on this machine.
pub(crate) fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The address of this path below another.
pub(crate) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_path(&format!("{}/{path}", base.path().trim_end_matches('/')));
    url
}
