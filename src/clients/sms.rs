//! Text messages, by Twilio or by a webhook of the operator's.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

/// Where Twilio's API is.
pub const TWILIO: &str = "https://api.twilio.com";

/// How long a provider may take with one message: a code is waited for.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest answer that is read, in bytes; Twilio's have about one thousand.
const LONGEST_ANSWER: usize = 64 * 1024;

/// Who delivers text messages.
#[derive(Clone, Debug)]
pub enum SmsSettings {
    /// Twilio, or what speaks as it does. Twilio knows no idempotency: a message that is tried again
    /// because the answer was lost may arrive twice.
    Twilio {
        /// [`TWILIO`], or another place.
        base_url: String,
        /// The account, `AC…`.
        account_sid: String,
        /// The account's password.
        auth_token: SecretString,
        /// Whom messages come from.
        sender: SmsSender,
    },
    /// A `POST` of `{"id", "to", "text"}`, with `Authorization: Bearer <secret>` and
    /// `Idempotency-Key: <id>`. Any 2xx means that the message was taken.
    Webhook {
        /// Where to.
        url: String,
        /// What proves that it is us.
        secret: SecretString,
    },
}

/// Whom messages by Twilio come from.
#[derive(Clone, Debug)]
pub enum SmsSender {
    /// A number of the account's, `+15005550006`, or a name.
    From(String),
    /// A messaging service, `MG…`, which chooses the number.
    MessagingService(String),
}

/// Why a text message was not sent. No error has the number or the text.
#[derive(Debug, thiserror::Error)]
pub enum SmsError {
    /// A setting cannot be used, by its name; only [`Sms::new`] says so.
    #[error("the {0} of the SMS settings cannot be used")]
    Settings(&'static str),
    /// The number is not `+` and 8 to 15 digits.
    #[error("the number of a text message cannot be used")]
    Number,
    /// The provider took too long; it may have taken the message.
    #[error("the SMS provider took too long")]
    TimedOut,
    /// There is no connection to the provider, or it broke.
    #[error("the SMS provider cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// The provider does not know us, or not the place: its status.
    #[error("the SMS provider does not let us in ({0})")]
    NotLetIn(StatusCode),
    /// The provider does not take the message for now: its status.
    #[error("the SMS provider refuses the message for now ({0})")]
    Deferred(StatusCode),
    /// The provider will not send the message: its status, and Twilio's code for why.
    #[error("the SMS provider refuses the message ({status}, code {code:?})")]
    Refused {
        /// 400 to 499.
        status: StatusCode,
        /// For example 21211, an invalid number, or 21610, somebody who wants no messages.
        code: Option<u32>,
    },
    /// What took the message does not answer as Twilio does.
    #[error("the SMS provider's answer is not usable")]
    Invalid,
}

impl SmsError {
    /// Whether trying again would end the same, or send the message twice. What an operator can
    /// repair is not permanent.
    #[must_use]
    pub fn is_permanent(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Number | Self::Refused { .. } | Self::Invalid => true,
            Self::TimedOut | Self::Unreachable(_) | Self::NotLetIn(_) | Self::Deferred(_) => false,
        }
    }
}

impl From<reqwest::Error> for SmsError {
    fn from(error: reqwest::Error) -> Self {
        // The URL may have secrets inside.
        if error.is_timeout() { Self::TimedOut } else { Self::Unreachable(error.without_url()) }
    }
}

/// Sends text messages; a clone is cheap.
#[derive(Clone)]
pub struct Sms {
    http: reqwest::Client,
    way: Arc<SmsSettings>,
    url: Url,
    timeout: Duration,
}

impl Sms {
    /// A sender with these settings; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`SmsError::Settings`] says which of them cannot be used.
    pub fn new(settings: SmsSettings) -> Result<Self, SmsError> {
        let url = match &settings {
            SmsSettings::Webhook { url, .. } => parse(url)?,
            SmsSettings::Twilio { base_url, account_sid, .. } => {
                let is_sid = account_sid.chars().all(|c| c.is_ascii_alphanumeric());
                if account_sid.is_empty() || !is_sid {
                    return Err(SmsError::Settings("account"));
                }
                let base = base_url.trim_end_matches('/');
                parse(&format!("{base}/2010-04-01/Accounts/{account_sid}/Messages.json"))?
            }
        };
        // A message is posted where the settings say, and nowhere else.
        let http = super::http().redirect(reqwest::redirect::Policy::none()).build()?;
        Ok(Self { http, way: Arc::new(settings), url, timeout: TIMEOUT })
    }

