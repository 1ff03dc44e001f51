//! Access tokens (JWT, `EdDSA`) and refresh tokens (random, kept as a hash).

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use aggregates::id::{SessionId, UserId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use chrono::{DateTime, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::keys::{Key, KeysError};

/// How long an access token is good: long enough that refreshing costs nothing, short enough that
/// a stolen one is of little use (ASVS 5.0, 7.3.2).
pub const ACCESS_LASTS: TimeDelta = TimeDelta::minutes(15);
/// How long a refresh token is good.
pub const REFRESH_LASTS: TimeDelta = TimeDelta::days(7);
/// Checked tokens kept in memory: a signature check costs as much as a spend.
const CHECKED: usize = 50_000;
const ISSUER: &str = "saldo";

/// Who an access token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The person.
    pub user: UserId,
    /// The session the token came from.
    pub session: SessionId,
    /// Until when, in seconds since 1970.
    pub expires: i64,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    sub: UserId,
    sid: SessionId,
    iat: i64,
    exp: i64,
}

/// Issues and checks tokens.
pub struct Tokens {
    key_id: String,
    signing: EncodingKey,
    checking: DecodingKey,
    checked: RwLock<HashMap<Box<str>, Identity>>,
}

/// A refresh token, and the hash that is kept of it.
pub struct RefreshToken {
    /// What the client keeps.
    pub token: String,
    /// What we keep.
    pub hash: [u8; 32],
}

impl Tokens {
    /// Tokens signed with this key.
    pub fn new(key: &Key) -> Result<Self, KeysError> {
        let signing = SigningKey::from_bytes(key.expose());
        let document = signing.to_pkcs8_der().map_err(|_| KeysError::Randomness)?;
        Ok(Self {
            key_id: key.id.clone(),
            signing: EncodingKey::from_ed_der(document.as_bytes()),
            checking: DecodingKey::from_ed_der(signing.verifying_key().as_bytes()),
            checked: RwLock::default(),
        })
    }

    /// An access token for this session.
    pub fn issue(
        &self,
        user: UserId,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::EdDSA) };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: user,
            sid: session,
            iat: now.timestamp(),
            exp: (now + ACCESS_LASTS).timestamp(),
        };
        jsonwebtoken::encode(&header, &claims, &self.signing)
    }

    /// Whom the token speaks for; none when it is not ours, or its time is over.
    #[must_use]
    pub fn check(&self, token: &str, now: DateTime<Utc>) -> Option<Identity> {
        let known = self.checked.read().unwrap_or_else(PoisonError::into_inner).get(token).copied();
        let identity = match known {
            Some(identity) => identity,
            None => self.check_signature(token)?,
        };
        (identity.expires > now.timestamp()).then_some(identity)
    }

    fn check_signature(&self, token: &str) -> Option<Identity> {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[ISSUER]);
        // The time is compared by `check`, with the caller's clock.
        validation.validate_exp = false;
        let claims =
            jsonwebtoken::decode::<Claims>(token, &self.checking, &validation).ok()?.claims;
        let identity = Identity { user: claims.sub, session: claims.sid, expires: claims.exp };
        let mut checked = self.checked.write().unwrap_or_else(PoisonError::into_inner);
        if checked.len() >= CHECKED {
            checked.clear();
        }
        checked.insert(token.into(), identity);
        Some(identity)
    }
}

impl RefreshToken {
    /// A new token: 32 random bytes.
    pub fn generate() -> Result<Self, KeysError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| KeysError::Randomness)?;
        let token = BASE64.encode(bytes);
        let hash = Sha256::digest(&token).into();
        Ok(Self { token, hash })
    }
}
