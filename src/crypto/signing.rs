//! Signing keys: RS256, and ES256 for clients that ask for it. The `rsa` crate makes RSA keys and encodes their numbers;
//! everything else, and every signature, is aws-lc-rs with the parsed key kept, since parsing costs more than half of
//! an RSA signature.

use std::sync::Arc;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use rsa::traits::PublicKeyParts as _;
use serde::{Serialize, de::DeserializeOwned};

use super::entropy::EntropyRng;
use crate::domain::clock::UnixMs;
use crate::domain::entropy::Entropy;
use crate::domain::signing_algorithm::SigningAlgorithm;

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

/// Makes a new key: PKCS#8 DER. RSA takes a good tenth of a second, so call it where blocking is allowed.
pub fn generate_pkcs8(algorithm: SigningAlgorithm, entropy: &dyn Entropy) -> Result<Vec<u8>, SigningError> {
    match algorithm {
        SigningAlgorithm::Rs256 => generate_rsa(entropy),
        // aws-lc-rs takes no foreign randomness. Keys are never repeatable anyway.
        SigningAlgorithm::Es256 => {
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map(|der| der.as_ref().to_vec())
                .map_err(|_| SigningError::Generation)
        }
    }
}

fn generate_rsa(entropy: &dyn Entropy) -> Result<Vec<u8>, SigningError> {
    let key =
        rsa::PrivateKey::new(&mut EntropyRng(entropy), KEY_BITS).map_err(|_| SigningError::Generation)?;
    let der = key.to_pkcs8_der().map_err(|_| SigningError::Generation)?;
    Ok(der.as_bytes().to_vec())
}

/// A public key as `/keys` shows it (RFC 7517 §4).
#[derive(Debug, Clone, Serialize)]
pub struct Jwk {
    pub kty: &'static str,
    pub r#use: &'static str,
    pub alg: &'static str,
    pub kid: String,
    #[serde(flatten)]
    pub numbers: PublicNumbers,
}

/// What a public key is, base64url.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum PublicNumbers {
    /// RFC 7518 §6.3.1
    Rsa { n: String, e: String },
    /// RFC 7518 §6.2.1
    Ec { crv: &'static str, x: String, y: String },
}

enum PrivateKey {
    Rsa(KeyPair),
    Ec(EcdsaKeyPair),
}

