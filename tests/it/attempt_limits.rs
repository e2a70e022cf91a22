//! A guesser who has a day, many sign-ins, and two replicas.

use std::path::Path;

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::config::{Config, Source};
use vestibule::domain::auth_request::Hosted;
use vestibule::domain::email::EmailAddress;
use vestibule::domain::limits::FailedAttempts;
use vestibule::domain::user::User;
use vestibule::storage::{AttemptUpdate, Completion, SessionChange};

use crate::storage::{grant, session};
use crate::support::person::{Page, other_than};
use crate::support::{Engine, TestServer, configuration};

/// A guesser is not slowed down by emails that are not sent.
const UNLIMITED_MAILS: &str = "[limits]\nmails_per_address = 0\n";

const DAY_S: i64 = 86_400;

#[test]
fn by_the_defaults_fewer_than_one_in_ten_thousand_guesses_at_an_address_is_right_in_a_day() {
    let environment = configuration("").environment;
    let codes = 10_u64.pow(environment.passwordless.code_length);
    let limit = environment.limits.failed_attempts_per_address.unwrap();
    // Each guess that is judged is right with one chance in `codes`, whichever request it belongs to.
    let judged = u64::from(limit) - 1;
    assert!(judged * 10_000 < codes, "{judged} guesses at {codes} codes");
    assert!(u64::from(limit) * 10_000 >= codes, "the bound is tight: one more would be too many");
    // NIST SP 800-63B: six digits, ten minutes, a hundred failures at most.
    assert!(environment.passwordless.code_length >= 6 && environment.passwordless.validity_s <= 600);
    assert!(limit <= 100);
}

#[test]
fn a_limit_that_would_judge_no_code_at_all_is_a_mistake() {
    let mut source = Source::default();
    source.add_file(Path::new("vestibule.toml"), "[limits]\nfailed_attempts_per_address = 1\n");
    let problems = Config::read(source, Path::new(".")).unwrap_err().to_string();
    assert!(
        problems.contains("vestibule.toml:2: limits.failed_attempts_per_address must be 0, or at least 2"),
        "{problems}"
    );
}

async fn judged_wrong(server: &TestServer, address: &str) -> usize {
    let email = EmailAddress::parse(address).unwrap();
    let failed = server.app.store().failed_attempts(&server.app.id, &email).await.unwrap();
    failed.times.count(0, DAY_S)
}

/// Calls REST at `url`, which may be a replica of the server that the caller believes to speak to.
async fn rest(server: &TestServer, url: &str, token: &str, what: &str, body: Value) -> Page {
    let request = server.http().post(format!("{url}/api/v1/passwordless/email/{what}"));
    let host = server.url.trim_start_matches("http://");
    Page::of(request.header("host", host).bearer_auth(token).json(&body).send().await.unwrap()).await
}

/// Enters a code at `url`; was it judged?
async fn guess_hosted(
    person: &crate::support::person::Person<'_>,
    page: &str,
    url: &str,
    code: &str,
) -> bool {
    let address = page.replace(&person.server.url, url);
    let host = person.server.url.trim_start_matches("http://");
    let request = person.browser.post(format!("{address}/code")).header("host", host);
    let page = Page::of(request.form(&[("code", code)]).send().await.unwrap()).await;
    assert!([303, 503].contains(&page.status), "{} {}", page.status, page.body);
    page.location.is_some_and(|l| l.ends_with("?error=wrong_code"))
}

