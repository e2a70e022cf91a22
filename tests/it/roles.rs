//! Roles and permissions by Scalekit's API, as an application says what members of its customers may do.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::api::pb::scalekit::v1::roles::{
    GetRoleRequest, GetRoleResponse, ListPermissionsRequest, ListPermissionsResponse, ListRolesRequest,
    ListRolesResponse,
};

use crate::support::{Engine, TestServer};

async fn organization(server: &TestServer, name: &str) -> String {
    let created = server.do_api("POST", "/organizations", json!({ "display_name": name })).await;
    created["organization"]["id"].as_str().unwrap().to_owned()
}

/// Adds a user who is a member at once, and has these roles.
async fn member(server: &TestServer, organization_id: &str, email: &str, roles: &[&str]) -> String {
    let roles: Vec<Value> = roles.iter().map(|name| json!({ "name": name })).collect();
    let path = format!("/organizations/{organization_id}/users?send_invitation_email=false");
    let user = json!({ "email": email, "membership": { "roles": roles } });
    server.do_api("POST", &path, user).await["user"]["id"].as_str().unwrap().to_owned()
}

async fn permission(server: &TestServer, name: &str) -> Value {
    let fields = json!({ "name": name, "description": format!("May {name}") });
    server.do_api("POST", "/permissions", fields).await["permission"].clone()
}

async fn role(server: &TestServer, fields: Value) -> Value {
    server.do_api("POST", "/roles", fields).await["role"].clone()
}

fn names<'l>(list: &'l Value, of: &str) -> Vec<&'l str> {
    list[of].as_array().unwrap().iter().map(|record| record["name"].as_str().unwrap()).collect()
}

async fn event_types(server: &TestServer) -> Vec<String> {
    let store = server.database.open().await;
    store.events(&server.app.id).await.unwrap().into_iter().map(|(event_type, _)| event_type).collect()
}

#[rstest]
#[tokio::test]
async fn a_role_is_made_read_changed_and_deleted(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let fresh = server.do_api("GET", "/roles", Value::Null).await;
    assert_eq!(names(&fresh, "roles"), ["admin", "member"]);
    let flags = |role: &Value| (role["default_creator"].clone(), role["default_member"].clone());
    assert_eq!(flags(&fresh["roles"][0]), (true.into(), false.into()));
    assert_eq!(flags(&fresh["roles"][1]), (false.into(), true.into()));

    permission(&server, "read:documents").await;
    let fields = json!({
        "name": "editor", "display_name": "Editor", "description": "Edits", "extends": "member",
        "permissions": ["read:documents"],
    });
    let page = server.api("POST", "/roles", fields).await;
    assert_eq!(page.status, 201, "{}", page.body);
    let editor = page.json()["role"].clone();
    assert!(editor["id"].as_str().unwrap().starts_with("role_"));
    assert_eq!((&editor["name"], &editor["description"]), (&"editor".into(), &"Edits".into()));
    assert_eq!((&editor["extends"], flags(&editor)), (&"member".into(), (false.into(), false.into())));
    assert_eq!((&editor["is_org_role"], &editor["dependent_roles_count"]), (&false.into(), &0.into()));
    assert_eq!(editor["permissions"], json!([]), "shown on demand");
    assert_eq!(server.do_api("GET", "/roles/editor", Value::Null).await["role"], editor);
    let own = server.do_api("GET", "/roles/editor?include=permissions", Value::Null).await["role"].clone();
    assert_eq!(names(&own, "permissions"), ["read:documents"]);
    let all =
        server.do_api("GET", "/roles/editor?include=permissions:all", Value::Null).await["role"].clone();
    assert_eq!(all["permissions"].as_array().unwrap().len(), 6, "those of member too");
    assert_eq!(
        (&all["permissions"][0]["role_name"], &all["permissions"][1]["role_name"]),
        (&"editor".into(), &"member".into())
    );
    let dependents = server.do_api("GET", "/roles/member/dependents", Value::Null).await;
    assert_eq!(names(&dependents, "roles"), ["editor"]);
    assert_eq!(dependents["roles"][0]["extends"], "member");
    let member = server.do_api("GET", "/roles/member", Value::Null).await["role"].clone();
    assert_eq!(member["dependent_roles_count"], 1);

    let changed =
        server.do_api("PUT", "/roles/editor", json!({ "display_name": "Writer" })).await["role"].clone();
    assert_eq!((&changed["id"], &changed["display_name"]), (&editor["id"], &"Writer".into()));
    assert_eq!((&changed["description"], &changed["extends"]), (&"Edits".into(), &"member".into()));
    assert_eq!(server.do_api("DELETE", "/roles/editor/base", Value::Null).await, json!({}));
    server.do_api("DELETE", "/roles/editor/base", Value::Null).await;
    let cut = server.do_api("GET", "/roles/editor", Value::Null).await["role"].clone();
    assert!(cut.get("extends").is_none(), "absent, not empty: {cut}");

    assert_eq!(server.do_api("DELETE", "/roles/editor", Value::Null).await, json!({}));
    for verb in ["GET", "DELETE"] {
        let page = server.api(verb, "/roles/editor", Value::Null).await;
        assert!(page.status == 404 && page.body.contains("not found"), "{}", page.body);
    }
    let again = role(&server, json!({ "name": "editor", "display_name": "Editor" })).await;
    assert_ne!(again["id"], editor["id"]);
    assert_eq!(
        event_types(&server).await,
        [
            "permission.created",
            "role.created",
            "role.updated",
            "role.updated",
            "role.deleted",
            "role.created"
        ]
    );
}

