//! What providers say of what went wrong, and what should follow. Their words are read and dropped: they
//! may quote what a person wrote.

use serde_json::Value;

use super::{ProviderError, retry_after};

/// How those speak that will not work on a text, in any of the fields of an error.
const REFUSALS: &[&str] = &[
    // OpenAI, and Azure.
    "content_policy",
    "content_filter",
    "invalid_prompt",
    "responsibleai",
    // Anthropic.
    "content filtering policy",
    // A text longer than the model reads: OpenAI, Anthropic, Gemini.
    "context_length_exceeded",
    "prompt is too long",
    "exceeds the maximum number of tokens",
];

/// The words of all three for what passes.
const PASSING: &[&str] = &["overloaded", "rate_limit", "api_error", "server_error", "unavailable"];
/// Their words for what an operator has to look at.
const LASTING: &[&str] =
    &["authentication", "permission", "invalid_request", "not_found", "billing", "insufficient"];

/// What customers may ask for and some models do not take: OpenAI's names for it, and ours.
const PARAMETERS: [&str; 3] = ["temperature", "top_p", "stop"];

/// The longest word that is passed on to an operator.
const LONGEST_WORD: usize = 40;

/// What a provider's error object says.
pub(super) struct Complaint {
    /// The kind of error, in the provider's words for it; the narrowest first.
    kinds: Vec<String>,
    /// All that it says, in lower case.
    said: String,
    /// The status inside, where the wire tells it there.
    status: Option<u16>,
    /// The parameter that it is about, where the wire tells it.
    parameter: String,
    /// Seconds to wait, where the wire tells them there.
    retry_after: Option<u32>,
}

impl Complaint {
    /// The body of a refused request: an object with `error`, or a list with one such.
    pub(super) fn in_body(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let body = body.get(0).unwrap_or(&body);
        Self::new(body.get("error").unwrap_or(body))
    }

    /// An error object.
    pub(super) fn new(error: &Value) -> Self {
        let word = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        let kinds = ["code", "status", "type"].map(|name| word(name).to_lowercase());
        let status = error.get("code").and_then(Value::as_u64);
        Self {
            kinds: kinds.into_iter().filter(|kind| !kind.is_empty()).collect(),
            said: error.to_string().to_lowercase(),
            parameter: word("param").to_owned(),
            status: status.and_then(|status| u16::try_from(status).ok()),
            retry_after: error.get("details").and_then(Value::as_array).and_then(|details| {
                let mut delays =
                    details.iter().filter_map(|detail| detail.get("retryDelay")?.as_str());
                delays.find_map(retry_after::duration)
            }),
        }
    }

    /// What follows of it in the place of an answer.
    pub(super) fn refused(&self, status: u16, retry_after: Option<u32>) -> ProviderError {
        let retry_after = retry_after.or(self.retry_after);
        if let Some(parameter) = self.unsupported().filter(|_| matches!(status, 400 | 422)) {
            return ProviderError::Unsupported(parameter);
        }
        match status {
            // Nobody has paid the provider: waiting does not help.
            429 if self.said.contains("insufficient_quota") => self.misconfigured(status),
            400 | 403 | 413 | 422 if self.is_refusal() => ProviderError::Refused,
            408 | 425 | 429 | 500.. => ProviderError::Unavailable { retry_after },
            _ => self.misconfigured(status),
        }
    }

    /// What follows of it in the middle of an answer.
    pub(super) fn midway(&self) -> ProviderError {
        let is = |word: &str| self.kinds.iter().any(|kind| kind.contains(word));
        let has = |words: &[&str]| words.iter().any(|word| is(word));
        if let Some(status) = self.status.filter(|status| *status >= 400) {
            return self.refused(status, None);
        }
        match () {
            () if self.is_refusal() => ProviderError::Refused,
            () if is("timeout") => ProviderError::TimedOut,
            () if has(LASTING) && !has(PASSING) => self.misconfigured(200),
            () => ProviderError::Unavailable { retry_after: self.retry_after },
        }
    }

