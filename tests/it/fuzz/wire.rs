//! A running server, and clients that send it anything.

use actix_web::test::TestRequest;
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message as _;
use rstest::rstest;
use tokio::runtime::Runtime;
use vestibule::api::pb::scalekit::v1::auth::passwordless::{
    ResendPasswordlessRequest, SendPasswordlessRequest, VerifyPasswordLessRequest,
    verify_password_less_request::AuthCredential,
};
use vestibule::http::cookies;
use vestibule::runtime::EnvironmentSelector;

use super::properties::{GRPC_HEADERS, GRPC_METHODS, grpc_answer, grpc_frame};
use super::{corpus, fuzz, mutated};
use crate::support::grpc::{Wire, frame};
use crate::support::{Engine, TestServer};

#[rstest]
fn any_grpc_body_gets_an_answer_that_blames_the_caller(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let runtime = Runtime::new().unwrap();
    let Some(server) = runtime.block_on(TestServer::on(engine, "")) else { return };
    let token = format!("Bearer {}", runtime.block_on(server.client_token()));
    let send = SendPasswordlessRequest {
        email: "jane@example.com".into(),
        magiclink_auth_uri: Some("https://app.example.com/verify".into()),
        state: Some("s".into()),
        expires_in: Some(300),
        template_variables: [("a".to_owned(), "b".to_owned())].into(),
        template: Some(1),
    };
    let resend = ResendPasswordlessRequest { auth_request_id: "nobody".into() };
    let verify = VerifyPasswordLessRequest {
        auth_request_id: Some("nobody".into()),
        auth_credential: Some(AuthCredential::Code("123456".into())),
    };
    let good: Vec<Vec<u8>> = [frame(&send), frame(&resend), frame(&verify), frame(&resend).repeat(2).into()]
        .map(|f| f.to_vec())
        .into();
    // The whole frame, or its message below a prefix that is right.
    let messages = vec![send.encode_to_vec(), resend.encode_to_vec(), verify.encode_to_vec()];
    let body = prop_oneof![
        1 => mutated(good),
        1 => prop::collection::vec(any::<u8>(), 0..64),
        2 => mutated(messages).prop_map(|message| grpc_frame(&message)),
    ];
    let headers = prop::collection::vec(prop::sample::select(GRPC_HEADERS), 0..3);
    let input = (prop::sample::select(GRPC_METHODS), any::<bool>(), prop::bool::weighted(0.8), headers, body);
    fuzz(&format!("grpc on {engine:?}"), &input, |(method, by_http1, has_token, headers, body)| {
        let mut headers = headers;
        if has_token {
            headers.push(("authorization", &token));
        }
        let wire = if by_http1 { Wire::Http1 } else { Wire::H2c };
        let answer = runtime.block_on(server.call_with(wire, method, Bytes::from(body), &headers));
        grpc_answer(answer.http_status, &answer.headers);
        Ok(())
    });
}

#[test]
fn only_cookies_of_our_own_shape_are_read() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(TestServer::with("public_urls = [\"http://localhost:6870\"]"));
    let asked = EnvironmentSelector { over_tls: false, authority: Some("localhost:6870"), name: None };
    let context = runtime.block_on(server.provider.context(asked)).unwrap();
    let is_ours = |name: &str, value: &str| {
        // The session's leads to its row by 19 digits.
        let (digits, secret) =
            if name == "session" { value.split_at_checked(20).unwrap_or(("", "")) } else { ("", value) };
        let leads = digits.strip_suffix('_').is_some_and(|d| d.bytes().all(|b| b.is_ascii_digit()));
        (leads || name == "browser")
            && secret.len() == 43
            && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    fuzz("cookies", &mutated(corpus("cookie.txt")), |line| {
        let Ok(value) = http::HeaderValue::from_bytes(&line) else { return Ok(()) };
        let value = actix_web::http::header::HeaderValue::from_bytes(value.as_bytes()).unwrap();
        let request = TestRequest::get().insert_header(("cookie", value)).to_http_request();
        let found = cookies::browser(&request, &context);
        for (name, value) in [("browser", found.browser_cookie), ("session", found.session_cookie)] {
            let Some(value) = value else { continue };
            prop_assert!(is_ours(name, &value), "{name} {value:?}");
            // Blanks around names are no part of them (RFC 6265 §5.2).
            let line = String::from_utf8_lossy(&line).replace([' ', '\t'], "");
            prop_assert!(line.contains(&format!("vestibule_{name}6870=")), "{line:?}");
        }
        Ok(())
    });
}

#[rstest]
fn any_body_and_cookie_at_the_control_api_gets_an_answer_that_blames_the_caller(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let runtime = Runtime::new().unwrap();
    let Some(server) = runtime.block_on(TestServer::on(engine, "")) else { return };
    let http = server.http();
    let paths = [
        ("POST", "/users"),
        ("POST", "/clients"),
        ("PUT", "/clock"),
        ("POST", "/seed"),
        ("POST", "/tokens"),
        ("POST", "/tokens/decode"),
        ("POST", "/sign-in"),
        ("PATCH", "/settings"),
        ("POST", "/api/organizations"),
        ("PUT", "/snapshot"),
        ("PATCH", "/users/jane@example.com"),
        ("PATCH", "/api/users/usr_100000000000000001"),
        ("PATCH", "/api/clients/app"),
        ("PATCH", "/clients/app"),
    ];
    let input =
        (prop::sample::select(paths.to_vec()), mutated(corpus("control.txt")), mutated(corpus("cookie.txt")));
    fuzz(&format!("control on {engine:?}"), &input, |((method, path), body, cookie)| {
        let mut request =
            http.request(method.parse().unwrap(), format!("{}/_emulator/v1{path}", server.url)).body(body);
        request = request.header("content-type", "application/json");
        if let Ok(cookie) = reqwest::header::HeaderValue::from_bytes(&cookie) {
            request = request.header("cookie", cookie);
        }
        let status = runtime.block_on(request.send()).unwrap().status();
        prop_assert!(!status.is_server_error(), "{status}");
        Ok(())
    });
}
