//! What administrators see of the house, and do about it.

pub mod declines;
pub mod events;
pub mod jobs;
pub mod read_models;
pub mod verifications;
