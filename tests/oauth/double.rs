//! A provider's double with a state of its own: it asks nobody, and is strict about the rest.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Json, Redirect, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use saldo::clients::oauth::{
    Issuer, Places, Provider, ProviderSettings, Providers, Settings, TIMEOUT, Url,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::browser::BACK;
use crate::signing::Signing;

pub const CLIENT_ID: &str = "saldo";
/// With all that must not be sent as it is.
pub const CLIENT_SECRET: &str = "s3cret: 100% +/=&~";

/// A running double; its task ends with the test's runtime.
#[derive(Clone)]
pub struct Double {
    pub url: String,
    provider: Provider,
    world: Arc<Mutex<World>>,
}

/// What a double knows.
#[derive(Default)]
pub struct World {
    /// Each is good once: what it was asked for with.
    codes: HashMap<String, Asked>,
    access: HashSet<String>,
    refresh: HashSet<String>,
    /// Numbers the codes and tokens.
    given: u32,
    /// What the API answers, by path.
    pub api: HashMap<&'static str, Value>,
    /// What does not work, by path.
    pub broken: HashMap<&'static str, Broken>,
    /// The paths that were called, in order.
    pub calls: Vec<String>,
    pub signing: Signing,
    /// Where people are sent back to, where not to `BACK`.
    pub back: Option<String>,
    /// For how many seconds access tokens are good, where not for two hours.
    pub lasts: Option<u32>,
}

impl World {
    /// Takes back every access token.
    pub fn revoke_access(&mut self) {
        self.access.clear();
    }

    /// Takes back all that it ever gave.
    pub fn revoke_all(&mut self) {
        self.revoke_access();
        self.refresh.clear();
    }
}

type Asked = HashMap<String, String>;

/// How a path does not work.
#[derive(Clone, Copy)]
pub enum Broken {
    Hangs,
    /// Does what it does, and answers later.
    Slow(Duration),
    IsHuge,
    Leads(&'static str),
    Fails(u16),
    Babbles,
}

impl Double {
    pub async fn of(provider: Provider) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let double = Self { url, provider, world: Arc::default() };
        let routes = Router::new()
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/{*path}", get(api))
            .layer(from_fn_with_state(double.clone(), watch))
            .with_state(double.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        double
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("nobody panicked")
    }

    /// How often a path was called.
    pub fn calls(&self, path: &str) -> usize {
        self.world().calls.iter().filter(|call| *call == path).count()
    }

    /// The same, said to be elsewhere.
    pub fn moved_to(self, url: String) -> Self {
        Self { url, ..self }
    }

    pub fn providers(&self) -> Providers {
        Providers::new(self.settings(CLIENT_SECRET, TIMEOUT)).expect("clients")
    }

    pub fn impatient(&self, timeout: Duration) -> Providers {
        Providers::new(self.settings(CLIENT_SECRET, timeout)).expect("clients")
    }

    pub fn settings(&self, secret: &str, timeout: Duration) -> Settings {
        let mut settings = Settings { timeout, ..Settings::default() };
        let at = |path| format!("{}{path}", self.url);
        let places = Places::new(&at("/authorize"), &at("/token"), &self.url).expect("places");
        match self.provider {
            Provider::Google => {
                settings.google = Some(client(secret, Issuer::new(&self.url).expect("an issuer")));
            }
            Provider::Github => settings.github = Some(client(secret, places)),
            Provider::X => settings.x = Some(client(secret, places)),
        }
        settings
    }

    /// How this provider refuses.
    fn refuse(&self, code: &str) -> Response {
        let body = Json(json!({ "error": code, "error_description": CLIENT_SECRET }));
        match self.provider {
            Provider::Github => body.into_response(),
            Provider::Google | Provider::X => (StatusCode::BAD_REQUEST, body).into_response(),
        }
    }

    /// What this provider calls a code or a refresh token that is not good.
    fn stale(&self, github: &str) -> Response {
        self.refuse(match self.provider {
            Provider::Google => "invalid_grant",
            Provider::Github => github,
            Provider::X => "invalid_request",
        })
    }

    /// Whether the client says who it is where this provider wants it.
    fn knows(&self, headers: &HeaderMap, form: &Asked) -> bool {
        let (id, secret) = match self.provider {
            Provider::Github => {
                (form.get("client_id").cloned(), form.get("client_secret").cloned())
            }
            Provider::Google | Provider::X if form.contains_key("client_secret") => return false,
            Provider::Google | Provider::X => basic(headers).unzip(),
        };
        id.as_deref() == Some(CLIENT_ID) && secret.as_deref() == Some(CLIENT_SECRET)
    }

