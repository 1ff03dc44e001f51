//! A key that an issuer signs with.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::EncodingKey;
use p256::SecretKey;
use p256::elliptic_curve::sec1::ToEncodedPoint;
use p256::pkcs8::EncodePrivateKey;
use serde_json::{Value, json};

/// A key of P-256, and the id that it is published under.
pub struct Key {
    pub id: String,
    secret: SecretKey,
}

impl Key {
    pub fn new(id: &str) -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("random bytes");
        Self { id: id.to_owned(), secret: SecretKey::from_slice(&bytes).expect("a key") }
    }

    pub fn signing(&self) -> EncodingKey {
        EncodingKey::from_ec_der(self.secret.to_pkcs8_der().expect("a key").as_bytes())
    }

    /// As it is published.
    pub fn public(&self) -> Value {
        let point = self.secret.public_key().to_encoded_point(false);
        let text = |part: Option<&p256::FieldBytes>| URL_SAFE_NO_PAD.encode(part.expect("a point"));
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.id,
            "x": text(point.x()), "y": text(point.y()),
        })
    }
}
