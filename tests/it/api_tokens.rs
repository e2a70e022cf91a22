//! API tokens by Scalekit's API, of organizations and of their members.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::api::pb::scalekit::v1::tokens as pb;

use crate::support::{Engine, TestServer};

async fn organization(server: &TestServer, external_id: &str) -> String {
    let fields = json!({ "display_name": external_id, "external_id": external_id });
    let made = server.do_api("POST", "/organizations", fields).await;
    made["organization"]["id"].as_str().unwrap().to_owned()
}

/// Adds a user who is a member, and tells the id.
async fn user(server: &TestServer, organization_id: &str, email: &str, is_invited: bool) -> String {
    let path = format!("/organizations/{organization_id}/users?send_invitation_email={is_invited}");
    let fields = json!({ "email": email, "external_id": email });
    server.do_api("POST", &path, fields).await["user"]["id"].as_str().unwrap().to_owned()
}

/// A token as it was told when it was made.
struct Made {
    value: String,
    id: String,
    info: Value,
}

async fn token(server: &TestServer, fields: Value) -> Made {
    let page = server.api("POST", "/tokens", fields).await;
    assert_eq!(page.status, 201, "{}", page.body);
    let made = page.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    Made { value: text("token"), id: text("token_id"), info: made["token_info"].clone() }
}

async fn token_of(server: &TestServer, organization_id: &str, user_id: &str) -> Made {
    token(server, json!({ "organization_id": organization_id, "user_id": user_id })).await
}

async fn validated(server: &TestServer, shown: &str) -> Value {
    server.do_api("POST", "/tokens:validate", json!({ "token": shown })).await["token_info"].clone()
}

/// No method knows it as a valid token, and none says that the caller's own token is wrong.
async fn assert_invalid(server: &TestServer, shown: &str) {
    for path in ["/tokens:validate", "/tokens:update"] {
        let page = server.api("POST", path, json!({ "token": shown, "description": "x" })).await;
        assert!(page.status == 404 && page.body.contains("not found"), "{path} {shown}: {}", page.body);
    }
}

async fn invalidate(server: &TestServer, shown: &str) -> u16 {
    server.api("POST", "/tokens:invalidate", json!({ "token": shown })).await.status
}

async fn list(server: &TestServer, query: &str) -> Value {
    server.do_api("GET", &format!("/tokens?{query}"), Value::Null).await
}

fn ids(list: &Value) -> Vec<&str> {
    list["tokens"].as_array().unwrap().iter().map(|token| token["token_id"].as_str().unwrap()).collect()
}

#[rstest]
#[tokio::test]
async fn a_token_is_made_validated_changed_and_invalidated(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "acme").await;
    let fields = json!({
        "organization_id": acme, "description": "Deploys", "custom_claims": { "tier": "gold", "team": "red" },
        "expiry": "2100-01-01T00:00:00Z",
    });
    let made = token(&server, fields).await;
    assert!(made.id.starts_with("apit_") && made.id[5..].bytes().all(|b| b.is_ascii_digit()), "{}", made.id);
    assert!(made.value.len() > 40 && made.value.ends_with(made.info["token_suffix"].as_str().unwrap()));
    let expected = json!({
        "token_id": made.id, "organization_id": acme, "organization_external_id": "acme",
        "custom_claims": { "tier": "gold", "team": "red" }, "expiry": "2100-01-01T00:00:00Z",
        "created_at": made.info["created_at"], "description": "Deploys",
        "token_suffix": made.value[made.value.len() - 4..], "roles": [],
    });
    assert_eq!(made.info, expected);
    for shown in [&made.value, &made.id] {
        let answer = server.do_api("POST", "/tokens:validate", json!({ "token": shown })).await;
        assert_eq!(answer, json!({ "token_info": expected }), "its value is told once");
    }

    let update =
        async |fields: Value| server.do_api("POST", "/tokens:update", fields).await["token_info"].clone();
    let changed = update(json!({ "token": made.value, "custom_claims": { "tier": "free" } })).await;
    let mut expected = expected;
    expected["custom_claims"] = json!({ "tier": "free" });
    assert_eq!(changed, expected, "the map is replaced, and what is not sent stays");
    assert_eq!(update(json!({ "token": made.id, "custom_claims": {} })).await, expected);
    expected.as_object_mut().unwrap().remove("description");
    assert_eq!(update(json!({ "token": made.id, "description": "" })).await, expected);
    assert_eq!(validated(&server, &made.value).await, expected);

    assert_eq!(server.do_api("POST", "/tokens:invalidate", json!({ "token": made.value })).await, json!({}));
    assert_eq!(invalidate(&server, &made.id).await, 200, "twice is fine");
    assert_invalid(&server, &made.value).await;
    assert_invalid(&server, &made.id).await;
    let plain = token(&server, json!({ "organization_id": acme })).await;
    assert!(plain.info.get("description").is_none() && plain.info.get("expiry").is_none());
    assert_eq!(plain.info["custom_claims"], json!({}));
}

