//! Who somebody is: they sign up, sign in again, and renew what they were given.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Answer, Server};

const PASSWORD: &str = "correct horse battery";
/// The pause before somebody asks again, and how often they do: two minutes, until it is a failure of ours.
pub const PAUSE: Duration = Duration::from_millis(100);
pub const TRIES: usize = 1200;

/// Somebody who is in.
#[derive(Clone)]
pub struct SignedIn {
    pub user: String,
    pub email: String,
    pub access: String,
    refresh: String,
}

impl SignedIn {
    fn of(answer: &Answer) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let Answer { body, .. } = answer;
        Self {
            user: text(&body["user"]["id"]),
            email: text(&body["user"]["email"]),
            access: text(&body["access_token"]),
            refresh: text(&body["refresh_token"]),
        }
    }

    /// A new person; whoever is not answered comes as somebody else.
    pub async fn up(door: &Server, number: usize) -> Self {
        for again in 0..TRIES {
            let email = format!("{number}-{again}@example.com");
            let body = json!({ "email": email, "password": PASSWORD, "name": "Ada" });
            if let Some(answer) = ask(door, "register", &body, StatusCode::CREATED).await {
                return Self::of(&answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("nobody can sign up");
    }

    /// Signs in once more, in a session of its own; whoever is not answered asks again.
    pub async fn again(&self, door: &Server) -> Self {
        let body = json!({ "email": self.email, "password": PASSWORD });
        for _ in 0..TRIES {
            if let Some(answer) = ask(door, "login", &body, StatusCode::OK).await {
                return Self::of(&answer);
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{} can never sign in", self.email);
    }

    /// The same session with other tokens. An answer that was lost is given again for some seconds, and after those the
    /// session is over: then there is none.
    pub async fn renewed(&self, door: &Server) -> Option<Self> {
        let body = json!({ "refresh_token": self.refresh });
        for _ in 0..TRIES {
            let sent = door.send(Method::POST, "/api/v1/auth/refresh", &[], Some(&body)).await;
            match sent {
                Ok(answer) if answer.status == StatusCode::OK => {
                    let renewed = Self::of(&answer);
                    assert_eq!(renewed.session(), self.session(), "it is another session");
                    assert_ne!(renewed.refresh, self.refresh, "nothing is renewed");
                    return Some(renewed);
                }
                Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => return None,
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        panic!("{} can never renew a session", self.email);
    }

    /// The session, as the access token says it.
    pub fn session(&self) -> String {
        let claims = self.access.split('.').nth(1).expect("three parts");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        claims["sid"].as_str().expect("a session").to_owned()
    }
}

/// The answer, where there is one as it should be. What is no fault of ours passes.
async fn ask(door: &Server, what: &str, body: &Value, well: StatusCode) -> Option<Answer> {
    let path = format!("/api/v1/auth/{what}");
    let answer = door.send(Method::POST, &path, &[], Some(body)).await.ok()?;
    let passes = answer.status.is_server_error() || answer.status == StatusCode::CONFLICT;
    assert!(passes || answer.status == well, "{what}: {} {:?}", answer.status, answer.body);
    (answer.status == well).then_some(answer)
}
