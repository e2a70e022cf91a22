//! What an application may ask at `/oauth/authorize`, and who hears about mistakes.

use serde_json::json;

use crate::support::person::Page;
use crate::support::{CALLBACK, CLIENT_ID, TestServer};

#[tokio::test]
async fn the_whole_way_from_authorize_to_tokens() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = person.sign_in_with("jane@example.com", &[]).await;
    assert!(page.location.as_deref().unwrap().starts_with(CALLBACK));
    assert_eq!(page.answer("state").as_deref(), Some("af0ifjsldkj"));
    assert_eq!(page.answer("iss").as_deref(), Some(server.url.as_str()));
    let tokens = server.exchange(&page.answer("code").unwrap()).await;
    assert_eq!(tokens.status, 200, "{}", tokens.body);
    assert_eq!(tokens.header("cache-control"), "no-store");
}

#[tokio::test]
async fn an_unknown_client_gets_a_page_that_names_it_and_no_redirect() {
    let server = TestServer::start().await;
    let page = server.person().authorize(&[("client_id", "skc_<b>nobody")]).await;
    assert_eq!((page.status, page.location.is_none()), (400, true));
    assert!(page.body.contains("skc_&#60;b&#62;nobody"), "{}", page.body);
}

#[tokio::test]
async fn an_unregistered_redirect_uri_gets_a_page_that_says_how_to_register_it() {
    let server = TestServer::start().await;
    let page = server.person().authorize(&[("redirect_uri", "https://app.example.com/cb")]).await;
    assert_eq!((page.status, page.location.is_none()), (400, true));
    assert!(
        page.body.contains("https://app.example.com/cb") && page.body.contains("redirect_uris"),
        "{}",
        page.body
    );
    let strict = TestServer::with("strict_redirects = true").await;
    assert_eq!(strict.person().authorize(&[]).await.status, 400);
    let registered =
        TestServer::with(&format!("strict_redirects = true\nredirect_uris = [\"{CALLBACK}\"]")).await;
    assert_eq!(registered.person().authorize(&[]).await.status, 303);
}

/// What the page says to paste into `vestibule.toml`: the paragraph that is no sentence.
fn snippet(page: &Page) -> String {
    let document = scraper::Html::parse_document(&page.body);
    let how_to: String =
        document.select(&scraper::Selector::parse(".how-to pre").unwrap()).flat_map(|p| p.text()).collect();
    let found: Vec<&str> = how_to.split("\n\n").filter(|text| text.contains(" = ")).collect();
    assert_eq!(found.len(), 1, "{how_to}");
    found[0].to_owned()
}

#[tokio::test]
async fn what_the_page_says_to_paste_is_a_configuration_that_registers_the_address() {
    let uri = "https://app.example.com/cb?a=\"b\"";
    let listed = "[[clients]]\nclient_id = \"skc_own\"\nclient_secret = \"a secret of one's own\"\n\
                  redirect_uris = [\"https://app.example.com/first\"]\n\
                  [[clients]]\nclient_id = \"spac_own\"\ntype = \"spa\"\n";
    let short = "client_id = \"skc_own\"\nclient_secret = \"a secret of one's own\"\n";
    for (toml, client_id, shown_as) in [
        ("", CLIENT_ID, CLIENT_ID),
        ("", vestibule::config::DEFAULT_SPA_CLIENT_ID, CLIENT_ID),
        (short, "skc_own", CLIENT_ID),
        (listed, "skc_own", "skc_own"),
        (listed, "spac_own", "spac_own"),
    ] {
        let server = TestServer::with(toml).await;
        let asked = [("client_id", client_id), ("redirect_uri", uri)];
        let page = server.person().authorize(&asked).await;
        let pasted = crate::support::configuration(&snippet(&page)).environment;
        let client = pasted.client(shown_as).unwrap();
        assert!(client.redirect_uris.iter().any(|u| u.as_str() == uri), "{client_id}: {client:?}");
        if client_id == "skc_own" && toml == listed {
            assert_eq!(client.redirect_uris[0].as_str(), "https://app.example.com/first", "none is lost");
        }
    }
    let unknown = TestServer::start().await.person().authorize(&[("client_id", "skc_\"new\"")]).await;
    let pasted = crate::support::configuration(&snippet(&unknown)).environment;
    assert!(pasted.client("skc_\"new\"").is_some());
}

