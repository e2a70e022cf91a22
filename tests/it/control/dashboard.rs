//! The dashboard: forms without a script, mistakes beside their fields, and a sign-in where a token is demanded.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::Page;
use crate::support::{Engine, TestServer};

/// The text of the element with this id.
pub(super) fn beside(page: &Page, id: &str) -> String {
    let document = scraper::Html::parse_document(&page.body);
    let selector = scraper::Selector::parse(&format!("[id='{id}']")).unwrap();
    document.select(&selector).map(|e| e.text().collect::<String>()).collect()
}

#[tokio::test]
async fn every_page_answers_and_the_first_shows_the_credentials() {
    let server = TestServer::start().await;
    let home = server.get("/dashboard").await;
    assert!(
        home.body.contains(crate::support::CLIENT_ID) && home.body.contains(crate::support::CLIENT_SECRET)
    );
    assert!(home.body.contains(&server.url), "the snippets carry this server's values");
    for page in [
        "methods",
        "settings",
        "applications",
        "users",
        "organizations",
        "roles",
        "permissions",
        "sessions",
        "flows",
        "requests",
        "tokens",
        "try",
        "token-template",
        "webhooks",
        "interceptors",
        "clock",
        "faults",
        "environments",
        "state",
    ] {
        let shown = server.get(&format!("/dashboard/{page}")).await;
        assert_eq!(shown.status, 200, "{page}");
        assert!(shown.body.contains("aria-current=\"page\""), "{page}");
    }
    assert_eq!(server.get("/").await.location.unwrap(), format!("{}/dashboard", server.url));
}

/// The texts or attributes of what a selector finds.
fn all(page: &Page, selector: &str, attribute: &str) -> Vec<String> {
    let document = scraper::Html::parse_document(&page.body);
    let selector = scraper::Selector::parse(selector).unwrap();
    let found = document.select(&selector).map(|element| match attribute {
        "" => element.text().collect::<String>().trim().to_owned(),
        name => element.attr(name).unwrap_or_default().to_owned(),
    });
    found.collect()
}

#[tokio::test]
async fn every_page_of_the_navigation_has_one_heading_one_main_button_and_little_weight() {
    let server = TestServer::start().await;
    for n in 0..60 {
        server.do_control("POST", "/users", json!({ "email": format!("jane{n}@example.com") })).await;
    }
    let mut pages = all(&server.get("/dashboard").await, "#navigation > ul a", "href");
    assert!(pages.len() >= 19, "{pages:?}");
    let new = ["users/new", "organizations/new", "new-role", "new-permission", "applications/new"];
    let new = new.into_iter().chain(["webhooks/new", "interceptors/new", "faults/new", "environments/new"]);
    pages.extend(new.map(|page| format!("/dashboard/{page}")));
    for path in pages {
        let page = server.get(&path).await;
        assert_eq!(page.status, 200, "{path}");
        assert_eq!(all(&page, "h1", "").len(), 1, "{path}");
        assert!(all(&page, "main .act", "").len() <= 1, "{path}");
        assert_eq!(all(&page, "#navigation [aria-current=page]", "").len(), 1, "{path}");
        assert!(page.body.len() < 100_000, "{path}: {} bytes", page.body.len());
        assert!(!page.body.contains(" style=\"") && !page.body.contains("<script>"), "{path}");
    }
}

#[rstest]
#[tokio::test]
async fn what_is_unusual_is_said_on_every_page_and_undone_where_it_is_said(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    assert!(all(&server.get("/dashboard/users").await, ".status li", "").is_empty());
    server.do_control("PUT", "/clock", json!({ "advance_s": 7200 })).await;
    let fault = json!({ "match": { "path": "/nowhere" }, "effect": { "kind": "connection_reset" } });
    server.do_control("POST", "/faults", fault).await;
    for path in ["/dashboard", "/dashboard/users", "/_emulator/inbox"] {
        let page = server.get(path).await;
        assert_eq!(all(&page, ".status li > a", ""), ["Clock 2 h ahead", "1 fault active"], "{path}");
    }
    let back = server.post("/dashboard/usual", &[("what", "clock"), ("at", "/dashboard/users")]).await;
    assert_eq!(back.location, Some(format!("{}/dashboard/users?done=real_time", server.url)));
    assert_eq!(all(&server.get("/dashboard").await, ".status li > a", ""), ["1 fault active"]);
    server.do_control("PUT", "/clock", json!({ "frozen": true })).await;
    assert!(all(&server.get("/dashboard").await, ".status li > a", "")[0].starts_with("Clock frozen"));
    server.post("/dashboard/usual", &[("what", "clock"), ("at", "")]).await;
    let back = server.post("/dashboard/usual", &[("what", "faults"), ("at", "//example.com")]).await;
    assert_eq!(back.location, Some(format!("{}/dashboard?done=faults_deleted", server.url)));
    assert!(all(&server.get("/dashboard").await, ".status li", "").is_empty());
    server.person().start("jane@example.com").await;
    assert_eq!(all(&server.get("/dashboard").await, ".status li > a", ""), ["1 unread email"]);
    let back = server.post("/dashboard/usual", &[("what", "emails"), ("at", "/_emulator/inbox")]).await;
    assert_eq!(back.location, Some(format!("{}/_emulator/inbox?done=read", server.url)));
    assert!(all(&server.get("/dashboard").await, ".status li", "").is_empty());
    // Another environment has a strip of its own, and a link to it.
    server.do_control("POST", "/environments", json!({ "name": "a1" })).await;
    let links = all(&server.get("/dashboard").await, ".switcher a", "href");
    assert!(links.contains(&format!("{}/e/a1/dashboard", server.url)), "{links:?}");
}

