//! Organizations by Scalekit's API, as an application manages its customers.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::Page;
use crate::support::{Engine, TestServer};

impl TestServer {
    /// A REST call of the default client.
    pub async fn api(&self, verb: &str, path: &str, body: Value) -> Page {
        let url = format!("{}/api/v1{path}", self.url);
        let request = self.http().request(verb.parse().unwrap(), url).bearer_auth(self.client_token().await);
        let request = if body.is_null() { request } else { request.json(&body) };
        Page::of(request.send().await.unwrap()).await
    }

    /// A REST call that goes well.
    pub async fn do_api(&self, verb: &str, path: &str, body: Value) -> Value {
        let page = self.api(verb, path, body).await;
        assert!((200..300).contains(&page.status), "{verb} {path}: {} {}", page.status, page.body);
        page.json()
    }

    /// A REST call that is refused: status, `error_code` and the first field that it names.
    pub async fn refused_api(&self, verb: &str, path: &str, body: Value) -> (u16, String, String) {
        let page = self.api(verb, path, body).await;
        let info = &page.json()["details"][0];
        let field = &info["validation_error_info"]["field_violations"][0]["field"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (page.status, text(&info["error_code"]), text(field))
    }
}

async fn create(server: &TestServer, fields: Value) -> Value {
    server.do_api("POST", "/organizations", fields).await["organization"].clone()
}

fn path_of(organization: &Value) -> String {
    format!("/organizations/{}", organization["id"].as_str().unwrap())
}

fn ids(list: &Value) -> Vec<&str> {
    list["organizations"].as_array().unwrap().iter().map(|o| o["id"].as_str().unwrap()).collect()
}

async fn event_types(server: &TestServer) -> Vec<String> {
    let store = server.database.open().await;
    store.events(&server.app.id).await.unwrap().into_iter().map(|(event_type, _)| event_type).collect()
}

#[rstest]
#[tokio::test]
async fn an_organization_is_made_read_changed_and_deleted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let page = server
        .api(
            "POST",
            "/organizations",
            json!({
                "display_name": "Acme", "external_id": "acme/1", "slug": "auth.acme.com",
                "metadata": { "plan": "pro" }, "logo_url": "https://acme.example.com/logo.png",
            }),
        )
        .await;
    assert_eq!(page.status, 201);
    let acme = page.json()["organization"].clone();
    let id = acme["id"].as_str().unwrap();
    assert!(id.starts_with("org_") && (19..=32).contains(&id.len()), "{id}");
    assert_eq!(acme["region_code"], "US");
    assert_eq!(acme["metadata"], json!({ "plan": "pro" }));
    let features = json!([{ "name": "sso", "enabled": false }, { "name": "dir_sync", "enabled": false }]);
    assert_eq!(acme["settings"]["features"], features);
    assert_eq!(acme["create_time"], acme["update_time"]);
    for path in [path_of(&acme), "/organizations:external/acme%2F1".to_owned()] {
        assert_eq!(server.do_api("GET", &path, Value::Null).await["organization"], acme, "{path}");
    }

    server.advance_s(1);
    let changed = json!({ "display_name": "Acme Ltd", "slug": "", "metadata": {} });
    let changed = server.do_api("PATCH", &path_of(&acme), changed).await["organization"].clone();
    assert_eq!((&changed["display_name"], &changed["external_id"]), (&"Acme Ltd".into(), &"acme/1".into()));
    assert!(changed.get("slug").is_none(), "what was emptied is absent");
    assert_eq!(changed["metadata"], json!({ "plan": "pro" }), "an empty map leaves what was there");
    assert_eq!(changed["create_time"], acme["create_time"]);
    assert_ne!(changed["update_time"], acme["update_time"]);
    let replaced = json!({ "metadata": { "tier": "gold" }, "external_id": "" });
    let replaced = server.do_api("PATCH", &path_of(&acme), replaced).await["organization"].clone();
    assert_eq!(replaced["metadata"], json!({ "tier": "gold" }));
    assert!(replaced.get("external_id").is_none());
    let masked_path = format!("{}?update_mask=metadata", path_of(&acme));
    let masked = server.do_api("PATCH", &masked_path, json!({ "display_name": "Not this" })).await;
    let masked = masked["organization"].clone();
    assert_eq!((&masked["display_name"], &masked["metadata"]), (&"Acme Ltd".into(), &json!({})));

