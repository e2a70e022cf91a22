//! The server secret: one key, kept in the database, from which digests and credentials are derived.
//!
//! Nothing that a user or client holds is stored: lookups go by HMAC-SHA-256 digests, and codes, link tokens and
//! refresh tokens are recomputed when needed, so that "send the same credentials again" works without keeping them.

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq as _;

use super::at_rest::{AtRest, AtRestError};

/// What a digest is of; no two uses can be taken for one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    BrowserCookie,
    SessionCookie,
    AuthorizationCode,
    LinkToken,
    /// The token in the link of an invitation.
    InvitationToken,
    ClientSecret,
    ApiToken,
    /// A `request_uri` of a pushed authorization request.
    PushedRequest,
    /// A refused code, to notice its repetition.
    Guess,
    /// The control token, as the dashboard's cookie holds it.
    ControlToken,
}

impl Purpose {
    fn label(self) -> &'static str {
        match self {
            Self::BrowserCookie => "browser cookie",
            Self::SessionCookie => "session cookie",
            Self::AuthorizationCode => "authorization code",
            Self::LinkToken => "link token",
            Self::InvitationToken => "invitation token",
            Self::ClientSecret => "client secret",
            Self::ApiToken => "API token",
            Self::PushedRequest => "pushed request",
            Self::Guess => "guess",
            Self::ControlToken => "control token",
        }
    }
}

/// 256 bits shared by all replicas of a database. Prints nothing of itself.
#[derive(Clone)]
pub struct ServerSecret {
    key: hmac::Key,
}

impl std::fmt::Debug for ServerSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerSecret([redacted])")
    }
}

impl ServerSecret {
    pub fn new(bytes: &[u8]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, bytes) }
    }

    /// A keyed function of labelled parts; each part carries its length, so that no two lists look alike.
    fn prf(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.key);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }

    /// Seals emails that wait for the SMTP server. Whoever cannot read the server secret cannot read them.
    pub fn mails_at_rest(&self) -> Result<AtRest, AtRestError> {
        let mut key = [0; 32];
        key.copy_from_slice(self.prf(&[b"mails at rest"]).as_ref());
        AtRest::with_key(&key)
    }

    /// Digest under which a secret is stored and found: 43 base64url characters.
    pub fn digest(&self, purpose: Purpose, secret: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.prf(&[b"digest", purpose.label().as_bytes(), secret.as_bytes()]))
    }

    /// The numeric code of one generation of an authentication request.
    pub fn code(&self, auth_request_id: &str, generation: i64, digits: u32) -> String {
        let tag = self.prf(&[b"code", auth_request_id.as_bytes(), &generation.to_be_bytes()]);
        let mut number = [0; 16];
        number.copy_from_slice(&tag.as_ref()[..16]);
        // 128 bits modulo at most 10^10: the bias is below 2^-90.
        let code = u128::from_be_bytes(number) % 10u128.pow(digits);
        format!("{code:0width$}", width = digits as usize)
    }

    /// The link token of one generation: a UUID with Scalekit's `_l` behind it.
    pub fn link_token(&self, auth_request_id: &str, generation: i64) -> String {
        let tag = self.prf(&[b"link token", auth_request_id.as_bytes(), &generation.to_be_bytes()]);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&tag.as_ref()[..16]);
        format!("{}_l", uuid::Builder::from_random_bytes(bytes).into_uuid())
    }

    /// The token in the link of an invitation, as long as it expires when it did. Whoever is invited anew gets another.
    pub fn invitation_token(
        &self,
        environment_id: &str,
        user_id: &str,
        organization_id: &str,
        expires_at_ms: i64,
    ) -> String {
        let ids = [environment_id, user_id, organization_id].map(str::as_bytes);
        let parts = [b"invitation token", ids[0], ids[1], ids[2], &expires_at_ms.to_be_bytes()];
        URL_SAFE_NO_PAD.encode(self.prf(&parts))
    }

    /// The refresh token of one generation of a grant: `rt_`, the grant, the generation and a seal over both.
    pub fn refresh_token(&self, grant_id: &str, generation: i64) -> String {
        let seal = self.refresh_seal(grant_id, generation);
        format!("rt_{}_{generation}_{seal}", grant_id.trim_start_matches("grt_"))
    }

    fn refresh_seal(&self, grant_id: &str, generation: i64) -> String {
        URL_SAFE_NO_PAD.encode(self.prf(&[b"refresh token", grant_id.as_bytes(), &generation.to_be_bytes()]))
    }

    /// Grant and generation of a refresh token that we made; `None` for anything else.
    pub fn open_refresh_token(&self, token: &str) -> Option<(String, i64)> {
        let (grant, rest) = token.strip_prefix("rt_")?.split_once('_')?;
        let (generation, seal) = rest.split_once('_')?;
        let grant_id = format!("grt_{grant}");
        let generation: i64 = generation.parse().ok().filter(|g| *g >= 0)?;
        constant_time_eq(&self.refresh_seal(&grant_id, generation), seal).then_some((grant_id, generation))
    }
}

