//! What an operator sets to sell by Stripe.

use std::net::IpAddr;
use std::time::Duration;

use ::stripe::{Client, ClientBuilder};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

/// How long Stripe may take with one attempt: its own clients wait longer, but nobody who stands
/// at a checkout does.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// The longest that may be set: whoever waits so long for an attempt waits for half an hour in all.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(10);

/// What an operator sets to sell by Stripe.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What Stripe knows this server by: `sk_…`, or `rk_…` with rights for what is called here.
    pub secret_key: SecretString,
    /// What speaks as Stripe does, where it is not Stripe.
    pub base: Option<Url>,
    /// How long an attempt may take. A call takes at most three times as long, with all its attempts
    /// and the pauses between them.
    pub timeout: Duration,
}

/// Why there can be no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The key of a real account would go to somebody else.
    #[error("STRIPE_SECRET_KEY is a live key, and goes to Stripe only: remove STRIPE_API_BASE")]
    LiveKeyElsewhere,
    /// The key cannot be one of Stripe's.
    #[error("STRIPE_SECRET_KEY must begin with sk_ or rk_, and have no spaces")]
    Key,
    /// The address cannot be used.
    #[error("STRIPE_API_BASE must be a URL without user or query: https, or http on this machine")]
    Base,
    /// There is no time to answer in, or no end to it.
    #[error("the time that Stripe may take must be more than none, and ten minutes at most")]
    Timeout,
}

impl Settings {
    /// Whether the key is a live one; refuses what cannot be used.
    pub(super) fn check(&self) -> Result<bool, SettingsError> {
        let key = self.secret_key.expose_secret();
        let live = key.starts_with("sk_live_") || key.starts_with("rk_live_");
        let plausible = key.starts_with("sk_") || key.starts_with("rk_");
        if !plausible || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SettingsError::Key);
        }
        match &self.base {
            Some(_) if live => Err(SettingsError::LiveKeyElsewhere),
            Some(base) if !is_usable(base) => Err(SettingsError::Base),
            _ if self.timeout.is_zero() || self.timeout > LONGEST_TIMEOUT => {
                Err(SettingsError::Timeout)
            }
            _ => Ok(live),
        }
    }

    pub(super) fn client(&self) -> Result<Client, SettingsError> {
        // Whoever installs it second installs the same; with none, the client would panic.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = ClientBuilder::new(self.secret_key.expose_secret())
            .timeout(self.timeout)
            .app_info("saldo", Some(env!("CARGO_PKG_VERSION").to_owned()), None);
        if let Some(base) = &self.base {
            // `v1/…` is put behind it as it is.
            builder = builder.url(format!("{}/", base.as_str().trim_end_matches('/')));
        }
        builder.build().map_err(|_| SettingsError::Base)
    }
}

/// The key would not be read by anybody on the way.
fn is_usable(base: &Url) -> bool {
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let here =
        host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    let anonymous = base.username().is_empty() && base.password().is_none();
    let plain = base.query().is_none() && base.fragment().is_none();
    anonymous && plain && (base.scheme() == "https" || base.scheme() == "http" && here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(key: &str, base: Option<&str>) -> Result<bool, SettingsError> {
        let base = base.map(|base| Url::parse(base).expect("a URL"));
        Settings { secret_key: key.into(), base, timeout: TIMEOUT }.check()
    }

    #[test]
    fn a_live_key_goes_to_stripe_only() {
        for key in ["sk_live_1", "rk_live_1"] {
            assert_eq!(checked(key, None), Ok(true));
            let elsewhere = checked(key, Some("https://stripe.example"));
            assert_eq!(elsewhere, Err(SettingsError::LiveKeyElsewhere));
        }
        assert_eq!(checked("sk_test_1", Some("https://stripe.example")), Ok(false));
        let message = SettingsError::LiveKeyElsewhere.to_string();
        assert!(message.contains("STRIPE_SECRET_KEY") && message.contains("STRIPE_API_BASE"));
    }

    #[test]
    fn a_key_is_sent_in_clear_only_on_this_machine() {
        for good in ["http://127.0.0.1:9", "http://[::1]:9/a/", "http://localhost"] {
            assert_eq!(checked("sk_test_1", Some(good)), Ok(false), "{good}");
        }
        for bad in ["http://a.example", "https://me@a.example", "https://a.example?b"] {
            assert_eq!(checked("sk_test_1", Some(bad)), Err(SettingsError::Base), "{bad}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for bad in ["", "pk_test_1", "sk_test_1\n", " sk_live_1"] {
            assert_eq!(checked(bad, None), Err(SettingsError::Key), "{bad:?}");
        }
    }
}
