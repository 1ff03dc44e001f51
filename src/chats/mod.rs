//! Chats: what a person says, what a model replies, and what is told of it as it happens.
//!
//! The log says who said what when, and what it cost; the texts are beside it, encrypted with the person's
//! key, and are gone when their chat is deleted.

mod allowance;
mod asking;
pub mod cached;
mod listing;
pub mod reply;
pub mod telling;
mod texts;

pub use asking::{
    Post, Posted, cancel, create, delete, is_cancelled, own, post, read, retitle, retry,
};
pub use listing::{Listed, Said, chats, find, message, messages};
