//! Users and their memberships by Scalekit's API, as an application manages the users of its customers.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Engine, TestServer};

async fn organization(server: &TestServer, name: &str) -> String {
    let created = server.do_api("POST", "/organizations", json!({ "display_name": name })).await;
    created["organization"]["id"].as_str().unwrap().to_owned()
}

/// Adds a user who is a member at once.
async fn member(server: &TestServer, organization_id: &str, fields: Value) -> Value {
    let path = format!("/organizations/{organization_id}/users?send_invitation_email=false");
    server.do_api("POST", &path, fields).await["user"].clone()
}

fn path_of(user: &Value) -> String {
    format!("/users/{}", user["id"].as_str().unwrap())
}

fn membership_path(organization_id: &str, user: &Value) -> String {
    format!("/memberships/organizations/{organization_id}{}", path_of(user))
}

fn emails(list: &Value) -> Vec<&str> {
    list["users"].as_array().unwrap().iter().map(|user| user["email"].as_str().unwrap()).collect()
}

fn role_names(list: &Value) -> Vec<&str> {
    list["roles"].as_array().unwrap().iter().map(|role| role["name"].as_str().unwrap()).collect()
}

async fn event_types(server: &TestServer) -> Vec<String> {
    let store = server.database.open().await;
    store.events(&server.app.id).await.unwrap().into_iter().map(|(event_type, _)| event_type).collect()
}

#[rstest]
#[tokio::test]
async fn a_user_is_made_read_changed_and_deleted(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "Acme").await;
    let fields = json!({
        "email": "Jane@acme.test", "external_id": "crm/1", "metadata": { "source": "test" },
        "user_profile": { "first_name": "Jane", "family_name": "Doe", "locale": "en-US", "groups": ["red"],
            "custom_attributes": { "floor": "3" } },
        "membership": { "roles": [{ "name": "admin" }], "metadata": { "team": "blue" } },
    });
    let path = format!("/organizations/{acme}/users?send_invitation_email=false");
    let page = server.api("POST", &path, fields).await;
    assert_eq!(page.status, 201, "{}", page.body);
    let jane = page.json()["user"].clone();
    let id = jane["id"].as_str().unwrap();
    assert!(id.starts_with("usr_") && (19..=25).contains(&id.len()), "{id}");
    assert_eq!((&jane["email"], &jane["external_id"]), (&"Jane@acme.test".into(), &"crm/1".into()));
    assert!(!jane["environment_id"].as_str().unwrap().is_empty());
    assert!(jane.get("last_login_time").is_none());
    let profile = &jane["user_profile"];
    assert_eq!((&profile["given_name"], &profile["first_name"]), (&"Jane".into(), &"Jane".into()));
    assert_eq!((&profile["last_name"], &profile["name"]), (&"Doe".into(), &"Jane Doe".into()));
    assert_eq!((&profile["locale"], &profile["email_verified"]), (&"en-US".into(), &false.into()));
    assert_eq!(profile["custom_attributes"], json!({ "floor": "3" }));
    let membership = &jane["memberships"][0];
    assert_eq!((&membership["organization_id"], &membership["name"]), (&acme.clone().into(), &"Acme".into()));
    assert_eq!(membership["membership_status"], "ACTIVE");
    assert_eq!(membership["provisioning_method"], "direct_provision");
    assert_eq!(
        (role_names(membership), &membership["metadata"]),
        (vec!["admin"], &json!({ "team": "blue" }))
    );
    for path in [path_of(&jane), "/users:external/crm%2F1".to_owned()] {
        assert_eq!(server.do_api("GET", &path, Value::Null).await["user"], jane, "{path}");
    }

    server.advance_s(1);
    let change = json!({
        "external_id": "", "metadata": { "source": "updated" },
        "user_profile": { "given_name": "Janet", "name": "J. Doe", "custom_attributes": {} },
    });
    let changed = server.do_api("PATCH", &path_of(&jane), change).await["user"].clone();
    assert!(changed.get("external_id").is_none(), "what was emptied is absent");
    assert_eq!(changed["metadata"], json!({ "source": "updated" }));
    let profile = &changed["user_profile"];
    assert_eq!((&profile["first_name"], &profile["family_name"]), (&"Janet".into(), &"Doe".into()));
    assert_eq!((&profile["name"], &profile["groups"]), (&"J. Doe".into(), &json!(["red"])));
    assert_eq!(profile["custom_attributes"], json!({ "floor": "3" }), "an empty map leaves what was there");
    assert_eq!(changed["memberships"], jane["memberships"]);
    assert_eq!(changed["create_time"], jane["create_time"]);
    assert_ne!(changed["update_time"], jane["update_time"]);
    assert_eq!(server.do_api("GET", &path_of(&jane), Value::Null).await["user"], changed);

    assert_eq!(server.do_api("DELETE", &path_of(&jane), Value::Null).await, json!({}));
    for verb in ["GET", "DELETE"] {
        let page = server.api(verb, &path_of(&jane), Value::Null).await;
        assert!(page.status == 404 && page.body.contains("not found"), "{}", page.body);
    }
    let again = member(&server, &acme, json!({ "email": "jane@acme.test", "external_id": "crm/1" })).await;
    assert_ne!(again["id"], jane["id"]);
    assert_eq!(
        event_types(&server).await,
        [
            "organization.created",
            "user.organization_membership_created",
            "user.organization_membership_deleted",
            "user.organization_membership_created",
        ]
    );
}

