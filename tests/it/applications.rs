//! Applications of the environment by Scalekit's API.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::Page;
use crate::support::{CLIENT_ID, Engine, TestServer};

const LIST: &str = "/clients";

async fn create(server: &TestServer, fields: Value) -> Value {
    let mut all = json!({ "name": "App", "client_type": "WEB_APP" });
    all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    server.do_api("POST", LIST, all).await["client"].clone()
}

fn path_of(client: &Value) -> String {
    format!("{LIST}/{}", client["id"].as_str().unwrap())
}

/// A call of the API as a client of these credentials.
async fn calls_as(server: &TestServer, client: &Value, secret: &str) -> Page {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client["id"].as_str().unwrap()),
        ("client_secret", secret),
    ];
    let page = server.post("/oauth/token", &form).await;
    if page.status != 200 {
        return page;
    }
    let token = page.json()["access_token"].as_str().unwrap().to_owned();
    let url = format!("{}/api/v1/organizations?page_size=1", server.url);
    Page::of(server.http().get(url).bearer_auth(token).send().await.unwrap()).await
}

async fn add_secret(server: &TestServer, client: &Value) -> (String, String) {
    let page = server.api("POST", &format!("{}/secrets", path_of(client)), Value::Null).await;
    assert_eq!(page.status, 201, "{}", page.body);
    let made = page.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&made["secret"]["id"]), text(&made["plain_secret"]))
}

async fn secret_ids(server: &TestServer, client: &Value) -> Vec<String> {
    let shown = server.do_api("GET", &path_of(client), Value::Null).await;
    let secrets = shown["client"]["secrets"].as_array().unwrap().iter();
    secrets.map(|secret| secret["id"].as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn an_application_is_made_read_changed_and_deleted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let fields = json!({
        "name": "App", "client_type": "WEB_APP", "access_token_expiry": "3600",
        "post_login_uris": ["https://b.example.com/cb", "https://a.example.com/cb"],
        "post_logout_redirect_uris": ["https://b.example.com/", "https://a.example.com/"],
        "initiate_login_uri": "https://a.example.com/login", "scopes": ["write", "read"],
        "grant_types": ["authorization_code"], "custom_claims": [{ "key": "a.b", "value": "" }],
        "enforce_pkce": true,
    });
    let page = server.api("POST", LIST, fields.clone()).await;
    assert_eq!(page.status, 200);
    let app = page.json()["client"].clone();
    assert!(app["id"].as_str().unwrap().starts_with("webc_"), "{app}");
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&app[name], value, "{name}");
    }
    assert_eq!((&app["secrets"], &app["back_channel_logout_uris"]), (&json!([]), &json!([])));
    assert_eq!(app["disallow_scalekit_api_access"], false);
    let path = path_of(&app);
    assert_eq!(server.do_api("GET", &path, Value::Null).await["client"], app);

    server.advance_s(1);
    let change = json!({
        "post_login_uris": ["https://c.example.com/cb"], "back_channel_logout_uris": ["https://c.example.com/2", "https://c.example.com/1"],
        "custom_claims": [{ "key": "tier", "value": "gold" }],
    });
    let page = server.api("PATCH", &path, change.clone()).await;
    assert_eq!(page.status, 201, "as Scalekit answers");
    let changed = page.json()["client"].clone();
    let mut expected = app.clone();
    for (name, value) in change.as_object().unwrap() {
        expected[name] = value.clone();
    }
    expected["update_time"] = changed["update_time"].clone();
    assert_eq!(changed, expected, "what is not sent stays, and lists are replaced whole");
    let masked = format!("{path}?mask=enforce_pkce,back_channel_logout_uris,initiate_login_uri");
    let masked = server.do_api("PATCH", &masked, json!({ "name": "Not this" })).await["client"].clone();
    assert_eq!(
        (&masked["name"], &masked["enforce_pkce"], &masked["back_channel_logout_uris"]),
        (&"App".into(), &false.into(), &json!([]))
    );
    assert_eq!(masked["initiate_login_uri"], "");

    // The control API tells of the same client, and what it changes leaves the rest as it is.
    let id = app["id"].as_str().unwrap();
    let change_of_own = json!({ "require_pushed_authorization_requests": true });
    let seen = server.do_control("PATCH", &format!("/clients/{id}"), change_of_own).await;
    assert_eq!(
        (&seen["redirect_uris"], &seen["require_pushed_authorization_requests"]),
        (&json!(["https://c.example.com/cb"]), &true.into())
    );
    server.do_api("PATCH", &path, json!({ "name": "Renamed" })).await;
    let renamed = server.do_api("GET", &path, Value::Null).await["client"].clone();
    assert_eq!(
        (&renamed["name"], &renamed["custom_claims"], &renamed["scopes"]),
        (&"Renamed".into(), &change["custom_claims"], &fields["scopes"])
    );

    assert_eq!(server.do_api("DELETE", &path, Value::Null).await, json!({}));
    for verb in ["GET", "DELETE"] {
        let page = server.api(verb, &path, Value::Null).await;
        assert!(page.status == 404 && page.body.contains("not found"), "{}", page.body);
    }
}