#[tokio::test]
async fn an_address_that_cannot_be_registered_is_not_advised_to_be() {
    let server = TestServer::start().await;
    for (uri, why) in [
        ("https://app.example.com/cb#part", "fragment"),
        ("http://\u{ff4c}ocalhost:3000/cb", "ASCII"),
        ("https://b\u{fc}cher.example/cb", "xn--"),
        ("javascript:alert(1)", "scheme"),
        ("https://user@app.example.com/cb", "user name"),
    ] {
        let page = server.person().authorize(&[("redirect_uri", uri)]).await;
        assert_eq!((page.status, page.location.as_deref()), (400, None), "{uri}");
        assert!(
            page.body.contains("cannot be registered") && page.body.contains(why),
            "{uri}: {}",
            page.body
        );
        assert!(!page.body.contains("redirect_uris = ["), "{uri}");
    }
    // A client of an isolated environment stands in no file.
    let made = server.do_control("POST", "/environments", serde_json::json!({})).await;
    let url = format!(
        "{}/oauth/authorize?response_type=code&client_id={}&redirect_uri=https://app.example.com/cb",
        made["path_url"].as_str().unwrap(),
        made["client_id"].as_str().unwrap()
    );
    let page = server.person().get(&url).await;
    assert!(page.body.contains("/dashboard/applications/") && !page.body.contains("vestibule.toml"));
}

#[tokio::test]
async fn scopes_that_are_not_separated_by_spaces_are_refused_with_a_hint() {
    let server = TestServer::start().await;
    let person = server.person();
    for scope in ["openid,email", "openid, email", "profile;openid", "openid+email", "openid%20email"] {
        let page = person.authorize(&[("scope", scope)]).await;
        assert_eq!(page.answer("error").as_deref(), Some("invalid_scope"), "{scope}");
        assert!(page.answer("error_description").unwrap().contains("spaces"), "{scope}");
        let page = server.token(&[("grant_type", "client_credentials"), ("scope", scope)]).await;
        assert_eq!(page.json()["error"], "invalid_scope", "{scope}");
    }
    // Commas of scopes that are somebody else's mean nothing here.
    let page = person.authorize(&[("scope", "openid read:a,b")]).await;
    assert!(page.location.unwrap().contains("/login/"));
}

#[tokio::test]
async fn letters_beyond_ascii_go_percent_encoded_into_the_location() {
    let server = TestServer::start().await;
    let uri = "http://localhost:3000/r\u{fc}ckruf?stra\u{df}e=1";
    let page = server.person().authorize(&[("redirect_uri", uri), ("prompt", "none")]).await;
    assert_eq!(page.status, 303, "{}", page.body);
    let location = page.location.unwrap();
    assert!(
        location.starts_with("http://localhost:3000/r%C3%BCckruf?stra%C3%9Fe=1&error=login_required"),
        "{location}"
    );
}

#[tokio::test]
async fn every_other_mistake_goes_back_to_the_application() {
    let server = TestServer::start().await;
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("response_type", "")], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
        (&[("response_mode", "fragment")], "invalid_request"),
        (&[("request", "eyJ")], "request_not_supported"),
        (&[("request_uri", "https://x.io/r")], "request_uri_not_supported"),
        (&[("prompt", "none")], "login_required"),
        (&[("prompt", "none login")], "invalid_request"),
        (&[("prompt", "dance")], "invalid_request"),
        (&[("max_age", "-1")], "invalid_request"),
        (&[("max_age", "soon")], "invalid_request"),
        (&[("claims", "{")], "invalid_request"),
        (&[("code_challenge", "x"), ("code_challenge_method", "S256")], "invalid_request"),
        (&[("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM")], "invalid_request"),
        (
            &[
                ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
                ("code_challenge_method", "plain"),
            ],
            "invalid_request",
        ),
        (&[("connection_id", "conn_other")], "invalid_connection_id"),
        (&[("organization_id", "org_unknown")], "invalid_organization_id"),
        (&[("provider", "google")], "no_active_connections"),
    ];
    for (parameters, error) in cases {
        let page = server.person().authorize(parameters).await;
        assert_eq!(page.status, 303, "{parameters:?}: {}", page.body);
        assert!(page.location.as_deref().unwrap().starts_with(CALLBACK), "{parameters:?}");
        assert_eq!(page.answer("error").as_deref(), Some(*error), "{parameters:?}");
        assert!(page.answer("error_description").is_some_and(|d| !d.is_empty()), "{parameters:?}");
        assert_eq!(page.answer("state").as_deref(), Some("af0ifjsldkj"), "{parameters:?}");
        assert_eq!(page.answer("iss").as_deref(), Some(server.url.as_str()), "{parameters:?}");
        assert_eq!(page.answer("code"), None, "{parameters:?}");
    }
}

