//! What was asked of the double.

use super::form::Form;

/// One call, as it came in, whatever became of it.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: String,
    pub path: String,
    pub idempotency_key: Option<String>,
    /// The `stripe-version` that was sent.
    pub version: Option<String>,
    /// The body, or the query of what has none.
    pub form: Form,
}