#[tokio::test]
async fn grpc_and_the_control_api_say_the_same() {
    let server = TestServer::start().await;
    permission(&server, "read:documents").await;
    let fields = json!({ "name": "editor", "display_name": "Editor", "permissions": ["read:documents"] });
    let created = server.do_control("POST", "/api/roles", fields).await["role"].clone();
    let service = "/scalekit.v1.roles.RolesService";
    let listed: ListRolesResponse =
        server.call(&format!("{service}/ListRoles"), &ListRolesRequest::default()).await.message();
    assert_eq!(
        listed.roles.iter().map(|role| role.name.as_str()).collect::<Vec<_>>(),
        ["admin", "member", "editor"]
    );
    let asked = GetRoleRequest { role_name: "editor".into(), include: Some("permissions".into()) };
    let found: GetRoleResponse = server.call(&format!("{service}/GetRole"), &asked).await.message();
    let editor = found.role.unwrap();
    assert_eq!((editor.id.as_str(), editor.extends), (created["id"].as_str().unwrap(), None));
    assert_eq!(editor.permissions[0].name, "read:documents");
    let asked = ListPermissionsRequest { page_size: Some(1), ..ListPermissionsRequest::default() };
    let page: ListPermissionsResponse =
        server.call(&format!("{service}/ListPermissions"), &asked).await.message();
    assert_eq!((page.permissions[0].name.as_str(), page.total_size), ("read:documents", 13));
    let asked = ListPermissionsRequest { page_token: Some(page.next_page_token), ..asked };
    let page: ListPermissionsResponse =
        server.call(&format!("{service}/ListPermissions"), &asked).await.message();
    assert!(page.permissions[0].is_scalekit_permission);
}

