//! Email floods: what strangers can make the server send, and who is not held up by that.

use std::path::Path;

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::config::{Config, Source};

use crate::support::person::Page;
use crate::support::{CALLBACK, CLIENT_ID, Engine, TestServer, configuration};

const LIMITED: &str = "trusted_proxies = [\"127.0.0.1\", \"::1\"]\n[limits]\nmails_per_source = 5\nmails_in_all = 8\n\
                       [passwordless]\ntype = \"OTP\"\n";

/// A browser without cookies is led to `/oauth/authorize` for an address.
async fn lure(server: &TestServer, address: &str, headers: &[(&str, &str)]) -> Page {
    let query = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("scope", "openid"),
        ("login_hint", address),
    ];
    let mut request = server.http().get(format!("{}/oauth/authorize", server.url)).query(&query);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Page::of(request.send().await.unwrap()).await
}

async fn mails(server: &TestServer) -> usize {
    server.get("/_emulator/v1/messages").await.json()["messages"].as_array().unwrap().len()
}

#[rstest]
#[tokio::test]
async fn a_source_and_all_sources_together_cause_so_many_emails_and_no_more(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, LIMITED).await else { return };
    let (server, addresses) =
        (&server, |who: &'static str| (0..30).map(move |n| format!("{who}{n}@example.com")));
    join_all(
        addresses("a").map(|a| async move { lure(server, &a, &[("x-forwarded-for", "192.0.2.1")]).await }),
    )
    .await;
    assert_eq!(
        mails(server).await,
        5,
        "one source, whatever it writes before the address that the proxy saw"
    );
    // Who is held back sees the form, and when to come back.
    let forged = [("x-forwarded-for", "198.51.100.9, 192.0.2.1")];
    let page = lure(server, "jane@example.com", &forged).await;
    assert_eq!(page.status, 303);
    let other = join_all(
        addresses("b").map(|a| async move { lure(server, &a, &[("x-forwarded-for", "2001:db8::1")]).await }),
    );
    other.await;
    assert_eq!(mails(server).await, 8, "all sources together");
    // An application's server has a name, and is held up by nobody.
    let url = format!("{}/api/v1/passwordless/email/send", server.url);
    let send = server.http().post(url).bearer_auth(server.client_token().await);
    let sent = send.json(&json!({ "email": "bob@example.com" })).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    server.advance_s(60);
    lure(server, "jane@example.com", &forged).await;
    assert_eq!(server.mails_to("jane@example.com").await.len(), 1);
}

#[tokio::test]
async fn who_is_held_back_is_told_when_to_come_back() {
    let server = TestServer::with("[limits]\nmails_per_source = 1\n").await;
    server.person().start("ada@example.com").await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    assert_eq!(person.get(&sign_in).await.heading(), "Sign in to Vestibule");
    let page = person.post(&format!("{sign_in}/email"), &[("email", "jane@example.com")]).await;
    assert_eq!((page.status, page.header("retry-after")), (429, "60"));
    assert!(page.alert().contains("limits.mails_per_source = 0"), "{}", page.alert());
    let id = sign_in.rsplit('/').next().unwrap();
    let flow = server.do_control("GET", &format!("/flows/{id}"), Value::Null).await;
    assert!(flow.to_string().contains("limits.mails_per_source"), "{flow}");
}

#[tokio::test]
async fn only_somebody_who_goes_there_is_emailed_by_a_hint() {
    let server = TestServer::start().await;
    for (dest, sends) in
        [("image", false), ("empty", false), ("script", false), ("document", true), ("iframe", true)]
    {
        let address = format!("{dest}@example.com");
        let page = lure(&server, &address, &[("sec-fetch-dest", dest)]).await;
        assert_eq!(page.status, 303, "{dest}");
        assert_eq!(server.mails_to(&address).await.len(), usize::from(sends), "{dest}");
    }
}

#[test]
fn production_mode_limits_emails_by_default_and_development_only_per_address() {
    let development = configuration("").environment.limits;
    assert_eq!((development.mails_per_source, development.mails_in_all), (None, None));
    let mut source = Source::default();
    let toml = "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\nclient_id = \"skc_1\"\n\
                client_secret = \"Jf8qKz2mWx7vRt4pLb9sYc6nHd3gTe5a\"\n[smtp]\nhost = \"mail.example.com\"\n\
                [mail]\nfrom_address = \"no-reply@example.com\"\n";
    source.add_file(Path::new("vestibule.toml"), toml);
    let production = Config::read(source, Path::new(".")).unwrap().environment.limits;
    assert_eq!((production.mails_per_source, production.mails_in_all), (Some(30), Some(600)));
}

/// What the spec does that Scalekit publishes for Playwright, at each of its runs: a fresh browser, the address typed, the
/// code typed; here with all the limits there are by default, and by those that production mode adds.
#[rstest]
#[case("")]
#[case("[limits]\nmails_per_source = 1\nmails_in_all = 1\n")]
#[tokio::test]
async fn a_browser_suite_signs_its_test_user_in_again_and_again_within_a_minute(#[case] toml: &str) {
    let server = TestServer::with(toml).await;
    for run in 1..=5 {
        let person = server.person();
        let sign_in = person.start_with(&[]).await;
        let sent = person.post(&format!("{sign_in}/email"), &[("email", "john+sktest@example.com")]).await;
        assert_eq!(sent.status, 303, "run {run}: {}", sent.body);
        let page = person.get(&sign_in).await;
        assert_eq!((page.status, page.alert()), (200, String::new()), "run {run}");
        let done = person.enter_code(&sign_in, "424242").await;
        assert_eq!(server.exchange(&done.answer("code").unwrap()).await.status, 200, "run {run}");
    }
}

#[rstest]
#[tokio::test]
async fn test_users_sign_in_as_often_as_they_like_because_nothing_is_sent(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let toml = format!("{LIMITED}[test_users]\npatterns = [\"*+sktest*@*\"]\n");
    let Some(server) = TestServer::on(engine, &toml).await else { return };
    for _ in 0..10 {
        let person = server.person();
        let sign_in = person.start("john+sktest@example.com").await;
        assert_eq!(person.post(&format!("{sign_in}/resend"), &[]).await.status, 303);
        assert_eq!(person.enter_code(&sign_in, "424242").await.status, 303);
    }
    let api = async |what: &str, body: Value| {
        let url = format!("{}/api/v1/passwordless/email/{what}", server.url);
        let page = server.http().post(url).bearer_auth(server.client_token().await).json(&body);
        Page::of(page.send().await.unwrap()).await
    };
    for _ in 0..3 {
        let sent = api("send", json!({ "email": "john+sktest@example.com" })).await;
        assert_eq!(sent.status, 200, "{}", sent.body);
        let id = sent.json()["auth_request_id"].clone();
        assert_eq!(api("resend", json!({ "auth_request_id": id })).await.status, 200);
    }
    // Others have their limit, and developers are told how to lift it.
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    person.post(&format!("{sign_in}/resend"), &[]).await;
    let page = person.post(&format!("{sign_in}/resend"), &[]).await;
    assert_eq!((page.status, page.header("retry-after")), (429, "60"));
    assert!(page.alert().contains("limits.mails_per_address = 0"), "{}", page.alert());
}