/// One key, parsed once.
pub struct SigningKey {
    pub sequence: i64,
    pub signs_from_ms: UnixMs,
    jwk: Jwk,
    algorithm: SigningAlgorithm,
    private_key: PrivateKey,
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
        let (algorithm, private_key, numbers, verifier) = read_pkcs8(der)?;
        let kty = match &numbers {
            PublicNumbers::Rsa { .. } => "RSA",
            PublicNumbers::Ec { .. } => "EC",
        };
        Ok(Self {
            sequence,
            signs_from_ms,
            algorithm,
            private_key,
            header: encoded_header(algorithm, kid, JWT),
            verifier,
            jwk: Jwk { kty, r#use: "sig", alg: algorithm.as_str(), kid: kid.to_owned(), numbers },
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
        self.sign_under(encoded_header(self.algorithm, self.kid(), typ), claims)
    }

    /// The same under another key's name: a token that nobody can verify.
    pub fn sign_as(&self, kid: &str, claims: &impl Serialize) -> Result<String, SigningError> {
        self.sign_under(encoded_header(self.algorithm, kid, JWT), claims)
    }

    fn sign_under(&self, header: String, claims: &impl Serialize) -> Result<String, SigningError> {
        let payload = serde_json::to_vec(claims).map_err(|_| SigningError::Failed)?;
        let mut token = header;
        URL_SAFE_NO_PAD.encode_string(payload, &mut token);
        let random = SystemRandom::new();
        let signature = match &self.private_key {
            PrivateKey::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, token.as_bytes(), &mut signature).map(|()| signature)
            }
            PrivateKey::Ec(key) => key.sign(&random, token.as_bytes()).map(|s| s.as_ref().to_vec()),
        };
        let signature = signature.map_err(|_| SigningError::Failed)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

/// The kind of a stored key is told by what it is.
fn read_pkcs8(
    der: &[u8],
) -> Result<(SigningAlgorithm, PrivateKey, PublicNumbers, DecodingKey), SigningError> {
    if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
        // An uncompressed point: 4, x, y (SEC 1 §2.3.3).
        let point = key.public_key().as_ref();
        let (Some(x), Some(y)) = (point.get(1..33), point.get(33..65)) else {
            return Err(SigningError::Unreadable);
        };
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let verifier = DecodingKey::from_ec_components(&x, &y).map_err(|_| SigningError::Unreadable)?;
        let numbers = PublicNumbers::Ec { crv: "P-256", x, y };
        return Ok((SigningAlgorithm::Es256, PrivateKey::Ec(key), numbers, verifier));
    }
    let numbers = rsa::PrivateKey::from_pkcs8_der(der).map_err(|_| SigningError::Unreadable)?;
    let n = URL_SAFE_NO_PAD.encode(numbers.n_bytes());
    let e = URL_SAFE_NO_PAD.encode(numbers.e_bytes());
    let verifier = DecodingKey::from_rsa_components(&n, &e).map_err(|_| SigningError::Unreadable)?;
    let key = KeyPair::from_pkcs8(der).map_err(|_| SigningError::Unreadable)?;
    Ok((SigningAlgorithm::Rs256, PrivateKey::Rsa(key), PublicNumbers::Rsa { n, e }, verifier))
}

/// The JOSE header with its dot.
fn encoded_header(algorithm: SigningAlgorithm, kid: &str, typ: &str) -> String {
    let header = serde_json::json!({ "alg": algorithm.as_str(), "kid": kid, "typ": typ });
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

    /// The place of the next key.
    pub fn next_sequence(&self) -> i64 {
        self.0.last().map_or(1, |k| k.sequence + 1)
    }

    /// Keys of an algorithm whose time has come, the newest first; newer ones may already be published. Behind them the
    /// oldest, for a clock that is behind.
    pub fn signing_keys(
        &self,
        algorithm: SigningAlgorithm,
        now_ms: UnixMs,
    ) -> impl Iterator<Item = &Arc<SigningKey>> {
        let mut fitting = self.0.iter().filter(move |k| k.algorithm == algorithm);
        let ready = fitting.clone().rev().filter(move |k| k.signs_from_ms <= now_ms);
        ready.chain(fitting.next())
    }

    /// The newest key of an algorithm whose time has come.
    pub fn signing_key(
        &self,
        algorithm: SigningAlgorithm,
        now_ms: UnixMs,
    ) -> Result<&SigningKey, SigningError> {
        self.signing_keys(algorithm, now_ms).next().map(AsRef::as_ref).ok_or(SigningError::NoKey)
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
        // The key decides, never the token.
        let mut validation = Validation::new(match key.algorithm {
            SigningAlgorithm::Rs256 => Algorithm::RS256,
            SigningAlgorithm::Es256 => Algorithm::ES256,
        });
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
        key_for(SigningAlgorithm::Rs256, sequence, signs_from_ms)
    }

    fn key_for(algorithm: SigningAlgorithm, sequence: i64, signs_from_ms: i64) -> Arc<SigningKey> {
        let der = generate_pkcs8(algorithm, &SystemEntropy).unwrap();
        Arc::new(SigningKey::from_pkcs8(sequence, &format!("snk_{sequence}"), signs_from_ms, &der).unwrap())
    }

    #[test]
    fn an_elliptic_key_signs_for_those_who_ask_for_it_and_its_algorithm_is_not_to_be_swapped() {
        let keys = KeySet::new(vec![key(1, 0), key_for(SigningAlgorithm::Es256, 2, 0)]);
        assert_eq!(keys.signing_key(SigningAlgorithm::Rs256, 0).unwrap().kid(), "snk_1");
        let elliptic = keys.signing_key(SigningAlgorithm::Es256, 0).unwrap();
        let token = elliptic.sign(&json!({ "sub": "x" })).unwrap();
        let header = jsonwebtoken::decode_header(&token).unwrap();
        assert_eq!((header.alg, header.kid.as_deref()), (Algorithm::ES256, Some("snk_2")));
        assert_eq!(keys.verify::<Value>(&token).unwrap()["sub"], "x");
        let jwk = &keys.jwks()["keys"][1];
        assert_eq!((&jwk["kty"], &jwk["crv"], &jwk["alg"]), (&json!("EC"), &json!("P-256"), &json!("ES256")));
        // The same signature under the name of the other key, or as another algorithm.
        let rest = token.split_once('.').unwrap().1;
        for header in
            [r#"{"alg":"ES256","kid":"snk_1","typ":"JWT"}"#, r#"{"alg":"RS256","kid":"snk_2","typ":"JWT"}"#]
        {
            let forged = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
            assert_eq!(keys.verify::<Value>(&forged), Err(TokenRejection::BadSignature), "{header}");
        }
        assert!(KeySet::new(vec![key(1, 0)]).signing_key(SigningAlgorithm::Es256, 0).is_err());
    }

    #[test]
    fn a_signed_token_verifies_and_a_changed_one_does_not() {
        let keys = KeySet::new(vec![key(1, 0)]);
        let token =
            keys.signing_key(SigningAlgorithm::Rs256, 0).unwrap().sign(&json!({ "sub": "x" })).unwrap();
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
        let token = keys
            .signing_key(SigningAlgorithm::Rs256, 0)
            .unwrap()
            .sign_typed("logout+jwt", &json!({ "sub": "x" }))
            .unwrap();
        assert_eq!(keys.verify::<Value>(&token), Err(TokenRejection::OtherType));
        assert!(keys.verify_typed::<Value>("logout+jwt", &token).is_ok());
    }

    #[test]
    fn a_new_key_is_published_before_it_signs_and_the_old_one_still_verifies() {
        let keys = KeySet::new(vec![key(1, 0), key(2, 60_000)]);
        assert_eq!(keys.jwks()["keys"].as_array().unwrap().len(), 2);
        assert_eq!(keys.signing_key(SigningAlgorithm::Rs256, 59_999).unwrap().kid(), "snk_1");
        assert_eq!(keys.signing_key(SigningAlgorithm::Rs256, 60_000).unwrap().kid(), "snk_2");
        let old = keys.signing_key(SigningAlgorithm::Rs256, 0).unwrap().sign(&json!({ "sub": "x" })).unwrap();
        assert!(keys.verify::<Value>(&old).is_ok());
    }
}
