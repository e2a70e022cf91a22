//! Every emulated method, asked by gRPC and by REST: the same result, and the same refusal.
//!
//! The methods and their fields are those of the descriptors, so a method that is new is walked as well. It needs a good
//! request in [`good_request`].

use prost::Message as _;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, SerializeOptions,
    Value as Field,
};
use serde_json::{Value, json};
use vestibule::api::rest::descriptors;
use vestibule::domain::scalekit_api::{Binding, Method, methods};

use crate::support::TestServer;
use crate::support::grpc::{Wire, frame};
use crate::support::person::Page;

const CONNECTION: &str = "conn_687000000000000001";
const LIMITS: &str = "[limits]\nmails_per_address = 0\n";

/// What differs from call to call.
const VOLATILE: [&str; 12] = [
    "auth_request_id",
    "client_id",
    "id",
    "location",
    "plain_secret",
    "resent_count",
    "secret_suffix",
    "session_id",
    "token",
    "token_id",
    "token_suffix",
    "user_id",
];

fn emulated() -> impl Iterator<Item = &'static Method> {
    methods().iter().filter(|method| method.is_emulated)
}

/// A request that goes well, with what it needs on this server. Where records are named in two ways, the binding says how.
async fn good_request(server: &TestServer, method: &Method, binding: &Binding) -> Value {
    match method.service {
        "scalekit.v1.domains.DomainService" => return good_domain_request(server, method.name).await,
        "scalekit.v1.clients.ClientService" => return good_client_request(server, method.name).await,
        "scalekit.v1.sessions.SessionService" => return good_session_request(server, method.name).await,
        "scalekit.v1.tokens.ApiTokenService" => return good_token_request(server, method.name).await,
        "scalekit.v1.users.UserService" => return good_user_request(server, method.name, binding).await,
        _ => {}
    }
    match method.name {
        "ListAuthRequests" => json!({
            "page_size": 5, "status": ["INITIATED", "PENDING"], "start_time": "2020-01-01T00:00:00Z",
        }),
        "ListAuthMethods" => json!({ "intent": "sign_in" }),
        "DiscoveryAuthMethod" => {
            json!({ "discovery_request": { "email": "jane@example.com", "intent": "sign_in" } })
        }
        "SendPasswordlessEmail" => json!({
            "email": "jane@example.com", "template": "SIGNUP", "state": "st4te", "expires_in": 600,
            "magiclink_auth_uri": "https://app.example.com/verify", "template_variables": { "app_name": "Acme" },
        }),
        "VerifyPasswordlessEmail" => {
            let id = sent(server).await;
            json!({ "auth_request_id": id, "code": server.code_for("jane@example.com").await })
        }
        "ResendPasswordlessEmail" => json!({ "auth_request_id": sent(server).await }),
        "ListConnections" => json!({ "include": "all" }),
        "UpdateEnvironmentConnection" => json!({
            "connection_id": CONNECTION,
            "connection": { "type": "PASSWORDLESS", "passwordless_config": { "type": "OTP", "validity": 120 } },
        }),
        "GetEnvironmentConnection" | "EnableEnvironmentConnection" | "DisableEnvironmentConnection" => {
            json!({ "connection_id": CONNECTION })
        }
        "ListOrganization" => json!({ "page_size": 5, "external_id": "acme" }),
        "SearchOrganization" => json!({ "query": "acme", "page_size": 5 }),
        "CreateOrganization" => json!({ "organization": {
            "display_name": "Other", "region_code": "EU", "metadata": { "plan": "pro" },
            "logo_url": "https://other.example.com/logo.png",
        } }),
        "UpdateOrganization" => json!({
            "id": acme(server).await,
            "organization": { "display_name": "Acme Ltd", "slug": "acme", "metadata": { "plan": "free" } },
        }),
        "GetOrganization" | "DeleteOrganization" | "GeneratePortalLink" => {
            json!({ "id": acme(server).await })
        }
        "GetOrganizationByExternalId" => {
            acme(server).await;
            json!({ "external_id": "acme" })
        }
        "UpdateOrganizationSettings" => json!({
            "id": acme(server).await, "settings": { "features": [{ "name": "sso", "enabled": true }] },
        }),
        "UpdateOrganizationSessionPolicy" => json!({
            "organization_id": acme(server).await, "policy_source": "CUSTOM",
            "absolute_session_timeout": 8, "absolute_session_timeout_unit": "HOURS",
            "idle_session_timeout_enabled": true, "idle_session_timeout": 30,
            "idle_session_timeout_unit": "MINUTES",
        }),
        "GetOrganizationSessionPolicy" | "GetOrganizationUserManagementSetting" => {
            json!({ "organization_id": acme(server).await })
        }
        "UpsertUserManagementSettings" => {
            json!({ "organization_id": acme(server).await, "settings": { "max_allowed_users": 50 } })
        }
        _ if method.service == "scalekit.v1.roles.RolesService" => {
            good_request_about_roles(server, method).await
        }
        other => panic!("{other} is emulated: give it a good request here"),
    }
}

async fn good_domain_request(server: &TestServer, name: &str) -> Value {
    match name {
        "CreateDomain" => {
            let organization_id = acme(server).await;
            without_domains(server, &organization_id).await;
            json!({
                "organization_id": organization_id,
                "domain": { "domain": "acme.com", "domain_type": "ALLOWED_EMAIL_DOMAIN" },
            })
        }
        "GetDomain" | "DeleteDomain" => {
            let organization_id = acme(server).await;
            json!({ "organization_id": organization_id, "id": domain_of(server, &organization_id).await })
        }
        "ListDomains" => json!({
            "organization_id": acme(server).await, "page_size": 5, "page_number": 0,
            "domain_type": "ORGANIZATION_DOMAIN",
        }),
        other => panic!("{other} is emulated: give it a good request here"),
    }
}

