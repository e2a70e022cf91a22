//! The passwordless connection: its settings read and changed by an application's server.

use rstest::rstest;
use serde_json::json;
use vestibule::api::pb::scalekit::v1::auth::{
    DiscoveryAuthMethodRequest, DiscoveryAuthMethodResponse, DiscoveryRequest, ListAuthMethodsRequest,
    ListAuthMethodsResponse,
};
use vestibule::api::pb::scalekit::v1::connections::connection::Settings;
use vestibule::api::pb::scalekit::v1::connections::{
    Connection, ConnectionType, GetConnectionResponse, GetEnvironmentConnectionRequest,
    ListConnectionsRequest, ListConnectionsResponse, PasswordLessConfig, PasswordlessType,
    ToggleConnectionResponse, ToggleEnvironmentConnectionRequest, UpdateConnection, UpdateConnectionResponse,
    UpdateEnvironmentConnectionRequest, update_connection,
};

use crate::support::grpc::{Wire, frame};
use crate::support::person::Page;
use crate::support::{Engine, TestServer};

const SERVICE: &str = "/scalekit.v1.connections.ConnectionService";
const ID: &str = "conn_687000000000000001";

fn config(connection: &Connection) -> PasswordLessConfig {
    let Some(Settings::PasswordlessConfig(config)) = connection.settings else {
        panic!("no passwordless settings");
    };
    config
}

async fn read(server: &TestServer) -> Connection {
    let asked = GetEnvironmentConnectionRequest { connection_id: ID.into() };
    let path = format!("{SERVICE}/GetEnvironmentConnection");
    server.call(&path, &asked).await.message::<GetConnectionResponse>().connection.unwrap()
}

fn update(config: PasswordLessConfig) -> UpdateEnvironmentConnectionRequest {
    let settings = Some(update_connection::Settings::PasswordlessConfig(config));
    UpdateEnvironmentConnectionRequest {
        connection_id: ID.into(),
        connection: Some(UpdateConnection { settings, ..UpdateConnection::default() }),
    }
}

