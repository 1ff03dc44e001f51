//! Refusals, as Stripe words them.

use serde_json::{Value, json};

/// An answer that is an error: its status and the object under `error`.
#[derive(Clone, Debug)]
pub struct Failure {
    pub status: u16,
    pub error: Value,
}

pub type Outcome<T = Value> = Result<T, Failure>;

impl Failure {
    pub fn new(status: u16, kind: &str, code: Option<&str>, message: &str) -> Self {
        let mut error = json!({ "type": kind, "message": message });
        if let Some(code) = code {
            error["code"] = code.into();
            error["doc_url"] = format!("https://stripe.com/docs/error-codes/{code}").into();
        }
        Self { status, error }
    }

    pub fn invalid(message: &str) -> Self {
        Self::new(400, "invalid_request_error", None, message)
    }

    pub fn coded(code: &str, message: &str) -> Self {
        Self::new(400, "invalid_request_error", Some(code), message)
    }

    pub fn at(mut self, param: &str) -> Self {
        self.error["param"] = param.into();
        self
    }

    /// The path names something that is not there.
    pub fn no_such(kind: &str, id: &str) -> Self {
        let message = format!("No such {kind}: '{id}'");
        Self::new(404, "invalid_request_error", Some("resource_missing"), &message).at("id")
    }

    /// A parameter names something that is not there.
    pub fn no_such_at(param: &str, kind: &str, id: &str) -> Self {
        let mut failure = Self::no_such(kind, id).at(param);
        failure.status = 400;
        failure
    }

    pub fn missing(param: &str) -> Self {
        let message = format!("Missing required param: {param}.");
        Self::coded("parameter_missing", &message).at(param)
    }

    /// The bank said no; the intent that it said it to is in the answer.
    pub fn declined(code: &str, intent: &Value) -> Self {
        let (code, decline) = match code {
            "authentication_required" | "expired_card" => (code, code),
            decline => ("card_declined", decline),
        };
        let mut failure = Self::new(402, "card_error", Some(code), "Your card was declined.");
        failure.error["decline_code"] = decline.into();
        failure.error["charge"] = intent["latest_charge"].clone();
        failure.error["payment_intent"] = intent.clone();
        failure
    }

    pub fn body(&self) -> Value {
        json!({ "error": self.error })
    }
}
