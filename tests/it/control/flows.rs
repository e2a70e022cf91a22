//! The answer to "why did it fail".

use rstest::rstest;
use serde_json::{Value, json};
use vestibule::runtime::EnvironmentSelector;
use vestibule::service::flows::FlowFilter;

use crate::support::{Engine, TestServer};

async fn flow(server: &TestServer, email: &str) -> Value {
    let list = server.do_control("GET", &format!("/flows?email={email}"), Value::Null).await;
    let id = list["flows"][0]["id"].as_str().unwrap_or_else(|| panic!("{list}")).to_owned();
    server.do_control("GET", &format!("/flows/{id}"), Value::Null).await
}

fn texts(flow: &Value) -> String {
    let steps = flow["steps"].as_array().unwrap();
    steps
        .iter()
        .map(|s| format!("{} {}\n", s["name"].as_str().unwrap(), s["text"].as_str().unwrap()))
        .collect()
}

#[rstest]
#[tokio::test]
async fn a_sign_in_is_told_step_by_step(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    let page = person.start("jane@example.com").await;
    person.get(&page).await;
    person.enter_code(&page, "000000").await;
    let link = server.link_for("jane@example.com").await;
    server.person().get(&link).await;
    let code = server.code_for("jane@example.com").await;
    let done = person.enter_code(&page, &code).await;
    server.exchange(&done.answer("code").unwrap()).await;
    server.exchange(&done.answer("code").unwrap()).await;
    let flow = flow(&server, "jane@example.com").await;
    assert_eq!((&flow["status"], &flow["email"]), (&"SUCCESS".into(), &"jane@example.com".into()));
    let told = texts(&flow);
    let expected = [
        "authorize The authorization request was accepted.",
        "mail An email is in the inbox, with a code and a link.",
        "page The user saw the code form.",
        "code Wrong code: attempt 1 of 5.",
        "link The link was opened in another browser: refused, because enforce_same_browser_origin is on.",
        "code The code is right.",
        "session Signed in: the application gets a code.",
        "token The authorization code was exchanged for tokens.",
        "token The authorization code was refused with invalid_grant:",
    ];
    let mut rest = told.as_str();
    for step in expected {
        let at = rest.find(step).unwrap_or_else(|| panic!("{step:?} is missing, or out of order:\n{told}"));
        rest = &rest[at + step.len()..];
    }
    assert!(!told.contains(&code), "no code is in the log");
    // Programs read types and fields, and need not read sentences.
    let step = |kind: &str| {
        let steps = flow["steps"].as_array().unwrap();
        steps.iter().find(|s| s["type"] == kind).unwrap_or_else(|| panic!("{kind} is missing: {flow}"))
    };
    assert_eq!(step("code_rejected")["facts"], json!({ "attempt": 1, "of": 5, "closed": false }));
    assert_eq!(step("page_shown")["facts"], json!({ "page": "code_form" }));
    assert_eq!(step("link_opened")["facts"], json!({ "same_browser": false, "refused": "other_browser" }));
    assert_eq!(step("code_accepted")["facts"], json!({}));
    assert_eq!(step("tokens_refused")["facts"]["error"], "invalid_grant");
    assert_eq!(step("tokens_refused")["facts"]["grant_type"], "authorization_code");
    assert_eq!(flow["why_type"], "signed_in");
}

#[tokio::test]
async fn a_client_that_is_not_believed_is_told_apart_in_the_timeline() {
    let settings = "[[clients]]\nclient_id = \"skc_1\"\nclient_secret = \"Rather-long-and-random-1\"\nredirect_uris = [\"https://app.example.com/cb\"]\n";
    let server = TestServer::with(settings).await;
    let code = {
        let person = server.person();
        let parameters = [("client_id", "skc_1"), ("redirect_uri", "https://app.example.com/cb")];
        person.sign_in_with("jane@example.com", &parameters).await.answer("code").unwrap()
    };
    let token = async |id: &str, secret: &str| {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("client_id", id),
            ("client_secret", secret),
        ];
        assert_eq!(server.post("/oauth/token", &form).await.status, 401);
    };
    token("skc_1", "wrong").await;
    token("skc_2", "Rather-long-and-random-1").await;
    let told = texts(&flow(&server, "jane@example.com").await);
    for step in ["wrong client_secret", "unknown client"] {
        let step = format!("token The client was refused with invalid_client: {step}.");
        assert!(told.contains(&step), "{step} is missing:\n{told}");
    }
    assert!(!told.contains("wrong\n") && !told.contains("Rather-long"), "{told}");
    // Without a code there is no sign-in to tell it of: it stands alone.
    let form = [("grant_type", "client_credentials"), ("client_id", "skc_3"), ("client_secret", "x")];
    server.post("/oauth/token", &form).await;
    let list = server.do_control("GET", "/flows?client_id=skc_3", Value::Null).await;
    assert!(list["flows"][0]["why"].as_str().unwrap().contains("unknown client"), "{list}");
}

