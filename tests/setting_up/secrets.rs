//! Secrets that are kept in files of their own, and in Vault.

use std::net::TcpListener;

use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::program::Program;
use crate::support::Database;
use crate::vault_double::{TOKEN, VaultDouble};

const SECRET: &str = "gT5kNw8sVb2yHj4uQ7";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_its_secrets_from_files_and_from_vault() {
    let (database, vault, program) =
        (Database::in_memory().await, VaultDouble::start().await, Program::new());
    vault.write("secret/data/saldo", json!({ "database_url": database.url() }));
    let token = program.file("token", &format!("{SECRET}\n"));
    let vault_token = program.file("vault-token", &format!("{TOKEN}\r\n"));
    let settings = [
        ("SALDO_VAULT_ADDR", vault.url.as_str()),
        ("SALDO_VAULT_TOKEN_FILE", &vault_token),
        ("SALDO_METRICS_TOKEN_FILE", &token),
    ];
    let server = database.server_with("vault:secret/data/saldo#database_url", &settings);
    let person = server.register("ada@example.com").await;
    assert_eq!(server.available(&person).await, 100);
    let bearer = format!("Bearer {SECRET}");
    for (headers, status) in [
        (vec![], StatusCode::UNAUTHORIZED),
        (vec![("authorization", bearer.as_str())], StatusCode::OK),
    ] {
        let answer = server.send(Method::GET, "/metrics", &headers, None).await.expect("an answer");
        assert_eq!(answer.status, status);
    }
    assert_eq!(vault.requests(), ["/v1/secret/data/saldo"], "once at start");
    drop(server);
    database.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_said_to_be_set_and_never_shown() {
    let (vault, program) = (VaultDouble::start().await, Program::new());
    vault.write("secret/data/saldo", json!({ "openai": SECRET, "gemini": SECRET }));
    let file = program.file("secret", &format!("{SECRET}\n"));
    program.file(
        "saldo.toml",
        &format!("GEMINI_API_KEY = \"vault:secret/data/saldo#gemini\"\nANTHROPIC_API_KEY_FILE = \"{file}\"\n"),
    );
    let ended = program.run(
        &["--metrics-token", SECRET, "config", "check"],
        &[
            ("SALDO_VAULT_ADDR", &vault.url),
            ("SALDO_VAULT_TOKEN", TOKEN),
            ("OPENAI_API_KEY", "vault:secret/data/saldo#openai"),
            ("REDIS_URL", &format!("redis://:{SECRET}@127.0.0.1")),
            ("SALDO_SMS_WEBHOOK_URL", &format!("https://sms.example/{SECRET}")),
            ("SALDO_SMS_WEBHOOK_SECRET", SECRET),
        ],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!format!("{ended:?}").contains(SECRET) && !format!("{ended:?}").contains(TOKEN));
    for (name, from) in [
        ("SALDO_METRICS_TOKEN", "command line"),
        ("SALDO_VAULT_TOKEN", "environment"),
        ("REDIS_URL", "environment"),
        ("OPENAI_API_KEY", "environment, in vault:secret/data/saldo#openai"),
        ("GEMINI_API_KEY", "saldo.toml, in vault:secret/data/saldo#gemini"),
        ("ANTHROPIC_API_KEY", &format!("saldo.toml, in {file}")),
    ] {
        assert_eq!(ended.shown(name), ("set".to_owned(), from.to_owned()), "{name}");
    }
    assert_eq!(vault.requests(), ["/v1/secret/data/saldo"], "once for both");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_had_is_named_with_its_remedy_and_nothing_starts() {
    let (vault, program) = (VaultDouble::start().await, Program::new());
    let empty = program.file("empty", "\n");
    vault.write("secret/data/saldo", json!({ "key": SECRET }));
    let wrong = [
        ("SALDO_VAULT_ADDR", vault.url.as_str()),
        ("SALDO_VAULT_TOKEN", TOKEN),
        ("OPENAI_API_KEY", "vault:secret/data/saldo#none"),
        ("GEMINI_API_KEY", "vault:secret/saldo#key"),
        ("ANTHROPIC_API_KEY_FILE", "/nowhere/key"),
        ("SALDO_METRICS_TOKEN_FILE", &empty),
        ("STRIPE_SECRET_KEY", "sk_test_1"),
        ("STRIPE_SECRET_KEY_FILE", "/run/secrets/stripe"),
        ("SALDO_PUBLIC_URL", "vault:secret/data/saldo#key"),
        ("SALDO_LISTEN", "127.0.0.1:0"),
    ];
    let ended = program.check(&wrong);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let problems = ended.problems();
    for expected in [
        "OPENAI_API_KEY (environment) cannot be used: secret/data/saldo in Vault has no text called none",
        "GEMINI_API_KEY (environment) cannot be used: a reference to Vault is vault:<mount>/data/<path>#<field>",
        "ANTHROPIC_API_KEY (environment) cannot be used: ANTHROPIC_API_KEY_FILE names /nowhere/key",
        "SALDO_METRICS_TOKEN (environment) cannot be used: SALDO_METRICS_TOKEN_FILE names",
        "STRIPE_SECRET_KEY and STRIPE_SECRET_KEY_FILE are both set (environment): remove one of them",
        "SALDO_PUBLIC_URL (environment) cannot be used: it is no secret",
    ] {
        let found = problems.iter().filter(|problem| problem.starts_with(expected)).count();
        assert_eq!(found, 1, "{expected}: {problems:#?}");
    }
    assert_eq!(problems.len(), 6, "{problems:#?}");
    let started = program.run(&["serve"], &wrong);
    assert_eq!(started.code, Some(1), "{started:?}");
    assert!(!program.folder.join(".saldo").exists(), "it was about to start");
}

#[test]
fn without_an_address_and_a_token_nothing_is_asked_of_vault() {
    let program = Program::new();
    let key = ("OPENAI_API_KEY", "vault:secret/data/saldo#key");
    for (settings, name) in [
        (vec![key], "SALDO_VAULT_ADDR is needed"),
        (vec![key, ("SALDO_VAULT_ADDR", "http://127.0.0.1:1")], "SALDO_VAULT_TOKEN is needed"),
        (
            vec![
                key,
                ("SALDO_VAULT_ADDR", "http://v.example"),
                ("SALDO_VAULT_TOKEN", "t"),
                ("SALDO_ENV", "dev"),
            ],
            "SALDO_VAULT_ADDR: the provider's address must begin with https",
        ),
    ] {
        let ended = program.check(&settings);
        let said = ended.problems().join("\n");
        assert!(said.contains("OPENAI_API_KEY") && said.contains(name), "{ended:?}");
    }
}

/// A health check comes every few seconds, and a server that lives does not need its secrets again.
#[test]
fn whether_a_server_lives_does_not_depend_on_who_keeps_its_secrets() {
    let program = Program::new();
    // Nobody listens there any more.
    let away = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let away = format!("http://{}", away.expect("an address"));
    let settings = [
        ("SALDO_VAULT_ADDR", away.as_str()),
        ("SALDO_VAULT_TOKEN", TOKEN),
        ("OPENAI_API_KEY", "vault:secret/data/saldo#key"),
        ("SALDO_LISTEN", "127.0.0.1:1"),
    ];
    let health = program.run(&["health"], &settings);
    assert!(health.complained.contains("/livez"), "it has asked the server: {health:?}");
    assert!(!health.complained.contains("Vault"), "{health:?}");
    let server = program.run(&["serve"], &settings);
    assert!(server.complained.contains("Vault does not answer"), "{server:?}");
}
