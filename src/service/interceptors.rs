//! Interceptors: created, changed, tried, and what they were asked.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::changes::{ControlError, publish_change};
use super::interception::{new_call_id, result_of};
use super::interceptor_http::{Exchange, call};
use super::retry_on_conflict;
use super::signing_secrets::{self, RotateSecret, Rotation};
use super::webhooks::AttemptView;
use crate::domain::clock::rfc3339;
use crate::domain::email::EmailAddress;
use crate::domain::ids::{IdKind, new_id};
use crate::domain::interceptor::{
    CallResult, DEFAULT_TIMEOUT_MS, Decision, FailurePolicy, Interceptor, InterceptorCall, MAX_INTERCEPTORS,
    TIMEOUT_MS, TriggerPoint, bad_description, bad_display_name,
};
use crate::domain::interceptor_request::{
    Caller, InterceptedAction, body, organization_data, token_data, user_data,
};
use crate::domain::organization::Organization;
use crate::domain::organization_client::{OrganizationClient, OrganizationClientSecret};
use crate::domain::user::User;
use crate::domain::webhook::check_url;
use crate::runtime::Context;
pub use crate::storage::CallFilter;
use crate::storage::{InterceptorChange, InterceptorRecord};

/// An interceptor as the control API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InterceptorView {
    /// `icp_…`
    pub id: String,
    pub display_name: String,
    pub description: String,
    pub trigger_point: TriggerPoint,
    pub url: String,
    pub timeout_ms: i64,
    pub failure_policy: FailurePolicy,
    pub enabled: bool,
    /// What the application verifies signatures with: `whsec_…`.
    pub secret: String,
    /// How many older secrets are still valid, so that requests carry a signature by each.
    pub old_secrets: usize,
    /// RFC 3339.
    pub created_at: String,
    pub updated_at: String,
}

/// An interceptor to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInterceptor {
    /// What it is called in requests and logs; its trigger point when left out.
    pub display_name: Option<String>,
    #[serde(default)]
    pub description: String,
    pub trigger_point: TriggerPoint,
    /// `https` in production mode.
    pub url: String,
    /// 100 to 30000; 10000 when left out.
    pub timeout_ms: Option<i64>,
    /// `FAIL_OPEN` when left out.
    pub failure_policy: Option<FailurePolicy>,
    /// `true` when left out.
    pub enabled: Option<bool>,
    /// `whsec_` and 24 to 64 bytes in base64; made when left out.
    pub secret: Option<String>,
}

/// What to change of an interceptor; what is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeInterceptor {
    pub display_name: Option<String>,
    pub description: Option<String>,
    pub trigger_point: Option<TriggerPoint>,
    pub url: Option<String>,
    pub timeout_ms: Option<i64>,
    pub failure_policy: Option<FailurePolicy>,
    pub enabled: Option<bool>,
}

/// What to try an interceptor with.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestInterceptor {
    /// The body of the request; a sample for its trigger point when left out.
    #[schema(value_type = Option<Object>)]
    pub body: Option<Value>,
}

/// What a test call came to.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct InterceptorTest {
    pub result: CallResult,
    /// What whoever is denied would be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What would be added where it allows.
    #[schema(value_type = Object)]
    pub claims: Value,
    /// The body of the request.
    #[schema(value_type = Object)]
    pub body: Value,
    pub attempt: AttemptView,
}

/// A call as the control API shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct CallView {
    /// `interceptor-id` of the request.
    pub id: String,
    pub interceptor_id: String,
    pub display_name: String,
    pub trigger_point: TriggerPoint,
    /// The sign-in that it was made for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow_id: Option<String>,
    /// `FAILED`: there was no decision, and the failure policy held.
    pub result: CallResult,
    /// The body of the request.
    pub body: String,
    /// By the environment's clock.
    pub created_at: String,
    pub attempt: AttemptView,
}

impl From<InterceptorCall> for CallView {
    fn from(call: InterceptorCall) -> Self {
        Self {
            id: call.id,
            interceptor_id: call.interceptor_id,
            display_name: call.display_name,
            trigger_point: call.trigger_point,
            flow_id: call.flow_id,
            result: call.result,
            body: call.body,
            created_at: rfc3339(call.created_at_ms),
            attempt: call.attempt.into(),
        }
    }
}

fn unknown(id: &str) -> ControlError {
    ControlError::NotFound(format!("there is no interceptor {id}"))
}

fn view(context: &Context, record: &InterceptorRecord) -> Result<InterceptorView, ControlError> {
    let (secret, old_secrets) = signing_secrets::open(context, &record.sealed_secrets)?;
    let interceptor = &record.interceptor;
    Ok(InterceptorView {
        id: interceptor.id.clone(),
        display_name: interceptor.display_name.clone(),
        description: interceptor.description.clone(),
        trigger_point: interceptor.trigger_point,
        url: interceptor.url.clone(),
        timeout_ms: interceptor.timeout_ms,
        failure_policy: interceptor.failure_policy,
        enabled: interceptor.is_enabled,
        secret,
        old_secrets,
        created_at: rfc3339(interceptor.created_at_ms),
        updated_at: rfc3339(interceptor.updated_at_ms),
    })
}