#[rstest]
#[tokio::test]
async fn permissions_are_made_given_taken_and_deleted(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let read = permission(&server, "read:documents").await;
    assert!(read["id"].as_str().unwrap().starts_with("perm_"));
    assert_eq!(read["is_scalekit_permission"], false);
    server.advance_s(1);
    permission(&server, "write:documents").await;
    let listed = server.do_api("GET", "/permissions", Value::Null).await;
    assert_eq!(names(&listed, "permissions")[..2], ["write:documents", "read:documents"], "newest first");
    assert_eq!((&listed["total_size"], &listed["next_page_token"]), (&14.into(), &"".into()));
    let own = server.do_api("GET", "/permissions?type=ENVIRONMENT&page_size=1", Value::Null).await;
    assert_eq!((names(&own, "permissions"), &own["total_size"]), (vec!["write:documents"], &2.into()));

    let change = json!({ "name": "read:documents", "description": "Reads" });
    for path in ["/permissions/read:documents", "/permissions/read%3Adocuments"] {
        let changed = server.do_api("PUT", path, change.clone()).await["permission"].clone();
        assert_eq!(
            (&changed["description"], &changed["create_time"]),
            (&"Reads".into(), &read["create_time"])
        );
        assert_ne!(changed["update_time"], read["update_time"]);
        assert_eq!(server.do_api("GET", path, Value::Null).await["permission"], changed);
    }

    role(&server, json!({ "name": "viewer", "display_name": "Viewer" })).await;
    role(&server, json!({ "name": "editor", "display_name": "Editor", "extends": "viewer" })).await;
    let give = |role: &str, names: Value| {
        let (server, path) = (&server, format!("/roles/{role}/permissions"));
        async move { server.do_api("POST", &path, json!({ "permission_names": names })).await }
    };
    let given = give("viewer", json!(["read:documents", "non_existent_permission"])).await;
    assert_eq!(names(&given, "permissions"), ["read:documents"], "what there is not is ignored");
    assert_eq!(names(&give("viewer", json!(["nothing"])).await, "permissions"), ["read:documents"]);
    give("editor", json!(["write:documents"])).await;
    for (path, held) in [
        ("/roles/viewer/permissions", vec!["read:documents"]),
        ("/roles/editor/permissions", vec!["write:documents"]),
        ("/roles/editor/permissions:all", vec!["write:documents", "read:documents"]),
    ] {
        assert_eq!(names(&server.do_api("GET", path, Value::Null).await, "permissions"), held, "{path}");
    }
    let path = "/roles/editor/permissions/write:documents";
    server.do_api("DELETE", path, Value::Null).await;
    let again = server.refused_api("DELETE", path, Value::Null).await;
    assert_eq!((again.0, again.1.as_str()), (404, "NOT_FOUND"));

    server.do_api("DELETE", "/permissions/read:documents", Value::Null).await;
    let left = server.do_api("GET", "/roles/editor/permissions:all", Value::Null).await;
    assert_eq!(names(&left, "permissions"), Vec::<&str>::new(), "it went from all roles");
    assert_eq!(server.api("GET", "/permissions/read:documents", Value::Null).await.status, 404);
    let types = event_types(&server).await;
    assert_eq!(types.iter().filter(|t| *t == "permission.updated").count(), 2);
    assert_eq!(types.last().map(String::as_str), Some("permission.deleted"));
}

