//! Claims of the token template.

use serde_json::{Map, Value};

use crate::domain::record_key::RecordKey;
use crate::domain::token_template::variables;
use crate::runtime::Context;
use crate::service::Failure;

/// The claims that the environment's template adds to the tokens of a user in an organization.
pub(super) async fn template_claims(
    context: &Context,
    user_id: &str,
    organization_id: Option<&str>,
) -> Result<Map<String, Value>, Failure> {
    let template = &context.environment.token_template;
    if !template.is_active() {
        return Ok(Map::new());
    }
    // A user who was deleted meanwhile has none.
    let read = template_variables(context, user_id, organization_id).await?;
    Ok(read.map(|variables| template.resolve(&variables).claims).unwrap_or_default())
}

/// What expressions read. `None`: there is no such user.
pub(in crate::service) async fn template_variables(
    context: &Context,
    user_id: &str,
    organization_id: Option<&str>,
) -> Result<Option<Value>, Failure> {
    let (store, environment_id) = (context.store(), context.environment_id());
    let Some(user) = store.user(environment_id, &RecordKey::Id(user_id.to_owned())).await? else {
        return Ok(None);
    };
    let organization = match organization_id {
        Some(id) => store.organization(environment_id, &RecordKey::Id(id.to_owned())).await?,
        None => None,
    };
    Ok(Some(variables(&user, organization.as_ref())))
}
