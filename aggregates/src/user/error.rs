//! Why an account refuses.

/// Why an account refuses. Told to the client word for word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    #[error("the account exists already")]
    AlreadyRegistered,
    #[error("there is no such account")]
    NotRegistered,
    #[error("the account is not active")]
    NotActive,
    #[error("the profile has changed since it was read")]
    ProfileMoved,
    #[error("the account's address is verified: nobody takes it over")]
    AlreadyVerified,
    #[error("there is no such identity")]
    UnknownIdentity,
    #[error("a way into the account has changed since: sign in again")]
    WayInChanged,
    #[error("the account has no verified address to come back by: add one first")]
    NoWayBack,
    #[error("an administrator has deactivated the account: only they can have it used again")]
    Barred,
    #[error("this is the last way into the account: add another one first")]
    LastWayIn,
    #[error("the account has as many API keys as it may: revoke one first")]
    TooManyKeys,
}