#[tokio::test]
async fn a_changed_setting_says_so_and_is_taken_back_to_the_configuration() {
    let server = TestServer::with("[limits]\ncode_attempts = 7").await;
    for path in ["/dashboard/methods", "/dashboard/settings"] {
        assert!(all(&server.get(path).await, ".changed", "").is_empty(), "{path}");
        server.do_control("PATCH", "/settings", json!({ "limits": { "code_attempts": 9 } })).await;
        let page = server.get(path).await;
        assert_eq!(all(&page, ".changed button", "value"), ["limits.code_attempts"], "{path}");
        let form = [("key", "limits.code_attempts"), ("at", path)];
        let back = server.post("/dashboard/settings/reset", &form).await;
        assert_eq!(back.location, Some(format!("{}{path}?done=configured", server.url)));
        let now = server.do_control("GET", "/settings", Value::Null).await;
        assert_eq!(now["limits"]["code_attempts"], 7, "{path}");
    }
    assert_eq!(server.post("/dashboard/settings/reset", &[("key", "smtp.host")]).await.status, 400);
}

#[tokio::test]
async fn settings_are_saved_by_a_form_and_a_mistake_stands_beside_its_field() {
    let server = TestServer::start().await;
    let good = [
        ("enabled", "on"),
        ("type", "OTP"),
        ("validity_s", "600"),
        ("code_length", "6"),
        ("sign_up_allowed", "on"),
        ("code_attempts", "5"),
        ("code_attempts_window_s", "600"),
        ("mails_per_address", "2"),
        ("mails_window_s", "60"),
    ];
    let saved = server.post("/dashboard/methods", &good).await;
    assert_eq!(saved.status, 303, "{}", saved.body);
    let settings = server.do_control("GET", "/settings", Value::Null).await;
    assert_eq!(
        (&settings["passwordless"]["type"], &settings["passwordless"]["enforce_same_browser_origin"]),
        (&"OTP".into(), &false.into())
    );
    let mut bad = good.to_vec();
    bad[2] = ("validity_s", "soon");
    let refused = server.post("/dashboard/methods", &bad).await;
    assert_eq!(refused.status, 400);
    assert!(beside(&refused, "methods-validity_s-error").contains("60 to 3600"), "{}", refused.body);
    assert!(refused.body.contains("value=\"soon\""), "what was typed is still there");
    assert_eq!(server.do_control("GET", "/settings", Value::Null).await, settings);
}

