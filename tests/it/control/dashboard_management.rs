//! The dashboard's pages of what the management API keeps: users, organizations, roles, sessions, machine clients, tokens.

use rstest::rstest;
use serde_json::{Value, json};

use super::dashboard::beside;
use crate::support::person::{Page, claims};
use crate::support::{Engine, TestServer};

/// The path that a form led to.
fn led_to(server: &TestServer, page: &Page) -> String {
    let location = page.location.as_ref().unwrap_or_else(|| panic!("{} {}", page.status, page.body));
    location.replace(&server.url, "").split('?').next().unwrap().to_owned()
}

/// Sends a form that is taken; gives the path of the page that it leads to.
async fn submit(server: &TestServer, path: &str, form: &[(&str, &str)]) -> String {
    let page = server.post(path, form).await;
    assert_eq!(page.status, 303, "{path}: {}", page.body);
    led_to(server, &page)
}

/// The value that a page shows under a name.
fn fact(page: &Page, name: &str) -> String {
    let document = scraper::Html::parse_document(&page.body);
    let selector = scraper::Selector::parse("dl.details dt, dl.details dd").unwrap();
    let mut parts = document.select(&selector).map(|e| (e.value().name().to_owned(), e));
    parts
        .find(|(tag, e)| tag == "dt" && e.text().collect::<String>() == name)
        .unwrap_or_else(|| panic!("no {name}"));
    let (_, value) = parts.next().unwrap();
    let code = scraper::Selector::parse("code").unwrap();
    value.select(&code).next().unwrap_or(value).text().collect::<String>().trim().to_owned()
}

/// The texts of the tables' rows, without what is folded away.
fn rows(page: &Page) -> Vec<String> {
    let document = scraper::Html::parse_document(&page.body);
    let [row, cell, folded] = ["tbody tr", "td", "details.fold, details.fold *"]
        .map(|selector| scraper::Selector::parse(selector).unwrap());
    let text_of = |cell: scraper::ElementRef<'_>| {
        let texts = cell.descendants().filter_map(|node| {
            let parent = scraper::ElementRef::wrap(node.parent()?)?;
            node.value().as_text().filter(|_| !folded.matches(&parent)).map(|text| text.to_string())
        });
        texts.collect::<String>()
    };
    let text = |row: scraper::ElementRef<'_>| {
        let cells: Vec<String> = row.select(&cell).map(text_of).collect();
        cells.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
    };
    document.select(&row).map(text).collect()
}

async fn organization(server: &TestServer, name: &str) -> String {
    submit(server, "/dashboard/organizations", &[("display_name", name)]).await
}

async fn api(server: &TestServer, path: &str) -> Value {
    server.do_api("GET", path, Value::Null).await
}