#[rstest]
#[tokio::test]
async fn a_membership_is_made_changed_and_deleted_and_the_user_stays(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let (acme, beta) = (organization(&server, "Acme").await, organization(&server, "Beta").await);
    let jane = member(&server, &acme, json!({ "email": "jane@acme.test", "external_id": "jane" })).await;
    assert_eq!(role_names(&jane["memberships"][0]), ["member"], "the default role of members");

    let path = membership_path(&beta, &jane);
    let invited = format!("/memberships/organizations/{beta}/users:external/jane");
    let page = server.api("POST", &invited, json!({ "inviter_email": "boss@beta.test" })).await;
    assert_eq!(page.status, 201, "{}", page.body);
    let user = page.json()["user"].clone();
    assert_eq!((&user["id"], &user["email"]), (&jane["id"], &jane["email"]));
    let membership = &user["memberships"][1];
    assert_eq!(membership["membership_status"], "PENDING_INVITE");
    assert_eq!(
        (&membership["inviter_email"], &membership["provisioning_method"]),
        (&"boss@beta.test".into(), &"invitation".into())
    );
    let twice = server.refused_api("POST", &path, json!({})).await;
    assert_eq!(twice, (409, "ALREADY_EXISTS".to_owned(), "organization_id".to_owned()));

    let change = json!({ "roles": [{ "name": "admin" }], "metadata": { "team": "blue", "floor": "3" } });
    let user = server.do_api("PATCH", &path, change).await["user"].clone();
    assert_eq!(role_names(&user["memberships"][1]), ["admin"]);
    let user = server.do_api("PATCH", &path, json!({ "metadata": { "team": "red" } })).await["user"].clone();
    assert_eq!(role_names(&user["memberships"][1]), ["admin"], "an empty list leaves what was there");
    assert_eq!(user["memberships"][1]["metadata"], json!({ "team": "red" }));
    assert_eq!(server.do_api("GET", &path_of(&jane), Value::Null).await["user"], user);

    server.advance_s(15 * 24 * 60 * 60);
    let later = server.do_api("GET", &path_of(&jane), Value::Null).await["user"].clone();
    assert_eq!(later["memberships"][1]["membership_status"], "INVITE_EXPIRED");

    for organization_id in [&beta, &acme] {
        server.do_api("DELETE", &membership_path(organization_id, &jane), Value::Null).await;
        let page = server.api("DELETE", &membership_path(organization_id, &jane), Value::Null).await;
        assert!(page.status == 404 && page.body.contains("not found"), "{}", page.body);
    }
    assert_eq!(server.do_api("GET", &path_of(&jane), Value::Null).await["user"]["memberships"], json!([]));

    server.do_api("POST", &format!("{path}?send_invitation_email=false"), json!({})).await;
    server.do_api("DELETE", &format!("{path}?cascade=true"), Value::Null).await;
    assert_eq!(server.api("GET", &path_of(&jane), Value::Null).await.status, 404);
    let types = event_types(&server).await;
    assert_eq!(
        types[2..5],
        [
            "user.organization_membership_created",
            "user.organization_invitation",
            "user.organization_membership_updated"
        ]
    );
}

