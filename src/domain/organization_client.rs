//! Machine clients of organizations: programs of a customer that get tokens of their own (RFC 6749 §4.4).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::api_error::FieldViolation;
use super::clock::UnixMs;

/// Where the ids of these clients begin.
pub const ID_PREFIX: &str = "m2morg_";

/// Secrets that a client has at most, so that one can be replaced while the other is in use.
pub const MAX_SECRETS: usize = 2;

/// How long the tokens of a client are valid that does not say so, in seconds.
const DEFAULT_EXPIRY_S: i64 = 3600;

/// The longest that they can be: a year.
pub const MAX_EXPIRY_S: i64 = 31_536_000;

/// A machine client of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrganizationClient {
    /// `m2morg_…`, its `client_id`.
    pub id: String,
    /// Grows with every change.
    pub version: i64,
    /// Whose it is: `oid` in its tokens.
    pub organization_id: String,
    pub name: String,
    pub description: String,
    /// What its tokens may be asked for.
    pub scopes: Vec<String>,
    /// Whom its tokens are meant for; empty: itself.
    pub audience: Vec<String>,
    /// What its tokens say besides.
    pub custom_claims: Vec<CustomClaim>,
    /// How long its tokens are valid, in seconds; 0: nobody said.
    pub expiry_s: i64,
    /// In the order in which they were made.
    pub secrets: Vec<OrganizationClientSecret>,
    pub created_at_ms: UnixMs,
    pub updated_at_ms: UnixMs,
}

/// A claim and its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomClaim {
    pub key: String,
    pub value: String,
}

/// A secret of a client, of which only a digest is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrganizationClientSecret {
    /// `sks_…`
    pub id: String,
    /// Keyed, so that it is of use on this server alone.
    pub digest: String,
    /// Its last characters.
    pub suffix: String,
    pub created_at_ms: UnixMs,
}

impl std::fmt::Debug for OrganizationClientSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OrganizationClientSecret({}, [redacted])", self.id)
    }
}

/// Why a client's secrets stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It has [`MAX_SECRETS`] already.
    #[error("a client has at most {MAX_SECRETS} secrets: delete one first")]
    TooMany,
    /// It would be left without one. Scalekit says it in these words.
    #[error("last client cannot be deleted")]
    Last,
    /// There is none of this id.
    #[error("client secret not found")]
    Unknown,
}

/// What changes about a client; what is empty or 0 stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrganizationClientChange {
    pub name: String,
    pub description: String,
    pub scopes: Vec<String>,
    pub audience: Vec<String>,
    pub custom_claims: Vec<CustomClaim>,
    pub expiry_s: i64,
}

impl OrganizationClient {
    /// A client that says nothing yet, with its first secret.
    pub fn new(
        id: String,
        organization_id: String,
        secret: OrganizationClientSecret,
        now_ms: UnixMs,
    ) -> Self {
        Self {
            id,
            version: 1,
            organization_id,
            name: String::new(),
            description: String::new(),
            scopes: vec![],
            audience: vec![],
            custom_claims: vec![],
            expiry_s: 0,
            secrets: vec![secret],
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }
    }

    /// Changes what is named.
    ///
    /// # Errors
    /// What cannot be; the client is as before then.
    pub fn change(&mut self, change: OrganizationClientChange) -> Result<(), FieldViolation> {
        if let Some(at) = change.scopes.iter().position(|scope| !is_scope(scope)) {
            let field = format!("client.scopes[{at}]");
            let text = format!("{field} is invalid: it has a character that scopes do not have, or none");
            return Err(FieldViolation::new(field, "pattern", text));
        }
        if let Some(at) = change.audience.iter().position(String::is_empty) {
            let field = format!("client.audience[{at}]");
            return Err(FieldViolation::new(&field, "min_len", format!("{field} is invalid: it is empty")));
        }
        if !(0..=MAX_EXPIRY_S).contains(&change.expiry_s) {
            let text = format!("client.expiry is invalid: it must be from 0 to {MAX_EXPIRY_S} seconds");
            return Err(FieldViolation::new("client.expiry", "range", text));
        }
        for (field, text) in [(&mut self.name, change.name), (&mut self.description, change.description)] {
            if !text.is_empty() {
                *field = text;
            }
        }
        for (field, list) in [(&mut self.scopes, change.scopes), (&mut self.audience, change.audience)] {
            if !list.is_empty() {
                *field = list;
            }
        }
        if !change.custom_claims.is_empty() {
            self.custom_claims = change.custom_claims;
        }
        if change.expiry_s > 0 {
            self.expiry_s = change.expiry_s;
        }
        Ok(())
    }

    /// Gives the client one more secret.
    ///
    /// # Errors
    /// It has enough.
    pub fn add_secret(&mut self, secret: OrganizationClientSecret) -> Result<(), SecretError> {
        if self.secrets.len() >= MAX_SECRETS {
            return Err(SecretError::TooMany);
        }
        self.secrets.push(secret);
        Ok(())
    }

    /// Takes a secret away.
    ///
    /// # Errors
    /// There is none of this id, or no other.
    pub fn remove_secret(&mut self, id: &str) -> Result<(), SecretError> {
        let at = self.secrets.iter().position(|secret| secret.id == id).ok_or(SecretError::Unknown)?;
        if self.secrets.len() == 1 {
            return Err(SecretError::Last);
        }
        self.secrets.remove(at);
        Ok(())
    }

    /// The scopes that a token has which is asked for with `asked`; `None`: nobody said. What was not granted is left
    /// out.
    pub fn granted(&self, asked: Option<Vec<String>>) -> Vec<String> {
        match asked {
            None => self.scopes.clone(),
            Some(asked) => asked.into_iter().filter(|scope| self.scopes.contains(scope)).collect(),
        }
    }

