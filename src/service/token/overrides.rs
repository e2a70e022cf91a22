//! What rules for faults and tests want different about tokens, and their signing.

use serde::Serialize;
use serde_json::Value;

use super::TokenRefusal;
use crate::crypto::signing::SigningError;
use crate::domain::fault::TokenFault;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::domain::token;
use crate::runtime::Context;
use crate::service::faults;

/// The endpoint, as rules for faults name it.
const TOKEN_PATH: &str = "/oauth/token";

/// How long ago a token expired that a fault made so, in seconds.
const EXPIRED_AGO_S: i64 = 3600;

/// What testers want different about tokens.
#[derive(Debug, Clone, Default)]
pub struct TokenOverrides {
    /// Added to the claims of access and ID token; replaces those of the same name.
    pub claims: serde_json::Map<String, Value>,
    pub access_token_lifetime_s: Option<i64>,
    pub id_token_lifetime_s: Option<i64>,
    pub fault: Option<TokenFault>,
}

impl TokenOverrides {
    /// What rules for faults say about the tokens that are about to be given.
    pub(super) async fn of_faults(context: &Context) -> Self {
        Self { fault: faults::on_tokens(&context.runtime, TOKEN_PATH).await, ..Self::default() }
    }

    /// Signs the claims as wanted.
    pub(super) async fn sign(
        &self,
        context: &Context,
        algorithm: SigningAlgorithm,
        claims: &impl Serialize,
    ) -> Result<String, TokenRefusal> {
        let key = context.runtime.signing_key(algorithm).await?;
        if self.claims.is_empty() && self.fault.is_none() {
            return Ok(key.sign(claims)?);
        }
        let mut claims = serde_json::to_value(claims).map_err(|_| SigningError::Failed)?;
        for (name, value) in &self.claims {
            claims[name] = value.clone();
        }
        match self.fault {
            None => Ok(key.sign(&claims)?),
            Some(TokenFault::WrongIssuer) => {
                claims["iss"] = "https://wrong-issuer.invalid".into();
                Ok(key.sign(&claims)?)
            }
            Some(TokenFault::Expired) => {
                let past_s = token::seconds(context.token_date_ms()) - EXPIRED_AGO_S;
                claims["iat"] = (past_s - EXPIRED_AGO_S).into();
                claims["exp"] = past_s.into();
                if claims.get("nbf").is_some() {
                    claims["nbf"] = (past_s - EXPIRED_AGO_S).into();
                }
                Ok(key.sign(&claims)?)
            }
            Some(TokenFault::UnknownKid) => Ok(key.sign_as("snk_0000000000000000000", &claims)?),
            Some(TokenFault::BadSignature) => Ok(with_broken_signature(&key.sign(&claims)?)),
        }
    }
}

/// The same token with the first character of its signature changed.
fn with_broken_signature(token: &str) -> String {
    match token.rsplit_once('.') {
        Some((signed, signature)) => {
            let first = if signature.starts_with('A') { 'B' } else { 'A' };
            format!("{signed}.{first}{}", signature.get(1..).unwrap_or_default())
        }
        None => token.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_signature_differs_in_one_character_and_nothing_else() {
        assert_eq!(with_broken_signature("head.claims.Axyz"), "head.claims.Bxyz");
        assert_eq!(with_broken_signature("head.claims.xyz"), "head.claims.Ayz");
        assert_eq!(with_broken_signature("no token"), "no token");
    }
}