    /// New tokens, with an ID token from Google.
    fn grant(&self, asked: &Asked) -> Response {
        let mut world = self.world();
        world.given += 1;
        let (access, refresh) =
            (format!("access-{}", world.given), format!("refresh-{}", world.given));
        world.access.insert(access.clone());
        world.refresh.insert(refresh.clone());
        let separator = if self.provider == Provider::Github { "," } else { " " };
        let mut answer = json!({
            "access_token": access,
            "token_type": "bearer",
            "expires_in": world.lasts.unwrap_or(7200),
            "refresh_token": refresh,
            "scope": asked.get("scope").map(|scope| scope.replace(' ', separator)),
        });
        if self.provider == Provider::Google {
            let nonce = asked.get("nonce").map(String::as_str);
            answer["id_token"] = world.signing.id_token(&self.url, CLIENT_ID, nonce).into();
        }
        Json(answer).into_response()
    }
}

fn client<Base>(secret: &str, base: Base) -> ProviderSettings<Base> {
    ProviderSettings { client_id: CLIENT_ID.to_owned(), client_secret: secret.into(), base }
}

async fn authorize(State(double): State<Double>, Query(asked): Query<Asked>) -> Response {
    let registered = double.world().back.clone().unwrap_or_else(|| BACK.to_owned());
    let wanted = [
        ("client_id", CLIENT_ID),
        ("response_type", "code"),
        ("redirect_uri", registered.as_str()),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in wanted {
        if asked.get(name).map(String::as_str) != Some(value) {
            return (StatusCode::BAD_REQUEST, format!("{name} is wrong")).into_response();
        }
    }
    let mut world = double.world();
    world.given += 1;
    let code = format!("code-{}", world.given);
    let mut back = Url::parse(&registered).expect("a URL");
    back.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]);
    if let Some(issuer) = world.signing.callback_issuer(&double.url) {
        back.query_pairs_mut().append_pair("iss", &issuer);
    }
    world.codes.insert(code, asked);
    Redirect::to(back.as_str()).into_response()
}

async fn token(State(double): State<Double>, headers: HeaderMap, body: String) -> Response {
    let form = form(&body);
    if !double.knows(&headers, &form) {
        return double.refuse(match double.provider {
            Provider::Github => "incorrect_client_credentials",
            Provider::Google => "invalid_client",
            Provider::X => "unauthorized_client",
        });
    }
    let given = |name: &str| form.get(name).cloned().unwrap_or_default();
    match given("grant_type").as_str() {
        "authorization_code" => {
            let asked = double.world().codes.remove(&given("code"));
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(given("code_verifier")));
            match asked {
                Some(asked)
                    if asked["code_challenge"] == challenge
                        && asked["redirect_uri"] == given("redirect_uri") =>
                {
                    double.grant(&asked)
                }
                _ => double.stale("bad_verification_code"),
            }
        }
        "refresh_token" if double.world().refresh.remove(&given("refresh_token")) => {
            double.grant(&Asked::new())
        }
        "refresh_token" => double.stale("bad_refresh_token"),
        _ => double.refuse("unsupported_grant_type"),
    }
}

async fn discovery(State(double): State<Double>) -> Json<Value> {
    Json(double.world().signing.discovery(&double.url))
}

async fn keys(State(double): State<Double>) -> Json<Value> {
    Json(double.world().signing.keys())
}

/// What the API has for whoever brings a token, and says who is calling and what it can read.
async fn api(State(double): State<Double>, uri: Uri, headers: HeaderMap) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accept = match double.provider {
        Provider::Github => "application/vnd.github+json",
        Provider::Google | Provider::X => "application/json",
    };
    let world = double.world();
    let token = header("authorization").strip_prefix("Bearer ").unwrap_or_default();
    match world.api.get(uri.path()) {
        _ if !world.access.contains(token) => StatusCode::UNAUTHORIZED.into_response(),
        _ if (header("user-agent"), header("accept")) != ("saldo", accept) => {
            StatusCode::FORBIDDEN.into_response()
        }
        Some(answer) => Json(answer.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Writes down what is called, and breaks what is broken.
async fn watch(State(double): State<Double>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    double.world().calls.push(path.clone());
    let broken = double.world().broken.get(path.as_str()).copied();
    match broken {
        None => next.run(request).await,
        Some(Broken::Slow(by)) => {
            let answer = next.run(request).await;
            tokio::time::sleep(by).await;
            answer
        }
        Some(Broken::Hangs) => std::future::pending().await,
        Some(Broken::IsHuge) => Bytes::from(vec![b' '; 1 << 20]).into_response(),
        Some(Broken::Leads(elsewhere)) => Redirect::temporary(elsewhere).into_response(),
        Some(Broken::Fails(status)) => {
            StatusCode::from_u16(status).expect("a status").into_response()
        }
        Some(Broken::Babbles) => "{\"access_token\":".into_response(),
    }
}

/// Id and secret, each encoded as in a form (RFC 6749, 2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let header = headers.get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?;
    let text = String::from_utf8(STANDARD.decode(header).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    let decoded = form(&format!("id={id}&secret={secret}"));
    Some((decoded["id"].clone(), decoded["secret"].clone()))
}

fn form(text: &str) -> Asked {
    let url = Url::parse(&format!("http://form/?{text}")).expect("a form");
    url.query_pairs().into_owned().collect()
}
