//! Why an account refuses.

/// Why an account refuses. Told to the client word for word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("the account exists already")]
    AlreadyRegistered,
    #[error("there is no such account")]
    NotRegistered,
    #[error("the profile has changed since it was read")]
    ProfileMoved,
}