#[tokio::test]
async fn an_organization_is_made_changed_and_deleted_by_forms() {
    let server = TestServer::start().await;
    let form = [("display_name", "Acme"), ("slug", "acme"), ("external_id", "a1"), ("region_code", "EU")];
    let path = submit(&server, "/dashboard/organizations", &form).await;
    let id = path.rsplit('/').next().unwrap().to_owned();
    let shown = api(&server, &format!("/organizations/{id}")).await["organization"].clone();
    assert_eq!((&shown["slug"], &shown["region_code"]), (&json!("acme"), &json!("EU")));

    for (field, form) in [
        ("slug", [("display_name", "Acme 2"), ("slug", "acme"), ("external_id", "a2")]),
        ("external_id", [("display_name", "Acme 2"), ("slug", "acme-2"), ("external_id", "a1")]),
    ] {
        let taken = server.post("/dashboard/organizations", &form).await;
        assert_eq!(taken.status, 400);
        let text = beside(&taken, &format!("organization-{field}-error"));
        assert!(text.contains("already exists"), "{field}: {text}");
        assert!(taken.body.contains("value=\"Acme 2\""), "what was typed is still there");
    }

    let change = [("display_name", "Acme Inc"), ("slug", ""), ("metadata", "{\"plan\":\"pro\"}")];
    submit(&server, &path, &change).await;
    let shown = api(&server, &format!("/organizations/{id}")).await["organization"].clone();
    assert_eq!(shown["metadata"], json!({ "plan": "pro" }));
    assert_eq!((&shown["slug"], &shown["external_id"]), (&Value::Null, &Value::Null), "emptied");
    submit(&server, &path, &[("display_name", "Acme Inc"), ("metadata", "")]).await;
    let shown = api(&server, &format!("/organizations/{id}")).await["organization"].clone();
    assert_eq!(shown["metadata"], json!({}));

    let policy = format!("{path}/session-policy");
    let form =
        [("policy_source", "CUSTOM"), ("absolute_session_timeout", "480"), ("idle_session_timeout", "60")];
    submit(&server, &policy, &form).await;
    let kept = api(&server, &format!("/organizations/{id}/session-policy")).await["policy"].clone();
    assert_eq!((&kept["absolute_session_timeout"], &kept["idle_session_timeout"]), (&json!(480), &json!(60)));
    let wrong =
        [("policy_source", "CUSTOM"), ("absolute_session_timeout", "60"), ("idle_session_timeout", "60")];
    let refused = server.post(&policy, &wrong).await;
    let text = beside(&refused, "session_policy-idle_session_timeout-error");
    assert!(text.contains("not shorter than"), "{text}");
    submit(&server, &policy, &[("policy_source", "APPLICATION")]).await;
    assert!(server.get(&path).await.body.contains("value=\"APPLICATION\" selected"));

    submit(&server, &format!("{path}/settings"), &[("max_allowed_users", "1"), ("sso", "on")]).await;
    let emptied = server.post(&format!("{path}/settings"), &[("max_allowed_users", "")]).await;
    assert!(beside(&emptied, "settings-max_allowed_users-error").contains("not emptied"), "{}", emptied.body);
    let members = format!("{path}/members");
    submit(&server, &members, &[("email", "one@acme.test")]).await;
    let full = server.post(&members, &[("email", "two@acme.test")]).await;
    assert_eq!(full.status, 400);
    assert!(full.alert().contains("user limit reached"), "{}", full.body);
    assert!(full.body.contains("value=\"two@acme.test\""), "what was typed is still there");

    submit(&server, &format!("{path}/delete"), &[]).await;
    assert_eq!(server.get(&path).await.status, 404);
    assert!(
        server.get("/dashboard/users?q=one@acme").await.body.contains("one@acme.test"),
        "members are kept"
    );
}

#[tokio::test]
async fn a_member_is_invited_invited_again_given_roles_and_withdrawn() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let form = [
        ("email", "jane@acme.test"),
        ("given_name", "Jane"),
        ("invitation", "on"),
        ("inviter_email", "boss@acme.test"),
        ("roles", "admin"),
    ];
    let path = submit(&server, &format!("{acme}/members"), &form).await;
    assert_eq!(server.mails_to("jane@acme.test").await.len(), 1);
    let page = server.get(&path).await;
    assert_eq!(
        (fact(&page, "Status"), fact(&page, "Invited by")),
        ("invited".into(), "boss@acme.test".into())
    );
    assert!(!page.body.contains("Resent"), "{}", page.body);
    assert_eq!(rows(&page), ["Admin admin Take away"]);

    server.advance_s(16 * 24 * 3600);
    assert_eq!(fact(&server.get(&path).await, "Status"), "invitation expired");
    let again = server.post(&format!("{path}/resend"), &[]).await;
    assert!(again.location.as_ref().unwrap().ends_with("?done=resent"), "{:?}", again.location);
    assert_eq!(server.mails_to("jane@acme.test").await.len(), 2);
    let page = server.get(&path).await;
    assert_eq!(fact(&page, "Status"), "invited");
    assert!(fact(&page, "Resent").starts_with("1, "), "{}", page.body);

    submit(&server, &format!("{path}/roles"), &[("role_name", "member")]).await;
    submit(&server, &format!("{path}/roles/admin/remove"), &[]).await;
    let page = server.get(&path).await;
    assert_eq!(rows(&page), ["Member member Take away"]);
    let members = server.get(&format!("{acme}/members?q=jane")).await;
    assert!(rows(&members)[0].starts_with("jane@acme.test Jane invited member"), "{:?}", rows(&members));

    // The only organization of the user: both are gone.
    assert!(page.body.contains("Withdraw the invitation"), "{}", page.body);
    submit(&server, &format!("{path}/remove"), &[("cascade", "on")]).await;
    assert!(rows(&server.get("/dashboard/users").await).is_empty());
    // Once it was accepted, nobody resends it.
    let path = submit(&server, &format!("{acme}/members"), &form).await;
    let link = server.link_for("jane@acme.test").await;
    server.person().send(&link, &[]).await;
    let page = server.get(&path).await;
    assert_eq!(fact(&page, "Status"), "active");
    assert!(!fact(&page, "Accepted").is_empty() && !page.body.contains("Resend"), "{}", page.body);
    let refused = server.post(&format!("{path}/resend"), &[]).await;
    assert!(refused.status == 400 && refused.alert().contains("accepted already"), "{}", refused.alert());
}

