//! Whenever the log has grown, its head is signed and kept outside the database.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, warn};

use crate::app::App;
use crate::store::heads::{HeadError, sign_when_moved};

/// How often: how much of the log's end nobody vouches for yet.
const EVERY: Duration = Duration::from_secs(10);

/// Signs heads of the log into a file; cheap to clone.
#[derive(Clone)]
pub struct Signer(Arc<Parts>);

struct Parts {
    app: App,
    file: PathBuf,
}

impl Signer {
    /// A signer with the key of the house that is the newest by then.
    #[must_use]
    pub fn new(app: &App, file: PathBuf) -> Self {
        Self(Arc::new(Parts { app: app.clone(), file }))
    }

    /// Signs the head, if it has moved. A failure is logged: the next turn tries again.
    pub async fn sign(&self) {
        let Parts { app, file } = &*self.0;
        if app.keys.heads.was_retired() {
            return;
        }
        match sign_when_moved(app.db(), &app.keys.head_key(), file).await {
            Ok(_) => {}
            Err(lost @ HeadError::Behind { .. }) => {
                error!(error = %lost, "the log is not what was signed: run saldo verify");
            }
            Err(error) => warn!(error = %error, "the head of the log could not be signed"),
        }
    }

    /// Signs what is new, for ever.
    pub(super) async fn run(&self) {
        loop {
            self.sign().await;
            tokio::time::sleep(EVERY).await;
        }
    }
}
