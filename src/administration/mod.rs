//! What administrators see of the house, and do about it.

pub mod events;
