//! Which operations of the document were asked, and which of them did what they are for: by what the server has counted.

use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::scrape::Scrape;
use crate::support::Server;

const REQUESTS: &str = "saldo_http_requests_total";

const SENT: &str = "asks for the words of a letter, a code or a link that was sent to somebody";
const HAS_A_PASSWORD: &str =
    "asks for a password or a token, which would end the account or the session";
const HAS_NO_PROVIDER: &str = "leads to Google, GitHub or X, and back from there";
const IS_A_MATTER_OF_TIME: &str = "is about a reply while it is made, or one that has failed";
const NOTHING_IS_WRONG: &str = "is about what has gone wrong, and nothing has";

/// Operations that cannot do what they are for here, and why. What they do is shown by tests of their own.
const IN_VAIN: &[(&str, &str)] = &[
    ("POST /api/v1/auth/email/verify", SENT),
    ("POST /api/v1/auth/otp/verify", SENT),
    ("POST /api/v1/auth/password/reset", SENT),
    ("POST /api/v1/auth/reactivate", SENT),
    ("POST /api/v1/me/contacts/verify", SENT),
    ("POST /api/v1/auth/logout", HAS_A_PASSWORD),
    ("POST /api/v1/auth/refresh", HAS_A_PASSWORD),
    ("POST /api/v1/me/contacts", HAS_A_PASSWORD),
    ("POST /api/v1/me/deactivate", HAS_A_PASSWORD),
    ("POST /api/v1/me/password", HAS_A_PASSWORD),
    ("DELETE /api/v1/me", HAS_A_PASSWORD),
    ("GET /api/v1/auth/oauth/{provider}", HAS_NO_PROVIDER),
    ("GET /api/v1/auth/oauth/{provider}/callback", HAS_NO_PROVIDER),
    ("POST /api/v1/auth/oauth/exchange", HAS_NO_PROVIDER),
    ("POST /api/v1/me/identities", HAS_NO_PROVIDER),
    ("DELETE /api/v1/me/identities/{id}", HAS_NO_PROVIDER),
    ("POST /api/v1/me/identities/{id}/refresh", HAS_NO_PROVIDER),
    ("POST /api/v1/chats/{id}/messages/{message}/cancel", IS_A_MATTER_OF_TIME),
    ("POST /api/v1/chats/{id}/messages/{message}/retry", IS_A_MATTER_OF_TIME),
    (
        "POST /api/v1/billing/subscriptions",
        "is for whoever has no plan, and changes are for who has",
    ),
    ("POST /api/v1/webhooks/stripe", "asks for Stripe's signature"),
    ("POST /api/v1/admin/jobs/{id}/give-up", NOTHING_IS_WRONG),
    ("POST /api/v1/admin/jobs/{id}/retry", NOTHING_IS_WRONG),
    ("POST /api/v1/admin/purchases/{id}/accept", NOTHING_IS_WRONG),
    ("POST /api/v1/admin/users/{id}/debt/write-off", NOTHING_IS_WRONG),
];

/// Operations, and what was asked before any of them was.
pub struct Operations {
    /// All of the document, and those of the tags.
    all: Vec<String>,
    names: Vec<String>,
    before: Scrape,
}

impl Operations {
    /// Those that a predicate takes by their tags.
    pub async fn of(server: &Server, takes: impl Fn(&str) -> bool) -> Self {
        let document = server.send(Method::GET, "/openapi.json", &[], None).await;
        let document = document.expect("the server answers");
        assert_eq!(document.status, StatusCode::OK);
        let paths = document.body["paths"].as_object().expect("paths");
        let all = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().expect("operations").iter();
            methods.map(move |(method, operation)| (method.to_uppercase(), path, operation))
        });
        let all: Vec<_> = all
            .map(|(method, path, operation)| (format!("{method} {path}"), tag(operation)))
            .collect();
        let names =
            all.iter().filter(|(_, tag)| takes(tag)).map(|(name, _)| name.clone()).collect();
        let all = all.iter().map(|(name, _)| name.clone()).collect();
        Self { all, names, before: Scrape::of(server).await }
    }

    /// Fails where one was not asked since.
    pub async fn were_asked(&self, server: &Server) {
        let after = Scrape::of(server).await;
        let asked = |name: &&String| self.answers(&after, name, 100..600) > 0;
        let never: Vec<_> = self.names.iter().filter(|name| !asked(name)).collect();
        assert!(never.is_empty(), "never asked: {never:#?}");
    }

    /// Fails where one has never done what it is for since, and nobody says why, or where one is said not to that there is
    /// not.
    pub async fn did_well(&self, server: &Server) {
        let after = Scrape::of(server).await;
        let did = |name: &&String| self.answers(&after, name, 200..300) > 0;
        let is_known = |name: &&String| IN_VAIN.iter().any(|(known, _)| *name == known);
        let never: Vec<_> =
            self.names.iter().filter(|name| !did(name) && !is_known(name)).collect();
        assert!(never.is_empty(), "never answered well: {never:#?}");
        let asks = |name: &str| self.all.iter().any(|known| known == name);
        let gone: Vec<_> = IN_VAIN.iter().filter(|(name, _)| !asks(name)).collect();
        assert!(gone.is_empty(), "there is no such operation: {gone:#?}");
    }

    /// How many answers of these statuses there were since.
    fn answers(&self, after: &Scrape, name: &str, statuses: std::ops::Range<u16>) -> i64 {
        let (method, route) = name.split_once(' ').expect("a method and a path");
        let count = |status: u16| {
            let status = status.to_string();
            let labels = [("method", method), ("route", route), ("status", status.as_str())];
            after.sum(REQUESTS, &labels) - self.before.sum(REQUESTS, &labels)
        };
        statuses.map(count).sum()
    }
}

fn tag(operation: &Value) -> &str {
    operation["tags"][0].as_str().unwrap_or_default()
}
