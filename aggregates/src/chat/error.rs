//! Why a chat refuses.

/// Why a chat refuses. Told to the client word for word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    #[error("the chat was deleted")]
    Deleted,
    #[error("there is no such chat")]
    NotFound,
    #[error("the chat is somebody else's")]
    Taken,
    #[error("16 replies wait in this chat: post again when one of them is there, or cancel one")]
    TooManyWaiting,
    #[error("the chat has 10000 messages: begin another")]
    Full,
    #[error("the reply does not wait: it has ended, or it is not its turn")]
    NotWaiting,
    #[error("it is the reply's turn: it stops when whoever makes it has heard")]
    ItsTurn,
    #[error("only the last reply can be retried, when it failed or was cancelled")]
    NotRetriable,
}