#[rstest]
#[tokio::test]
async fn a_web_application_gets_secrets_that_work_at_once_and_loses_them(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let app = create(&server, json!({})).await;
    assert_eq!(calls_as(&server, &app, "test_nothing").await.status, 401);
    let (first, first_plain) = add_secret(&server, &app).await;
    let (second, second_plain) = add_secret(&server, &app).await;
    assert_ne!((&first, &first_plain), (&second, &second_plain));
    assert_eq!(secret_ids(&server, &app).await, [first.clone(), second.clone()]);
    let secrets = format!("{}/secrets", path_of(&app));
    let third = server.refused_api("POST", &secrets, Value::Null).await;
    assert_eq!(third, (400, "FAILED_PRECONDITION".to_owned(), String::new()));
    for plain in [&first_plain, &second_plain] {
        assert_eq!(calls_as(&server, &app, plain).await.status, 200);
    }
    server.do_api("DELETE", &format!("{secrets}/{first}"), Value::Null).await;
    assert_eq!(secret_ids(&server, &app).await, std::slice::from_ref(&second));
    assert_eq!(calls_as(&server, &app, &first_plain).await.status, 401);
    assert_eq!(calls_as(&server, &app, &second_plain).await.status, 200);
    let gone = server.api("DELETE", &format!("{secrets}/{first}"), Value::Null).await;
    assert!(gone.status == 404 && gone.body.contains("not found"), "{}", gone.body);
    server.do_api("DELETE", &format!("{secrets}/{second}"), Value::Null).await;
    assert_eq!(calls_as(&server, &app, &second_plain).await.status, 401);
    // The control API shows such a client as well, and changes it.
    let id = app["id"].as_str().unwrap();
    let change = json!({ "instant_sign_in": true });
    let seen = server.do_control("PATCH", &format!("/clients/{id}"), change).await;
    assert_eq!((&seen["instant_sign_in"], &seen["client_secrets"]), (&true.into(), &json!([])));
}

#[tokio::test]
async fn an_application_may_be_kept_from_the_api() {
    let server = TestServer::start().await;
    let app = create(&server, json!({ "disallow_scalekit_api_access": true })).await;
    let (_, plain) = add_secret(&server, &app).await;
    let refused = calls_as(&server, &app, &plain).await;
    assert_eq!(refused.status, 401);
    assert!(refused.json()["message"].to_string().contains("unauthenticated"), "{}", refused.body);
    server.do_api("PATCH", &path_of(&app), json!({ "disallow_scalekit_api_access": false })).await;
    assert_eq!(calls_as(&server, &app, &plain).await.status, 200);
}

