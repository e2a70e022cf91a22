//! Try it on the dashboard: an application of the server's own, from one click to a finished sign-in.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::person::{Page, Person, other_than};
use crate::support::{CLIENT_ID, CLIENT_SECRET, TestServer};

const TRY: &str = "/dashboard/try";

/// No application may return to the page, and an address gets as many emails as it likes.
const STRICT: &str = "strict_redirects = true\n[limits]\nmails_per_address = 0\n";

/// The hidden values of the form with this button.
fn form(page: &Page, button: &str) -> Vec<(String, String)> {
    let document = scraper::Html::parse_document(&page.body);
    let forms = scraper::Selector::parse(&format!("form[aria-label=\"{button}\"]")).unwrap();
    let inputs = scraper::Selector::parse("input[type=hidden]").unwrap();
    let form = document.select(&forms).next().unwrap_or_else(|| panic!("no {button}: {}", page.body));
    let value = |input: scraper::ElementRef<'_>, name| input.attr(name).unwrap().to_owned();
    form.select(&inputs).map(|input| (value(input, "name"), value(input, "value"))).collect()
}

/// Presses a button of the page; gives where it leads to, and whose sign-in it is.
async fn click(person: &Person<'_>, path: &str, button: &str) -> (String, String) {
    let page = person.get(path).await;
    assert_eq!(page.status, 200, "{}", page.body);
    let fields = form(&page, button);
    let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let email = fields.iter().find(|(name, _)| *name == "login_hint").unwrap().1.to_owned();
    let sent = person.send(path, &fields).await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    (sent.location.unwrap(), email)
}

/// Presses a button of the page; gives the authorization request that it leads to, and whose sign-in it is.
async fn start(person: &Person<'_>, path: &str, button: &str) -> (String, String) {
    let (authorize, email) = click(person, path, button).await;
    assert!(authorize.contains("/oauth/authorize?") && !authorize.contains(CLIENT_SECRET), "{authorize}");
    (authorize, email)
}

/// Presses a button of the page, and follows to the sign-in page; gives its address and whose it is.
async fn press(person: &Person<'_>, button: &str) -> (String, String) {
    let (authorize, email) = start(person, TRY, button).await;
    let sign_in = person.get(&authorize).await.location.unwrap();
    assert!(sign_in.contains("/login/"), "{sign_in}");
    (sign_in, email)
}

/// Enters the code of the email, and gives the callback that the browser is sent to.
async fn prove(person: &Person<'_>, (sign_in, email): (String, String)) -> String {
    let code = person.server.code_for(&email).await;
    let page = person.enter_code(&sign_in, &code).await;
    page.location.unwrap_or_else(|| panic!("{}", page.body))
}

/// The page that the callback leads to.
async fn result(person: &Person<'_>, callback: &str) -> Page {
    assert!(callback.contains("/dashboard/try/callback?"), "{callback}");
    let location = person.get(callback).await.location.unwrap();
    assert!(location.ends_with("/dashboard/try/result"), "nothing secret is in an address: {location}");
    person.get(&location).await
}

async fn signed_in(person: &Person<'_>) -> Page {
    let started = press(person, "Sign in as ada@example.com").await;
    let callback = prove(person, started).await;
    result(person, &callback).await
}

/// What the checks of a page say, but for those that are in order.
fn complaints(page: &Page) -> Vec<String> {
    let document = scraper::Html::parse_document(&page.body);
    let wrong = scraper::Selector::parse(".badge.wrong").unwrap();
    document.select(&wrong).map(|badge| badge.text().collect()).collect()
}

async fn act(person: &Person<'_>, path: &str) -> Page {
    let sent = person.send(path, &[]).await;
    assert_eq!(sent.status, 303, "{}", sent.body);
    person.get(&sent.location.unwrap()).await
}

