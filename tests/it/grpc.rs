//! What every gRPC call has in common: wires, callers, errors, deadlines, and methods that are not there.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::{BufMut as _, Bytes, BytesMut};
use rstest::rstest;
use vestibule::api::pb::scalekit::v1::auth::passwordless::{
    ResendPasswordlessRequest, SendPasswordlessRequest, SendPasswordlessResponse, VerifyPasswordLessRequest,
};
use vestibule::domain::api_error::{ApiErrorCode, GrpcCode, error_code_markdown};
use vestibule::domain::scalekit_api;

use crate::support::TestServer;
use crate::support::grpc::{Wire, frame};
use crate::support::person::Page;

const SEND: &str = "/scalekit.v1.auth.passwordless.PasswordlessService/SendPasswordlessEmail";
const RESEND: &str = "/scalekit.v1.auth.passwordless.PasswordlessService/ResendPasswordlessEmail";
const VERIFY: &str = "/scalekit.v1.auth.passwordless.PasswordlessService/VerifyPasswordlessEmail";

fn to(email: &str) -> SendPasswordlessRequest {
    let magiclink_auth_uri = Some("https://app.example.com/verify".to_owned());
    SendPasswordlessRequest { email: email.into(), magiclink_auth_uri, ..SendPasswordlessRequest::default() }
}

#[rstest]
#[case(Wire::H2c)]
#[case(Wire::Http1)]
#[case(Wire::Tls)]
#[case(Wire::TlsWithoutAlpn)]
#[tokio::test]
async fn calls_and_refusals_arrive_whole_over_every_wire(#[case] wire: Wire) {
    let server = TestServer::start().await;
    let token = format!("Bearer {}", server.client_token().await);
    let sent =
        server.call_with(wire, SEND, frame(&to("jane@example.com")), &[("authorization", &token)]).await;
    assert_eq!(sent.message::<SendPasswordlessResponse>().expires_in, 300);
    assert!(sent.text("content-type").starts_with("application/grpc"));
    let resend = ResendPasswordlessRequest { auth_request_id: "nobody".into() };
    let refused = server.call_with(wire, RESEND, frame(&resend), &[("authorization", &token)]).await;
    let (status, message, info) = refused.error();
    assert_eq!((refused.http_status, status, info.error_code.as_str()), (200, 5, "AUTH_REQUEST_NOT_FOUND"));
    assert!(message.contains("not found"));
    let refused = server.call_with(wire, SEND, frame(&to("jane@example.com")), &[]).await;
    assert_eq!(refused.refusal(), (16, "UNAUTHENTICATED".to_owned()));
}

#[tokio::test]
async fn callers_are_clients_with_a_token_that_is_good_now() {
    let server = TestServer::start().await;
    let good = format!("Bearer {}", server.client_token().await);
    let call = async |headers: &[(&str, &str)]| {
        let resend = ResendPasswordlessRequest { auth_request_id: "nobody".into() };
        server.call_with(Wire::H2c, RESEND, frame(&resend), headers).await.refusal().1
    };
    assert_eq!(call(&[]).await, "UNAUTHENTICATED");
    assert_eq!(call(&[("authorization", "Bearer invented")]).await, "UNAUTHENTICATED");
    assert_eq!(call(&[("authorization", "Basic c2tjOmE=")]).await, "UNAUTHENTICATED");
    assert_eq!(call(&[("authorization", &good)]).await, "AUTH_REQUEST_NOT_FOUND");
    // Python's SDK sends the first token it ever had beside the current one.
    let old = ("authorization", "Bearer old.and.gone");
    assert_eq!(call(&[old, ("authorization", &good)]).await, "AUTH_REQUEST_NOT_FOUND");
    assert_eq!(call(&[("authorization", &good), old]).await, "AUTH_REQUEST_NOT_FOUND");
    assert_eq!(call(&[old, old]).await, "UNAUTHENTICATED");
    // A person's token is no client's.
    let tokens = server.person().tokens("jane@example.com").await;
    let persons = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    assert_eq!(call(&[("authorization", &persons)]).await, "PERMISSION_DENIED");
    // A day later the token has run out.
    server.advance_s(86_400);
    assert_eq!(call(&[("authorization", &good)]).await, "UNAUTHENTICATED");
}

