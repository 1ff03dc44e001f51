//! Who has the last word, and what is told of what cannot be used.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::program::Program;

fn pair(value: &str, from: &str) -> (String, String) {
    (value.to_owned(), from.to_owned())
}

#[test]
fn the_command_line_has_the_last_word_then_the_environment_then_the_file() {
    let program = Program::new();
    let connections = |arguments: &[&str], environment: &[(&str, &str)]| {
        let arguments = [arguments, &["config", "check"]].concat();
        let ended = program.run(&arguments, environment);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.shown("SALDO_DATABASE_CONNECTIONS")
    };
    assert_eq!(connections(&[], &[]), pair("16", "default"));
    program.file("saldo.toml", "SALDO_DATABASE_CONNECTIONS = 2\n");
    assert_eq!(connections(&[], &[]), pair("2", "saldo.toml"));
    let set = [("SALDO_DATABASE_CONNECTIONS", "3")];
    assert_eq!(connections(&[], &set), pair("3", "environment"));
    let option = ["--database-connections", "4"];
    assert_eq!(connections(&option, &set), pair("4", "command line"));
    // What is set to nothing is not set.
    assert_eq!(connections(&[], &[("SALDO_DATABASE_CONNECTIONS", "")]), pair("2", "saldo.toml"));
}

#[test]
fn what_the_file_env_fills_is_told_to_be_of_that_file() {
    let program = Program::new();
    let secret = program.file("secret", "sk_test_1\n");
    program.file(
        ".env",
        &format!(
            "SALDO_DATABASE_CONNECTIONS=3\nSTRIPE_SECRET_KEY_FILE={secret}\nSALDO_LISTN=here\n"
        ),
    );
    let set = [("STRIPE_WEBHOOK_SECRET", "whsec_1")];
    let ended = program.check(&set);
    assert_eq!(ended.shown("SALDO_DATABASE_CONNECTIONS"), pair("3", ".env"));
    assert_eq!(ended.shown("STRIPE_SECRET_KEY"), pair("set", &format!(".env, in {secret}")));
    assert_eq!(ended.shown("STRIPE_WEBHOOK_SECRET"), pair("set", "environment"));
    assert!(ended.said.contains("SALDO_LISTN (.env) is no setting"), "{}", ended.said);
    let set = [("SALDO_DATABASE_CONNECTIONS", "4")];
    assert_eq!(program.check(&set).shown("SALDO_DATABASE_CONNECTIONS"), pair("4", "environment"));
}

#[test]
fn another_file_is_read_when_it_is_named() {
    let program = Program::new();
    program.file("saldo.toml", "SALDO_DATABASE_CONNECTIONS = 2\n");
    program.file("other.toml", "SALDO_DATABASE_CONNECTIONS = 5\n");
    program.file("third.toml", "SALDO_DATABASE_CONNECTIONS = 6\n");
    let named = [("SALDO_CONFIG", "other.toml")];
    let shown = program.check(&named).shown("SALDO_DATABASE_CONNECTIONS");
    assert_eq!(shown, pair("5", "other.toml"));
    let ended = program.run(&["--config", "third.toml", "config", "check"], &named);
    assert_eq!(ended.shown("SALDO_DATABASE_CONNECTIONS"), pair("6", "third.toml"));
    let missing = program.check(&[("SALDO_CONFIG", "missing.toml")]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.problems()[0].starts_with("missing.toml cannot be read"), "{missing:?}");
}

