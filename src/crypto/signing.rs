//! RS256 signing keys. The `rsa` crate makes them and encodes their numbers; every signature is made by aws-lc-rs
//! with the parsed key kept, since parsing costs more than half of a signature.

use std::sync::Arc;

use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rsa::traits::PublicKeyParts as _;
use serde::{Serialize, de::DeserializeOwned};

use super::entropy::EntropyRng;
use crate::domain::clock::UnixMs;
use crate::domain::entropy::Entropy;

/// Key size in bits (RFC 7518 §3.3 asks for 2048 or more).
const KEY_BITS: usize = 2048;

/// `typ` of all tokens but logout tokens.
const JWT: &str = "JWT";

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error("a signing key could not be generated")]
    Generation,
    #[error("a stored signing key cannot be read")]
    Unreadable,
    #[error("there is no signing key")]
    NoKey,
    #[error("a token could not be signed")]
    Failed,
}

/// Makes a new RSA key: PKCS#8 DER. Takes a good tenth of a second, so call it where blocking is allowed.
pub fn generate_pkcs8(entropy: &dyn Entropy) -> Result<Vec<u8>, SigningError> {
    let key =
        rsa::PrivateKey::new(&mut EntropyRng(entropy), KEY_BITS).map_err(|_| SigningError::Generation)?;
    let der = key.to_pkcs8_der().map_err(|_| SigningError::Generation)?;
    Ok(der.as_bytes().to_vec())
}

/// A public key as `/keys` shows it (RFC 7517 §4, RFC 7518 §6.3.1).
#[derive(Debug, Clone, Serialize)]
pub struct Jwk {
    pub kty: &'static str,
    pub r#use: &'static str,
    pub alg: &'static str,
    pub kid: String,
    pub n: String,
    pub e: String,
}

/// One key, parsed once.
pub struct SigningKey {
    pub sequence: i64,
    pub signs_from_ms: UnixMs,
    jwk: Jwk,
    key_pair: KeyPair,
    /// The encoded JOSE header with its dot, the same for every token.
    header: String,
    verifier: DecodingKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({}, [redacted])", self.jwk.kid)
    }
}

