//! Headless passwordless by gRPC and by REST: an application's server, and a guesser.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::api::pb::scalekit::v1::auth::passwordless::verify_password_less_request::AuthCredential;
use vestibule::api::pb::scalekit::v1::auth::passwordless::{
    PasswordlessType, ResendPasswordlessRequest, SendPasswordlessRequest, SendPasswordlessResponse,
    TemplateType, VerifyPasswordLessRequest, VerifyPasswordLessResponse,
};

use crate::support::person::Page;
use crate::support::{Engine, TestServer};

const SEND: &str = "/scalekit.v1.auth.passwordless.PasswordlessService/SendPasswordlessEmail";
const RESEND: &str = "/scalekit.v1.auth.passwordless.PasswordlessService/ResendPasswordlessEmail";
const VERIFY: &str = "/scalekit.v1.auth.passwordless.PasswordlessService/VerifyPasswordlessEmail";
const CODES_ONLY: &str = "[passwordless]\ntype = \"OTP\"\n";

/// An application's server that speaks REST.
async fn rest(server: &TestServer, what: &str, body: Value) -> Page {
    let url = format!("{}/api/v1/passwordless/email/{what}", server.url);
    let request = server.http().post(url).bearer_auth(server.client_token().await).json(&body);
    Page::of(request.send().await.unwrap()).await
}

/// Status and error code of a refusal, whose shape is checked.
fn refusal(page: &Page) -> (u16, String) {
    let body = page.json();
    let info = &body["details"][0];
    assert_eq!(info["@type"], "type.googleapis.com/scalekit.v1.errdetails.ErrorInfo", "{body}");
    assert!(body["code"].is_i64() && body["message"].is_string(), "{body}");
    (page.status, info["error_code"].as_str().unwrap().to_owned())
}

fn says(page: &Page, words: &str) -> bool {
    page.json()["message"].as_str().unwrap().to_lowercase().contains(words)
}

async fn sent(server: &TestServer, email: &str) -> String {
    let page = rest(server, "send", json!({ "email": email })).await;
    assert_eq!(page.status, 200, "{}", page.body);
    page.json()["auth_request_id"].as_str().unwrap().to_owned()
}

async fn try_code(server: &TestServer, id: &str, code: &str) -> Page {
    rest(server, "verify", json!({ "auth_request_id": id, "code": code })).await
}

fn another(code: &str, by: u32) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + by) % 1_000_000)
}

#[rstest]
#[tokio::test]
async fn a_server_sends_and_verifies_a_code_by_grpc(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let asked = SendPasswordlessRequest {
        email: "Jane@Example.com".into(),
        template: Some(TemplateType::Signup.into()),
        magiclink_auth_uri: Some("https://app.example.com/verify?next=%2Fhome".into()),
        state: Some("st4te".into()),
        expires_in: Some(1800),
        template_variables: [("app_name".to_owned(), "Acme".to_owned())].into(),
    };
    let sent: SendPasswordlessResponse = server.call(SEND, &asked).await.message();
    assert_eq!((sent.expires_in, sent.passwordless_type()), (1800, PasswordlessType::LinkOtp));
    let mail = server.mail_to("jane@example.com").await;
    assert!(mail["subject"].as_str().unwrap().contains("Acme"), "{mail}");
    assert_eq!(
        (mail["kind"].as_str(), &mail["auth_request_id"]),
        (Some("signup"), &json!(sent.auth_request_id))
    );
    let link = mail["link"].as_str().unwrap();
    assert!(link.starts_with("https://app.example.com/verify?next=%2Fhome&link_token="), "{link}");

    let verify = VerifyPasswordLessRequest {
        auth_credential: Some(AuthCredential::Code(mail["code"].as_str().unwrap().into())),
        auth_request_id: Some(sent.auth_request_id),
    };
    let proven: VerifyPasswordLessResponse = server.call(VERIFY, &verify).await.message();
    assert_eq!(proven.email, "Jane@Example.com");
    assert_eq!(proven.state.as_deref(), Some("st4te"));
    assert_eq!(proven.template(), TemplateType::Signup);
    let again = server.call(VERIFY, &verify).await;
    assert_eq!(again.refusal(), (3, "AUTH_REQUEST_ALREADY_USED".to_owned()));

    // A proof by API makes no user and no session.
    let app = &server.app;
    let email = vestibule::domain::email::EmailAddress::parse("jane@example.com").unwrap();
    assert!(app.store().user_by_email(&app.id, &email).await.unwrap().is_none());
}

