//! `/oidc/logout`.

use crate::support::TestServer;

const REGISTERED: &str =
    "post_logout_redirect_uris = [\"https://app.example.com/bye\", \"https://app.example.com/other?x=1\"]";

#[tokio::test]
async fn the_cookie_alone_ends_the_session_and_the_next_sign_in_asks_again() {
    let server = TestServer::start().await;
    let person = server.person();
    person.sign_in("jane@example.com").await;
    let page = person.get("/oidc/logout").await;
    assert_eq!((page.status, page.heading().as_str()), (200, "You are signed out"));
    assert_eq!(
        person.authorize(&[("prompt", "none")]).await.answer("error").as_deref(),
        Some("login_required")
    );
}

#[tokio::test]
async fn without_parameters_the_first_registered_address_is_used() {
    let server = TestServer::with(REGISTERED).await;
    let page = server.person().get("/oidc/logout").await;
    assert_eq!(page.location.as_deref(), Some("https://app.example.com/bye"));
}

#[tokio::test]
async fn hint_address_and_state_are_honoured_even_when_the_hint_has_expired() {
    let server = TestServer::with(REGISTERED).await;
    let person = server.person();
    let tokens = person.tokens("jane@example.com").await;
    server.advance_s(300_000);
    let request = person.browser.get(format!("{}/oidc/logout", server.url)).query(&[
        ("id_token_hint", tokens["id_token"].as_str().unwrap()),
        ("post_logout_redirect_uri", "https://app.example.com/other?x=1"),
        ("state", "s t"),
    ]);
    let location = request.send().await.unwrap().headers()["location"].to_str().unwrap().to_owned();
    assert_eq!(location, "https://app.example.com/other?x=1&state=s+t");
}

#[tokio::test]
async fn an_unregistered_address_or_a_forged_hint_gets_a_page_and_no_redirect() {
    let server = TestServer::with(REGISTERED).await;
    let person = server.person();
    person.sign_in("jane@example.com").await;
    let page = person.get("/oidc/logout?post_logout_redirect_uri=https://evil.example/").await;
    assert_eq!((page.status, page.location.is_none()), (400, true));
    assert!(page.body.contains("https://evil.example/"));
    assert_eq!(
        person.authorize(&[("prompt", "none")]).await.answer("error").as_deref(),
        Some("login_required")
    );
    let page = person
        .get("/oidc/logout?id_token_hint=forged&post_logout_redirect_uri=https://app.example.com/bye")
        .await;
    assert_eq!((page.status, page.location.is_none()), (400, true));
}

#[tokio::test]
async fn a_call_without_the_cookie_ends_nothing() {
    let server = TestServer::start().await;
    let person = server.person();
    let tokens = person.tokens("jane@example.com").await;
    server.get(&format!("/oidc/logout?id_token_hint={}", tokens["id_token"].as_str().unwrap())).await;
    assert!(person.authorize(&[("prompt", "none")]).await.answer("code").is_some());
}

#[tokio::test]
async fn a_refresh_token_ends_with_the_session() {
    let server = TestServer::start().await;
    let person = server.person();
    let tokens = person.tokens("jane@example.com").await;
    person.get("/oidc/logout").await;
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    assert_eq!(server.token(&form).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn every_way_to_ask_for_logout_ends_the_session_and_only_a_right_one_leads_back() {
    const BYE: &str = "https://app.example.com/bye";
    let server = TestServer::with(REGISTERED).await;
    let of = |parameters: &[(&str, &str)]| {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        format!("/oidc/logout?{query}")
    };
    let person = server.person();
    let hint = person.tokens("jane@example.com").await["id_token"].as_str().unwrap().to_owned();
    let (signed, signature) = hint.rsplit_once('.').unwrap();
    let swapped = if signature.starts_with('A') { "B" } else { "A" };
    let modified = format!("{signed}.{swapped}{}", &signature[1..]);
    let with_query = format!("{BYE}?foo=bar");
    let hinted = ("id_token_hint", hint.as_str());
    let right = ("post_logout_redirect_uri", BYE);
    for (asked, leads_to) in [
        (vec![hinted, right, ("state", "s")], Some("https://app.example.com/bye?state=s")),
        (vec![hinted, right], Some(BYE)),
        (vec![right, ("client_id", crate::support::CLIENT_ID)], Some(BYE)),
        (vec![("state", "s")], Some("https://app.example.com/bye?state=s")),
        (vec![hinted], Some(BYE)),
        (vec![hinted, ("post_logout_redirect_uri", "https://app.example.com/elsewhere")], None),
        (vec![hinted, ("post_logout_redirect_uri", &with_query)], None),
        (vec![("id_token_hint", &modified), right], None),
        (vec![("id_token_hint", "nonsense"), right], None),
        (vec![right, ("client_id", "somebody")], Some(BYE)),
        (vec![hinted, right, ("client_id", "somebody")], None),
    ] {
        server.advance_s(61);
        person.sign_in_with("jane@example.com", &[("prompt", "login")]).await;
        let page = person.get(&of(&asked)).await;
        assert_eq!(page.location.as_deref(), leads_to, "{asked:?}: {}", page.body);
        assert_eq!(page.status, if leads_to.is_some() { 303 } else { 400 }, "{asked:?}");
        let silent = person.authorize(&[("prompt", "none")]).await;
        assert_eq!(silent.answer("error").as_deref(), Some("login_required"), "{asked:?}");
    }
}
