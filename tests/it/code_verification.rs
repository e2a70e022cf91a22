//! Proving an address by code: attempts, expiry, resends, limits.

use futures_util::future::join_all;
use rstest::rstest;

use crate::support::person::{Page, other_than};
use crate::support::{Engine, TestServer};

#[rstest]
#[tokio::test]
async fn after_five_wrong_codes_nothing_is_sent_or_judged_and_the_person_starts_again(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    for left in ["4 attempts left", "3 attempts left", "2 attempts left", "1 attempt left"] {
        let page = person.enter_code(&sign_in, &other_than(&code)).await;
        assert_eq!(page.status, 400);
        assert!(page.alert().contains(left), "{}", page.alert());
    }
    let page = person.enter_code(&sign_in, &other_than(&code)).await;
    assert_eq!((page.status, page.heading().as_str()), (429, "Too many incorrect codes"));
    assert!(page.body.contains("Start again") && !page.body.contains("/resend"), "{}", page.body);
    // Neither the right code nor a new one, which would not be judged; nor the link of the closed sign-in.
    assert_eq!(person.enter_code(&sign_in, &code).await.status, 429);
    person.post(&format!("{sign_in}/resend"), &[]).await;
    person.post(&format!("{sign_in}/email"), &[("email", "bob@example.com")]).await;
    assert_eq!(server.mails_to("jane@example.com").await.len(), 1);
    assert!(server.mails_to("bob@example.com").await.is_empty());
    let link = server.link_for("jane@example.com").await;
    assert_eq!(person.get(&link).await.heading(), "Too many incorrect codes");
    let again = person.post(&format!("{sign_in}/restart"), &[]).await;
    let page = person.get(&again.location.unwrap()).await;
    assert_eq!(page.heading(), "Sign in to Vestibule");
}

#[rstest]
#[tokio::test]
async fn parallel_guesses_over_two_replicas_are_judged_five_times_in_all(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let other = server.beside(&format!("public_urls = [\"{}\"]", server.url)).await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    let wrong = other_than(&code);
    let replicas = [sign_in.clone(), sign_in.replace(&server.url, &other.url)];
    let host = server.url.trim_start_matches("http://");
    let guesses = (0..40).map(|i| {
        // Both replicas are on localhost; the cookie is named after the public URL they share.
        let address = replicas[i % 2].clone();
        let (person, wrong) = (&person, &wrong);
        async move {
            let request = person.browser.post(format!("{address}/code")).header("host", host);
            let page = Page::of(request.form(&[("code", wrong.as_str())]).send().await.unwrap()).await;
            page.location.unwrap()
        }
    });
    let leads_to = join_all(guesses).await;
    assert!(leads_to.iter().all(|l| l.starts_with(&sign_in)), "{leads_to:?}");
    let id = sign_in.rsplit('/').next().unwrap();
    let request = server
        .app
        .store()
        .auth_request::<vestibule::domain::auth_request::Hosted>(&server.app.id, id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(request.attempts.to_text().split(',').count(), 5, "exactly five were judged");
    assert_eq!(person.enter_code(&sign_in, &code).await.status, 429);
}

#[rstest]
#[tokio::test]
async fn a_right_code_used_many_times_at_once_signs_in_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "[limits]\ncode_attempts = 100").await else { return };
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    let pages = join_all((0..30).map(|_| person.enter_code(&sign_in, &code))).await;
    let codes = pages.iter().filter(|p| p.answer("code").is_some()).count();
    assert_eq!(codes, 1, "{:?}", pages.iter().map(|p| p.status).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_whole_sign_in_takes_at_most_six_commits() {
    let server = TestServer::start().await;
    let person = server.person();
    let before = server.app.store().commits();
    let sign_in = person.start_with(&[]).await;
    person.post(&format!("{sign_in}/email"), &[("email", "jane@example.com")]).await;
    let code = server.code_for("jane@example.com").await;
    let back = person.enter_code(&sign_in, &code).await;
    assert_eq!(server.exchange(&back.answer("code").unwrap()).await.status, 200);
    let commits = server.app.store().commits() - before;
    assert!((1..=6).contains(&commits), "{commits} commits");
}

#[tokio::test]
async fn a_code_expires_with_its_validity_and_a_new_one_works() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    server.advance_s(300);
    let page = person.enter_code(&sign_in, &code).await;
    assert_eq!(page.status, 400);
    assert!(page.alert().contains("expired"), "{}", page.alert());
    assert_eq!(person.post(&format!("{sign_in}/resend"), &[]).await.status, 303);
    let code = server.code_for("jane@example.com").await;
    assert_eq!(person.enter_code(&sign_in, &code).await.status, 303);
}