#[tokio::test]
async fn every_setting_of_the_control_api_has_a_field_in_the_form_of_its_section() {
    let server = TestServer::start().await;
    let settings = server.do_control("GET", "/settings", Value::Null).await;
    let page = server.get("/dashboard/settings").await.body;
    for (name, value) in settings.as_object().unwrap() {
        let fields: Vec<String> = match value.as_object() {
            Some(table) => table.keys().map(|field| format!("{name}-{field}")).collect(),
            None if name == "mode" => vec![],
            None => vec![format!("general-{name}")],
        };
        for id in fields {
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
    }
    let form = [
        ("section", "test_users"),
        ("enabled", "on"),
        ("patterns", "a@b.test\r\nc@d.test"),
        ("static_code", "12"),
    ];
    let refused = server.post("/dashboard/settings", &form).await;
    assert_eq!(refused.status, 400);
    assert!(
        beside(&refused, "test_users-static_code-error").contains("must be 6 digits"),
        "{}",
        refused.body
    );
    let form = [&form[..3], &[("static_code", "121212")]].concat();
    assert_eq!(server.post("/dashboard/settings", &form).await.status, 303);
    let form = [("section", "general"), ("login_hint", "prefill")];
    assert_eq!(server.post("/dashboard/settings", &form).await.status, 303);
    let changed = server.do_control("GET", "/settings", Value::Null).await;
    assert_eq!(
        changed["test_users"],
        json!({ "enabled": true, "patterns": ["a@b.test", "c@d.test"], "static_code": "121212" })
    );
    assert_eq!((&changed["login_hint"], &changed["limits"]), (&json!("prefill"), &settings["limits"]));
    assert_eq!(server.post("/dashboard/settings", &[("section", "smtp"), ("host", "x")]).await.status, 400);
}

#[tokio::test]
async fn lists_show_a_page_at_a_time_and_find_what_is_searched_for() {
    let server = TestServer::start().await;
    for n in 0..51 {
        let name = format!("{n:02}");
        server.do_control("POST", "/users", json!({ "email": format!("jane{name}@example.com") })).await;
        let organization = json!({ "display_name": format!("Org {name}") });
        server.do_control("POST", "/api/organizations", organization).await;
        server.do_control("POST", "/clients", json!({ "name": format!("Shop {name}") })).await;
        let fault =
            json!({ "match": { "path": format!("/p{name}") }, "effect": { "kind": "connection_reset" } });
        server.do_control("POST", "/faults", fault).await;
    }
    for (list, row, one) in [
        ("users", "jane", "jane07"),
        ("organizations", "Org ", "Org 07"),
        ("applications", "Shop ", "Shop 07"),
        ("faults", "path /p", "path /p07"),
    ] {
        let rows = |body: &str| body.matches(&format!(">{row}")).count();
        let first = server.get(&format!("/dashboard/{list}")).await.body;
        let next = first.split("rel=\"next\"").next().unwrap().rsplit("href=\"").next().unwrap();
        let next = next.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
        let second = server.get(&next).await.body;
        // Two applications are there from the start.
        let before = if list == "applications" { 2 } else { 0 };
        assert_eq!((rows(&first), rows(&second)), (50 - before, 1 + before), "{list}");
        assert!(!second.contains("rel=\"next\""), "{list}");
        let found =
            server.get(&format!("/dashboard/{list}?q={}", one.to_lowercase().replace(' ', "%20"))).await;
        assert_eq!(rows(&found.body), 1, "{list}: {}", found.body);
        assert!(found.body.contains(&format!(">{one}")), "{list}");
        let nothing = server.get(&format!("/dashboard/{list}?q=nowhere")).await.body;
        assert!(nothing.contains("No results") && rows(&nothing) == 0, "{list}");
    }
    assert_eq!(server.get("/dashboard/flows?status=SUCCESS").await.status, 200);
    assert_eq!(server.get("/dashboard/flows?status=DONE").await.status, 400, "there is no such status");
}

#[tokio::test]
async fn applications_users_faults_and_environments_are_made_and_deleted_by_forms() {
    let server = TestServer::start().await;
    let made = server
        .post(
            "/dashboard/applications",
            &[
                ("name", "Shop"),
                ("type", "spa"),
                ("redirect_uris", "https://shop.example.com/cb\r\nhttps://b.example.com/cb"),
            ],
        )
        .await;
    let path = made.location.unwrap().replace(&server.url, "");
    let id = path.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let client = server.do_control("GET", &format!("/api/clients/{id}"), Value::Null).await["client"].clone();
    assert_eq!(client["post_login_uris"], json!(["https://shop.example.com/cb", "https://b.example.com/cb"]));
    let bad = server
        .post(&format!("/dashboard/applications/{id}"), &[("name", "Shop"), ("redirect_uris", "nonsense")])
        .await;
    assert!(beside(&bad, "application-redirect_uris-error").contains("not an absolute URI"), "{}", bad.body);
    assert_eq!(server.post(&format!("/dashboard/applications/{id}/delete"), &[]).await.status, 303);
    assert_eq!(server.refused_api("GET", &format!("/clients/{id}"), Value::Null).await.0, 404);

    let user = server.post("/dashboard/users", &[("email", "jane@example.com"), ("name", "Jane")]).await;
    let path = user.location.unwrap().replace(&server.url, "");
    let path = path.split('?').next().unwrap();
    assert!(server.get(path).await.body.contains("value=\"Jane\""));
    let taken = server.post("/dashboard/users", &[("email", "JANE@example.com")]).await;
    assert!(beside(&taken, "user-email-error").contains("used by another user"), "{}", taken.body);
    assert_eq!(server.post(&format!("{path}/delete"), &[]).await.status, 303);
    assert_eq!(server.get(path).await.status, 404);

    let fault = [("path", "/keys"), ("effect", "status"), ("code", "503"), ("count", "1")];
    assert_eq!(server.post("/dashboard/faults", &fault).await.status, 303);
    assert_eq!(server.get("/keys").await.status, 503);
    let wrong = server
        .post("/dashboard/faults", &[("effect", "status"), ("code", "fine"), ("probability", "2")])
        .await;
    assert!(beside(&wrong, "fault-code-error").contains("whole number"), "{}", wrong.body);

    let made = server.post("/dashboard/environments", &[("name", "one")]).await;
    assert_eq!(made.location.unwrap(), format!("{}/e/one/dashboard?done=created", server.url));
    assert!(server.get("/e/one/dashboard").await.body.contains("/e/one/dashboard/methods"));
    server.post("/dashboard/environments", &[("name", "two")]).await;
    let found = server.get("/dashboard/environments?q=TW").await.body;
    let found = found.split("<tbody>").nth(1).unwrap();
    assert!(found.contains(">two<") && !found.contains(">one<"), "{found}");
    let bad = server.post("/dashboard/environments", &[("name", "a b")]).await;
    assert!(beside(&bad, "environment-name-error").contains("host names"), "{}", bad.body);
    assert_eq!(server.post("/dashboard/environments/one/delete", &[]).await.status, 303);
}

#[tokio::test]
async fn a_mistake_in_any_field_is_told_in_a_sentence_that_makes_sense_beside_it() {
    let server = TestServer::start().await;
    let client = server.do_control("POST", "/clients", json!({ "name": "Shop" })).await;
    let application = format!("/dashboard/applications/{}", client["client_id"].as_str().unwrap());
    for (form, path, field, value, said) in [
        ("application", application.as_str(), "redirect_uris", "nonsense", "not an absolute URI"),
        ("application", &application, "post_logout_redirect_uris", "nonsense", "not an absolute URI"),
        ("application", &application, "initiate_login_uri", "nonsense", "absolute URI"),
        ("application", &application, "backchannel_logout_uri", "nonsense", "absolute http or https URL"),
        ("user", "/dashboard/users", "email", "nonsense", "the email address is not valid"),
        ("methods", "/dashboard/methods", "code_attempts", "many", "must be a whole number from 1 to 100"),
        ("methods", "/dashboard/methods", "mails_window_s", "99999999999999999999", "must be a whole number"),
    ] {
        let page = server.post(path, &[("name", "Shop"), (field, value)]).await;
        assert_eq!(page.status, 400, "{field} = {value:?}: {}", page.body);
        let text = beside(&page, &format!("{form}-{field}-error"));
        assert!(text.contains(said), "{field} = {value:?}: {text}");
        // The field's name and what stands in it are beside it already.
        assert!(!text.starts_with('=') && !text.starts_with(field), "{field} = {value:?}: {text}");
        assert!(!text.contains("invalid type") && !text.contains("line 1"), "no parser speaks: {text}");
    }
}

#[tokio::test]
async fn the_clock_and_the_state_are_changed_by_forms() {
    let server = TestServer::start().await;
    server.post("/dashboard/clock", &[("advance_s", "300")]).await;
    assert_eq!(server.do_control("GET", "/clock", Value::Null).await["ahead_s"], 300);
    let bad = server.post("/dashboard/clock", &[("now", "soon")]).await;
    assert!(beside(&bad, "set-now-error").contains("RFC 3339"), "{}", bad.body);
    server.post("/dashboard/clock", &[("frozen", "true")]).await;
    assert_eq!(server.do_control("GET", "/clock", Value::Null).await["frozen"], true);
    let seeded = server
        .post("/dashboard/state", &[("act", "seed"), ("seed", "{\"users\":[{\"email\":\"a@b.io\"}]}")])
        .await;
    assert_eq!(seeded.status, 303, "{}", seeded.body);
    let bad = server.post("/dashboard/state", &[("act", "seed"), ("seed", "{")]).await;
    assert!(beside(&bad, "seed-seed-error").contains("not valid JSON"), "{}", bad.body);
    assert_eq!(server.post("/dashboard/state", &[("act", "reset")]).await.status, 303);
    assert_eq!(server.do_control("GET", "/clock", Value::Null).await["ahead_s"], 0);
}

#[tokio::test]
async fn where_a_token_is_required_users_sign_in_with_it() {
    let server = TestServer::with("[control]\ntoken = \"open, sesame, open\"").await;
    let person = server.person();
    let ask = || person.browser.get(format!("{}/dashboard", server.url)).header("accept", "text/html");
    let refused = Page::of(ask().send().await.unwrap()).await;
    assert_eq!(refused.location.unwrap(), format!("{}/dashboard/sign-in", server.url));
    let wrong = person.post("/dashboard/sign-in", &[("token", "open")]).await;
    assert_eq!(wrong.status, 401);
    assert!(beside(&wrong, "sign-in-token-error").contains("Incorrect token"));
    assert!(!wrong.body.contains("value=\"open\""), "what was typed is not shown again");
    let right = person.post("/dashboard/sign-in", &[("token", "open, sesame, open")]).await;
    let cookie = right.header("set-cookie").to_owned();
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("sesame"),
        "{cookie}"
    );
    assert_eq!(Page::of(ask().send().await.unwrap()).await.status, 200);
    assert_eq!(person.post("/dashboard/sign-out", &[]).await.status, 303);
    assert_eq!(Page::of(ask().send().await.unwrap()).await.status, 303);
}

