//! The browser's session: silent sign-in, and what asks for a new proof.

use rstest::rstest;
use serde_json::json;

use crate::links::follow;
use crate::support::person::claims;
use crate::support::{CALLBACK, TestServer};

const TWO_APPS: &str = "
[[clients]]
client_id = \"one\"
client_secret = \"s1\"
[[clients]]
client_id = \"two\"
client_secret = \"s2\"
";

#[tokio::test]
async fn a_session_signs_in_silently_at_another_application() {
    let server = TestServer::with(TWO_APPS).await;
    let person = server.person();
    let first = person.sign_in_with("jane@example.com", &[("client_id", "one")]).await;
    let second = person.authorize(&[("client_id", "two")]).await;
    let exchange = |client: &'static str, secret: &'static str, code: String| {
        let server = &server;
        async move {
            let form = [
                ("grant_type", "authorization_code"),
                ("code", code.as_str()),
                ("redirect_uri", CALLBACK),
                ("client_id", client),
                ("client_secret", secret),
            ];
            server.post("/oauth/token", &form).await.json()
        }
    };
    let one = exchange("one", "s1", first.answer("code").unwrap()).await;
    let two = exchange("two", "s2", second.answer("code").unwrap()).await;
    assert_eq!(claims(&one["id_token"])["sid"], claims(&two["id_token"])["sid"]);
    assert_eq!(claims(&two["id_token"])["email"], "jane@example.com");
}

