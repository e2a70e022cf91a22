//! The token template: claims of an application's own in access tokens, by expressions over user and organization.

use serde_json::{Map, Value, json};

use super::clock::rfc3339;
use super::expression::{Expression, ExpressionError};
use super::membership::{Membership, MembershipStatus};
use super::organization::Organization;
use super::user::User;

/// Names of claims that are set already, and for which no template can be written.
pub const RESERVED_CLAIMS: [&str; 17] = [
    "iss",
    "sub",
    "aud",
    "client_id",
    "iat",
    "nbf",
    "exp",
    "jti",
    "sid",
    "oid",
    "scope",
    "scopes",
    "xoid",
    "xuid",
    "roles",
    "permissions",
    "custom_claims",
];

/// Claims of a template, so that tokens fit into headers.
pub const MAX_CLAIMS: usize = 50;

/// Longest name of a claim, in characters.
const MAX_NAME_LENGTH: usize = 100;

/// Why there can be no such claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateClaimError {
    #[error("is reserved: every access token has this claim")]
    Reserved,
    #[error("must have a name of 1 to {MAX_NAME_LENGTH} characters")]
    Name,
    #[error(transparent)]
    Expression(#[from] ExpressionError),
}

/// A claim by an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct TemplateClaim {
    pub name: String,
    pub expression: Expression,
}

/// What access tokens say besides.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TokenTemplate {
    pub is_enabled: bool,
    pub claims: Vec<TemplateClaim>,
}

/// What a template comes to for somebody.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ResolvedClaims {
    pub claims: Map<String, Value>,
    pub omitted: Vec<OmittedClaim>,
}

/// A claim that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OmittedClaim {
    pub name: String,
    pub reason: String,
}

impl TemplateClaim {
    /// A claim of this name; `None` where no expression is given, which leaves the claim out.
    pub fn parse(name: &str, expression: &str) -> Result<Option<Self>, TemplateClaimError> {
        if RESERVED_CLAIMS.contains(&name) {
            return Err(TemplateClaimError::Reserved);
        }
        if name.trim().is_empty() || name.chars().count() > MAX_NAME_LENGTH {
            return Err(TemplateClaimError::Name);
        }
        if expression.trim().is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { name: name.to_owned(), expression: Expression::parse(expression)? }))
    }
}

impl TokenTemplate {
    /// Does it add anything to tokens?
    pub fn is_active(&self) -> bool {
        self.is_enabled && !self.claims.is_empty()
    }

    /// The claims by name, as they were written.
    pub fn to_json(&self) -> Value {
        let claims = self.claims.iter();
        Value::Object(claims.map(|c| (c.name.clone(), c.expression.text().into())).collect())
    }

    /// The claims of somebody. A claim without a value is left out: no sign-in fails because of a template.
    pub fn resolve(&self, variables: &Value) -> ResolvedClaims {
        let mut resolved = ResolvedClaims::default();
        for claim in &self.claims {
            let reason = match claim.expression.value(variables) {
                Ok(Some(value)) => {
                    resolved.claims.insert(claim.name.clone(), value);
                    continue;
                }
                Ok(None) => "the value is missing".to_owned(),
                Err(error) => error.to_string(),
            };
            resolved.omitted.push(OmittedClaim { name: claim.name.clone(), reason });
        }
        resolved
    }
}

/// What expressions read: the user, and the organization that the user signs in to.
pub fn variables(user: &User, organization: Option<&Organization>) -> Value {
    let membership = organization.and_then(|organization| user.membership(&organization.id));
    let active = membership.filter(|membership| membership.status == MembershipStatus::Active);
    let profile = &user.profile;
    let details = &profile.details;
    json!({
        "user": {
            "id": user.id,
            "email": user.email.as_str(),
            "email_verified": user.email_verified_at_ms.is_some(),
            "name": profile.full_name(),
            "given_name": profile.given_name,
            "family_name": profile.family_name,
            "preferred_username": details.preferred_username,
            "phone_number": details.phone_number,
            // Nobody verifies it here.
            "phone_number_verified": details.phone_number.is_some().then_some(false),
            "picture": profile.picture,
            "gender": details.gender,
            "locale": profile.locale,
            "groups": details.groups,
            "external_id": user.external_id,
            "metadata": user.metadata,
            "custom_attributes": details.custom_attributes,
            "created_at": rfc3339(user.created_at_ms),
            "updated_at": rfc3339(user.updated_at_ms),
            "last_login_time": user.last_sign_in_at_ms.map(rfc3339),
            "current_membership": active.map(current_membership),
        },
        "organization": organization.map(|organization| json!({
            "id": organization.id,
            "name": organization.display_name,
            "external_id": organization.external_id,
            "metadata": organization.metadata,
        })),
    })
}

