//! The tokens of a grant: access token, ID token, refresh token.

use serde_json::{Map, Value};

use super::overrides::TokenOverrides;
use super::template::template_claims;
use super::{TokenRefusal, TokenResponse, access_token_lifetime_s, invalid_grant};
use crate::domain::client::Client;
use crate::domain::grant::Grant;
use crate::domain::ids::token_id_of_grant;
use crate::domain::membership::MembershipStatus;
use crate::domain::organization::OrganizationSummary;
use crate::domain::record_key::RecordKey;
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::domain::token::{
    self, Access, IdTokenClaims, PersonClaims, Subject, expires_in_s, half_hash, scope_allows_claim,
    subject_identifier,
};
use crate::domain::user::UserSummary;
use crate::runtime::Context;
use crate::service::Failure;
use crate::service::roles::AccessOfMembers;

/// Whom the tokens of a grant are about.
pub(super) struct TokenSubject {
    user: UserSummary,
    organization: Option<OrganizationSummary>,
}

impl TokenSubject {
    /// The user, in the organization that the sign-in entered; `organizations` are those that the user belongs to by now.
    pub(super) fn of(
        grant: &Grant,
        user: UserSummary,
        organizations: Vec<OrganizationSummary>,
    ) -> Result<Self, TokenRefusal> {
        let Some(entered) = &grant.organization_id else { return Ok(Self { user, organization: None }) };
        match organizations.into_iter().find(|organization| organization.id == *entered) {
            Some(organization) => Ok(Self { user, organization: Some(organization) }),
            None => Err(invalid_grant("the user is no longer an active member of the organization")),
        }
    }

    /// What the user may do in the organization. The modular profile tells nothing of it.
    async fn access(&self, context: &Context) -> Result<Access, Failure> {
        let is_told = context.environment.tokens.user_management;
        let Some(organization) = self.organization.as_ref().filter(|_| is_told) else {
            return Ok(Access::default());
        };
        let key = RecordKey::Id(self.user.id.clone());
        let user = context.store().user(context.environment_id(), &key).await?;
        let membership = user.as_ref().and_then(|user| user.membership(&organization.id));
        let Some(membership) = membership.filter(|m| m.status == MembershipStatus::Active) else {
            return Ok(Access::default());
        };
        let members = AccessOfMembers::of(context, std::iter::once(membership)).await?;
        let access = members.access(membership);
        Ok(Access { roles: access.role_names(), permissions: access.permission_names() })
    }

    /// The same for the claims of the grant's tokens.
    fn in_session<'a>(
        &'a self,
        grant: &'a Grant,
        access: &'a Access,
        template_claims: &'a Map<String, Value>,
    ) -> Subject<'a> {
        Subject {
            user: &self.user,
            organization: self.organization.as_ref(),
            session_id: &grant.session_id,
            authenticated_at_ms: grant.authenticated_at_ms,
            access,
            custom_claims: &grant.custom_claims,
            template_claims,
        }
    }
}

/// The issuer that a grant's tokens name: the one its sign-in began under, so that they agree with the `iss` of its
/// callback. Where that is no URL of ours any more, such as after a start on another port, the one asked now.
fn issuer_of<'a>(context: &'a Context, grant: &'a Grant) -> &'a str {
    if context.environment.is_issuer(&grant.issuer) { &grant.issuer } else { context.issuer() }
}