#[rstest]
#[tokio::test]
async fn ninety_nine_wrong_codes_are_judged_a_day_whatever_a_guesser_does(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, UNLIMITED_MAILS).await else { return };
    let other = server.beside(&format!("public_urls = [\"{}\"]\n{UNLIMITED_MAILS}", server.url)).await;
    let urls = [server.url.as_str(), other.url.as_str()];
    let token = server.client_token().await;
    let ask = json!({ "email": "jane@example.com", "magiclink_auth_uri": "https://app/x" });
    let mut judged = 0;
    for round in 0..12 {
        // Two browsers and two servers of applications, each with a sign-in of its own, six codes each.
        let people = [server.person(), server.person()];
        let pages = join_all(people.iter().map(|p| p.start("JANE@example.com"))).await;
        join_all(
            people
                .iter()
                .zip(&pages)
                .map(|(p, page)| async move { p.post(&format!("{page}/resend"), &[]).await }),
        )
        .await;
        let hosted = (0..12).map(|n| {
            let (person, page) = (&people[n % 2], &pages[n % 2]);
            async move { guess_hosted(person, page, urls[(n / 2) % 2], &format!("wrong{n}")).await }
        });
        let mut ids = vec![];
        for url in urls {
            let sent = rest(&server, url, &token, "send", ask.clone()).await;
            ids.push(sent.json()["auth_request_id"].clone());
        }
        let (token, ids, server) = (&token, &ids, &server);
        let headless = (0..12).map(|n| async move {
            let body = json!({ "auth_request_id": ids[n % 2], "code": format!("wrong{n}") });
            let page = rest(server, urls[(n / 2) % 2], token, "verify", body).await;
            assert!([400, 429, 503].contains(&page.status), "{}", page.body);
            page.status == 400
        });
        let (hosted, headless) = tokio::join!(join_all(hosted), join_all(headless));
        judged += hosted.iter().chain(&headless).filter(|was| **was).count();
        // The clock of a test moves on a little, and back.
        server.advance_s(if round % 2 == 0 { 700 } else { -600 });
    }
    assert!((90..=99).contains(&judged), "{judged}");
    assert_eq!(judged_wrong(&server, "jane@example.com").await, 99);

    server.advance_s(3_600);
    // The right code is refused as well, on both ways, and links go on working.
    let person = server.person();
    let page = person.start("jane@example.com").await;
    let mail = server.mail_to("jane@example.com").await;
    let refused = person.enter_code(&page, mail["code"].as_str().unwrap()).await;
    assert_eq!(refused.status, 429);
    assert!(refused.alert().contains("Open the link from the email instead"), "{}", refused.alert());
    let sent = rest(&server, &server.url, &token, "send", ask).await.json();
    let newest = server.mail_to("jane@example.com").await;
    let body = json!({ "auth_request_id": sent["auth_request_id"], "code": newest["code"] });
    let by_api = rest(&server, &server.url, &token, "verify", body).await;
    assert_eq!(
        (by_api.status, by_api.json()["details"][0]["error_code"].as_str()),
        (429, Some("TOO_MANY_ATTEMPTS"))
    );
    assert!(by_api.body.contains("use the link"), "{}", by_api.body);
    let done = crate::links::follow(&person, mail["link"].as_str().unwrap()).await;
    assert!(done.answer("code").is_some(), "nobody is locked out by a stranger");
    // A sign-in by link gives a guesser nothing back, and other addresses are none the worse.
    assert_eq!(judged_wrong(&server, "jane@example.com").await, 99);
    server.person().sign_in("bob@example.com").await;
}

#[rstest]
#[tokio::test]
async fn a_hundred_codes_at_the_same_moment_are_no_way_around(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let toml = format!("{UNLIMITED_MAILS}failed_attempts_per_address = 10");
    let Some(server) = TestServer::on(engine, &toml).await else { return };
    let people: Vec<_> = (0..40).map(|_| server.person()).collect();
    let pages = join_all(people.iter().map(|p| p.start("jane@example.com"))).await;
    let guesses = people.iter().zip(&pages).map(|(p, page)| guess_hosted(p, page, &server.url, "wrong"));
    assert_eq!(join_all(guesses).await.into_iter().filter(|was| *was).count(), 9);
}

