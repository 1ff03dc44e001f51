//! One outside service each.

pub mod address;
pub mod llm;
pub mod mail;
pub mod oauth;
pub mod redis;
pub mod sms;
pub mod stripe;
pub mod vault;
pub mod webhooks;

/// An HTTP client, with the one TLS provider of the house.
pub fn http() -> reqwest::ClientBuilder {
    // Whoever installs it second installs the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}