#[tokio::test]
async fn a_user_is_added_to_an_organization_and_leaves_it_by_forms() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let id = acme.rsplit('/').next().unwrap();
    let user = submit(&server, "/dashboard/users", &[("email", "jane@acme.test")]).await;
    let join = format!("{user}/memberships");
    let unknown = server.post(&join, &[("organization_id", "nowhere")]).await;
    assert!(beside(&unknown, "membership-organization_id-error").contains("neither ID nor external ID"));
    let wrong = server.post(&join, &[("organization_id", id), ("roles", "admin\r\nboss")]).await;
    let text = beside(&wrong, "membership-roles-error");
    assert!(text.contains("line 2") && text.contains("boss"), "{text}");
    assert!(wrong.body.contains(&format!("value=\"{id}\"")), "what was typed is still there");

    let member = submit(&server, &join, &[("organization_id", id), ("roles", "admin")]).await;
    assert_eq!(fact(&server.get(&member).await, "Status"), "active");
    assert!(server.mails_to("jane@acme.test").await.is_empty(), "nobody asked for an invitation");
    let twice = server.post(&join, &[("organization_id", id)]).await;
    let text = beside(&twice, "membership-organization_id-error");
    assert!(text.contains("belongs to the organization"), "{text}");
    assert!(rows(&server.get(&user).await)[0].starts_with("Acme active admin"));

    // A change of the user leaves memberships, and what the form does not show.
    submit(&server, &format!("{member}/metadata"), &[("metadata", "{\"team\":\"red\"}")]).await;
    submit(&server, &user, &[("email", "jane.doe@acme.test"), ("picture", "https://a.test/j.png")]).await;
    let user_id = user.rsplit('/').next().unwrap();
    let shown = api(&server, &format!("/users/{user_id}")).await["user"].clone();
    assert_eq!(
        (&shown["email"], &shown["memberships"][0]["roles"][0]["name"]),
        (&json!("jane.doe@acme.test"), &json!("admin"))
    );
    assert_eq!(shown["memberships"][0]["metadata"], json!({ "team": "red" }));
    assert_eq!(shown["user_profile"]["picture"], "https://a.test/j.png");
    let emptied = server.post(&format!("{member}/metadata"), &[("metadata", "{}")]).await;
    assert!(beside(&emptied, "metadata-metadata-error").contains("not emptied"), "{}", emptied.body);

    submit(&server, &format!("{member}/remove"), &[]).await;
    assert_eq!(server.get(&member).await.status, 404);
    assert!(server.get(&user).await.body.contains("No memberships"));
}