#[tokio::test]
async fn grpc_says_the_same() {
    let server = TestServer::start().await;
    let acme = organization(&server, "acme").await;
    let jane = user(&server, &acme, "jane@acme.test", false).await;
    let method = |name: &str| format!("/scalekit.v1.tokens.ApiTokenService/{name}");
    let new = pb::CreateToken {
        organization_id: acme.clone(),
        user_id: jane.clone(),
        custom_claims: [("tier".to_owned(), "gold".to_owned())].into(),
        ..pb::CreateToken::default()
    };
    let made = server.call(&method("CreateToken"), &pb::CreateTokenRequest { token: Some(new) }).await;
    let made = made.message::<pb::CreateTokenResponse>();
    let info = made.token_info.unwrap();
    assert_eq!((info.user_id.as_deref(), &info.token_id), (Some(jane.as_str()), &made.token_id));
    for token in [made.token.clone(), made.token_id.clone()] {
        let found = server.call(&method("ValidateToken"), &pb::ValidateTokenRequest { token }).await;
        assert_eq!(found.message::<pb::ValidateTokenResponse>().token_info, Some(info.clone()));
    }
    let asked = pb::UpdateTokenRequest {
        token: made.token.clone(),
        description: Some("Reads".into()),
        ..pb::UpdateTokenRequest::default()
    };
    let changed = server.call(&method("UpdateToken"), &asked).await;
    let changed = changed.message::<pb::UpdateTokenResponse>().token_info.unwrap();
    assert_eq!(changed, pb::Token { description: Some("Reads".into()), ..info });
    assert_eq!(validated(&server, &made.token).await["description"], "Reads");
    let asked = pb::ListTokensRequest { organization_id: acme, ..pb::ListTokensRequest::default() };
    let listed = server.call(&method("ListTokens"), &asked).await.message::<pb::ListTokensResponse>();
    assert_eq!((listed.tokens, listed.total_count), (vec![changed], 1));
    let asked = pb::InvalidateTokenRequest { token: made.token.clone() };
    for _ in 0..2 {
        assert_eq!(server.call(&method("InvalidateToken"), &asked).await.status(), 0);
    }
    let asked = pb::ValidateTokenRequest { token: made.token };
    let refused = server.call(&method("ValidateToken"), &asked).await;
    assert_eq!(refused.refusal(), (5, "NOT_FOUND".to_owned()));
}