impl SigningKey {
    pub fn from_pkcs8(
        sequence: i64,
        kid: &str,
        signs_from_ms: UnixMs,
        der: &[u8],
    ) -> Result<Self, SigningError> {
        let unreadable = |_| SigningError::Unreadable;
        let numbers = rsa::PrivateKey::from_pkcs8_der(der).map_err(|_| SigningError::Unreadable)?;
        let n = URL_SAFE_NO_PAD.encode(numbers.n_bytes());
        let e = URL_SAFE_NO_PAD.encode(numbers.e_bytes());
        let verifier = DecodingKey::from_rsa_components(&n, &e).map_err(|_| SigningError::Unreadable)?;
        Ok(Self {
            sequence,
            signs_from_ms,
            key_pair: KeyPair::from_pkcs8(der).map_err(unreadable)?,
            header: encoded_header(kid, JWT),
            verifier,
            jwk: Jwk { kty: "RSA", r#use: "sig", alg: "RS256", kid: kid.to_owned(), n, e },
        })
    }

    pub fn kid(&self) -> &str {
        &self.jwk.kid
    }

    /// A compact JWS over the claims (RFC 7515 §3.1, RFC 7518 §3.3).
    pub fn sign(&self, claims: &impl Serialize) -> Result<String, SigningError> {
        self.sign_under(self.header.clone(), claims)
    }

    /// The same with another `typ` in the header (RFC 8725 §3.11), so that one kind of token is never taken for another.
    pub fn sign_typed(&self, typ: &str, claims: &impl Serialize) -> Result<String, SigningError> {
        self.sign_under(encoded_header(self.kid(), typ), claims)
    }

    /// The same under another key's name: a token that nobody can verify.
    pub fn sign_as(&self, kid: &str, claims: &impl Serialize) -> Result<String, SigningError> {
        self.sign_under(encoded_header(kid, JWT), claims)
    }

    fn sign_under(&self, header: String, claims: &impl Serialize) -> Result<String, SigningError> {
        let payload = serde_json::to_vec(claims).map_err(|_| SigningError::Failed)?;
        let mut token = header;
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let mut signature = vec![0; self.key_pair.public_modulus_len()];
        let random = aws_lc_rs::rand::SystemRandom::new();
        self.key_pair
            .sign(&RSA_PKCS1_SHA256, &random, token.as_bytes(), &mut signature)
            .map_err(|_| SigningError::Failed)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// The JOSE header with its dot.
fn encoded_header(kid: &str, typ: &str) -> String {
    let header = serde_json::json!({ "alg": "RS256", "kid": kid, "typ": typ });
    format!("{}.", URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// Why a token is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRejection {
    #[error("the token is malformed")]
    Malformed,
    #[error("the token is of another type")]
    OtherType,
    #[error("the token was signed with a key that is not known here")]
    UnknownKey,
    #[error("the token's signature is not valid")]
    BadSignature,
}

/// All keys of an environment, oldest first.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<Arc<SigningKey>>);

impl KeySet {
    pub fn new(keys: Vec<Arc<SigningKey>>) -> Self {
        Self(keys)
    }

    pub fn keys(&self) -> &[Arc<SigningKey>] {
        &self.0
    }

    /// The newest key whose time has come; a newer one may already be published.
    pub fn signing_key(&self, now_ms: UnixMs) -> Result<&SigningKey, SigningError> {
        let ready = self.0.iter().rev().find(|k| k.signs_from_ms <= now_ms);
        ready.or(self.0.first()).map(AsRef::as_ref).ok_or(SigningError::NoKey)
    }

    /// The key set document (RFC 7517 §5).
    pub fn jwks(&self) -> serde_json::Value {
        serde_json::json!({ "keys": self.0.iter().map(|k| &k.jwk).collect::<Vec<_>>() })
    }

    /// Verifies the signature of a token that is no logout token; times and audience are the caller's to judge, by its own clock.
    pub fn verify<T: DeserializeOwned>(&self, token: &str) -> Result<T, TokenRejection> {
        self.verify_typed(JWT, token)
    }

    /// The same for tokens with this `typ` (RFC 8725 §3.11).
    pub fn verify_typed<T: DeserializeOwned>(&self, typ: &str, token: &str) -> Result<T, TokenRejection> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| TokenRejection::Malformed)?;
        if header.typ.as_deref() != Some(typ) {
            return Err(TokenRejection::OtherType);
        }
        let key = self
            .0
            .iter()
            .find(|k| Some(k.kid()) == header.kid.as_deref())
            .ok_or(TokenRejection::UnknownKey)?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        jsonwebtoken::decode::<T>(token, &key.verifier, &validation)
            .map(|t| t.claims)
            .map_err(|_| TokenRejection::BadSignature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::SystemEntropy;
    use serde_json::{Value, json};

    fn key(sequence: i64, signs_from_ms: i64) -> Arc<SigningKey> {
        let der = generate_pkcs8(&SystemEntropy).unwrap();
        Arc::new(SigningKey::from_pkcs8(sequence, &format!("snk_{sequence}"), signs_from_ms, &der).unwrap())
    }

    #[test]
    fn a_signed_token_verifies_and_a_changed_one_does_not() {
        let keys = KeySet::new(vec![key(1, 0)]);
        let token = keys.signing_key(0).unwrap().sign(&json!({ "sub": "x" })).unwrap();
        assert_eq!(keys.verify::<Value>(&token).unwrap()["sub"], "x");
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!((header.typ.as_deref(), header.kid.as_deref()), (Some("JWT"), Some("snk_1")));
        let parts: Vec<&str> = token.split('.').collect();
        let forged = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(r#"{"sub":"y"}"#), parts[2]);
        assert_eq!(keys.verify::<Value>(&forged), Err(TokenRejection::BadSignature));
        let unsigned = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"snk_1"}"#), parts[1]);
        assert!(keys.verify::<Value>(&unsigned).is_err());
        assert_eq!(KeySet::new(vec![key(2, 0)]).verify::<Value>(&token), Err(TokenRejection::UnknownKey));
        assert_eq!(keys.verify::<Value>("nonsense"), Err(TokenRejection::Malformed));
    }

    #[test]
    fn a_token_of_one_type_is_never_taken_for_another() {
        let keys = KeySet::new(vec![key(1, 0)]);
        let token = keys.signing_key(0).unwrap().sign_typed("logout+jwt", &json!({ "sub": "x" })).unwrap();
        assert_eq!(keys.verify::<Value>(&token), Err(TokenRejection::OtherType));
        assert!(keys.verify_typed::<Value>("logout+jwt", &token).is_ok());
    }

    #[test]
    fn a_new_key_is_published_before_it_signs_and_the_old_one_still_verifies() {
        let keys = KeySet::new(vec![key(1, 0), key(2, 60_000)]);
        assert_eq!(keys.jwks()["keys"].as_array().unwrap().len(), 2);
        assert_eq!(keys.signing_key(59_999).unwrap().kid(), "snk_1");
        assert_eq!(keys.signing_key(60_000).unwrap().kid(), "snk_2");
        let old = keys.signing_key(0).unwrap().sign(&json!({ "sub": "x" })).unwrap();
        assert!(keys.verify::<Value>(&old).is_ok());
    }
}
