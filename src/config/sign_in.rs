//! How people come in, and how they are written to.

use secrecy::{ExposeSecret, SecretString};

use super::{Config, ConfigError, Environment, Switch};
use crate::clients::mail::MailSettings;
use crate::clients::oauth::{self, Issuer, Places, ProviderSettings, Providers};
use crate::clients::sms::{self, SmsSender, SmsSettings};

/// How people come in, and how they are written to.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SignInConfig {
    /// Where people reach Saldo's pages: what links in mails begin with. By default, where it
    /// listens.
    #[arg(long, env = "SALDO_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Whether an address must be verified before anybody signs in by it; off in `local`, else on.
    #[arg(long, env = "SALDO_VERIFY_ADDRESSES", value_enum)]
    pub verify_addresses: Option<Switch>,
    /// Off for load tests, in `local` only.
    #[arg(long, env = "SALDO_RATE_LIMITS", value_enum)]
    pub rate_limits: Option<Switch>,
    /// What Google knows this server by (OpenID Connect).
    #[arg(long, env = "SALDO_GOOGLE_CLIENT_ID")]
    pub google_client_id: Option<String>,
    /// The secret that came with it.
    #[arg(long, env = "SALDO_GOOGLE_CLIENT_SECRET", hide_env_values = true)]
    pub google_client_secret: Option<SecretString>,
    /// Google, or another issuer of OpenID Connect.
    #[arg(long, env = "SALDO_GOOGLE_ISSUER")]
    pub google_issuer: Option<String>,
    /// What GitHub knows this server by.
    #[arg(long, env = "SALDO_GITHUB_CLIENT_ID")]
    pub github_client_id: Option<String>,
    /// The secret that came with it.
    #[arg(long, env = "SALDO_GITHUB_CLIENT_SECRET", hide_env_values = true)]
    pub github_client_secret: Option<SecretString>,
    /// GitHub's pages and API, or what speaks as they do: authorize, token, API, with commas.
    #[arg(long, env = "SALDO_GITHUB_URLS", value_delimiter = ',')]
    pub github_urls: Vec<String>,
    /// What X knows this server by.
    #[arg(long, env = "SALDO_X_CLIENT_ID")]
    pub x_client_id: Option<String>,
    /// The secret that came with it.
    #[arg(long, env = "SALDO_X_CLIENT_SECRET", hide_env_values = true)]
    pub x_client_secret: Option<SecretString>,
    /// X's pages and API, or what speaks as they do: authorize, token, API, with commas.
    #[arg(long, env = "SALDO_X_URLS", value_delimiter = ',')]
    pub x_urls: Vec<String>,
    /// The mail server: `smtps://user:password@host`, or `smtp://…?tls=required`.
    #[arg(long, env = "SALDO_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// Whom mail is from.
    #[arg(long, env = "SALDO_MAIL_FROM", default_value = "Saldo <saldo@localhost>")]
    pub mail_from: String,
    /// The account at Twilio, `AC…`.
    #[arg(long, env = "SALDO_TWILIO_ACCOUNT")]
    pub twilio_account: Option<String>,
    /// Its password.
    #[arg(long, env = "SALDO_TWILIO_TOKEN", hide_env_values = true)]
    pub twilio_token: Option<SecretString>,
    /// Whom text messages are from: a number, or a messaging service (`MG…`).
    #[arg(long, env = "SALDO_TWILIO_FROM")]
    pub twilio_from: Option<String>,
    /// Twilio's API, or what speaks as it does.
    #[arg(long, env = "SALDO_TWILIO_BASE_URL", default_value = sms::TWILIO)]
    pub twilio_base_url: String,
    /// Where text messages are posted to, where not to Twilio; such addresses often have a secret inside.
    #[arg(long, env = "SALDO_SMS_WEBHOOK_URL", hide_env_values = true)]
    pub sms_webhook_url: Option<SecretString>,
    /// What proves to it that it is us.
    #[arg(long, env = "SALDO_SMS_WEBHOOK_SECRET", hide_env_values = true)]
    pub sms_webhook_secret: Option<SecretString>,
}

impl Config {
    /// With whose accounts people can sign in.
    pub fn providers(&self) -> Result<Providers, ConfigError> {
        let (google, github, x) = (self.google()?, self.github()?, self.x()?);
        let settings = oauth::Settings { google, github, x, ..oauth::Settings::default() };
        Providers::new(settings).map_err(|error| ConfigError::Service(error.to_string()))
    }

