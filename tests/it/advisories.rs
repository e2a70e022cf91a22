//! What went wrong in comparable systems, case by case: each test is named after the advisory or issue that teaches it.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream;
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::domain::email::EmailAddress;
use vestibule::storage::InboxFilter;

use crate::command_line::Running;
use crate::links::follow;
use crate::support::person::{Page, other_than};
use crate::support::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Engine, TestServer};

async fn refresh(server: &TestServer, tokens: &Value) -> Page {
    let token = tokens["refresh_token"].as_str().unwrap();
    server.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

async fn rest(server: &TestServer, what: &str, body: Value) -> Page {
    let url = format!("{}/api/v1/passwordless/email/{what}", server.url);
    let request = server.http().post(url).bearer_auth(server.client_token().await).json(&body);
    Page::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn ghsa_3529_5m8x_rpv3_forged_host_headers_never_reach_the_magic_link() {
    // With the well-known credentials such a name gets nothing at all: see origins.rs.
    let own = "client_id = \"skc_own\"\nclient_secret = \"a secret of ones own, long enough\"\n";
    let server = TestServer::with(own).await;
    let query =
        format!("response_type=code&client_id=skc_own&redirect_uri={CALLBACK}&login_hint=victim@example.com");
    let request = server
        .http()
        .get(format!("{}/oauth/authorize?{query}", server.url))
        .header("host", "evil.example")
        .header("x-forwarded-host", "evil.example")
        .header("x-forwarded-proto", "https")
        .header("forwarded", "host=evil.example");
    let page = Page::of(request.send().await.unwrap()).await;
    assert!(page.location.unwrap().starts_with(&server.url));
    let mail = server.mail_to("victim@example.com").await;
    assert!(!mail.to_string().contains("evil.example"), "{mail}");
    assert!(mail["link"].as_str().unwrap().starts_with(&server.url));
}

#[tokio::test]
async fn cve_2022_35924_only_one_plain_address_is_emailed() {
    let server = TestServer::start().await;
    let person = server.person();
    let sign_in = person.start_with(&[]).await;
    for bad in [
        "",
        "jane",
        "a@x.io,b@y.io",
        "a@x.io, b@y.io",
        "a@x.io;b@y.io",
        "a@x.io b@y.io",
        "a@x.io\r\nBcc: b@y.io",
        "a@x.io\nb@y.io",
        "\"a\"@x.io",
        "\"a@x.io,b\"@y.io",
        "x: a@x.io;",
        "Jane <a@x.io>",
        "a@x.io@y.io",
    ] {
        let page = person.post(&format!("{sign_in}/email"), &[("email", bad)]).await;
        assert_eq!(page.status, 400, "{bad}");
        assert!(!page.alert().is_empty(), "{bad}");
        let sent =
            rest(&server, "send", json!({ "email": bad, "magiclink_auth_uri": "https://app/x" })).await;
        assert_eq!(sent.status, 400, "{bad}");
        // As a hint it only fills the form.
        person.start(bad).await;
    }
    assert_eq!(server.get("/_emulator/v1/messages").await.json()["messages"], json!([]), "nothing was sent");
}

#[tokio::test]
async fn ghsa_4rxr_27mm_mxq9_a_code_of_one_request_never_verifies_another() {
    let server = TestServer::start().await;
    let (jane, eve) = (server.person(), server.person());
    let of_jane = jane.start("jane@example.com").await;
    let of_eve = eve.start("eve@example.com").await;
    let code = server.code_for("eve@example.com").await;
    assert_eq!(jane.enter_code(&of_jane, &code).await.status, 400);
    // Nor may another browser use the right code.
    assert_eq!(jane.enter_code(&of_eve, &code).await.status, 404);
    // Nor does it open another request for the same address, hosted or by API.
    let again = eve.start("eve@example.com").await;
    assert_eq!(eve.enter_code(&again, &code).await.status, 400);
    server.advance_s(60);
    let body = json!({ "email": "eve@example.com", "magiclink_auth_uri": "https://app/x" });
    let id = rest(&server, "send", body).await.json()["auth_request_id"].clone();
    let refused = rest(&server, "verify", json!({ "auth_request_id": id, "code": code })).await;
    assert_eq!(refused.json()["details"][0]["error_code"], "INVALID_CODE");
    assert_eq!(eve.enter_code(&of_eve, &code).await.status, 303);
}

#[rstest]
#[tokio::test]
async fn ghsa_hc7v_rggr_4hvx_a_link_used_a_thousand_times_at_once_signs_in_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let person = server.person();
    person.start("jane@example.com").await;
    let link = server.link_for("jane@example.com").await;
    // A hundred under way at any moment, so that the machine's limit of open files is not what is tested.
    let uses = stream::iter((0..1_000).map(|_| follow(&person, &link))).buffer_unordered(100);
    let pages: Vec<Page> = uses.collect().await;
    assert_eq!(pages.iter().filter(|p| p.answer("code").is_some()).count(), 1);
}

#[rstest]
#[tokio::test]
async fn cve_2026_1035_parallel_refreshes_give_one_successor_and_a_late_one_ends_the_family(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    // Without any grace exactly one of them succeeds, and the others are reuse.
    let Some(strict) = TestServer::on(engine, "[tokens]\nrefresh_grace_s = 0").await else { return };
    let first = strict.person().tokens("jane@example.com").await;
    let pages = join_all((0..20).map(|_| refresh(&strict, &first))).await;
    let good: Vec<_> = pages.iter().filter(|p| p.status == 200).collect();
    assert_eq!(good.len(), 1);
    assert_eq!(
        refresh(&strict, &good[0].json()).await.json()["error"],
        "invalid_grant",
        "reuse ends the family"
    );
    // With it they all get the same successor, which is good until the first token comes late.
    let Some(server) = TestServer::on(engine, "").await else { return };
    let first = server.person().tokens("jane@example.com").await;
    let pages = join_all((0..20).map(|_| refresh(&server, &first))).await;
    let successors: BTreeSet<String> = pages.iter().map(|p| p.json()["refresh_token"].to_string()).collect();
    assert_eq!(successors.len(), 1);
    server.advance_s(60);
    let third = refresh(&server, &pages[0].json()).await.json();
    assert_eq!(refresh(&server, &first).await.json()["error"], "invalid_grant");
    assert_eq!(refresh(&server, &third).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn cve_2026_9802_what_was_used_stays_used_after_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    // The second server listens where the first did, so that addresses and issuer stay.
    let server = Running::start(folder.path(), &[]);
    let url = server.ready["environment_url"].as_str().unwrap().to_owned();
    let listen = server.ready["listen"].as_str().unwrap().to_owned();
    // A fresh connection each time: those to the first server break with it.
    let jane = reqwest::Client::builder().cookie_store(true).pool_max_idle_per_host(0);
    let jane = jane.redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let query = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", CALLBACK),
        ("scope", "openid offline_access"),
        ("login_hint", "jane@example.com"),
    ];
    let page = Page::of(jane.get(format!("{url}/oauth/authorize")).query(&query).send().await.unwrap()).await;
    let sign_in = page.location.unwrap();
    let latest = format!("{url}/_emulator/v1/messages/latest?to=jane@example.com&wait_ms=5000");
    let mail = Page::of(jane.get(latest).send().await.unwrap()).await.json();
    let code = mail["code"].as_str().unwrap().to_owned();
    let link = mail["link"].as_str().unwrap().to_owned();
    let enter = async |browser: &reqwest::Client| {
        Page::of(browser.post(format!("{sign_in}/code")).form(&[("code", &code)]).send().await.unwrap()).await
    };
    let token = async |form: &[(&str, &str)]| {
        let mut all =
            vec![("client_id", CLIENT_ID), ("client_secret", CLIENT_SECRET), ("redirect_uri", CALLBACK)];
        all.extend_from_slice(form);
        Page::of(reqwest::Client::new().post(format!("{url}/oauth/token")).form(&all).send().await.unwrap())
            .await
    };
    let grant = enter(&jane).await.answer("code").unwrap();
    let exchange = [("grant_type", "authorization_code"), ("code", grant.as_str())];
    let tokens = token(&exchange).await.json();
    // Dropped is killed: SIGKILL leaves no time to write anything.
    drop(server);
    let _again = Running::start_at(folder.path(), &listen, &[]);
    let replayed = enter(&jane).await;
    assert_eq!((replayed.status, replayed.answer("code")), (303, None), "the code signs nobody in again");
    let link_token = link.split("link_token=").nth(1).unwrap();
    let request = jane.post(format!("{url}/login/link")).form(&[("link_token", link_token)]);
    assert_eq!(Page::of(request.send().await.unwrap()).await.answer("code"), None);
    assert_eq!(token(&exchange).await.json()["error"], "invalid_grant");
    let refresh_token = tokens["refresh_token"].as_str().unwrap();
    let refreshed = token(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await;
    assert_eq!(refreshed.json()["error"], "invalid_grant", "the replay revoked what the code gave");
}

#[tokio::test]
async fn cve_2026_9689_repeated_parameters_are_refused() {
    let server = TestServer::start().await;
    let base = format!("/oauth/authorize?response_type=code&client_id={CLIENT_ID}&redirect_uri={CALLBACK}");
    // The same value twice is a repetition, too.
    for repeated in ["client_id=x", "redirect_uri=x", &format!("redirect_uri={CALLBACK}")] {
        let page = server.get(&format!("{base}&{repeated}")).await;
        assert_eq!((page.status, page.location), (400, None), "{repeated}");
    }
    for name in ["response_type", "state", "scope", "nonce", "prompt", "ui_locales", "login_hint"] {
        let page = server.get(&format!("{base}&{name}=a&{name}=b")).await;
        assert_eq!(page.answer("error").as_deref(), Some("invalid_request"), "{name}");
    }
    let code = server.person().sign_in("jane@example.com").await;
    let good = [("grant_type", "authorization_code"), ("code", code.as_str()), ("redirect_uri", CALLBACK)];
    for repeated in [("code", code.as_str()), ("redirect_uri", CALLBACK), ("client_id", CLIENT_ID)] {
        let mut form = good.to_vec();
        form.push(repeated);
        let page = server.token(&form).await;
        assert_eq!(page.json()["error"], "invalid_request", "{repeated:?}");
    }
    assert_eq!(server.token(&good).await.status, 200, "refusals used nothing up");
}

#[rstest]
#[tokio::test]
async fn cve_2025_46815_code_link_and_auth_request_work_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    for by_link in [false, true] {
        let person = server.person();
        let sign_in = person.start("jane@example.com").await;
        let mail = server.mail_to("jane@example.com").await;
        let (code, link) = (mail["code"].as_str().unwrap(), mail["link"].as_str().unwrap());
        let done =
            if by_link { follow(&person, link).await } else { person.enter_code(&sign_in, code).await };
        assert!(done.answer("code").is_some());
        assert_eq!(person.enter_code(&sign_in, code).await.answer("code"), None);
        assert_eq!(follow(&person, link).await.answer("code"), None);
        person.post(&format!("{sign_in}/resend"), &[]).await;
        assert_eq!(
            server.mail_to("jane@example.com").await["id"],
            mail["id"],
            "a used request sends nothing"
        );
        server.advance_s(60);
    }
    let body = json!({ "email": "bob@example.com", "magiclink_auth_uri": "https://app/x" });
    let id = rest(&server, "send", body).await.json()["auth_request_id"].clone();
    let mail = server.mail_to("bob@example.com").await;
    let by_code = json!({ "auth_request_id": id, "code": mail["code"] });
    let link_token = mail["link"].as_str().unwrap().split("link_token=").nth(1).unwrap();
    let by_link = json!({ "auth_request_id": id, "link_token": link_token });
    assert_eq!(rest(&server, "verify", by_code.clone()).await.status, 200);
    for again in [by_code, by_link] {
        let page = rest(&server, "verify", again).await;
        assert_eq!(page.json()["details"][0]["error_code"], "AUTH_REQUEST_ALREADY_USED");
    }
}

#[rstest]
#[tokio::test]
async fn cve_2026_35597_guesses_on_paths_that_fail_lock_all_the_same(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    // Nobody may sign up: even the right code ends in a refusal.
    let Some(server) = TestServer::on(engine, "[passwordless]\nsign_up_allowed = false").await else {
        return;
    };
    let person = server.person();
    let sign_in = person.start("stranger@example.com").await;
    let code = server.code_for("stranger@example.com").await;
    person.enter_code(&sign_in, &other_than(&code)).await;
    person.enter_code(&sign_in, "not a code at all").await;
    // Codes that are too old count, right or wrong.
    server.advance_s(300);
    for (guess, status) in [(&code, 400), (&other_than(&code), 400), (&code, 429)] {
        assert_eq!(person.enter_code(&sign_in, guess).await.status, status);
    }
    // A server that comes after it finds the count where the failures left it, and sends no code that it would refuse.
    let other = server.beside(&format!("public_urls = [\"{}\"]", server.url)).await;
    person.post(&format!("{sign_in}/resend"), &[]).await;
    let fresh = server.code_for("stranger@example.com").await;
    assert_eq!(fresh, code);
    let request = person
        .browser
        .post(format!("{}/code", sign_in.replace(&server.url, &other.url)))
        .header("host", server.url.trim_start_matches("http://"));
    let refused = Page::of(request.form(&[("code", &fresh)]).send().await.unwrap()).await;
    assert_eq!(refused.location.as_ref(), Some(&sign_in));
    assert_eq!(person.get(&sign_in).await.status, 429);
}

#[tokio::test]
async fn supabase_1214_better_auth_9690_emdash_3298_a_scanner_that_opens_links_changes_nothing() {
    let server = TestServer::start().await;
    let person = server.person();
    person.start("jane@example.com").await;
    let link = server.link_for("jane@example.com").await;
    let scanner = server.person();
    for _ in 0..5 {
        assert_eq!(scanner.browser.head(&link).send().await.unwrap().status().as_u16(), 403);
        assert_eq!(scanner.get(&link).await.status, 403);
        // A scanner that runs scripts sends the form as well.
        let page = follow(&scanner, &link).await;
        assert_eq!((page.status, page.answer("code")), (403, None));
        assert!(!page.headers.contains_key("set-cookie") || !page.header("set-cookie").contains("session"));
    }
    assert!(follow(&person, &link).await.answer("code").is_some());
    // Where any browser may finish, opening still does nothing: the landing page waits for a click.
    let lenient = TestServer::with("[passwordless]\nenforce_same_browser_origin = false").await;
    let person = lenient.person();
    person.start("jane@example.com").await;
    let link = lenient.link_for("jane@example.com").await;
    let scanner = lenient.person();
    for _ in 0..5 {
        scanner.browser.head(&link).send().await.unwrap();
        assert!(!scanner.get(&link).await.body.contains("data-submit-now"));
    }
    assert!(follow(&person, &link).await.answer("code").is_some());
}

/// The codes and links mailed to an address, newest first, where the inbox need not be open.
async fn mailed(server: &TestServer, address: &str) -> (String, String) {
    let filter = InboxFilter { to_key: Some(address.to_owned()), limit: 1, ..InboxFilter::default() };
    let mail = server.app.store().messages(&server.app.id, &filter).await.unwrap().remove(0);
    (mail.code.unwrap(), mail.link.unwrap())
}

#[rstest]
#[case::nothing("")]
#[case::demo("demo = true")]
#[case::deterministic_seed("deterministic_seed = \"seed\"")]
#[case::instant_sign_in("instant_sign_in = true")]
#[case::no_test_users("[test_users]\nenabled = false")]
#[case::everybody_a_test_user_but_jane("[test_users]\npatterns = [\"*+test@*\"]\nstatic_code = \"123123\"")]
#[case::control_off("[control]\nenabled = false")]
#[case::mails_without_limit("[limits]\nmails_per_address = 0")]
#[case::failures_without_limit("[limits]\nfailed_attempts_per_address = 0")]
#[case::same_browser_off("[passwordless]\nenforce_same_browser_origin = false")]
#[case::regeneration_off("[passwordless]\nregenerate_passwordless_credentials_on_resend = false")]
#[case::sign_up_closed("[passwordless]\nsign_up_allowed = false")]
#[tokio::test]
async fn supabase_2600_a_development_switch_changes_nothing_but_itself(#[case] switch: &str) {
    let people = "[[users]]\nid = \"usr_100000000000000001\"\nemail = \"jane@example.com\"\n";
    let server = TestServer::with(&format!("{switch}\n{people}")).await;
    let person = server.person();

    // Where the answer goes: loopback may be free in development, everything else is as registered.
    for foreign in ["https://evil.example/cb", "http://localhost.evil.example/cb", "http://192.168.0.9/cb"] {
        let page = person.authorize(&[("redirect_uri", foreign)]).await;
        assert_eq!((page.status, page.location), (400, None), "{foreign}");
    }
    // PKCE cannot be weakened.
    let page = person.authorize(&[("code_challenge", "a"), ("code_challenge_method", "plain")]).await;
    assert_eq!(page.answer("error").as_deref(), Some("invalid_request"));

    // The fifth wrong code closes the sign-in, and resends do not open it.
    let sign_in = person.start("jane@example.com").await;
    let (code, _) = mailed(&server, "jane@example.com").await;
    for status in [400, 400, 400, 400, 429] {
        assert_eq!(person.enter_code(&sign_in, &other_than(&code)).await.status, status);
    }
    person.post(&format!("{sign_in}/resend"), &[]).await;
    let (code, link) = mailed(&server, "jane@example.com").await;
    assert_eq!(person.enter_code(&sign_in, &code).await.status, 429);
    assert_eq!(follow(&person, &link).await.answer("code"), None);
    server.advance_s(60);

    // Another browser has neither page nor code, and a page of another site cannot send the form.
    let sign_in = person.start("jane@example.com").await;
    let (code, link) = mailed(&server, "jane@example.com").await;
    let stranger = server.person();
    let page = stranger.get(&sign_in).await;
    assert!(page.status == 404 && !page.body.contains(&code));
    assert_eq!(stranger.enter_code(&sign_in, &code).await.status, 404);
    assert_ne!(code, "424242", "only test users have the code that everybody knows");
    let request = person.browser.post(format!("{sign_in}/code")).header("origin", "https://evil.example");
    assert_eq!(request.form(&[("code", &code)]).send().await.unwrap().status().as_u16(), 403);
    if !switch.contains("same_browser") {
        assert_eq!(follow(&stranger, &link).await.status, 403);
    }

    // What signs in, signs in once.
    let done = person.enter_code(&sign_in, &code).await.answer("code").unwrap();
    assert_eq!(person.enter_code(&sign_in, &code).await.answer("code"), None);
    assert_eq!(follow(&person, &link).await.answer("code"), None);
    let form = [("grant_type", "authorization_code"), ("code", done.as_str()), ("redirect_uri", CALLBACK)];
    let mut wrong = form.to_vec();
    wrong.extend([("client_id", CLIENT_ID), ("client_secret", "wrong")]);
    assert_eq!(server.post("/oauth/token", &wrong).await.json()["error"], "invalid_client");
    assert_eq!(server.token(&form).await.status, 200);
    assert_eq!(server.token(&form).await.json()["error"], "invalid_grant");

    // Nothing answers without its token.
    assert_eq!(server.get("/userinfo").await.status, 401);
    assert_eq!(server.post("/api/v1/passwordless/email/send", &[]).await.status, 401);
    assert_eq!(server.post("/oauth/introspect", &[("token", "x")]).await.status, 401);
}

#[rstest]
#[tokio::test]
async fn hanko_213_limits_hold_across_resends_connections_and_replicas(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "[limits]\nmails_per_address = 0").await else { return };
    let other =
        server.beside(&format!("public_urls = [\"{}\"]\n[limits]\nmails_per_address = 0", server.url)).await;
    let person = server.person();
    let sign_in = person.start("jane@example.com").await;
    let host = server.url.trim_start_matches("http://");
    for round in 0..4 {
        person.post(&format!("{sign_in}/resend"), &[]).await;
        let guesses = (0..10).map(|n| {
            let replica = if n % 2 == 0 { sign_in.clone() } else { sign_in.replace(&server.url, &other.url) };
            let (person, code) = (&person, format!("wrong{round}{n}"));
            async move {
                let request = person.browser.post(format!("{replica}/code")).header("host", host);
                Page::of(request.form(&[("code", &code)]).send().await.unwrap()).await.location.unwrap()
            }
        });
        let leads_to = join_all(guesses).await;
        assert!(leads_to.iter().all(|l| l.starts_with(&sign_in)), "{leads_to:?}");
    }
    // What holds over many sign-ins of an address is in attempt_limits.rs.
    let email = EmailAddress::parse("jane@example.com").unwrap();
    let failed = server.app.store().failed_attempts(&server.app.id, &email).await.unwrap();
    assert_eq!(failed.times.to_text().split(',').count(), 5, "exactly five were judged");
}