    assert_eq!(server.do_api("DELETE", &path_of(&acme), Value::Null).await, json!({}));
    for verb in ["GET", "DELETE"] {
        let page = server.api(verb, &path_of(&acme), Value::Null).await;
        assert!(page.status == 404 && page.body.contains("not found"), "{}", page.body);
    }
    let again = create(&server, json!({ "display_name": "Acme", "external_id": "acme/1" })).await;
    assert_ne!(again["id"], acme["id"]);
    assert_eq!(
        event_types(&server).await,
        [
            &["organization.created"][..],
            &["organization.updated"; 3],
            &["organization.deleted", "organization.created"]
        ]
        .concat()
    );
}

/// A verb, a path in which `{acme}` is an organization's, a body, and what is refused about it.
type Wrong = (&'static str, &'static str, Value, u16, &'static str, &'static str);

#[tokio::test]
async fn a_field_that_is_wrong_is_named_and_nothing_changes() {
    const INVALID: &str = "INVALID_ARGUMENT";
    const LIST: &str = "/organizations";
    let named = |fields: Value| {
        let mut all = json!({ "display_name": "B" });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        all
    };
    refuse_all([
        ("POST", LIST, json!({}), 400, INVALID, "organization.display_name"),
        (
            "POST",
            LIST,
            named(json!({ "display_name": "x".repeat(201) })),
            400,
            INVALID,
            "organization.display_name",
        ),
        ("POST", LIST, named(json!({ "slug": "No Slug" })), 400, INVALID, "organization.slug"),
        (
            "POST",
            LIST,
            named(json!({ "logo_url": "http://b.example" })),
            400,
            INVALID,
            "organization.logo_url",
        ),
        ("POST", LIST, named(json!({ "region_code": 9 })), 400, INVALID, "organization.region_code"),
        ("POST", LIST, named(json!({ "metadata": { "ab": "x" } })), 400, INVALID, "organization.metadata.ab"),
        (
            "POST",
            LIST,
            named(json!({ "external_id": "first" })),
            409,
            "ALREADY_EXISTS",
            "organization.external_id",
        ),
        ("POST", LIST, named(json!({ "slug": "first" })), 409, "ALREADY_EXISTS", "organization.slug"),
        (
            "PATCH",
            "{acme}",
            json!({ "external_id": "first" }),
            409,
            "ALREADY_EXISTS",
            "organization.external_id",
        ),
        ("PATCH", "{acme}", named(json!({ "slug": "first" })), 409, "ALREADY_EXISTS", "organization.slug"),
        ("PATCH", "{acme}", json!({ "display_name": "" }), 400, INVALID, "organization.display_name"),
        ("PATCH", "{acme}?update_mask=settings", json!({}), 400, INVALID, "update_mask"),
        ("PATCH", "{acme}?update_mask=displayName", json!({}), 400, INVALID, "organization.display_name"),
        ("PATCH", "/organizations/acme", named(json!({})), 404, "NOT_FOUND", ""),
        ("GET", "/organizations/acme", Value::Null, 404, "NOT_FOUND", ""),
    ])
    .await;
}

#[tokio::test]
async fn a_setting_or_page_that_is_wrong_is_named_and_nothing_changes() {
    const INVALID: &str = "INVALID_ARGUMENT";
    let policy = |fields: Value| {
        let mut all = json!({ "policy_source": "CUSTOM" });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        all
    };
    let features = json!({ "features": [{ "name": "sso", "enabled": true }, { "name": "magic" }] });
    let (list, search) = ("/organizations?page_token=x", "/organizations:search?query=abc&page_size=31");
    refuse_all([
        ("GET", list, Value::Null, 400, INVALID, "page_token"),
        ("GET", search, Value::Null, 400, INVALID, "page_size"),
        ("GET", "/organizations:search?query=ab", Value::Null, 400, INVALID, "query"),
        ("PATCH", "{acme}/settings", features, 400, INVALID, "settings.features[1].name"),
        ("PATCH", "/organizations/acme/settings", json!({ "features": [] }), 400, INVALID, "id"),
        ("PATCH", "{acme}/session-policy", json!({}), 400, INVALID, "policy_source"),
        ("PATCH", "{acme}/session-policy", policy(json!({})), 400, INVALID, "absolute_session_timeout"),
        (
            "PATCH",
            "{acme}/session-policy",
            policy(json!({ "absolute_session_timeout": 60 })),
            400,
            INVALID,
            "absolute_session_timeout_unit",
        ),
        (
            "PATCH",
            "{acme}/settings/usermanagement",
            json!({ "settings": { "max_allowed_users": -1 } }),
            400,
            INVALID,
            "settings.max_allowed_users",
        ),
        ("PUT", "{acme}/portal_links?features=sso", Value::Null, 400, INVALID, "features"),
    ])
    .await;
}