#[tokio::test]
async fn roles_and_permissions_are_made_given_and_deleted_by_forms() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let permission =
        submit(&server, "/dashboard/permissions", &[("name", "read:documents"), ("description", "Read")])
            .await;
    assert!(permission.ends_with("/permissions/read%3Adocuments"), "{permission}");
    submit(&server, &permission, &[("description", "Read all documents")]).await;
    assert!(server.get("/dashboard/permissions?q=documents").await.body.contains("Read all documents"));
    let reserved = server.get("/dashboard/permissions/sk_org_sso_read").await;
    assert!(reserved.body.contains("Nobody changes or deletes it") && !reserved.body.contains("Save"));

    let form = [
        ("name", "editor"),
        ("display_name", "Editor"),
        ("extends", "member"),
        ("permissions", "read:documents"),
    ];
    let role = submit(&server, "/dashboard/roles", &form).await;
    let taken = server.post("/dashboard/roles", &form).await;
    assert!(beside(&taken, "role-name-error").contains("already exists"), "{}", taken.body);
    let effective = rows(&server.get(&role).await);
    assert!(effective.contains(&"read:documents Read all documents".to_owned()), "{effective:?}");
    assert!(effective.iter().any(|row| row.ends_with(" member")), "what it extends: {effective:?}");
    // Everything can be taken from it again.
    submit(&server, &role, &[("display_name", "Editor"), ("extends", ""), ("permissions", "")]).await;
    assert!(server.get(&role).await.body.contains("may do nothing yet"));
    submit(&server, "/dashboard/default-roles", &[("creator", "editor"), ("member", "editor")]).await;
    let kept = server.post(&format!("{role}/delete"), &[]).await;
    assert!(kept.status == 400 && kept.alert().contains("default of the environment"), "{}", kept.alert());
    submit(&server, "/dashboard/default-roles", &[("creator", "admin"), ("member", "member")]).await;

    // An organization has roles of its own beside those of the environment.
    let form = [("name", "auditor"), ("display_name", "Auditor"), ("permissions", "read:documents")];
    let own = submit(&server, &format!("{acme}/roles"), &form).await;
    assert!(own.starts_with(&acme), "{own}");
    let listed = rows(&server.get(&format!("{acme}/roles")).await);
    assert!(listed.iter().any(|row| row.starts_with("auditor Auditor organization")), "{listed:?}");
    assert!(listed.iter().any(|row| row.starts_with("editor Editor environment")), "{listed:?}");
    assert_eq!(server.get(&format!("{acme}/roles/editor")).await.status, 404, "it is the environment's");
    submit(&server, &format!("{acme}/default-roles"), &[("member", "auditor")]).await;
    let member = submit(&server, &format!("{acme}/members"), &[("email", "jane@acme.test")]).await;
    assert!(server.get(&member).await.body.contains("read:documents"), "by the default role");
    assert_eq!(fact(&server.get(&own).await, "Users"), "1");

    let held = server.post(&format!("{own}/delete"), &[]).await;
    assert!(held.alert().contains("assigned to users"), "{}", held.alert());
    submit(&server, &format!("{own}/delete"), &[("reassign_role_name", "editor")]).await;
    assert_eq!(rows(&server.get(&member).await)[0], "Editor editor Take away");
    submit(&server, &format!("{permission}/delete"), &[]).await;
    assert_eq!(server.get(&permission).await.status, 404);
}

#[tokio::test]
async fn domains_are_added_and_deleted_by_forms() {
    let server = TestServer::start().await;
    let (acme, other) = (organization(&server, "Acme").await, organization(&server, "Other").await);
    let form = [("domain", "Acme.com"), ("domain_type", "ORGANIZATION_DOMAIN")];
    submit(&server, &format!("{acme}/domains"), &form).await;
    let page = server.get(&format!("{acme}/domains")).await;
    assert!(rows(&page)[0].starts_with("acme.com Organization domain dom_"), "{:?}", rows(&page));
    for (domain, reason) in
        [("acme.com", "already exists"), ("nonsense", "no domain name"), ("gmail.com", "public")]
    {
        let refused = server.post(&format!("{other}/domains"), &[("domain", domain), form[1]]).await;
        let text = beside(&refused, "domain-domain-error");
        assert!(text.contains(reason), "{domain}: {text}");
    }
    let id = rows(&page)[0].split(' ').find(|word| word.starts_with("dom_")).unwrap().to_owned();
    submit(&server, &format!("{acme}/domains/{id}/delete"), &[]).await;
    assert!(server.get(&format!("{acme}/domains")).await.body.contains("No domains yet"));
}

