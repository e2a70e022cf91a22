//! Machine clients of organizations by Scalekit's API, and the tokens that they get.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::api::pb::scalekit::v1::clients as pb;

use crate::support::grpc::{Wire, frame};
use crate::support::person::{Page, claims};
use crate::support::{CLIENT_ID, Engine, TestServer};

async fn organization(server: &TestServer, external_id: &str) -> String {
    let fields = json!({ "display_name": external_id, "external_id": external_id });
    let made = server.do_api("POST", "/organizations", fields).await;
    made["organization"]["id"].as_str().unwrap().to_owned()
}

fn path_of(organization_id: &str) -> String {
    format!("/organizations/{organization_id}/clients")
}

/// A client as its organization made it.
struct Robot {
    path: String,
    id: String,
    secret: String,
    shown: Value,
}

async fn robot(server: &TestServer, organization_id: &str, fields: Value) -> Robot {
    let made = server.do_api("POST", &path_of(organization_id), fields).await;
    let id = made["client"]["client_id"].as_str().unwrap().to_owned();
    Robot {
        path: format!("{}/{id}", path_of(organization_id)),
        secret: made["plain_secret"].as_str().unwrap().to_owned(),
        shown: made["client"].clone(),
        id,
    }
}

fn fields() -> Value {
    json!({
        "name": "Robot", "description": "Reads", "scopes": ["write", "read"], "audience": ["my-own-api"],
        "custom_claims": [{ "key": "wksp_id", "value": "w1" }, { "key": "a", "value": "b" }], "expiry": "3600",
    })
}

/// Asks for a token of client_credentials.
async fn ask(server: &TestServer, id: &str, secret: &str, scope: Option<&str>) -> Page {
    let mut form = vec![("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    form.extend(scope.map(|scope| ("scope", scope)));
    server.post("/oauth/token", &form).await
}

async fn token(server: &TestServer, robot: &Robot, scope: Option<&str>) -> Value {
    let page = ask(server, &robot.id, &robot.secret, scope).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.json()
}

async fn refused(server: &TestServer, id: &str, secret: &str) -> (u16, String) {
    let page = ask(server, id, secret, None).await;
    (page.status, page.json()["error"].as_str().unwrap_or_default().to_owned())
}

fn invalid_client() -> (u16, String) {
    (401, "invalid_client".to_owned())
}

#[rstest]
#[tokio::test]
async fn a_client_is_made_read_changed_and_deleted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "acme").await;
    let empty = json!({ "clients": [], "total_size": 0, "next_page_token": "", "prev_page_token": "" });
    assert_eq!(server.do_api("GET", &path_of(&acme), Value::Null).await, empty);
    let page = server.api("POST", &path_of(&acme), fields()).await;
    assert_eq!(page.status, 201);
    let (made, plain) = (page.json()["client"].clone(), page.json()["plain_secret"].clone());
    let id = made["client_id"].as_str().unwrap();
    assert!(id.starts_with("m2morg_") && id[7..].bytes().all(|b| b.is_ascii_digit()), "{id}");
    for (name, value) in fields().as_object().unwrap() {
        assert_eq!(&made[name], value, "{name}");
    }
    assert_eq!(made["organization_id"], acme);
    let secrets = made["secrets"].as_array().unwrap();
    assert_eq!((secrets.len(), &secrets[0]["status"]), (1, &"ACTIVE".into()));
    let plain = plain.as_str().unwrap();
    assert!(plain.ends_with(secrets[0]["secret_suffix"].as_str().unwrap()) && plain.len() > 40);
    assert!(secrets[0].get("plain_secret").is_none());
    let one = format!("{}/{id}", path_of(&acme));
    assert_eq!(server.do_api("GET", &one, Value::Null).await["client"], made);

    server.advance_s(1);
    let change = json!({ "description": "Writes", "custom_claims": [{ "key": "tier", "value": "gold" }] });
    let changed = server.do_api("PATCH", &one, change.clone()).await["client"].clone();
    let mut expected = made.clone();
    expected["description"] = change["description"].clone();
    expected["custom_claims"] = change["custom_claims"].clone();
    expected["update_time"] = changed["update_time"].clone();
    assert_eq!(changed, expected, "what is not sent stays");
    assert_ne!(changed["update_time"], made["update_time"]);
    assert_eq!(server.do_api("GET", &one, Value::Null).await["client"], changed);

    assert_eq!(server.do_api("DELETE", &one, Value::Null).await, json!({}));
    for verb in ["GET", "DELETE"] {
        let page = server.api(verb, &one, Value::Null).await;
        assert!(page.status == 404 && page.body.contains("not found"), "{}", page.body);
    }
    let plain = robot(&server, &acme, json!({ "name": "Plain" })).await;
    assert_eq!((&plain.shown["scopes"], &plain.shown["expiry"]), (&json!([]), &"0".into()));
}