async fn refuse_all<const N: usize>(wrong: [Wrong; N]) {
    let server = TestServer::start().await;
    create(&server, json!({ "display_name": "First", "external_id": "first", "slug": "first" })).await;
    let acme = create(&server, json!({ "display_name": "Acme", "external_id": "acme" })).await;
    let path = path_of(&acme);
    for (verb, template, body, status, error_code, field) in wrong {
        let refused = server.refused_api(verb, &template.replace("{acme}", &path), body.clone()).await;
        assert_eq!(refused, (status, error_code.to_owned(), field.to_owned()), "{verb} {template} {body}");
    }
    assert_eq!(server.do_api("GET", &path, Value::Null).await["organization"], acme);
    assert_eq!(server.do_api("GET", "/organizations", Value::Null).await["total_size"], 2);
    assert_eq!(event_types(&server).await, ["organization.created"; 2]);
}

#[tokio::test]
async fn a_duplicate_is_told_in_the_words_that_sdks_look_for() {
    let server = TestServer::start().await;
    let first = json!({ "display_name": "First", "external_id": "first" });
    create(&server, first.clone()).await;
    let message = server.api("POST", "/organizations", first).await.json()["message"].to_string();
    assert!(message.contains("external") && message.contains("already exists"), "{message}");
}

#[tokio::test]
async fn a_list_is_newest_first_while_the_clock_stands_still_and_its_tokens_are_its_own() {
    let server = TestServer::start().await;
    let mut made = vec![];
    for number in 0..7 {
        let created = create(&server, json!({ "display_name": format!("Number {number}") })).await;
        made.insert(0, created["id"].as_str().unwrap().to_owned());
    }
    let all = server.do_api("GET", "/organizations", Value::Null).await;
    assert_eq!(ids(&all), made);
    assert_eq!(
        (&all["next_page_token"], &all["prev_page_token"], &all["total_size"]),
        (&"".into(), &"".into(), &7.into())
    );
    let first = server.do_api("GET", "/organizations?page_size=3", Value::Null).await;
    assert_eq!(ids(&first), made[..3]);
    let token = first["next_page_token"].as_str().unwrap();
    assert!(token.starts_with(">:"), "{token}");
    // What comes and goes before it does not move what is behind it.
    create(&server, json!({ "display_name": "Newer" })).await;
    server.do_api("DELETE", &format!("/organizations/{}", made[2]), Value::Null).await;
    let query = |token: &str| url::form_urlencoded::byte_serialize(token.as_bytes()).collect::<String>();
    let second = format!("/organizations?page_size=3&page_token={}", query(token));
    let second = server.do_api("GET", &second, Value::Null).await;
    assert_eq!(ids(&second), made[3..6]);
    let back = format!(
        "/organizations?page_size=2&page_token={}",
        query(second["prev_page_token"].as_str().unwrap())
    );
    assert_eq!(ids(&server.do_api("GET", &back, Value::Null).await), made[..2]);
    let elsewhere = format!("/organizations:search?query=number&page_token={}", query(token));
    let refused = server.refused_api("GET", &elsewhere, Value::Null).await;
    assert_eq!(refused, (400, "INVALID_ARGUMENT".to_owned(), "page_token".to_owned()));
    let found = server.do_api("GET", "/organizations:search?query=NUMBER&page_size=2", Value::Null).await;
    assert_eq!((found["organizations"].as_array().unwrap().len(), &found["total_size"]), (2, &6.into()));
}