#[tokio::test]
async fn prompt_none_answers_with_a_code_when_a_session_allows_it() {
    let server = TestServer::start().await;
    let person = server.person();
    person.sign_in("jane@example.com").await;
    assert!(person.authorize(&[("prompt", "none")]).await.answer("code").is_some());
    let other = person.authorize(&[("prompt", "none"), ("login_hint", "bob@example.com")]).await;
    assert_eq!(other.answer("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn prompt_login_and_max_age_demand_a_new_proof() {
    let server = TestServer::start().await;
    let person = server.person();
    let first = person.tokens("jane@example.com").await;
    server.advance_s(120);
    for parameters in [[("prompt", "login")], [("max_age", "60")], [("max_age", "0")], [("prompt", "create")]]
    {
        let page = person.authorize(&parameters).await;
        assert!(page.location.as_deref().unwrap().contains("/login/"), "{parameters:?}");
    }
    assert!(person.authorize(&[("max_age", "121")]).await.answer("code").is_some());
    let renewed = person.sign_in_with("jane@example.com", &[("prompt", "login")]).await;
    let second = server.exchange(&renewed.answer("code").unwrap()).await.json();
    let (before, after) = (claims(&first["id_token"]), claims(&second["id_token"]));
    assert_eq!(before["sid"], after["sid"], "the same person's proof renews the session");
    assert_eq!(after["auth_time"].as_i64().unwrap() - before["auth_time"].as_i64().unwrap(), 120);
}

#[tokio::test]
async fn signing_in_as_somebody_else_ends_the_first_session() {
    let server = TestServer::start().await;
    let person = server.person();
    let jane = person.tokens("jane@example.com").await;
    let bob = person.sign_in_with("bob@example.com", &[("prompt", "login")]).await;
    let bob = server.exchange(&bob.answer("code").unwrap()).await.json();
    assert_ne!(claims(&jane["id_token"])["sid"], claims(&bob["id_token"])["sid"]);
    let refresh =
        [("grant_type", "refresh_token"), ("refresh_token", jane["refresh_token"].as_str().unwrap())];
    assert_eq!(server.token(&refresh).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_session_ends_by_idling() {
    let server = TestServer::with("[sessions]\nidle_timeout_s = 600\nabsolute_timeout_s = 3600").await;
    let person = server.person();
    person.sign_in("jane@example.com").await;
    for _ in 0..4 {
        server.advance_s(599);
        assert!(person.authorize(&[("prompt", "none")]).await.answer("code").is_some());
    }
    server.advance_s(600);
    assert_eq!(
        person.authorize(&[("prompt", "none")]).await.answer("error").as_deref(),
        Some("login_required")
    );
}

#[tokio::test]
async fn prompt_create_shows_the_sign_up_page() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start_with(&[("prompt", "create")]).await;
    assert_eq!(person.get(&sign_in).await.heading(), "Create your account");
    person.post(&format!("{sign_in}/email"), &[("email", "new@example.com")]).await;
    assert_eq!(server.mail_to("new@example.com").await["kind"], "signup");
}

#[tokio::test]
async fn select_account_offers_the_session_or_another_address() {
    let server = TestServer::start().await;
    let person = server.person();
    person.sign_in("jane@example.com").await;
    let sign_in = person.start_with(&[("prompt", "select_account")]).await;
    let page = person.get(&sign_in).await;
    assert_eq!(page.heading(), "Choose an account");
    assert!(page.body.contains("jane@example.com"));
    let other = person.post(&format!("{sign_in}/account"), &[("choice", "other")]).await;
    assert_eq!(person.get(&other.location.unwrap()).await.heading(), "Sign in to Vestibule");
    let same = person.post(&format!("{sign_in}/account"), &[("choice", "continue")]).await;
    assert!(same.answer("code").is_some());
}

#[tokio::test]
async fn a_hint_that_is_somebody_elses_id_token_is_no_silent_sign_in() {
    let server = TestServer::start().await;
    let (jane, bob) = (server.person(), server.person());
    let of_jane = jane.tokens("jane@example.com").await["id_token"].as_str().unwrap().to_owned();
    bob.sign_in("bob@example.com").await;
    let page = bob.authorize(&[("prompt", "none"), ("id_token_hint", &of_jane)]).await;
    assert_eq!(page.answer("error").as_deref(), Some("login_required"));
    server.advance_s(300_000);
    jane.sign_in_with("jane@example.com", &[("prompt", "login")]).await;
    let page = jane.authorize(&[("prompt", "none"), ("id_token_hint", &of_jane)]).await;
    assert!(page.answer("code").is_some(), "an expired hint still names its person");
}

const FULL_STACK: &str = "[tokens]\nuser_management = true\n";

#[rstest]
#[case::modular("")]
#[case::full_stack(FULL_STACK)]
#[tokio::test]
async fn an_application_that_names_a_person_gets_nobody_elses_code(#[case] profile: &str) {
    let server = TestServer::with(&format!("{profile}[limits]\nmails_per_address = 0")).await;
    let (jane, bob) = (server.person(), server.person());
    let of_jane = jane.tokens("jane@example.com").await["id_token"].clone();
    let subject = claims(&of_jane)["sub"].as_str().unwrap().to_owned();
    let by = |member: &str, value: serde_json::Value| json!({ member: { "sub": value } }).to_string();
    let named = [
        ("claims", by("id_token", json!({ "value": subject }))),
        ("claims", by("id_token", json!({ "value": subject, "essential": true }))),
        ("claims", by("userinfo", json!({ "value": subject }))),
        ("claims", by("id_token", json!({ "values": ["somebody", subject] }))),
        ("id_token_hint", of_jane.as_str().unwrap().to_owned()),
    ];
    bob.sign_in("bob@example.com").await;
    for (name, value) in &named {
        let asked = [(*name, value.as_str())];
        // Jane's session answers, Bob's does not.
        assert!(jane.authorize(&asked).await.answer("code").is_some(), "{value}");
        let silent = bob.authorize(&[asked[0], ("prompt", "none")]).await;
        assert_eq!(silent.answer("error").as_deref(), Some("login_required"), "{value}");
        // The form knows whom it is for, where the application's words tell the address.
        let form = bob.get(&bob.start_with(&asked).await).await;
        let tells_address = (profile.is_empty() && !value.contains("values")) || *name == "id_token_hint";
        assert_eq!(form.body.contains("value=\"jane@example.com\""), tells_address, "{value}");
        // Nor does Bob's proof, by code or link, known here or new, nor his choice of his session.
        for address in ["bob@example.com", "new@example.com"] {
            let refused = bob.sign_in_with(address, &asked).await;
            assert_eq!(refused.answer("error").as_deref(), Some("login_required"), "{value}");
            assert_eq!((refused.answer("code"), refused.header("set-cookie")), (None, ""), "{value}");
        }
        bob.start_with(&[asked[0], ("login_hint", "bob@example.com")]).await;
        let refused = follow(&bob, &server.link_for("bob@example.com").await).await;
        assert_eq!(refused.answer("error").as_deref(), Some("login_required"), "{value}");
        let chooser = bob.start_with(&[asked[0], ("prompt", "select_account")]).await;
        let chosen = bob.post(&format!("{chooser}/account"), &[("choice", "continue")]).await;
        assert_eq!(chosen.answer("code"), None, "{value}");
        // Jane's does, in Bob's browser too.
        let back = server.person().sign_in_with("jane@example.com", &asked).await;
        let tokens = server.exchange(&back.answer("code").unwrap()).await.json();
        assert_eq!(claims(&tokens["id_token"])["sub"], subject.as_str());
    }
    assert!(bob.authorize(&[("prompt", "none")]).await.answer("code").is_some(), "Bob's session goes on");
}

#[tokio::test]
async fn an_acr_that_has_to_be_and_cannot_is_told_to_the_application() {
    let server = TestServer::start().await;
    let person = server.person();
    person.sign_in("jane@example.com").await;
    let asked =
        |essential: bool| json!({ "id_token": { "acr": { "essential": essential, "values": ["2"] } } });
    let page = person.authorize(&[("claims", &asked(true).to_string())]).await;
    assert_eq!(page.answer("error").as_deref(), Some("unmet_authentication_requirements"));
    assert!(person.authorize(&[("claims", &asked(false).to_string())]).await.answer("code").is_some());
}

#[tokio::test]
async fn cookies_are_http_only_and_lax() {
    let server = TestServer::start().await;
    let person = server.person();
    let page = person.sign_in_with("jane@example.com", &[]).await;
    let cookie = page.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Path=/"),
        "{cookie}"
    );
    let secure = TestServer::with("public_urls = [\"https://id.test\"]").await;
    let page = secure.person().authorize(&[]).await;
    let cookie = page.header("set-cookie");
    assert!(cookie.starts_with("__Host-") && cookie.contains("Secure"), "{cookie}");
}