#[rstest]
#[tokio::test]
async fn an_organization_has_roles_of_its_own_beside_those_of_the_environment(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let (acme, beta) = (organization(&server, "Acme").await, organization(&server, "Beta").await);
    permission(&server, "buy").await;
    let roles = format!("/organizations/{acme}/roles");
    let fields =
        json!({ "name": "buyer", "display_name": "Buyer", "permissions": ["buy"], "extends": "member" });
    let buyer = server.do_api("POST", &roles, fields).await["role"].clone();
    assert_eq!((&buyer["is_org_role"], &buyer["extends"]), (&true.into(), &"member".into()));
    let fields = json!({ "name": "chief", "display_name": "Chief", "extends": "buyer" });
    server.do_api("POST", &roles, fields).await;
    let listed = server.do_api("GET", &roles, Value::Null).await;
    assert_eq!(names(&listed, "roles"), ["admin", "member", "buyer", "chief"]);
    assert_eq!(names(&server.do_api("GET", "/roles", Value::Null).await, "roles"), ["admin", "member"]);
    let others = server.do_api("GET", &format!("/organizations/{beta}/roles"), Value::Null).await;
    assert_eq!(names(&others, "roles"), ["admin", "member"]);
    assert_eq!(
        server.api("GET", &format!("/organizations/{beta}/roles/buyer"), Value::Null).await.status,
        404
    );
    assert_eq!(server.api("GET", "/roles/buyer", Value::Null).await.status, 404);
    let admin = server.do_api("GET", &format!("{roles}/admin"), Value::Null).await["role"].clone();
    assert_eq!(admin["is_org_role"], false);
    assert_eq!(
        server.api("PUT", &format!("{roles}/admin"), json!({ "display_name": "A" })).await.status,
        404
    );

    let changed = server.do_api("PUT", &format!("{roles}/buyer"), json!({ "description": "Buys" })).await;
    assert_eq!(
        (&changed["role"]["description"], &changed["role"]["is_org_role"]),
        (&"Buys".into(), &true.into())
    );
    let defaults = json!({ "default_member_role": "chief" });
    let path = format!("/organizations/{acme}/roles:set_defaults");
    let set = server.do_api("PATCH", &path, defaults).await["default_member"].clone();
    assert_eq!((&set["name"], &set["default_member"]), (&"chief".into(), &true.into()));
    let jane = member(&server, &acme, "jane@acme.test", &[]).await;
    let user = server.do_api("GET", &format!("/users/{jane}"), Value::Null).await["user"].clone();
    assert_eq!(names(&user["memberships"][0], "roles"), ["chief"], "the organization's default");
    assert_eq!(user["memberships"][0]["permissions"], json!(["buy"]));
    let path = format!("/organizations/{acme}/users/{jane}");
    let held = server.do_api("GET", &format!("{path}/roles"), Value::Null).await;
    assert_eq!(names(&held, "roles"), ["chief", "buyer", "member"], "those that it extends behind it");
    let may = server.do_api("GET", &format!("{path}/permissions"), Value::Null).await;
    assert_eq!(names(&may, "permissions"), ["buy"]);
    assert!(may["permissions"][0]["id"].as_str().unwrap().starts_with("perm_"));
    let count = server.do_api("GET", &format!("{roles}/chief/users:count"), Value::Null).await;
    assert_eq!(count, json!({ "count": "1" }));

    // A role of Acme is none that a member of Beta could have.
    let path = format!("/organizations/{beta}/users?send_invitation_email=false");
    let user = json!({ "email": "bob@beta.test", "membership": { "roles": [{ "name": "buyer" }] } });
    let refused = server.refused_api("POST", &path, user).await;
    assert_eq!((refused.0, refused.2.as_str()), (400, "user.membership.roles[0]"));
    // Nor one of the environment a name that an organization's has.
    for (path, name) in [("/roles", "buyer"), (roles.as_str(), "admin"), (roles.as_str(), "buyer")] {
        let refused = server.refused_api("POST", path, json!({ "name": name, "display_name": "X" })).await;
        assert_eq!(
            refused,
            (409, "ROLE_KEYNAME_CONFLICT".to_owned(), "role.name".to_owned()),
            "{path} {name}"
        );
    }

    server.do_api("DELETE", &format!("{roles}/chief/base"), Value::Null).await;
    server.do_api("DELETE", &format!("{roles}/chief?reassign_role_name=buyer"), Value::Null).await;
    let user = server.do_api("GET", &format!("/users/{jane}"), Value::Null).await["user"].clone();
    assert_eq!(names(&user["memberships"][0], "roles"), ["buyer"]);
    let bob = member(&server, &acme, "bob@acme.test", &[]).await;
    let user = server.do_api("GET", &format!("/users/{bob}"), Value::Null).await["user"].clone();
    assert_eq!(names(&user["memberships"][0], "roles"), ["member"], "the environment's default again");
    server.do_api("DELETE", &format!("/organizations/{acme}"), Value::Null).await;
    role(&server, json!({ "name": "buyer", "display_name": "Buyer" })).await;
    let types = event_types(&server).await;
    assert_eq!(types.iter().filter(|t| t.starts_with("role.")).count(), 6, "{types:?}");
}

