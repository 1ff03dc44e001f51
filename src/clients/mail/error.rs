//! Why a mail was not sent, by what should follow.

use lettre::transport::smtp;

/// Why a mail was not sent. No message has the address or anything of the mail: servers repeat both
/// in what they answer, so that only the code of the answer is kept.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// A setting cannot be used, by its name; only [`Mailer::new`](super::Mailer::new) says so.
    #[error("the {0} of the mail settings cannot be used")]
    Settings(&'static str),
    /// The address cannot be parsed.
    #[error("the address of a mail cannot be parsed")]
    Address,
    /// A template has a bug.
    #[error("a mail cannot be rendered: {0}")]
    Template(minijinja::ErrorKind),
    /// The server took too long; it may have taken the mail.
    #[error("the mail server took too long")]
    TimedOut,
    /// There is no connection to the server, or it broke.
    #[error("the mail server cannot be reached")]
    Unreachable(#[source] smtp::Error),
    /// The server wants another user, password or TLS: its answer.
    #[error("the mail server does not let us in ({0})")]
    NotLetIn(u16),
    /// The server lacks what the settings or the address ask for, such as STARTTLS.
    #[error("the mail server lacks what we need of it")]
    Unable,
    /// The server refuses the mail for now: its answer, 400 to 499.
    #[error("the mail server refuses the mail for now ({0})")]
    Deferred(u16),
    /// The server refuses the mail for ever: its answer, 500 to 599.
    #[error("the mail server refuses the mail ({0})")]
    Refused(u16),
    /// What answers does not speak SMTP.
    #[error("the mail server's answer is not usable")]
    Invalid,
}

impl MailError {
    /// Whether trying again would end the same. What an operator can repair is not permanent: the
    /// mail can be sent then.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Address | Self::Template(_) | Self::Refused(_) => true,
            Self::TimedOut
            | Self::Unreachable(_)
            | Self::NotLetIn(_)
            | Self::Unable
            | Self::Deferred(_)
            | Self::Invalid => false,
        }
    }
}

impl From<smtp::Error> for MailError {
    fn from(error: smtp::Error) -> Self {
        match error.status().map(u16::from) {
            // About whom we are and how we come, not about the mail (RFC 4954).
            Some(code @ (530 | 534 | 535 | 538)) => Self::NotLetIn(code),
            Some(code @ 500..) => Self::Refused(code),
            Some(code) => Self::Deferred(code),
            None if error.is_timeout() => Self::TimedOut,
            None if error.is_client() => Self::Unable,
            None if error.is_response() => Self::Invalid,
            None => Self::Unreachable(error),
        }
    }
}

impl From<minijinja::Error> for MailError {
    fn from(error: minijinja::Error) -> Self {
        Self::Template(error.kind())
    }
}