#[rstest]
#[tokio::test]
async fn rest_says_the_same_in_json(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, CODES_ONLY).await else { return };
    let page =
        rest(&server, "send", json!({ "email": "jane@example.com", "state": "s", "template": "SIGNIN" }))
            .await;
    let sent = page.json();
    let expires_at: i64 = sent["expires_at"].as_str().unwrap().parse().unwrap();
    let now_s = vestibule::domain::clock::Clock::now_ms(&*server.clock) / 1000;
    assert_eq!(
        (expires_at - now_s, &sent["expires_in"], &sent["passwordless_type"]),
        (300, &json!(300), &json!("OTP"))
    );
    let first = server.mail_to("jane@example.com").await;

    let again = rest(&server, "resend", json!({ "auth_request_id": sent["auth_request_id"] })).await.json();
    assert_eq!(again["auth_request_id"], sent["auth_request_id"]);
    let second = server.mail_to("jane@example.com").await;
    let id = sent["auth_request_id"].as_str().unwrap();
    let old = try_code(&server, id, first["code"].as_str().unwrap()).await;
    assert_eq!(refusal(&old), (400, "INVALID_CODE".to_owned()), "a resend kills the earlier code");
    let proof = try_code(&server, id, second["code"].as_str().unwrap()).await;
    assert_eq!(
        proof.json(),
        json!({ "email": "jane@example.com", "state": "s", "template": "SIGNIN", "passwordless_type": "OTP" })
    );
    assert_eq!(proof.header("cache-control"), "no-store");
}

