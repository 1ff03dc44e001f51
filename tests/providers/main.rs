//! AI providers: their wires by npm's aimock and by a double that does what aimock cannot, and who is
//! asked when one fails.
#![expect(clippy::disallowed_methods, reason = "what a test spawns ends with its runtime")]

mod aimock;
mod asking;
mod configured;
mod endings;
mod faults;
#[path = "../shared/installed.rs"]
#[expect(dead_code, reason = "other tests install what is not for Node.js")]
mod installed;
mod ladder;
#[path = "../support/llm/mod.rs"]
mod llm;
#[path = "../shared/neighbour.rs"]
mod neighbour;
mod node;
mod requests;
mod rest;
#[path = "../shared/skip.rs"]
mod skip;
mod waiting;