#[tokio::test]
async fn rest_asks_for_the_same_token() {
    let server = TestServer::start().await;
    let url = format!("{}/api/v1/passwordless/email/send", server.url);
    let page = Page::of(server.http().post(&url).body("not even JSON").send().await.unwrap()).await;
    let body = page.json();
    assert_eq!((page.status, &body["code"]), (401, &16.into()));
    assert_eq!(body["details"][0]["error_code"], "UNAUTHENTICATED");
    assert!(body["message"].as_str().unwrap().starts_with("Token empty"));
    assert!(page.header("www-authenticate").starts_with("Bearer"));
}

/// Everything else is answered by its name.
const EMULATED: &[&str] = &[
    "scalekit.v1.auditlogs.AuditLogsService/ListAuthRequests",
    "scalekit.v1.auth.AuthService/ListAuthMethods",
    "scalekit.v1.auth.AuthService/DiscoveryAuthMethod",
    "scalekit.v1.auth.passwordless.PasswordlessService/SendPasswordlessEmail",
    "scalekit.v1.auth.passwordless.PasswordlessService/VerifyPasswordlessEmail",
    "scalekit.v1.auth.passwordless.PasswordlessService/ResendPasswordlessEmail",
    "scalekit.v1.clients.ClientService/ListClient",
    "scalekit.v1.clients.ClientService/CreateClient",
    "scalekit.v1.clients.ClientService/GetClient",
    "scalekit.v1.clients.ClientService/UpdateClient",
    "scalekit.v1.clients.ClientService/DeleteClient",
    "scalekit.v1.clients.ClientService/CreateClientSecret",
    "scalekit.v1.clients.ClientService/DeleteClientSecret",
    "scalekit.v1.clients.ClientService/CreateOrganizationClient",
    "scalekit.v1.clients.ClientService/GetOrganizationClient",
    "scalekit.v1.clients.ClientService/CreateOrganizationClientSecret",
    "scalekit.v1.clients.ClientService/DeleteOrganizationClientSecret",
    "scalekit.v1.clients.ClientService/UpdateOrganizationClient",
    "scalekit.v1.clients.ClientService/DeleteOrganizationClient",
    "scalekit.v1.clients.ClientService/ListOrganizationClients",
    "scalekit.v1.connections.ConnectionService/GetEnvironmentConnection",
    "scalekit.v1.connections.ConnectionService/ListConnections",
    "scalekit.v1.connections.ConnectionService/UpdateEnvironmentConnection",
    "scalekit.v1.connections.ConnectionService/EnableEnvironmentConnection",
    "scalekit.v1.connections.ConnectionService/DisableEnvironmentConnection",
    "scalekit.v1.domains.DomainService/CreateDomain",
    "scalekit.v1.domains.DomainService/GetDomain",
    "scalekit.v1.domains.DomainService/DeleteDomain",
    "scalekit.v1.domains.DomainService/ListDomains",
    "scalekit.v1.organizations.OrganizationService/CreateOrganization",
    "scalekit.v1.organizations.OrganizationService/UpdateOrganization",
    "scalekit.v1.organizations.OrganizationService/GetOrganization",
    "scalekit.v1.organizations.OrganizationService/GetOrganizationByExternalId",
    "scalekit.v1.organizations.OrganizationService/ListOrganization",
    "scalekit.v1.organizations.OrganizationService/SearchOrganization",
    "scalekit.v1.organizations.OrganizationService/DeleteOrganization",
    "scalekit.v1.organizations.OrganizationService/GeneratePortalLink",
    "scalekit.v1.organizations.OrganizationService/UpdateOrganizationSettings",
    "scalekit.v1.organizations.OrganizationService/UpdateOrganizationSessionPolicy",
    "scalekit.v1.organizations.OrganizationService/GetOrganizationSessionPolicy",
    "scalekit.v1.organizations.OrganizationService/UpsertUserManagementSettings",
    "scalekit.v1.organizations.OrganizationService/GetOrganizationUserManagementSetting",
    "scalekit.v1.roles.RolesService/CreateRole",
    "scalekit.v1.roles.RolesService/UpdateRole",
    "scalekit.v1.roles.RolesService/GetRole",
    "scalekit.v1.roles.RolesService/ListRoles",
    "scalekit.v1.roles.RolesService/DeleteRole",
    "scalekit.v1.roles.RolesService/CreateOrganizationRole",
    "scalekit.v1.roles.RolesService/UpdateOrganizationRole",
    "scalekit.v1.roles.RolesService/GetOrganizationRole",
    "scalekit.v1.roles.RolesService/ListOrganizationRoles",
    "scalekit.v1.roles.RolesService/DeleteOrganizationRole",
    "scalekit.v1.roles.RolesService/GetRoleUsersCount",
    "scalekit.v1.roles.RolesService/GetOrganizationRoleUsersCount",
    "scalekit.v1.roles.RolesService/UpdateDefaultRoles",
    "scalekit.v1.roles.RolesService/UpdateDefaultOrganizationRoles",
    "scalekit.v1.roles.RolesService/ListDependentRoles",
    "scalekit.v1.roles.RolesService/DeleteRoleBase",
    "scalekit.v1.roles.RolesService/DeleteOrganizationRoleBase",
    "scalekit.v1.roles.RolesService/CreatePermission",
    "scalekit.v1.roles.RolesService/GetPermission",
    "scalekit.v1.roles.RolesService/UpdatePermission",
    "scalekit.v1.roles.RolesService/ListPermissions",
    "scalekit.v1.roles.RolesService/DeletePermission",
    "scalekit.v1.roles.RolesService/ListRolePermissions",
    "scalekit.v1.roles.RolesService/AddPermissionsToRole",
    "scalekit.v1.roles.RolesService/RemovePermissionFromRole",
    "scalekit.v1.roles.RolesService/ListEffectiveRolePermissions",
    "scalekit.v1.sessions.SessionService/GetSession",
    "scalekit.v1.sessions.SessionService/RevokeSession",
    "scalekit.v1.sessions.SessionService/GetUserSessions",
    "scalekit.v1.sessions.SessionService/RevokeAllUserSessions",
    "scalekit.v1.tokens.ApiTokenService/CreateToken",
    "scalekit.v1.tokens.ApiTokenService/ValidateToken",
    "scalekit.v1.tokens.ApiTokenService/InvalidateToken",
    "scalekit.v1.tokens.ApiTokenService/ListTokens",
    "scalekit.v1.tokens.ApiTokenService/UpdateToken",
    "scalekit.v1.users.UserService/GetUser",
    "scalekit.v1.users.UserService/ListUsers",
    "scalekit.v1.users.UserService/SearchUsers",
    "scalekit.v1.users.UserService/SearchOrganizationUsers",
    "scalekit.v1.users.UserService/UpdateUser",
    "scalekit.v1.users.UserService/DeleteUser",
    "scalekit.v1.users.UserService/CreateMembership",
    "scalekit.v1.users.UserService/DeleteMembership",
    "scalekit.v1.users.UserService/UpdateMembership",
    "scalekit.v1.users.UserService/CreateUserAndMembership",
    "scalekit.v1.users.UserService/ListOrganizationUsers",
    "scalekit.v1.users.UserService/ResendInvite",
    "scalekit.v1.users.UserService/ListUserRoles",
    "scalekit.v1.users.UserService/AssignUserRoles",
    "scalekit.v1.users.UserService/RemoveUserRole",
    "scalekit.v1.users.UserService/ListUserPermissions",
];