#[tokio::test]
async fn parameters_without_a_meaning_here_are_accepted() {
    let server = TestServer::start().await;
    let page = server
        .person()
        .authorize(&[
            ("ui_locales", "de fr"),
            ("acr_values", "x"),
            ("display", "popup"),
            ("domain_hint", "acme.com"),
            ("domain", "acme.com"),
            ("connection_id", "conn_687000000000000001"),
            ("foo", "bar"),
            ("claims", r#"{"id_token":{"name":{"essential":true}},"userinfo":{"picture":null}}"#),
        ])
        .await;
    assert_eq!(page.status, 303);
    assert!(page.location.unwrap().contains("/login/"));
}

#[tokio::test]
async fn state_comes_back_byte_for_byte() {
    let server = TestServer::start().await;
    for state in ["Mfhi.l-K_8", "a b+c%20d&e=f?g#h", "ünï ☃ \"<>", "eyJhIjoxfQ=="] {
        let page = server.person().authorize(&[("prompt", "none"), ("state", state)]).await;
        assert_eq!(page.answer("state").as_deref(), Some(state));
    }
    let absent = server.person().authorize(&[("prompt", "none"), ("state", "")]).await;
    assert_eq!(absent.answer("state"), None);
}

#[tokio::test]
async fn a_registered_query_stays_and_the_answer_is_appended() {
    let server = TestServer::start().await;
    let uri = "http://localhost:3000/cb?tenant=7";
    let page = server.person().authorize(&[("redirect_uri", uri), ("prompt", "none")]).await;
    assert!(page.location.unwrap().starts_with(&format!("{uri}&error=")));
}

#[tokio::test]
async fn post_and_doubled_slashes_work_as_well() {
    let server = TestServer::start().await;
    let form =
        [("response_type", "code"), ("client_id", CLIENT_ID), ("redirect_uri", CALLBACK), ("state", "s p")];
    let page = server.person().post("/oauth/authorize", &form).await;
    assert_eq!(page.status, 303);
    let again = server.person().get(&page.location.unwrap()).await;
    assert!(again.location.unwrap().contains("/login/"));
    let page = server
        .get(&format!("//oauth/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri={CALLBACK}"))
        .await;
    assert!(page.location.unwrap().contains("/login/"));
}

#[tokio::test]
async fn one_of_several_public_urls_is_chosen_by_host() {
    let server = TestServer::with("public_urls = [\"http://id.test:6870\", \"http://vestibule:6870\"]").await;
    for (host, issuer) in [("vestibule:6870", "http://vestibule:6870"), ("other", "http://id.test:6870")] {
        let request = server
            .http()
            .get(format!("{}/.well-known/openid-configuration", server.url))
            .header("host", host);
        let page = Page::of(request.send().await.unwrap()).await;
        assert_eq!(page.json()["issuer"], issuer);
    }
}

#[tokio::test]
async fn login_hint_may_fill_the_form_instead_of_sending() {
    let server = TestServer::with("login_hint = \"prefill\"").await;
    let person = server.person();
    let page = person.get(&person.start("jane@example.com").await).await;
    assert_eq!(page.heading(), "Sign in to Vestibule");
    assert!(page.body.contains("value=\"jane@example.com\""));
    assert!(server.mails_to("jane@example.com").await.is_empty());
}

#[tokio::test]
async fn a_hint_that_is_no_address_fills_the_form() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = person.get(&person.start("not an address").await).await;
    assert_eq!((page.status, page.heading().as_str()), (200, "Sign in to Vestibule"));
}

#[tokio::test]
async fn a_switched_off_method_is_told_to_the_application() {
    let server = TestServer::with("[passwordless]\nenabled = false").await;
    let page = server.person().authorize(&[]).await;
    assert_eq!(page.answer("error").as_deref(), Some("no_active_connections"));
}

#[tokio::test]
async fn pages_carry_the_headers_that_protect_them() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = person.get(&person.start("jane@example.com").await).await;
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(page.header("x-frame-options"), "DENY");
    assert_eq!(page.header("cache-control"), "no-store");
}

#[tokio::test]
async fn what_is_not_there_says_not_emulated_by_name() {
    let server = TestServer::start().await;
    let page = server.get("/scim/v2/Users").await;
    assert_eq!(
        (page.status, page.json()["error"].as_str().unwrap().to_owned()),
        (404, "not_emulated".to_owned())
    );
    assert!(page.body.contains("GET /scim/v2/Users"));
    let request = server.http().get(format!("{}/saml/x", server.url)).header("accept", "text/html");
    let page = Page::of(request.send().await.unwrap()).await;
    assert_eq!((page.status, page.heading().as_str()), (404, "Not emulated"));
    assert!(page.body.contains("/saml/x"));
}

#[tokio::test]
async fn a_page_is_found_with_a_slash_behind_its_address_too() {
    let server = TestServer::start().await;
    server.do_control("POST", "/environments", json!({ "name": "a1" })).await;
    for (asked, found) in [
        ("/dashboard/", "/dashboard"),
        ("/_emulator/inbox/", "/_emulator/inbox"),
        ("/e/a1/dashboard/users/", "/e/a1/dashboard/users"),
        // Never another host's.
        ("//elsewhere.example/", "/elsewhere.example"),
    ] {
        let request = server.http().get(format!("{}{asked}", server.url)).header("accept", "text/html");
        let page = Page::of(request.send().await.unwrap()).await;
        assert_eq!(page.location, Some(format!("{}{found}", server.url)), "{asked}");
    }
    assert_eq!(server.get("/dashboard/").await.status, 404, "programs are told");
}