#[tokio::test]
async fn resent_credentials_stay_the_same_where_the_setting_says_so() {
    let server = TestServer::with(
        "[passwordless]\ntype = \"OTP\"\nregenerate_passwordless_credentials_on_resend = false",
    )
    .await;
    let id = sent(&server, "jane@example.com").await;
    let first = server.mail_to("jane@example.com").await;
    server.advance_s(10);
    rest(&server, "resend", json!({ "auth_request_id": id })).await;
    assert_eq!(server.mail_to("jane@example.com").await["code"], first["code"]);
    assert_eq!(try_code(&server, &id, first["code"].as_str().unwrap()).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn a_link_proves_with_its_auth_request_and_without_where_any_browser_may(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    for (toml, needs_id) in [("", true), ("[passwordless]\nenforce_same_browser_origin = false", false)] {
        let Some(server) = TestServer::on(engine, toml).await else { return };
        let body = json!({ "email": "jane@example.com", "magiclink_auth_uri": "https://app/x" });
        let id = rest(&server, "send", body).await.json()["auth_request_id"].clone();
        let mail = server.mail_to("jane@example.com").await;
        let token = mail["link"].as_str().unwrap().strip_prefix("https://app/x?link_token=").unwrap();

        let alone = rest(&server, "verify", json!({ "link_token": token })).await;
        if needs_id {
            assert_eq!(refusal(&alone), (400, "INVALID_ARGUMENT".to_owned()));
            assert!(says(&alone, "auth_request_id is required"), "{}", alone.body);
            let other = json!({ "link_token": token, "auth_request_id": "of somebody else" });
            let mismatch = rest(&server, "verify", other).await;
            assert_eq!(refusal(&mismatch), (400, "AUTH_REQUEST_MISMATCH".to_owned()));
            assert!(says(&mismatch, "mismatch"));
            let right = json!({ "link_token": token, "auth_request_id": id });
            assert_eq!(rest(&server, "verify", right).await.json()["email"], "jane@example.com");
        } else {
            assert_eq!(alone.json()["email"], "jane@example.com", "{}", alone.body);
        }
        let used = rest(&server, "verify", json!({ "link_token": token, "auth_request_id": id })).await;
        assert_eq!(refusal(&used), (400, "AUTH_REQUEST_ALREADY_USED".to_owned()));
        let unknown =
            json!({ "link_token": "00000000-0000-4000-8000-000000000000_l", "auth_request_id": id });
        assert_eq!(refusal(&rest(&server, "verify", unknown).await), (400, "INVALID_LINK_TOKEN".to_owned()));
    }
}

#[tokio::test]
async fn links_need_to_know_where_the_application_is() {
    let server = TestServer::start().await;
    let page = rest(&server, "send", json!({ "email": "jane@example.com" })).await;
    assert_eq!(refusal(&page), (400, "INVALID_ARGUMENT".to_owned()));
    assert!(says(&page, "magiclink_auth_uri is required"));
    let violation = &page.json()["details"][0]["validation_error_info"]["field_violations"][0];
    assert_eq!(
        (&violation["field"], &violation["constraint"]),
        (&json!("magiclink_auth_uri"), &json!("required"))
    );
    assert!(server.mails_to("jane@example.com").await.is_empty(), "nothing was sent");
}

#[rstest]
#[tokio::test]
async fn five_codes_are_judged_and_the_sixth_is_too_many(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, CODES_ONLY).await else { return };
    let id = sent(&server, "jane@example.com").await;
    let code = server.mail_to("jane@example.com").await["code"].as_str().unwrap().to_owned();
    for guess in 1..=5 {
        let page = try_code(&server, &id, &another(&code, guess)).await;
        assert_eq!(refusal(&page), (400, "INVALID_CODE".to_owned()));
        assert!(says(&page, "invalid"));
    }
    // Nothing is sent that could not be used.
    let again = rest(&server, "resend", json!({ "auth_request_id": id })).await;
    assert_eq!(refusal(&again), (429, "TOO_MANY_ATTEMPTS".to_owned()));
    let resend = ResendPasswordlessRequest { auth_request_id: id.clone() };
    assert_eq!(server.call(RESEND, &resend).await.refusal(), (8, "TOO_MANY_ATTEMPTS".to_owned()));
    assert_eq!(server.mails_to("jane@example.com").await.len(), 1);
    let page = try_code(&server, &id, &code).await;
    assert_eq!(refusal(&page), (429, "TOO_MANY_ATTEMPTS".to_owned()), "even the right one");
    assert!(says(&page, "too many"));
    let again = rest(&server, "resend", json!({ "auth_request_id": id })).await;
    assert_eq!(refusal(&again), (429, "TOO_MANY_ATTEMPTS".to_owned()));
}

#[rstest]
#[tokio::test]
async fn a_code_that_an_sdk_repeats_at_once_is_one_attempt(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, CODES_ONLY).await else { return };
    let id = sent(&server, "jane@example.com").await;
    let code = server.mail_to("jane@example.com").await["code"].as_str().unwrap().to_owned();
    for guess in 1..=4 {
        for _ in 0..3 {
            let page = try_code(&server, &id, &another(&code, guess)).await;
            assert!(page.body.contains(&format!("attempts left: {}", 5 - guess)), "{}", page.body);
        }
    }
    // Three at the same moment, too.
    let wrong = another(&code, 5);
    let pages = join_all((0..3).map(|_| try_code(&server, &id, &wrong))).await;
    assert!(pages.iter().all(|p| p.body.contains("attempts left: 0")), "{pages:?}");
    server.advance_s(2);
    let page = try_code(&server, &id, &wrong).await;
    assert_eq!(
        refusal(&page),
        (429, "TOO_MANY_ATTEMPTS".to_owned()),
        "two seconds later it is another attempt"
    );
}

#[rstest]
#[tokio::test]
async fn parallel_guessers_get_five_codes_judged_and_not_one_more(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, CODES_ONLY).await else { return };
    let id = sent(&server, "jane@example.com").await;
    let code = server.mail_to("jane@example.com").await["code"].as_str().unwrap().to_owned();
    // Every code is sent three times, in the hope that repetitions open a gap.
    let guesses: Vec<String> = (1..=12).flat_map(|n| vec![another(&code, n); 3]).collect();
    let pages = join_all(guesses.iter().map(|guess| try_code(&server, &id, guess))).await;
    let mut judged = std::collections::BTreeSet::new();
    for (guess, page) in guesses.iter().zip(&pages) {
        if refusal(page).1 == "INVALID_CODE" {
            judged.insert(guess.clone());
        }
    }
    assert!(judged.len() <= 5, "{judged:?}");
    assert_eq!(refusal(&try_code(&server, &id, &code).await), (429, "TOO_MANY_ATTEMPTS".to_owned()));
}

#[rstest]
#[tokio::test]
async fn a_code_used_fifty_times_at_once_proves_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, CODES_ONLY).await else { return };
    let id = sent(&server, "jane@example.com").await;
    let code = server.mail_to("jane@example.com").await["code"].as_str().unwrap().to_owned();
    let pages = join_all((0..50).map(|_| try_code(&server, &id, &code))).await;
    assert_eq!(pages.iter().filter(|p| p.status == 200).count(), 1);
    assert!(pages.iter().filter(|p| p.status != 200).all(|p| refusal(p).1 == "AUTH_REQUEST_ALREADY_USED"));
}

