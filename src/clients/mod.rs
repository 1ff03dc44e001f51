//! One outside service each.

pub mod llm;