async fn good_client_request(server: &TestServer, name: &str) -> Value {
    match name {
        "ListClient" => json!({ "page_size": 5, "filter": { "client_type": ["ENV"] } }),
        "CreateClient" => json!({ "client": application() }),
        "GetClient" | "DeleteClient" | "CreateClientSecret" => application_of(server).await,
        "UpdateClient" => {
            let mut asked = application_of(server).await;
            asked["client"] = json!({
                "name": "Other", "post_login_uris": ["https://other.example.com/cb"], "enforce_pkce": false,
                "custom_claims": [{ "key": "tier", "value": "gold" }], "access_token_expiry": "600",
            });
            asked
        }
        "DeleteClientSecret" => {
            let mut asked = application_of(server).await;
            let made = call(server, "CreateClientSecret", asked.clone()).await;
            asked["secret_id"] = made["secret"]["id"].clone();
            asked
        }
        "CreateOrganizationClient" => {
            json!({ "organization_id": acme(server).await, "client": organization_client() })
        }
        "UpdateOrganizationClient" => {
            let mut asked = client_of_acme(server).await;
            asked["client"] = organization_client();
            asked
        }
        "GetOrganizationClient" | "DeleteOrganizationClient" | "CreateOrganizationClientSecret" => {
            client_of_acme(server).await
        }
        "DeleteOrganizationClientSecret" => {
            let mut asked = client_of_acme(server).await;
            let made = call(server, "CreateOrganizationClientSecret", asked.clone()).await;
            asked["secret_id"] = made["secret"]["id"].clone();
            asked
        }
        "ListOrganizationClients" => json!({ "organization_id": acme(server).await, "page_size": 5 }),
        other => panic!("{other} is emulated: give it a good request here"),
    }
}

async fn good_session_request(server: &TestServer, name: &str) -> Value {
    let (_, jane) = jane(server, false).await;
    server.person().tokens("jane@acme.test").await;
    let listed = call(server, "GetUserSessions", json!({ "user_id": jane })).await;
    match name {
        "GetSession" | "RevokeSession" => json!({ "session_id": listed["sessions"][0]["session_id"] }),
        "GetUserSessions" => json!({
            "user_id": jane, "page_size": 5,
            "filter": { "status": ["ACTIVE"], "start_time": "2020-01-01T00:00:00Z" },
        }),
        "RevokeAllUserSessions" => json!({ "user_id": jane }),
        other => panic!("{other} is emulated: give it a good request here"),
    }
}

/// Jane is a member of Acme, and has a token.
async fn good_token_request(server: &TestServer, name: &str) -> Value {
    let (acme, jane) = jane(server, false).await;
    let new = json!({ "token": {
        "organization_id": acme, "user_id": jane, "description": "Deploys", "expiry": "2100-01-01T00:00:00Z",
        "custom_claims": { "tier": "gold" },
    } });
    if name == "CreateToken" {
        return new;
    }
    let token = call(server, "CreateToken", new).await["token"].clone();
    match name {
        "ValidateToken" | "InvalidateToken" => json!({ "token": token }),
        "UpdateToken" => {
            json!({ "token": token, "description": "Reads", "custom_claims": { "tier": "free" } })
        }
        "ListTokens" => json!({ "organization_id": acme, "user_id": jane, "page_size": 5 }),
        other => panic!("{other} is emulated: give it a good request here"),
    }
}

async fn good_user_request(server: &TestServer, name: &str, binding: &Binding) -> Value {
    let (acme, jane) = jane(server, name == "ResendInvite").await;
    let mut request = match name {
        "ListUsers" => return json!({ "page_size": 5 }),
        "SearchUsers" => return json!({ "query": "jane", "page_size": 5 }),
        "SearchOrganizationUsers" => {
            return json!({ "organization_id": acme, "query": "jane", "page_size": 5 });
        }
        "ListOrganizationUsers" => return json!({ "organization_id": acme, "page_size": 5 }),
        "CreateUserAndMembership" => {
            call(server, "DeleteUser", json!({ "id": jane })).await;
            return json!({ "organization_id": acme, "user": new_jane(), "send_invitation_email": false });
        }
        "ListUserRoles" | "ListUserPermissions" => {
            return json!({ "organization_id": acme, "user_id": jane });
        }
        "AssignUserRoles" => {
            return json!({ "organization_id": acme, "user_id": jane, "roles": [{ "role_name": "admin" }] });
        }
        "RemoveUserRole" => {
            return json!({ "organization_id": acme, "user_id": jane, "role_name": "member" });
        }
        "ResendInvite" => return json!({ "organization_id": acme, "id": jane }),
        "GetUser" | "DeleteUser" => json!({}),
        "UpdateUser" => json!({ "user": {
            "metadata": { "plan": "free" }, "user_profile": { "given_name": "Janet", "groups": ["red"] },
        } }),
        "CreateMembership" => {
            call(server, "DeleteMembership", json!({ "organization_id": acme, "id": jane })).await;
            json!({ "organization_id": acme, "membership": { "roles": [{ "name": "admin" }] } })
        }
        "UpdateMembership" => json!({
            "organization_id": acme,
            "membership": { "roles": [{ "name": "admin" }], "metadata": { "team": "blue" } },
        }),
        "DeleteMembership" => json!({ "organization_id": acme }),
        other => panic!("{other} is emulated: give it a good request here"),
    };
    if binding.path.contains("{external_id}") {
        request["external_id"] = "jane".into();
    } else {
        request["id"] = jane.into();
    }
    request
}