#[tokio::test]
async fn what_ran_out_of_time_is_expired_and_a_resend_mends_it() {
    let server = TestServer::with(CODES_ONLY).await;
    let page = rest(&server, "send", json!({ "email": "jane@example.com", "expires_in": 900 })).await;
    let id = page.json()["auth_request_id"].as_str().unwrap().to_owned();
    let code = server.mail_to("jane@example.com").await["code"].as_str().unwrap().to_owned();
    server.advance_s(900);
    let late = try_code(&server, &id, &code).await;
    assert_eq!(refusal(&late), (400, "AUTH_REQUEST_EXPIRED".to_owned()));
    assert!(says(&late, "auth request expired"));
    let again = rest(&server, "resend", json!({ "auth_request_id": id })).await;
    assert_eq!(again.json()["expires_in"], 900);
    let code = server.mail_to("jane@example.com").await["code"].as_str().unwrap().to_owned();
    assert_eq!(try_code(&server, &id, &code).await.status, 200);
    // The whole request ends after an hour, or later where the application asked for longer.
    let page = rest(&server, "send", json!({ "email": "bob@example.com", "expires_in": 7200 })).await;
    let id = page.json()["auth_request_id"].as_str().unwrap().to_owned();
    let code = server.mail_to("bob@example.com").await["code"].as_str().unwrap().to_owned();
    server.advance_s(7199);
    assert_eq!(try_code(&server, &id, &code).await.status, 200);
}