async fn find(context: &Context, id: &str) -> Result<InterceptorRecord, ControlError> {
    let records = context.store().interceptors(context.environment_id()).await?;
    records.into_iter().find(|record| record.interceptor.id == id).ok_or_else(|| unknown(id))
}

/// The interceptors, in the order in which they are asked: oldest first.
pub async fn list(context: &Context) -> Result<Vec<InterceptorView>, ControlError> {
    let records = context.store().interceptors(context.environment_id()).await?;
    records.iter().map(|record| view(context, record)).collect()
}

/// An interceptor.
pub async fn get(context: &Context, id: &str) -> Result<InterceptorView, ControlError> {
    view(context, &find(context, id).await?)
}

/// Lays changes over an interceptor.
fn apply(
    context: &Context,
    interceptor: &mut Interceptor,
    change: &ChangeInterceptor,
) -> Result<(), ControlError> {
    if let Some(name) = &change.display_name {
        if let Some(reason) = bad_display_name(name) {
            return Err(ControlError::field("display_name", reason));
        }
        interceptor.display_name = name.clone();
    }
    if let Some(description) = &change.description {
        if let Some(reason) = bad_description(description) {
            return Err(ControlError::field("description", reason));
        }
        interceptor.description = description.clone();
    }
    if let Some(url) = &change.url {
        let checked = check_url(url, context.runtime.server.mode);
        interceptor.url = checked.map_err(|reason| ControlError::field("url", reason))?;
    }
    if let Some(timeout_ms) = change.timeout_ms {
        if !TIMEOUT_MS.contains(&timeout_ms) {
            let text = format!("must be a whole number from {} to {}", TIMEOUT_MS.start(), TIMEOUT_MS.end());
            return Err(ControlError::field("timeout_ms", text));
        }
        interceptor.timeout_ms = timeout_ms;
    }
    interceptor.trigger_point = change.trigger_point.unwrap_or(interceptor.trigger_point);
    interceptor.failure_policy = change.failure_policy.unwrap_or(interceptor.failure_policy);
    interceptor.is_enabled = change.enabled.unwrap_or(interceptor.is_enabled);
    interceptor.updated_at_ms = context.runtime.clock.machine_ms();
    Ok(())
}

/// Makes an interceptor. It is asked from now on, after those that there are.
pub async fn create(context: &Context, wanted: CreateInterceptor) -> Result<InterceptorView, ControlError> {
    let server = &context.runtime.server;
    let existing = context.store().interceptors(context.environment_id()).await?;
    if existing.len() >= MAX_INTERCEPTORS {
        let text = format!("there are {MAX_INTERCEPTORS} interceptors: delete one first");
        return Err(ControlError::NotAllowed(text));
    }
    // The order of interceptors is that of their making, whatever becomes of the environment's clock, and however soon one
    // comes after another.
    let newest_ms = existing.iter().map(|record| record.interceptor.created_at_ms).max();
    let now_ms = context.runtime.clock.machine_ms().max(newest_ms.map_or(0, |newest_ms| newest_ms + 1));
    let mut interceptor = Interceptor {
        id: new_id(IdKind::Interceptor, now_ms, &*server.entropy),
        version: 1,
        display_name: String::new(),
        description: String::new(),
        trigger_point: wanted.trigger_point,
        url: String::new(),
        timeout_ms: DEFAULT_TIMEOUT_MS,
        failure_policy: FailurePolicy::FailOpen,
        is_enabled: true,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    };
    let sealed_secrets = signing_secrets::seal_first(context, wanted.secret.as_deref())?;
    let name = wanted.display_name.unwrap_or_else(|| wanted.trigger_point.as_str().to_owned());
    let change = ChangeInterceptor {
        display_name: Some(name),
        description: Some(wanted.description),
        trigger_point: None,
        url: Some(wanted.url),
        timeout_ms: wanted.timeout_ms,
        failure_policy: wanted.failure_policy,
        enabled: wanted.enabled,
    };
    apply(context, &mut interceptor, &change)?;
    let record = InterceptorRecord { interceptor, sealed_secrets };
    commit(context, InterceptorChange::Insert(&record)).await?;
    publish_change(context).await?;
    view(context, &record)
}

/// Writes a change; `false`: the interceptor was changed or deleted since it was read.
async fn commit(context: &Context, change: InterceptorChange<'_>) -> Result<bool, ControlError> {
    retry_on_conflict(|| async {
        let record = context.runtime.record().await?;
        let now_ms = context.runtime.clock.machine_ms();
        Ok::<_, ControlError>(context.store().change_interceptors(&record, change, now_ms).await?)
    })
    .await
}

