//! Letters and text messages, sent by whoever was configured; in `local`, where nobody was, kept to
//! be looked at.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::given::part;
use crate::app::App;
use crate::clients::mail::Mailer;
use crate::clients::sms::Sms;
use crate::clock;
use crate::config::{Config, ConfigError, Environment};
use crate::error::chain;
use crate::inbox::Message;
use crate::queue::{LetterTo, Sealed, TextTo, place};

/// Who sends messages.
#[derive(Clone)]
pub struct Messages {
    mailer: Option<Mailer>,
    sms: Option<Sms>,
}

/// Where messages go holds passwords.
impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Messages")
    }
}

impl Messages {
    /// Those who were configured.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { mailer: mailer(config)?, sms: sms(config)? })
    }

    /// All that is wrong with what they were configured with.
    pub fn problems(config: &Config) -> impl Iterator<Item = ConfigError> {
        mailer(config).err().into_iter().chain(sms(config).err())
    }
}

fn mailer(config: &Config) -> Result<Option<Mailer>, ConfigError> {
    let mailer = config.mail()?.map(|settings| Mailer::new(&settings));
    mailer.transpose().map_err(|error| ConfigError::Service(chain(&error)))
}

fn sms(config: &Config) -> Result<Option<Sms>, ConfigError> {
    let sms = config.sms()?.map(Sms::new);
    sms.transpose().map_err(|error| ConfigError::Service(chain(&error)))
}

/// Sends a letter.
#[derive(Serialize, Deserialize)]
pub(super) struct SendLetter(Sealed);

/// Sends a text message.
#[derive(Serialize, Deserialize)]
pub(super) struct SendText(Sealed);

impl TaskHandler for SendLetter {
    const IDENTIFIER: &'static str = LetterTo::TASK;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let (app, messages) = parts(&context)?;
        let LetterTo { to, letter } = unseal(&app, Self::IDENTIFIER, &self.0)?;
        let Some(mailer) = &messages.mailer else {
            let rendered = letter.render().map_err(|error| chain(&error))?;
            let (subject, text) = (rendered.subject, rendered.text);
            return keep(&app, message(self.0.id, "email", to, subject, text)).await;
        };
        match mailer.send(&to, &letter, self.0.id).await {
            Err(error) if error.is_permanent() => give_up(&chain(&error)),
            sent => sent.map_err(|error| chain(&error)),
        }
    }
}

impl TaskHandler for SendText {
    const IDENTIFIER: &'static str = TextTo::TASK;

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        let (app, messages) = parts(&context)?;
        let TextTo { to, text } = unseal(&app, Self::IDENTIFIER, &self.0)?;
        let Some(sms) = &messages.sms else {
            return keep(&app, message(self.0.id, "sms", to, String::new(), text)).await;
        };
        match sms.send(&to, &text, self.0.id).await {
            Err(error) if error.is_permanent() => give_up(&chain(&error)),
            sent => sent.map_err(|error| chain(&error)),
        }
    }
}

/// What the worker was started with.
fn parts(context: &WorkerContext) -> Result<(App, Messages), String> {
    Ok((part(context)?, part(context)?))
}

fn unseal<T: DeserializeOwned>(app: &App, task: &str, sealed: &Sealed) -> Result<T, String> {
    let opened = app.keys.sealing.open(&place(task, sealed.id), &sealed.sealed);
    opened.map_err(|error| chain(&error))
}

/// What will never succeed is not tried again.
#[expect(clippy::unnecessary_wraps, reason = "the end of a job is a result")]
fn give_up(why: &str) -> Result<(), String> {
    tracing::error!(why, "a message cannot be sent");
    Ok(())
}

fn message(id: Uuid, channel: &str, sent_to: String, subject: String, text: String) -> Message {
    Message { id, channel: channel.to_owned(), sent_to, subject, text, sent_at: clock::now() }
}

/// Keeps a message for whoever develops. The log says only that there is one: what it says lets in whoever reads it.
async fn keep(app: &App, message: Message) -> Result<(), String> {
    if app.settings.environment != Environment::Local {
        return give_up("nobody is configured to send it");
    }
    message.keep(app.db()).await.map_err(|error| chain(&error))?;
    tracing::info!(
        channel = message.channel,
        message_id = %message.id,
        "a message waits at /dev/inbox"
    );
    Ok(())
}