/// Signs the tokens of a grant. `code` is there when they answer a code, for `c_hash`.
pub(super) async fn issue(
    context: &Context,
    client: &Client,
    grant: &Grant,
    subject: &TokenSubject,
    scope: &[String],
    code: Option<&str>,
    overrides: &TokenOverrides,
) -> Result<TokenResponse, TokenRefusal> {
    let access = subject.access(context).await?;
    let organization_id = subject.organization.as_ref().map(|organization| organization.id.as_str());
    let template_claims = template_claims(context, &subject.user.id, organization_id).await?;
    let subject = subject.in_session(grant, &access, &template_claims);
    let configured_s = access_token_lifetime_s(context, client);
    let lifetime_s = overrides.access_token_lifetime_s.unwrap_or(configured_s);
    let jti = token_id_of_grant(&grant.id, context.entropy());
    let claims = token::access_token(
        &token::AccessTokenRequest {
            environment: &context.environment,
            issuer: issuer_of(context, grant),
            client_id: &client.client_id,
            scope,
            lifetime_s,
            jti: &jti,
            dated_at_ms: context.token_date_ms(),
            now_ms: context.now_ms(),
        },
        &subject,
    );
    let access_token = overrides.sign(context, SigningAlgorithm::default(), &claims).await?;
    let id_token = if scope.iter().any(|s| s == "openid") {
        let mut claims = id_token_claims(context, grant, &subject, scope, &access_token, code);
        if let Some(lifetime_s) = overrides.id_token_lifetime_s {
            claims.exp = token::seconds(context.now_ms()) + lifetime_s;
        }
        Some(overrides.sign(context, client.id_token_signed_response_alg, &claims).await?)
    } else {
        None
    };
    Ok(TokenResponse {
        access_token,
        token_type: "Bearer",
        expires_in: expires_in_s(lifetime_s),
        id_token,
        refresh_token: grant.refresh_generation.map(|g| context.secret().refresh_token(&grant.id, g)),
        scope: scope.join(" "),
    })
}

fn id_token_claims(
    context: &Context,
    grant: &Grant,
    subject: &Subject<'_>,
    scope: &[String],
    access_token: &str,
    code: Option<&str>,
) -> IdTokenClaims {
    let environment = &context.environment;
    let client_id = &grant.authorization.client_id;
    let now_s = token::seconds(context.now_ms());
    let dated_s = token::seconds(context.token_date_ms());
    let asked = &grant.authorization.claims.id_token;
    let allows = |claim: &str| {
        // Scalekit's ID tokens carry the address whatever the scope.
        claim.starts_with("email") || scope_allows_claim(scope, claim) || asked.iter().any(|c| c == claim)
    };
    IdTokenClaims {
        iss: issuer_of(context, grant).to_owned(),
        sub: subject_identifier(environment, subject.user),
        aud: vec![client_id.clone()],
        azp: client_id.clone(),
        client_id: client_id.clone(),
        iat: dated_s,
        exp: now_s + environment.tokens.id_token_lifetime_s,
        auth_time: token::seconds(subject.authenticated_at_ms).min(dated_s),
        amr: vec![environment.passwordless.connection_id.clone()],
        sid: subject.session_id.to_owned(),
        oid: subject.organization.filter(|_| environment.tokens.user_management).map(|o| o.id.clone()),
        nonce: grant.authorization.nonce.clone(),
        at_hash: Some(half_hash(access_token)),
        c_hash: code.map(half_hash),
        person: PersonClaims::of(subject.user, allows),
        xoid: subject.organization.and_then(|o| o.external_id.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::grant::tests::grant;

    #[test]
    fn tokens_name_the_organization_that_was_entered_and_none_is_given_after_leaving_it() {
        let organization = |id: &str| OrganizationSummary {
            id: id.to_owned(),
            display_name: "Acme".to_owned(),
            external_id: None,
        };
        let user = UserSummary {
            id: "usr_1".to_owned(),
            email: "jane@example.com".to_owned(),
            name: None,
            given_name: None,
            family_name: None,
            picture: None,
            locale: None,
            external_id: None,
            created_at_ms: 0,
            updated_at_ms: 0,
        };
        let named = |entered: Option<&str>| {
            let grant = Grant { organization_id: entered.map(str::to_owned), ..grant() };
            let organizations = vec![organization("org_1"), organization("org_2")];
            let subject = TokenSubject::of(&grant, user.clone(), organizations);
            subject.map(|subject| subject.organization.map(|o| o.id)).map_err(|refusal| refusal.error())
        };
        assert_eq!(named(None), Ok(None));
        assert_eq!(named(Some("org_2")), Ok(Some("org_2".to_owned())));
        assert_eq!(named(Some("org_3")), Err(Some("invalid_grant")));
    }
}