    /// How long its tokens are valid, in seconds.
    pub fn token_lifetime_s(&self) -> i64 {
        if self.expiry_s > 0 { self.expiry_s } else { DEFAULT_EXPIRY_S }
    }

    /// Whom its tokens are meant for.
    pub fn token_audience(&self) -> Vec<String> {
        if self.audience.is_empty() { vec![self.id.clone()] } else { self.audience.clone() }
    }

    /// What its tokens say besides. Of two claims of one name the later one counts.
    pub fn token_claims(&self) -> BTreeMap<String, String> {
        self.custom_claims.iter().map(|claim| (claim.key.clone(), claim.value.clone())).collect()
    }
}

/// Is it one scope (RFC 6749 §3.3)?
fn is_scope(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret(id: &str) -> OrganizationClientSecret {
        OrganizationClientSecret {
            id: id.into(),
            digest: format!("digest of {id}"),
            suffix: "last".into(),
            created_at_ms: 1,
        }
    }

    fn client() -> OrganizationClient {
        let claim = CustomClaim { key: "wksp_id".into(), value: "1".into() };
        OrganizationClient {
            name: "Robot".into(),
            description: "Reads".into(),
            scopes: vec!["read".into(), "write".into()],
            audience: vec!["my-own-api".into()],
            custom_claims: vec![claim],
            expiry_s: 60,
            ..OrganizationClient::new("m2morg_1".into(), "org_1".into(), secret("sks_1"), 1)
        }
    }

    #[test]
    fn what_is_empty_stays_and_lists_are_replaced_whole() {
        let mut changed = client();
        changed.change(OrganizationClientChange::default()).unwrap();
        assert_eq!(changed, client());
        let change = OrganizationClientChange {
            description: "Writes".into(),
            scopes: vec!["write".into()],
            custom_claims: vec![CustomClaim { key: "tier".into(), value: "gold".into() }],
            ..OrganizationClientChange::default()
        };
        changed.change(change.clone()).unwrap();
        let expected = OrganizationClient {
            description: change.description,
            scopes: change.scopes,
            custom_claims: change.custom_claims,
            ..client()
        };
        assert_eq!(changed, expected);
    }

    #[test]
    fn a_change_that_cannot_be_changes_nothing() {
        let scopes = |scope: &str| OrganizationClientChange {
            scopes: vec!["read".into(), scope.into()],
            ..OrganizationClientChange::default()
        };
        let expiry = |expiry_s| OrganizationClientChange { expiry_s, ..OrganizationClientChange::default() };
        let audience =
            OrganizationClientChange { audience: vec![String::new()], ..OrganizationClientChange::default() };
        for (change, field) in [
            (scopes(""), "client.scopes[1]"),
            (scopes("read write"), "client.scopes[1]"),
            (scopes("\"read\""), "client.scopes[1]"),
            (scopes("lire\u{e9}"), "client.scopes[1]"),
            (audience, "client.audience[0]"),
            (expiry(-1), "client.expiry"),
            (expiry(MAX_EXPIRY_S + 1), "client.expiry"),
        ] {
            let mut changed = client();
            let change = OrganizationClientChange { name: "Other".into(), ..change };
            assert_eq!(changed.change(change).unwrap_err().field, field);
            assert_eq!(changed, client());
        }
    }

    #[test]
    fn a_client_has_one_or_two_secrets_the_newest_last() {
        let mut client = client();
        assert_eq!(client.remove_secret("sks_1"), Err(SecretError::Last));
        client.add_secret(secret("sks_2")).unwrap();
        assert_eq!(client.add_secret(secret("sks_3")), Err(SecretError::TooMany));
        assert_eq!(client.remove_secret("sks_3"), Err(SecretError::Unknown));
        let ids: Vec<&str> = client.secrets.iter().map(|secret| secret.id.as_str()).collect();
        assert_eq!(ids, ["sks_1", "sks_2"]);
        client.remove_secret("sks_1").unwrap();
        assert_eq!(client.secrets, [secret("sks_2")]);
    }

    #[test]
    fn a_token_says_what_its_client_says_or_the_default() {
        let plain = OrganizationClient::new("m2morg_1".into(), "org_1".into(), secret("sks_1"), 1);
        assert_eq!((plain.token_lifetime_s(), plain.token_audience()), (3600, vec!["m2morg_1".to_owned()]));
        assert_eq!(
            (client().token_lifetime_s(), client().token_audience()),
            (60, vec!["my-own-api".to_owned()])
        );
        let claim = |value: &str| CustomClaim { key: "a".into(), value: value.into() };
        let twice = OrganizationClient { custom_claims: vec![claim("1"), claim("2")], ..plain };
        assert_eq!(twice.token_claims(), BTreeMap::from([("a".to_owned(), "2".to_owned())]));
    }

    #[test]
    fn secrets_print_nothing_of_themselves() {
        assert!(!format!("{:?}", client()).contains("digest of"));
    }

    proptest! {
        #[test]
        fn a_token_has_no_scope_that_was_not_granted_and_none_that_was_not_asked_for(
            granted in prop::collection::vec("[a-d]", 0..4),
            asked in prop::option::of(prop::collection::vec("[a-f]", 0..6)),
        ) {
            let client = OrganizationClient { scopes: granted.clone(), ..client() };
            let scopes = client.granted(asked.clone());
            prop_assert!(scopes.iter().all(|scope| granted.contains(scope)));
            match asked {
                None => prop_assert_eq!(scopes, granted),
                Some(asked) => {
                    let wanted: Vec<_> = asked.into_iter().filter(|scope| granted.contains(scope)).collect();
                    prop_assert_eq!(scopes, wanted);
                }
            }
        }
    }
}