#[rstest]
#[tokio::test]
async fn a_role_in_use_is_deleted_only_with_another_one_in_its_place(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "Acme").await;
    for name in ["old", "new"] {
        role(&server, json!({ "name": name, "display_name": name })).await;
    }
    role(&server, json!({ "name": "child", "display_name": "Child", "extends": "old" })).await;
    let jane = member(&server, &acme, "jane@acme.test", &["old"]).await;
    let invite = json!({ "email": "bob@acme.test", "membership": { "roles": [{ "name": "old" }] } });
    server.do_api("POST", &format!("/organizations/{acme}/users"), invite).await;
    let count = server.do_api("GET", "/roles/old/users:count", Value::Null).await;
    assert_eq!(count["count"], "2", "whoever is invited counts too");

    let page = server.api("DELETE", "/roles/old", Value::Null).await;
    assert!(page.status == 400 && page.body.contains("other roles extend it"), "{}", page.body);
    server.do_api("DELETE", "/roles/child/base", Value::Null).await;
    let page = server.api("DELETE", "/roles/old", Value::Null).await;
    assert_eq!(
        (page.status, &page.json()["message"]),
        (400, &"role cannot be deleted as it is assigned to users".into())
    );
    for (query, status) in [("reassign_role_name=nobody", 400), ("reassign_role_name=old", 400)] {
        assert_eq!(server.api("DELETE", &format!("/roles/old?{query}"), Value::Null).await.status, status);
    }
    server.do_api("PUT", "/roles/child", json!({ "extends": "old" })).await;
    server.do_api("DELETE", "/roles/old?reassign_role_name=new", Value::Null).await;
    let user = server.do_api("GET", &format!("/users/{jane}"), Value::Null).await["user"].clone();
    assert_eq!(names(&user["memberships"][0], "roles"), ["new"]);
    assert_eq!(server.do_api("GET", "/roles/child", Value::Null).await["role"]["extends"], "new");
    assert_eq!(server.do_api("GET", "/roles/new/users:count", Value::Null).await["count"], "2");
    let id = server.do_api("GET", "/roles/child", Value::Null).await["role"]["id"].clone();
    server
        .do_api("DELETE", &format!("/roles/new?reassign_role_id={}", id.as_str().unwrap()), Value::Null)
        .await;
    let child = server.do_api("GET", "/roles/child", Value::Null).await["role"].clone();
    assert!(child.get("extends").is_none(), "it does not extend itself: {child}");
}