#[tokio::test]
async fn grpc_says_the_same() {
    let server = TestServer::start().await;
    let acme = organization(&server, "acme").await;
    let client = pb::OrganizationClient { name: "Robot".into(), ..pb::OrganizationClient::default() };
    let asked = pb::CreateOrganizationClientRequest { organization_id: acme.clone(), client: Some(client) };
    let method = |name: &str| format!("/scalekit.v1.clients.ClientService/{name}");
    let made = server.call(&method("CreateOrganizationClient"), &asked).await;
    let made = made.message::<pb::CreateOrganizationClientResponse>();
    let client = made.client.unwrap();
    let asked = pb::GetOrganizationClientRequest {
        organization_id: acme.clone(),
        client_id: client.client_id.clone(),
    };
    let found = server.call(&method("GetOrganizationClient"), &asked).await;
    assert_eq!(found.message::<pb::GetOrganizationClientResponse>().client, Some(client.clone()));
    let found = server.do_api("GET", &format!("{}/{}", path_of(&acme), client.client_id), Value::Null).await;
    assert_eq!(found["client"]["name"], "Robot");
    let tokens = ask(&server, &client.client_id, &made.plain_secret, None).await.json();
    // The API is for clients of the environment.
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let headers = [("authorization", bearer.as_str())];
    let answer = server.call_with(Wire::H2c, &method("GetOrganizationClient"), frame(&asked), &headers).await;
    assert_eq!(answer.refusal(), (7, "PERMISSION_DENIED".to_owned()));
}

#[rstest]
#[tokio::test]
async fn a_client_has_one_or_two_secrets_and_each_of_them_works(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "acme").await;
    let robot = robot(&server, &acme, fields()).await;
    let secrets = format!("{}/secrets", robot.path);
    let first = robot.shown["secrets"][0]["id"].as_str().unwrap();
    let last = server.api("DELETE", &format!("{secrets}/{first}"), Value::Null).await;
    assert_eq!(
        (last.status, &last.json()["message"], &last.json()["details"][0]["error_code"]),
        (400, &"last client cannot be deleted".into(), &"FAILED_PRECONDITION".into())
    );
    let page = server.api("POST", &secrets, Value::Null).await;
    assert_eq!(page.status, 201);
    let second = page.json();
    let shown = server.do_api("GET", &robot.path, Value::Null).await["client"]["secrets"].clone();
    assert_eq!(shown, json!([robot.shown["secrets"][0], second["secret"]]), "the new one last");
    assert_eq!(
        server.refused_api("POST", &secrets, Value::Null).await,
        (400, "FAILED_PRECONDITION".to_owned(), String::new())
    );
    let plain = second["plain_secret"].as_str().unwrap();
    for secret in [robot.secret.as_str(), plain] {
        assert_eq!(ask(&server, &robot.id, secret, None).await.status, 200);
    }
    let unknown = server.api("DELETE", &format!("{secrets}/sks_1"), Value::Null).await;
    assert!(unknown.status == 404 && unknown.body.contains("not found"), "{}", unknown.body);
    server.do_api("DELETE", &format!("{secrets}/{first}"), Value::Null).await;
    assert_eq!(refused(&server, &robot.id, &robot.secret).await, invalid_client());
    assert_eq!(ask(&server, &robot.id, plain, None).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn a_token_says_what_its_client_says(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "acme").await;
    let robot = robot(&server, &acme, fields()).await;
    let answer = token(&server, &robot, Some("read admin")).await;
    assert_eq!(
        (&answer["token_type"], &answer["expires_in"], &answer["scope"]),
        (&"Bearer".into(), &3600.into(), &"read".into())
    );
    let said = claims(&answer["access_token"]);
    for (name, value) in [
        ("iss", json!(server.url)),
        ("sub", json!(robot.id)),
        ("client_id", json!(robot.id)),
        ("oid", json!(acme)),
        ("aud", json!(["my-own-api"])),
        ("scope", json!("read")),
        ("scopes", json!(["read"])),
        ("custom_claims", json!({ "wksp_id": "w1", "a": "b" })),
    ] {
        assert_eq!(said[name], value, "{name}");
    }
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 3600);
    assert_eq!(
        claims(&token(&server, &robot, None).await["access_token"])["scopes"],
        json!(["write", "read"])
    );
    assert_eq!(claims(&token(&server, &robot, Some("admin")).await["access_token"])["scopes"], json!([]));

    let plain = self::robot(&server, &acme, json!({ "name": "Plain" })).await;
    let said = claims(&token(&server, &plain, None).await["access_token"]);
    assert_eq!((&said["aud"], &said["scopes"]), (&json!([plain.id]), &json!([])));
    assert!(said.get("custom_claims").is_none());
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 3600);
    server.do_api("PATCH", &plain.path, json!({ "expiry": 60, "scopes": ["read"] })).await;
    let answer = token(&server, &plain, None).await;
    assert_eq!((&answer["expires_in"], &answer["scope"]), (&60.into(), &"read".into()));
}