#[tokio::test]
async fn a_sign_in_left_alone_expires() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    server.advance_s(3600);
    let page = person.get(&sign_in).await;
    assert_eq!((page.status, page.heading().as_str()), (410, "This code has expired"));
}

#[rstest]
#[tokio::test]
async fn a_resend_kills_the_earlier_code_and_link_when_credentials_are_regenerated(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let first = server.mail_to("jane@example.com").await;
    person.post(&format!("{sign_in}/resend"), &[]).await;
    let second = server.mail_to("jane@example.com").await;
    assert_ne!(first["code"], second["code"]);
    let page = person.enter_code(&sign_in, first["code"].as_str().unwrap()).await;
    assert_eq!(page.status, 400);
    assert_eq!(person.get(first["link"].as_str().unwrap()).await.status, 410);
    assert_eq!(person.enter_code(&sign_in, second["code"].as_str().unwrap()).await.status, 303);
}

#[tokio::test]
async fn a_resend_repeats_the_same_credentials_when_set_so() {
    let server =
        TestServer::with("[passwordless]\nregenerate_passwordless_credentials_on_resend = false").await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let first = server.mail_to("jane@example.com").await;
    person.post(&format!("{sign_in}/resend"), &[]).await;
    let mails = server.mails_to("jane@example.com").await;
    assert_eq!(mails.len(), 2);
    assert_eq!((&mails[0]["code"], &mails[0]["link"]), (&first["code"], &first["link"]));
    assert_eq!(person.enter_code(&sign_in, first["code"].as_str().unwrap()).await.status, 303);
}

#[rstest]
#[tokio::test]
async fn an_address_gets_two_emails_a_minute_sends_and_resends_together(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    assert_eq!(person.post(&format!("{sign_in}/resend"), &[]).await.status, 303);
    let page = person.post(&format!("{sign_in}/resend"), &[]).await;
    assert_eq!(page.status, 429);
    assert!(page.alert().contains("Try again in 60 seconds"), "{}", page.alert());
    // The limit is the address's, however it is spelt and whoever asks.
    let other = server.person();
    let page = other.get(&other.start("JANE@example.com").await).await;
    assert_eq!(page.heading(), "Sign in to Vestibule");
    let sign_ins = join_all((0..10).map(|_| other.start("bob@example.com"))).await;
    assert_eq!(sign_ins.len(), 10);
    assert_eq!(server.mails_to("bob@example.com").await.len(), 2);
    server.advance_s(60);
    assert_eq!(person.post(&format!("{sign_in}/resend"), &[]).await.status, 303);
    assert_eq!(server.mails_to("jane@example.com").await.len(), 3);
}

#[tokio::test]
async fn the_email_limit_can_be_switched_off() {
    let server = TestServer::with("[limits]\nmails_per_address = 0").await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    for _ in 0..5 {
        assert_eq!(person.post(&format!("{sign_in}/resend"), &[]).await.status, 303);
    }
    assert_eq!(server.mails_to("jane@example.com").await.len(), 6);
}

#[tokio::test]
async fn each_type_emails_what_it_says() {
    for (kind, has_code, has_link) in [("OTP", true, false), ("LINK", false, true), ("LINK_OTP", true, true)]
    {
        let server = TestServer::with(&format!("[passwordless]\ntype = \"{kind}\"")).await;
        let person = server.person();
        let sign_in = person.start("jane@example.com").await;
        let mail = server.mail_to("jane@example.com").await;
        assert_eq!((mail["code"].is_string(), mail["link"].is_string()), (has_code, has_link), "{kind}");
        let page = person.get(&sign_in).await;
        assert_eq!(page.body.contains("name=\"code\""), has_code, "{kind}");
        assert_eq!(page.heading(), if has_code { "Enter your code" } else { "Check your email" });
    }
}