fn new_jane() -> Value {
    json!({
        "email": "jane@acme.test", "external_id": "jane", "metadata": { "plan": "pro" },
        "user_profile": { "given_name": "Jane", "custom_attributes": { "floor": "3" } },
        "membership": { "roles": [{ "name": "member" }], "metadata": { "team": "red" } },
    })
}

/// The ids of an organization and of a user who became its member just now, or was invited.
async fn jane(server: &TestServer, is_invited: bool) -> (String, String) {
    let acme = acme(server).await;
    let deleting = emulated().find(|method| method.name == "DeleteUser").unwrap();
    let asked = message(deleting, &json!({ "external_id": "jane" }));
    by_grpc(server, deleting, &asked, Caller::Client).await;
    let new = json!({ "organization_id": acme, "user": new_jane(), "send_invitation_email": is_invited });
    let made = call(server, "CreateUserAndMembership", new).await;
    (acme, made["user"]["id"].as_str().unwrap().to_owned())
}

/// There is a role `editor` with a permission, which extends `viewer`, and a role of Acme.
async fn good_request_about_roles(server: &TestServer, method: &Method) -> Value {
    let acme = acme(server).await;
    let role = |name: &str, extends: Option<&str>| json!({ "name": name, "display_name": name, "description": "d", "extends": extends });
    for (prepared, fields) in [
        // What a request before this one may have made.
        ("DeleteRole", json!({ "role_name": "writer" })),
        ("DeleteOrganizationRole", json!({ "org_id": acme, "role_name": "chief" })),
        ("DeletePermission", json!({ "permission_name": "write:documents" })),
        ("CreatePermission", json!({ "permission": { "name": "read:documents", "description": "d" } })),
        ("CreateRole", json!({ "role": role("viewer", None) })),
        ("CreateRole", json!({ "role": role("editor", Some("viewer")) })),
        ("CreateOrganizationRole", json!({ "org_id": acme, "role": role("buyer", Some("editor")) })),
        ("AddPermissionsToRole", json!({ "role_name": "editor", "permission_names": ["read:documents"] })),
    ] {
        // It may be there already, or not be there.
        let method = emulated().find(|method| method.name == prepared).unwrap();
        by_grpc(server, method, &message(method, &fields), Caller::Client).await;
    }
    match method.name {
        "CreateRole" => json!({ "role": { "name": "writer", "display_name": "Writer", "extends": "editor",
            "description": "Writes", "permissions": ["read:documents"] } }),
        "CreateOrganizationRole" => {
            json!({ "org_id": acme, "role": { "name": "chief", "display_name": "Chief",
            "extends": "buyer", "description": "Leads", "permissions": ["read:documents"] } })
        }
        "UpdateRole" => {
            json!({ "role_name": "editor", "role": { "display_name": "Editor", "extends": "member",
            "description": "Edits", "permissions": ["read:documents"] } })
        }
        "UpdateOrganizationRole" => json!({ "org_id": acme, "role_name": "buyer",
            "role": { "display_name": "Buyer", "description": "Buys" } }),
        "GetRole" => json!({ "role_name": "editor", "include": "permissions:all" }),
        "GetOrganizationRole" => json!({ "org_id": acme, "role_name": "buyer", "include": "permissions" }),
        "ListRoles" => json!({ "include": "permissions" }),
        "ListOrganizationRoles" => json!({ "org_id": acme, "include": "permissions:all" }),
        "DeleteRole" => json!({ "role_name": "editor", "reassign_role_name": "viewer" }),
        "DeleteOrganizationRole" => {
            json!({ "org_id": acme, "role_name": "buyer", "reassign_role_name": "viewer" })
        }
        "UpdateDefaultRoles" => {
            json!({ "default_creator_role": "editor", "default_member_role": "viewer" })
        }
        "UpdateDefaultOrganizationRoles" => json!({ "org_id": acme, "default_member_role": "buyer" }),
        "GetOrganizationRoleUsersCount" | "DeleteOrganizationRoleBase" => {
            json!({ "org_id": acme, "role_name": "buyer" })
        }
        "CreatePermission" => json!({ "permission": { "name": "write:documents", "description": "Writes" } }),
        "UpdatePermission" => json!({ "permission_name": "read:documents",
            "permission": { "name": "read:documents", "description": "Reads" } }),
        "GetPermission" | "DeletePermission" => json!({ "permission_name": "read:documents" }),
        "ListPermissions" => json!({ "page_size": 5, "type": "ENVIRONMENT" }),
        "AddPermissionsToRole" => json!({ "role_name": "viewer", "permission_names": ["read:documents"] }),
        "RemovePermissionFromRole" => {
            json!({ "role_name": "editor", "permission_name": "read:documents" })
        }
        _ => json!({ "role_name": "editor" }),
    }
}

/// The id of an organization with the external id `acme`, which is made where it is missing.
async fn acme(server: &TestServer) -> String {
    let fields = json!({ "organization": { "display_name": "Acme", "external_id": "acme" } });
    let create = emulated().find(|method| method.name == "CreateOrganization").unwrap();
    by_grpc(server, create, &message(create, &fields), Caller::Client).await;
    let read = emulated().find(|method| method.name == "GetOrganizationByExternalId").unwrap();
    let asked = message(read, &json!({ "external_id": "acme" }));
    let Outcome::Done(found) = by_grpc(server, read, &asked, Caller::Client).await else {
        panic!("it was not made")
    };
    found["organization"]["id"].as_str().unwrap().to_owned()
}