#[tokio::test]
async fn one_click_leads_to_a_finished_sign_in_with_every_step() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = signed_in(&person).await;
    assert_eq!((page.status, page.heading().as_str()), (200, "Sign-in result"), "{}", page.body);
    assert_eq!(page.alert(), "");
    assert_eq!(complaints(&page), Vec::<String>::new(), "every check is in order");
    for shown in [
        CLIENT_ID,
        CLIENT_SECRET,
        "code_verifier",
        "ada@example.com",
        "c_hash",
        "authenticateWithCode",
        "authenticate_with_code",
        "AuthenticateWithCode",
        "refreshAccessToken",
        "/dashboard/flows/",
        "An email is in the inbox",
        "/userinfo",
    ] {
        assert!(page.body.contains(shown), "{shown} is not on the page");
    }
    assert!(page.body.len() < 100_000, "{} bytes", page.body.len());
    assert!(person.get(TRY).await.body.contains("/dashboard/try/result"), "the result can be found again");
    let flow = page.body.split("/dashboard/flows/").nth(1).unwrap().split('"').next().unwrap();
    let timeline = person.get(&format!("/dashboard/flows/{flow}")).await;
    assert_eq!(timeline.heading(), "ada@example.com");
}

#[tokio::test]
async fn tokens_are_refreshed_and_a_logout_ends_them() {
    let server = TestServer::start().await;
    let person = server.person();
    signed_in(&person).await;
    let page = act(&person, "/dashboard/try/refresh").await;
    assert!(page.body.contains("These are the new tokens"), "{}", page.body);
    assert!(page.body.contains("Refresh response"), "{}", page.body);
    assert_eq!(complaints(&page), Vec::<String>::new());
    let page = act(&person, "/dashboard/try/log-out").await;
    assert!(page.body.contains("Signed out."), "{}", page.body);
    assert!(!complaints(&page).is_empty(), "the refresh token went with its session");
    let silent = person.authorize(&[("prompt", "none")]).await;
    assert_eq!(silent.answer("error").as_deref(), Some("login_required"));
    let page = act(&person, "/dashboard/try/refresh").await;
    assert_eq!(page.alert(), "invalid_grant: the session has ended");
}

#[tokio::test]
async fn the_callback_of_another_browser_is_refused() {
    let server = TestServer::start().await;
    let (ada, eve) = (server.person(), server.person());
    let callback = prove(&ada, press(&ada, "Sign in as ada@example.com").await).await;
    // Without a sign-in of its own, and with one.
    for _ in 0..2 {
        let page = eve.get(&callback).await;
        assert_eq!(page.status, 400);
        assert!(page.alert().contains("no sign-in that this browser started"), "{}", page.body);
        press(&eve, "Sign in as ada@example.com").await;
    }
    let page = result(&ada, &callback).await;
    assert_eq!(page.alert(), "", "the code was not used up");
    let again = ada.get(&callback).await;
    assert!(again.location.unwrap().ends_with("/result"), "a reload exchanges no code twice");
    assert_eq!(complaints(&result(&ada, &callback).await), Vec::<String>::new());
}

#[tokio::test]
async fn a_code_and_a_refresh_token_are_used_once_whatever_is_loaded_twice() {
    let server = TestServer::start().await;
    let person = server.person();
    let callback = prove(&person, press(&person, "Sign in as ada@example.com").await).await;
    join_all((0..6).map(|_| person.get(&callback))).await;
    let page = result(&person, &callback).await;
    assert_eq!((page.alert(), complaints(&page)), (String::new(), vec![]));
    for page in join_all((0..6).map(|_| person.send("/dashboard/try/refresh", &[]))).await {
        assert!(page.location.unwrap().ends_with("/result?done=refreshed"));
    }
    let page = result(&person, &callback).await;
    assert_eq!((page.alert(), complaints(&page)), (String::new(), vec![]));
}