#[rstest]
#[tokio::test]
async fn no_code_is_judged_beside_the_count_not_even_a_right_one(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, UNLIMITED_MAILS).await else { return };
    let (store, id) = (server.app.store(), &server.app.id);
    let email = EmailAddress::parse("jane@example.com").unwrap();
    let (session, mut grant) = (session("ses_1"), grant("grt_1", "usr_1", "ses_1"));
    let jane = User::new("usr_1".into(), email.clone(), 0);
    grant.authorization.client_id = crate::support::CLIENT_ID.into();
    // Somebody reads the count, and others judge a wrong code before it is written back: the first of all, and another one.
    for right in [true, false, false, true] {
        let page = server.person().start("jane@example.com").await;
        let request_id = page.rsplit('/').next().unwrap();
        let read = store.failed_attempts(id, &email).await.unwrap();
        assert!(guess(&server, "jane@example.com").await);
        let request = store.auth_request::<Hosted>(id, request_id).await.unwrap().unwrap();
        let judge = async |failed: &FailedAttempts| {
            let counted = Some(AttemptUpdate { email: &email, failed, now_ms: 0 });
            if !right {
                return store.update_auth_request(id, &request, counted).await.unwrap();
            }
            let before = store.user_of_email(id, &email).await.unwrap();
            let completion = Completion {
                request: &request,
                counted,
                before: before.as_ref(),
                user: before.as_ref().unwrap_or(&jane),
                joining: None,
                events: &[],
                logouts: &[],
                session: SessionChange::Start {
                    session: session.clone(),
                    device: vestibule::domain::session::Device::default(),
                    ends_session_id: None,
                },
                session_cookie_digest: "cookie",
                custom_claims: None,
                grant: &grant,
                code_digest: "code",
                backchannel_client: None,
                now_ms: 0,
            };
            let is_done = store.commit_completion(id, &completion).await.unwrap();
            if is_done {
                store.delete_expired(id, i64::MAX, 10).await.unwrap();
            }
            is_done
        };
        assert!(!judge(&read).await);
        let after = store.auth_request::<Hosted>(id, request_id).await.unwrap().unwrap();
        assert_eq!(after, request, "nothing is left of the loser");
        assert_eq!(store.session(id, "ses_1").await.unwrap(), None);
        assert!(judge(&store.failed_attempts(id, &email).await.unwrap()).await, "read again, it counts");
        server.advance_s(1);
    }
}

/// A wrong code in a sign-in of its own; was it judged?
async fn guess(server: &TestServer, address: &str) -> bool {
    let person = server.person();
    let page = person.start(address).await;
    guess_hosted(&person, &page, &server.url, "wrong").await
}

