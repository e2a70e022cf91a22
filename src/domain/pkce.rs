//! Proof Key for Code Exchange (RFC 7636), method S256 only.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// An S256 code challenge: 43 base64url characters.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct CodeChallenge(String);

/// Why a verifier was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PkceRefusal {
    #[error("code_verifier is missing: the authorization request carried a code_challenge")]
    VerifierMissing,
    /// RFC 9700 §2.1.1: the downgrade that strips the challenge must not go unnoticed.
    #[error("code_verifier was sent, but the authorization request carried no code_challenge")]
    VerifierUnexpected,
    #[error("code_verifier does not match the code_challenge")]
    Mismatch,
}

impl CodeChallenge {
    /// Accepts the base64url text of a SHA-256 digest.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed =
            text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The challenge of a verifier.
    pub fn of(verifier: &str) -> Self {
        Self(URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn matches(&self, verifier: &str) -> bool {
        Self::of(verifier).0.as_bytes().ct_eq(self.0.as_bytes()).into()
    }
}

/// Checks the verifier of a token request against the challenge of its authorization request (RFC 7636 §4.6).
pub fn check(challenge: Option<&CodeChallenge>, verifier: Option<&str>) -> Result<(), PkceRefusal> {
    match (challenge, verifier.filter(|v| !v.is_empty())) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(PkceRefusal::VerifierUnexpected),
        (Some(_), None) => Err(PkceRefusal::VerifierMissing),
        (Some(c), Some(v)) if (43..=128).contains(&v.len()) && c.matches(v) => Ok(()),
        (Some(_), Some(_)) => Err(PkceRefusal::Mismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7636 appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_the_specification_verifies() {
        let challenge = CodeChallenge::parse(CHALLENGE).unwrap();
        assert_eq!(CodeChallenge::of(VERIFIER).as_str(), CHALLENGE);
        assert_eq!(check(Some(&challenge), Some(VERIFIER)), Ok(()));
    }

    #[test]
    fn wrong_missing_and_unexpected_verifiers_are_told_apart() {
        let challenge = CodeChallenge::parse(CHALLENGE).unwrap();
        let wrong = VERIFIER.replace('d', "e");
        assert_eq!(check(Some(&challenge), Some(&wrong)), Err(PkceRefusal::Mismatch));
        assert_eq!(check(Some(&challenge), Some(CHALLENGE)), Err(PkceRefusal::Mismatch));
        assert_eq!(check(Some(&challenge), None), Err(PkceRefusal::VerifierMissing));
        assert_eq!(check(None, Some(VERIFIER)), Err(PkceRefusal::VerifierUnexpected));
        assert_eq!(check(None, Some("")), Ok(()));
    }

    #[test]
    fn only_the_shape_of_a_sha256_is_a_challenge() {
        for bad in ["", "short", &"a".repeat(44), &"a".repeat(42), &"=".repeat(43)] {
            assert!(CodeChallenge::parse(bad).is_none(), "{bad}");
        }
    }
}