    /// What of the request the model does not take.
    fn unsupported(&self) -> Option<&'static str> {
        let is = self.kinds.iter().any(|kind| kind.starts_with("unsupported_"));
        PARAMETERS.into_iter().find(|parameter| is && self.parameter == *parameter)
    }

    fn is_refusal(&self) -> bool {
        REFUSALS.iter().any(|words| self.said.contains(words))
    }

    /// The status and the provider's one word: letters only, so that no key can be in it.
    fn misconfigured(&self, status: u16) -> ProviderError {
        let kind = self.kinds.first().map(String::as_str).unwrap_or_default();
        let word: String = kind
            .chars()
            .filter(|c| c.is_ascii_alphabetic() || *c == '_')
            .take(LONGEST_WORD)
            .collect();
        ProviderError::Misconfigured(if word.is_empty() {
            format!("status {status}")
        } else {
            format!("status {status}, {word}")
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(status: u16, body: &Value) -> ProviderError {
        Complaint::in_body(body.to_string().as_bytes()).refused(status, None)
    }

    #[test]
    fn a_text_that_a_provider_does_not_want_is_refused_and_not_tried_again() {
        for (status, body) in [
            (
                400,
                json!({ "error": { "code": "content_policy_violation", "type": "invalid_request_error" } }),
            ),
            (
                400,
                json!({ "error": { "code": "content_filter", "innererror": { "code": "ResponsibleAIPolicyViolation" } } }),
            ),
            (
                400,
                json!({ "type": "error", "error": { "type": "invalid_request_error", "message": "Output blocked by content filtering policy" } }),
            ),
            (400, json!({ "error": { "code": "context_length_exceeded" } })),
            (
                400,
                json!([{ "error": { "code": 400, "status": "INVALID_ARGUMENT", "message": "The input token count (9) exceeds the maximum number of tokens allowed (8)." } }]),
            ),
        ] {
            assert_eq!(refused(status, &body), ProviderError::Refused, "{body}");
        }
    }

    #[test]
    fn what_an_operator_must_look_at_is_told_without_keys_or_texts() {
        let secret = "sk-proj-4f9a8b7c6d5e";
        let body = json!({ "error": { "code": "invalid_api_key", "message": secret } });
        let expected = ProviderError::Misconfigured("status 401, invalid_api_key".to_owned());
        assert_eq!(refused(401, &body), expected);
        let body = json!({ "error": { "code": "4f9a8b7c6d5e9081726354" } });
        let ProviderError::Misconfigured(said) = refused(403, &body) else { panic!("a setting") };
        assert!(!said.contains("4f9a"), "{said}");
        let quota = json!({ "error": { "code": "insufficient_quota" } });
        assert!(matches!(refused(429, &quota), ProviderError::Misconfigured(_)));
        assert!(matches!(refused(404, &json!({})), ProviderError::Misconfigured(_)));
        assert!(matches!(refused(302, &json!({})), ProviderError::Misconfigured(_)));
    }

    #[test]
    fn what_a_model_does_not_take_is_named() {
        let says = |code: &str, param: &str| {
            refused(
                400,
                &json!({ "error": { "code": code, "param": param, "type": "invalid_request_error" } }),
            )
        };
        assert_eq!(
            says("unsupported_value", "temperature"),
            ProviderError::Unsupported("temperature")
        );
        assert_eq!(says("unsupported_parameter", "stop"), ProviderError::Unsupported("stop"));
        // That is ours to set.
        for wrong in [says("unsupported_parameter", "max_tokens"), says("invalid_value", "stop")] {
            assert!(matches!(wrong, ProviderError::Misconfigured(_)), "{wrong:?}");
        }
    }

    #[test]
    fn what_passes_can_be_tried_again_when_the_provider_says() {
        for status in [408, 425, 429, 500, 502, 503, 504, 520, 529] {
            let error = refused(status, &json!("<html>"));
            assert_eq!(error, ProviderError::Unavailable { retry_after: None }, "{status}");
        }
        let retry =
            json!({ "@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s" });
        let body = json!({ "error": { "code": 429, "details": [{ "reason": "x" }, retry] } });
        assert_eq!(refused(429, &body), ProviderError::Unavailable { retry_after: Some(34) });
    }

    #[test]
    fn an_error_in_the_middle_is_what_it_would_be_at_the_beginning() {
        let midway = |error: Value| Complaint::new(&error).midway();
        let unavailable = ProviderError::Unavailable { retry_after: None };
        assert_eq!(midway(json!({ "type": "overloaded_error" })), unavailable);
        assert_eq!(midway(json!({ "type": "server_error", "code": null })), unavailable);
        assert_eq!(midway(json!({ "code": 503, "status": "UNAVAILABLE" })), unavailable);
        assert_eq!(midway(json!({ "type": "never seen" })), unavailable);
        assert_eq!(midway(json!({ "type": "timeout_error" })), ProviderError::TimedOut);
        assert_eq!(midway(json!({ "code": "content_filter" })), ProviderError::Refused);
        let wrong = midway(json!({ "type": "invalid_request_error" }));
        assert!(matches!(wrong, ProviderError::Misconfigured(_)));
    }
}
