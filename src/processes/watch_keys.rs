//! Whenever a key for access tokens was added, this node has it before it signs.

use std::path::Path;
use std::time::Duration;

use tracing::warn;

use crate::app::App;
use crate::keys::Keys;

/// How often the file is read: a key that is added signs an hour later, when every node has it.
const EVERY: Duration = Duration::from_mins(1);

/// Reads the keys again, for ever.
pub(super) async fn run(app: &App, folder: &Path) {
    loop {
        tokio::time::sleep(EVERY).await;
        let renewed =
            Keys::in_folder(folder).and_then(|keys| app.tokens.renew(&keys.access_tokens));
        if let Err(error) = renewed {
            warn!(error = %error, "the keys could not be read again");
        }
    }
}