#[tokio::test]
async fn facts_have_the_words_of_the_specification() {
    let server = TestServer::start().await;
    for (prompt, told) in
        [("select_account", Value::from("select_account")), ("login", "login".into()), ("", Value::Null)]
    {
        let email = format!("{prompt}@example.com").replace('@', "x@");
        let mut parameters = vec![("login_hint", email.as_str())];
        if !prompt.is_empty() {
            parameters.push(("prompt", prompt));
        }
        server.person().authorize(&parameters).await;
        let list = server.do_control("GET", "/flows", Value::Null).await;
        let id = list["flows"][0]["id"].as_str().unwrap();
        let flow = server.do_control("GET", &format!("/flows/{id}"), Value::Null).await;
        assert_eq!(flow["steps"][0]["facts"]["prompt"], told, "{flow}");
        server.do_control("POST", "/reset", Value::Null).await;
    }
}

#[rstest]
#[tokio::test]
async fn what_comes_too_late_does_not_contradict_the_outcome(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    // At once, so that both steps are written together, and after the outcome was written.
    for is_written in [false, true] {
        server.advance_s(61);
        let page = person.start_with(&[("prompt", "login"), ("login_hint", "jane@example.com")]).await;
        let (code, link) =
            (server.code_for("jane@example.com").await, server.link_for("jane@example.com").await);
        person.enter_code(&page, &code).await;
        if is_written {
            flow(&server, "jane@example.com").await;
        }
        person.enter_code(&page, &code).await;
        crate::links::follow(&person, &link).await;
        let flow = flow(&server, "jane@example.com").await;
        assert_eq!(flow["status"], "SUCCESS");
        assert_eq!(flow["why"], "Signed in: the application gets a code.", "{flow}");
        assert!(texts(&flow).contains("refused: the sign-in was used already"), "{flow}");
    }
}

#[tokio::test]
async fn what_was_refused_and_suppressed_is_told_too() {
    let server = TestServer::start().await;
    let person = server.person();
    for _ in 0..3 {
        person.start("jane@example.com").await;
        server.advance_s(1);
    }
    let told = texts(&flow(&server, "jane@example.com").await);
    assert!(told.contains("No email was sent: the address had 2 within 60 s"), "{told}");
    person.authorize(&[("redirect_uri", "https://evil.example.com/")]).await;
    let failed = server.do_control("GET", "/flows?status=failed", Value::Null).await;
    assert!(failed["flows"][0]["why"].as_str().unwrap().contains("https://evil.example.com/"), "{failed}");
}

#[tokio::test]
async fn too_many_guesses_end_as_failed_with_the_reason() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = person.start("jane@example.com").await;
    for guess in 0..6 {
        person.enter_code(&page, &format!("00000{guess}")).await;
    }
    let flow = flow(&server, "jane@example.com").await;
    assert_eq!(flow["status"], "FAILED");
    assert!(
        texts(&flow).contains("attempt 5 of 5. The sign-in is closed, even for the right code."),
        "{}",
        texts(&flow)
    );
}

#[tokio::test]
async fn flows_are_paged_and_bad_filters_named() {
    let server = TestServer::start().await;
    for number in 0..5 {
        server.person().start(&format!("p{number}@example.com")).await;
        server.advance_s(1);
    }
    let first = server.do_control("GET", "/flows?page_size=2", Value::Null).await;
    assert_eq!((&first["total"], &first["flows"][0]["email"]), (&5.into(), &"p4@example.com".into()));
    let token = first["next_page_token"].as_str().unwrap();
    let second =
        server.do_control("GET", &format!("/flows?page_size=2&page_token={token}"), Value::Null).await;
    assert_eq!(second["flows"][0]["email"], "p2@example.com");
    for (query, field) in
        [("status=odd", "status"), ("page_size=0", "page_size"), ("page_token=x", "page_token")]
    {
        assert_eq!(server.refused("GET", &format!("/flows?{query}"), Value::Null).await, (400, field.into()));
    }
    assert_eq!(server.refused("GET", "/flows/none", Value::Null).await.0, 404);
}