#[tokio::test]
async fn test_users_sign_in_with_the_static_code_and_are_marked() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("john+sktest@example.com").await;
    let mail = server.mail_to("john+sktest@example.com").await;
    assert_eq!((mail["test_user"].as_bool(), mail["code"].as_str()), (Some(true), Some("424242")));
    assert_eq!(person.enter_code(&sign_in, "424242").await.status, 303);
    // The static code opens nobody else's sign-in.
    let other = server.person();
    let sign_in = other.start("john@example.com").await;
    assert_eq!(other.enter_code(&sign_in, "424242").await.status, 400);
}

#[tokio::test]
async fn a_test_user_may_use_the_link_too() {
    let server = TestServer::with("[passwordless]\ntype = \"LINK\"").await;
    let person = server.person();
    person.start("john+sktest@example.com").await;
    let link = server.link_for("john+sktest@example.com").await;
    assert_eq!(crate::links::follow(&person, &link).await.status, 303);
}

#[tokio::test]
async fn what_was_typed_is_still_there_beside_the_error() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start_with(&[]).await;
    let page = person.post(&format!("{sign_in}/email"), &[("email", "jane@exam ple.com")]).await;
    assert!(page.body.contains("value=\"jane@exam ple.com\""), "{}", page.body);
}

#[tokio::test]
async fn codes_may_be_typed_in_groups() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    let grouped = format!(" {}-{} ", &code[..3], &code[3..]);
    assert_eq!(person.enter_code(&sign_in, &grouped).await.status, 303);
}

#[tokio::test]
async fn not_you_starts_over_with_an_empty_form() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    assert!(person.get(&sign_in).await.body.contains("Not you?"));
    let again = person.post(&format!("{sign_in}/restart"), &[]).await.location.unwrap();
    let page = person.get(&again).await;
    assert_eq!(page.heading(), "Sign in to Vestibule");
    assert!(!page.body.contains("jane@example.com"));
    assert_eq!(person.post(&format!("{again}/email"), &[("email", "bob@example.com")]).await.status, 303);
    let code = server.code_for("bob@example.com").await;
    let done = person.enter_code(&again, &code).await;
    assert_eq!(done.answer("state").as_deref(), Some("af0ifjsldkj"));
}

#[tokio::test]
async fn known_and_unknown_addresses_look_alike() {
    let server = TestServer::start().await;
    server.person().sign_in("known@example.com").await;
    let (one, two) = (server.person(), server.person());
    let known = one.get(&one.start("known@example.com").await).await;
    let unknown = two.get(&two.start("other@example.com").await).await;
    assert_eq!(known.status, unknown.status);
    let neutral = |page: Page, name: &str| {
        let id = page.url.rsplit('/').next().unwrap().to_owned();
        page.body.replace(&id, "ID").replace(name, "ADDRESS")
    };
    assert_eq!(neutral(known, "known@example.com"), neutral(unknown, "other@example.com"));
}

#[tokio::test]
async fn closed_sign_up_is_told_only_to_who_proved_the_address() {
    let server =
        TestServer::with("[passwordless]\nsign_up_allowed = false\n[[users]]\nemail = \"jane@example.com\"")
            .await;
    assert_eq!(server.person().sign_in_with("jane@example.com", &[]).await.answer("error"), None);
    let stranger = server.person().sign_in_with("stranger@example.com", &[]).await;
    assert_eq!(stranger.answer("error").as_deref(), Some("access_denied"));
    assert_eq!(stranger.answer("code"), None);
}

