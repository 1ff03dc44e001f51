//! What an issuer says of itself and of people, truly or not.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::double::CLIENT_SECRET;
use crate::keys::Key;

/// Changes what an ID token or a discovery document says.
type Change = Box<dyn Fn(&mut Value) + Send>;

/// What an issuer signs, and what it changes before.
pub struct Signing {
    pub key: Key,
    pub how: How,
    pub claims: Option<Change>,
    pub document: Option<Change>,
    /// The `iss` of callbacks, where it is not the issuer's.
    pub callback: Callback,
    /// Published with the key.
    pub others: Vec<Value>,
}

/// How an ID token is signed.
pub enum How {
    Well,
    /// With another key under the same id.
    Forged,
    /// Not at all.
    Not,
    /// With what the client knows, too.
    WithTheSecret,
    /// Well, by a header that the key's owner would not write.
    Saying(fn(&mut Header)),
}

/// What a callback says of its issuer.
pub enum Callback {
    Truth,
    Nothing,
    Lie,
}

impl Default for Signing {
    fn default() -> Self {
        Self {
            key: Key::new("first"),
            how: How::Well,
            claims: None,
            document: None,
            callback: Callback::Truth,
            others: Vec::new(),
        }
    }
}

impl Signing {
    pub fn discovery(&self, url: &str) -> Value {
        let mut document = json!({
            "issuer": url,
            "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
            "jwks_uri": format!("{url}/keys"),
            "authorization_response_iss_parameter_supported": true,
        });
        if let Some(change) = &self.document {
            change(&mut document);
        }
        document
    }

    pub fn keys(&self) -> Value {
        let mut keys = self.others.clone();
        keys.push(self.key.public());
        json!({ "keys": keys })
    }

    pub fn callback_issuer(&self, url: &str) -> Option<String> {
        match self.callback {
            Callback::Truth => Some(url.to_owned()),
            Callback::Nothing => None,
            Callback::Lie => Some("https://elsewhere.example".to_owned()),
        }
    }

    pub fn id_token(&self, url: &str, client: &str, nonce: Option<&str>) -> String {
        let now = saldo::clock::now().timestamp();
        let mut claims = json!({
            "iss": url, "sub": "ada", "aud": client, "azp": client, "nonce": nonce,
            "iat": now, "exp": now + 600,
            "email": "ada@example.com", "email_verified": true, "name": "Ada Lovelace",
        });
        if let Some(change) = &self.claims {
            change(&mut claims);
        }
        let mut header = Header { kid: Some(self.key.id.clone()), ..Header::new(Algorithm::ES256) };
        let key = match self.how {
            How::Well => self.key.signing(),
            How::Forged => Key::new("forged").signing(),
            How::Not => return unsigned(&claims),
            How::WithTheSecret => {
                header.alg = Algorithm::HS256;
                EncodingKey::from_secret(CLIENT_SECRET.as_bytes())
            }
            How::Saying(change) => {
                change(&mut header);
                self.key.signing()
            }
        };
        encode(&header, &claims, &key).expect("a token")
    }
}

fn unsigned(claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(&json!({ "alg": "none", "typ": "JWT" })), part(claims))
}
