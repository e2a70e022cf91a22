//! What an interceptor is told.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

use super::authorization::AuthorizationRequest;
use super::clock::{UnixMs, rfc3339};
use super::interceptor::{Interceptor, TriggerPoint};
use super::organization::Organization;
use super::organization_client::OrganizationClient;
use super::user::User;

/// Who caused it, as far as it is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    pub user_agent: Option<String>,
    pub ip_address: Option<IpAddr>,
    /// `Desktop`, `Mobile`, `Tablet`; `None`: nobody knows.
    pub device_type: Option<&'static str>,
}

/// What is about to happen.
#[derive(Debug, Clone, Default)]
pub struct InterceptedAction<'a> {
    pub environment_id: &'a str,
    /// `None`: an address that no user has.
    pub user: Option<&'a User>,
    pub email: Option<&'a str>,
    pub organization_id: Option<&'a str>,
    /// The connection of a sign-in.
    pub connection_id: Option<&'a str>,
    /// What the application of a sign-in asked for.
    pub authorization: Option<&'a AuthorizationRequest>,
    pub client_id: Option<&'a str>,
    pub caller: Caller,
    pub now_ms: UnixMs,
    /// `data` of the request.
    pub data: Value,
}

/// The body of the request to an interceptor.
pub fn body(interceptor: &Interceptor, action: &InterceptedAction<'_>) -> Value {
    json!({
        "display_name": interceptor.display_name,
        "trigger_point": interceptor.trigger_point.as_str(),
        "interceptor_context": context(interceptor.trigger_point, action),
        "data": action.data,
    })
}

fn context(trigger_point: TriggerPoint, action: &InterceptedAction<'_>) -> Value {
    let is_of_machine = trigger_point == TriggerPoint::PreM2mTokenCreation;
    // Nothing here knows where an address is.
    let unknown = (!is_of_machine).then_some("");
    let caller = &action.caller;
    without_nulls(json!({
        "environment_id": action.environment_id,
        "user_id": action.user.map(|user| &user.id),
        "user_email": action.email,
        "organization_id": action.organization_id,
        "connection_details": action.connection_id.map(|id| json!([
            { "id": id, "type": "PASSWORDLESS", "provider": "SCALEKIT" },
        ])),
        "auth_request": action.authorization.map(|request| without_nulls(json!({
            "organization_id": request.organization_id,
            "login_hint": request.login_hint,
            "state": request.state,
        }))),
        "client_id": action.client_id,
        "device_type": caller.device_type.unwrap_or("Unknown"),
        "ip_address": caller.ip_address.map(|ip| ip.to_string()).or(unknown.map(str::to_owned)),
        "region": unknown,
        "city": unknown,
        "user_agent": caller.user_agent.as_deref().unwrap_or_default(),
        "triggered_at": rfc3339(action.now_ms),
    }))
}

/// Leaves out what is not known.
fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// `data` about a user; empty where there is none yet.
pub fn user_data(user: Option<&User>) -> Value {
    user.map_or_else(|| json!({}), |user| json!({ "user": user_object(user) }))
}

fn user_object(user: &User) -> Value {
    let profile = &user.profile;
    let memberships = user.memberships.iter().map(|membership| {
        let roles: Vec<&str> = membership.roles.iter().map(|role| role.name.as_str()).collect();
        json!({
            "organization_id": membership.organization_id,
            "organization_name": membership.organization_name,
            "status": membership.status.as_str(),
            "roles": roles,
            "metadata": membership.metadata,
        })
    });
    without_nulls(json!({
        "id": user.id,
        "name": profile.full_name(),
        "email": user.email.as_str(),
        "email_verified": user.email_verified_at_ms.is_some(),
        "created_at": rfc3339(user.created_at_ms),
        "updated_at": rfc3339(user.updated_at_ms),
        "given_name": profile.given_name,
        "family_name": profile.family_name,
        "first_name": profile.given_name,
        "last_name": profile.family_name,
        "metadata": user.metadata,
        "memberships": memberships.collect::<Vec<_>>(),
    }))
}

