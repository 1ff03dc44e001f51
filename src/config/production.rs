//! What production refuses: settings with which customers, or their money, would be at risk.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::{Config, Switch};
use crate::clients::address::{is_here, is_secure};
use crate::clients::sms::TWILIO;

/// Fewer characters of a secret that somebody thought of could be guessed.
const SHORTEST: usize = 16;
/// What examples have, and programs come with.
const EXAMPLES: [&str; 11] = [
    "admin",
    "change-me",
    "changeme",
    "example",
    "password",
    "postgres",
    "root",
    "saldo",
    "secret",
    "test",
    "token",
];

impl Config {
    /// What would be a risk in production: what it is, and what to do.
    pub(super) fn risks(&self) -> impl Iterator<Item = &'static str> {
        let risks = self.rehearsed().into_iter().chain(self.overheard()).chain(self.guessed());
        risks.filter_map(|(is_so, risk)| is_so.then_some(risk))
    }

    /// What is for tests, and for one's own machine.
    fn rehearsed(&self) -> [(bool, &'static str); 5] {
        let (sign_in, billing) = (&self.sign_in, &self.billing);
        let key = billing.stripe_secret_key.as_ref().map(ExposeSecret::expose_secret);
        let is_test = |key: &str| key.starts_with("sk_test_") || key.starts_with("rk_test_");
        [
            (
                self.database_url.is_none(),
                "DATABASE_URL is needed: the private Postgres is for one's own machine",
            ),
            (
                sign_in.verify_addresses == Some(Switch::Off),
                "SALDO_VERIFY_ADDRESSES=off lets anybody register the address of another: remove it",
            ),
            (
                sign_in.smtp_url.is_some() && sign_in.mail_from.contains("@localhost"),
                "SALDO_MAIL_FROM must be an address of yours: mail from localhost is thrown away",
            ),
            (
                key.is_some_and(is_test),
                "STRIPE_SECRET_KEY is a test key: cards that everybody knows would buy credits: set a live one",
            ),
            (billing.stripe_api_base.is_some(), "STRIPE_API_BASE is for tests: remove it"),
        ]
    }

    /// What others could read on the way, or put themselves in the place of.
    fn overheard(&self) -> [(bool, &'static str); 6] {
        let sign_in = &self.sign_in;
        let sms_url = sign_in.sms_webhook_url.as_ref().map(ExposeSecret::expose_secret);
        [
            (
                !sign_in.public_url.as_deref().is_some_and(is_https),
                "SALDO_PUBLIC_URL must begin with https://: links that let people in would be read on the way",
            ),
            (
                self.web.cors_origins.iter().any(|origin| !is_https(origin.trim())),
                "SALDO_CORS_ORIGINS must name sites with https:// only: others can be put in their place",
            ),
            (
                self.web.trusted_proxies.iter().any(|network| network.prefix_len() == 0),
                "SALDO_TRUSTED_PROXIES must name your proxies only: whoever is trusted may claim any address",
            ),
            (
                sign_in.smtp_url.as_ref().is_some_and(|url| !is_mail_private(url)),
                "SALDO_SMTP_URL must begin with smtps://, or have ?tls=required: codes would be read on the way",
            ),
            (
                sign_in.twilio_base_url != TWILIO && !is_private(&sign_in.twilio_base_url),
                "SALDO_TWILIO_BASE_URL must begin with https://: codes would be read on the way",
            ),
            (
                sms_url.is_some_and(|url| !is_private(url)),
                "SALDO_SMS_WEBHOOK_URL must begin with https://: codes would be read on the way",
            ),
        ]
    }

    /// Secrets that others would guess.
    fn guessed(&self) -> [(bool, &'static str); 9] {
        let sign_in = &self.sign_in;
        let has_weak = |url: &Option<SecretString>| url.as_ref().is_some_and(has_weak_password);
        let is_endpoint = |secret: &SecretString| is_endpoint_secret(secret.expose_secret());
        [
            (
                has_weak(&self.database_url),
                "DATABASE_URL has a password that anybody would guess: give the role another",
            ),
            (
                has_weak(&self.migrations_database_url),
                "SALDO_MIGRATIONS_DATABASE_URL has a password that anybody would guess: give the role another",
            ),
            (
                has_weak(&self.replica_database_url),
                "SALDO_REPLICA_DATABASE_URL has a password that anybody would guess: give the role another",
            ),
            (
                has_weak(&self.redis.url),
                "REDIS_URL has a password that anybody would guess: set another",
            ),
            (
                has_weak(&sign_in.smtp_url),
                "SALDO_SMTP_URL has a password that anybody would guess: set another",
            ),
            (
                sign_in.sms_webhook_secret.as_ref().is_some_and(is_weak),
                "SALDO_SMS_WEBHOOK_SECRET could be guessed: set one of at least 16 characters",
            ),
            (
                !self.billing.webhook_secrets.iter().all(is_endpoint),
                "STRIPE_WEBHOOK_SECRET is none of Stripe's: copy whsec_… from its dashboard",
            ),
            (
                self.vault.token.as_ref().is_some_and(is_weak),
                "SALDO_VAULT_TOKEN could be guessed: have Vault make one",
            ),
            (
                self.watch.metrics_token.as_ref().is_some_and(is_weak),
                "SALDO_METRICS_TOKEN could be guessed: set one of at least 16 characters",
            ),
        ]
    }
}

fn is_https(url: &str) -> bool {
    url.starts_with("https://")
}

/// Nobody on the way can read what is sent there; what is no address is refused elsewhere.
fn is_private(url: &str) -> bool {
    Url::parse(url).is_ok_and(|url| is_secure(&url))
}

fn is_mail_private(url: &SecretString) -> bool {
    Url::parse(url.expose_secret()).is_ok_and(|url| {
        let is_required =
            url.query_pairs().any(|(name, value)| name == "tls" && value == "required");
        url.scheme() == "smtps" || is_required || is_here(&url)
    })
}

/// Stripe makes them of 32 random characters.
fn is_endpoint_secret(secret: &str) -> bool {
    secret.strip_prefix("whsec_").is_some_and(|rest| rest.len() >= SHORTEST)
}

/// Whether somebody may guess it.
fn is_weak(secret: &SecretString) -> bool {
    let secret = secret.expose_secret();
    let repeats = secret.chars().all(|c| secret.starts_with(c));
    secret.len() < SHORTEST || repeats || is_example(secret)
}

/// Whether an address has the password of an example, or one that is the user's name. One without a password lets
/// people in by other means.
fn has_weak_password(url: &SecretString) -> bool {
    let Ok(url) = Url::parse(url.expose_secret()) else { return false };
    url.password().is_some_and(|password| password == url.username() || is_example(password))
}

fn is_example(secret: &str) -> bool {
    let secret = secret.to_lowercase();
    let plain = secret.trim_end_matches(|c: char| c.is_ascii_digit() || c == '!');
    EXAMPLES.contains(&plain) || plain.is_empty()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        config: Config,
    }

    const SAFE: [(&str, &str); 9] = [
        ("environment", "production"),
        ("database-url", "postgres://saldo:wKf0xQ9vTz3n@db.example.com/saldo"),
        ("public-url", "https://saldo.example.com"),
        ("cors-origins", "https://app.example.com"),
        ("smtp-url", "smtps://saldo:Yq7Lr2mXc8@mail.example.com"),
        ("mail-from", "Saldo <saldo@example.com>"),
        ("stripe-secret-key", "sk_live_51OfARealAccount"),
        ("stripe-webhook-secret", "whsec_0123456789abcdef0123456789abcdef"),
        ("metrics-token", "gT5kNw8sVb2yHj4u"),
    ];

    /// What is said of the safe settings, with one in another's place.
    fn said(name: &str, value: Option<&str>) -> Vec<String> {
        let others = SAFE.into_iter().filter(|(other, _)| *other != name);
        let all = others.chain(value.map(|value| (name, value)));
        let arguments = all.map(|(name, value)| format!("--{name}={value}"));
        let config = Line::parse_from(std::iter::once("saldo".to_owned()).chain(arguments)).config;
        config.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_safe_production_has_no_problem() {
        assert_eq!(said("", None), Vec::<String>::new());
    }

    #[test]
    fn each_risk_is_refused_by_its_name() {
        for (name, value, setting) in [
            ("database-url", None, "DATABASE_URL"),
            ("database-url", Some("postgres://saldo:saldo@db/saldo"), "DATABASE_URL"),
            ("database-url", Some("postgres://me:Password123@db/saldo"), "DATABASE_URL"),
            (
                "migrations-database-url",
                Some("postgres://owner:owner@db/saldo"),
                "SALDO_MIGRATIONS_DATABASE_URL",
            ),
            (
                "replica-database-url",
                Some("postgres://saldo:postgres@standby/saldo"),
                "SALDO_REPLICA_DATABASE_URL",
            ),
            ("redis-url", Some("redis://:changeme@redis:6379"), "REDIS_URL"),
            ("public-url", None, "SALDO_PUBLIC_URL"),
            ("public-url", Some("http://saldo.example.com"), "SALDO_PUBLIC_URL"),
            ("cors-origins", Some("https://a.example,http://b.example"), "SALDO_CORS_ORIGINS"),
            ("cors-origins", Some("*"), "SALDO_CORS_ORIGINS"),
            ("trusted-proxies", Some("10.0.0.0/8,0.0.0.0/0"), "SALDO_TRUSTED_PROXIES"),
            ("trusted-proxies", Some("::/0"), "SALDO_TRUSTED_PROXIES"),
            ("vault-token", Some("root"), "SALDO_VAULT_TOKEN"),
            ("verify-addresses", Some("off"), "SALDO_VERIFY_ADDRESSES"),
            ("rate-limits", Some("off"), "SALDO_RATE_LIMITS"),
            ("webhooks-private", Some("on"), "SALDO_WEBHOOKS_PRIVATE"),
            ("smtp-url", Some("smtp://mail.example.com"), "SALDO_SMTP_URL"),
            ("smtp-url", Some("smtps://me:secret@mail.example.com"), "SALDO_SMTP_URL"),
            ("mail-from", None, "SALDO_MAIL_FROM"),
            ("twilio-base-url", Some("http://sms.example.com"), "SALDO_TWILIO_BASE_URL"),
            ("sms-webhook-url", Some("http://sms.example.com"), "SALDO_SMS_WEBHOOK_URL"),
            ("sms-webhook-secret", Some("aaaaaaaaaaaaaaaaaaaa"), "SALDO_SMS_WEBHOOK_SECRET"),
            ("stripe-secret-key", Some("sk_test_1"), "STRIPE_SECRET_KEY"),
            ("stripe-api-base", Some("https://stripe.example"), "STRIPE_API_BASE"),
            ("stripe-webhook-secret", Some("whsec_1"), "STRIPE_WEBHOOK_SECRET"),
            ("metrics-token", Some("short"), "SALDO_METRICS_TOKEN"),
        ] {
            let said = said(name, value);
            assert!(
                said.iter().any(|problem| problem.contains(setting)),
                "{name}={value:?}: {said:?}"
            );
        }
    }

    #[test]
    fn what_stays_on_this_machine_needs_no_tls_and_who_comes_by_other_means_no_password() {
        assert_eq!(said("smtp-url", Some("smtp://127.0.0.1:25")), Vec::<String>::new());
        let socket = "postgres://saldo@localhost/saldo?host=/cloudsql/p:r:saldo";
        assert_eq!(said("database-url", Some(socket)), Vec::<String>::new());
    }

    #[test]
    fn all_risks_are_told_at_once_and_elsewhere_as_warnings() {
        let bare = |environment| Line::parse_from(["saldo", "--environment", environment]).config;
        assert!(bare("production").problems().len() >= 2);
        assert_eq!(bare("staging").problems().len(), 0);
        let warnings = bare("staging").warnings();
        assert!(
            warnings.iter().any(|warning| warning.contains("SALDO_PUBLIC_URL")),
            "{warnings:?}"
        );
        assert_eq!(bare("local").warnings(), Vec::<String>::new());
    }
}