#[tokio::test]
async fn it_works_in_an_isolated_environment_and_keeps_to_it() {
    let server = TestServer::start().await;
    server.do_control("POST", "/environments", json!({ "name": "a1" })).await;
    let person = server.person();
    let in_environment = format!("/e/a1{TRY}");
    let (authorize, _) = start(&person, &in_environment, "Sign in as ada@example.com").await;
    assert!(authorize.starts_with(&format!("{}/e/a1/oauth/authorize?", server.url)), "{authorize}");
    let sign_in = person.get(&authorize).await.location.unwrap();
    let latest = "/e/a1/_emulator/v1/messages/latest?to=ada%40example.com&wait_ms=5000";
    let code = person.get(latest).await.json()["code"].as_str().unwrap().to_owned();
    let callback = person.enter_code(&sign_in, &code).await.location.unwrap();
    let page = result(&person, &callback).await;
    assert_eq!((page.alert(), complaints(&page)), (String::new(), vec![]));
    assert!(!person.get(TRY).await.body.contains("/dashboard/try/result"), "it is not one of the default");
}

/// Presses a button that ends its sign-in; gives the page that the browser comes to.
async fn end(person: &Person<'_>, button: &str) -> Page {
    let (location, _) = click(person, TRY, button).await;
    if location.contains("/dashboard/try/callback?") {
        result(person, &location).await
    } else {
        person.get(&location).await
    }
}

#[tokio::test]
async fn one_click_signs_in_without_the_sign_in_page() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = end(&person, "Sign in at once").await;
    assert_eq!((page.alert(), complaints(&page)), (String::new(), vec![]), "{}", page.body);
    assert!(page.body.contains("ada@example.com"), "{}", page.body);
    let silent = person.authorize(&[("prompt", "none")]).await;
    assert!(silent.answer("code").is_some(), "the browser is signed in: {silent:?}");
}

#[tokio::test]
async fn one_click_leads_to_each_failure() {
    let server = TestServer::start().await;
    for (button, alert) in [("Try: not signed in", "login_required: "), ("Try: denied", "access_denied: ")] {
        let page = end(&server.person(), button).await;
        assert_eq!(page.heading(), "Sign-in result");
        assert!(page.alert().starts_with(alert), "{button}: {}", page.body);
        assert!(page.body.contains("/dashboard/flows/"), "{}", page.body);
    }

    let page = end(&server.person(), "Try: expired").await;
    assert_eq!((page.status, page.heading().as_str()), (400, "This code has expired"), "{}", page.body);
    assert!(page.body.contains("Resend code"), "{}", page.body);

    let person = server.person();
    let page = end(&person, "Try: wrong code").await;
    assert_eq!((page.status, page.heading().as_str()), (400, "Enter your code"), "{}", page.body);
    assert!(page.alert().contains("4 attempts left"), "{}", page.body);

    let person = server.person();
    let page = end(&person, "Try: other browser").await;
    assert!(page.body.contains("It would be refused: same-browser enforcement is on."), "{}", page.body);
    let timeline = page.body.split("/dashboard/flows/").nth(1).unwrap().split('"').next().unwrap();
    let timeline = person.get(&format!("/dashboard/flows/{timeline}")).await;
    assert!(timeline.body.contains("in another browser"), "{}", timeline.body);
}

#[tokio::test]
async fn after_a_failure_the_same_browser_signs_in_still() {
    let server = TestServer::start().await;
    let person = server.person();
    let (refused, email) = click(&person, TRY, "Try: wrong code").await;
    let sign_in = refused.split('?').next().unwrap().to_owned();
    let callback = prove(&person, (sign_in, email)).await;
    let page = result(&person, &callback).await;
    assert_eq!((page.alert(), complaints(&page)), (String::new(), vec![]));
}

/// Whether the page has a button of this name.
fn has_button(page: &Page, button: &str) -> bool {
    page.body.contains(&format!("aria-label=\"{button}\""))
}

