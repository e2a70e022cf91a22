//! `/oidc/logout`.

use rstest::rstest;

use crate::support::person::{Page, Person};
use crate::support::{CALLBACK, CLIENT_ID, Engine, TestServer};

const REGISTERED: &str =
    "post_logout_redirect_uris = [\"https://app.example.com/bye\", \"https://app.example.com/other?x=1\"]";

const ONE_BYE: &str = "https://one.example.com/bye";
const TWO_BYE: &str = "https://two.example.com/bye";
const TWO_APPS: &str = "
[[clients]]
client_id = \"one\"
client_secret = \"secret-of-one\"
post_logout_redirect_uris = [\"https://one.example.com/bye\"]
[[clients]]
client_id = \"two\"
client_secret = \"secret-of-two\"
initiate_login_uri = \"https://two.example.com/\"
";

impl Person<'_> {
    /// Presses the button of the page that asks, and follows the redirect to what the server says then.
    async fn press_sign_out(&self, page: &Page) -> Page {
        let document = scraper::Html::parse_document(&page.body);
        let all = |css: &str| scraper::Selector::parse(css).unwrap();
        let form = document.select(&all("form")).next().unwrap().attr("action").unwrap().to_owned();
        let fields: Vec<(String, String)> = document
            .select(&all("form input[type=hidden]"))
            .map(|i| (i.attr("name").unwrap().to_owned(), i.attr("value").unwrap().to_owned()))
            .collect();
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let moved = self.post(&form, &fields).await;
        assert_eq!(moved.status, 303, "{}", moved.body);
        self.get(&moved.location.unwrap()).await
    }

    /// A whole sign-in at another application than the default one.
    async fn tokens_of(&self, client_id: &str, secret: &str, address: &str) -> serde_json::Value {
        let code = self.sign_in_with(address, &[("client_id", client_id)]).await.answer("code").unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
            ("client_id", client_id),
            ("client_secret", secret),
        ];
        self.server.post("/oauth/token", &form).await.json()
    }
}

#[tokio::test]
async fn the_cookie_alone_ends_the_session_and_the_next_sign_in_asks_again() {
    let server = TestServer::start().await;
    let person = server.person();
    person.sign_in("jane@example.com").await;
    let page = person.get("/oidc/logout").await;
    assert_eq!((page.status, page.heading().as_str()), (200, "You're signed out"));
    assert_eq!(
        person.authorize(&[("prompt", "none")]).await.answer("error").as_deref(),
        Some("login_required")
    );
}

#[tokio::test]
async fn without_an_address_users_stay_on_a_page_that_leads_back_to_the_application() {
    let server = TestServer::with(REGISTERED).await;
    let person = server.person();
    let tokens = person.tokens("jane@example.com").await;
    let hint = tokens["id_token"].as_str().unwrap();
    for query in [String::new(), format!("?id_token_hint={hint}"), format!("?client_id={CLIENT_ID}&state=s")]
    {
        let page = person.get(&format!("/oidc/logout{query}")).await;
        assert_eq!((page.status, page.location.as_deref()), (200, None), "{query}");
        assert_eq!(page.heading(), "You're signed out");
        assert!(page.body.contains("href=\"https://app.example.com/bye\""), "{}", page.body);
    }
    // Nobody knows which of several applications it was, or what page an unknown one has.
    let several = TestServer::with(TWO_APPS).await;
    for query in ["", "?client_id=nobody"] {
        let page = several.person().get(&format!("/oidc/logout{query}")).await;
        assert_eq!((page.status, page.location.as_deref()), (200, None), "{query}");
        assert!(!page.body.contains("example.com"), "{}", page.body);
    }
    let page = several.person().get("/oidc/logout?client_id=two").await;
    assert!(page.body.contains("href=\"https://two.example.com/\""), "{}", page.body);
}

#[tokio::test]
async fn an_address_of_another_application_is_never_used() {
    let server = TestServer::with(TWO_APPS).await;
    let person = server.person();
    let hint = person.tokens_of("one", "secret-of-one", "jane@example.com").await;
    let hint = hint["id_token"].as_str().unwrap();
    for query in [
        "client_id=two".to_owned(),
        "client_id=nobody".to_owned(),
        format!("id_token_hint={hint}&client_id=two"),
    ] {
        let page = person.get(&format!("/oidc/logout?{query}&post_logout_redirect_uri={ONE_BYE}")).await;
        assert_eq!((page.status, page.location.as_deref()), (400, None), "{query}");
    }
    let page =
        person.get(&format!("/oidc/logout?id_token_hint={hint}&post_logout_redirect_uri={TWO_BYE}")).await;
    assert_eq!((page.status, page.location.as_deref()), (400, None));
    for query in [String::new(), "client_id=one".to_owned(), format!("id_token_hint={hint}")] {
        let page = person.get(&format!("/oidc/logout?{query}&post_logout_redirect_uri={ONE_BYE}")).await;
        assert_eq!(page.location.as_deref(), Some(ONE_BYE), "{query}");
    }
}