#[tokio::test]
async fn a_clock_that_moves_opens_no_more_than_the_days_it_passes() {
    let server = TestServer::with(&format!("{UNLIMITED_MAILS}failed_attempts_per_address = 3")).await;
    let mut judged = vec![];
    // Two are judged a day; back and forth within what was reached, none.
    for move_s in [0, 0, DAY_S - 1, -DAY_S, -7 * DAY_S, 8 * DAY_S + 2, 0, 0, -DAY_S, DAY_S - 1] {
        server.advance_s(move_s);
        judged.push(u8::from(guess(&server, "jane@example.com").await));
    }
    assert_eq!(judged, [1, 1, 0, 0, 0, 1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn a_sign_in_that_succeeds_gives_a_guesser_nothing_back() {
    let server = TestServer::with(&format!("{UNLIMITED_MAILS}failed_attempts_per_address = 3")).await;
    assert!(guess(&server, "jane@example.com").await);
    server.person().sign_in("jane@example.com").await;
    assert!(guess(&server, "jane@example.com").await);
    assert!(!guess(&server, "jane@example.com").await);
}

#[rstest]
#[case("", "Open the link from the email instead, or try a code again tomorrow.")]
#[case("[passwordless]\ntype = \"OTP\"\n", "Try again tomorrow.")]
#[tokio::test]
async fn known_and_unknown_addresses_are_refused_in_the_same_words(#[case] toml: &str, #[case] words: &str) {
    let server = TestServer::with(&format!("{toml}{UNLIMITED_MAILS}failed_attempts_per_address = 2")).await;
    server.person().sign_in("known@example.com").await;
    let mut told = vec![];
    // A sign-in and a guess, or a guess alone.
    let sent_before = |address: &str| if address.starts_with("known") { 2 } else { 1 };
    for address in ["known@example.com", "other@example.com"] {
        assert!(guess(&server, address).await);
        let person = server.person();
        let page = person.start(address).await;
        let refused = if toml.contains("OTP") {
            // Nothing is sent that could not be used.
            let refused = person.post(&format!("{page}/email"), &[("email", address)]).await;
            assert_eq!(server.mails_to(address).await.len(), sent_before(address));
            refused
        } else {
            let code = server.code_for(address).await;
            person.enter_code(&page, &code).await
        };
        told.push((refused.status, refused.alert()));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].0, 429);
    assert!(told[0].1.ends_with(words), "{}", told[0].1);
}

#[tokio::test]
async fn an_address_without_wrong_codes_left_is_told_when_one_is_judged_again() {
    let toml = format!("[passwordless]\ntype = \"OTP\"\n{UNLIMITED_MAILS}failed_attempts_per_address = 2");
    let server = TestServer::with(&toml).await;
    let person = server.person();
    let page = person.start("jane@example.com").await;
    assert!(guess(&server, "jane@example.com").await);
    server.advance_s(60);
    let left = (DAY_S - 60).to_string();
    let code = server.code_for("jane@example.com").await;
    let at_code = person.enter_code(&page, &code).await;
    let at_send = person.post(&format!("{page}/resend"), &[]).await;
    let ask = json!({ "email": "jane@example.com" });
    let token = server.client_token().await;
    let by_api = rest(&server, &server.url, &token, "send", ask.clone()).await;
    for refused in [&at_code, &at_send, &by_api] {
        assert_eq!((refused.status, refused.header("retry-after")), (429, left.as_str()), "{}", refused.body);
    }
    // Then it is.
    server.advance_s(DAY_S - 60);
    let sent = rest(&server, &server.url, &token, "send", ask).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    assert!(guess(&server, "jane@example.com").await);
}

#[tokio::test]
async fn a_reset_gives_the_codes_back_and_the_timeline_says_why_they_were_gone() {
    let server = TestServer::with(&format!("{UNLIMITED_MAILS}failed_attempts_per_address = 2")).await;
    assert!(guess(&server, "jane@example.com").await);
    server.advance_s(1);
    assert!(!guess(&server, "jane@example.com").await);
    let list = server.do_control("GET", "/flows?email=jane", Value::Null).await;
    let id = list["flows"][0]["id"].as_str().unwrap();
    let flow = server.do_control("GET", &format!("/flows/{id}"), Value::Null).await.to_string();
    assert!(flow.contains("The address had its 1 wrong codes within 24 hours"), "{flow}");
    server.do_control("POST", "/reset", Value::Null).await;
    assert!(guess(&server, "jane@example.com").await);
}

#[tokio::test]
async fn test_users_and_switched_off_limits_count_nothing() {
    let server = TestServer::with(&format!("{UNLIMITED_MAILS}failed_attempts_per_address = 2")).await;
    for _ in 0..3 {
        assert!(guess(&server, "jane+sktest@example.com").await);
    }
    let person = server.person();
    let page = person.start("jane+sktest@example.com").await;
    assert_eq!(person.enter_code(&page, "424242").await.status, 303);
    let off = TestServer::with(&format!("{UNLIMITED_MAILS}failed_attempts_per_address = 0")).await;
    for _ in 0..105 {
        assert!(guess(&off, "jane@example.com").await);
    }
}

#[rstest]
#[tokio::test]
async fn counts_that_are_over_are_cleaned_up_and_living_ones_stay(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, UNLIMITED_MAILS).await else { return };
    let (store, id) = (server.app.store(), &server.app.id);
    let email = EmailAddress::parse("jane@example.com").unwrap();
    let person = server.person();
    let page = person.start("jane@example.com").await;
    let code = server.code_for("jane@example.com").await;
    person.enter_code(&page, &other_than(&code)).await;
    let now_ms = vestibule::domain::clock::Clock::now_ms(&*server.clock);
    store.delete_expired(id, now_ms + DAY_S * 1000, 500).await.unwrap();
    assert!(store.failed_attempts(id, &email).await.unwrap().version.is_some(), "it still counts");
    store.delete_expired(id, now_ms + DAY_S * 1000 + 1, 500).await.unwrap();
    assert_eq!(store.failed_attempts(id, &email).await.unwrap().version, None);
}