    pub(super) fn google(&self) -> Result<Option<ProviderSettings<Issuer>>, ConfigError> {
        let sign_in = &self.sign_in;
        let issuer = sign_in.google_issuer.as_deref().map(Issuer::new).transpose();
        let issuer = issuer.map_err(|error| ConfigError::Url("SALDO_GOOGLE_ISSUER", error))?;
        client(
            sign_in.google_client_id.as_ref(),
            sign_in.google_client_secret.as_ref(),
            ["SALDO_GOOGLE_CLIENT_ID", "SALDO_GOOGLE_CLIENT_SECRET"],
            issuer.unwrap_or_else(Issuer::google),
        )
    }

    pub(super) fn github(&self) -> Result<Option<ProviderSettings<Places>>, ConfigError> {
        let sign_in = &self.sign_in;
        client(
            sign_in.github_client_id.as_ref(),
            sign_in.github_client_secret.as_ref(),
            ["SALDO_GITHUB_CLIENT_ID", "SALDO_GITHUB_CLIENT_SECRET"],
            places("SALDO_GITHUB_URLS", &sign_in.github_urls, Places::github)?,
        )
    }

    pub(super) fn x(&self) -> Result<Option<ProviderSettings<Places>>, ConfigError> {
        let sign_in = &self.sign_in;
        client(
            sign_in.x_client_id.as_ref(),
            sign_in.x_client_secret.as_ref(),
            ["SALDO_X_CLIENT_ID", "SALDO_X_CLIENT_SECRET"],
            places("SALDO_X_URLS", &sign_in.x_urls, Places::x)?,
        )
    }

    /// Who sends mail; nobody in `local`, where it is kept to be looked at.
    pub fn mail(&self) -> Result<Option<MailSettings>, ConfigError> {
        match &self.sign_in.smtp_url {
            Some(smtp_url) => Ok(Some(MailSettings {
                smtp_url: smtp_url.clone(),
                from: self.sign_in.mail_from.clone(),
                root_certificates: None,
            })),
            None if self.environment == Environment::Local => Ok(None),
            None => Err(ConfigError::NoMail),
        }
    }

    /// Who sends text messages, where anybody does.
    pub fn sms(&self) -> Result<Option<SmsSettings>, ConfigError> {
        let sign_in = &self.sign_in;
        if let Some(account_sid) = &sign_in.twilio_account {
            let half = |name| ConfigError::Half("SALDO_TWILIO_ACCOUNT", name);
            let from = sign_in.twilio_from.clone().ok_or_else(|| half("SALDO_TWILIO_FROM"))?;
            return Ok(Some(SmsSettings::Twilio {
                base_url: sign_in.twilio_base_url.clone(),
                account_sid: account_sid.clone(),
                auth_token: sign_in
                    .twilio_token
                    .clone()
                    .ok_or_else(|| half("SALDO_TWILIO_TOKEN"))?,
                sender: match from.strip_prefix("MG") {
                    Some(_) => SmsSender::MessagingService(from),
                    None => SmsSender::From(from),
                },
            }));
        }
        let Some(url) = &sign_in.sms_webhook_url else { return Ok(None) };
        let half = ConfigError::Half("SALDO_SMS_WEBHOOK_URL", "SALDO_SMS_WEBHOOK_SECRET");
        let secret = sign_in.sms_webhook_secret.clone().ok_or(half)?;
        Ok(Some(SmsSettings::Webhook { url: url.expose_secret().to_owned(), secret }))
    }
}

/// A provider that is set up, where it is; half of it is an error.
fn client<Base>(
    id: Option<&String>,
    secret: Option<&SecretString>,
    [id_name, secret_name]: [&'static str; 2],
    base: Base,
) -> Result<Option<ProviderSettings<Base>>, ConfigError> {
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(Some(ProviderSettings {
            client_id: id.clone(),
            client_secret: secret.clone(),
            base,
        })),
        (Some(_), None) => Err(ConfigError::Half(id_name, secret_name)),
        (None, Some(_)) => Err(ConfigError::Half(secret_name, id_name)),
        (None, None) => Ok(None),
    }
}

fn places(
    name: &'static str,
    urls: &[String],
    usual: fn() -> Places,
) -> Result<Places, ConfigError> {
    match urls {
        [] => Ok(usual()),
        [authorize, token, api] => {
            Places::new(authorize, token, api).map_err(|error| ConfigError::Url(name, error))
        }
        _ => Err(ConfigError::Urls(name)),
    }
}
