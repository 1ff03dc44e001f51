//! All operations of the document, asked by schemathesis with all its checks: as a customer, as another one, who is
//! nobody to the first, and as an administrator. Stripe is a double; who answers AI calls is in the house.

use std::path::PathBuf;
use std::process::Stdio;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::coverage::Operations;
use crate::installed::{PIP, Package};
use crate::known::known;
use crate::shop::Shop;
use crate::world::{PASSWORD, Tokens, register, send};

const SCHEMATHESIS: Package = Package {
    name: "pypi-schemathesis",
    files: &[("requirements.txt", include_str!("schemathesis/requirements.txt"))],
    program: "python3",
    by: PIP,
};
const SETTINGS: &str = include_str!("schemathesis/schemathesis.toml");
const HOOKS: &str = include_str!("schemathesis/rules.py");
/// So many that some are left when all that costs something was asked.
const CREDITS: i64 = 1_000_000_000;

/// The tag of what only administrators may ask.
const ADMIN: &str = "admin";

/// Who may sign in; each has a part in the document of `auth.json`.
const PEOPLE: [&str; 3] = ["ada", "ben", "root"];

async fn open() -> Shop {
    let shop = Shop::open().await;
    let root = register(&shop.server, "root@example.com").await;
    let ben = register(&shop.server, "ben@example.com").await;
    let (done, said) = shop.database.run(&["admin", "grant", "root@example.com"]);
    assert!(done, "{said}");
    for person in [&shop.ada, &ben] {
        give(&shop, &root, person).await;
    }
    shop
}

async fn give(shop: &Shop, root: &Tokens, person: &Tokens) {
    let id = person.user["id"].as_str().expect("an id");
    let path = format!("/admin/users/{id}/credits");
    let body = json!({ "amount": CREDITS, "reason": "test" });
    let given = send(&shop.server, Method::POST, &path, &root.access, &body).await;
    assert_eq!(given.status, StatusCode::CREATED, "{:?}", given.body);
}

/// How schemathesis signs in, again whenever a session has ended. The accounts stay: who ends one says its password,
/// which nothing that is sent can guess.
fn sign_in() -> Value {
    let token = json!({ "extractFrom": "body", "extractSelector": "/access_token", "sendIn": "header",
        "sendName": "Authorization", "sendTemplate": "Bearer {token}" });
    let people = PEOPLE.map(|name| {
        let credentials = json!({ "username": format!("{name}@example.com"), "usernameField": "email",
            "password": PASSWORD, "passwordField": "password" });
        json!({ "name": name, "loginEndpointAuth": { "payloadUserPwd": credentials } })
    });
    json!({
        "authTemplate": { "loginEndpointAuth": { "endpoint": "/api/v1/auth/login", "verb": "POST",
            "contentType": "application/json", "token": token } },
        "auth": people,
    })
}

/// Which operations somebody asks for, by their tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Which {
    /// Those of customers: each does what it is for.
    Customers,
    /// The same of administrators.
    Administrators,
    /// All of them, though some are refused.
    All,
}

impl Which {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Customers => &["--exclude-tag", ADMIN],
            Self::Administrators => &["--include-tag", ADMIN],
            Self::All => &[],
        }
    }

    fn takes(self, tag: &str) -> bool {
        match self {
            Self::Customers => tag != ADMIN,
            Self::Administrators => tag == ADMIN,
            Self::All => true,
        }
    }
}

/// Asks for all of them, and finds nothing.
async fn finds_nothing(person: &str, seed: u32, which: Which) {
    let Some(library) = SCHEMATHESIS.folder() else { return };
    let shop = open().await;
    // Something is bought already, so that there is something to see.
    let known = known(&shop).await;
    let operations = Operations::of(&shop.server, |tag| which.takes(tag)).await;
    let folder: PathBuf = shop.database.data.join("contract");
    std::fs::create_dir_all(&folder).expect("a folder");
    let settings = SETTINGS.replace("${PERSON}", person) + &known;
    let files = [
        ("schemathesis.toml", settings.as_str()),
        ("rules.py", HOOKS),
        ("auth.json", &sign_in().to_string()),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    let asked = Command::new("python3")
        .arg(library.join("bin/schemathesis"))
        .args(["--no-color", "run", &format!("{}/openapi.json", shop.server.url)])
        .args(["--checks", "all", "--seed", &seed.to_string()])
        .args(which.arguments())
        .current_dir(&folder)
        .env("PYTHONPATH", &library)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("it can be started");
    let said = String::from_utf8_lossy(&asked.stdout);
    let complaint = String::from_utf8_lossy(&asked.stderr);
    assert!(asked.status.success(), "as {person}:\n{said}\n{complaint}");
    assert!(said.contains("Test cases:"), "{said}");
    operations.were_asked(&shop.server).await;
    if which != Which::All {
        operations.did_well(&shop.server).await;
    }
    shop.close().await;
}

#[tokio::test]
async fn the_document_is_true_for_a_customer_and_shows_nothing_to_another() {
    finds_nothing("ada", 1, Which::Customers).await;
}

#[tokio::test]
async fn the_document_is_true_for_another_customer_who_may_not_administer() {
    finds_nothing("ben", 2, Which::All).await;
}

#[tokio::test]
async fn the_document_is_true_for_an_administrator() {
    finds_nothing("root", 3, Which::Administrators).await;
}
