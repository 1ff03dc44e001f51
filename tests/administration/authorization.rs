//! Every operation, and everybody who may come: who is let in is as the matrix has it, and the matrix has all.

use std::collections::BTreeMap;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::Value;

use crate::matrix::{Caller, Row, Verdict, rows};
use crate::things::{House, SCOPES, Things};

/// What was answered, as far as it says who may; of what goes well no more, since it may never end.
struct Told {
    status: StatusCode,
    code: String,
    names_bearer: bool,
}

impl House {
    async fn try_row(&self, client: &Client, things: &Things, row: &Row, caller: Caller) -> Told {
        let sent = self.sent(things, row.sends).await;
        let (query, body) =
            if sent.starts_with('?') { (sent, String::new()) } else { (String::new(), sent) };
        let url = format!("{}{}{query}", self.shop.server.url, things.path(row.path));
        let mut request = client.request(row.method.clone(), url);
        if let Some(authorization) = self.authorization(things, caller) {
            request = request.header(AUTHORIZATION, authorization);
        }
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        let names_bearer = answer.headers().get(WWW_AUTHENTICATE).is_some_and(|by| by == "Bearer");
        let problem = if status.is_client_error() || status.is_server_error() {
            answer.json().await.unwrap_or_default()
        } else {
            Value::Null
        };
        // As OpenAI's clients read it, or as others do.
        let code = problem["error"]["code"].as_str().or(problem["code"].as_str());
        Told { status, code: code.unwrap_or_default().to_owned(), names_bearer }
    }
}

impl Told {
    /// Whether this is what was to become of the request.
    fn is(&self, verdict: Verdict) -> bool {
        let (status, code) = (self.status.as_u16(), self.code.as_str());
        match verdict {
            Verdict::Status(expected) => self.status == expected,
            Verdict::Unknown => status == 401 && code == "unauthorized" && self.names_bearer,
            Verdict::KeyRefused => (status, code) == (403, "scope"),
            Verdict::NotAdministrator => (status, code) == (403, "not_an_administrator"),
            Verdict::NotFound => self.is_nothing(),
            Verdict::NotOpen => (status, code) == (409, "hold_not_open"),
            Verdict::LetIn => self.is_let_in(),
            Verdict::LetInOrNothing => self.is_let_in() || self.is_nothing(),
        }
    }

    /// Whether there is no such thing; nor is there a provider that could vouch for anybody.
    fn is_nothing(&self) -> bool {
        let code = self.code.as_str();
        self.status == StatusCode::NOT_FOUND && ["not_found", "provider_not_set_up"].contains(&code)
    }

    /// Whether it went well, or the rules of the thing refused it, as a key that did not make a hold.
    fn is_let_in(&self) -> bool {
        let refused =
            [StatusCode::PAYMENT_REQUIRED, StatusCode::CONFLICT, StatusCode::UNPROCESSABLE_ENTITY];
        self.status.is_success()
            || refused.contains(&self.status)
            || (self.status, self.code.as_str()) == (StatusCode::FORBIDDEN, "not_yours")
    }
}

/// The operations of the description, and whether each says that who asks must say who they are.
async fn described(house: &House) -> BTreeMap<(String, String), bool> {
    let document = reqwest::get(format!("{}/openapi.json", house.shop.server.url)).await;
    let document: Value = document.expect("an answer").json().await.expect("a document");
    let mut described = BTreeMap::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let is_secured = operation["security"].as_array().is_some_and(|ways| !ways.is_empty());
            described.insert((path.clone(), method.to_uppercase()), is_secured);
        }
    }
    described
}

/// Everybody, the owner last: it may be the end of the thing.
fn everybody() -> Vec<Caller> {
    let mut all = vec![Caller::Anonymous];
    all.extend(SCOPES.map(Caller::Key));
    all.extend([Caller::Other, Caller::Administrator, Caller::Owner]);
    all
}

#[tokio::test]
async fn every_operation_lets_in_whom_the_matrix_says_and_the_matrix_has_every_operation() {
    let house = House::open().await;
    let known: Vec<_> = rows();
    let rows: BTreeMap<_, _> = known
        .iter()
        .map(|row| ((row.path.to_owned(), row.method.to_string()), row.who.must_be_known()))
        .collect();
    assert_eq!(rows.len(), known.len(), "an operation has two rows");
    assert_eq!(rows, described(&house).await, "the rows, and the description's operations");

    let things = house.things().await;
    let client = Client::builder().redirect(Policy::none()).build().expect("a client");
    let mut wrong = vec![];
    for row in &known {
        for caller in everybody() {
            let (told, says) =
                (house.try_row(&client, &things, row, caller).await, row.says(caller));
            if !told.is(says) {
                let (status, code) = (told.status, told.code);
                wrong.push(format!(
                    "{} {} {caller:?}: {status} {code}, not {says:?}",
                    row.method, row.path
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    house.shop.close().await;
}