#[tokio::test]
async fn unknown_auth_requests_are_not_found() {
    let server = TestServer::with(CODES_ONLY).await;
    let page = try_code(&server, "nobody", "123456").await;
    assert_eq!(refusal(&page), (404, "AUTH_REQUEST_NOT_FOUND".to_owned()));
    assert!(says(&page, "not found"));
    let page = rest(&server, "resend", json!({ "auth_request_id": "nobody" })).await;
    assert_eq!(refusal(&page), (404, "AUTH_REQUEST_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn hosted_and_headless_requests_do_not_open_each_other() {
    let server = TestServer::start().await;
    // A code of a hosted sign-in proves nothing by API: the browser that began has to show it.
    let person = server.person();
    let hosted = person.start("jane@example.com").await;
    let hosted = hosted.rsplit('/').next().unwrap().to_owned();
    let mail = server.mail_to("jane@example.com").await;
    let page = try_code(&server, &hosted, mail["code"].as_str().unwrap()).await;
    assert_eq!(refusal(&page), (404, "AUTH_REQUEST_NOT_FOUND".to_owned()));
    let token = mail["link"].as_str().unwrap().split("link_token=").nth(1).unwrap();
    let page = rest(&server, "verify", json!({ "link_token": token, "auth_request_id": hosted })).await;
    assert_eq!(refusal(&page), (400, "INVALID_LINK_TOKEN".to_owned()));
    // And the other way round.
    let body = json!({ "email": "bob@example.com", "magiclink_auth_uri": "https://app/x" });
    let id = rest(&server, "send", body).await.json()["auth_request_id"].as_str().unwrap().to_owned();
    assert_eq!(person.get(&format!("/login/{id}")).await.status, 404);
    let token = server.mail_to("bob@example.com").await["link"]
        .as_str()
        .unwrap()
        .split('=')
        .nth(1)
        .unwrap()
        .to_owned();
    assert_ne!(person.get(&format!("/login/link?link_token={token}")).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn two_emails_a_minute_and_address_whoever_sends_them(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, CODES_ONLY).await else { return };
    let id = sent(&server, "jane@example.com").await;
    assert_eq!(rest(&server, "resend", json!({ "auth_request_id": id })).await.status, 200);
    let third = rest(&server, "send", json!({ "email": "JANE@example.com" })).await;
    assert_eq!(refusal(&third), (429, "RATE_LIMITED".to_owned()));
    assert!(says(&third, "rate") && says(&third, "limits.mails_per_address"), "{}", third.body);
    assert_eq!(third.header("retry-after"), "60");
    let resend = ResendPasswordlessRequest { auth_request_id: id.clone() };
    let refused = server.call(RESEND, &resend).await;
    assert_eq!((refused.refusal(), refused.retry_delay_s()), ((8, "RATE_LIMITED".to_owned()), Some(60)));
    let failed = server.do_control("GET", "/flows?status=FAILED", Value::Null).await;
    assert_eq!(failed["flows"].as_array().map(Vec::len), Some(1), "the refused send began nothing: {failed}");
    server.advance_s(60);
    assert_eq!(rest(&server, "resend", json!({ "auth_request_id": id })).await.status, 200);
}

#[tokio::test]
async fn test_users_have_their_fixed_code_by_api_too() {
    let server = TestServer::with(CODES_ONLY).await;
    let id = sent(&server, "jane+sktest@example.com").await;
    assert_eq!(try_code(&server, &id, "424242").await.json()["email"], "jane+sktest@example.com");
}

#[tokio::test]
async fn template_variables_have_an_effect_or_the_timeline_says_that_they_have_none() {
    let server = TestServer::with(CODES_ONLY).await;
    let variables = json!({ "app_name": "Acme Portal", "user_name": "Jane", "plan": "Gold" });
    let sent =
        rest(&server, "send", json!({ "email": "jane@example.com", "template_variables": variables })).await;
    let mail = server.mail_to("jane@example.com").await;
    assert!(mail["subject"].as_str().unwrap().contains("Acme Portal"), "{mail}");
    assert!(mail["text"].as_str().unwrap().contains("Jane"), "{mail}");
    assert!(!mail["text"].as_str().unwrap().contains("Gold"), "{mail}");
    let id = sent.json()["auth_request_id"].as_str().unwrap().to_owned();
    let flow = server.do_control("GET", &format!("/flows/{id}"), Value::Null).await;
    let told = flow["steps"].to_string();
    assert!(told.contains("Custom templates are not emulated, so it has no place for plan."), "{told}");
}

#[tokio::test]
async fn a_code_may_be_typed_with_the_digits_of_any_keyboard() {
    let server = TestServer::with(CODES_ONLY).await;
    let id = sent(&server, "jane@example.com").await;
    let full_width =
        |code: String| code.chars().filter_map(|c| char::from_u32(u32::from(c) + 0xfee0)).collect::<String>();
    let code = full_width(server.code_for("jane@example.com").await);
    assert_eq!(try_code(&server, &id, &code).await.json()["email"], "jane@example.com");
    let person = server.person();
    let sign_in = person.start("bob@example.com").await;
    let code = full_width(server.code_for("bob@example.com").await);
    assert_eq!(person.enter_code(&sign_in, &code).await.status, 303);
}

#[tokio::test]
async fn switched_off_passwordless_says_so() {
    let server = TestServer::with("[passwordless]\nenabled = false").await;
    let page = rest(&server, "send", json!({ "email": "jane@example.com" })).await;
    assert_eq!(refusal(&page), (400, "PASSWORDLESS_DISABLED".to_owned()));
}

#[tokio::test]
async fn bad_bodies_are_named_and_change_nothing() {
    let server = TestServer::with(CODES_ONLY).await;
    let token = server.client_token().await;
    let post = async |body: String| {
        let url = format!("{}/api/v1/passwordless/email/send", server.url);
        let request = server.http().post(url).bearer_auth(&token).body(body);
        Page::of(request.send().await.unwrap()).await
    };
    for body in [
        "{",
        "[]",
        "\"text\"",
        r#"{"email":7}"#,
        r#"{"template_variables":{"a":1}}"#,
        r#"{"expires_in":1.5}"#,
    ] {
        let page = post(body.to_owned()).await;
        assert_eq!(refusal(&page), (400, "INVALID_ARGUMENT".to_owned()), "{body}: {}", page.body);
    }
    let page = post("x".repeat(70_000)).await;
    assert_eq!(refusal(&page), (413, "REQUEST_TOO_LARGE".to_owned()));
    let many: serde_json::Map<_, _> = (0..31).map(|n| (format!("name_{n}"), json!("v"))).collect();
    let page =
        rest(&server, "send", json!({ "email": "jane", "state": "", "template_variables": many })).await;
    let named: Vec<Value> = page.json()["details"][0]["validation_error_info"]["field_violations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["field"].clone())
        .collect();
    assert_eq!(named, ["email", "state", "template_variables"], "every mistake at once");
    assert!(server.mails_to("jane@example.com").await.is_empty());
}