#[tokio::test]
async fn roles_of_a_member_are_added_and_taken_until_none_is_left() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let jane = member(&server, &acme, json!({ "email": "jane@acme.test" })).await;
    let path = format!("/organizations/{acme}{}/roles", path_of(&jane));
    assert_eq!(role_names(&server.do_api("GET", &path, Value::Null).await), ["member"]);
    for _ in 0..2 {
        let assigned = server.do_api("POST", &path, json!([{ "role_name": "admin" }])).await;
        assert_eq!(role_names(&assigned), ["admin", "member"]);
    }
    for role in ["admin", "member"] {
        server.do_api("DELETE", &format!("{path}/{role}"), Value::Null).await;
        let again = server.refused_api("DELETE", &format!("{path}/{role}"), Value::Null).await;
        assert_eq!((again.0, again.1.as_str()), (404, "NOT_FOUND"));
    }
    assert_eq!(server.do_api("GET", &path, Value::Null).await, json!({ "roles": [] }));
    let unknown = server.api("POST", &path, json!([{ "role_name": "nobody" }])).await;
    assert!(unknown.status == 400 && unknown.body.contains("role not found: nobody"), "{}", unknown.body);
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named_and_nothing_changes() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let jane = member(&server, &acme, json!({ "email": "jane@acme.test", "external_id": "jane" })).await;
    member(&server, &acme, json!({ "email": "bob@acme.test", "external_id": "bob" })).await;
    let (user, users) = (path_of(&jane), format!("/organizations/{acme}/users"));
    let membership = membership_path(&acme, &jane);
    let nobody = "/users/usr_100000000000000009";
    let wrong: [(&str, &str, Value, u16, &str); 16] = [
        ("POST", &users, json!({}), 400, "user.email"),
        ("POST", &users, json!({ "email": "jane" }), 400, "user.email"),
        ("POST", &users, json!({ "email": "JANE@acme.test" }), 409, "user.email"),
        ("POST", &users, json!({ "email": "c@acme.test", "external_id": "jane" }), 409, "user.external_id"),
        (
            "POST",
            &users,
            json!({ "email": "c@acme.test", "metadata": { "ab": "x" } }),
            400,
            "user.metadata.ab",
        ),
        (
            "POST",
            &users,
            json!({ "email": "c@acme.test", "membership": { "roles": [{ "name": "nobody" }] } }),
            400,
            "user.membership.roles[0]",
        ),
        ("POST", "/organizations/org_1/users", json!({ "email": "c@acme.test" }), 404, ""),
        ("PATCH", &user, json!({ "external_id": "bob" }), 409, "user.external_id"),
        (
            "PATCH",
            &user,
            json!({ "user_profile": { "groups": ["a", "a"] } }),
            400,
            "user.user_profile.groups",
        ),
        ("PATCH", &membership, json!({ "roles": [{ "name": "nobody" }] }), 400, "membership.roles[0]"),
        ("PATCH", nobody, json!({}), 404, ""),
        ("GET", "/users/jane", Value::Null, 400, "id"),
        ("GET", nobody, Value::Null, 404, ""),
        ("GET", "/users:search?query=ja", Value::Null, 400, "query"),
        ("GET", "/users?page_token=x", Value::Null, 400, "page_token"),
        ("GET", "/organizations/org_1/users", Value::Null, 404, ""),
    ];
    let before = server.do_api("GET", "/users", Value::Null).await;
    let events = event_types(&server).await;
    for (verb, path, body, status, field) in wrong {
        let refused = server.refused_api(verb, path, body.clone()).await;
        assert_eq!((refused.0, refused.2.as_str()), (status, field), "{verb} {path} {body}");
    }
    assert_eq!(server.do_api("GET", "/users", Value::Null).await, before);
    assert_eq!(event_types(&server).await, events);
}

