//! Forms lead to pages: what users see after one is a page of its own, which a reload shows again. And what nobody asked
//! for on purpose does nothing.

use serde_json::{Value, json};

use crate::links::follow;
use crate::support::person::{Page, other_than};
use crate::support::{CALLBACK, CLIENT_ID, TestServer};

/// The page that a refused form leads to.
async fn page_after(
    person: &crate::support::person::Person<'_>,
    address: &str,
    form: &[(&str, &str)],
) -> (String, Page) {
    let moved = person.send(address, form).await;
    assert_eq!(moved.status, 303, "{address}: {}", moved.body);
    let location = moved.location.unwrap();
    let page = person.get(&location).await;
    (location, page)
}

#[tokio::test]
async fn a_refused_form_of_a_sign_in_leads_to_a_page_that_survives_a_reload_and_repeats_nothing() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start_with(&[]).await;

    let (location, first) =
        page_after(&person, &format!("{sign_in}/email"), &[("email", "jane@exam ple")]).await;
    assert!(!location.contains("jane"), "an address of a page goes into logs and histories: {location}");
    assert_eq!(first.status, 400);
    assert!(first.alert().contains("not a valid email address"), "{}", first.alert());
    assert!(first.body.contains("value=\"jane@exam ple\""), "{}", first.body);
    assert_eq!(person.get(&location).await.body, first.body);
    // Another browser sees nothing of it.
    assert_eq!(server.person().get(&location).await.status, 404);

    person.send(&format!("{sign_in}/email"), &[("email", "jane@example.com")]).await;
    assert_eq!(person.get(&location).await.alert(), "", "the error belonged to the form before");
    let code = server.code_for("jane@example.com").await;
    let (location, first) =
        page_after(&person, &format!("{sign_in}/code"), &[("code", &other_than(&code))]).await;
    assert!(first.alert().contains("4 attempts left"), "{}", first.alert());
    assert!(!location.contains(&other_than(&code)), "{location}");
    for _ in 0..10 {
        assert_eq!(person.get(&location).await.alert(), first.alert());
    }
    let (location, page) = page_after(&person, &format!("{sign_in}/code"), &[("code", " ")]).await;
    assert!(page.alert().contains("Enter the code"), "{}", page.alert());
    assert_eq!(person.get(&location).await.alert(), page.alert());

    // Two emails a minute: the page says how long to wait for as long as there is something to wait for.
    person.send(&format!("{sign_in}/resend"), &[]).await;
    let (location, page) = page_after(&person, &format!("{sign_in}/resend"), &[]).await;
    assert_eq!(page.status, 429);
    assert!(page.alert().contains("60 seconds"), "{}", page.alert());
    server.advance_s(20);
    assert!(person.get(&location).await.alert().contains("40 seconds"));
    server.advance_s(40);
    assert_eq!(person.get(&location).await.alert(), "");
    assert_eq!(server.mails_to("jane@example.com").await.len(), 2);
    let done = person.enter_code(&sign_in, &server.code_for("jane@example.com").await).await;
    assert!(done.answer("code").is_some(), "reloads used no attempt up");
    assert_eq!(person.get(&location).await.heading(), "You're signed in");
}

#[tokio::test]
async fn words_of_the_address_are_never_shown() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let plain = person.get(&sign_in).await.body;
    for query in [
        "error=Call+0900+123",
        "error=email_rate_limited&until_ms=x",
        "error=code_expired",
        "sent=no",
        "error=",
    ] {
        assert_eq!(person.get(&format!("{sign_in}?{query}")).await.body, plain, "{query}");
    }
    // Nor is a wait that nobody has to wait.
    let page = person.get(&format!("{sign_in}?error=email_rate_limited&until_ms={}", i64::MAX)).await;
    assert!(page.alert().contains("86400 seconds"), "{}", page.alert());
}

