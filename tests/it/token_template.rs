//! The token template: claims of an application's own in access tokens.

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::claims;
use crate::support::{Engine, TestServer};

const SETTINGS: &str = r#"
[[organizations]]
id = "org_100000000000000001"
display_name = "Acme"
external_id = "acme"
metadata = { plan = "pro" }
[[organizations]]
id = "org_100000000000000002"
display_name = "Beta"
external_id = "beta"
[[users]]
email = "jane@acme.test"
given_name = "Jane"
organizations = ["acme", "beta"]
[tokens]
user_management = true
[token_template.claims]
plan = '{{ organization.metadata.plan ?? "free" }}'
department = "user.metadata.department"
tier = 'organization.metadata.billing.tier ?? "none"'
member = "user.current_membership"
"https://acme.test/name" = "user.name"
"#;

async fn tokens(server: &TestServer, organization: &str) -> Value {
    let person = server.person();
    let page = person.sign_in_with("jane@acme.test", &[("organization_id", organization)]).await;
    server.exchange(&page.answer("code").unwrap()).await.json()
}

async fn access_claims(server: &TestServer, organization: &str) -> Value {
    let tokens = tokens(server, organization).await;
    let id_token = claims(&tokens["id_token"]);
    assert!(id_token.get("plan").is_none(), "the ID token has none: {id_token}");
    claims(&tokens["access_token"])
}

#[rstest]
#[tokio::test]
async fn access_tokens_have_the_claims_of_the_template_and_no_sign_in_fails_by_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, SETTINGS).await else { return };
    let acme = access_claims(&server, "acme").await;
    assert_eq!((&acme["plan"], &acme["https://acme.test/name"]), (&json!("pro"), &json!("Jane")));
    assert_eq!(acme["member"]["organization_id"], acme["oid"]);
    assert_eq!(acme["member"]["status"], "active");
    for left_out in ["department", "tier"] {
        assert!(acme.get(left_out).is_none(), "{left_out}: {acme}");
    }
    assert_eq!(access_claims(&server, "beta").await["plan"], "free");
}

#[tokio::test]
async fn claims_are_recomputed_by_each_refresh_and_introspection_shows_them() {
    let server = TestServer::with(SETTINGS).await;
    let tokens = tokens(&server, "acme").await;
    let user = claims(&tokens["access_token"])["sub"].as_str().unwrap().to_owned();
    let change = json!({ "metadata": { "department": "sales" } });
    server.do_api("PATCH", &format!("/users/{user}"), change).await;
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let refreshed = server.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await;
    let access_token = refreshed.json()["access_token"].clone();
    assert_eq!(claims(&access_token)["department"], "sales");
    let form = [
        ("client_id", crate::support::CLIENT_ID),
        ("client_secret", crate::support::CLIENT_SECRET),
        ("token", access_token.as_str().unwrap()),
    ];
    let introspected = server.post("/oauth/introspect", &form).await.json();
    assert_eq!((&introspected["active"], &introspected["department"]), (&json!(true), &json!("sales")));
    let client_token = server.token(&[("grant_type", "client_credentials")]).await.json();
    assert!(claims(&client_token["access_token"]).get("plan").is_none(), "no user, no template");
}

#[tokio::test]
async fn the_template_changes_while_the_server_runs_and_reserved_names_are_refused() {
    let server = TestServer::with(SETTINGS).await;
    let set = |claims: Value| json!({ "token_template": { "claims": claims } });
    for (claims, field) in [
        (json!({ "roles": "user.id" }), "token_template.claims.roles"),
        (json!({ "custom_claims": "user.id" }), "token_template.claims.custom_claims"),
        (json!({ "plan": "free" }), "token_template.claims.plan"),
        (json!({ "plan": 1 }), "token_template.claims.plan"),
    ] {
        assert_eq!(server.refused("PATCH", "/settings", set(claims)).await, (400, field.to_owned()));
    }
    let change = set(json!({ "plan": "\"gold\"", "member": "" }));
    let settings = server.do_control("PATCH", "/settings", change).await;
    assert_eq!(settings["token_template"]["claims"]["plan"], "\"gold\"");
    assert!(settings["token_template"]["claims"].get("member").is_none(), "{settings}");
    let access = access_claims(&server, "acme").await;
    assert_eq!(access["plan"], "gold");
    assert!(access.get("member").is_none(), "{access}");
    let off = json!({ "token_template": { "enabled": false } });
    server.do_control("PATCH", "/settings", off).await;
    assert!(access_claims(&server, "acme").await.get("plan").is_none());
    server.do_control("PATCH", "/settings", json!({ "token_template": null })).await;
    // Two emails a minute are enough for an address.
    server.advance_s(61);
    assert_eq!(access_claims(&server, "acme").await["plan"], "pro", "as configured again");
}

#[tokio::test]
async fn a_preview_shows_what_a_user_would_get_and_why_claims_are_left_out() {
    let server = TestServer::with(SETTINGS).await;
    let preview = async |body: Value| server.do_control("POST", "/token-template/preview", body).await;
    let shown = preview(json!({ "user": "jane@acme.test" })).await;
    assert_eq!(
        (&shown["claims"]["plan"], &shown["variables"]["organization"]["name"]),
        (&json!("pro"), &json!("Acme"))
    );
    assert_eq!(
        shown["omitted"],
        json!([
            { "name": "department", "reason": "the value is missing" },
            { "name": "tier",
              "reason": "organization.metadata.billing is missing; go on from it with ?. instead of ." },
        ])
    );
    let other = json!({ "user": "jane@acme.test", "organization_id": "beta",
        "claims": { "greeting": "user.given_name", "plan": "organization.metadata.plan ?? 0" } });
    assert_eq!(preview(other).await["claims"], json!({ "greeting": "Jane", "plan": 0 }));
    for (body, field) in [
        (json!({ "user": "nobody@acme.test" }), "user"),
        (json!({ "user": "jane@acme.test", "organization_id": "other" }), "organization_id"),
        (json!({ "user": "jane@acme.test", "claims": { "sub": "user.id" } }), "claims.sub"),
    ] {
        let refused = server.refused("POST", "/token-template/preview", body).await;
        assert_eq!(refused, (400, field.to_owned()));
    }
}

#[tokio::test]
async fn the_dashboard_edits_the_template_and_previews_it() {
    let server = TestServer::with(SETTINGS).await;
    let path = "/dashboard/token-template";
    assert!(server.get(path).await.body.contains("department = user.metadata.department"));
    let form = [("act", "save"), ("enabled", "on"), ("claims", "plan = \"gold\"\r\nname = user.name")];
    assert_eq!(server.post(path, &form).await.status, 303);
    let settings = server.do_control("GET", "/settings", Value::Null).await;
    let wanted = json!({ "enabled": true, "claims": { "plan": "\"gold\"", "name": "user.name" } });
    assert_eq!(settings["token_template"], wanted, "what has no line any more is gone");
    for (claims, said) in [
        ("roles = user.id", "roles is reserved"),
        ("plan", "write name = expression"),
        ("plan = user.id\nplan = user.name", "twice"),
    ] {
        let refused = server.post(path, &[("act", "save"), ("enabled", "on"), ("claims", claims)]).await;
        assert!(refused.status == 400 && refused.body.contains(said), "{claims}: {}", refused.body);
    }
    let shown = server.post(path, &[("act", "preview"), ("user", "jane@acme.test")]).await;
    assert!(shown.status == 200 && shown.body.contains("gold"), "{}", shown.body);
}
