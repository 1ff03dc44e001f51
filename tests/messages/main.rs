//! Messages to people, as a mail server and an SMS provider meet them.

mod mail;
mod provider;
#[path = "../shared/skip.rs"]
mod skip;
mod sms;
mod smtp;