/// The newest entry of a client: its status, and why.
async fn newest_of(server: &TestServer, client_id: &str) -> String {
    let list = server.do_control("GET", &format!("/flows?client_id={client_id}"), Value::Null).await;
    format!("{} {}", list["flows"][0]["status"].as_str().unwrap_or("-"), list["flows"][0]["why"])
}

#[tokio::test]
async fn every_request_for_tokens_that_is_refused_is_told_with_the_reason() {
    let server = TestServer::start().await;
    let acme = server.do_api("POST", "/organizations", json!({ "display_name": "Acme" })).await;
    let path = format!("/organizations/{}/clients", acme["organization"]["id"].as_str().unwrap());
    let made = server.do_api("POST", &path, json!({ "name": "Nightly" })).await;
    let robot = made["client"]["client_id"].as_str().unwrap();
    let robot = (robot, made["plain_secret"].as_str().unwrap());
    let application = (crate::support::CLIENT_ID, crate::support::CLIENT_SECRET);
    for (client, form, told) in [
        (
            application,
            &[("grant_type", "client_credentials"), ("scope", "openid,email")][..],
            "invalid_scope",
        ),
        (application, &[("grant_type", "authorization_code")], "the parameter code is missing"),
        (
            application,
            &[("grant_type", "refresh_token"), ("scope", "a"), ("scope", "b")],
            "refresh_token is missing",
        ),
        (
            application,
            &[("grant_type", "client_credentials"), ("scope", "a"), ("scope", "b")],
            "invalid_request",
        ),
        (application, &[("grant_type", "password")], "unsupported_grant_type"),
        (robot, &[("grant_type", "authorization_code"), ("code", "x")], "client_credentials alone"),
        (robot, &[("grant_type", "client_credentials"), ("scope", "openid,email")], "invalid_scope"),
    ] {
        let with_client = [form, &[("client_id", client.0), ("client_secret", client.1)]].concat();
        let page = server.post("/oauth/token", &with_client).await;
        assert_eq!(page.status, 400, "{form:?}: {}", page.body);
        let why = newest_of(&server, client.0).await;
        assert!(why.starts_with("FAILED") && why.contains(told), "{form:?}: {why}");
        server.advance_s(1);
    }
}

#[tokio::test]
async fn a_refused_client_is_told_in_the_sign_in_whose_refresh_token_it_shows() {
    let server = TestServer::start().await;
    let tokens = server.person().tokens("jane@example.com").await;
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
        ("client_id", crate::support::CLIENT_ID),
        ("client_secret", "wrong"),
    ];
    assert_eq!(server.post("/oauth/token", &form).await.status, 401);
    let told = texts(&flow(&server, "jane@example.com").await);
    assert!(told.contains("invalid_client: wrong client_secret"), "{told}");
}

/// In production a stranger has no secret, and fills no log.
#[tokio::test]
async fn in_production_only_a_client_with_its_secret_adds_to_the_log() {
    let toml = "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\n\
                master_key = \"9c1f7a52e0b84d36a1f5\"\n[smtp]\nhost = \"smtp.example.com\"\n\
                [[clients]]\nclient_id = \"skc_1\"\nclient_secret = \"b7d20c9e4f6a4b1d8e35\"\n\
                redirect_uris = [\"https://app.example.com/cb\"]\n\
                [[clients]]\nclient_id = \"spac_1\"\ntype = \"spa\"\nredirect_uris = [\"https://app.example.com/cb\"]\n";
    let server = TestServer::with(toml).await;
    let send = async |request: reqwest::RequestBuilder| {
        let request = request.header("host", "id.example.com").header("x-forwarded-proto", "https");
        crate::support::person::Page::of(request.send().await.unwrap()).await
    };
    let code = ("code", "cod_unknown");
    for (client, status) in [
        (&[("client_id", "spac_1"), ("code_verifier", "a".repeat(43).as_str())][..], 400),
        (&[("client_id", "skc_1"), ("client_secret", "wrong")], 401),
        (&[("client_id", "skc_1"), ("client_secret", "b7d20c9e4f6a4b1d8e35")], 400),
    ] {
        let form = [&[("grant_type", "authorization_code"), code], client].concat();
        let page = send(server.http().post(format!("{}/oauth/token", server.url)).form(&form)).await;
        assert_eq!(page.status, status, "{}", page.body);
    }
    let context = server.provider.context(EnvironmentSelector::default()).await.unwrap();
    let filter = FlowFilter { limit: 10, ..FlowFilter::default() };
    let (found, _) = vestibule::service::flows::list(&context, &filter).await.unwrap();
    let clients: Vec<_> = found.iter().map(|row| row.client_id.as_deref()).collect();
    assert_eq!(clients, [Some("skc_1")]);
}