/// Changes an interceptor over what is stored, again while others change it.
async fn change_record(
    context: &Context,
    id: &str,
    change: impl Fn(&mut InterceptorRecord) -> Result<(), ControlError>,
) -> Result<InterceptorView, ControlError> {
    let changed = retry_on_conflict(|| async {
        let mut record = find(context, id).await?;
        change(&mut record)?;
        let is_done = commit(context, InterceptorChange::Update(&record)).await?;
        if is_done { view(context, &record).map(Some) } else { Ok(None) }
    })
    .await?;
    publish_change(context).await?;
    Ok(changed)
}

/// Changes an interceptor. The next request asks it as it is then.
pub async fn change(
    context: &Context,
    id: &str,
    change: &ChangeInterceptor,
) -> Result<InterceptorView, ControlError> {
    change_record(context, id, |record| apply(context, &mut record.interceptor, change)).await
}

/// Deletes an interceptor. Its calls stay in the log.
pub async fn delete(context: &Context, id: &str) -> Result<(), ControlError> {
    if !commit(context, InterceptorChange::Delete(id)).await? {
        return Err(unknown(id));
    }
    publish_change(context).await
}

/// Gives an interceptor a new secret; the one before stays valid for a while.
pub async fn rotate_secret(
    context: &Context,
    id: &str,
    wanted: &RotateSecret,
) -> Result<InterceptorView, ControlError> {
    let rotation = Rotation::new(context, wanted)?;
    change_record(context, id, |record| {
        record.sealed_secrets = rotation.apply(context, &record.sealed_secrets)?;
        record.interceptor.updated_at_ms = context.runtime.clock.machine_ms();
        Ok(())
    })
    .await
}

/// Calls an interceptor, enabled or not. Nothing depends on its answer, and the log does not have it.
pub async fn test(
    context: &Context,
    id: &str,
    wanted: TestInterceptor,
) -> Result<InterceptorTest, ControlError> {
    let record = find(context, id).await?;
    let sent = match wanted.body {
        Some(body) if body.is_object() => body,
        Some(_) => return Err(ControlError::field("body", "must be an object")),
        None => sample_body(context, &record.interceptor),
    };
    let server = &context.runtime.server;
    let secrets = server.webhooks().open(&record.sealed_secrets)?;
    let (call_id, text) = (new_call_id(context), sent.to_string());
    let asked = call(server, &record.interceptor, &secrets, &call_id, &text);
    let Exchange { attempt, decision } = asked.await;
    let result = result_of(&decision);
    let (message, claims) = match decision {
        Ok(Decision::Allow(additions)) => (None, Value::Object(additions.claims)),
        Ok(Decision::Deny(message)) => (message, json!({})),
        Err(_) => (None, json!({})),
    };
    Ok(InterceptorTest { result, message, claims, body: sent, attempt: attempt.into() })
}

/// A request about somebody who does not exist.
pub fn sample_body(context: &Context, interceptor: &Interceptor) -> Value {
    let now_ms = context.now_ms();
    let organization =
        Organization::new("org_000000000000000001".into(), "Sample organization".into(), now_ms);
    let user = EmailAddress::parse("sample@sample.example")
        .ok()
        .map(|email| User::new("usr_000000000000000001".into(), email, now_ms));
    let secret = OrganizationClientSecret {
        id: "sks_000000000000000001".into(),
        digest: String::new(),
        suffix: String::new(),
        created_at_ms: now_ms,
    };
    let id = "m2morg_000000000000000001".to_owned();
    let client = OrganizationClient::new(id, organization.id.clone(), secret, now_ms);
    let base = InterceptedAction {
        environment_id: context.environment_id(),
        caller: Caller::default(),
        now_ms,
        ..InterceptedAction::default()
    };
    let email = Some("sample@sample.example");
    let connection_id = Some(context.environment.passwordless.connection_id.as_str());
    let organization_id = Some(organization.id.as_str());
    let action = match interceptor.trigger_point {
        TriggerPoint::PreSignup => InterceptedAction { email, connection_id, data: user_data(None), ..base },
        TriggerPoint::PreSessionCreation => InterceptedAction {
            user: user.as_ref(),
            email,
            organization_id,
            connection_id,
            data: user_data(user.as_ref()),
            ..base
        },
        TriggerPoint::PreUserInvitation => {
            InterceptedAction { email, organization_id, data: organization_data(&organization), ..base }
        }
        TriggerPoint::PreM2mTokenCreation => InterceptedAction {
            client_id: Some(&client.id),
            data: token_data(&client, &["read:sample".to_owned()]),
            ..base
        },
    };
    body(interceptor, &action)
}

/// A result by its name.
///
/// # Errors
/// It is none.
pub fn result(name: &str) -> Result<CallResult, ControlError> {
    CallResult::parse(name).ok_or_else(|| ControlError::field("result", "must be ALLOW, DENY or FAILED"))
}

/// What interceptors were asked, the newest first.
pub async fn calls(context: &Context, filter: &CallFilter) -> Result<Vec<CallView>, ControlError> {
    let found = context.store().interceptor_calls(context.environment_id(), filter).await?;
    Ok(found.into_iter().map(CallView::from).collect())
}
