//! Who answers, by what an operator has set.

use clap::Parser;
use saldo::config::Config;

use crate::asking::{KEY, climb};
use crate::llm::{Recorder, Wire};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    config: Config,
}

/// As the command line says, which goes before the environment.
fn config(arguments: &[&str]) -> Config {
    Line::parse_from(["saldo"].iter().chain(arguments)).config
}

#[tokio::test]
async fn each_provider_is_asked_where_it_is_said_to_be_with_the_key_that_was_set() {
    let recorder = Recorder::start().await;
    let (url, with_path) = (recorder.url(), format!("{}/v1", recorder.url()));
    let config = config(&[
        "--gemini-api-key",
        KEY,
        "--gemini-base-url",
        url,
        "--anthropic-api-key",
        KEY,
        "--anthropic-base-url",
        url,
        "--openai-api-key",
        KEY,
        "--openai-base-url",
        &with_path,
    ]);
    let llm = config.llm().expect("a good configuration");
    for wire in Wire::ALL {
        let (who, _) = climb(&llm, &[wire]).await.expect("an answer");
        assert_eq!(who, wire.provider());
    }
    let sent: Vec<_> = recorder.calls();
    assert_eq!(sent[0].header("authorization"), format!("Bearer {KEY}"));
    assert_eq!(sent[1].header("x-api-key"), KEY);
    assert_eq!(sent[2].header("x-goog-api-key"), KEY);
}

#[tokio::test]
async fn a_compatible_server_is_asked_without_a_key() {
    let recorder = Recorder::start().await;
    let mut config = config(&["--openai-base-url", recorder.url()]);
    config.ai.openai_api_key = None;
    let llm = config.llm().expect("a good configuration");
    climb(&llm, &[Wire::OpenAi]).await.expect("an answer");
    assert_eq!(recorder.calls()[0].header("authorization"), "");
}