#[rstest]
#[tokio::test]
async fn of_a_hundred_parallel_creations_of_one_external_id_one_goes_well(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[values("external_id", "slug")] field: &str,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let token = server.client_token().await;
    let creations = (0..100).map(|_| {
        let url = format!("{}/api/v1/organizations", server.url);
        let body = json!({ "display_name": "Acme", field: "acme" });
        server.http().post(url).bearer_auth(&token).json(&body).send()
    });
    let outcomes = join_all(creations).await.into_iter().map(|response| response.unwrap().status().as_u16());
    let (created, refused): (Vec<u16>, Vec<u16>) = outcomes.partition(|status| *status == 201);
    assert_eq!((created.len(), refused), (1, vec![409; 99]));
    assert_eq!(event_types(&server).await, ["organization.created"]);
}

#[tokio::test]
async fn parallel_changes_of_different_fields_lose_nothing() {
    let server = TestServer::start().await;
    let path = path_of(&create(&server, json!({ "display_name": "Acme" })).await);
    let changes = [
        (path.clone(), json!({ "display_name": "Acme Ltd" })),
        (path.clone(), json!({ "external_id": "acme" })),
        (path.clone(), json!({ "slug": "acme" })),
        (path.clone(), json!({ "metadata": { "plan": "pro" } })),
        (format!("{path}/settings"), json!({ "features": [{ "name": "sso", "enabled": true }] })),
        (format!("{path}/settings"), json!({ "features": [{ "name": "dir_sync", "enabled": true }] })),
    ];
    join_all(changes.iter().map(|(path, body)| server.do_api("PATCH", path, body.clone()))).await;
    let after = server.do_api("GET", &path, Value::Null).await["organization"].clone();
    assert_eq!(
        (&after["display_name"], &after["external_id"], &after["slug"], &after["metadata"]),
        (&"Acme Ltd".into(), &"acme".into(), &"acme".into(), &json!({ "plan": "pro" }))
    );
    let features = json!([{ "name": "sso", "enabled": true }, { "name": "dir_sync", "enabled": true }]);
    assert_eq!(after["settings"]["features"], features);
}

#[tokio::test]
async fn members_of_no_other_organization_go_with_it_and_sessions_in_it_end() {
    let server = TestServer::start().await;
    let acme = create(&server, json!({ "display_name": "Acme", "external_id": "acme" })).await;
    create(&server, json!({ "display_name": "Other", "external_id": "other" })).await;
    for (email, organizations) in
        [("jane@acme.test", json!(["acme"])), ("bob@acme.test", json!(["acme", "other"]))]
    {
        server.do_control("POST", "/users", json!({ "email": email, "organizations": organizations })).await;
    }
    let jane = server.person().tokens("jane@acme.test").await;
    let bob = server.person().tokens("bob@acme.test").await;
    let elsewhere = server.person().sign_in_with("bob@acme.test", &[("organization_id", "other")]).await;
    let elsewhere = server.exchange(&elsewhere.answer("code").unwrap()).await.json();
    server.do_api("DELETE", &path_of(&acme), Value::Null).await;
    let users = server.do_control("GET", "/api/users", Value::Null).await;
    let users: Vec<&str> =
        users["users"].as_array().unwrap().iter().map(|u| u["email"].as_str().unwrap()).collect();
    assert_eq!(users, ["bob@acme.test"]);
    for (tokens, status) in [(jane, 400), (bob, 400), (elsewhere, 200)] {
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let page = server.token(&[("grant_type", "refresh_token"), ("refresh_token", refresh)]).await;
        assert_eq!(page.status, status, "{}", page.body);
    }
    let told = event_types(&server).await;
    let deleted = "user.organization_membership_deleted";
    assert_eq!(told[told.len() - 3..], [deleted, deleted, "organization.deleted"]);
}

#[tokio::test]
async fn a_sign_up_of_the_full_stack_profile_tells_of_its_organization() {
    let server = TestServer::with("[tokens]\nuser_management = true\n").await;
    server.person().tokens("jane@acme.test").await;
    server.person().tokens("jane@acme.test").await;
    let list = server.do_api("GET", "/organizations", Value::Null).await;
    assert_eq!(
        (&list["total_size"], &list["organizations"][0]["display_name"]),
        (&1.into(), &"acme.test".into())
    );
    let made = ["organization.created", "user.organization_membership_created", "user.signup"];
    let told = [&made[..], &["user.login"; 2]].concat();
    assert_eq!(event_types(&server).await, told);
}

