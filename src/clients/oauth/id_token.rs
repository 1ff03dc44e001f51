//! ID tokens of OpenID Connect: whose signature they bear, and what they must say (OpenID Connect
//! Core 1.0, 3.1.3.7).

use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, errors::ErrorKind};
use serde::Deserialize;
use serde_json::Value;

use super::attempt::Attempt;
use super::error::Lie;
use crate::clock;

/// The one that every provider has to know, and the one that those who left it use. None of them is
/// symmetric: the secret that both sides know proves nothing.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];
/// Seconds by which the clocks of two servers may differ.
const LEEWAY: i64 = 60;
/// The longest id of a person, by OpenID Connect Core 1.0, 2.
const LONGEST_SUBJECT: usize = 255;

/// A provider's keys.
pub(super) struct Keys(Vec<Jwk>);

/// A set of keys as it is published. What kinds of keys there are grows: those that are not known are
/// left out, one by one (RFC 7517, 5).
#[derive(Deserialize)]
pub(super) struct KeySet {
    keys: Vec<Value>,
}

/// What an ID token says.
#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    pub(super) sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nonce: Option<String>,
    pub(super) email: Option<String>,
    pub(super) email_verified: Option<bool>,
    pub(super) name: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl From<KeySet> for Keys {
    fn from(set: KeySet) -> Self {
        Self(set.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
    }
}

impl Keys {
    /// What the token says, when it is signed with one of these keys.
    pub(super) fn open(&self, token: &str) -> Result<Claims, Lie> {
        let header = decode_header(token).map_err(|error| lie(error.kind()))?;
        // What a token declares critical must be understood, and nothing is.
        if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
            return Err(Lie::Algorithm);
        }
        let key = self.find(header.kid.as_deref(), header.alg).ok_or(Lie::UnknownKey)?;
        let key = DecodingKey::from_jwk(key).map_err(|_| Lie::UnknownKey)?;
        let mut validation = Validation::new(header.alg);
        // What the token says is checked by `Claims::check`, with the clock of the house.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let token =
            decode::<Claims>(token, &key, &validation).map_err(|error| lie(error.kind()))?;
        Ok(token.claims)
    }

    /// The key of this id; a token need not name the key where there is but one.
    fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Option<&Jwk> {
        let key = match (id, &self.0[..]) {
            (Some(id), keys) => keys.iter().find(|key| key.common.key_id.as_deref() == Some(id))?,
            (None, [key]) => key,
            (None, _) => return None,
        };
        let by = key.common.key_algorithm;
        let signs = matches!(key.common.public_key_use, None | Some(PublicKeyUse::Signature));
        (signs && by.is_none_or(|by| by == KeyAlgorithm::from(algorithm))).then_some(key)
    }
}

impl Claims {
    /// Refuses what this issuer did not say to this client, for this attempt, now.
    pub(super) fn check(&self, issuer: &str, client: &str, attempt: &Attempt) -> Result<(), Lie> {
        let (now, began) = (clock::now().timestamp(), attempt.begun_at.timestamp());
        let of_now = began - LEEWAY <= self.iat && self.iat <= now + LEEWAY;
        let rules = [
            (self.iss == issuer, Lie::Issuer),
            (self.is_for(client), Lie::Audience),
            (self.is_issued_to(client), Lie::AuthorizedParty),
            (self.exp > now - LEEWAY, Lie::Expired),
            (of_now, Lie::IssuedAt),
            (attempt.has_nonce(self.nonce.as_deref()), Lie::Nonce),
            ((1..=LONGEST_SUBJECT).contains(&self.sub.len()), Lie::Subject),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, lie)| Err(lie))
    }

    fn is_for(&self, client: &str) -> bool {
        match &self.aud {
            Audience::One(audience) => audience == client,
            Audience::Several(audiences) => audiences.iter().any(|audience| audience == client),
        }
    }

    /// A token for several says to whom of them it was issued.
    fn is_issued_to(&self, client: &str) -> bool {
        match (&self.azp, &self.aud) {
            (Some(party), _) => party == client,
            (None, Audience::One(_)) => true,
            (None, Audience::Several(audiences)) => audiences.len() == 1,
        }
    }
}

/// What is wrong with a token that cannot be opened.
fn lie(error: &ErrorKind) -> Lie {
    match error {
        ErrorKind::InvalidSignature => Lie::Signature,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidKeyFormat => Lie::Algorithm,
        _ => Lie::Malformed,
    }
}