#[tokio::test]
async fn the_secret_of_a_machine_client_is_shown_once_and_works() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let form = [
        ("name", "Robot"),
        ("scopes", "read\r\nwrite"),
        ("audience", "my-api"),
        ("custom_claims", "{\"tier\":\"gold\"}"),
    ];
    let made = server.post(&format!("{acme}/clients"), &form).await;
    let (id, secret) = (fact(&made, "Client ID"), fact(&made, "Client secret"));
    let ask = async |secret: &str| {
        let form = [("grant_type", "client_credentials"), ("client_id", &id), ("client_secret", secret)];
        server.post("/oauth/token", &form).await
    };
    let token = ask(&secret).await.json();
    let found = claims(&token["access_token"]);
    assert_eq!(
        (&found["aud"], &found["custom_claims"]["tier"]),
        (&json!(["my-api"]), &json!("gold")),
        "{found}"
    );

    let path = format!("{acme}/clients/{id}");
    let page = server.get(&path).await;
    assert_eq!((page.status, page.body.contains(&secret)), (200, false));
    assert!(!server.get(&format!("{acme}/clients")).await.body.contains(&secret));
    let bad = [form[0], ("scopes", "read\r\na b\r\n"), form[2], form[3]];
    let bad = server.post(&path, &bad).await;
    assert!(beside(&bad, "client-scopes-error").contains("line 2"), "{}", bad.body);
    let emptied = server.post(&path, &[("name", ""), form[1], form[2], form[3]]).await;
    assert!(beside(&emptied, "client-name-error").contains("not emptied"), "{}", emptied.body);

    // Two secrets at most, and one at least.
    let second = server.post(&format!("{path}/secrets"), &[]).await;
    let new_secret = fact(&second, "Client secret");
    assert_eq!((ask(&secret).await.status, ask(&new_secret).await.status), (200, 200));
    let third = server.post(&format!("{path}/secrets"), &[]).await;
    assert!(third.status == 400 && third.alert().contains("at most 2 secrets"), "{}", third.alert());
    let secret_ids: Vec<String> = rows(&server.get(&path).await)
        .iter()
        .map(|row| row.split(' ').find(|word| word.starts_with("sks_")).unwrap().to_owned())
        .collect();
    submit(&server, &format!("{path}/secrets/{}/delete", secret_ids[0]), &[]).await;
    assert_eq!((ask(&secret).await.status, ask(&new_secret).await.status), (401, 200));
    let last = server.post(&format!("{path}/secrets/{}/delete", secret_ids[1]), &[]).await;
    assert!(last.alert().contains("cannot be deleted"), "{}", last.alert());
    submit(&server, &format!("{path}/delete"), &[]).await;
    assert_eq!((server.get(&path).await.status, ask(&new_secret).await.status), (404, 401));
}

#[tokio::test]
async fn api_tokens_are_made_shown_once_and_invalidated_by_forms() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let tokens = format!("{acme}/tokens");
    for (field, value, said) in [
        ("expiry", "tomorrow", "RFC 3339"),
        ("expiry", "2001-01-01T00:00:00Z", "has passed"),
        ("custom_claims", "[]", "JSON object"),
        ("description", &"x".repeat(256), "at most 255"),
    ] {
        let refused = server.post(&tokens, &[(field, value)]).await;
        let text = beside(&refused, &format!("token-{field}-error"));
        assert!(refused.status == 400 && text.contains(said), "{field} = {value}: {text}");
    }
    let stranger = server.post(&tokens, &[("user_id", "usr_1")]).await;
    assert!(stranger.alert().contains("no active member"), "{}", stranger.alert());
    let made = server.post(&tokens, &[("description", "For CI")]).await;
    let value = fact(&made, "Token");
    let validate = async || server.api("POST", "/tokens:validate", json!({ "token": value })).await.status;
    assert_eq!(validate().await, 200);
    let listed = server.get(&tokens).await;
    assert!(rows(&listed)[0].contains("The organization For CI") && !listed.body.contains(&value));
    let id = rows(&listed)[0].split(' ').next().unwrap().to_owned();
    submit(&server, &format!("{tokens}/{id}/invalidate"), &[]).await;
    assert_eq!(validate().await, 404);
    assert!(rows(&server.get(&tokens).await).is_empty());
}