#[rstest]
#[tokio::test]
async fn a_member_s_token_tells_the_roles_of_now_and_goes_with_the_membership(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let (acme, other) = (organization(&server, "acme").await, organization(&server, "other").await);
    let jane = user(&server, &acme, "jane@acme.test", false).await;
    let joining = format!("/memberships/organizations/{other}/users/{jane}?send_invitation_email=false");
    server.do_api("POST", &joining, json!({})).await;
    let made = token_of(&server, &acme, &jane).await;
    assert_eq!(
        (&made.info["user_id"], &made.info["user_external_id"]),
        (&json!(jane), &json!("jane@acme.test"))
    );
    assert_eq!((&made.info["email"], &made.info["roles"]), (&json!("jane@acme.test"), &json!(["member"])));
    let roles = format!("/organizations/{acme}/users/{jane}/roles");
    server.do_api("POST", &roles, json!([{ "role_name": "admin" }])).await;
    let found = validated(&server, &made.value).await;
    assert_eq!(found["roles"], json!(["admin", "member"]));
    assert_eq!(list(&server, &format!("organization_id={acme}")).await["tokens"], json!([found]));
    server.do_api("PATCH", &format!("/users/{jane}"), json!({ "external_id": "crm/1" })).await;
    assert_eq!(validated(&server, &made.id).await["user_external_id"], "crm/1");

    let elsewhere = token_of(&server, &other, &jane).await;
    let of_acme = token(&server, json!({ "organization_id": acme })).await;
    server.do_api("DELETE", &format!("/memberships/organizations/{acme}/users/{jane}"), Value::Null).await;
    assert_invalid(&server, &made.value).await;
    assert_eq!(invalidate(&server, &made.id).await, 404, "it is not known any more");
    validated(&server, &elsewhere.value).await;
    server.do_api("DELETE", &format!("/users/{jane}"), Value::Null).await;
    assert_invalid(&server, &elsewhere.value).await;
    validated(&server, &of_acme.value).await;
    server.do_api("DELETE", &format!("/organizations/{acme}"), Value::Null).await;
    assert_invalid(&server, &of_acme.value).await;
}

#[rstest]
#[tokio::test]
async fn a_token_expires_by_the_clock_of_the_environment(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "acme").await;
    let now = server.do_control("GET", "/clock", Value::Null).await["now"].as_str().unwrap().to_owned();
    let refused =
        server.refused_api("POST", "/tokens", json!({ "organization_id": acme, "expiry": now })).await;
    assert_eq!(refused, (400, "INVALID_ARGUMENT".into(), "token.expiry".into()));
    server.advance_s(-60);
    let made = token(&server, json!({ "organization_id": acme, "expiry": now })).await;
    server.advance_s(59);
    validated(&server, &made.value).await;
    server.advance_s(1);
    assert_invalid(&server, &made.value).await;
    let listed = list(&server, &format!("organization_id={acme}")).await;
    assert_eq!((&listed["tokens"], &listed["total_count"]), (&json!([]), &json!(0)));
    assert_eq!(invalidate(&server, &made.value).await, 200);
}

#[rstest]
#[tokio::test]
async fn a_list_is_newest_first_and_of_valid_tokens_alone(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let (acme, other) = (organization(&server, "acme").await, organization(&server, "other").await);
    let jane = user(&server, &acme, "jane@acme.test", false).await;
    token(&server, json!({ "organization_id": other })).await;
    let mut made = vec![];
    for _ in 0..3 {
        made.insert(0, token(&server, json!({ "organization_id": acme })).await.id);
    }
    let of_jane = token_of(&server, &acme, &jane).await.id;
    made.insert(0, of_jane.clone());
    let gone = token(&server, json!({ "organization_id": acme })).await.id;
    invalidate(&server, &gone).await;
    let mut token = String::new();
    for wanted in made.chunks(2) {
        let page = list(&server, &format!("organization_id={acme}&page_size=2&page_token={token}")).await;
        assert_eq!(
            (ids(&page), &page["total_count"]),
            (wanted.iter().map(String::as_str).collect(), &4.into())
        );
        let next = page["next_page_token"].as_str().unwrap();
        token = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
    }
    assert_eq!(token, "");
    let listed = list(&server, &format!("organization_id={acme}&user_id={jane}")).await;
    assert_eq!((ids(&listed), &listed["total_count"]), (vec![of_jane.as_str()], &1.into()));
    let nobodys = list(&server, &format!("organization_id={acme}&user_id=usr_1")).await;
    assert_eq!(ids(&nobodys), Vec::<&str>::new());
}

