//! Identifiers in Scalekit's form: a prefix, an underscore and decimal digits that grow with time.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};

use super::clock::UnixMs;
use super::entropy::{Entropy, secret_text};

/// 2020-01-01T00:00:00Z; identifiers count milliseconds from here.
const EPOCH_MS: UnixMs = 1_577_836_800_000;

/// Digits of an identifier.
const DIGITS: usize = 19;

/// What an identifier names, and thereby its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdKind {
    User,
    Organization,
    Session,
    /// `jti` of an access token.
    Token,
    /// `kid` of a signing key.
    SigningKey,
    /// What one completed authorization gave a client.
    Grant,
    Message,
    Environment,
    /// A rule for faults.
    Fault,
    ClientSecret,
    /// A sign-in that never became an authentication request.
    Flow,
    /// Something that happened to a record.
    Event,
    /// An email domain of an organization.
    Domain,
    /// A machine client of an organization.
    OrganizationClient,
    ApiToken,
    Role,
    Permission,
    WebhookEndpoint,
    Interceptor,
    /// A call of an interceptor.
    InterceptorCall,
}

impl IdKind {
    pub fn prefix(self) -> &'static str {
        match self {
            Self::User => "usr",
            Self::Organization => "org",
            Self::Session => "ses",
            Self::Token => "tkn",
            Self::SigningKey => "snk",
            Self::Grant => "grt",
            Self::Message => "msg",
            Self::Environment => "env",
            Self::Fault => "flt",
            Self::ClientSecret => "sks",
            Self::Flow => "flw",
            Self::Event => "evt",
            Self::Domain => "dom",
            Self::OrganizationClient => "m2morg",
            Self::ApiToken => "apit",
            Self::Role => "role",
            Self::Permission => "perm",
            Self::WebhookEndpoint => "whe",
            Self::Interceptor => "icp",
            Self::InterceptorCall => "icpc",
        }
    }
}

/// A new identifier: 19 digits, which keeps `usr_…` within the 19 to 25 characters Scalekit's messages allow.
pub fn new_id(kind: IdKind, now_ms: UnixMs, entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    let random = u64::from_le_bytes(bytes) % 10_000_000;
    let elapsed_ms = (now_ms - EPOCH_MS).clamp(0, 999_999_999_999);
    format!("{}_{elapsed_ms:012}{random:07}", kind.prefix())
}

/// The identifier of something that configuration names: the same at every start.
pub fn stable_id(kind: IdKind, name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    let number = digest.iter().take(8).fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    format!("{}_{:019}", kind.prefix(), number % 10_u64.pow(19))
}

/// Identifiers for many things made at once: a millisecond each, since the random part is too short for thousands of
/// one moment.
pub fn many_ids(kind: IdKind, now_ms: UnixMs, entropy: &dyn Entropy) -> impl FnMut() -> String {
    let mut time_ms = now_ms;
    move || {
        time_ms += 1;
        new_id(kind, time_ms, entropy)
    }
}

/// `jti` of an access token that comes from a grant: the grant's digits and eight more. So a token leads back to
/// its grant, and revoking that revokes the token, without a row per token.
pub fn token_id_of_grant(grant_id: &str, entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes);
    let digits = grant_id.strip_prefix("grt_").unwrap_or(grant_id);
    format!("tkn_{digits}{:08}", u64::from_le_bytes(bytes) % 100_000_000)
}

/// The grant an access token came from; `None` for a client's own token.
pub fn grant_of_token_id(jti: &str) -> Option<String> {
    let digits = jti.strip_prefix("tkn_")?;
    let is_from_grant = digits.len() == DIGITS + 8 && digits.bytes().all(|b| b.is_ascii_digit());
    is_from_grant.then(|| format!("grt_{}", &digits[..DIGITS]))
}

/// A secret that leads to what it opens: the digits of its identifier and 256 random bits. What it opens is found by its
/// key, where an index of secrets would grow at random places.
pub fn new_handle(id: &str, entropy: &dyn Entropy) -> String {
    let digits = id.split_once('_').map_or(id, |(_, digits)| digits);
    format!("{digits}_{}", secret_text(entropy))
}

/// The identifier of what a secret says it opens; `None`: it is not of this form.
pub fn handle_id(kind: IdKind, secret: &str) -> Option<String> {
    let (digits, _) = secret.split_once('_')?;
    let is_number = digits.len() == DIGITS && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| format!("{}_{digits}", kind.prefix()))
}

/// Identifier of an authentication request: the time, in hexadecimal milliseconds, and 224 random bits, because it is also
/// part of a page's address. 50 characters, as Scalekit's.
pub fn new_auth_request_id(now_ms: UnixMs, entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 28];
    entropy.fill(&mut bytes);
    format!("{:012x}{}", now_ms.clamp(0, 0xffff_ffff_ffff), URL_SAFE_NO_PAD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::Fixed;

    #[test]
    fn ids_have_prefix_and_digits_of_a_length_scalekit_accepts() {
        for byte in [0, 7, 255] {
            let id = new_id(IdKind::User, 1_795_000_000_000, &Fixed(byte));
            let digits = id.strip_prefix("usr_").unwrap();
            assert!(digits.bytes().all(|b| b.is_ascii_digit()), "{id}");
            assert!((19..=25).contains(&id.len()), "{id}");
        }
    }

    #[test]
    fn a_token_id_leads_back_to_its_grant() {
        let grant = new_id(IdKind::Grant, 1_795_000_000_000, &Fixed(9));
        assert_eq!(grant_of_token_id(&token_id_of_grant(&grant, &Fixed(3))), Some(grant));
        let own = new_id(IdKind::Token, 1_795_000_000_000, &Fixed(9));
        assert_eq!(grant_of_token_id(&own), None);
        assert_eq!(grant_of_token_id("tkn_é"), None);
    }

    #[test]
    fn ids_of_a_later_millisecond_sort_later() {
        let early = new_id(IdKind::Session, 1_795_000_000_000, &Fixed(255));
        assert!(early < new_id(IdKind::Session, 1_795_000_000_001, &Fixed(0)));
        let early = new_auth_request_id(1_795_000_000_000, &Fixed(255));
        assert!(early < new_auth_request_id(1_795_000_000_001, &Fixed(0)));
        assert_eq!(early.len(), 50);
    }

    #[test]
    fn a_secret_leads_to_what_it_opens_and_other_texts_lead_nowhere() {
        let session = new_id(IdKind::Session, 1_795_000_000_000, &Fixed(9));
        let secret = new_handle(&session, &Fixed(3));
        assert_eq!(handle_id(IdKind::Session, &secret), Some(session));
        assert_eq!(handle_id(IdKind::Grant, &secret).unwrap().get(..4), Some("grt_"));
        for other in ["", "_", "1_x", "é_x", &secret_text(&Fixed(3)), secret.get(1..).unwrap()] {
            assert_eq!(handle_id(IdKind::Session, other), None, "{other}");
        }
    }
}
