//! What the README has newcomers type.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Folder, complaint, skip};

#[test]
fn the_demo_walks_the_main_job_in_an_empty_folder_and_an_auditor_finds_it_true() {
    let folder = Folder::new();
    let demo = folder.saldo("demo").output().expect("saldo can be started");
    let told = String::from_utf8_lossy(&demo.stdout);
    let complained = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success() && complained.is_empty(), "{told}{complained}");
    let ends = ["now available 65, held 0, debt 0", "nothing is wrong: "];
    let found: Vec<_> = ends.map(|end| told.find(end)).into_iter().flatten().collect();
    assert!(found.len() == 2 && found.is_sorted(), "replayed, then verified: {told}");
}

#[test]
fn a_demo_whose_server_does_not_start_says_why() {
    let folder = Folder::new();
    let mut demo = folder.saldo("demo");
    let demo = demo.env("DATABASE_URL", "postgres://saldo@127.0.0.1:1/saldo").output();
    let said = complaint(&demo.expect("saldo can be started"));
    assert!(said.contains("the database does not answer"), "{said}");
}

#[test]
fn the_first_requests_of_the_readme_spend_the_first_credits() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("there is no curl");
    }
    let folder = Folder::new();
    let server = folder.server();
    let here = server.url.trim_start_matches("http://");
    let requests = first_requests().replace("localhost:8080", here);
    let typed = Command::new("sh").args(["-euc", &requests]).output().expect("a shell");
    let answered = String::from_utf8_lossy(&typed.stdout);
    let answers: Result<Vec<Value>, _> =
        serde_json::Deserializer::from_str(&answered).into_iter().collect();
    let answers = answers.unwrap_or_else(|error| panic!("{error}: {answered}"));
    let [summary, wallet] = answers.as_slice() else { panic!("two answers: {answered}") };
    assert_eq!(summary["result"]["summary"], "Credits are granted.", "{summary}");
    assert_eq!(wallet["available"], 90, "{wallet}");
}

/// The commands that are typed in another terminal.
fn first_requests() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).expect("the README");
    let (_, rest) = readme.split_once("Then, in another terminal:\n\n```sh\n").expect("its place");
    let (requests, _) = rest.split_once("```").expect("its end");
    requests.to_owned()
}