#[tokio::test]
async fn a_refused_link_leads_back_to_its_page() {
    let server = TestServer::start().await;
    let person = server.person();
    person.start("jane@example.com").await;
    let link = server.link_for("jane@example.com").await;
    let token = link.split("link_token=").nth(1).unwrap();
    let elsewhere = server.person();
    let (location, page) = page_after(&elsewhere, "/login/link", &[("link_token", token)]).await;
    assert_eq!((&location, page.status), (&link, 403), "where the browser was already");
    assert!(follow(&person, &link).await.answer("code").is_some());
    let long = "9".repeat(60_000);
    for nonsense in ["", "invented", "a b&c=d\r\nx: y", &long] {
        let (location, page) = page_after(&person, "/login/link", &[("link_token", nonsense)]).await;
        assert_eq!(page.status, 410, "{location}");
    }
}

#[tokio::test]
async fn the_address_of_a_form_leads_to_its_page() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    for form in ["email", "code", "resend", "restart", "account"] {
        for address in [format!("{sign_in}/{form}"), format!("{sign_in}/{form}?x=y")] {
            let page = person.get(&address).await;
            assert_eq!((page.status, page.location.as_ref()), (303, Some(&sign_in)), "{address}");
        }
    }
    for (form, shown_at) in [
        ("applications/skc_1/delete", "applications/skc_1"),
        ("users/usr_1/delete", "users/usr_1"),
        ("users/usr_1/memberships", "users/usr_1"),
        ("organizations/org_1/session-policy", "organizations/org_1"),
        ("organizations/org_1/members/usr_1/remove", "organizations/org_1/members/usr_1"),
        ("organizations/org_1/members/usr_1/roles/admin/remove", "organizations/org_1/members/usr_1"),
        ("organizations/org_1/domains/dom_1/delete", "organizations/org_1/domains"),
        ("organizations/org_1/default-roles", "organizations/org_1/roles"),
        ("organizations/org_1/clients/m2morg_1/secrets", "organizations/org_1/clients/m2morg_1"),
        ("organizations/org_1/tokens/apit_1/invalidate", "organizations/org_1/tokens"),
        ("default-roles", "roles"),
        ("permissions/read%3Adocuments/delete", "permissions/read%3Adocuments"),
        ("organizations/org_1/delete", "organizations"),
        ("sessions/ses_1/end", "sessions"),
        ("faults/flt_1/delete", "faults"),
        ("environments/a1/delete", "environments"),
    ] {
        let page = server.get(&format!("/dashboard/{form}")).await;
        assert_eq!(page.location, Some(format!("{}/dashboard/{shown_at}", server.url)), "{form}");
    }
    // Where there is no form, users read a page and programs read JSON.
    let ask = server.http().get(format!("{}/oauth/par", server.url)).header("accept", "text/html");
    let page = Page::of(ask.send().await.unwrap()).await;
    assert_eq!((page.status, page.header("allow")), (405, "POST"));
    assert!(page.header("content-type").starts_with("text/html") && !page.heading().is_empty());
    assert_eq!(server.get("/oauth/par").await.json()["error"], "invalid_request");
    // An id that is none leads nowhere else.
    for id in ["%0d%0aset-cookie:%20a=b", "%00", "..%2f..%2fx", "%e2%98%83"] {
        let page = person.send(&format!("/login/{id}/resend"), &[]).await;
        assert!(page.status < 500 && !page.headers.contains_key("set-cookie"), "{id}: {}", page.status);
        let location = page.location.unwrap_or_default();
        assert!(location.is_empty() || location.starts_with(&format!("{}/login/", server.url)), "{location}");
    }
}

