//! The way of a request: who asks, what goes wrong, whether it was asked before, what it does.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Json, Response};
use serde_json::Value;

use super::calls::Call;
use super::expansion;
use super::failure::Failure;
use super::faults::Fault;
use super::form::Form;
use super::idempotency::Known;
use super::parameters;
use super::routes;
use super::shapes;
use super::wire::Tear;
use super::world::World;
use super::{SECRET_KEY, StripeDouble};

/// What is answered, and how.
struct Answer {
    status: u16,
    body: Value,
    replayed: bool,
}

pub async fn answer(
    State(double): State<StripeDouble>,
    ConnectInfo(tear): ConnectInfo<Tear>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let call = read(&method, &uri, &headers, &body);
    let (request, fault) = {
        let mut world = double.world();
        world.calls.push(call.clone());
        (world.id("req"), world.faults.take(method.as_str(), uri.path()))
    };
    let kept = call.idempotency_key.clone();
    let mut response = respond(&double, call, &headers, &request, fault, &tear).await;
    let mut say = |name: &'static str, value: &str| {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    };
    say("request-id", &request);
    say("stripe-version", double.world().answer_shape.version());
    if let Some(key) = kept {
        say("idempotency-key", &key);
    }
    response
}

async fn respond(
    double: &StripeDouble,
    call: Call,
    headers: &HeaderMap,
    request: &str,
    fault: Option<Fault>,
    tear: &Tear,
) -> Response {
    if let Some(fault) = &fault
        && !fault.leaves_an_effect()
    {
        return broken(fault, tear);
    }
    if let Err(failure) = may(headers) {
        return reply(failure.status, failure.body());
    }
    let busy = match &fault {
        Some(Fault::Slow(delay)) => Some(*delay),
        _ => None,
    };
    let for_good = matches!(fault, Some(Fault::FailsForGood));
    let answer = perform(&mut double.world(), &call, request, busy, for_good);
    match fault {
        Some(Fault::FailsAfter | Fault::FailsForGood) => failed(),
        Some(Fault::ResetAfter) => torn(tear),
        Some(Fault::Slow(delay)) => {
            tokio::time::sleep(delay).await;
            finish(answer)
        }
        _ => finish(answer),
    }
}

fn finish(answer: Answer) -> Response {
    let mut response = reply(answer.status, answer.body);
    if answer.replayed {
        let name = HeaderName::from_static("idempotent-replayed");
        response.headers_mut().insert(name, "true".parse().expect("a header's value"));
    }
    response
}

/// Does what was asked, once for each key.
fn perform(
    world: &mut World,
    call: &Call,
    request: &str,
    busy: Option<Duration>,
    for_good: bool,
) -> Answer {
    let key = call.idempotency_key.as_deref().filter(|_| call.method == "POST");
    let asked = format!("{} {} {}", call.method, call.path, call.form.value());
    let now = world.now;
    match key.map_or(Ok(Known::Nothing), |key| world.keys.look(key, &asked, now)) {
        Err(failure) => return refusal(&failure),
        Ok(Known::Answer(status, body)) => return Answer { status, body, replayed: true },
        Ok(Known::Nothing) => {}
    }
    world.request = Some((request.to_owned(), call.idempotency_key.clone()));
    let answer = match parameters::check(call).and_then(|()| routes::route(world, call)) {
        Ok(object) => {
            let object = expansion::expand(world, &call.form, object);
            let body = shapes::render(world, &object, world.answer_shape);
            Answer { status: 200, body, replayed: false }
        }
        Err(failure) => refusal(&failure),
    };
    world.request = None;
    if let Some(key) = key {
        let kept =
            if for_good { (500, failure().body()) } else { (answer.status, answer.body.clone()) };
        world.keys.keep(key, &asked, now, kept, busy);
    }
    answer
}

fn refusal(failure: &Failure) -> Answer {
    Answer { status: failure.status, body: failure.body(), replayed: false }
}

fn read(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Call {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let sent = String::from_utf8_lossy(body);
    let query = uri.query().unwrap_or_default();
    let text = if sent.is_empty() { query } else { sent.as_ref() };
    Call {
        method: method.to_string(),
        path: uri.path().to_owned(),
        idempotency_key: header("idempotency-key"),
        version: header("stripe-version"),
        form: Form::parse(text),
    }
}

fn may(headers: &HeaderMap) -> Result<(), Failure> {
    let sent = headers.get("authorization").and_then(|value| value.to_str().ok());
    match sent.and_then(|sent| sent.strip_prefix("Bearer ")) {
        Some(SECRET_KEY) => Ok(()),
        Some(_) => {
            let message = "Invalid API Key provided: sk_test_****";
            Err(Failure::new(401, "invalid_request_error", None, message))
        }
        None => {
            let message = "You did not provide an API key.";
            Err(Failure::new(401, "invalid_request_error", None, message))
        }
    }
}

/// What a fault answers that did nothing.
fn broken(fault: &Fault, tear: &Tear) -> Response {
    let limited = Failure::new(429, "invalid_request_error", Some("rate_limit"), "Slow down.");
    match fault {
        Fault::TooMany { retry_after: Some(seconds) } => {
            ([("retry-after", seconds.to_string())], reply(429, limited.body())).into_response()
        }
        Fault::TooMany { retry_after: None } => reply(429, limited.body()),
        Fault::BadGateway => {
            let page = Html("<html><body><h1>502 Bad Gateway</h1></body></html>");
            (StatusCode::BAD_GATEWAY, page).into_response()
        }
        Fault::Locked => {
            let message = "This object cannot be accessed right now.";
            let code = Some("lock_timeout");
            reply(409, Failure::new(409, "invalid_request_error", code, message).body())
        }
        Fault::Says(status, body) => reply(*status, body.clone()),
        Fault::ResetBefore => torn(tear),
        _ => failed(),
    }
}

fn torn(tear: &Tear) -> Response {
    tear.now();
    StatusCode::OK.into_response()
}

fn failure() -> Failure {
    Failure::new(500, "api_error", None, "An unknown error occurred.")
}

fn failed() -> Response {
    reply(500, failure().body())
}

fn reply(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).expect("a status"), Json(body)).into_response()
}
