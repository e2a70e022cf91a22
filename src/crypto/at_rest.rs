//! Encryption of what the database keeps (AES-256-GCM): keys, when a master key is set, and emails that wait.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};

use crate::domain::entropy::Entropy;

/// First byte of a stored value: how to read the rest.
const PLAIN: u8 = 0;
const SEALED: u8 = 1;

/// Why a stored key cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AtRestError {
    #[error("the stored keys are encrypted: set VESTIBULE_MASTER_KEY to the value they were made with")]
    MasterKeyMissing,
    #[error("VESTIBULE_MASTER_KEY does not fit the stored keys, or they were tampered with")]
    MasterKeyWrong,
    #[error("a stored key is damaged")]
    Damaged,
    #[error("encryption failed")]
    Failed,
}

/// Seals and opens what the database keeps. Without a master key, values stand in the clear.
pub struct AtRest(Option<LessSafeKey>);

impl AtRest {
    /// The key is the SHA-256 of the master key, which therefore should be long and random itself.
    pub fn new(master_key: Option<&SecretString>) -> Result<Self, AtRestError> {
        let key =
            master_key.map(|m| UnboundKey::new(&AES_256_GCM, &Sha256::digest(m.expose_secret().as_bytes())));
        Ok(Self(key.transpose().map_err(|_| AtRestError::Failed)?.map(LessSafeKey::new)))
    }

    /// Seals with a key that is random already.
    pub fn with_key(key: &[u8; 32]) -> Result<Self, AtRestError> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| AtRestError::Failed)?;
        Ok(Self(Some(LessSafeKey::new(key))))
    }

    /// `name` says what the value is; a value put in another's place does not open.
    pub fn seal(&self, name: &str, value: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, AtRestError> {
        let Some(key) = &self.0 else { return Ok([&[PLAIN], value].concat()) };
        let mut nonce = [0; NONCE_LEN];
        entropy.fill(&mut nonce);
        let mut sealed = value.to_vec();
        key.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name.as_bytes()),
            &mut sealed,
        )
        .map_err(|_| AtRestError::Failed)?;
        Ok([&[SEALED][..], &nonce, &sealed].concat())
    }

    pub fn open(&self, name: &str, stored: &[u8]) -> Result<Vec<u8>, AtRestError> {
        match stored.split_first() {
            Some((&PLAIN, value)) => Ok(value.to_vec()),
            Some((&SEALED, rest)) if rest.len() > NONCE_LEN => {
                let key = self.0.as_ref().ok_or(AtRestError::MasterKeyMissing)?;
                let (nonce, sealed) = rest.split_at(NONCE_LEN);
                let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| AtRestError::Damaged)?;
                let mut value = sealed.to_vec();
                let opened = key
                    .open_in_place(nonce, Aad::from(name.as_bytes()), &mut value)
                    .map_err(|_| AtRestError::MasterKeyWrong)?;
                Ok(opened.to_vec())
            }
            _ => Err(AtRestError::Damaged),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::entropy::SystemEntropy;

    fn at_rest(master: Option<&str>) -> AtRest {
        AtRest::new(master.map(SecretString::from).as_ref()).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_master_key_and_name_only() {
        let sealed = at_rest(Some("m")).seal("key", b"value", &SystemEntropy).unwrap();
        assert!(!sealed.windows(5).any(|w| w == b"value"));
        assert_eq!(at_rest(Some("m")).open("key", &sealed).unwrap(), b"value");
        assert_eq!(at_rest(Some("other")).open("key", &sealed), Err(AtRestError::MasterKeyWrong));
        assert_eq!(at_rest(Some("m")).open("secret", &sealed), Err(AtRestError::MasterKeyWrong));
        assert_eq!(at_rest(None).open("key", &sealed), Err(AtRestError::MasterKeyMissing));
        assert_eq!(at_rest(None).open("key", &[]), Err(AtRestError::Damaged));
    }

    #[test]
    fn values_from_before_the_master_key_still_open() {
        let plain = at_rest(None).seal("key", b"value", &SystemEntropy).unwrap();
        assert_eq!(at_rest(Some("m")).open("key", &plain).unwrap(), b"value");
    }
}