#[tokio::test]
async fn lists_are_newest_first_and_members_are_those_of_the_organization_alone() {
    let server = TestServer::start().await;
    let (acme, beta) = (organization(&server, "Acme").await, organization(&server, "Beta").await);
    let mut made = vec![];
    for number in 0..5 {
        let user = member(&server, &acme, json!({ "email": format!("user.{number}@acme.test") })).await;
        made.insert(0, user);
    }
    let wanted: Vec<&str> = made.iter().map(|user| user["email"].as_str().unwrap()).collect();
    let (all, members) = ("/users".to_owned(), format!("/organizations/{acme}/users"));
    for list in [&all, &members] {
        let (mut seen, mut token) = (vec![], String::new());
        loop {
            let path = format!("{list}?page_size=2&page_token={token}");
            let page = server.do_api("GET", &path, Value::Null).await;
            assert_eq!(page["total_size"], 5);
            seen.extend(emails(&page).into_iter().map(str::to_owned));
            token =
                url::form_urlencoded::byte_serialize(page["next_page_token"].as_str().unwrap().as_bytes())
                    .collect();
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, wanted, "{list}");
    }
    // The oldest user is the newest member.
    let path = format!("{}?send_invitation_email=false", membership_path(&beta, &made[1]));
    server.do_api("POST", &path, json!({})).await;
    server.advance_s(1);
    let path = format!("{}?send_invitation_email=false", membership_path(&beta, &made[4]));
    server.do_api("POST", &path, json!({})).await;
    let listed = server.do_api("GET", &format!("/organizations/{beta}/users"), Value::Null).await;
    assert_eq!(emails(&listed), [wanted[4], wanted[1]]);
    assert_eq!(listed["users"][0]["memberships"].as_array().unwrap().len(), 2, "all memberships are shown");
    for (path, found) in [
        ("/users:search?query=USER.3".to_owned(), vec![wanted[1]]),
        ("/users:search?query=nothing".to_owned(), vec![]),
        (format!("/organizations/{beta}/users:search?query=user"), vec![wanted[4], wanted[1]]),
        (format!("/organizations/{beta}/users:search?query=user.2"), vec![]),
    ] {
        let page = server.do_api("GET", &path, Value::Null).await;
        assert_eq!(emails(&page), found, "{path}");
        assert_eq!(page["total_size"], found.len(), "{path}");
    }
}

#[rstest]
#[tokio::test]
async fn an_organization_takes_as_many_users_as_it_may_have_however_many_come_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "Acme").await;
    let limit = json!({ "settings": { "max_allowed_users": 3 } });
    server.do_api("PATCH", &format!("/organizations/{acme}/settings/usermanagement"), limit).await;
    let path = format!("/organizations/{acme}/users");
    let creations =
        (0..12).map(|n| server.api("POST", &path, json!({ "email": format!("user{n}@acme.test") })));
    let (made, refused): (Vec<_>, Vec<_>) =
        join_all(creations).await.into_iter().partition(|page| page.status == 201);
    assert_eq!((made.len(), refused.len()), (3, 9));
    assert!(refused.iter().all(|page| page.status == 400 && page.body.contains("user limit reached")));
    assert_eq!(server.do_api("GET", &path, Value::Null).await["total_size"], 3);
}