#[tokio::test]
async fn every_method_of_scalekit_answers_by_its_name() {
    let server = TestServer::start().await;
    let token = server.client_token().await;
    let bearer = format!("Bearer {token}");
    let mut emulated = vec![];
    for method in scalekit_api::methods() {
        let path = format!("/{}", method.path());
        let answer = server
            .call_with(Wire::H2c, &path, Bytes::from_static(&[0; 5]), &[("authorization", &bearer)])
            .await;
        if answer.status() != 12 {
            emulated.push(method.path());
            continue;
        }
        let (status, message, info) = answer.error();
        assert_eq!((status, info.error_code.as_str()), (12, "NOT_EMULATED"), "{path}");
        assert!(message.contains(&method.path()), "{message}");
        let link = &info.help_info.unwrap().links[0].url;
        assert_eq!(link, &format!("{}/compatibility", server.url));
    }
    assert_eq!(emulated, EMULATED);
    let page = server.get("/compatibility").await;
    assert!(page.body.starts_with("# Compatibility"));

    // REST tells the same, with its own status.
    let url = format!("{}/api/v1/organizations/org_1/directories", server.url);
    let page = Page::of(server.http().get(url).bearer_auth(&token).send().await.unwrap()).await;
    let body = page.json();
    assert_eq!(
        (page.status, &body["code"], &body["details"][0]["error_code"]),
        (501, &12.into(), &"NOT_EMULATED".into())
    );
    assert!(
        body["message"]
            .as_str()
            .unwrap()
            .contains("scalekit.v1.directories.DirectoryService/ListDirectories")
    );
    let page = server.get("/api/v1/nothing").await;
    assert_eq!((page.status, &page.json()["details"][0]["error_code"]), (404, &"UNKNOWN_METHOD".into()));
}