#[tokio::test]
async fn forms_of_other_sites_are_refused_and_without_control_there_is_no_dashboard() {
    let server = TestServer::start().await;
    let request = server
        .http()
        .post(format!("{}/dashboard/state", server.url))
        .header("origin", "https://evil.example.com");
    assert_eq!(request.form(&[("act", "reset")]).send().await.unwrap().status(), 403);
    let off = TestServer::with("control = false").await;
    assert_eq!(off.get("/dashboard").await.status, 404);
    let gone = server.get("/e/nothing/dashboard").await;
    assert_eq!((gone.status, gone.heading().as_str()), (404, "No such environment"));
}

#[tokio::test]
async fn hostile_names_are_escaped_everywhere() {
    let server = TestServer::start().await;
    server
        .do_control("POST", "/users", json!({ "email": "x@y.io", "name": "<script>alert(1)</script>" }))
        .await;
    server.do_control("POST", "/clients", json!({ "name": "<script>alert(1)</script>" })).await;
    server.person().authorize(&[("redirect_uri", "javascript:<script>alert(1)</script>")]).await;
    for page in ["users", "applications", "flows", "applications?url=<script>alert(1)</script>"] {
        let shown = server.get(&format!("/dashboard/{page}")).await;
        assert!(!shown.body.contains("<script>alert"), "{page}");
        assert!(shown.header("content-security-policy").contains("script-src 'self'"), "{page}");
    }
}