#[tokio::test]
async fn a_failure_that_cannot_be_had_says_what_stands_in_its_way() {
    let only_links = TestServer::with("[faults]\naddresses = false\n[passwordless]\ntype = \"LINK\"\n").await;
    let page = only_links.get(TRY).await;
    assert!(!has_button(&page, "Try: wrong code") && page.body.contains("Emails have no code here."));
    assert!(!has_button(&page, "Try: denied") && page.body.contains("which are switched off here"));
    let person = only_links.person();
    let page = end(&person, "Sign in at once").await;
    assert!(page.body.contains("link_token"), "the link of the email signs in: {}", page.body);

    let only_codes = TestServer::with("[passwordless]\ntype = \"OTP\"\n").await;
    let page = only_codes.get(TRY).await;
    assert!(!has_button(&page, "Try: other browser") && page.body.contains("Emails have no link here."));

    let everywhere = TestServer::with("[passwordless]\nenforce_same_browser_origin = false\n").await;
    let page = everywhere.get(TRY).await;
    assert!(
        !has_button(&page, "Try: other browser") && page.body.contains("Links work in every browser here")
    );
}

#[tokio::test]
async fn a_sign_in_that_may_send_no_email_stays_on_its_page() {
    let server = TestServer::with("[limits]\nmails_per_address = 1\n").await;
    let person = server.person();
    end(&person, "Try: wrong code").await;
    let page = end(&person, "Try: wrong code").await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("ada+wrong-code@example.com"), "the address is filled in: {}", page.body);
}

#[tokio::test]
async fn where_a_login_hint_sends_nothing_the_click_does() {
    let server = TestServer::with("login_hint = \"prefill\"\n").await;
    let page = end(&server.person(), "Try: wrong code").await;
    assert!(page.alert().contains("4 attempts left"), "{}", page.body);
}

#[tokio::test]
async fn a_public_client_uses_pkce_and_what_is_wrong_stands_beside_its_field() {
    let server = TestServer::start().await;
    let person = server.person();
    let public = server.app.live().environment.first_public_client().unwrap().client_id.clone();
    let form = [("client_id", public.as_str()), ("scope", "openid"), ("login_hint", "ada@example.com")];
    let authorize = person.send(TRY, &form).await.location.unwrap();
    assert!(authorize.contains("code_challenge_method=S256"), "{authorize}");
    let sign_in = person.get(&authorize).await.location.unwrap();
    let callback = prove(&person, (sign_in, "ada@example.com".to_owned())).await;
    let page = result(&person, &callback).await;
    assert_eq!((page.alert(), complaints(&page)), (String::new(), vec![]));
    assert!(!page.body.contains("client_secret="), "a public client has no secret");

    let page = person.post(TRY, &[("client_id", "skc_unknown")]).await;
    assert_eq!(page.status, 400);
    assert!(page.body.contains("is not an application of this environment"), "{}", page.body);
    let page = person.send("/dashboard/try/refresh", &[]).await;
    assert!(page.location.unwrap().ends_with("/result"), "without a refresh token there is nothing new");
}

#[tokio::test]
async fn an_application_that_may_not_return_here_is_told_how() {
    let server = TestServer::with(STRICT).await;
    let page = server.get(TRY).await;
    assert!(page.body.contains("These applications may not return to this page"), "{}", page.body);
    let callback = format!("{}/dashboard/try/callback", server.url);
    assert!(page.body.contains(&callback), "{}", page.body);
    server
        .post("/oauth/authorize/allow", &[("client_id", CLIENT_ID), ("redirect_uri", callback.as_str())])
        .await;
    let page = signed_in(&server.person()).await;
    assert_eq!(page.alert(), "");
}

/// The client of Try it, as the control API shows it.
async fn own_client(server: &TestServer) -> Value {
    server.do_control("PATCH", "/clients/try_it", json!({})).await
}