/// Compares two texts in a time that depends on their lengths alone.
pub fn constant_time_eq(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> ServerSecret {
        ServerSecret::new(&[7; 32])
    }

    #[test]
    fn codes_have_the_asked_length_and_depend_on_request_and_generation() {
        let code = secret().code("req", 1, 6);
        assert_eq!(code.len(), 6);
        assert!(code.bytes().all(|b| b.is_ascii_digit()));
        assert_ne!(code, secret().code("req", 2, 6));
        assert_ne!(code, secret().code("other", 1, 6));
        let is_right = |shown: &str| constant_time_eq(&secret().code("req", 1, 6), shown);
        assert!(is_right(&code));
        assert!(!is_right(&format!("{code}0")));
        assert!(!is_right(""));
    }

    #[test]
    fn codes_are_spread_evenly_over_the_first_digit() {
        let mut counts = [0u32; 10];
        for generation in 0..10_000 {
            counts[usize::from(secret().code("req", generation, 6).as_bytes()[0] - b'0')] += 1;
        }
        assert!(counts.iter().all(|c| (850..1150).contains(c)), "{counts:?}");
    }

    #[test]
    fn a_link_token_is_a_uuid_with_a_suffix() {
        let token = secret().link_token("req", 1);
        assert!(uuid::Uuid::parse_str(token.strip_suffix("_l").unwrap()).is_ok());
        assert_ne!(token, secret().link_token("req", 2));
    }

    #[test]
    fn an_invitation_has_a_token_of_its_own_per_environment_member_and_time() {
        let token = |parts: [&str; 3], at| secret().invitation_token(parts[0], parts[1], parts[2], at);
        let first = token(["env_1", "usr_1", "org_1"], 5);
        assert_eq!(first, token(["env_1", "usr_1", "org_1"], 5));
        for (parts, at) in [
            (["env_2", "usr_1", "org_1"], 5),
            (["env_1", "usr_2", "org_1"], 5),
            (["env_1", "usr_1", "org_2"], 5),
            (["env_1", "usr_1o", "rg_1"], 5),
            (["env_1", "usr_1", "org_1"], 6),
        ] {
            assert_ne!(first, token(parts, at));
        }
    }

    #[test]
    fn a_refresh_token_opens_only_unchanged_and_under_its_own_secret() {
        let token = secret().refresh_token("grt_123", 4);
        assert_eq!(secret().open_refresh_token(&token), Some(("grt_123".into(), 4)));
        assert_eq!(ServerSecret::new(&[8; 32]).open_refresh_token(&token), None);
        assert_eq!(secret().open_refresh_token(&token.replace("_4_", "_5_")), None);
        for bad in ["", "rt_", "rt_123_4_", "rt_123_-1_x", "rt_1_99999999999999999999_x"] {
            assert_eq!(secret().open_refresh_token(bad), None, "{bad}");
        }
    }

    #[test]
    fn digests_of_different_purposes_differ() {
        let digest = |p| secret().digest(p, "x");
        assert_ne!(digest(Purpose::BrowserCookie), digest(Purpose::SessionCookie));
        assert_eq!(digest(Purpose::LinkToken).len(), 43);
    }
}
