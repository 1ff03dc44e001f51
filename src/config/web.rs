//! Who may ask from where, and by which way.

use std::net::IpAddr;

use axum::http::{HeaderValue, Uri};
use ipnet::IpNet;

use super::{Config, ConfigError, Switch};

/// Who may ask from where, and by which way.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WebConfig {
    /// Networks or addresses of proxies of ours (`10.0.0.0/8`, with commas): what they say of whom they speak for,
    /// in `X-Forwarded-For` and `X-Forwarded-Proto`, is believed.
    #[arg(long, env = "SALDO_TRUSTED_PROXIES", value_delimiter = ',', value_parser = network)]
    pub trusted_proxies: Vec<IpNet>,
    /// Sites whose scripts may ask, with people's cookies: `https://app.example.com`, with commas.
    #[arg(long, env = "SALDO_CORS_ORIGINS", value_delimiter = ',')]
    pub cors_origins: Vec<String>,
    /// Whether who came to a proxy of ours without TLS is sent to `SALDO_PUBLIC_URL`.
    #[arg(long, env = "SALDO_HTTPS_REDIRECT", value_enum)]
    pub https_redirect: Option<Switch>,
}

/// The same, as it is used.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Proxies whose word is taken for whom they speak for.
    pub trusted_proxies: Vec<IpNet>,
    /// Sites whose scripts may ask, as browsers name them.
    pub cors_origins: Vec<HeaderValue>,
    /// Whether who came to a proxy without TLS is sent to the public address.
    pub https_redirect: bool,
}

impl Config {
    pub(super) fn web_settings(&self) -> Result<WebSettings, ConfigError> {
        Ok(WebSettings {
            trusted_proxies: self.web.trusted_proxies.clone(),
            cors_origins: self.origins().collect::<Result<_, _>>()?,
            https_redirect: self.https_redirect()?,
        })
    }

    /// Sites whose scripts may ask.
    pub(super) fn origins(&self) -> impl Iterator<Item = Result<HeaderValue, ConfigError>> {
        self.web.cors_origins.iter().map(|origin| checked(origin.trim()))
    }

    /// Whether who came without TLS is sent elsewhere.
    pub(super) fn https_redirect(&self) -> Result<bool, ConfigError> {
        let is_on = self.web.https_redirect == Some(Switch::On);
        let public_url = self.sign_in.public_url.as_deref().unwrap_or_default();
        let is_known = !self.web.trusted_proxies.is_empty() && public_url.starts_with("https://");
        if is_on && !is_known { Err(ConfigError::Redirect) } else { Ok(is_on) }
    }
}

/// A network, or an address, which is a network of one.
fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.map_err(|_| "say networks as 10.0.0.0/8, or addresses".to_owned())
}

/// An origin by RFC 6454: a scheme, a host and perhaps a port, and nothing behind.
fn checked(origin: &str) -> Result<HeaderValue, ConfigError> {
    let wrong = || ConfigError::Origin(origin.to_owned());
    let uri: Uri = origin.parse().map_err(|_| wrong())?;
    let has_scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
    let is_bare = origin.matches('/').count() == 2 && !origin.contains(['*', '?']);
    if !has_scheme || authority.is_none() || !is_bare {
        return Err(wrong());
    }
    // Browsers write hosts in lower case.
    HeaderValue::from_str(&origin.to_ascii_lowercase()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for good in ["https://app.example.com", "http://localhost:3000", "https://App.Example.com"]
        {
            assert!(checked(good).is_ok(), "{good}");
        }
        for bad in
            ["*", "", "null", "app.example.com", "https://app.example.com/", "https://*", "ftp://x"]
        {
            let said = checked(bad).map(|_| ()).expect_err(bad).to_string();
            assert!(said.contains("SALDO_CORS_ORIGINS"), "{said}");
        }
    }
    #[test]
    fn an_address_is_a_network_of_one() {
        assert_eq!(network("127.0.0.1"), network("127.0.0.1/32"));
        assert_eq!(network("::1"), network("::1/128"));
        assert!(network("10.0.0.0/8").is_ok());
        assert!(network("10.0.0").is_err_and(|said| said.contains("10.0.0.0/8")));
    }
}