#[tokio::test]
async fn sign_ins_stand_by_day_with_outcome_reason_and_duration_and_the_decisive_step_stands_out() {
    let server = TestServer::start().await;
    let person = server.person();
    person.tokens("ada@example.com").await;
    // Unknown to every sign-in, and refused.
    let form = [("grant_type", "authorization_code"), ("code", "made-up"), ("client_id", "nobody")];
    server.http().post(format!("{}/oauth/token", server.url)).form(&form).send().await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let page = loop {
        let page = server.get("/dashboard/flows").await.body;
        if page.contains("Signed in</span>") && page.contains("Failed</span>") {
            break page;
        }
        assert!(Instant::now() < deadline, "{page}");
        tokio::task::yield_now().await;
    };
    let now = server.do_control("GET", "/clock", Value::Null).await["now"].as_str().unwrap().to_owned();
    assert!(
        page.contains(&format!("{}</h2>", &now[..10]))
            && page.contains("data-live")
            && page.contains("nobody"),
        "{page}"
    );
    let mine = server.get("/dashboard/flows?email=ada&status=SUCCESS").await.body;
    assert!(!mine.contains("nobody") && mine.contains(" s</td>"), "{mine}");
    let timeline = scraper::Html::parse_document(&mine);
    let link = scraper::Selector::parse("table a").unwrap();
    let timeline = timeline.select(&link).next().unwrap().attr("href").unwrap().to_owned();
    let timeline = server.get(&timeline).await.body;
    assert_eq!(timeline.matches(" decisive\"").count(), 1, "{timeline}");
    assert!(timeline.contains(">+0.0 s</time>"), "{timeline}");
}

#[tokio::test]
async fn a_decoded_token_has_its_claims_as_a_table_with_their_times() {
    let server = TestServer::start().await;
    let tokens = server.person().tokens("ada@example.com").await;
    let token = tokens["id_token"].as_str().unwrap();
    let page = server.post("/dashboard/tokens", &[("act", "decode"), ("token", token)]).await;
    assert!(page.body.contains("<h2>Valid</h2>") && page.body.contains("<h2>Claims</h2>"), "{}", page.body);
    assert!(page.body.contains("data-relative") && page.body.contains("ada@example.com"), "{}", page.body);
}
