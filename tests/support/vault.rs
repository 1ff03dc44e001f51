//! A double of Vault: a key-value store of version 2 below `secret/`, with versions, a token, a seal, and the answers
//! that Vault gives; and one of version 1 below `old/`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the double lets in.
pub const TOKEN: &str = "hvs.CAESIJ0tokenOfTheDouble";

/// A running double; it ends with the runtime.
#[derive(Clone)]
pub struct VaultDouble {
    pub url: String,
    state: Arc<Mutex<Stored>>,
}

/// How the next requests end, whatever they ask for.
#[derive(Clone, Debug)]
pub enum Mood {
    /// With this status.
    Fails(StatusCode),
    /// Never.
    Hangs,
    /// Somewhere else.
    Redirects(String),
}

#[derive(Default)]
struct Stored {
    /// By path: all versions, the newest last; one that was deleted has nothing.
    versions: BTreeMap<String, Vec<Option<Value>>>,
    is_sealed: bool,
    namespace: Option<String>,
    moods: VecDeque<Mood>,
    requests: Vec<String>,
}

impl VaultDouble {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let double = Self { url, state: Arc::default() };
        let routes = Router::new().fallback(answer).with_state(double.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        double
    }

    fn state(&self) -> MutexGuard<'_, Stored> {
        self.state.lock().expect("nobody panics with it")
    }

    /// Writes a new version: `secret/data/saldo`.
    pub fn write(&self, path: &str, fields: Value) {
        self.state().versions.entry(path.to_owned()).or_default().push(Some(fields));
    }

    /// Deletes the newest version.
    pub fn delete(&self, path: &str) {
        let mut state = self.state();
        let versions = state.versions.get_mut(path).expect("it was written");
        *versions.last_mut().expect("it was written") = None;
    }

    pub fn seal(&self) {
        self.state().is_sealed = true;
    }

    /// From now on only this namespace has anything.
    pub fn is_in(&self, namespace: &str) {
        self.state().namespace = Some(namespace.to_owned());
    }

    /// How the next requests end.
    pub fn is(&self, moods: impl IntoIterator<Item = Mood>) {
        self.state().moods.extend(moods);
    }

    /// The paths that were asked for.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }
}

async fn answer(State(double): State<VaultDouble>, headers: HeaderMap, uri: Uri) -> Response {
    let mood = {
        let mut state = double.state();
        state.requests.push(uri.path().to_owned());
        state.moods.pop_front()
    };
    match mood {
        None => read(&double.state(), &headers, uri.path()),
        Some(Mood::Fails(status)) => errors(status, &["it is not well"]),
        Some(Mood::Hangs) => std::future::pending().await,
        Some(Mood::Redirects(to)) => {
            (StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response()
        }
    }
}

fn read(state: &Stored, headers: &HeaderMap, path: &str) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if state.is_sealed {
        return errors(StatusCode::SERVICE_UNAVAILABLE, &["Vault is sealed"]);
    }
    if header("x-vault-token") != Some(TOKEN) {
        return errors(StatusCode::FORBIDDEN, &["permission denied"]);
    }
    let is_here = header("x-vault-namespace") == state.namespace.as_deref();
    let path = path.strip_prefix("/v1/").filter(|_| is_here).unwrap_or_default();
    let Some(versions) = state.versions.get(path) else {
        return errors(StatusCode::NOT_FOUND, &[]);
    };
    let newest = versions.last().expect("a path has a version");
    let about = json!({ "version": versions.len(), "destroyed": false, "deletion_time": "" });
    match newest {
        Some(fields) if path.starts_with("old/") => Json(json!({ "data": fields })).into_response(),
        Some(fields) => {
            Json(json!({ "data": { "data": fields, "metadata": about } })).into_response()
        }
        None => {
            let gone = json!({ "data": { "data": null, "metadata": about } });
            (StatusCode::NOT_FOUND, Json(gone)).into_response()
        }
    }
}

fn errors(status: StatusCode, errors: &[&str]) -> Response {
    (status, Json(json!({ "errors": errors }))).into_response()
}