/// `data` about the organization that somebody is invited to.
pub fn organization_data(organization: &Organization) -> Value {
    json!({ "organization": { "id": organization.id, "name": organization.display_name } })
}

/// `data` about the token that a machine client is to get.
pub fn token_data(client: &OrganizationClient, scopes: &[String]) -> Value {
    json!({ "m2m_token_claims": {
        "client_id": client.id,
        "claims": {
            "custom_claims": client.token_claims(),
            "oid": client.organization_id,
            "scope": scopes.join(" "),
            "scopes": scopes,
        },
    } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::email::EmailAddress;
    use crate::domain::interceptor::FailurePolicy;
    use crate::domain::membership::Membership;

    fn interceptor(trigger_point: TriggerPoint) -> Interceptor {
        Interceptor {
            id: "icp_1".into(),
            version: 1,
            display_name: "Check".into(),
            description: String::new(),
            trigger_point,
            url: "http://localhost:3000/".into(),
            timeout_ms: 1_000,
            failure_policy: FailurePolicy::FailOpen,
            is_enabled: true,
            created_at_ms: 0,
            updated_at_ms: 0,
        }
    }

    fn jane() -> User {
        let mut jane = User::new("usr_1".into(), EmailAddress::parse("jane@acme.test").unwrap(), 0);
        jane.profile.given_name = Some("Jane".into());
        jane.join(Membership::direct("org_1".into(), "Acme".into(), 0));
        jane
    }

    #[test]
    fn a_sign_in_is_told_with_user_organization_and_connection() {
        let jane = jane();
        let action = InterceptedAction {
            environment_id: "env_1",
            user: Some(&jane),
            email: Some("jane@acme.test"),
            organization_id: Some("org_1"),
            connection_id: Some("conn_1"),
            caller: Caller {
                user_agent: Some("Firefox".into()),
                ip_address: "203.0.113.7".parse().ok(),
                device_type: Some("Desktop"),
            },
            data: user_data(Some(&jane)),
            ..InterceptedAction::default()
        };
        let told = body(&interceptor(TriggerPoint::PreSessionCreation), &action);
        assert_eq!(
            (&told["display_name"], &told["trigger_point"]),
            (&json!("Check"), &json!("PRE_SESSION_CREATION"))
        );
        let wanted = json!({
            "environment_id": "env_1", "user_id": "usr_1", "user_email": "jane@acme.test",
            "organization_id": "org_1",
            "connection_details": [{ "id": "conn_1", "type": "PASSWORDLESS", "provider": "SCALEKIT" }],
            "device_type": "Desktop", "ip_address": "203.0.113.7", "region": "", "city": "",
            "user_agent": "Firefox", "triggered_at": "1970-01-01T00:00:00.000Z",
        });
        assert_eq!(told["interceptor_context"], wanted);
        let user = &told["data"]["user"];
        assert_eq!((&user["given_name"], &user["email_verified"]), (&json!("Jane"), &json!(false)));
        assert!(user.get("family_name").is_none(), "what is not known is absent");
        let membership = json!({ "organization_id": "org_1", "organization_name": "Acme", "status": "ACTIVE",
            "roles": [], "metadata": {} });
        assert_eq!(user["memberships"], json!([membership]));
        assert_eq!(user_data(None), json!({}));
    }

    #[test]
    fn a_machine_has_neither_address_nor_place() {
        let action = InterceptedAction {
            environment_id: "env_1",
            client_id: Some("m2morg_1"),
            ..InterceptedAction::default()
        };
        let told = body(&interceptor(TriggerPoint::PreM2mTokenCreation), &action);
        let wanted = json!({ "environment_id": "env_1", "client_id": "m2morg_1", "device_type": "Unknown",
            "user_agent": "", "triggered_at": "1970-01-01T00:00:00.000Z" });
        assert_eq!(told["interceptor_context"], wanted);
    }
}
