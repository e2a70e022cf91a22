//! Which secrets are good enough.

use secrecy::{ExposeSecret as _, SecretString};

use super::DEFAULT_CLIENT_SECRET;
use super::setting::Setting;
use super::source::Source;
use crate::crypto::client_secrets::is_hash_of;
use crate::domain::client::{Client, ClientKind, ClientSecret};

/// Characters that a secret has at least.
const MIN_LENGTH: usize = 16;

/// How many of them differ at least.
const MIN_DIFFERENT: usize = 8;

const WELL_KNOWN: &str = "is the well-known development secret, which is accepted on a loopback listener in development \
    mode only: set one of your own (VESTIBULE_CLIENT_ID and VESTIBULE_CLIENT_SECRET, or [[clients]]); \
    `openssl rand -base64 32` makes one";
const EASY_TO_GUESS: &str = "is too easy to guess: it needs at least 16 characters, 8 of them different; `openssl rand -base64 32` makes one";

/// A secret of the operator's own, which has to be hard to guess wherever the server listens.
pub(super) fn read_secret(
    source: &mut Source,
    setting: &Setting<Option<&'static str>>,
) -> Option<SecretString> {
    let secret = source.optional_text(setting)?;
    if let Some(weakness) = weakness(&secret) {
        source.problem(setting.key(), weakness);
    }
    Some(SecretString::from(secret))
}

/// What is wrong with a secret that has to keep others out.
fn weakness(secret: &str) -> Option<&'static str> {
    if secret == DEFAULT_CLIENT_SECRET {
        return Some(WELL_KNOWN);
    }
    let characters: Vec<char> = secret.chars().collect();
    let different: std::collections::BTreeSet<&char> = characters.iter().collect();
    (characters.len() < MIN_LENGTH || different.len() < MIN_DIFFERENT).then_some(EASY_TO_GUESS)
}

/// The same of one whose argon2 hash is all there is.
fn weakness_of_hash(hash: &str) -> Option<&'static str> {
    is_hash_of(hash, DEFAULT_CLIENT_SECRET).then_some(WELL_KNOWN)
}

/// Which client secrets are good enough.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum SecretRules {
    /// Only this machine can connect, and nobody real signs in.
    Any,
    HardToGuess,
}

impl SecretRules {
    pub(super) fn check(self, source: &mut Source, key: &str, secret: &str) {
        self.check_with(source, key, || weakness(secret));
    }

    pub(super) fn check_hash(self, source: &mut Source, key: &str, hash: &str) {
        self.check_with(source, key, || weakness_of_hash(hash));
    }

    fn check_with(self, source: &mut Source, key: &str, weakness: impl Fn() -> Option<&'static str>) {
        if self == Self::HardToGuess
            && let Some(weakness) = weakness()
        {
            source.problem(key, weakness);
        }
    }
}

/// Does this client authenticate with the secret that everybody knows? For a hash, this takes as long as computing one.
pub fn has_well_known_secret(client: &Client) -> bool {
    let ClientKind::Web { secrets } = &client.kind else { return false };
    secrets.iter().any(|secret| match secret {
        ClientSecret::Plain(secret) => secret.expose_secret() == DEFAULT_CLIENT_SECRET,
        ClientSecret::Argon2(hash) => is_hash_of(hash, DEFAULT_CLIENT_SECRET),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::client_secrets::hash_secret;
    use crate::crypto::entropy::SystemEntropy;

    #[test]
    fn a_secret_is_neither_known_nor_short_nor_made_of_a_few_characters() {
        assert_eq!(weakness(DEFAULT_CLIENT_SECRET), Some(WELL_KNOWN));
        for weak in ["", "x", "secret", "fifteen_letters", "aaaaaaaaaaaaaaaaaaaaaaaa", "abcabcabcabcabcabc"] {
            assert_eq!(weakness(weak), Some(EASY_TO_GUESS), "{weak}");
        }
        for good in ["a-token-that-is-long-enough", "3q2+7wQ5T1u9yZ0b", "пароль длинный достаточно"]
        {
            assert_eq!(weakness(good), None, "{good}");
        }
        let hash = |secret| hash_secret(secret, &SystemEntropy).unwrap();
        assert_eq!(weakness_of_hash(&hash(DEFAULT_CLIENT_SECRET)), Some(WELL_KNOWN));
        assert_eq!(weakness_of_hash(&hash("another")), None);
    }
}