    /// The same, which waits for this long instead of [`TIMEOUT`].
    #[must_use]
    pub fn within(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sends a text to a number, `+` and digits. The same message has the same id at each try.
    ///
    /// # Errors
    ///
    /// See [`SmsError::is_permanent`].
    pub async fn send(&self, to: &str, text: &str, id: Uuid) -> Result<(), SmsError> {
        if !is_number(to) {
            return Err(SmsError::Number);
        }
        let request = self.request(to, text, id).timeout(self.timeout);
        let response = request.send().await?;
        let (status, answer) = (response.status(), read(response).await);
        if !status.is_success() {
            return Err(refusal(status, &answer.unwrap_or_default()));
        }
        match *self.way {
            SmsSettings::Webhook { .. } => Ok(()),
            SmsSettings::Twilio { .. } => {
                let taken = answer.ok().and_then(|answer| serde_json::from_slice(&answer).ok());
                let taken: Taken = taken.ok_or(SmsError::Invalid)?;
                tracing::info!(message.id = %id, twilio.sid = taken.sid, "text message taken");
                Ok(())
            }
        }
    }

    fn request(&self, to: &str, text: &str, id: Uuid) -> RequestBuilder {
        let request = self.http.post(self.url.clone());
        match &*self.way {
            SmsSettings::Twilio { account_sid, auth_token, sender, .. } => {
                let sender = match sender {
                    SmsSender::From(sender) => ("From", sender.as_str()),
                    SmsSender::MessagingService(service) => {
                        ("MessagingServiceSid", service.as_str())
                    }
                };
                request.basic_auth(account_sid, Some(auth_token.expose_secret())).form(&[
                    ("To", to),
                    sender,
                    ("Body", text),
                ])
            }
            SmsSettings::Webhook { secret, .. } => request
                .bearer_auth(secret.expose_secret())
                .header("idempotency-key", id.to_string())
                .json(&json!({ "id": id, "to": to, "text": text })),
        }
    }
}

/// The text that brings a code: in the alphabet of GSM 03.38, and shorter than the 160 characters
/// that one message has.
#[must_use]
pub fn code_text(code: &str, minutes: u32) -> String {
    let plural = if minutes == 1 { "" } else { "s" };
    format!("{code} is your Saldo code. It is valid for {minutes} minute{plural}.")
}

/// What Twilio answers to a message that it took.
#[derive(Deserialize)]
struct Taken {
    sid: String,
}

/// What Twilio answers to one that it refuses.
#[derive(Deserialize)]
struct Complaint {
    code: u32,
}

fn parse(url: &str) -> Result<Url, SmsError> {
    let url = Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    url.ok_or(SmsError::Settings("URL"))
}

/// Whether this is a number as E.164 writes it, which reaches somebody from everywhere.
fn is_number(to: &str) -> bool {
    let digits = to.strip_prefix('+').unwrap_or_default();
    (8..=15).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit())
        && !digits.starts_with('0')
}

fn refusal(status: StatusCode, answer: &[u8]) -> SmsError {
    match status.as_u16() {
        401 | 403 | 404 | 405 => SmsError::NotLetIn(status),
        // Too late, beside another try, too early, too many: all pass.
        408 | 409 | 425 | 429 => SmsError::Deferred(status),
        400..=499 => {
            let complaint = serde_json::from_slice::<Complaint>(answer);
            SmsError::Refused { status, code: complaint.ok().map(|complaint| complaint.code) }
        }
        // A redirection, too: somebody is putting the settings right.
        _ => SmsError::Deferred(status),
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, SmsError> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if answer.len() + chunk.len() > LONGEST_ANSWER {
            return Err(SmsError::Invalid);
        }
        answer.extend_from_slice(&chunk);
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::{Sms, SmsError, SmsSender, SmsSettings, code_text, is_number};

    #[test]
    fn a_code_fits_one_message() {
        let text = code_text("123456", 10);
        assert_eq!(text, "123456 is your Saldo code. It is valid for 10 minutes.");
        assert_eq!(code_text("1", 1), "1 is your Saldo code. It is valid for 1 minute.");
        let longest = code_text("1234567890", u32::MAX);
        assert!(longest.len() <= 160, "{longest}");
        // Of ASCII, GSM 03.38 has the letters, the digits, the space and the full stop.
        let is_short = |c: char| c.is_ascii_alphanumeric() || c == ' ' || c == '.';
        assert!(longest.chars().all(is_short), "{longest}");
    }

    #[test]
    fn a_number_is_written_as_e_164_does() {
        for number in ["+15005550006", "+4915112345678", "+12345678"] {
            assert!(is_number(number), "{number}");
        }
        for other in ["", "+", "15005550006", "+1500", "+0049151123456", "+1 500 555 0006"] {
            assert!(!is_number(other), "{other}");
        }
    }

    #[test]
    fn settings_that_cannot_be_used_are_refused_by_name() {
        let twilio = |base_url: &str, account_sid: &str| SmsSettings::Twilio {
            base_url: base_url.to_owned(),
            account_sid: account_sid.to_owned(),
            auth_token: "secret".into(),
            sender: SmsSender::From("Saldo".to_owned()),
        };
        for (settings, name) in [
            (twilio(super::TWILIO, "AC/../AC1"), "account"),
            (twilio(super::TWILIO, ""), "account"),
            (twilio("ftp://api.twilio.com", "AC1"), "URL"),
            (SmsSettings::Webhook { url: "sms".to_owned(), secret: "secret".into() }, "URL"),
        ] {
            let error = Sms::new(settings).err().expect("a refusal");
            assert!(matches!(error, SmsError::Settings(wrong) if wrong == name), "{error}");
        }
        assert!(Sms::new(twilio(super::TWILIO, "AC1")).is_ok());
    }
}