#[tokio::test]
async fn its_token_opens_nothing_here_and_can_be_looked_up_and_revoked() {
    let server = TestServer::start().await;
    let acme = organization(&server, "acme").await;
    let robot = robot(&server, &acme, fields()).await;
    let answer = token(&server, &robot, None).await;
    let token = answer["access_token"].as_str().unwrap();
    let url = format!("{}/api/v1/organizations", server.url);
    let page = Page::of(server.http().get(url).bearer_auth(token).send().await.unwrap()).await;
    assert_eq!((page.status, &page.json()["details"][0]["error_code"]), (403, &"PERMISSION_DENIED".into()));
    let form = [("client_id", robot.id.as_str()), ("client_secret", robot.secret.as_str()), ("token", token)];
    let live = server.post("/oauth/introspect", &form).await.json();
    assert_eq!((&live["active"], &live["custom_claims"]["wksp_id"]), (&true.into(), &"w1".into()));
    assert_eq!(server.post("/revoke", &form).await.status, 200);
    assert_eq!(server.post("/oauth/introspect", &form).await.json(), json!({ "active": false }));
}

#[tokio::test]
async fn a_client_that_is_not_believed_gets_nothing() {
    let server = TestServer::start().await;
    let acme = organization(&server, "acme").await;
    let robot = robot(&server, &acme, fields()).await;
    let other = self::robot(&server, &acme, fields()).await;
    for (id, secret) in [
        (robot.id.as_str(), "test_wrong"),
        (robot.id.as_str(), other.secret.as_str()),
        ("m2morg_1", robot.secret.as_str()),
        (CLIENT_ID, robot.secret.as_str()),
    ] {
        assert_eq!(refused(&server, id, secret).await, invalid_client(), "{id}");
    }
    let without = [("grant_type", "client_credentials"), ("client_id", robot.id.as_str())];
    let page = server.post("/oauth/token", &without).await;
    assert_eq!((page.status, &page.json()["error"]), (401, &"invalid_client".into()));
    for grant in [
        &[("grant_type", "authorization_code"), ("code", "x"), ("redirect_uri", "https://a.example")][..],
        &[("grant_type", "refresh_token"), ("refresh_token", "x")],
    ] {
        let mut form = vec![("client_id", robot.id.as_str()), ("client_secret", robot.secret.as_str())];
        form.extend_from_slice(grant);
        let page = server.post("/oauth/token", &form).await;
        assert_eq!((page.status, &page.json()["error"]), (400, &"unauthorized_client".into()));
        let page = server.post("/oauth/par", &form).await;
        assert_eq!((page.status, &page.json()["error"]), (400, &"unauthorized_client".into()));
    }
    let page = server.get(&format!("/oauth/authorize?client_id={}&response_type=code", robot.id)).await;
    assert_eq!(page.status, 400);

    server.do_api("DELETE", &robot.path, Value::Null).await;
    assert_eq!(refused(&server, &robot.id, &robot.secret).await, invalid_client());
    server.do_api("DELETE", &format!("/organizations/{acme}"), Value::Null).await;
    assert_eq!(refused(&server, &other.id, &other.secret).await, invalid_client());
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_field_and_changes_nothing() {
    let server = TestServer::start().await;
    let (acme, other) = (organization(&server, "acme").await, organization(&server, "other").await);
    let robot = robot(&server, &acme, fields()).await;
    let list = path_of(&acme);
    let elsewhere = format!("{}/{}", path_of(&other), robot.id);
    let secrets_elsewhere = format!("{elsewhere}/secrets");
    let invalid = "INVALID_ARGUMENT";
    for (verb, path, body, status, error_code, field) in [
        ("POST", &list, json!({ "name": "x".repeat(129) }), 400, invalid, "client.name"),
        ("POST", &list, json!({ "description": "x".repeat(513) }), 400, invalid, "client.description"),
        ("POST", &list, json!({ "scopes": ["a b"] }), 400, invalid, "client.scopes[0]"),
        ("POST", &list, json!({ "expiry": -1 }), 400, invalid, "client.expiry"),
        (
            "POST",
            &list,
            json!({ "custom_claims": [{ "value": "x" }] }),
            400,
            invalid,
            "client.custom_claims[0].key",
        ),
        ("POST", &path_of("org_1"), json!({ "name": "Robot" }), 404, "NOT_FOUND", ""),
        ("GET", &path_of("org_1"), Value::Null, 404, "NOT_FOUND", ""),
        ("GET", &format!("{list}?page_token=x"), Value::Null, 400, invalid, "page_token"),
        ("GET", &format!("{list}/skc_1"), Value::Null, 400, invalid, "client_id"),
        (
            "PATCH",
            &robot.path,
            json!({ "name": "Other", "expiry": 31_536_001 }),
            400,
            invalid,
            "client.expiry",
        ),
        ("GET", &elsewhere, Value::Null, 404, "NOT_FOUND", ""),
        ("PATCH", &elsewhere, json!({ "name": "Other" }), 404, "NOT_FOUND", ""),
        ("POST", &secrets_elsewhere, Value::Null, 404, "NOT_FOUND", ""),
        ("DELETE", &elsewhere, Value::Null, 404, "NOT_FOUND", ""),
    ] {
        let refused = server.refused_api(verb, path, body.clone()).await;
        assert_eq!(refused, (status, error_code.to_owned(), field.to_owned()), "{verb} {path} {body}");
    }
    assert_eq!(server.do_api("GET", &robot.path, Value::Null).await["client"], robot.shown);
    assert_eq!(server.do_api("GET", &list, Value::Null).await["total_size"], 1);
}

#[tokio::test]
async fn a_list_is_newest_first_and_of_one_organization() {
    let server = TestServer::start().await;
    let acme = organization(&server, "acme").await;
    robot(&server, &organization(&server, "other").await, fields()).await;
    let mut made = vec![];
    for _ in 0..3 {
        made.insert(0, robot(&server, &acme, fields()).await.id);
    }
    let ids = |list: &Value| -> Vec<String> {
        let clients = list["clients"].as_array().unwrap().iter();
        clients.map(|client| client["client_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(&server.do_api("GET", &path_of(&acme), Value::Null).await), made);
    let first = server.do_api("GET", &format!("{}?page_size=2", path_of(&acme)), Value::Null).await;
    assert_eq!((ids(&first), &first["total_size"]), (made[..2].to_vec(), &3.into()));
    let token = first["next_page_token"].as_str().unwrap();
    let query: String = url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
    let second = format!("{}?page_size=2&page_token={query}", path_of(&acme));
    assert_eq!(ids(&server.do_api("GET", &second, Value::Null).await), made[2..]);
}

#[rstest]
#[tokio::test]
async fn of_many_parallel_secrets_one_is_added_and_parallel_changes_lose_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "acme").await;
    let robot = robot(&server, &acme, fields()).await;
    let secrets = format!("{}/secrets", robot.path);
    let additions = join_all((0..50).map(|_| server.api("POST", &secrets, Value::Null))).await;
    let (added, refused): (Vec<u16>, Vec<u16>) =
        additions.iter().map(|page| page.status).partition(|status| *status == 201);
    assert_eq!((added.len(), refused), (1, vec![400; 49]));
    let changes = [
        json!({ "name": "Other" }),
        json!({ "description": "Other" }),
        json!({ "scopes": ["other"] }),
        json!({ "audience": ["other"] }),
        json!({ "expiry": "60" }),
    ];
    join_all(changes.iter().map(|change| server.do_api("PATCH", &robot.path, change.clone()))).await;
    let after = server.do_api("GET", &robot.path, Value::Null).await["client"].clone();
    for change in changes {
        for (name, value) in change.as_object().unwrap() {
            assert_eq!(&after[name], value, "{name}");
        }
    }
    assert_eq!(after["secrets"].as_array().unwrap().len(), 2);
    let deletions = after["secrets"].as_array().unwrap().iter().map(|secret| {
        let path = format!("{secrets}/{}", secret["id"].as_str().unwrap());
        let server = &server;
        async move { server.api("DELETE", &path, Value::Null).await.status }
    });
    let mut statuses = join_all(deletions).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400], "one is always left");
}

#[rstest]
#[tokio::test]
async fn a_reset_takes_clients_away_and_a_snapshot_brings_them_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "acme").await;
    let robot = robot(&server, &acme, fields()).await;
    let snapshot = server.do_control("GET", "/snapshot", Value::Null).await;
    assert!(!snapshot.to_string().contains(&robot.secret), "secrets are kept as digests alone");
    server.do_control("POST", "/reset", json!({})).await;
    assert_eq!(refused(&server, &robot.id, &robot.secret).await, invalid_client());
    server.do_control("PUT", "/snapshot", snapshot.clone()).await;
    assert_eq!(server.do_api("GET", &robot.path, Value::Null).await["client"], robot.shown);
    token(&server, &robot, None).await;
    let mut wrong = snapshot;
    wrong["organization_clients"][0]["secrets"] = json!([]);
    let refused = server.refused("PUT", "/snapshot", wrong).await;
    assert_eq!(refused, (400, "organization_clients[0].secrets".into()));
}
