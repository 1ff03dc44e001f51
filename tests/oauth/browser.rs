//! A browser, as far as signing in needs one: it keeps cookies, and follows redirects up to ours.

use std::collections::BTreeMap;

use axum::extract::Query;
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, RequestBuilder, Response, Url, redirect};
use saldo::clients::oauth::{Attempt, Callback, OauthError, Profile, Provider, Providers};

/// Where people come back to. Nobody is there: the way ends before it.
pub const BACK: &str = "https://saldo.example/api/v1/auth/oauth/google/callback";
/// More redirects than any sign-in has.
const STEPS: usize = 20;

pub struct Browser {
    http: Client,
    /// By name: what differs in paths only comes later and counts.
    cookies: BTreeMap<String, String>,
}

/// What somebody does who is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Agree,
    Decline,
}

pub fn back() -> Url {
    Url::parse(BACK).expect("a URL")
}

/// Begins a sign-in and goes where it leads, until the provider sends the browser back.
pub async fn go(providers: &Providers, provider: Provider) -> (Attempt, Callback) {
    let begun = providers.begin(provider, &back()).await.expect("a sign-in begins");
    let callback = Browser::new().walk(&begun.url, Answer::Agree).await;
    (begun.attempt, callback)
}

/// A whole sign-in.
pub async fn sign_in(providers: &Providers, provider: Provider) -> Result<Profile, OauthError> {
    let (attempt, callback) = go(providers, provider).await;
    providers.finish(&attempt, &callback).await
}

impl Browser {
    pub fn new() -> Self {
        let http = saldo::clients::http().redirect(redirect::Policy::none()).build();
        Self { http: http.expect("a client"), cookies: BTreeMap::new() }
    }

    /// Goes on from here until the way leads back to us. Whoever is asked signs in as `ada`.
    pub async fn walk(self, url: &str, answer: Answer) -> Callback {
        let back = self.walk_back(url, answer).await;
        let query = Query::try_from_uri(&back.parse().expect("a URI"));
        query.expect("what a callback has").0
    }

    /// The same: the address that the way leads back to.
    pub async fn walk_back(mut self, url: &str, answer: Answer) -> String {
        let mut url = Url::parse(url).expect("a URL");
        for _ in 0..STEPS {
            let response = self.send(self.http.get(url.clone())).await;
            let next = match location(&response) {
                Some(next) => next,
                None => self.answer(&url, response, answer).await,
            };
            if next.starts_with(BACK) {
                return next;
            }
            url = url.join(&next).expect("a URL");
        }
        panic!("the way back was not found, but {url}");
    }

    /// Fills in the form that the page has.
    async fn answer(&mut self, url: &Url, page: Response, answer: Answer) -> String {
        let status = page.status();
        let text = page.text().await.expect("a page");
        let form = match () {
            () if text.contains(r#"name="prompt" value="login""#) => "prompt=login&login=ada",
            () if text.contains(r#"name="prompt" value="consent""#) => "prompt=consent",
            () => panic!("{url} answered {status}: {text}"),
        };
        let request = match answer {
            Answer::Agree => self
                .http
                .post(url.clone())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form),
            Answer::Decline => self.http.get(format!("{url}/abort")),
        };
        let response = self.send(request).await;
        location(&response).expect("a form leads on")
    }

    async fn send(&mut self, request: RequestBuilder) -> Response {
        let cookies: Vec<_> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let response = request.header(COOKIE, cookies.join("; ")).send().await;
        let response = response.expect("the provider answers");
        for cookie in response.headers().get_all(SET_COOKIE) {
            let cookie = cookie.to_str().expect("text").split(';').next().unwrap_or_default();
            let (name, value) = cookie.split_once('=').expect("a name and a value");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        response
    }
}

fn location(response: &Response) -> Option<String> {
    let location = response.headers().get(LOCATION)?;
    Some(location.to_str().expect("text").to_owned())
}