#[tokio::test]
async fn forms_sent_from_another_site_are_refused() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let request =
            person.browser.post(format!("{sign_in}/code")).form(&[("code", &code)]).header(name, value);
        assert_eq!(request.send().await.unwrap().status().as_u16(), 403, "{name}: {value}");
    }
    let request =
        person.browser.post(format!("{sign_in}/code")).form(&[("code", &code)]).header("origin", &server.url);
    assert_eq!(request.send().await.unwrap().status().as_u16(), 303);
}

#[tokio::test]
async fn a_demonstration_shows_the_code_and_the_link_and_no_other_page_does() {
    let server = TestServer::with("demo = true").await;
    let person = server.person();
    let page = person.start("jane@example.com").await;
    let shown = person.get(&page).await;
    let code = server.code_for("jane@example.com").await;
    assert!(shown.body.contains(&code) && shown.body.contains("Demo: codes"), "{}", shown.body);
    assert_eq!(person.enter_code(&page, &code).await.status, 303);
    let links = TestServer::with("demo = true\n[passwordless]\ntype = \"LINK\"").await;
    let person = links.person();
    let shown = person.get(&person.start("jane@example.com").await).await;
    assert!(shown.body.contains(&links.link_for("jane@example.com").await), "{}", shown.body);
    let sober = TestServer::start().await;
    let person = sober.person();
    let shown = person.get(&person.start("jane@example.com").await).await;
    assert!(!shown.body.contains(&sober.code_for("jane@example.com").await));
}

#[rstest]
#[case::code_length(serde_json::json!({ "passwordless": { "code_length": 8 }, "test_users": { "static_code": "22222222" } }))]
#[case::validity(serde_json::json!({ "passwordless": { "validity_s": 60 } }))]
#[case::type_without_codes(serde_json::json!({ "passwordless": { "type": "LINK" } }))]
#[case::type_without_links(serde_json::json!({ "passwordless": { "type": "OTP" } }))]
#[case::static_code(serde_json::json!({ "test_users": { "static_code": "222222" } }))]
#[case::no_test_users(serde_json::json!({ "test_users": { "enabled": false } }))]
#[case::other_test_users(serde_json::json!({ "test_users": { "patterns": ["*@example.com"] } }))]
#[tokio::test]
async fn what_was_emailed_stays_good_whatever_is_set_afterwards(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
    #[case] change: serde_json::Value,
) {
    let settings = "[passwordless]\nvalidity_s = 300\n[test_users]\npatterns = [\"*+sktest@*\"]\nstatic_code = \"111111\"";
    let Some(server) = TestServer::on(engine, settings).await else { return };
    let jane = server.person();
    let by_code = jane.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    let tester = server.person();
    let by_static_code = tester.start("tess+sktest@example.com").await;
    let bob = server.person();
    bob.start("bob@example.com").await;
    let link = server.link_for("bob@example.com").await;

    server.do_control("PATCH", "/settings", change).await;
    server.advance_s(200);
    // A wrong code is told as that, and costs the one attempt that it is.
    let page = jane.enter_code(&by_code, &other_than(&code)).await;
    assert!(page.alert().contains("4 attempts left"), "{}", page.body);
    assert!(page.body.contains("maxlength=\"6\""), "{}", page.body);
    assert!(jane.enter_code(&by_code, &code).await.answer("code").is_some(), "the code");
    let page = tester.enter_code(&by_static_code, "111111").await;
    assert!(page.answer("code").is_some(), "the code of a test user: {}", page.body);
    let token = link.split("link_token=").nth(1).unwrap();
    let page = bob.post("/login/link", &[("link_token", token)]).await;
    assert!(page.answer("code").is_some(), "the link: {}", page.body);
}

#[tokio::test]
async fn a_code_ends_when_its_email_said_even_if_codes_live_longer_now() {
    let server = TestServer::with("[passwordless]\nvalidity_s = 300").await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    server
        .do_control("PATCH", "/settings", serde_json::json!({ "passwordless": { "validity_s": 3000 } }))
        .await;
    server.advance_s(300);
    let page = person.enter_code(&sign_in, &code).await;
    assert!(page.answer("code").is_none() && page.alert().contains("expired"), "{}", page.body);
}