#[tokio::test]
async fn defaults_change_together_or_alone_and_cannot_be_deleted() {
    let server = TestServer::with("[tokens]\nuser_management = true").await;
    role(&server, json!({ "name": "owner", "display_name": "Owner" })).await;
    let both = json!({ "default_creator_role": "owner", "default_member_role": "admin" });
    let set = server.do_api("PATCH", "/roles:set_defaults", both).await;
    assert_eq!(
        (&set["default_creator"]["name"], &set["default_member"]["name"]),
        (&"owner".into(), &"admin".into())
    );
    let swapped = json!({ "default_creator_role": "admin", "default_member_role": "owner" });
    server.do_api("PATCH", "/roles/default", swapped).await;
    let one = server.do_api("PATCH", "/roles:set_defaults", json!({ "default_member_role": "member" })).await;
    assert_eq!(one["default_creator"]["name"], "admin", "what is not named stays");
    let listed = server.do_api("GET", "/roles", Value::Null).await;
    let defaults: Vec<_> = listed["roles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (&r["default_creator"], &r["default_member"]))
        .collect();
    let (yes, no) = (&Value::Bool(true), &Value::Bool(false));
    assert_eq!(defaults, [(yes, no), (no, yes), (no, no)]);
    for name in ["admin", "member"] {
        let page =
            server.api("DELETE", &format!("/roles/{name}?reassign_role_name=owner"), Value::Null).await;
        assert!(page.status == 400 && page.body.contains("default"), "{}", page.body);
    }
    let owner = role(&server, json!({ "name": "boss", "display_name": "Boss" })).await;
    let older = json!({ "default_creator": { "id": owner["id"] } });
    let set = server.do_api("PATCH", "/roles:set_defaults", older).await;
    assert_eq!(set["default_creator"]["name"], "boss");
    // Whoever signs up makes an organization, and has that role there.
    let tokens = server.person().tokens("jane@acme.test").await;
    assert!(tokens["access_token"].is_string());
    assert_eq!(server.do_api("GET", "/roles/boss/users:count", Value::Null).await["count"], "1");
}

#[tokio::test]
async fn a_field_that_is_wrong_is_named_and_nothing_changes() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    permission(&server, "read").await;
    role(&server, json!({ "name": "viewer", "display_name": "Viewer" })).await;
    role(&server, json!({ "name": "editor", "display_name": "Editor", "extends": "viewer" })).await;
    let of_acme = format!("/organizations/{acme}/roles");
    let named = |name: &str| json!({ "name": name, "display_name": "X" });
    let with = |field: &str, value: Value| {
        let mut fields = named("new");
        fields[field] = value;
        fields
    };
    let long = |n: usize| Value::from("é".repeat(n));
    let wrong: Vec<(&str, &str, Value, u16, &str)> = vec![
        ("POST", "/roles", json!({ "display_name": "X" }), 400, "role.name"),
        ("POST", "/roles", named("my-role"), 400, "role.name"),
        ("POST", "/roles", named(&"x".repeat(65)), 400, "role.name"),
        ("POST", "/roles", named("viewer"), 409, "role.name"),
        ("POST", "/roles", json!({ "name": "new" }), 400, "role.display_name"),
        ("POST", "/roles", with("display_name", long(101)), 400, "role.display_name"),
        ("POST", "/roles", with("description", long(2001)), 400, "role.description"),
        ("POST", "/roles", with("extends", "nobody".into()), 400, "role.extends"),
        ("POST", "/roles", with("extends", "new".into()), 400, "role.extends"),
        ("POST", "/roles", with("permissions", json!(["read", "unknown"])), 400, "role.permissions[1]"),
        ("POST", "/roles", with("permissions", json!(["a.b"])), 400, "role.permissions[0]"),
        ("PUT", "/roles/viewer", json!({ "extends": "editor" }), 400, "role.extends"),
        ("PUT", "/roles/viewer", json!({ "description": "" }), 400, "role.description"),
        ("PUT", "/roles/viewer", json!({ "permissions": ["unknown"] }), 400, "role.permissions[0]"),
        ("PUT", "/roles/nobody", json!({ "display_name": "X" }), 404, ""),
        ("GET", "/roles/non-existent-role", Value::Null, 400, "role_name"),
        ("GET", "/roles/viewer?include=all", Value::Null, 400, "include"),
        ("GET", "/roles/no-role/permissions", Value::Null, 404, ""),
        ("GET", "/roles/nobody/permissions:all", Value::Null, 404, ""),
        ("GET", "/roles/nobody/dependents", Value::Null, 404, ""),
        ("GET", "/roles/nobody/users:count", Value::Null, 404, ""),
        ("DELETE", "/roles/nobody/base", Value::Null, 404, ""),
        ("POST", "/roles/no-role/permissions", json!({ "permission_names": ["read"] }), 400, "role_name"),
        ("POST", "/roles/nobody/permissions", json!({ "permission_names": ["read"] }), 404, ""),
        (
            "POST",
            "/roles/viewer/permissions",
            json!({ "permission_names": ["a.b"] }),
            400,
            "permission_names[0]",
        ),
        ("POST", "/roles/viewer/permissions", json!({ "permission_names": [] }), 400, "permission_names"),
        ("DELETE", "/roles/viewer/permissions/read", Value::Null, 404, ""),
        ("PATCH", "/roles:set_defaults", json!({ "default_creator_role": "nobody" }), 404, ""),
        ("PATCH", "/roles:set_defaults", json!({}), 400, "default_creator_role"),
        ("POST", "/organizations/org_1/roles", named("new"), 404, ""),
        ("POST", &of_acme, named("viewer"), 409, "role.name"),
        ("GET", "/organizations/org_1/roles", Value::Null, 404, ""),
        ("POST", "/permissions", json!({ "description": "X" }), 400, "permission.name"),
        ("POST", "/permissions", json!({ "name": "a.b" }), 400, "permission.name"),
        ("POST", "/permissions", json!({ "name": "sk_mine" }), 400, "permission.name"),
        ("POST", "/permissions", json!({ "name": "read" }), 409, "permission.name"),
        (
            "POST",
            "/permissions",
            json!({ "name": "new", "description": long(2001) }),
            400,
            "permission.description",
        ),
        ("PUT", "/permissions/read", json!({ "name": "other" }), 400, "permission.name"),
        ("PUT", "/permissions/unknown", json!({ "name": "unknown" }), 404, ""),
        ("PUT", "/permissions/sk_org_sso_read", json!({ "name": "sk_org_sso_read" }), 400, ""),
        ("DELETE", "/permissions/sk_org_sso_read", Value::Null, 400, ""),
        ("GET", "/permissions/non.existent.permission", Value::Null, 400, "permission_name"),
        ("GET", "/permissions?page_size=101", Value::Null, 400, "page_size"),
        ("GET", "/permissions?page_token=x", Value::Null, 400, "page_token"),
    ];
    let state = async || {
        let roles = server.do_api("GET", "/roles?include=permissions:all", Value::Null).await;
        (roles, server.do_api("GET", "/permissions", Value::Null).await, event_types(&server).await)
    };
    let before = state().await;
    for (verb, path, body, status, field) in wrong {
        let refused = server.refused_api(verb, path, body.clone()).await;
        assert_eq!((refused.0, refused.2.as_str()), (status, field), "{verb} {path} {body}");
    }
    assert_eq!(state().await, before);
}

