//! API tokens: opaque, long-lived credentials of an organization or of one of its members.

use std::collections::BTreeMap;

use super::clock::UnixMs;
use super::entropy::Entropy;
use super::ids::{IdKind, handle_id, new_handle};

/// Where the values of tokens begin.
const VALUE_PREFIX: &str = "sk_";

/// How many of a value's last characters are shown.
const SUFFIX_LENGTH: usize = 4;

/// An API token, of whose value only a digest is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// `apit_…`
    pub id: String,
    /// Grows with every change.
    pub version: i64,
    pub organization_id: String,
    /// The member that it stands for; `None`: the organization itself.
    pub user_id: Option<String>,
    pub description: Option<String>,
    pub custom_claims: BTreeMap<String, String>,
    /// Keyed, so that it is of use on this server alone.
    pub digest: String,
    /// The last characters of its value.
    pub suffix: String,
    pub created_at_ms: UnixMs,
    /// `None`: never.
    pub expires_at_ms: Option<UnixMs>,
    pub invalidated_at_ms: Option<UnixMs>,
}

impl std::fmt::Debug for ApiToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiToken({}, version {}, [redacted])", self.id, self.version)
    }
}

/// A token with what is known now of those that it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiTokenInfo {
    pub token: ApiToken,
    pub organization_external_id: Option<String>,
    pub user_external_id: Option<String>,
    /// Of the user.
    pub email: Option<String>,
    /// Names of the roles that the member has in the organization.
    pub roles: Vec<String>,
}

/// What changes about a token.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiTokenChange {
    /// An empty one is removed; `None` leaves what was there.
    pub description: Option<String>,
    /// Replaces all; an empty map leaves what was there.
    pub custom_claims: BTreeMap<String, String>,
}

impl ApiToken {
    /// A token without description and claims.
    pub fn new(
        id: String,
        organization_id: String,
        user_id: Option<String>,
        (digest, suffix): (String, String),
        now_ms: UnixMs,
    ) -> Self {
        Self {
            id,
            version: 1,
            organization_id,
            user_id,
            description: None,
            custom_claims: BTreeMap::new(),
            digest,
            suffix,
            created_at_ms: now_ms,
            expires_at_ms: None,
            invalidated_at_ms: None,
        }
    }

    /// Does it still open anything?
    pub fn is_valid(&self, now_ms: UnixMs) -> bool {
        self.invalidated_at_ms.is_none() && self.expires_at_ms.is_none_or(|at_ms| now_ms < at_ms)
    }

    /// Changes what is named.
    pub fn change(&mut self, change: ApiTokenChange) {
        if let Some(description) = change.description {
            self.description = Some(description).filter(|text| !text.is_empty());
        }
        if !change.custom_claims.is_empty() {
            self.custom_claims = change.custom_claims;
        }
    }
}

/// A new value for a token of this id, which it leads to.
pub fn new_value(id: &str, entropy: &dyn Entropy) -> String {
    format!("{VALUE_PREFIX}{}", new_handle(id, entropy))
}

/// The last characters of a value.
pub fn suffix(value: &str) -> String {
    value.get(value.len().saturating_sub(SUFFIX_LENGTH)..).unwrap_or_default().to_owned()
}

/// The id of the token that a text would be the value or the id of; `None`: it is neither.
pub fn token_id(shown: &str) -> Option<String> {
    if let Some(handle) = shown.strip_prefix(VALUE_PREFIX) {
        return handle_id(IdKind::ApiToken, handle);
    }
    let digits = shown.strip_prefix(IdKind::ApiToken.prefix())?.strip_prefix('_')?;
    let is_id = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_id.then(|| shown.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::entropy::Fixed;
    use proptest::prelude::*;

    const ID: &str = "apit_0000000000000000001";

    fn claims(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn token() -> ApiToken {
        ApiToken {
            description: Some("Deploys".into()),
            custom_claims: claims(&[("tier", "gold"), ("team", "red")]),
            ..ApiToken::new(ID.into(), "org_1".into(), None, ("digest".into(), "last".into()), 1)
        }
    }

    #[test]
    fn a_token_is_valid_until_it_expires_or_is_invalidated() {
        assert!(token().is_valid(UnixMs::MAX));
        let expiring = ApiToken { expires_at_ms: Some(10), ..token() };
        assert!(expiring.is_valid(9) && !expiring.is_valid(10));
        let invalidated = ApiToken { invalidated_at_ms: Some(5), ..expiring };
        assert!(!invalidated.is_valid(5) && !invalidated.is_valid(1));
    }

    #[test]
    fn claims_are_replaced_whole_and_an_empty_description_is_removed() {
        let mut changed = token();
        changed.change(ApiTokenChange::default());
        assert_eq!(changed, token());
        changed.change(ApiTokenChange { custom_claims: claims(&[("tier", "free")]), ..Default::default() });
        assert_eq!(changed, ApiToken { custom_claims: claims(&[("tier", "free")]), ..token() });
        changed.change(ApiTokenChange { description: Some(String::new()), ..Default::default() });
        assert_eq!(changed.description, None);
        changed.change(ApiTokenChange { description: Some("Reads".into()), ..Default::default() });
        assert_eq!(changed.description.as_deref(), Some("Reads"));
    }

    #[test]
    fn value_and_id_lead_to_the_same_token() {
        let value = new_value(ID, &Fixed(7));
        assert!(value.starts_with("sk_") && value.len() > 43 && value.ends_with(&suffix(&value)));
        assert_eq!(suffix(&value).len(), 4);
        assert_eq!(token_id(&value).as_deref(), Some(ID));
        assert_eq!(token_id(ID).as_deref(), Some(ID));
        for wrong in ["", "sk_", "apit_", "apit_1\0", "apit_x", "usr_1", "sk_1_x", &value[3..], "apit1"] {
            assert_eq!(token_id(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn tokens_print_nothing_of_themselves() {
        assert!(!format!("{:?}", token()).contains("digest"));
    }

    proptest! {
        #[test]
        fn whatever_is_shown_leads_to_an_id_or_to_nothing(shown in ".{0,40}|sk_[0-9]{19}_.{0,9}|apit_.{0,20}") {
            if let Some(id) = token_id(&shown) {
                prop_assert!(id.starts_with("apit_") && id[5..].bytes().all(|b| b.is_ascii_digit()));
            }
        }
    }
}