#[rstest]
#[tokio::test]
async fn without_a_hint_a_provider_that_has_to_asks_first_and_then_goes_where_it_was_asked_to(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let toml = format!("{REGISTERED}\n[logout]\nconfirm = \"without_hint\"");
    let Some(server) = TestServer::on(engine, &toml).await else { return };
    let person = server.person();
    for (asked, heading) in [
        ("", "You're signed out"),
        ("post_logout_redirect_uri=https://app.example.com/bye&state=s%20t", ""),
        ("id_token_hint=forged", "You're signed out"),
        ("post_logout_redirect_uri=https://evil.example/", "You're signed out"),
    ] {
        server.advance_s(61);
        person.sign_in_with("jane@example.com", &[("prompt", "login")]).await;
        let page = person.get(&format!("/oidc/logout?{asked}")).await;
        assert_eq!((page.status, page.heading().as_str()), (200, "Sign out?"), "{asked}");
        assert!(page.body.contains("jane@example.com") && page.header("set-cookie").is_empty(), "{asked}");
        assert!(person.authorize(&[("prompt", "none")]).await.answer("code").is_some(), "{asked}: not yet");
        let after = person.press_sign_out(&page).await;
        if heading.is_empty() {
            assert_eq!(after.location.as_deref(), Some("https://app.example.com/bye?state=s+t"));
        } else {
            assert_eq!((after.heading().as_str(), after.location.as_deref()), (heading, None), "{asked}");
        }
        let silent = person.authorize(&[("prompt", "none")]).await;
        assert_eq!(silent.answer("error").as_deref(), Some("login_required"), "{asked}");
    }
    // With the session's own ID token nobody is asked, and where nobody is signed in there is nothing to ask.
    server.advance_s(61);
    let tokens = person.tokens("jane@example.com").await;
    let own = format!("id_token_hint={}", tokens["id_token"].as_str().unwrap());
    assert_eq!(person.get(&format!("/oidc/logout?{own}")).await.heading(), "You're signed out");
    assert_eq!(person.get("/oidc/logout").await.heading(), "You're signed out");
    let silent = person.authorize(&[("prompt", "none")]).await;
    assert_eq!(silent.answer("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn a_hint_of_another_person_or_session_always_asks() {
    let server = TestServer::with(REGISTERED).await;
    let (jane, bob) = (server.person(), server.person());
    let of_bob = bob.tokens("bob@example.com").await["id_token"].as_str().unwrap().to_owned();
    let earlier = jane.tokens("jane@example.com").await["id_token"].as_str().unwrap().to_owned();
    jane.get("/oidc/logout").await;
    server.advance_s(61);
    jane.sign_in("jane@example.com").await;
    for hint in [of_bob, earlier] {
        let asked =
            format!("/oidc/logout?id_token_hint={hint}&post_logout_redirect_uri=https://app.example.com/bye");
        let page = jane.get(&asked).await;
        assert_eq!((page.status, page.heading().as_str()), (200, "Sign out?"));
        assert!(page.body.contains("jane@example.com") && !page.body.contains("bob@example.com"));
        assert!(jane.authorize(&[("prompt", "none")]).await.answer("code").is_some());
        let after = jane.press_sign_out(&page).await;
        assert_eq!(after.location.as_deref(), Some("https://app.example.com/bye"));
        let silent = jane.authorize(&[("prompt", "none")]).await;
        assert_eq!(silent.answer("error").as_deref(), Some("login_required"));
        server.advance_s(61);
        jane.sign_in("jane@example.com").await;
    }
}

#[tokio::test]
async fn production_asks_by_default_and_development_does_not() {
    use vestibule::domain::settings::LogoutConfirm;
    let of = |toml: &str| crate::support::configuration(toml).environment.logout_confirm;
    assert_eq!(of(""), LogoutConfirm::Never);
    assert_eq!(of("[logout]\nconfirm = \"without_hint\""), LogoutConfirm::WithoutHint);
    let production = "mode = \"production\"\npublic_urls = [\"https://id.example.com\"]\n\
                      master_key = \"9c1f7a52e0b84d36a1f5\"\nclient_id = \"skc_1\"\n\
                      client_secret = \"b7d20c9e4f6a4b1d8e35\"\n[smtp]\nhost = \"smtp.example.com\"\n";
    assert_eq!(of(production), LogoutConfirm::WithoutHint);
    assert_eq!(of(&format!("{production}\n[logout]\nconfirm = \"never\"")), LogoutConfirm::Never);
}

#[tokio::test]
async fn head_and_pages_loaded_ahead_sign_nobody_out() {
    let server = TestServer::start().await;
    let person = server.person();
    person.sign_in("jane@example.com").await;
    let url = format!("{}/oidc/logout", server.url);
    let head = person.browser.head(&url);
    let ahead = [
        ("sec-purpose", "prefetch"),
        ("sec-purpose", "prefetch;prerender"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ];
    let ahead = ahead.map(|(name, value)| person.browser.get(&url).header(name, value));
    for request in std::iter::once(head).chain(ahead) {
        let page = Page::of(request.send().await.unwrap()).await;
        assert_eq!((page.header("set-cookie"), page.location.as_deref()), ("", None));
    }
    assert!(person.authorize(&[("prompt", "none")]).await.answer("code").is_some());
}

#[tokio::test]
async fn a_form_of_the_application_signs_out_by_a_get_that_brings_the_cookie() {
    let server = TestServer::with(REGISTERED).await;
    let person = server.person();
    let tokens = person.tokens("jane@example.com").await;
    let form = [
        ("id_token_hint", tokens["id_token"].as_str().unwrap()),
        ("post_logout_redirect_uri", "https://app.example.com/bye"),
    ];
    // Another site's form comes without the cookie; the redirect that follows has it.
    let moved = server.post("/oidc/logout", &form).await;
    assert_eq!(moved.status, 303);
    let page = person.get(&moved.location.unwrap()).await;
    assert_eq!(page.location.as_deref(), Some("https://app.example.com/bye"));
    let silent = person.authorize(&[("prompt", "none")]).await;
    assert_eq!(silent.answer("error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn only_the_page_itself_may_confirm_and_a_malformed_request_changes_nothing() {
    let server = TestServer::with(REGISTERED).await;
    let person = server.person();
    person.sign_in("jane@example.com").await;
    let url = format!("{}/oidc/logout/confirm", server.url);
    let foreign = person.browser.post(&url).header("origin", "https://evil.example").form(&[("state", "s")]);
    assert_eq!(foreign.send().await.unwrap().status().as_u16(), 403);
    let repeated = person.get("/oidc/logout?state=a&state=b").await;
    assert_eq!((repeated.status, repeated.location.as_deref()), (400, None));
    assert!(person.authorize(&[("prompt", "none")]).await.answer("code").is_some());
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
    let hinted = format!("/oidc/logout?client_id={CLIENT_ID}&post_logout_redirect_uri");
    let page = person.get(&format!("{hinted}=https://app.example.com/new")).await;
    // What is registered already stays in what to paste.
    let paste = "post_logout_redirect_uris = [&#34;https://app.example.com/bye&#34;, \
                 &#34;https://app.example.com/other?x=1&#34;, &#34;https://app.example.com/new&#34;]";
    assert!(page.body.contains(paste), "{}", page.body);
    let page = person.get(&format!("{hinted}=https://app.example.com/bye%23part")).await;
    assert!(page.body.contains("cannot be registered") && !page.body.contains(" = ["), "{}", page.body);
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
    let with_query = format!("{BYE}?foo=bar");
    // Stand-ins for the hint of the sign-in before, and for the same with another signature.
    let (hinted, modified) = (("id_token_hint", "HINT"), ("id_token_hint", "MODIFIED"));
    let right = ("post_logout_redirect_uri", BYE);
    for (asked, status, leads_to) in [
        (vec![hinted, right, ("state", "s")], 303, Some("https://app.example.com/bye?state=s")),
        (vec![hinted, right], 303, Some(BYE)),
        (vec![right, ("client_id", CLIENT_ID)], 303, Some(BYE)),
        (vec![right], 303, Some(BYE)),
        (vec![("state", "s")], 200, None),
        (vec![hinted], 200, None),
        (vec![hinted, ("post_logout_redirect_uri", "https://app.example.com/elsewhere")], 400, None),
        (vec![hinted, ("post_logout_redirect_uri", &with_query)], 400, None),
        (vec![modified, right], 400, None),
        (vec![("id_token_hint", "nonsense"), right], 400, None),
        (vec![right, ("client_id", "somebody")], 400, None),
        (vec![hinted, right, ("client_id", "somebody")], 400, None),
    ] {
        server.advance_s(61);
        let back = person.sign_in_with("jane@example.com", &[("prompt", "login")]).await;
        let tokens = server.exchange(&back.answer("code").unwrap()).await.json();
        let hint = tokens["id_token"].as_str().unwrap();
        let (signed, signature) = hint.rsplit_once('.').unwrap();
        let swapped = if signature.starts_with('A') { "B" } else { "A" };
        let other = format!("{signed}.{swapped}{}", &signature[1..]);
        let page = person.get(&of(&asked).replace("HINT", hint).replace("MODIFIED", &other)).await;
        assert_eq!((page.status, page.location.as_deref()), (status, leads_to), "{asked:?}: {}", page.body);
        let silent = person.authorize(&[("prompt", "none")]).await;
        assert_eq!(silent.answer("error").as_deref(), Some("login_required"), "{asked:?}");
    }
}