#[rstest]
#[tokio::test]
async fn parallel_changes_lose_nothing_and_of_one_name_there_is_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let creations =
        (0..100).map(|_| {
            let server = &server;
            async move {
                server.api("POST", "/roles", json!({ "name": "wanted", "display_name": "W" })).await.status
            }
        });
    let statuses = join_all(creations).await;
    let count = |status: u16| statuses.iter().filter(|found| **found == status).count();
    assert_eq!((count(201), count(409)), (1, 99));
    let created = event_types(&server).await.into_iter().filter(|t| t == "role.created").count();
    assert_eq!(created, 1);

    let gifts = (0..12).map(|number| {
        let server = &server;
        async move {
            let name = format!("p{number}");
            permission(server, &name).await;
            let names = json!({ "permission_names": [name] });
            server.do_api("POST", "/roles/wanted/permissions", names).await;
        }
    });
    join_all(gifts).await;
    let held = server.do_api("GET", "/roles/wanted/permissions", Value::Null).await;
    assert_eq!(held["permissions"].as_array().unwrap().len(), 12);

    // Of two that want to extend each other, one does.
    for name in ["one", "two"] {
        role(&server, json!({ "name": name, "display_name": name })).await;
    }
    let (one, two) = tokio::join!(
        server.api("PUT", "/roles/one", json!({ "extends": "two" })),
        server.api("PUT", "/roles/two", json!({ "extends": "one" })),
    );
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}

