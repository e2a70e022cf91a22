//! A preview of what the token template comes to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::changes::ControlError;
use super::test_tokens::find_user;
use super::token::template_variables;
use crate::domain::field_error::FieldError;
use crate::domain::token_template::{OmittedClaim, TemplateClaim, TokenTemplate};
use crate::runtime::Context;

/// Whom to show a template for.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewRequest {
    /// Id or address of a user.
    pub user: String,
    /// Id or external id; the user's first one when left out.
    pub organization_id: Option<String>,
    /// Expressions by the names of claims; those of the settings when left out.
    pub claims: Option<BTreeMap<String, String>>,
}

/// What a template comes to for a user.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TemplatePreview {
    #[schema(value_type = Object)]
    pub claims: Map<String, Value>,
    /// Claims that are left out.
    pub omitted: Vec<OmittedClaimView>,
    /// What expressions can read: `user` and `organization`.
    #[schema(value_type = Object)]
    pub variables: Value,
}

/// A claim that is left out, and why.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OmittedClaimView {
    pub name: String,
    pub reason: String,
}

impl From<OmittedClaim> for OmittedClaimView {
    fn from(claim: OmittedClaim) -> Self {
        Self { name: claim.name, reason: claim.reason }
    }
}

/// Shows what a template comes to for a user, whether it is enabled or not.
pub async fn preview(context: &Context, wanted: &PreviewRequest) -> Result<TemplatePreview, ControlError> {
    let template = match &wanted.claims {
        Some(claims) => parse(claims).map_err(ControlError::Invalid)?,
        None => context.environment.token_template.clone(),
    };
    let (store, environment_id) = (context.store(), context.environment_id());
    let user = find_user(context, &wanted.user).await?;
    let organization = match &wanted.organization_id {
        Some(id) => {
            let found = store.organization_summary(environment_id, id).await?;
            let text = "is not an organization of this environment";
            Some(found.ok_or_else(|| ControlError::field("organization_id", text))?)
        }
        None => store.organizations_of(environment_id, &user.id).await?.into_iter().next(),
    };
    let organization_id = organization.as_ref().map(|organization| organization.id.as_str());
    let variables = template_variables(context, &user.id, organization_id).await?.unwrap_or_default();
    let resolved = template.resolve(&variables);
    Ok(TemplatePreview {
        claims: resolved.claims,
        omitted: resolved.omitted.into_iter().map(OmittedClaimView::from).collect(),
        variables,
    })
}

fn parse(claims: &BTreeMap<String, String>) -> Result<TokenTemplate, Vec<FieldError>> {
    let (mut parsed, mut errors) = (vec![], vec![]);
    for (name, expression) in claims {
        match TemplateClaim::parse(name, expression) {
            Ok(claim) => parsed.extend(claim),
            Err(error) => errors.push(FieldError::new(format!("claims.{name}"), error.to_string())),
        }
    }
    if errors.is_empty() { Ok(TokenTemplate { is_enabled: true, claims: parsed }) } else { Err(errors) }
}
