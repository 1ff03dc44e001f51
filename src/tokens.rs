//! Access tokens (JWT, `EdDSA`) and refresh tokens (signed; nothing of them is kept).

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
use serde_json::{Value, json};
use uuid::Uuid;

use crate::keys::{DatedKey, Key, KeyRing, KeysError};

/// How long an access token is good: long enough that refreshing costs nothing, short enough that
/// a stolen one is of little use (ASVS 5.0, 7.3.2).
pub const ACCESS_LASTS: TimeDelta = TimeDelta::minutes(15);
/// How long a refresh token is good.
pub const REFRESH_LASTS: TimeDelta = TimeDelta::days(7);
/// Checked tokens kept in memory: a signature check costs as much as a spend.
const CHECKED: usize = 50_000;
/// Who issues the tokens, and for whom.
const ISSUER: &str = "saldo";
/// A token of another kind is no access token (RFC 8725, 3.11).
const KIND: &str = "at+jwt";
/// What refresh tokens begin with, so that scanners for secrets find them.
const REFRESH: &str = "srt_";

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
    aud: String,
    sub: UserId,
    sid: SessionId,
    iat: i64,
    exp: i64,
}

/// Issues and checks access tokens.
pub struct Tokens {
    keys: RwLock<Vec<Pair>>,
    checked: RwLock<HashMap<Box<str>, Identity>>,
}

/// A key of access tokens, from some time on.
struct Pair {
    id: String,
    from: DateTime<Utc>,
    signing: EncodingKey,
    checking: DecodingKey,
    /// The public key, as a JWK has it.
    public: String,
}

impl Pair {
    fn new(DatedKey { key, from }: &DatedKey) -> Result<Self, KeysError> {
        let secret = SigningKey::from_bytes(key.expose());
        let der = secret.to_pkcs8_der().map_err(|_| KeysError::Randomness)?;
        let public = secret.verifying_key();
        Ok(Self {
            id: key.id.clone(),
            from: *from,
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            checking: DecodingKey::from_ed_der(public.as_bytes()),
            public: BASE64.encode(public.as_bytes()),
        })
    }
}

impl Tokens {
    /// Ready to issue with these keys.
    pub fn new(keys: &[DatedKey]) -> Result<Self, KeysError> {
        let keys = keys.iter().map(Pair::new).collect::<Result<_, _>>()?;
        Ok(Self { keys: RwLock::new(keys), checked: RwLock::default() })
    }

    /// Goes on with these keys: what was signed by one that is not among them is good no more.
    pub fn renew(&self, keys: &[DatedKey]) -> Result<(), KeysError> {
        let known = |pair: &Pair| keys.iter().any(|DatedKey { key, .. }| key.id == pair.id);
        let mine = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        if mine.len() == keys.len() && mine.iter().all(known) {
            return Ok(());
        }
        drop(mine);
        let keys = keys.iter().map(Pair::new).collect::<Result<Vec<_>, _>>()?;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        self.checked.write().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    /// The public keys, for others to check tokens with (RFC 7517).
    #[must_use]
    pub fn public_keys(&self) -> Value {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let keys = keys.iter().map(|pair| {
            json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
                "kid": pair.id, "x": pair.public,
            })
        });
        json!({ "keys": keys.collect::<Vec<_>>() })
    }

    /// An access token for this session.
    pub fn issue(
        &self,
        user: UserId,
        session: SessionId,
        now: DateTime<Utc>,
    ) -> Result<String, jsonwebtoken::errors::Error> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let ready = keys.iter().filter(|pair| pair.from <= now).max_by_key(|pair| pair.from);
        let pair = ready.ok_or(jsonwebtoken::errors::ErrorKind::InvalidEddsaKey)?;
        let header = Header {
            kid: Some(pair.id.clone()),
            typ: Some(KIND.to_owned()),
            ..Header::new(Algorithm::EdDSA)
        };
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: ISSUER.to_owned(),
            sub: user,
            sid: session,
            iat: now.timestamp(),
            exp: (now + ACCESS_LASTS).timestamp(),
        };
        jsonwebtoken::encode(&header, &claims, &pair.signing)
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
        validation.set_audience(&[ISSUER]);
        validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
        // The time is compared by `check`, with the caller's clock.
        validation.validate_exp = false;
        let header = jsonwebtoken::decode_header(token).ok()?;
        if header.typ.as_deref() != Some(KIND) {
            return None;
        }
        // Until the token is known to be checked: `renew` forgets those that its keys are gone of after that.
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let pair = keys.iter().find(|pair| Some(&pair.id) == header.kid.as_ref())?;
        let claims =
            jsonwebtoken::decode::<Claims>(token, &pair.checking, &validation).ok()?.claims;
        let identity = Identity { user: claims.sub, session: claims.sid, expires: claims.exp };
        let mut checked = self.checked.write().unwrap_or_else(PoisonError::into_inner);
        if checked.len() >= CHECKED {
            checked.clear();
        }
        checked.insert(token.into(), identity);
        Some(identity)
    }
}

