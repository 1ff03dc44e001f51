//! Letters and text messages, sent by whoever was configured; in `local`, where nobody was, kept to
//! be looked at.

use graphile_worker::{IntoTaskHandlerResult, TaskHandler, WorkerContext};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::clients::mail::Mailer;
use crate::clients::sms::Sms;
use crate::clock;
use crate::config::{Config, ConfigError, Environment};
use crate::error::chain;
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
        let service = |error: &dyn std::error::Error| ConfigError::Service(chain(error));
        let mailer = config.mail()?.map(|settings| Mailer::new(&settings));
        let sms = config.sms()?.map(Sms::new);
        Ok(Self {
            mailer: mailer.transpose().map_err(|error| service(&error))?,
            sms: sms.transpose().map_err(|error| service(&error))?,
        })
    }
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
            return keep(&app, &self.0, "email", &to, &rendered.subject, &rendered.text).await;
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
            return keep(&app, &self.0, "sms", &to, "", &text).await;
        };
        match sms.send(&to, &text, self.0.id).await {
            Err(error) if error.is_permanent() => give_up(&chain(&error)),
            sent => sent.map_err(|error| chain(&error)),
        }
    }
}

/// What the worker was started with.
fn parts(context: &WorkerContext) -> Result<(App, Messages), String> {
    let app = context.get_ext::<App>().cloned();
    let messages = context.get_ext::<Messages>().cloned();
    app.zip(messages).ok_or_else(|| "the worker was started without its parts".to_owned())
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

/// Keeps a message for whoever develops; it stands in the console's log, too.
async fn keep(
    app: &App,
    sealed: &Sealed,
    channel: &str,
    to: &str,
    subject: &str,
    text: &str,
) -> Result<(), String> {
    if app.settings.environment != Environment::Local {
        return give_up("nobody is configured to send it");
    }
    tracing::info!("a message to {to} ({channel}; see /dev/inbox): {subject}\n{text}");
    sqlx::query(
        "insert into dev_inbox (message_id, channel, sent_to, subject, text, sent_at)
         values ($1, $2, $3, $4, $5, $6) on conflict (message_id) do nothing",
    )
    .bind(sealed.id)
    .bind(channel)
    .bind(to)
    .bind(subject)
    .bind(text)
    .bind(clock::now())
    .execute(app.db())
    .await
    .map(drop)
    .map_err(|error| chain(&error))
}