#[tokio::test]
async fn the_default_client_stays_with_its_last_secret() {
    let server = TestServer::start().await;
    let shown = server.do_api("GET", &format!("{LIST}/{CLIENT_ID}"), Value::Null).await["client"].clone();
    assert_eq!(shown["client_type"], "ENV");
    let secret = format!("{}/secrets/{}", path_of(&shown), shown["secrets"][0]["id"].as_str().unwrap());
    for path in [path_of(&shown), secret.clone()] {
        let refused = server.refused_api("DELETE", &path, Value::Null).await;
        assert_eq!(refused, (400, "FAILED_PRECONDITION".to_owned(), String::new()), "{path}");
    }
    // It may be replaced.
    let (_, plain) = add_secret(&server, &shown).await;
    server.do_api("DELETE", &secret, Value::Null).await;
    assert_eq!(calls_as(&server, &shown, &plain).await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_its_field_and_changes_nothing() {
    let server = TestServer::start().await;
    let app = create(&server, json!({})).await;
    let spa = create(&server, json!({ "client_type": "SPA" })).await;
    assert!(spa["id"].as_str().unwrap().starts_with("spac_"));
    let path = path_of(&app);
    let new = |fields: Value| {
        let mut all = json!({ "name": "B", "client_type": "NTV" });
        all.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        all
    };
    let invalid = "INVALID_ARGUMENT";
    let list = json!({ "opted_in": true, "cidrs": [{ "value": "10.0.0.0/8" }] });
    let (spas_secrets, secrets_of_nobody) =
        (format!("{}/secrets", path_of(&spa)), format!("{LIST}/webc_1/secrets"));
    let (masked, page) = (format!("{path}?mask=client_type"), format!("{LIST}?page_token=x"));
    let large = format!("{LIST}?page_size=31");
    for (verb, path, body, status, error_code, field) in [
        ("POST", LIST, json!({ "client_type": "SPA" }), 400, invalid, "client.name"),
        ("POST", LIST, json!({ "name": "B" }), 400, invalid, "client.client_type"),
        ("POST", LIST, new(json!({ "client_type": "ENV" })), 400, invalid, "client.client_type"),
        ("POST", LIST, new(json!({ "client_type": "web" })), 400, invalid, "client.client_type"),
        (
            "POST",
            LIST,
            new(json!({ "post_login_uris": ["javascript:alert(1)"] })),
            400,
            invalid,
            "client.post_login_uris",
        ),
        (
            "POST",
            LIST,
            new(json!({ "post_login_uris": ["https://a.b/", "https://a.b/"] })),
            400,
            invalid,
            "client.post_login_uris",
        ),
        ("POST", LIST, new(json!({ "access_token_expiry": 1 })), 400, invalid, "client.access_token_expiry"),
        ("POST", LIST, new(json!({ "access_token_expiry": -1 })), 400, invalid, "client.access_token_expiry"),
        (
            "POST",
            LIST,
            new(json!({ "back_channel_logout_uris": ["https://a.example.com/1", "ftp://a.example.com/2"] })),
            400,
            invalid,
            "client.back_channel_logout_uris",
        ),
        ("POST", LIST, new(json!({ "ip_allowlist": list })), 400, invalid, "client.ip_allowlist.opted_in"),
        (
            "PATCH",
            &path,
            json!({ "name": "Other", "initiate_login_uri": "nowhere" }),
            400,
            invalid,
            "client.initiate_login_uri",
        ),
        ("PATCH", &masked, json!({}), 400, invalid, "mask"),
        ("PATCH", "/clients/webc_1", json!({ "name": "Other" }), 404, "NOT_FOUND", ""),
        ("POST", &spas_secrets, Value::Null, 400, "FAILED_PRECONDITION", ""),
        ("POST", &secrets_of_nobody, Value::Null, 404, "NOT_FOUND", ""),
        ("GET", &page, Value::Null, 400, invalid, "page_token"),
        ("GET", &large, Value::Null, 400, invalid, "page_size"),
    ] {
        let refused = server.refused_api(verb, path, body.clone()).await;
        assert_eq!(refused, (status, error_code.to_owned(), field.to_owned()), "{verb} {path} {body}");
    }
    assert_eq!(server.do_api("GET", &path, Value::Null).await["client"], app);
    let types = format!("{LIST}?filter.client_type=WEB_APP&filter.client_type=SPA&filter.client_type=NTV");
    let shown = server.do_api("GET", &types, Value::Null).await;
    assert_eq!(shown["total_size"], 3, "the well-known public client is one of them");
}

#[tokio::test]
async fn a_list_is_oldest_first_in_pages_and_by_type() {
    let server = TestServer::start().await;
    let mut wanted = vec![];
    for number in 0..5 {
        server.advance_s(1);
        let app = create(&server, json!({ "name": format!("Number {number}"), "client_type": "NTV" })).await;
        wanted.push(app["id"].as_str().unwrap().to_owned());
    }
    let ids = |list: &Value| -> Vec<String> {
        let clients = list["clients"].as_array().unwrap().iter();
        clients.map(|client| client["id"].as_str().unwrap().to_owned()).collect()
    };
    let query = |token: &Value| -> String {
        url::form_urlencoded::byte_serialize(token.as_str().unwrap().as_bytes()).collect()
    };
    let of_type = format!("{LIST}?filter.client_type=NTV&page_size=2");
    let (mut seen, mut path, mut lists) = (vec![], of_type.clone(), vec![]);
    loop {
        let list = server.do_api("GET", &path, Value::Null).await;
        assert_eq!(list["total_size"], 5);
        seen.extend(ids(&list));
        if list["next_page_token"] == "" {
            lists.push(list);
            break;
        }
        path = format!("{of_type}&page_token={}", query(&list["next_page_token"]));
        lists.push(list);
        // What goes does not move what comes after it.
        if lists.len() == 1 {
            server.do_api("DELETE", &format!("{LIST}/{}", wanted[0]), Value::Null).await;
            server.advance_s(1);
            create(&server, json!({ "client_type": "NTV", "name": "In its place" })).await;
        }
    }
    assert_eq!(seen[..5], wanted);
    let back = format!("{of_type}&page_token={}", query(&lists[1]["prev_page_token"]));
    assert_eq!(ids(&server.do_api("GET", &back, Value::Null).await), wanted[1..2]);
    let other = format!("{LIST}?page_token={}", query(&lists[0]["next_page_token"]));
    assert_eq!(server.refused_api("GET", &other, Value::Null).await.2, "page_token");
    assert_eq!(ids(&server.do_api("GET", LIST, Value::Null).await).len(), 7);
}

#[rstest]
#[tokio::test]
async fn parallel_changes_lose_nothing_and_secrets_stay_two(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let made =
        join_all((0..8).map(|number| create(&server, json!({ "name": format!("App {number}") })))).await;
    let list = server.do_api("GET", &format!("{LIST}?filter.client_type=WEB_APP"), Value::Null).await;
    assert_eq!(list["total_size"], 8);
    let path = path_of(&made[0]);
    let changes = [
        json!({ "name": "Other" }),
        json!({ "post_login_uris": ["https://a.example.com/cb"] }),
        json!({ "scopes": ["read"] }),
        json!({ "custom_claims": [{ "key": "tier", "value": "gold" }] }),
        json!({ "access_token_expiry": "600" }),
        json!({ "enforce_pkce": true }),
    ];
    join_all(changes.iter().map(|change| server.do_api("PATCH", &path, change.clone()))).await;
    let after = server.do_api("GET", &path, Value::Null).await["client"].clone();
    for change in changes {
        for (name, value) in change.as_object().unwrap() {
            assert_eq!(&after[name], value, "{name}");
        }
    }
    let secrets = format!("{path}/secrets");
    let additions = join_all((0..12).map(|_| server.api("POST", &secrets, Value::Null))).await;
    let (added, refused): (Vec<u16>, Vec<u16>) =
        additions.iter().map(|page| page.status).partition(|status| *status == 201);
    assert_eq!((added.len(), refused), (2, vec![400; 10]));
    assert_eq!(secret_ids(&server, &made[0]).await.len(), 2);
}

#[rstest]
#[tokio::test]
async fn an_application_goes_with_a_reset_and_comes_back_with_a_snapshot(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let fields = json!({ "scopes": ["read"], "custom_claims": [{ "key": "a.b", "value": "c" }],
        "disallow_scalekit_api_access": true });
    let bare = create(&server, fields.clone()).await;
    let snapshot = server.do_control("GET", "/snapshot", Value::Null).await;
    server.do_control("POST", "/reset", json!({})).await;
    assert_eq!(server.refused_api("GET", &path_of(&bare), Value::Null).await.0, 404);
    assert_eq!(server.do_control("PUT", "/snapshot", snapshot).await, json!({ "ignored": [] }));
    let back = server.do_api("GET", &path_of(&bare), Value::Null).await["client"].clone();
    for (name, value) in fields.as_object().unwrap() {
        assert_eq!(&back[name], value, "{name}");
    }
}