/// What a method answers to a good request.
async fn call(server: &TestServer, name: &str, asked: Value) -> Value {
    let method = emulated().find(|method| method.name == name).unwrap();
    match by_grpc(server, method, &message(method, &asked), Caller::Client).await {
        Outcome::Done(answer) => answer,
        refused @ Outcome::Refused { .. } => panic!("{name}: {refused:?}"),
    }
}

fn application() -> Value {
    json!({
        "name": "App", "client_type": "WEB_APP", "post_login_uris": ["https://app.example.com/cb"],
        "post_logout_redirect_uris": ["https://app.example.com/"], "access_token_expiry": "3600",
        "back_channel_logout_uris": ["https://app.example.com/out"], "scopes": ["openid"],
        "initiate_login_uri": "https://app.example.com/login", "grant_types": ["authorization_code"],
        "custom_claims": [{ "key": "tier", "value": "gold" }], "enforce_pkce": true,
        "disallow_scalekit_api_access": true,
    })
}

/// The name of a new application.
async fn application_of(server: &TestServer) -> Value {
    let made = call(server, "CreateClient", json!({ "client": application() })).await;
    json!({ "client_id": made["client"]["id"] })
}

fn organization_client() -> Value {
    json!({
        "name": "Robot", "description": "Reads", "scopes": ["read"], "audience": ["my-own-api"],
        "custom_claims": [{ "key": "wksp_id", "value": "w1" }], "expiry": "3600",
    })
}

/// The names of an organization and of a new client of it.
async fn client_of_acme(server: &TestServer) -> Value {
    let organization_id = acme(server).await;
    let asked = json!({ "organization_id": organization_id, "client": organization_client() });
    let made = call(server, "CreateOrganizationClient", asked).await;
    json!({ "organization_id": organization_id, "client_id": made["client"]["client_id"] })
}

/// Deletes the domains of an organization.
async fn without_domains(server: &TestServer, organization_id: &str) {
    let listed = call(server, "ListDomains", json!({ "organization_id": organization_id })).await;
    for domain in listed["domains"].as_array().unwrap() {
        let asked = json!({ "organization_id": organization_id, "id": domain["id"] });
        call(server, "DeleteDomain", asked).await;
    }
}

/// The id of the one domain of an organization.
async fn domain_of(server: &TestServer, organization_id: &str) -> String {
    without_domains(server, organization_id).await;
    let asked = json!({ "organization_id": organization_id, "domain": { "domain": "acme.com" } });
    let made = call(server, "CreateDomain", asked).await;
    made["domain"]["id"].as_str().unwrap().to_owned()
}

/// The id of an auth request whose code was mailed just now.
async fn sent(server: &TestServer) -> String {
    let method = emulated().find(|method| method.name == "SendPasswordlessEmail").unwrap();
    let asked =
        json!({ "email": "jane@example.com", "magiclink_auth_uri": "https://app.example.com/verify" });
    let Outcome::Done(sent) = by_grpc(server, method, &message(method, &asked), Caller::Client).await else {
        panic!("nothing was sent")
    };
    sent["auth_request_id"].as_str().unwrap().to_owned()
}

#[derive(Debug, PartialEq)]
enum Outcome {
    Done(Value),
    Refused { code: i64, error_code: String, message: String, violations: Value },
}

impl Outcome {
    /// Without what differs from call to call.
    fn lasting(self) -> Self {
        match self {
            Self::Done(mut json) => {
                leave_out(&mut json);
                Self::Done(json)
            }
            refused @ Self::Refused { .. } => refused,
        }
    }

    fn error_code(&self) -> &str {
        match self {
            Self::Refused { error_code, .. } => error_code,
            Self::Done(_) => "",
        }
    }

    fn fields(&self) -> Vec<&str> {
        match self {
            Self::Refused { violations, .. } => {
                violations.as_array().unwrap().iter().map(|v| v["field"].as_str().unwrap()).collect()
            }
            Self::Done(_) => vec![],
        }
    }
}