#[rstest]
#[tokio::test]
async fn parallel_changes_of_one_user_lose_nothing(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let mut organizations = vec![];
    for number in 0..8 {
        organizations.push(organization(&server, &format!("Number {number}")).await);
    }
    let jane = member(&server, &organizations[0], json!({ "email": "jane@acme.test" })).await;
    let profile = json!({ "user_profile": { "locale": "en" } });
    let joins = organizations[1..].iter().map(|id| {
        let path = membership_path(id, &jane);
        let server = &server;
        async move { server.do_api("POST", &path, json!({})).await }
    });
    let user_path = path_of(&jane);
    let (_, _) = tokio::join!(join_all(joins), server.do_api("PATCH", &user_path, profile));
    let after = server.do_api("GET", &path_of(&jane), Value::Null).await["user"].clone();
    assert_eq!(after["memberships"].as_array().unwrap().len(), 8);
    assert_eq!(after["user_profile"]["locale"], "en");

    let creations = (0..50).map(|_| {
        let path = format!("/organizations/{}/users", organizations[0]);
        let server = &server;
        async move { server.api("POST", &path, json!({ "email": "bob@acme.test" })).await.status }
    });
    let created = join_all(creations).await.into_iter().filter(|status| *status == 201).count();
    assert_eq!(created, 1);
}

#[rstest]
#[tokio::test]
async fn access_tokens_tell_roles_and_permissions_as_they_are_at_every_refresh(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "[tokens]\nuser_management = true\n").await else { return };
    for name in ["doc:read", "doc:write"] {
        server.do_api("POST", "/permissions", json!({ "name": name, "description": name })).await;
    }
    for role in [
        json!({ "name": "viewer", "display_name": "Viewer", "permissions": ["doc:read"] }),
        json!({ "name": "editor", "display_name": "Editor", "permissions": ["doc:write"], "extends": "viewer" }),
    ] {
        server.do_api("POST", "/roles", role).await;
    }
    let acme = organization(&server, "Acme").await;
    let fields = json!({ "email": "jane@acme.test", "membership": { "roles": [{ "name": "viewer" }] } });
    let jane = member(&server, &acme, fields).await;
    let tokens = server.person().tokens("jane@acme.test").await;
    let told = |tokens: &Value| {
        let claims = crate::support::person::claims(&tokens["access_token"]);
        (claims["oid"].clone(), claims["roles"].clone(), claims["permissions"].clone())
    };
    assert_eq!(told(&tokens), (acme.clone().into(), json!(["viewer"]), json!(["doc:read"])));
    let id_token = crate::support::person::claims(&tokens["id_token"]);
    assert!(id_token.get("roles").is_none() && id_token.get("permissions").is_none(), "{id_token}");

    let roles = format!("/organizations/{acme}{}/roles", path_of(&jane));
    server.do_api("POST", &roles, json!([{ "role_name": "editor" }])).await;
    let refresh = async |tokens: &Value| {
        let token = tokens["refresh_token"].as_str().unwrap().to_owned();
        server.token(&[("grant_type", "refresh_token"), ("refresh_token", &token)]).await.json()
    };
    let tokens = refresh(&tokens).await;
    let (_, names, permissions) = told(&tokens);
    assert!(names.as_array().unwrap().contains(&"editor".into()), "{names}");
    assert_eq!(permissions.as_array().unwrap().len(), 2, "{permissions}");

    for name in ["viewer", "editor"] {
        server.do_api("DELETE", &format!("{roles}/{name}"), Value::Null).await;
    }
    assert_eq!(told(&refresh(&tokens).await), (acme.into(), Value::Null, Value::Null), "none is left out");
}

#[tokio::test]
async fn whoever_signs_up_is_told_the_role_of_creators_and_the_modular_profile_tells_none() {
    for (profile, roles) in [("true", json!(["admin"])), ("false", Value::Null)] {
        let server = TestServer::with(&format!("[tokens]\nuser_management = {profile}\n")).await;
        let tokens = server.person().tokens("jane@acme.test").await;
        let claims = crate::support::person::claims(&tokens["access_token"]);
        assert_eq!((&claims["roles"], claims.get("permissions")), (&roles, None), "{profile}");
    }
}