#[tokio::test]
async fn session_policies_answer_in_minutes_and_go_back_to_those_of_the_application() {
    let server = TestServer::start().await;
    let path = path_of(&create(&server, json!({ "display_name": "Acme" })).await) + "/session-policy";
    let application = json!({ "policy": { "policy_source": "APPLICATION" } });
    assert_eq!(server.do_api("GET", &path, Value::Null).await, application);
    let custom = json!({
        "policy_source": "CUSTOM", "absolute_session_timeout": 8, "absolute_session_timeout_unit": "HOURS",
        "idle_session_timeout_enabled": true, "idle_session_timeout": 1, "idle_session_timeout_unit": "HOURS",
    });
    let kept = json!({ "policy": {
        "policy_source": "CUSTOM", "absolute_session_timeout": 480, "absolute_session_timeout_unit": "MINUTES",
        "idle_session_timeout_enabled": true, "idle_session_timeout": 60, "idle_session_timeout_unit": "MINUTES",
    } });
    assert_eq!(server.do_api("PATCH", &path, custom).await, kept);
    assert_eq!(server.do_api("GET", &path, Value::Null).await, kept);
    let without_idle = json!({ "policy_source": "CUSTOM", "idle_session_timeout_enabled": false });
    let kept = json!({ "policy": {
        "policy_source": "CUSTOM", "absolute_session_timeout": 480, "absolute_session_timeout_unit": "MINUTES",
        "idle_session_timeout_enabled": false,
    } });
    assert_eq!(server.do_api("PATCH", &path, without_idle).await, kept);
    assert_eq!(server.do_api("PATCH", &path, json!({ "policy_source": "APPLICATION" })).await, application);
    assert_eq!(server.do_api("GET", &path, Value::Null).await, application);
}

#[tokio::test]
async fn a_limit_of_users_may_be_nothing_or_any_number() {
    let server = TestServer::start().await;
    let path =
        path_of(&create(&server, json!({ "display_name": "Acme" })).await) + "/settings/usermanagement";
    assert_eq!(server.do_api("GET", &path, Value::Null).await, json!({ "settings": {} }));
    for most in [50, 0] {
        let settings = json!({ "settings": { "max_allowed_users": most } });
        assert_eq!(server.do_api("PATCH", &path, settings.clone()).await, settings);
        assert_eq!(server.do_api("PATCH", &path, json!({ "settings": {} })).await, settings, "absent leaves");
        assert_eq!(server.do_api("GET", &path, Value::Null).await, settings);
    }
}

#[tokio::test]
async fn a_portal_link_shows_what_the_portal_would_offer_once() {
    let server = TestServer::start().await;
    let path = path_of(&create(&server, json!({ "display_name": "Acme & Sons" })).await);
    let features = json!({ "features": [{ "name": "sso", "enabled": true }] });
    server.do_api("PATCH", &format!("{path}/settings"), features).await;
    let link =
        server.do_api("PUT", &format!("{path}/portal_links?features=sso"), Value::Null).await["link"].clone();
    let location = link["location"].as_str().unwrap();
    assert_eq!(location, format!("{}/magicLink/{}", server.url, link["id"].as_str().unwrap()));
    let page = server.get(location.trim_start_matches(&server.url)).await;
    assert!(page.status == 200 && page.body.contains("Acme &#38; Sons"), "{}", page.body);
    assert!(page.body.contains("Single sign-on") && !page.body.contains("Directory sync"), "{}", page.body);
    assert_eq!(server.get(location.trim_start_matches(&server.url)).await.status, 410);
    let late = server.do_api("PUT", &format!("{path}/portal_links"), Value::Null).await["link"].clone();
    server.advance_s(60);
    assert_eq!(
        server.get(late["location"].as_str().unwrap().trim_start_matches(&server.url)).await.status,
        410
    );
}

