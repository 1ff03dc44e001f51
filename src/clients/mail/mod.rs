//! Mail, by SMTP.

mod amount;
mod error;
mod letter;
mod render;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

pub use error::MailError;
pub use letter::Letter;
pub use render::Rendered;

/// How long a server may take with one mail: some look at each for spam before they answer.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Where mail goes, and whom it comes from.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// `smtps://user:password@host:port`, `smtp://…?tls=required` for STARTTLS, or `smtp://…`, which
    /// encrypts nothing and is for servers of the same machine. User and password are URL-encoded.
    pub smtp_url: SecretString,
    /// The sender: `no-reply@example.com` or `Saldo <no-reply@example.com>`.
    pub from: String,
    /// Certificates that are trusted besides the public ones, as PEM. With them, mail goes by TLS
    /// or not at all.
    pub root_certificates: Option<String>,
}

/// Sends mail; a clone is cheap.
#[derive(Clone)]
pub struct Mailer {
    transport: Arc<AsyncSmtpTransport<Tokio1Executor>>,
    from: Mailbox,
    timeout: Duration,
}

impl Mailer {
    /// A mailer with these settings; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`MailError::Settings`] says which of them cannot be used.
    pub fn new(settings: &MailSettings) -> Result<Self, MailError> {
        let from = settings.from.parse().map_err(|_| MailError::Settings("sender"))?;
        Ok(Self { transport: Arc::new(transport(settings)?), from, timeout: TIMEOUT })
    }

    /// The same, which waits for this long instead of [`TIMEOUT`].
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends a letter. The id becomes the mail's `Message-ID`, by which a mail that was sent twice is
    /// recognised as one: the same letter has the same id at each try.
    ///
    /// # Errors
    ///
    /// See [`MailError::is_permanent`].
    pub async fn send(&self, to: &str, letter: &Letter, id: Uuid) -> Result<(), MailError> {
        let message = self.message(to, letter, id)?;
        // lettre limits only how long a connection takes, not how long an answer does.
        match tokio::time::timeout(self.timeout, self.transport.send(message)).await {
            Ok(sent) => sent.map(drop).map_err(MailError::from),
            Err(_) => Err(MailError::TimedOut),
        }
    }

    fn message(&self, to: &str, letter: &Letter, id: Uuid) -> Result<Message, MailError> {
        let rendered = letter.render()?;
        let id = format!("<{id}@{}>", self.from.email.domain());
        // So that an absence notice does not answer (RFC 3834).
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        Message::builder()
            .from(self.from.clone())
            .to(address(to)?.into())
            .subject(rendered.subject)
            .message_id(Some(id))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(rendered.text, rendered.html))
            .map_err(|_| MailError::Address)
    }
}

fn address(to: &str) -> Result<Address, MailError> {
    // A quoted local part could carry line ends into the SMTP dialogue.
    if to.contains(char::is_control) {
        return Err(MailError::Address);
    }
    to.parse().map_err(|_| MailError::Address)
}

fn transport(settings: &MailSettings) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailError> {
    let url = settings.smtp_url.expose_secret();
    let wrong_url = || MailError::Settings("SMTP URL");
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| wrong_url())?;
    let Some(roots) = &settings.root_certificates else { return Ok(builder.build()) };
    // `from_url` trusts the public roots only.
    let url = reqwest::Url::parse(url).map_err(|_| wrong_url())?;
    let tls = trusting(roots, url.host_str().ok_or_else(wrong_url)?)
        .ok_or(MailError::Settings("root certificates"))?;
    let tls = if url.scheme() == "smtps" { Tls::Wrapper(tls) } else { Tls::Required(tls) };
    Ok(builder.tls(tls).build())
}

/// TLS to this host, with these roots besides the public ones; none when one of them is no
/// certificate, or there is none.
fn trusting(roots: &str, host: &str) -> Option<TlsParameters> {
    let roots: Vec<_> = CertificateDer::pem_slice_iter(roots.as_bytes()).collect();
    let tls = TlsParameters::builder(host.to_owned());
    let tls = (!roots.is_empty()).then_some(tls)?;
    let tls = roots.into_iter().try_fold(tls, |tls, root| {
        let root = Certificate::from_der(root.ok()?.to_vec()).ok()?;
        Some(tls.add_root_certificate(root))
    });
    tls?.build().ok()
}