#[test]
fn a_file_has_texts_numbers_switches_and_lists() {
    let program = Program::new();
    program.file(
        "saldo.toml",
        "SALDO_LISTEN = \"127.0.0.1:9\" # a comment\nSALDO_CALL_HOLD_S = 60\nSALDO_RATE_LIMITS = false\n\
         SALDO_CORS_ORIGINS = [\"https://a.example\", \"https://b.example\"]\n",
    );
    let ended = program.check(&[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (name, value) in [
        ("SALDO_LISTEN", "127.0.0.1:9"),
        ("SALDO_CALL_HOLD_S", "60"),
        ("SALDO_RATE_LIMITS", "off"),
        ("SALDO_CORS_ORIGINS", "https://a.example,https://b.example"),
    ] {
        assert_eq!(ended.shown(name), pair(value, "saldo.toml"));
    }
}

#[test]
fn all_that_cannot_be_used_is_told_at_once_with_its_remedy() {
    let program = Program::new();
    program.file(
        "saldo.toml",
        "SALDO_LISTN = \"127.0.0.1:9\"\nnothing_like_it = 1\nSALDO_CALL_HOLD_S = 9000\nSALDO_PAST_DUE = 1.5\n\
         SALDO_PUBLIC_URL = [\"https://a.example\"]\n[SALDO_X_URLS]\na = 1\n",
    );
    let set = [
        ("SALDO_DISPUTED", "forgive"),
        ("SALDO_GITHUB_CLIENT_ID", "id"),
        ("SALDO_CORS_ORIGINS", "*,https://a.example/"),
        ("SALDO_METRICS_TOKEN", "short"),
    ];
    let ended = program.check(&set);
    assert_eq!(ended.code, Some(1));
    let problems = ended.problems();
    for expected in [
        "saldo.toml sets SALDO_LISTN, which is no setting: did you mean SALDO_LISTEN?",
        "saldo.toml sets nothing_like_it, which is no setting",
        "SALDO_CALL_HOLD_S=9000 (saldo.toml) cannot be used: 9000 is not in 2..=3600",
        "saldo.toml sets SALDO_PAST_DUE to what it cannot be: write a text",
        "saldo.toml sets SALDO_PUBLIC_URL to what it cannot be: it has one value",
        "saldo.toml sets SALDO_X_URLS to what it cannot be",
        "SALDO_DISPUTED=forgive (environment) cannot be used: choose one of freeze, keep",
        "SALDO_GITHUB_CLIENT_ID needs SALDO_GITHUB_CLIENT_SECRET beside it",
        "SALDO_CORS_ORIGINS has \"*\"",
        "SALDO_CORS_ORIGINS has \"https://a.example/\"",
        "SALDO_METRICS_TOKEN could be guessed",
    ] {
        let found = problems.iter().filter(|problem| problem.starts_with(expected)).count();
        assert_eq!(found, 1, "{expected}: {problems:#?}");
    }
    assert_eq!(problems.len(), 11, "{problems:#?}");
    // A server says the same of what it cannot read, and does not start.
    let started = program.run(&["serve"], &set);
    assert_eq!(started.code, Some(1));
    for name in ["SALDO_LISTN", "SALDO_CALL_HOLD_S", "SALDO_DISPUTED"] {
        assert!(started.complained.contains(name), "{started:?}");
    }
}

#[test]
fn a_file_that_is_no_toml_is_refused_by_its_line_without_showing_it() {
    let program = Program::new();
    program.file("saldo.toml", "SALDO_DISPUTED = \"keep\"\nSTRIPE_SECRET_KEY = \"sk_live_hidden\n");
    let ended = program.check(&[]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.problems()[0].starts_with("saldo.toml is not TOML: line 2: "), "{ended:?}");
    assert!(!format!("{ended:?}").contains("hidden"), "{ended:?}");
}

#[test]
fn a_file_with_secrets_that_everybody_may_read_is_warned_of() {
    let program = Program::new();
    let warnings = |text: &str, mode: u32| {
        let path = program.file("saldo.toml", text);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its rights");
        program.check(&[]).warnings().join("\n")
    };
    let secret = "SALDO_METRICS_TOKEN = \"gT5kNw8sVb2yHj4u\"\n";
    let warning = warnings(secret, 0o644);
    assert!(warning.contains("saldo.toml holds SALDO_METRICS_TOKEN"), "{warning}");
    assert!(warning.contains("chmod 600"), "{warning}");
    assert_eq!(warnings(secret, 0o640), "");
    assert_eq!(warnings("SALDO_DISPUTED = \"keep\"\n", 0o644), "");
    let elsewhere =
        "STRIPE_SECRET_KEY = \"vault:secret/data/saldo#key\"\nSALDO_METRICS_TOKEN_FILE = \"t\"\n";
    assert_eq!(warnings(elsewhere, 0o644), "");
}

#[test]
fn a_name_in_the_environment_that_is_nearly_ours_is_warned_of() {
    let program = Program::new();
    let ended =
        program.check(&[("SALDO_PUBIC_URL", "https://a.example"), ("SALDO_PG_NO_SYSTEM", "1")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let expected = "SALDO_PUBIC_URL (environment) is no setting: did you mean SALDO_PUBLIC_URL?";
    assert_eq!(ended.warnings(), [expected]);
}