#[rstest]
#[tokio::test]
async fn sessions_show_their_device_and_end_by_a_button(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let toml = "[tokens]\nuser_management = true\n[limits]\nmails_per_address = 0\n";
    let Some(server) = TestServer::on(engine, toml).await else { return };
    let mut person = server.person();
    person.browser = reqwest::Client::builder()
        .cookie_store(true)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36")
        .build()
        .unwrap();
    let jane = claims(&person.tokens("jane@acme.test").await["access_token"]);
    let (session_id, organization_id) = (jane["sid"].as_str().unwrap(), jane["oid"].as_str().unwrap());
    let listed = rows(&server.get("/dashboard/sessions?q=jane").await);
    let organization =
        server.do_control("GET", &format!("/api/organizations/{organization_id}"), Value::Null).await;
    let organization = organization["organization"]["display_name"].as_str().unwrap();
    let expected = format!("jane@acme.test active Chrome 126 on Linux 127.0.0.1 {organization} ");
    assert!(listed[0].starts_with(&expected) && listed[0].contains("Revoke"), "{listed:?}");
    assert!(rows(&server.get("/dashboard/sessions?q=nobody").await).is_empty());
    let path = format!("/dashboard/sessions/{session_id}");
    let page = server.get(&path).await;
    assert_eq!((fact(&page, "Status"), fact(&page, "Address")), ("active".into(), "127.0.0.1".into()));
    assert_eq!(fact(&page, "Organization"), organization_id);
    assert!(!fact(&page, "Applications").is_empty(), "{}", page.body);

    submit(&server, &format!("{path}/end"), &[]).await;
    assert!(
        person.authorize(&[("prompt", "none")]).await.answer("error").is_some(),
        "it asks for a code again"
    );
    let listed = rows(&server.get("/dashboard/sessions").await);
    assert!(listed[0].starts_with("jane@acme.test revoked ") && !listed[0].contains("Revoke "), "{listed:?}");
    assert!(!server.get(&path).await.body.contains("/end\""), "nothing is left to revoke");

    // All sessions of a user at once.
    let (one, two) = (server.person(), server.person());
    one.tokens("jane@acme.test").await;
    two.tokens("jane@acme.test").await;
    let user = format!("/dashboard/users/{}", jane["sub"].as_str().unwrap());
    submit(&server, &format!("{user}/end-sessions"), &[]).await;
    let listed = rows(&server.get("/dashboard/sessions?q=jane").await);
    assert!(listed.len() == 3 && listed.iter().all(|row| row.contains(" revoked ")), "{listed:?}");
}

#[tokio::test]
async fn lists_of_an_organization_show_a_page_at_a_time() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let id = acme.rsplit('/').next().unwrap();
    for n in 0..51 {
        let member = json!({ "email": format!("jane{n:02}@acme.test") });
        let path = format!("/organizations/{id}/users?send_invitation_email=false");
        server.do_api("POST", &path, member).await;
        let client = json!({ "name": format!("Robot {n:02}") });
        server.do_api("POST", &format!("/organizations/{id}/clients"), client).await;
        let token = json!({ "organization_id": id, "description": format!("token {n:02}") });
        server.do_api("POST", "/tokens", token).await;
        let domain = json!({ "domain": format!("acme{n:02}.com") });
        server.do_api("POST", &format!("/organizations/{id}/domains"), domain).await;
    }
    for list in ["members", "clients", "tokens", "domains"] {
        let first = server.get(&format!("{acme}/{list}")).await;
        let next = first.body.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap();
        let next = next.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
        let second = server.get(&next).await;
        assert_eq!((rows(&first).len(), rows(&second).len()), (50, 1), "{list}: {}", second.body);
        assert!(!second.body.contains("rel=\"next\""), "{list}");
    }
    let found = rows(&server.get(&format!("{acme}/members?q=jane07")).await);
    assert_eq!(found.len(), 1, "{found:?}");
    let nothing = server.get(&format!("{acme}/members?q=nowhere")).await;
    assert!(nothing.body.contains("No results") && rows(&nothing).is_empty());
    assert_eq!(server.get(&format!("{acme}/members?page=nonsense")).await.status, 400);
}