#[tokio::test]
async fn the_control_api_serves_the_api_as_it_is_without_a_clients_token() {
    let server = TestServer::start().await;
    let made = server.do_control("POST", "/api/organizations", json!({ "display_name": "Acme" })).await;
    let acme = made["organization"].clone();
    assert_eq!(server.do_api("GET", &path_of(&acme), Value::Null).await["organization"], acme);
    assert_eq!(
        ids(&server.do_control("GET", "/api/organizations?page_size=1", Value::Null).await),
        [acme["id"].as_str().unwrap()]
    );
    for (verb, path, body, status, error_code) in [
        ("POST", "/api/organizations", json!({}), 400, "INVALID_ARGUMENT"),
        ("GET", "/api/organizations/org_1", Value::Null, 404, "NOT_FOUND"),
        ("GET", "/api/nothing", Value::Null, 404, "UNKNOWN_METHOD"),
        ("GET", "/api/organizations/org_1/portal_links", Value::Null, 501, "NOT_EMULATED"),
        ("PUT", "/api/organizations", Value::Null, 405, "METHOD_NOT_ALLOWED"),
    ] {
        let page = server.control(verb, path, body).await;
        assert_eq!(
            (page.status, &page.json()["details"][0]["error_code"]),
            (status, &error_code.into()),
            "{verb} {path}"
        );
    }
    // What needs a client is done as by the first one.
    server
        .do_control(
            "POST",
            "/api/passwordless/email/send",
            json!({
                "email": "jane@example.com", "magiclink_auth_uri": "https://app.example.com/verify",
            }),
        )
        .await;
    server.do_control("DELETE", &format!("/api{}", path_of(&acme)), Value::Null).await;
    assert_eq!(server.do_api("GET", "/organizations", Value::Null).await["total_size"], 0);

    let guarded = TestServer::with("[control]\ntoken = \"open, sesame, open\"").await;
    let off = TestServer::with("control = false").await;
    for (server, status) in [(&guarded, 401), (&off, 404)] {
        assert_eq!(server.get("/_emulator/v1/api/organizations").await.status, status);
    }
    let url = format!("{}/_emulator/v1/api/organizations", server.url);
    let foreign = server
        .http()
        .post(url)
        .header("origin", "https://evil.example.com")
        .json(&json!({ "display_name": "A" }));
    assert_eq!(foreign.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn configured_organizations_have_slug_and_metadata_and_a_reset_brings_them_back() {
    let toml = "[[organizations]]\nid = \"org_100000000000000001\"\ndisplay_name = \"Acme\"\nexternal_id = \"acme\"\n\
        slug = \"acme\"\nmetadata = { plan = \"pro\", \"a.b\" = \"c\" }\n";
    let server = TestServer::with(toml).await;
    let path = "/organizations/org_100000000000000001";
    let seeded = server.do_api("GET", path, Value::Null).await;
    assert_eq!(seeded["organization"]["slug"], "acme");
    assert_eq!(seeded["organization"]["metadata"], json!({ "plan": "pro", "a.b": "c" }));
    let change =
        json!({ "slug": "other", "metadata": { "plan": "free" }, "logo_url": "https://a.example/b" });
    server.do_api("PATCH", path, change).await;
    server
        .do_api(
            "PATCH",
            &format!("{path}/settings/usermanagement"),
            json!({ "settings": { "max_allowed_users": 1 } }),
        )
        .await;
    create(&server, json!({ "display_name": "Passing" })).await;
    let policy = json!({
        "policy_source": "CUSTOM", "absolute_session_timeout": 60, "absolute_session_timeout_unit": "MINUTES",
    });
    server.do_api("PATCH", &format!("{path}/session-policy"), policy).await;
    let changed = server.do_api("GET", path, Value::Null).await;
    let snapshot = server.do_control("GET", "/snapshot", Value::Null).await;
    server.do_control("POST", "/reset", json!({})).await;
    assert_eq!(server.do_api("GET", path, Value::Null).await, seeded);
    assert_eq!(server.do_api("GET", "/organizations", Value::Null).await["total_size"], 1);
    assert_eq!(event_types(&server).await, Vec::<String>::new());
    server.do_control("PUT", "/snapshot", snapshot).await;
    assert_eq!(server.do_api("GET", path, Value::Null).await, changed);
    assert_eq!(server.do_api("GET", "/organizations", Value::Null).await["total_size"], 2);
    let policy = server.do_api("GET", &format!("{path}/session-policy"), Value::Null).await;
    assert_eq!(policy["policy"]["absolute_session_timeout"], 60);
}