#[rstest]
#[case::unknown_service("/scalekit.v1.dance.DanceService/Dance", "UNKNOWN_METHOD")]
#[case::unknown_method("/scalekit.v1.auth.passwordless.PasswordlessService/Dance", "UNKNOWN_METHOD")]
#[case::no_method("/", "UNKNOWN_METHOD")]
#[tokio::test]
async fn what_scalekit_has_not_is_unknown(#[case] path: &str, #[case] code: &str) {
    let server = TestServer::start().await;
    for wire in Wire::ALL {
        let answer = server.call_with(wire, path, Bytes::from_static(&[0; 5]), &[]).await;
        assert_eq!(answer.refusal(), (12, code.to_owned()), "{wire:?}");
    }
}

#[tokio::test]
async fn errors_that_the_framework_makes_have_details_too() {
    let server = TestServer::start().await;
    let token = format!("Bearer {}", server.client_token().await);
    let call = async |body: Bytes, more: &[(&str, &str)]| {
        let headers: Vec<(&str, &str)> =
            [("authorization", token.as_str())].into_iter().chain(more.iter().copied()).collect();
        server.call_with(Wire::H2c, SEND, body, &headers).await.refusal()
    };
    let broken = Bytes::from_static(b"\0\0\0\0\x02\xff\xff");
    assert_eq!(call(broken, &[]).await, (3, "INVALID_ARGUMENT".to_owned()));
    assert_eq!(call(Bytes::new(), &[]).await.0, 3, "no message at all");
    assert_eq!(call(Bytes::from_static(b"\0\0\0"), &[]).await.0, 3, "half a frame");
    let mut large = BytesMut::new();
    large.put_u8(0);
    large.put_u32(70_000);
    large.put_bytes(b'x', 70_000);
    assert_eq!(call(large.freeze(), &[]).await, (8, "REQUEST_TOO_LARGE".to_owned()));
    let compressed = Bytes::from_static(b"\x01\0\0\0\x01x");
    assert_eq!(call(compressed, &[("grpc-encoding", "gzip")]).await.0, 3);
}

#[tokio::test]
async fn headers_beyond_measure_are_refused_as_grpc_says_it() {
    let server = TestServer::start().await;
    let token = format!("Bearer {}", server.client_token().await);
    for wire in Wire::ALL {
        let call = async |bytes: usize| {
            let large = "x".repeat(bytes);
            let headers = [("authorization", token.as_str()), ("x-large", &large)];
            server.call_with(wire, SEND, Bytes::from_static(&[0; 5]), &headers).await.refusal()
        };
        assert_eq!(
            call(30_000).await,
            (3, "INVALID_ARGUMENT".to_owned()),
            "{wire:?}: the address is missing"
        );
        assert_eq!(call(33_000).await, (8, "REQUEST_TOO_LARGE".to_owned()), "{wire:?}");
    }
}

#[tokio::test]
async fn a_deadline_ends_a_call_and_leaves_nothing_half_done() {
    use sqlx::Connection as _;
    let server = TestServer::start().await;
    let token = format!("Bearer {}", server.client_token().await);
    let send = async |timeout: &str| {
        let headers = [("authorization", token.as_str()), ("grpc-timeout", timeout)];
        server.call_with(Wire::H2c, SEND, frame(&to("jane@example.com")), &headers).await
    };
    // Somebody else writes for longer than the caller waits.
    let mut other = sqlx::AnyConnection::connect(&server.database.connect_url()).await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut other).await.unwrap();
    assert_eq!(send("50m").await.refusal(), (4, "DEADLINE_EXCEEDED".to_owned()));
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert!(server.mails_to("jane@example.com").await.is_empty());
    assert_eq!(send("10S").await.status(), 0);
}