#[tokio::test]
async fn a_mistake_stands_beside_its_field_and_nothing_is_changed() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let long = "x".repeat(300);
    let long = long.as_str();
    for (form, path, field, value, said) in [
        ("user", "/dashboard/users", "given_name", long, "at most 255"),
        ("organization", "/dashboard/organizations", "display_name", "", "is required"),
        ("organization", "/dashboard/organizations", "display_name", long, "at most 200"),
        ("organization", acme.as_str(), "slug", "Not A Slug", "host name"),
        ("organization", &acme, "logo_url", "http://acme.test/logo.png", "https"),
        ("organization", &acme, "metadata", "{\"a\":1}", "JSON object of texts"),
        ("organization", &acme, "metadata", "{\"a\":\"b\"}", "3 to 25 characters"),
        ("member", &format!("{acme}/members"), "email", "nonsense", "not valid"),
        ("member", &format!("{acme}/members"), "given_name", long, "at most 255"),
        ("member", &format!("{acme}/members"), "inviter_email", "boss", "not a valid email address"),
        ("role", "/dashboard/roles", "name", "a-b", "letters, digits and underscores"),
        ("role", "/dashboard/roles", "display_name", "", "1 to 100 characters"),
        ("role", "/dashboard/roles", "permissions", "read:nothing", "permission not found"),
        ("role", "/dashboard/roles", "extends", "nobody", "role not found"),
        ("permission", "/dashboard/permissions", "name", "sk_own", "must not begin with sk_"),
        ("client", &format!("{acme}/clients"), "expiry", "soon", "whole number"),
        ("client", &format!("{acme}/clients"), "custom_claims", "tier=gold", "JSON object of texts"),
    ] {
        let mut input = vec![("display_name", "Acme"), ("name", "shop"), ("email", "jane@acme.test")];
        input.retain(|(name, _)| *name != field);
        input.push((field, value));
        let page = server.post(path, &input).await;
        assert_eq!(page.status, 400, "{field} = {value:?}: {}", page.body);
        let text = beside(&page, &format!("{form}-{field}-error"));
        assert!(text.contains(said), "{field} = {value:?}: {text}");
        assert!(!text.starts_with(field) && !text.contains("is invalid"), "its name is beside it: {text}");
    }
    assert!(rows(&server.get(&format!("{acme}/members")).await).is_empty());
    assert!(rows(&server.get(&format!("{acme}/clients")).await).is_empty());
    assert_eq!(rows(&server.get("/dashboard/organizations").await).len(), 1);
    assert!(rows(&server.get("/dashboard/users").await).is_empty());
}

#[tokio::test]
async fn what_is_not_there_is_a_page_that_says_so() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    for path in [
        "/dashboard/organizations/org_1",
        "/dashboard/organizations/org_1/members",
        "/dashboard/organizations/org_1/roles",
        "/dashboard/organizations/org_1/domains",
        "/dashboard/organizations/org_1/clients",
        "/dashboard/organizations/org_1/tokens",
        &format!("{acme}/members/usr_1"),
        &format!("{acme}/roles/nobody"),
        &format!("{acme}/clients/m2morg_1"),
        "/dashboard/roles/nobody",
        "/dashboard/permissions/nothing",
        "/dashboard/users/usr_1",
        "/dashboard/sessions/ses_1",
    ] {
        let page = server.get(path).await;
        assert_eq!((page.status, page.heading().as_str()), (404, "Not found"), "{path}");
    }
}

#[tokio::test]
async fn forms_of_other_sites_change_nothing_and_hostile_names_are_escaped() {
    let server = TestServer::start().await;
    let acme = organization(&server, "<script>alert(1)</script>").await;
    let form = [("email", "jane@acme.test"), ("given_name", "<script>alert(1)</script>")];
    let member = submit(&server, &format!("{acme}/members"), &form).await;
    let form = [
        ("name", "r1"),
        ("display_name", "<script>alert(1)</script>"),
        ("description", "<script>alert(1)</script>"),
    ];
    let role = submit(&server, &format!("{acme}/roles"), &form).await;
    server.post(&format!("{acme}/clients"), &[("name", "<script>alert(1)</script>")]).await;
    for last in ["", "/members", "/roles", "/domains", "/clients", "/tokens"] {
        let path = format!("{acme}{last}");
        let shown = server.get(&path).await;
        assert!(!shown.body.contains("<script>alert"), "{path}");
        assert!(shown.header("content-security-policy").contains("script-src 'self'"), "{path}");
        let request =
            server.http().post(format!("{}{path}", server.url)).header("origin", "https://evil.example.com");
        assert_eq!(request.form(&[("display_name", "Stolen")]).send().await.unwrap().status(), 403, "{path}");
    }
    for path in [&member, &role] {
        assert!(!server.get(path).await.body.contains("<script>alert"), "{path}");
    }
    for path in [format!("{member}/remove"), format!("{role}/delete"), format!("{acme}/delete")] {
        let request =
            server.http().post(format!("{}{path}", server.url)).header("origin", "https://evil.example.com");
        assert_eq!(request.send().await.unwrap().status(), 403, "{path}");
    }
    assert_eq!(server.get(&member).await.status, 200);
}