#[tokio::test]
async fn where_no_application_may_return_the_pages_own_client_signs_in() {
    let server = TestServer::with(STRICT).await;
    let person = server.person();
    let page = signed_in(&person).await;
    assert_eq!((page.alert(), complaints(&page)), (String::new(), vec![]));
    assert!(page.body.contains("try_it") && !page.body.contains(CLIENT_SECRET), "{}", page.body);
    let own = own_client(&server).await;
    let callback = format!("{}/dashboard/try/callback", server.url);
    assert_eq!((own["type"].as_str(), &own["redirect_uris"]), (Some("spa"), &json!([callback])));
    signed_in(&server.person()).await;

    // The same server by another name, such as that of its container.
    let elsewhere = json!({ "post_login_uris": ["http://vestibule:6870/dashboard/try/callback"] });
    server.do_control("PATCH", "/api/clients/try_it", elsewhere).await;
    assert_eq!(signed_in(&server.person()).await.alert(), "");
}

#[tokio::test]
async fn the_pages_own_client_is_no_application() {
    let server = TestServer::with(STRICT).await;
    let people: Vec<_> = (0..2).map(|_| server.person()).collect();
    join_all(people.iter().map(|person| press(person, "Sign in as ada@example.com"))).await;
    let own = own_client(&server).await;
    server.do_control("PATCH", "/settings", json!({ "clients": [own] })).await;
    let person = server.person();
    let page = signed_in(&person).await;
    assert_eq!((page.alert(), complaints(&page)), (String::new(), vec![]));
    let page = person.get("/dashboard/try/headless").await;
    assert!(page.body.contains("Create an application first"), "{}", page.body);
    assert!(server.app.live().environment.first_public_client().is_none(), "applications use their own");
}

#[tokio::test]
async fn headless_emails_are_sent_sent_again_and_verified() {
    let server = TestServer::start().await;
    let person = server.person();
    let path = "/dashboard/try/headless";
    let refused = person.post(path, &[("act", "send"), ("email", "ada@")]).await;
    assert_eq!((refused.status, refused.alert().starts_with("INVALID_ARGUMENT: ")), (400, true));
    let sent = person.post(path, &[("act", "send"), ("email", "ada@example.com")]).await;
    let id = form(&sent, "Resend").into_iter().find(|(name, _)| name == "auth_request_id").unwrap().1;
    let sent = person.post(path, &[("act", "resend"), ("auth_request_id", &id)]).await;
    assert!(sent.body.contains("auth_request_id") && sent.alert().is_empty(), "{}", sent.body);
    let code = server.code_for("ada@example.com").await;
    let wrong = other_than(&code);
    let verify = async |code: &str| {
        person.post(path, &[("act", "verify"), ("auth_request_id", &id), ("code", code)]).await
    };
    assert!(verify(&wrong).await.alert().starts_with("INVALID_CODE: "));
    let proven = verify(&code).await;
    assert_eq!((proven.status, proven.alert()), (200, String::new()));
    assert!(proven.body.contains("&#34;email&#34;: &#34;ada@example.com&#34;"), "{}", proven.body);
    let page = server.link_for("ada@example.com").await;
    assert!(person.get(&page).await.body.contains("_l"), "the link of the email fills in its token");
}

#[tokio::test]
async fn forms_of_other_sites_are_refused_and_without_a_sign_in_there_is_no_result() {
    let server = TestServer::start().await;
    let forged = server.http().post(format!("{}{TRY}", server.url)).header("origin", "https://evil.example");
    assert_eq!(forged.form(&[("client_id", CLIENT_ID)]).send().await.unwrap().status(), 403);
    for path in ["/dashboard/try/result", "/dashboard/try/refresh", "/dashboard/try/log-out"] {
        let location = server.get(path).await.location.unwrap();
        assert!(location.contains("/dashboard/try"), "{path}: {location}");
    }
}

#[tokio::test]
async fn in_production_mode_it_is_not_there() {
    let toml = "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\nclient_id = \"skc_1\"\n\
                client_secret = \"a secret of our own\"\n[smtp]\nhost = \"127.0.0.1\"\nport = 9\n";
    let server = TestServer::with(toml).await;
    for path in [TRY, "/dashboard/try/callback", "/dashboard/try/result"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
}