/// What differs from call to call, wherever it stands. Ids of connections are always the same.
fn leave_out(json: &mut Value) {
    match json {
        Value::Object(members) => {
            for (name, member) in members {
                let is_lasting = member.as_str().is_some_and(|text| text.starts_with("conn_"));
                if VOLATILE.contains(&name.as_str()) && !is_lasting {
                    *member = "…".into();
                } else {
                    leave_out(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(leave_out),
        _ => {}
    }
}

#[derive(Debug, Clone, Copy)]
enum Caller {
    Client,
    Nobody,
}

impl Caller {
    async fn token(self, server: &TestServer) -> Option<String> {
        match self {
            Self::Client => Some(format!("Bearer {}", server.client_token().await)),
            Self::Nobody => None,
        }
    }
}

fn input(method: &Method) -> MessageDescriptor {
    descriptors().get_message_by_name(method.input).unwrap()
}

fn message(method: &Method, json: &Value) -> DynamicMessage {
    DynamicMessage::deserialize(input(method), json).unwrap()
}

fn shown(message: &DynamicMessage) -> Value {
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap()
}

async fn by_grpc(server: &TestServer, method: &Method, message: &DynamicMessage, caller: Caller) -> Outcome {
    let token = caller.token(server).await;
    let headers: Vec<_> = token.iter().map(|token| ("authorization", token.as_str())).collect();
    let path = format!("/{}", method.path());
    let answer = server.call_with(Wire::H2c, &path, frame(message), &headers).await;
    if answer.status() == 0 {
        let output = descriptors().get_message_by_name(method.output).unwrap();
        return Outcome::Done(shown(&DynamicMessage::decode(output, answer.bytes()).unwrap()));
    }
    let (code, message, info) = answer.error();
    let violations = info.validation_error_info.unwrap_or_default().field_violations;
    let violations = violations
        .iter()
        .map(|v| json!({ "field": v.field, "description": v.description, "constraint": v.constraint }));
    Outcome::Refused {
        code: code.into(),
        error_code: info.error_code,
        message,
        violations: violations.collect::<Vec<_>>().into(),
    }
}

/// A REST call: its path and query, and its body.
#[derive(Debug, Clone)]
struct Rest {
    verb: &'static str,
    path: String,
    query: Vec<(String, String)>,
    body: Option<String>,
}

impl Rest {
    /// The call that says what `message` says; `None` where a path has no room for it, since nothing stands there.
    fn of(binding: &'static Binding, message: &DynamicMessage, options: &SerializeOptions) -> Option<Self> {
        let json = message.serialize_with_options(serde_json::value::Serializer, options).unwrap();
        let mut fields = json.as_object().unwrap().clone();
        let mut path = binding.path.to_owned();
        for field in message.descriptor().fields() {
            let place = format!("{{{}}}", field.name());
            if !path.contains(&place) {
                continue;
            }
            let value = take(&mut fields, &field)?;
            let value = value.as_str().filter(|value| !value.is_empty())?.to_owned();
            path = path.replace(&place, &escaped(&value));
        }
        let body = match binding.body {
            "" => None,
            "*" => Some(Value::from(std::mem::take(&mut fields)).to_string()),
            name => {
                let field = message.descriptor().get_field_by_name(name).unwrap();
                Some(take(&mut fields, &field).map(|value| value.to_string()).unwrap_or_default())
            }
        };
        let mut query = vec![];
        for (name, value) in fields {
            flatten(&name, &value, &mut query);
        }
        Some(Self { verb: binding.verb, path, query, body })
    }

    async fn send(&self, server: &TestServer, caller: Caller) -> Page {
        let url = format!("{}{}", server.url, self.path);
        let mut request = server.http().request(self.verb.parse().unwrap(), url).query(&self.query);
        if let Some(token) = caller.token(server).await {
            request = request.header("authorization", token);
        }
        if let Some(body) = &self.body {
            request = request.header("content-type", "application/json").body(body.clone());
        }
        Page::of(request.send().await.unwrap()).await
    }

    async fn outcome(&self, server: &TestServer, method: &Method, caller: Caller) -> Outcome {
        let page = self.send(server, caller).await;
        if page.status == method.success_status {
            assert_eq!(page.header("cache-control"), "no-store");
            return Outcome::Done(page.json());
        }
        let body = page.json();
        let info = &body["details"][0];
        Outcome::Refused {
            code: body["code"].as_i64().unwrap(),
            error_code: info["error_code"].as_str().unwrap().to_owned(),
            message: body["message"].as_str().unwrap().to_owned(),
            violations: info["validation_error_info"].get("field_violations").cloned().unwrap_or(json!([])),
        }
    }
}

fn take(fields: &mut serde_json::Map<String, Value>, field: &FieldDescriptor) -> Option<Value> {
    fields.remove(field.name()).or_else(|| fields.remove(field.json_name()))
}

fn escaped(value: &str) -> String {
    value.replace('%', "%25").replace('/', "%2F").replace(' ', "%20").replace('?', "%3F").replace('#', "%23")
}

fn flatten(name: &str, value: &Value, query: &mut Vec<(String, String)>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(inner, value)| flatten(&format!("{name}.{inner}"), value, query));
        }
        Value::Array(items) => items.iter().for_each(|item| flatten(name, item, query)),
        Value::String(text) => query.push((name.to_owned(), text.clone())),
        other => query.push((name.to_owned(), other.to_string())),
    }
}

fn plain() -> SerializeOptions {
    SerializeOptions::new().use_proto_field_name(true)
}

#[tokio::test]
async fn every_method_has_the_same_result_and_the_status_that_is_described() {
    for method in emulated() {
        for binding in method.bindings {
            let server = TestServer::with(LIMITS).await;
            let grpc = message(method, &good_request(&server, method, binding).await);
            let grpc = by_grpc(&server, method, &grpc, Caller::Client).await.lasting();
            assert!(matches!(grpc, Outcome::Done(_)), "{}: {grpc:?}", method.path());
            let rest = message(method, &good_request(&server, method, binding).await);
            let rest = Rest::of(binding, &rest, &plain()).unwrap();
            let rest = rest.outcome(&server, method, Caller::Client).await.lasting();
            assert_eq!(rest, grpc, "{} {}", binding.verb, binding.path);
        }
    }
}

#[tokio::test]
async fn json_comes_in_every_form_that_protobuf_allows() {
    for method in emulated() {
        for binding in method.bindings.iter().filter(|binding| !binding.body.is_empty()) {
            let server = TestServer::with(LIMITS).await;
            let mut outcomes = vec![];
            for form in ["plain", "camelCase", "numbers of enums", "numbers as texts", "unknown members"] {
                let good = message(method, &good_request(&server, method, binding).await);
                let options = match form {
                    "camelCase" => SerializeOptions::new(),
                    "numbers of enums" => plain().use_enum_numbers(true),
                    _ => plain(),
                };
                let mut call = Rest::of(binding, &good, &options).unwrap();
                let mut body: Value = serde_json::from_str(call.body.as_deref().unwrap()).unwrap();
                match form {
                    "numbers as texts" => texts_for_numbers(&mut body),
                    "unknown members" => add_unknown(&mut body),
                    _ => {}
                }
                call.body = Some(body.to_string());
                outcomes.push((form, call.outcome(&server, method, Caller::Client).await.lasting()));
            }
            for (form, outcome) in &outcomes {
                assert_eq!(outcome, &outcomes[0].1, "{} with {form}", method.path());
                assert!(matches!(outcome, Outcome::Done(_)), "{}: {outcome:?}", method.path());
            }
        }
    }
}

fn texts_for_numbers(json: &mut Value) {
    match json {
        Value::Number(number) => *json = number.to_string().into(),
        Value::Object(members) => members.values_mut().for_each(texts_for_numbers),
        Value::Array(items) => items.iter_mut().for_each(texts_for_numbers),
        _ => {}
    }
}

/// Into every object but maps, whose names are data.
fn add_unknown(json: &mut Value) {
    if let Value::Object(members) = json {
        for (_, member) in members.iter_mut().filter(|(name, _)| {
            !["template_variables", "metadata", "custom_attributes", "custom_claims"].contains(&name.as_str())
        }) {
            add_unknown(member);
        }
        members.insert("not_a_field".to_owned(), json!({ "a": [1, null] }));
    }
}

/// A message that breaks one rule, and the field it is about.
struct Broken {
    message: DynamicMessage,
    field: String,
}

/// Every way to break a rule of this message's fields.
fn broken(good: &DynamicMessage) -> Vec<Broken> {
    let mut found = vec![];
    for field in good.descriptor().fields() {
        // One of several, of which the good request has another.
        let is_one_of_several = field.containing_oneof().is_some_and(|oneof| oneof.fields().len() > 1);
        if is_one_of_several && !good.has_field(&field) {
            continue;
        }
        for bad in bad_values(&field) {
            let mut message = good.clone();
            match bad {
                Some(value) => message.set_field(&field, value),
                None => message.clear_field(&field),
            }
            found.push(Broken { message, field: field.name().to_owned() });
        }
        // Inside of the messages that the good request has.
        if let (false, Some(inner)) = (field.is_map(), good.get_field(&field).as_message()) {
            let is_ours = inner.descriptor().full_name().starts_with("scalekit.");
            for Broken { message: bad, field: name } in
                if is_ours && good.has_field(&field) { broken(inner) } else { vec![] }
            {
                let mut message = good.clone();
                message.set_field(&field, Field::Message(bad));
                found.push(Broken { message, field: format!("{}.{name}", field.name()) });
            }
        }
    }
    found
}

fn rules(field: &FieldDescriptor) -> Option<DynamicMessage> {
    let extension = descriptors().get_extension_by_name("buf.validate.field").unwrap();
    let options = field.options();
    options.has_extension(&extension).then(|| options.get_extension(&extension).as_message().unwrap().clone())
}

fn part(rules: &DynamicMessage, name: &str) -> Option<DynamicMessage> {
    rules
        .has_field_by_name(name)
        .then(|| rules.get_field_by_name(name).unwrap().as_message().unwrap().clone())
}

fn bound(rules: &DynamicMessage, name: &str) -> Option<usize> {
    let number =
        rules.has_field_by_name(name).then(|| rules.get_field_by_name(name).unwrap().as_u64().unwrap());
    number.map(|number| usize::try_from(number).unwrap())
}

/// Values that break a rule of the field; `None` is its absence.
fn bad_values(field: &FieldDescriptor) -> Vec<Option<Field>> {
    let Some(rules) = rules(field) else { return vec![] };
    let mut bad = vec![];
    let is_required = rules.get_field_by_name("required").unwrap().as_bool().unwrap();
    if is_required {
        bad.push(None);
    }
    if let Some(text) = part(&rules, "string") {
        bad.extend(bad_texts(&text).into_iter().map(|text| Some(Field::String(text))));
    }
    if part(&rules, "enum").is_some() {
        bad.push(Some(Field::EnumNumber(9_999)));
    }
    if let Some(map) = part(&rules, "map") {
        let pair = |key: String, value: String| {
            Some(Field::Map([(prost_reflect::MapKey::String(key), Field::String(value))].into()))
        };
        let (keys, values) = (part(&map, "keys").unwrap(), part(&map, "values").unwrap());
        let key = "k".repeat(bound(&part(&keys, "string").unwrap(), "min_len").unwrap());
        let value = "v".repeat(bound(&part(&values, "string").unwrap(), "min_len").unwrap_or(1));
        bad.extend(
            bad_texts(&part(&keys, "string").unwrap()).into_iter().map(|bad| pair(bad, value.clone())),
        );
        bad.extend(
            bad_texts(&part(&values, "string").unwrap()).into_iter().map(|bad| pair(key.clone(), bad)),
        );
        let many = (0..=bound(&map, "max_pairs").unwrap())
            .map(|n| (prost_reflect::MapKey::String(format!("name_{n}")), Field::String(value.clone())));
        bad.push(Some(Field::Map(many.collect())));
    }
    if let Some(list) = part(&rules, "repeated")
        && let Some(max) = bound(&list, "max_items")
    {
        bad.push(Some(Field::List((0..=max).map(|n| Field::String(format!("item_{n}"))).collect())));
    }
    for kind in ["uint32", "int32"] {
        if let Some(numbers) = part(&rules, kind).filter(|numbers| numbers.has_field_by_name("lte")) {
            bad.push(Some(match numbers.get_field_by_name("lte").unwrap().as_ref() {
                Field::U32(most) => Field::U32(most + 1),
                Field::I32(most) => Field::I32(most + 1),
                other => panic!("{other:?}"),
            }));
        }
    }
    bad
}

fn bad_texts(rules: &DynamicMessage) -> Vec<String> {
    let mut bad = vec![];
    if let Some(min) = bound(rules, "min_len").filter(|min| *min > 0) {
        bad.push("x".repeat(min - 1));
    }
    if let Some(max) = bound(rules, "max_len") {
        bad.push("x".repeat(max + 1));
    }
    let is = |name: &str| rules.get_field_by_name(name).unwrap().as_bool().unwrap();
    if rules.has_field_by_name("prefix") || rules.has_field_by_name("pattern") || is("email") {
        bad.push("!!! no such value".to_owned());
    }
    bad
}

#[tokio::test]
async fn every_broken_field_rule_is_refused_alike() {
    let server = TestServer::with(LIMITS).await;
    let (mut walked, mut not_in_a_path) = (0, 0);
    for method in emulated() {
        for binding in method.bindings {
            let good = message(method, &good_request(&server, method, binding).await);
            for Broken { message, field } in broken(&good) {
                let grpc = by_grpc(&server, method, &message, Caller::Client).await;
                let name = format!("{} without a good {field}", method.path());
                assert_eq!(grpc.error_code(), "INVALID_ARGUMENT", "{name}: {grpc:?}");
                assert!(grpc.fields().iter().all(|found| found.starts_with(&field)), "{name}: {grpc:?}");
                assert!(!grpc.fields().is_empty(), "{name}: {grpc:?}");
                let Some(call) = Rest::of(binding, &message, &plain()) else {
                    not_in_a_path += 1;
                    continue;
                };
                assert_eq!(call.outcome(&server, method, Caller::Client).await, grpc, "{name}");
                walked += 1;
            }
        }
    }
    assert!(walked >= 25, "only {walked} refusals were compared");
    // An id that is empty, or one by which the path does not name its record.
    let places: usize = emulated().flat_map(|m| m.bindings).map(|b| b.path.matches('{').count()).sum();
    assert!(not_in_a_path <= 2 * places, "{not_in_a_path} of {places} places in paths stay empty");
    assert!(not_in_a_path * 2 <= walked, "{not_in_a_path} are missing in their path, {walked} are not");
}

#[tokio::test]
async fn a_colon_in_a_path_is_a_part_of_the_value_raw_and_escaped() {
    let server = TestServer::with(LIMITS).await;
    for method in emulated() {
        for binding in method.bindings.iter().filter(|binding| binding.path.contains('{')) {
            let mut asked = message(method, &good_request(&server, method, binding).await);
            let fields = binding.path.split(['{', '}']).skip(1).step_by(2);
            let mut fields = fields.map(|name| asked.descriptor().get_field_by_name(name).unwrap());
            // Some names have no colon.
            let Some(field) = fields.find(takes_colon) else { continue };
            // Some ids have to begin with what they are ids of, and to be of some length.
            let texts = rules(&field).and_then(|rules| part(&rules, "string"));
            let prefix = texts.as_ref().and_then(|texts| {
                texts.get_field_by_name("prefix").and_then(|prefix| prefix.as_str().map(str::to_owned))
            });
            let length = texts.as_ref().and_then(|texts| bound(texts, "min_len")).unwrap_or_default();
            let text = format!("{:x<length$}", format!("{}a:b", prefix.unwrap_or_default()));
            asked.set_field(&field, Field::String(text));
            let grpc = by_grpc(&server, method, &asked, Caller::Client).await;
            // A pattern may forbid a colon.
            let has_pattern = texts.is_some_and(|texts| texts.has_field_by_name("pattern"));
            let is_refused =
                grpc.error_code() == "NOT_FOUND" || (has_pattern && grpc.error_code() == "INVALID_ARGUMENT");
            assert!(is_refused, "{grpc:?}");
            for colon in [":", "%3A", "%3a"] {
                let mut call = Rest::of(binding, &asked, &plain()).unwrap();
                call.path = call.path.replace("a:b", &format!("a{colon}b"));
                assert_eq!(call.outcome(&server, method, Caller::Client).await, grpc, "{}", call.path);
            }
        }
    }
}

fn takes_colon(field: &FieldDescriptor) -> bool {
    let texts = rules(field).and_then(|rules| part(&rules, "string"));
    let pattern =
        texts.and_then(|texts| texts.get_field_by_name("pattern").map(|p| p.as_str().unwrap().to_owned()));
    pattern.is_none_or(|pattern| pattern.is_empty() || pattern.contains(':'))
}

#[tokio::test]
async fn nobody_and_users_are_refused_alike() {
    let server = TestServer::with(LIMITS).await;
    for method in emulated() {
        for binding in method.bindings {
            let asked = message(method, &good_request(&server, method, binding).await);
            let grpc = by_grpc(&server, method, &asked, Caller::Nobody).await.lasting();
            let refused = if method.is_public { "" } else { "UNAUTHENTICATED" };
            assert_eq!(grpc.error_code(), refused, "{}", method.path());
            let call = Rest::of(binding, &asked, &plain()).unwrap();
            assert_eq!(
                call.outcome(&server, method, Caller::Nobody).await.lasting(),
                grpc,
                "{}",
                method.path()
            );
            // The token is looked at before what was sent.
            if !method.is_public && !binding.body.is_empty() {
                let broken = Rest { body: Some("no JSON".to_owned()), ..call };
                assert_eq!(broken.outcome(&server, method, Caller::Nobody).await, grpc, "{}", method.path());
            }
        }
    }
}

#[tokio::test]
async fn bodies_that_are_missing_wrong_or_too_large_are_refused() {
    let server = TestServer::with(LIMITS).await;
    for method in emulated() {
        for binding in method.bindings.iter().filter(|binding| !binding.body.is_empty()) {
            let good = message(method, &good_request(&server, method, binding).await);
            let call = |body: &str| {
                let call = Rest::of(binding, &good, &plain()).unwrap();
                Rest { body: Some(body.to_owned()), ..call }
            };
            // Nothing at all is a message without what the body would have said.
            let mut without = good.clone();
            for field in good.descriptor().fields() {
                let is_in_path = binding.path.contains(&format!("{{{}}}", field.name()));
                if binding.body == field.name() || (binding.body == "*" && !is_in_path) {
                    without.clear_field(&field);
                }
            }
            let grpc = by_grpc(&server, method, &without, Caller::Client).await.lasting();
            let rest = call("").outcome(&server, method, Caller::Client).await.lasting();
            assert_eq!(rest, grpc, "{}", method.path());
            for wrong in ["{", "7", "\"text\"", "{} {}"] {
                let outcome = call(wrong).outcome(&server, method, Caller::Client).await;
                assert_eq!(outcome.error_code(), "INVALID_ARGUMENT", "{} with {wrong}", method.path());
            }
            // Each field with a value of another kind.
            let inside = match binding.body {
                "*" => good.descriptor(),
                name => {
                    let field = good.descriptor().get_field_by_name(name).unwrap();
                    match field.kind() {
                        Kind::Message(inner) if !field.is_list() => inner,
                        _ => continue,
                    }
                }
            };
            for field in inside.fields() {
                let wrong = json!({ field.name(): [[true]] }).to_string();
                let outcome = call(&wrong).outcome(&server, method, Caller::Client).await;
                assert_eq!(outcome.error_code(), "INVALID_ARGUMENT", "{} with {wrong}", method.path());
                assert!(outcome.fields()[0].contains(field.name()), "{outcome:?}");
            }
            let page =
                call(&format!("{{\"x\":\"{}\"}}", "x".repeat(70_000))).send(&server, Caller::Client).await;
            assert_eq!(page.status, 413, "{}", method.path());
            assert_eq!(page.json()["details"][0]["error_code"], "REQUEST_TOO_LARGE");
        }
        let mut large =
            input(method).fields().find(|field| matches!(field.kind(), Kind::String) && !field.is_list());
        if let Some(field) = large.take() {
            let mut message = DynamicMessage::new(input(method));
            message.set_field(&field, Field::String("x".repeat(70_000)));
            assert!(message.encoded_len() > 65_536);
            let grpc = by_grpc(&server, method, &message, Caller::Client).await;
            assert_eq!(grpc.error_code(), "REQUEST_TOO_LARGE", "{}", method.path());
        }
    }
}

#[tokio::test]
async fn another_verb_is_not_allowed_and_told_which_are() {
    let server = TestServer::start().await;
    let paths: std::collections::BTreeSet<_> = emulated().flat_map(|m| m.bindings).map(|b| b.path).collect();
    for template in paths {
        let path = template.replace(['{', '}'], "");
        let page = Rest { verb: "TRACE", path: path.clone(), query: vec![], body: None }
            .send(&server, Caller::Nobody)
            .await;
        let allowed: Vec<String> = page.header("allow").split(", ").map(str::to_owned).collect();
        assert_eq!(
            (page.status, &page.json()["details"][0]["error_code"]),
            (405, &"METHOD_NOT_ALLOWED".into()),
            "{path}"
        );
        for verb in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] {
            let call = Rest { verb, path: path.clone(), query: vec![], body: None };
            let is_allowed = call.send(&server, Caller::Nobody).await.status != 405;
            assert_eq!(
                is_allowed,
                allowed.iter().any(|allowed| allowed == verb),
                "{verb} {path}: {allowed:?}"
            );
        }
    }
}

#[tokio::test]
async fn names_of_a_query_are_repeated_come_in_both_cases_and_may_be_unknown() {
    let server = TestServer::start().await;
    server.person().start("jane@example.com").await;
    let method = emulated().find(|method| method.name == "ListAuthRequests").unwrap();
    let asked = json!({ "status": ["PENDING", "SUCCESS"], "page_size": 7 });
    let grpc = by_grpc(&server, method, &message(method, &asked), Caller::Client).await;
    let Outcome::Done(found) = &grpc else { panic!("{grpc:?}") };
    assert_eq!(found["total_size"], 1);
    for query in [
        "status=PENDING&status=SUCCESS&page_size=7",
        "pageSize=7&status=PENDING&status=SUCCESS&dance=1&a.b=c&email=",
    ] {
        let path = format!("{}?{query}", method.bindings[0].path);
        let call = Rest { verb: "GET", path, query: vec![], body: None };
        assert_eq!(call.outcome(&server, method, Caller::Client).await, grpc, "{query}");
    }
}