#[rstest]
#[tokio::test]
async fn localstack_11750_parallel_first_calls_at_all_replicas_see_one_key(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let other = server.beside("").await;
    let pages =
        join_all((0..50).map(|i| if i % 2 == 0 { server.get("/keys") } else { other.get("/keys") })).await;
    let first = pages[0].json();
    assert_eq!(first["keys"].as_array().unwrap().len(), 1);
    assert!(pages.iter().all(|p| p.json() == first));
    let key = &first["keys"][0];
    assert_eq!(
        (key["alg"].as_str(), key["use"].as_str(), key["kty"].as_str()),
        (Some("RS256"), Some("sig"), Some("RSA"))
    );
}

#[rstest]
#[tokio::test]
async fn nocturne_326_a_refresh_whose_answer_was_lost_may_be_repeated(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let first = server.person().tokens("jane@example.com").await;
    let pages = join_all((0..10).map(|_| refresh(&server, &first))).await;
    let successors: BTreeSet<String> = pages
        .iter()
        .map(|p| p.json()["refresh_token"].as_str().unwrap_or_else(|| panic!("{}", p.body)).to_owned())
        .collect();
    assert_eq!(successors.len(), 1);
    server.advance_s(29);
    assert_eq!(refresh(&server, &first).await.status, 200);
    server.advance_s(1);
    assert_eq!(refresh(&server, &first).await.json()["error"], "invalid_grant", "the grace is over");
}
