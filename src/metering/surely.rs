//! What a call comes to is settled, though the log cannot be reached for a while: what was delivered is to be charged,
//! and what failed is to be given back.

use std::time::Duration;

/// How often, and how soon, it is tried again. Half a minute of pauses, besides what each try takes.
const TRIES: u32 = 60;
const AGAIN: Duration = Duration::from_millis(500);

/// Tries again and again while what went wrong is of a kind that passes.
pub(super) async fn surely<T, E, Trying>(
    passes: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> Trying,
) -> Result<T, E>
where
    Trying: Future<Output = Result<T, E>>,
{
    for _ in 0..TRIES {
        match attempt().await {
            Err(error) if passes(&error) => tokio::time::sleep(AGAIN).await,
            ended => return ended,
        }
    }
    attempt().await
}
