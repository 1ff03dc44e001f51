//! The word that stands for whoever came back from a provider, until their page asks for a session.

use aggregates::id::UserId;
use aggregates::user::Provider;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};

use super::challenges::{Draft, Passed, Purpose, check_link, token};
use crate::app::App;
use crate::error::{Problem, Result};

/// Whoever came back from a provider.
#[derive(Serialize, Deserialize)]
pub struct Returned {
    /// Who vouches for them.
    pub provider: Provider,
    /// The account's epoch then.
    pub epoch: u32,
    /// What only the browser that came back has, hashed.
    browser: Vec<u8>,
}

/// A word that is good once, soon, for a session of whoever came back from a provider; and what the
/// browser keeps beside it, so that nobody else's browser is signed in by the word.
pub async fn exchangeable(app: &App, user: UserId, provider: Provider) -> Result<(String, String)> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(Problem::failed)?;
    let browser = BASE64.encode(bytes);
    let epoch = super::state(app, user).await?.epoch();
    let returned = Returned { provider, epoch, browser: app.keys.lookup.hash(&browser).to_vec() };
    let draft = Draft::link(Purpose::Exchange, returned, Some(user))?;
    let word = token(draft.id, draft.secret.expose_secret());
    draft.keep(app, None, None).await.map(|_| (word, browser))
}

/// Who came back, and from where.
pub async fn exchange(app: &App, word: &str, browser: &str) -> Result<(UserId, Returned)> {
    let Passed::<Returned> { proved, user } = check_link(app, Purpose::Exchange, word).await?;
    if !app.keys.lookup.is_hash(browser, &proved.browser) {
        return Err(Problem::field("code", "belongs to a sign-in of another browser"));
    }
    Ok((user.ok_or_else(Problem::not_found)?, proved))
}