fn current_membership(membership: &Membership) -> Value {
    let roles: Vec<&str> = membership.roles.iter().map(|role| role.name.as_str()).collect();
    json!({
        "organization_id": membership.organization_id,
        "organization_name": membership.organization_name,
        "roles": roles,
        "status": membership.status.as_str().to_ascii_lowercase(),
        "metadata": membership.metadata,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::email::EmailAddress;
    use proptest::prelude::*;

    fn claim(name: &str, expression: &str) -> TemplateClaim {
        TemplateClaim::parse(name, expression).unwrap().unwrap()
    }

    fn jane() -> (User, Organization) {
        let mut user = User::new("usr_1".into(), EmailAddress::parse("jane@acme.test").unwrap(), 1_000);
        let mut organization = Organization::new("org_1".into(), "Acme".into(), 1_000);
        organization.metadata = [("plan".to_owned(), "pro".to_owned())].into();
        user.profile.given_name = Some("Jane".into());
        user.metadata = [("department".to_owned(), "sales".to_owned())].into();
        user.join(Membership::direct("org_1".into(), "Acme".into(), 1_000));
        (user, organization)
    }

    #[test]
    fn claims_come_from_user_and_organization_and_missing_ones_are_left_out() {
        let (user, organization) = jane();
        let template = TokenTemplate {
            is_enabled: true,
            claims: vec![
                claim("plan", "organization.metadata.plan"),
                claim("department", "{{ user.metadata.department }}"),
                claim("status", "user.current_membership?.status"),
                claim("name", "user.name"),
                claim("phone", "user.phone_number"),
                claim("tier", "user.metadata.billing.tier ?? \"free\""),
            ],
        };
        let resolved = template.resolve(&variables(&user, Some(&organization)));
        let wanted = json!({ "plan": "pro", "department": "sales", "status": "active", "name": "Jane" });
        assert_eq!(Value::Object(resolved.claims), wanted);
        let omitted: Vec<_> = resolved.omitted.iter().map(|c| (c.name.as_str(), c.reason.as_str())).collect();
        assert_eq!(
            omitted,
            [
                ("phone", "the value is missing"),
                ("tier", "user.metadata.billing is missing; go on from it with ?. instead of ."),
            ]
        );
        let alone = template.resolve(&variables(&user, None));
        assert_eq!(alone.claims.len(), 2, "{alone:?}");
    }

    #[test]
    fn reserved_names_and_bad_expressions_are_refused() {
        for name in RESERVED_CLAIMS {
            assert_eq!(TemplateClaim::parse(name, "user.id"), Err(TemplateClaimError::Reserved), "{name}");
        }
        for name in ["", " ", &"x".repeat(101)] {
            assert_eq!(TemplateClaim::parse(name, "user.id"), Err(TemplateClaimError::Name));
        }
        assert!(matches!(
            TemplateClaim::parse("plan", "plan"),
            Err(TemplateClaimError::Expression(ExpressionError::UnknownRoot(_)))
        ));
        assert_eq!(TemplateClaim::parse("https://acme.test/plan", ""), Ok(None));
        // Scalekit's own list is part of it.
        for name in "sub iss aud exp iat nbf jti oid sid xoid xuid roles permissions".split(' ') {
            assert!(RESERVED_CLAIMS.contains(&name), "{name}");
        }
    }

    proptest! {
        #[test]
        fn no_template_sets_a_claim_that_tokens_have(name in "[a-z_]{1,12}", index in 0..RESERVED_CLAIMS.len()) {
            for name in [name.as_str(), RESERVED_CLAIMS[index]] {
                let parsed = TemplateClaim::parse(name, "user.id");
                prop_assert_eq!(parsed.is_ok(), !RESERVED_CLAIMS.contains(&name));
            }
        }
    }
}
