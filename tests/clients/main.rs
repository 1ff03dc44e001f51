//! The API as OpenAI's own client and the AI SDK meet it, on a real server whose provider is a double.

mod ai_sdk;
mod charges;
mod house;
#[path = "../shared/installed.rs"]
mod installed;
#[path = "../support/llm/mod.rs"]
#[expect(dead_code, unused_imports, reason = "other tests use the rest")]
mod llm;
mod openai;
mod program;
#[path = "../shared/skip.rs"]
mod skip;
#[path = "../system/support.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod support;