#[tokio::test]
async fn the_dashboard_leads_to_what_a_form_came_to() {
    let server = TestServer::start().await;
    let person = server.person();
    let bad = [("validity_s", "soon"), ("type", "OTP")];
    let (location, first) = page_after(&person, "/dashboard/methods", &bad).await;
    assert!(location.contains("/dashboard/result/") && !location.contains("soon"), "{location}");
    assert_eq!(first.status, 400);
    assert!(first.body.contains("value=\"soon\"") && first.body.contains("60 to 3600"), "{}", first.body);
    assert!(first.header("content-security-policy").contains("default-src 'none'"));
    assert_eq!(person.get(&location).await.body, first.body);
    // A reload mints no second token.
    server.do_control("POST", "/users", json!({ "email": "jane@example.com" })).await;
    let form = [("act", "mint"), ("user", "jane@example.com"), ("scope", "openid")];
    let (location, first) = page_after(&person, "/dashboard/tokens", &form).await;
    assert!(first.body.contains("Access token"), "{}", first.body);
    assert_eq!(person.get(&location).await.body, first.body);
    // What is no longer kept leads home.
    for n in 0..32 {
        person.send("/dashboard/methods", &[("validity_s", &format!("soon{n}"))]).await;
    }
    let gone = person.get(&location).await;
    assert_eq!(gone.location, Some(format!("{}/dashboard?done=not_kept", server.url)));
    assert!(person.get(&gone.location.unwrap()).await.body.contains("no longer available"));
    // In an isolated environment it stays there.
    server.do_control("POST", "/environments", json!({ "name": "a1" })).await;
    let moved = person.send("/e/a1/dashboard/methods", &bad).await.location.unwrap();
    assert!(moved.starts_with(&format!("{}/e/a1/dashboard/result/", server.url)), "{moved}");
    // Whoever has no token gets nothing kept and nothing shown.
    let guarded = TestServer::with("[control]\ntoken = \"open, sesame, open\"").await;
    let refused = guarded.person().send("/dashboard/methods", &bad).await;
    assert_eq!((refused.status, refused.location), (401, None));
    assert_eq!(guarded.get("/dashboard/result/x").await.status, 401);
}

#[tokio::test]
async fn head_options_and_pages_loaded_ahead_send_and_change_nothing() {
    let server = TestServer::start().await;
    let person = server.person();
    let query = format!(
        "response_type=code&client_id={CLIENT_ID}&redirect_uri={CALLBACK}&login_hint=jane@example.com"
    );
    let authorize = format!("{}/oauth/authorize?{query}", server.url);
    let sign_in = person.start("bob@example.com").await;
    let link = server.link_for("bob@example.com").await;
    let flows = async || {
        let list = server.do_control("GET", "/flows", Value::Null).await;
        let path = format!("/flows/{}", list["flows"][0]["id"].as_str().unwrap());
        let flow = server.do_control("GET", &path, Value::Null).await;
        (list["flows"].as_array().unwrap().len(), flow["steps"].as_array().unwrap().len())
    };
    let before = flows().await;
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("sec-purpose", "prefetch;anonymous-client-ip"),
        ("purpose", "prefetch"),
        ("x-purpose", "preview"),
        ("x-moz", "prefetch"),
    ] {
        for address in [&authorize, &sign_in, &link, &format!("{}/oidc/logout", server.url)] {
            let page = Page::of(person.browser.get(address).header(name, value).send().await.unwrap()).await;
            // Browsers ask again when the person goes there.
            assert_eq!((page.status, page.header("cache-control")), (503, "no-store"), "{name}: {value}");
            assert!(page.location.is_none() && !page.headers.contains_key("set-cookie"));
        }
    }
    for method in ["HEAD", "OPTIONS"] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let page = Page::of(person.browser.request(method, &authorize).send().await.unwrap()).await;
        assert!(page.location.is_none() && !page.headers.contains_key("set-cookie") && page.status < 500);
    }
    assert_eq!(flows().await, before);
    assert!(server.mails_to("jane@example.com").await.is_empty());
    // And somebody who means it.
    assert_eq!(person.get(&authorize).await.status, 303);
    assert_eq!(server.mails_to("jane@example.com").await.len(), 1);
    assert!(follow(&person, &link).await.answer("code").is_some());
}