#[rstest]
#[tokio::test]
async fn seeded_members_have_the_roles_that_are_named_and_else_the_one_of_members(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let toml = "[[roles]]\nname = \"editor\"\n\
        [[organizations]]\ndisplay_name = \"Acme\"\nexternal_id = \"acme\"\n\
        [[organizations]]\ndisplay_name = \"Beta\"\nexternal_id = \"beta\"\n\
        [[users]]\nemail = \"sue@seeded.test\"\norganizations = [\"acme\", \"beta\"]\nroles = { acme = \"editor, admin\" }\n";
    let Some(server) = TestServer::on(engine, toml).await else { return };
    let roles_of = async |external_id: &str| {
        let path = format!("/organizations:external/{external_id}");
        let id = server.do_api("GET", &path, Value::Null).await["organization"]["id"].clone();
        let path = format!("/organizations/{}/users", id.as_str().unwrap());
        let sue = server.do_api("GET", &path, Value::Null).await["users"][0].clone();
        let memberships = sue["memberships"].as_array().unwrap();
        let membership = memberships.iter().find(|m| m["organization_id"] == id).unwrap();
        let mut roles: Vec<String> = names(membership, "roles").into_iter().map(str::to_owned).collect();
        roles.sort_unstable();
        roles
    };
    for _ in ["from the start", "after a reset"] {
        assert_eq!(roles_of("acme").await, ["admin", "editor"]);
        assert_eq!(roles_of("beta").await, ["member"]);
        server.do_control("POST", "/reset", Value::Null).await;
    }

    let user = json!({ "email": "jane@acme.test", "roles": { "acme": "admin" } });
    let page = server.control("POST", "/users", user).await;
    assert!(
        page.status == 400 && page.body.contains("Scalekit's API gives and takes roles"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn configured_roles_are_there_from_the_start_and_resets_snapshots_and_environments_know_them() {
    let toml = "[[permissions]]\nname = \"read:documents\"\ndescription = \"Reads\"\n\
        [[roles]]\nname = \"editor\"\ndisplay_name = \"Editor\"\nextends = \"member\"\npermissions = [\"read:documents\"]\n\
        default_member = true\n[[roles]]\nname = \"admin\"\ndescription = \"May do all\"\nextends = \"editor\"\n\
        [[organizations]]\ndisplay_name = \"Seeded\"\nexternal_id = \"seeded\"\n\
        [[users]]\nemail = \"sue@seeded.test\"\norganizations = [\"seeded\"]\n";
    let server = TestServer::with(toml).await;
    let seeded = server.do_api("GET", "/roles?include=permissions", Value::Null).await;
    assert_eq!(names(&seeded, "roles"), ["admin", "member", "editor"]);
    let [admin, member, editor] = [0, 1, 2].map(|at| seeded["roles"][at].clone());
    assert_eq!((&admin["description"], &admin["extends"]), (&"May do all".into(), &"editor".into()));
    assert_eq!((&admin["default_creator"], &member["default_member"]), (&true.into(), &false.into()));
    assert_eq!(
        (&editor["default_member"], names(&editor, "permissions")),
        (&true.into(), vec!["read:documents"])
    );
    let sue = server.do_api("GET", "/users:search?query=sue@", Value::Null).await["users"][0].clone();
    assert_eq!(names(&sue["memberships"][0], "roles"), ["editor"], "the default of the configuration");
    assert_eq!(sue["memberships"][0]["permissions"], json!(["read:documents"]));
    let acme = organization(&server, "Acme").await;
    let jane = self::member(&server, &acme, "jane@acme.test", &[]).await;
    let path = format!("/organizations/{acme}/users/{jane}/permissions");
    assert_eq!(names(&server.do_api("GET", &path, Value::Null).await, "permissions"), ["read:documents"]);

    let of_acme = format!("/organizations/{acme}/roles");
    let fields = json!({ "name": "buyer", "display_name": "Buyer", "extends": "editor" });
    server.do_api("POST", &of_acme, fields).await;
    let path = format!("/organizations/{acme}/roles:set_defaults");
    server.do_api("PATCH", &path, json!({ "default_member_role": "buyer" })).await;
    server.do_api("DELETE", "/roles/admin/base", Value::Null).await;
    permission(&server, "passing").await;
    let changed = server.do_api("GET", &format!("{of_acme}?include=permissions:all"), Value::Null).await;
    let snapshot = server.do_control("GET", "/snapshot", Value::Null).await;
    // Later versions read these words too.
    let fields = |section: &str, at: usize| {
        let object = snapshot[section][at].as_object().unwrap();
        object.keys().map(String::as_str).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(fields("organization_default_roles", 0), "organization_id role_id");
    assert_eq!(fields("role_bases", 0), "base_role_id role_id");
    assert_eq!(fields("role_permissions", 0), "permission_id role_id");
    assert_eq!(fields("permissions", 0), "created_at description id name updated_at");
    let admin = "created_at default_creator description display_name id name updated_at";
    assert_eq!(fields("roles", 0), admin);
    server.do_control("POST", "/reset", json!({})).await;
    assert_eq!(server.do_api("GET", "/roles?include=permissions", Value::Null).await, seeded);
    assert_eq!(server.do_api("GET", "/permissions?type=ENVIRONMENT", Value::Null).await["total_size"], 1);
    assert_eq!(server.do_api("GET", "/users:search?query=sue@", Value::Null).await["users"][0], sue);
    assert_eq!(server.do_control("PUT", "/snapshot", snapshot).await, json!({ "ignored": [] }));
    let restored = server.do_api("GET", &format!("{of_acme}?include=permissions:all"), Value::Null).await;
    assert_eq!(restored, changed);
    assert_eq!(server.do_api("GET", "/permissions?type=ENVIRONMENT", Value::Null).await["total_size"], 2);

    let made = json!({
        "name": "other", "seed": { "roles": [{ "name": "guest", "default_member": true }] },
    });
    server.do_control("POST", "/environments", made).await;
    let url = format!("{}/e/other/_emulator/v1/api/roles", server.url);
    let page = server.http().get(url).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(names(&page, "roles"), ["admin", "member", "guest"]);
    assert_eq!(page["roles"][2]["default_member"], true);
    let wrong = json!({ "roles": [{ "name": "a", "extends": "a" }] });
    let page = server.control("POST", "/seed", wrong).await;
    assert!(page.status == 400 && page.body.contains("roles[0].extends"), "{}", page.body);
}