#[tokio::test]
async fn what_cannot_be_is_refused_and_makes_nothing() {
    let server = TestServer::start().await;
    let (acme, other) = (organization(&server, "acme").await, organization(&server, "other").await);
    let stranger = user(&server, &other, "joe@other.test", false).await;
    let invited = user(&server, &acme, "ann@acme.test", true).await;
    let new = |name: &str, value: Value| {
        let mut fields = json!({ "organization_id": acme });
        fields[name] = value;
        fields
    };
    let invalid = "INVALID_ARGUMENT";
    for (fields, status, error_code, field) in [
        (json!({}), 400, invalid, "token.organization_id"),
        (json!({ "organization_id": "org_1" }), 404, "NOT_FOUND", ""),
        (new("user_id", stranger.into()), 400, "FAILED_PRECONDITION", ""),
        (new("user_id", invited.into()), 400, "FAILED_PRECONDITION", ""),
        (new("user_id", "usr_1".into()), 400, "FAILED_PRECONDITION", ""),
        (new("expiry", "2020-01-01T00:00:00Z".into()), 400, invalid, "token.expiry"),
        (new("description", "x".repeat(256).into()), 400, invalid, "token.description"),
    ] {
        let refused = server.refused_api("POST", "/tokens", fields.clone()).await;
        assert_eq!(refused, (status, error_code.to_owned(), field.to_owned()), "{fields}");
    }
    let made = token(&server, json!({ "organization_id": acme })).await;
    let other_value = format!("{}x", &made.value[..made.value.len() - 1]);
    for shown in ["", "x", "apit_1", "apit_", "sk_", &made.value[..made.value.len() - 1], &other_value] {
        assert_invalid(&server, shown).await;
        assert_eq!(invalidate(&server, shown).await, 404, "{shown}");
    }
    let empty = json!({ "token": made.id, "custom_claims": { "tier": "" } });
    assert_eq!(server.api("POST", "/tokens:update", empty).await.status, 400, "no empty claims");
    for (query, status) in [
        ("organization_id=org_1", 404),
        ("organization_id=acme", 400),
        (&format!("organization_id={acme}&page_size=31"), 400),
        (&format!("organization_id={acme}&page_token=x"), 400),
    ] {
        assert_eq!(
            server.api("GET", &format!("/tokens?{query}"), Value::Null).await.status,
            status,
            "{query}"
        );
    }
    let listed = list(&server, &format!("organization_id={acme}")).await;
    assert_eq!(listed["tokens"], json!([made.info]));
}

#[rstest]
#[tokio::test]
async fn parallel_invalidations_are_fine_and_parallel_changes_lose_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "acme").await;
    let made = token(&server, json!({ "organization_id": acme })).await;
    let changes = (0..20).map(|number| {
        let change = if number % 2 == 0 {
            json!({ "token": made.value, "description": "Reads" })
        } else {
            json!({ "token": made.id, "custom_claims": { "tier": "gold" } })
        };
        server.do_api("POST", "/tokens:update", change)
    });
    join_all(changes).await;
    let after = validated(&server, &made.value).await;
    assert_eq!(
        (&after["description"], &after["custom_claims"]),
        (&"Reads".into(), &json!({ "tier": "gold" }))
    );
    let statuses = join_all((0..50).map(|_| invalidate(&server, &made.value))).await;
    assert_eq!(statuses, [200; 50]);
    assert_invalid(&server, &made.value).await;
}

#[rstest]
#[tokio::test]
async fn a_reset_takes_tokens_away_and_a_snapshot_brings_them_back(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "acme").await;
    let jane = user(&server, &acme, "jane@acme.test", false).await;
    let made = token_of(&server, &acme, &jane).await;
    let snapshot = server.do_control("GET", "/snapshot", Value::Null).await;
    assert!(!snapshot.to_string().contains(&made.value), "values are kept as digests alone");
    server.do_control("POST", "/reset", json!({})).await;
    assert_invalid(&server, &made.value).await;
    server.do_control("PUT", "/snapshot", snapshot.clone()).await;
    assert_eq!(validated(&server, &made.value).await, made.info);
    let mut wrong = snapshot;
    wrong["api_tokens"][0]["id"] = json!("apit_x");
    assert_eq!(server.refused("PUT", "/snapshot", wrong).await, (400, "api_tokens[0].id".into()));
}