#[tokio::test]
async fn violations_name_their_fields() {
    let server = TestServer::start().await;
    let asked = SendPasswordlessRequest { email: "jane".into(), template: Some(7), ..to("jane") };
    let (_, _, info) = server.call(SEND, &asked).await.error();
    let fields: Vec<String> =
        info.validation_error_info.unwrap().field_violations.into_iter().map(|v| v.field).collect();
    assert_eq!(fields, ["email", "template"], "every mistake at once");
    let asked = SendPasswordlessRequest { state: Some(String::new()), ..to("jane") };
    let (status, message, info) = server.call(SEND, &asked).await.error();
    let fields: Vec<String> =
        info.validation_error_info.unwrap().field_violations.into_iter().map(|v| v.field).collect();
    assert_eq!((status, fields), (3, vec!["email".to_owned(), "state".to_owned()]));
    assert!(message.contains("invalid"));
    let (_, message, _) = server.call(VERIFY, &VerifyPasswordLessRequest::default()).await.error();
    assert!(message.contains("code or link_token"));
}

#[tokio::test]
async fn a_server_without_its_database_says_unavailable() {
    let provider = vestibule::runtime::EnvironmentRegistry::default();
    let grpc = vestibule::api::Grpc::new(provider);
    let request = http::Request::post(SEND).body(http_body_util::Full::new(Bytes::new())).unwrap();
    let response = grpc.answer(request, None, false).await;
    assert_eq!(response.headers()["grpc-status"], "14");
    let details = response.headers()["grpc-status-details-bin"].to_str().unwrap();
    let details = STANDARD_NO_PAD.decode(details.trim_end_matches('=')).unwrap();
    let says_when = String::from_utf8_lossy(&details).contains("google.rpc.RetryInfo");
    assert!(says_when, "as Retry-After says it over HTTP");
}

#[test]
fn the_documentation_lists_the_error_codes_of_the_program() {
    crate::documents::check_generated("docs/COMPATIBILITY.md", "error codes", &error_code_markdown());
}

/// The one table of all error codes with their status in both shapes, as applications meet it.
#[test]
fn every_error_code_has_its_status_in_both_shapes() {
    let table: Vec<(&str, i32, u16)> =
        ApiErrorCode::ALL.iter().map(|c| (c.as_str(), c.grpc_code().number(), c.http_status())).collect();
    assert_eq!(
        table,
        [
            ("UNAUTHENTICATED", 16, 401),
            ("PERMISSION_DENIED", 7, 403),
            ("INVALID_ARGUMENT", 3, 400),
            ("DISPOSABLE_OR_PUBLIC_EMAIL", 3, 400),
            ("INVALID_CODE", 3, 400),
            ("INVALID_LINK_TOKEN", 3, 400),
            ("AUTH_REQUEST_MISMATCH", 3, 400),
            ("AUTH_REQUEST_EXPIRED", 3, 400),
            ("AUTH_REQUEST_ALREADY_USED", 3, 400),
            ("AUTH_REQUEST_NOT_FOUND", 5, 404),
            ("NOT_FOUND", 5, 404),
            ("ALREADY_EXISTS", 6, 409),
            ("ROLE_KEYNAME_CONFLICT", 6, 409),
            ("USER_LIMIT_REACHED", 9, 400),
            ("TOO_MANY_ATTEMPTS", 8, 429),
            ("RATE_LIMITED", 8, 429),
            ("REQUEST_TOO_LARGE", 8, 413),
            ("FAILED_PRECONDITION", 9, 400),
            ("PASSWORDLESS_DISABLED", 9, 400),
            ("MISDIRECTED_REQUEST", 9, 421),
            ("NOT_EMULATED", 12, 501),
            ("UNKNOWN_METHOD", 12, 404),
            ("METHOD_NOT_ALLOWED", 12, 405),
            ("DEADLINE_EXCEEDED", 4, 504),
            ("UNAVAILABLE", 14, 503),
            ("INTERNAL", 13, 500),
        ]
    );
    assert_eq!(GrpcCode::Unavailable.http_status(), 503);
}