/// A refresh token: a session and which of its tokens it is, under our signature. Since each can be
/// made again, ten who refresh at once are given the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The session.
    pub session: SessionId,
    /// Which of its tokens, from 0.
    pub generation: i32,
}

impl RefreshToken {
    /// The token as the client keeps it.
    #[must_use]
    pub fn signed(self, key: &Key) -> String {
        let body = self.body();
        let mac = key.hash(&BASE64.encode(body));
        format!("{REFRESH}{}", BASE64.encode([&body[..], &mac].concat()))
    }

    /// The token that a client has; none when it is not ours.
    #[must_use]
    pub fn read(token: &str, keys: &KeyRing) -> Option<Self> {
        let bytes = BASE64.decode(token.strip_prefix(REFRESH)?).ok()?;
        let (body, mac) = bytes.split_first_chunk::<20>()?;
        let (session, generation) = body.split_first_chunk::<16>()?;
        let generation = i32::from_be_bytes(generation.try_into().ok()?);
        keys.is_hash(&BASE64.encode(body), mac)
            .then_some(Self { session: SessionId(Uuid::from_bytes(*session)), generation })
    }

    fn body(self) -> [u8; 20] {
        let mut body = [0; 20];
        body[..16].copy_from_slice(self.session.0.as_bytes());
        body[16..].copy_from_slice(&self.generation.to_be_bytes());
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Key;

    fn keys(numbers: &[u8]) -> Vec<DatedKey> {
        let from = DateTime::UNIX_EPOCH;
        numbers.iter().map(|n| DatedKey { key: Key::new([*n; 32]), from }).collect()
    }

    #[test]
    fn an_access_token_is_good_for_fifteen_minutes() {
        let tokens = Tokens::new(&keys(&[1])).expect("keys");
        let (user, session, now) =
            (UserId(Uuid::nil()), SessionId(Uuid::nil()), crate::clock::now());
        let token = tokens.issue(user, session, now).expect("a token");
        for (minutes, good) in [(0, true), (14, true), (16, false)] {
            let then = now + TimeDelta::minutes(minutes);
            assert_eq!(tokens.check(&token, then).is_some(), good, "after {minutes} minutes");
        }
    }

    #[test]
    fn what_a_retired_key_has_signed_is_good_no_more() {
        let tokens = Tokens::new(&keys(&[1])).expect("keys");
        let (user, session, now) =
            (UserId(Uuid::nil()), SessionId(Uuid::nil()), crate::clock::now());
        let token = tokens.issue(user, session, now).expect("a token");
        tokens.renew(&keys(&[1, 2])).expect("keys");
        assert!(tokens.check(&token, now).is_some());
        tokens.renew(&keys(&[2])).expect("keys");
        assert!(tokens.check(&token, now).is_none());
    }
}
