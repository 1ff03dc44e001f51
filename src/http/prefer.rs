//! `Prefer: respond-async` (RFC 7240): whoever asks so does not wait for the answer.

use std::convert::Infallible;

use axum::extract::OptionalFromRequestParts;
use axum::http::request::Parts;

/// The client would rather not wait. Preferences that mean nothing here are passed over, as the RFC asks.
pub(super) struct RespondAsync;

impl RespondAsync {
    /// The preference's name.
    pub(super) const NAME: &'static str = "respond-async";
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for RespondAsync {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        let values = parts.headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
        let mut preferences = values.flat_map(|value| value.split(','));
        let asked = preferences.any(|preference| {
            let name = preference.split([';', '=']).next().unwrap_or_default();
            name.trim().eq_ignore_ascii_case(Self::NAME)
        });
        Ok(asked.then_some(Self))
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[tokio::test]
    async fn respond_async_is_found_among_other_preferences() {
        for (prefer, asked) in [
            ("respond-async", true),
            ("Respond-Async, wait=10", true),
            ("return=minimal,respond-async;x=1", true),
            ("wait=10", false),
            ("respond-asynchronously", false),
            ("return=\"respond-async\"", false),
            ("", false),
        ] {
            let request = Request::get("/").header("prefer", prefer).body(()).expect("a request");
            let (mut parts, ()) = request.into_parts();
            let Ok(found) = RespondAsync::from_request_parts(&mut parts, &()).await;
            assert_eq!(found.is_some(), asked, "{prefer}");
        }
    }
}
