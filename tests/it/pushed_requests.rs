//! Pushed authorization requests (RFC 9126).

use rstest::rstest;

use crate::support::person::Page;
use crate::support::{CALLBACK, CLIENT_ID, CLIENT_SECRET, Engine, TestServer};

impl TestServer {
    /// Pushes a request of the default client with these parameters over the usual ones; an empty value takes one away.
    async fn push(&self, parameters: &[(&str, &str)]) -> Page {
        let mut all = std::collections::BTreeMap::from([
            ("client_id", CLIENT_ID),
            ("client_secret", CLIENT_SECRET),
            ("response_type", "code"),
            ("redirect_uri", CALLBACK),
            ("scope", "openid email"),
            ("state", "of-the-push"),
        ]);
        all.extend(parameters.iter().copied());
        let form: Vec<_> = all.into_iter().filter(|(_, v)| !v.is_empty()).collect();
        self.post("/oauth/par", &form).await
    }

    async fn pushed_uri(&self, parameters: &[(&str, &str)]) -> String {
        let pushed = self.push(parameters).await;
        assert_eq!(pushed.status, 201, "{}", pushed.body);
        pushed.json()["request_uri"].as_str().unwrap().to_owned()
    }
}

#[rstest]
#[tokio::test]
async fn a_pushed_request_signs_in_with_what_was_pushed_and_nothing_the_browser_adds(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let pushed = server.push(&[("nonce", "n-1"), ("login_hint", "jane@example.com")]).await;
    assert_eq!((pushed.status, pushed.header("cache-control")), (201, "no-store"), "{}", pushed.body);
    assert_eq!(pushed.json()["expires_in"], 90);
    let uri = pushed.json()["request_uri"].as_str().unwrap().to_owned();
    assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:"), "{uri}");

    let person = server.person();
    // What the browser brings beside the reference does not count.
    let back = person
        .sign_in_with(
            "jane@example.com",
            &[
                ("request_uri", &uri),
                ("login_hint", "eve@example.com"),
                ("state", "of-the-browser"),
                ("redirect_uri", "https://evil.example/cb"),
            ],
        )
        .await;
    assert_eq!(back.answer("state").as_deref(), Some("of-the-push"));
    let tokens = server.exchange(&back.answer("code").unwrap()).await.json();
    let claims = crate::support::person::claims(&tokens["id_token"]);
    assert_eq!(claims["nonce"], "n-1");
}

#[rstest]
#[tokio::test]
async fn a_reference_works_once_however_many_bring_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let uri = server.pushed_uri(&[]).await;
    let people: Vec<_> = (0..20).map(|_| server.person()).collect();
    let parameters = [("request_uri", uri.as_str())];
    let pages = futures_util::future::join_all(people.iter().map(|p| p.authorize(&parameters))).await;
    assert_eq!(pages.iter().filter(|p| p.status == 303).count(), 1);
    let refused = pages.iter().find(|p| p.status == 400).unwrap();
    assert!(refused.location.is_none() && refused.body.contains("was used already"), "{}", refused.body);
}

#[tokio::test]
async fn a_reference_is_bound_to_its_client_and_its_time() {
    let server = TestServer::with(
        "[[clients]]\nclient_id = \"other\"\nclient_secret = \"test_other\"\n[[clients]]\nclient_id = \"skc_1\"\nclient_secret = \"test_1\"\n",
    )
    .await;
    let own = [("client_id", "skc_1"), ("client_secret", "test_1")];
    let uri = server.pushed_uri(&own).await;
    let person = server.person();
    assert_eq!(person.authorize(&[("client_id", "other"), ("request_uri", &uri)]).await.status, 400);
    assert_eq!(person.authorize(&[("client_id", "skc_1"), ("request_uri", &uri)]).await.status, 303);

    let uri = server.pushed_uri(&own).await;
    server.advance_s(91);
    assert_eq!(person.authorize(&[("client_id", "skc_1"), ("request_uri", &uri)]).await.status, 400);
    let strange = format!("urn:ietf:params:oauth:request_uri:{}", "x".repeat(43));
    assert_eq!(person.authorize(&[("client_id", "skc_1"), ("request_uri", &strange)]).await.status, 400);
    // Other kinds of request_uri are not supported, and the application hears so.
    let remote = [("client_id", "skc_1"), ("request_uri", "https://app.example.com/request.jwt")];
    let told = person.authorize(&remote).await;
    assert_eq!(told.answer("error").as_deref(), Some("request_uri_not_supported"));
}

#[tokio::test]
async fn what_authorize_would_refuse_is_refused_at_the_push() {
    let server = TestServer::start().await;
    for (parameters, status, error) in [
        (vec![("client_secret", "wrong")], 401, "invalid_client"),
        (vec![("response_type", "token")], 400, "unsupported_response_type"),
        (vec![("response_type", "")], 400, "invalid_request"),
        (vec![("redirect_uri", "https://evil.example/cb")], 400, "invalid_request"),
        (vec![("request_uri", "urn:ietf:params:oauth:request_uri:x")], 400, "invalid_request"),
        (vec![("request", "e30.e30.")], 400, "request_not_supported"),
        (vec![("code_challenge", "x"), ("code_challenge_method", "plain")], 400, "invalid_request"),
    ] {
        let refused = server.push(&parameters).await;
        assert_eq!(refused.status, status, "{parameters:?}: {}", refused.body);
        assert_eq!(refused.json()["error"], error, "{parameters:?}: {}", refused.body);
    }
    assert_eq!(server.get("/oauth/par").await.status, 405);
}

#[tokio::test]
async fn a_client_authenticates_by_basic_and_its_secret_is_not_kept() {
    let server = TestServer::start().await;
    let request = server
        .http()
        .post(format!("{}/oauth/par", server.url))
        .basic_auth(CLIENT_ID, Some(CLIENT_SECRET))
        .form(&[("response_type", "code"), ("redirect_uri", CALLBACK), ("scope", "openid")]);
    let pushed = Page::of(request.send().await.unwrap()).await;
    assert_eq!(pushed.status, 201, "{}", pushed.body);
    server.pushed_uri(&[]).await;
    let snapshot = server.do_control("GET", "/snapshot", serde_json::Value::Null).await;
    let kept = snapshot["pushed_authorization_requests"].to_string();
    assert!(kept.contains("redirect_uri") && !kept.contains(CLIENT_SECRET), "{kept}");
}

#[tokio::test]
async fn a_client_that_has_to_push_is_refused_without() {
    let server = TestServer::with(
        "[[clients]]\nclient_id = \"strict\"\nclient_secret = \"test_strict\"\nrequire_pushed_authorization_requests = true\n",
    )
    .await;
    let person = server.person();
    let direct = person.authorize(&[("client_id", "strict")]).await;
    assert_eq!(direct.answer("error").as_deref(), Some("invalid_request"), "{direct:?}");
    let own = [("client_id", "strict"), ("client_secret", "test_strict")];
    let uri = server.pushed_uri(&own).await;
    assert_eq!(person.authorize(&[("client_id", "strict"), ("request_uri", &uri)]).await.status, 303);
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["pushed_authorization_request_endpoint"], format!("{}/oauth/par", server.url));
}