#[rstest]
#[tokio::test]
async fn settings_are_read_and_changed_for_the_next_request(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let path = format!("{SERVICE}/UpdateEnvironmentConnection");
    let before = config(&read(&server).await);
    assert_eq!((before.r#type(), before.validity), (PasswordlessType::LinkOtp, Some(300)));
    let wanted = PasswordLessConfig {
        r#type: PasswordlessType::Otp.into(),
        validity: Some(120),
        enforce_same_browser_origin: Some(false),
        regenerate_passwordless_credentials_on_resend: Some(false),
        ..PasswordLessConfig::default()
    };
    let answer = server.call(&path, &update(wanted)).await;
    let after = config(&answer.message::<UpdateConnectionResponse>().connection.unwrap());
    assert_eq!(
        (after.r#type(), after.validity, after.enforce_same_browser_origin),
        (PasswordlessType::Otp, Some(120), Some(false))
    );
    assert_eq!(config(&read(&server).await), after);

    // The next sign-in is by code alone, and the code lives for two minutes.
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let mail = server.mail_to("jane@example.com").await;
    assert!(mail["link"].is_null(), "{mail}");
    server.advance_s(120);
    let page = person.enter_code(&sign_in, mail["code"].as_str().unwrap()).await;
    assert!(page.location.is_none() && page.alert().contains("expired"), "{}", page.alert());

    // A change of one setting leaves the others; a server started later knows them all.
    let one = PasswordLessConfig { validity: Some(600), ..PasswordLessConfig::default() };
    server.call(&path, &update(one)).await.message::<UpdateConnectionResponse>();
    let other = server.beside("").await;
    let there = config(&read(&other).await);
    assert_eq!((there.r#type(), there.validity), (PasswordlessType::Otp, Some(600)));
}

#[tokio::test]
async fn a_change_reaches_the_other_servers_of_a_database() {
    let Some(server) = TestServer::on(Engine::Postgres, "").await else { return };
    let other = server.beside("").await;
    let one = PasswordLessConfig { validity: Some(600), ..PasswordLessConfig::default() };
    let path = format!("{SERVICE}/UpdateEnvironmentConnection");
    server.call(&path, &update(one)).await.message::<UpdateConnectionResponse>();
    assert_eq!(config(&read(&other).await).validity, Some(600));
}

#[tokio::test]
async fn bad_settings_are_named_and_change_nothing() {
    let server = TestServer::start().await;
    let before = read(&server).await;
    let path = format!("{SERVICE}/UpdateEnvironmentConnection");
    let change = |config| update(config);
    for (config, field) in [
        (
            PasswordLessConfig { validity: Some(59), ..PasswordLessConfig::default() },
            "passwordless_config.validity",
        ),
        (
            PasswordLessConfig { validity: Some(3601), ..PasswordLessConfig::default() },
            "passwordless_config.validity",
        ),
        (
            PasswordLessConfig { code_challenge_length: Some(5), ..PasswordLessConfig::default() },
            "passwordless_config.code_challenge_length",
        ),
        (
            PasswordLessConfig { code_challenge_type: Some(2), ..PasswordLessConfig::default() },
            "passwordless_config.code_challenge_type",
        ),
        (
            PasswordLessConfig { frequency: Some(1), ..PasswordLessConfig::default() },
            "passwordless_config.frequency",
        ),
    ] {
        let (status, _, info) = server.call(&path, &change(config)).await.error();
        assert_eq!((status, info.error_code.as_str()), (3, "INVALID_ARGUMENT"));
        assert_eq!(info.validation_error_info.unwrap().field_violations[0].field, field);
    }
    let nothing = UpdateEnvironmentConnectionRequest { connection_id: ID.into(), connection: None };
    assert_eq!(server.call(&path, &nothing).await.refusal().0, 3);
    let unknown = GetEnvironmentConnectionRequest { connection_id: "conn_1".into() };
    let answer = server.call(&format!("{SERVICE}/GetEnvironmentConnection"), &unknown).await;
    assert_eq!(answer.refusal(), (5, "NOT_FOUND".to_owned()));
    assert_eq!(read(&server).await, before);
}

#[tokio::test]
async fn the_connection_is_listed_and_switched() {
    let server = TestServer::start().await;
    let list = format!("{SERVICE}/ListConnections");
    let all =
        server.call(&list, &ListConnectionsRequest::default()).await.message::<ListConnectionsResponse>();
    assert_eq!(all.connections.len(), 1);
    assert_eq!(
        (all.connections[0].id.as_str(), all.connections[0].r#type()),
        (ID, ConnectionType::Passwordless)
    );
    let of_organization =
        ListConnectionsRequest { organization_id: Some("org_1".into()), ..ListConnectionsRequest::default() };
    assert!(
        server
            .call(&list, &of_organization)
            .await
            .message::<ListConnectionsResponse>()
            .connections
            .is_empty()
    );

    let toggle = ToggleEnvironmentConnectionRequest { connection_id: ID.into() };
    let methods = "/scalekit.v1.auth.AuthService/ListAuthMethods";
    for (name, enabled) in [("DisableEnvironmentConnection", false), ("EnableEnvironmentConnection", true)] {
        let answer = server.call(&format!("{SERVICE}/{name}"), &toggle).await;
        assert_eq!(answer.message::<ToggleConnectionResponse>().enabled, enabled);
        // Pages ask this before anybody is known, so no token is needed.
        let answer =
            server.call_with(Wire::H2c, methods, frame(&ListAuthMethodsRequest::default()), &[]).await;
        let offered = answer.message::<ListAuthMethodsResponse>().auth_methods;
        assert_eq!(offered.len(), usize::from(enabled));
    }
    let discover = "/scalekit.v1.auth.AuthService/DiscoveryAuthMethod";
    let about = |email: &str| DiscoveryAuthMethodRequest {
        discovery_request: Some(DiscoveryRequest { email: email.into(), ..DiscoveryRequest::default() }),
    };
    let found = server.call_with(Wire::H2c, discover, frame(&about("jane@example.com")), &[]).await;
    let method = found.message::<DiscoveryAuthMethodResponse>().auth_method.unwrap();
    assert_eq!((method.connection_id.as_str(), method.code_challenge_length), (ID, Some(6)));
    let refused = server.call_with(Wire::H2c, discover, frame(&about("jane")), &[]).await;
    assert_eq!(refused.refusal(), (3, "INVALID_ARGUMENT".to_owned()));
}

#[tokio::test]
async fn rest_reads_and_changes_the_same_settings() {
    let server = TestServer::start().await;
    let token = server.client_token().await;
    let url = |path: &str| format!("{}/api/v1/{path}", server.url);
    let get = async |path: &str| {
        Page::of(server.http().get(url(path)).bearer_auth(&token).send().await.unwrap()).await
    };
    let patch = async |path: &str, body: serde_json::Value| {
        Page::of(server.http().patch(url(path)).bearer_auth(&token).json(&body).send().await.unwrap()).await
    };
    let listed = get("connections").await.json();
    assert_eq!(
        (&listed["connections"][0]["id"], &listed["connections"][0]["type"]),
        (&json!(ID), &json!("PASSWORDLESS"))
    );
    let shown = get(&format!("connections/{ID}")).await.json();
    assert_eq!(
        shown["connection"]["passwordless_config"],
        json!({
            "type": "LINK_OTP", "validity": 300, "enforce_same_browser_origin": true, "code_challenge_length": 6,
            "code_challenge_type": "NUMERIC", "regenerate_passwordless_credentials_on_resend": true
        })
    );
    let body = json!({ "passwordless_config": { "type": "OTP", "validity": 60 } });
    let changed = patch(&format!("connections/{ID}"), body).await;
    assert_eq!(changed.json()["connection"]["passwordless_config"]["type"], "OTP", "{}", changed.body);
    assert_eq!(config(&read(&server).await).validity, Some(60));
    let refused =
        patch(&format!("connections/{ID}"), json!({ "passwordless_config": { "validity": 5 } })).await;
    assert_eq!(
        (refused.status, &refused.json()["details"][0]["error_code"]),
        (400, &json!("INVALID_ARGUMENT"))
    );
    let off = patch(&format!("connections/{ID}:disable"), json!({})).await;
    assert_eq!(off.json()["enabled"], false, "{}", off.body);
    assert_eq!(server.get("/api/v1/authmethods").await.json()["auth_methods"], json!([]));
    let on = patch(&format!("connections/{ID}:enable"), json!({})).await;
    assert_eq!(on.json()["enabled"], true);
    let methods = server.get("/api/v1/authmethods").await.json();
    assert_eq!(methods["auth_methods"][0]["passwordless_type"], "OTP");
    let discovered = server.http().post(url("auth:discovery")).json(&json!({ "email": "jane@example.com" }));
    let discovered = Page::of(discovered.send().await.unwrap()).await.json();
    assert_eq!(discovered["auth_method"]["connection_id"], ID);
    assert_eq!(get("connections/conn_1").await.status, 404);
    let anonymous = server.get("/api/v1/connections").await;
    assert_eq!(anonymous.status, 401);
}
