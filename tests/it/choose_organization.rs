//! Which organization a sign-in enters, as users choose and applications ask.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::{Page, Person, claims};
use crate::support::{Engine, TestServer};

const FULL_STACK: &str = "[tokens]\nuser_management = true\n[limits]\nmails_per_address = 0\n";

const JANE: &str = "jane@acme.test";

async fn organization(server: &TestServer, name: &str) -> String {
    let created = server.do_api("POST", "/organizations", json!({ "display_name": name })).await;
    server.advance_s(1);
    created["organization"]["id"].as_str().unwrap().to_owned()
}

/// Adds somebody to an organization without an email, and gives the user's id.
async fn member(server: &TestServer, organization_id: &str, email: &str) -> String {
    let path = format!("/organizations/{organization_id}/users?send_invitation_email=false");
    let created = server.do_api("POST", &path, json!({ "email": email })).await;
    server.advance_s(1);
    created["user"]["id"].as_str().unwrap().to_owned()
}

async fn join(server: &TestServer, organization_id: &str, user_id: &str, is_invitation: bool) {
    let path = format!("/memberships/organizations/{organization_id}/users/{user_id}");
    let path = format!("{path}?send_invitation_email={is_invitation}");
    server.do_api("POST", &path, json!({})).await;
    server.advance_s(1);
}

/// Two organizations, Acme and Beta, and Jane who belongs to both.
async fn with_jane_in_two(server: &TestServer) -> (String, String, String) {
    let (acme, beta) = (organization(server, "Acme").await, organization(server, "Beta").await);
    let jane = member(server, &acme, JANE).await;
    join(server, &beta, &jane, false).await;
    (acme, beta, jane)
}

/// Proves an address by code; gives the address of the sign-in and what the user sees next.
async fn prove(person: &Person<'_>, address: &str, parameters: &[(&str, &str)]) -> (String, Page) {
    let mut all = vec![("login_hint", address)];
    all.extend_from_slice(parameters);
    let sign_in = person.start_with(&all).await;
    let code = person.server.code_for(address).await;
    let page = person.enter_code(&sign_in, &code).await;
    (sign_in, page)
}

async fn choose(person: &Person<'_>, sign_in: &str, organization_id: &str) -> Page {
    person.send(&format!("{sign_in}/organization"), &[("organization_id", organization_id)]).await
}

/// The claims of the access token that an answer of the sign-in leads to.
async fn access_token(server: &TestServer, page: &Page) -> Value {
    let code = page.answer("code").unwrap_or_else(|| panic!("{:?} {}", page.location, page.body));
    claims(&server.exchange(&code).await.json()["access_token"])
}

async fn memberships(server: &TestServer, user_id: &str) -> Vec<(String, String, String)> {
    let user = server.do_api("GET", &format!("/users/{user_id}"), Value::Null).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let list = user["user"]["memberships"].as_array().unwrap().iter();
    list.map(|m| {
        (text(&m["organization_id"]), text(&m["membership_status"]), text(&m["provisioning_method"]))
    })
    .collect()
}

async fn told(server: &TestServer) -> Vec<(String, Value)> {
    let events = server.database.open().await.events(&server.app.id).await.unwrap().into_iter();
    events.map(|(event_type, data)| (event_type, serde_json::from_str(&data).unwrap())).collect()
}

/// The buttons of the page, as they read.
fn buttons(page: &Page) -> Vec<String> {
    let document = scraper::Html::parse_document(&page.body);
    let selector = scraper::Selector::parse("form.stack button").unwrap();
    document.select(&selector).map(|b| b.text().collect::<String>().trim().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn a_member_of_several_organizations_chooses_one_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let (acme, beta, _) = with_jane_in_two(&server).await;
    let jane = server.person();
    let (sign_in, page) = prove(&jane, JANE, &[]).await;
    assert_eq!((page.status, page.heading().as_str()), (200, "Choose an organization"));
    assert_eq!(buttons(&page), ["Acme", "Beta"]);
    assert!(jane.authorize(&[]).await.location.unwrap().contains("/login/"), "nobody is signed in yet");
    let nonsense = choose(&jane, &sign_in, "org_1").await;
    assert_eq!(nonsense.answer("code"), None);
    let chosen = choose(&jane, &sign_in, &beta).await;
    let token = access_token(&server, &chosen).await;
    assert_eq!(token["oid"], beta.as_str());
    let session = token["sid"].as_str().unwrap();
    let session = server.do_api("GET", &format!("/sessions/{session}"), Value::Null).await;
    assert_eq!(session["organization_id"], beta.as_str());
    let again = choose(&jane, &sign_in, &acme).await;
    assert_eq!(again.answer("code"), None, "the choice was made");
    // The session answers in the organization that it is in.
    let silent = jane.authorize(&[]).await;
    assert_eq!(access_token(&server, &silent).await["oid"], beta.as_str());
}

#[rstest]
#[tokio::test]
async fn of_many_choices_at_once_one_signs_in(#[values(Engine::Sqlite, Engine::Postgres)] engine: Engine) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let (acme, beta, _) = with_jane_in_two(&server).await;
    let jane = server.person();
    let (sign_in, _) = prove(&jane, JANE, &[]).await;
    let choices = (0..20).map(|n| choose(&jane, &sign_in, if n % 2 == 0 { &acme } else { &beta }));
    let pages = join_all(choices).await;
    assert_eq!(pages.iter().filter(|page| page.answer("code").is_some()).count(), 1);
}

#[tokio::test]
async fn only_the_browser_that_proved_the_address_chooses() {
    let toml = format!("{FULL_STACK}[passwordless]\nenforce_same_browser_origin = false\n");
    let server = TestServer::with(&toml).await;
    let (acme, ..) = with_jane_in_two(&server).await;
    let (stranger, jane) = (server.person(), server.person());
    let sign_in = stranger.start(JANE).await;
    let link = server.link_for(JANE).await;
    let token = link.split("link_token=").nth(1).unwrap();
    let page = jane.send("/login/link", &[("link_token", token)]).await;
    assert!(page.location.as_deref().unwrap().contains("/login/"), "{page:?}");
    let foreign = choose(&stranger, &sign_in, &acme).await;
    assert_eq!(foreign.answer("code"), None, "whoever began it has proven nothing");
    assert_ne!(stranger.get(&sign_in).await.status, 200);
    assert_eq!(jane.get(&sign_in).await.heading(), "Choose an organization");
    let forged = server.http().post(format!("{sign_in}/organization"));
    let forged = forged.header("origin", "https://evil.example").form(&[("organization_id", &acme)]);
    assert_eq!(forged.send().await.unwrap().status(), 403);
    let chosen = choose(&jane, &sign_in, &acme).await;
    assert_eq!(access_token(&server, &chosen).await["oid"], acme.as_str());
}

#[rstest]
#[tokio::test]
async fn invitations_and_organizations_of_the_domain_are_joined_by_the_choice(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let (acme, beta) = (organization(&server, "Acme").await, organization(&server, "Beta").await);
    let domain = json!({ "domain": "acme.test", "domain_type": "ALLOWED_EMAIL_DOMAIN" });
    server.do_api("POST", &format!("/organizations/{beta}/domains"), domain).await;
    let path = format!("/organizations/{acme}/users");
    let invited = server.do_api("POST", &path, json!({ "email": JANE })).await;
    let jane = invited["user"]["id"].as_str().unwrap();
    let person = server.person();
    let (sign_in, page) = prove(&person, JANE, &[]).await;
    assert_eq!(buttons(&page), ["Join Acme", "Join Beta", "Create an organization"]);
    let token = access_token(&server, &choose(&person, &sign_in, &acme).await).await;
    assert_eq!((&token["oid"], &token["roles"]), (&acme.clone().into(), &json!(["member"])));
    let accepted = (acme.clone(), "ACTIVE".to_owned(), "invitation".to_owned());
    assert_eq!(memberships(&server, jane).await, [accepted]);

    // Somebody whom nobody knows, with an address of the domain.
    let bob = server.person();
    let (sign_in, page) = prove(&bob, "bob@acme.test", &[]).await;
    assert_eq!(buttons(&page), ["Join Beta", "Create an organization"]);
    let users = server.do_api("GET", "/users:search?query=bob@", Value::Null).await;
    assert_eq!(users["total_size"], 0, "nobody is made before the choice");
    let token = access_token(&server, &choose(&bob, &sign_in, &beta).await).await;
    assert_eq!((&token["oid"], &token["roles"]), (&beta.clone().into(), &json!(["member"])));
    let joined = (beta, "ACTIVE".to_owned(), "allowed_email_domain".to_owned());
    assert_eq!(memberships(&server, token["sub"].as_str().unwrap()).await, [joined]);

    server.advance_s(1);
    let eve = server.person();
    let (sign_in, _) = prove(&eve, "eve@acme.test", &[]).await;
    let page = eve.send(&format!("{sign_in}/organization"), &[("create", "organization")]).await;
    let token = access_token(&server, &page).await;
    assert_eq!(token["roles"], json!(["admin"]));
    let types: Vec<String> = told(&server).await.into_iter().map(|(event_type, _)| event_type).collect();
    let made = ["organization.created", "user.organization_membership_created", "user.signup", "user.login"];
    assert_eq!(types[types.len() - 4..], made);
}

#[tokio::test]
async fn a_full_organization_is_not_offered() {
    let server = TestServer::with(FULL_STACK).await;
    let acme = organization(&server, "Acme").await;
    let domain = json!({ "domain": "acme.test", "domain_type": "ALLOWED_EMAIL_DOMAIN" });
    server.do_api("POST", &format!("/organizations/{acme}/domains"), domain).await;
    let limit = json!({ "settings": { "max_allowed_users": 1 } });
    server.do_api("PATCH", &format!("/organizations/{acme}/settings/usermanagement"), limit).await;
    let (bob, eve) = (server.person(), server.person());
    let ((first, _), (second, _)) =
        (prove(&bob, "bob@acme.test", &[]).await, prove(&eve, "eve@acme.test", &[]).await);
    let pages = [choose(&bob, &first, &acme).await, choose(&eve, &second, &acme).await];
    assert_eq!(pages.map(|page| page.answer("code").is_some()), [true, false]);
    assert_eq!(buttons(&eve.get(&second).await), ["Create an organization"]);
}

#[rstest]
#[tokio::test]
async fn of_many_who_join_at_once_no_more_get_in_than_have_room(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let acme = organization(&server, "Acme").await;
    let domain = json!({ "domain": "acme.test", "domain_type": "ALLOWED_EMAIL_DOMAIN" });
    server.do_api("POST", &format!("/organizations/{acme}/domains"), domain).await;
    let limit = json!({ "settings": { "max_allowed_users": 2 } });
    server.do_api("PATCH", &format!("/organizations/{acme}/settings/usermanagement"), limit).await;
    let people: Vec<Person<'_>> = (0..8).map(|_| server.person()).collect();
    let mut sign_ins = vec![];
    for (n, person) in people.iter().enumerate() {
        sign_ins.push(prove(person, &format!("user{n}@acme.test"), &[]).await.0);
    }
    let choices = people.iter().zip(&sign_ins).map(|(person, sign_in)| choose(person, sign_in, &acme));
    let pages = join_all(choices).await;
    assert_eq!(pages.iter().filter(|page| page.answer("code").is_some()).count(), 2);
}

#[tokio::test]
async fn the_organization_that_is_asked_for_is_entered_by_its_members_alone() {
    let server = TestServer::with(FULL_STACK).await;
    let (acme, beta, _) = with_jane_in_two(&server).await;
    let jane = server.person();
    let (_, page) = prove(&jane, JANE, &[("organization_id", &beta)]).await;
    assert_eq!(access_token(&server, &page).await["oid"], beta.as_str());
    let stranger = server.person();
    let (_, page) = prove(&stranger, "new@example.com", &[("organization_id", &acme)]).await;
    assert_eq!(page.answer("error").as_deref(), Some("invalid_organization_id"));
    let users = server.do_api("GET", "/users:search?query=new@example.com", Value::Null).await;
    assert_eq!(users["total_size"], 0);
    // The session changes over without a page.
    let gamma = organization(&server, "Gamma").await;
    for prompt in ["", "select_account"] {
        let silent = jane.authorize(&[("prompt", prompt), ("organization_id", &acme)]).await;
        let token = access_token(&server, &silent).await;
        assert_eq!(token["oid"], acme.as_str(), "{prompt}");
        let session = token["sid"].as_str().unwrap();
        let session = server.do_api("GET", &format!("/sessions/{session}"), Value::Null).await;
        assert_eq!(session["organization_id"], acme.as_str());
        assert_eq!(session["authenticated_organizations"].as_array().unwrap().len(), 2);
        let refused = jane.authorize(&[("prompt", prompt), ("organization_id", &gamma)]).await;
        assert_eq!(refused.answer("error").as_deref(), Some("invalid_organization_id"), "{prompt}");
    }
}

#[tokio::test]
async fn select_account_lets_a_session_choose_another_organization() {
    let server = TestServer::with(FULL_STACK).await;
    let (acme, beta, jane_id) = with_jane_in_two(&server).await;
    let gamma = organization(&server, "Gamma").await;
    join(&server, &gamma, &jane_id, true).await;
    let jane = server.person();
    prove(&jane, JANE, &[("organization_id", &acme)]).await;
    let sign_in = jane.start_with(&[("prompt", "select_account")]).await;
    assert_eq!(jane.get(&sign_in).await.heading(), "Choose an account");
    let page = jane.send(&format!("{sign_in}/account"), &[("choice", "continue")]).await;
    let page = jane.get(page.location.as_deref().unwrap()).await;
    assert_eq!(page.heading(), "Choose an organization");
    assert_eq!(buttons(&page), ["Acme", "Beta", "Join Gamma"]);
    let chosen = choose(&jane, &sign_in, &beta).await;
    assert_eq!(access_token(&server, &chosen).await["oid"], beta.as_str());
    assert_eq!(choose(&jane, &sign_in, &acme).await.answer("code"), None, "once");
    let sign_in = jane.start_with(&[("prompt", "select_account")]).await;
    let joined = choose(&jane, &sign_in, &gamma).await;
    assert_eq!(access_token(&server, &joined).await["oid"], gamma.as_str());
    let accepted = (gamma, "ACTIVE".to_owned(), "invitation".to_owned());
    assert_eq!(memberships(&server, &jane_id).await[2], accepted);
}

#[tokio::test]
async fn instant_sign_in_enters_the_oldest_organization_or_the_one_asked_for() {
    let server = TestServer::with(&format!("instant_sign_in = true\n{FULL_STACK}")).await;
    let (acme, beta, _) = with_jane_in_two(&server).await;
    for (asked, entered) in [("", &acme), (beta.as_str(), &beta)] {
        let mut url = url::Url::parse(&format!("{}/oauth/authorize", server.url)).unwrap();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", crate::support::CLIENT_ID)
            .append_pair("redirect_uri", crate::support::CALLBACK)
            .append_pair("organization_id", asked);
        let body = json!({ "email": JANE, "authorization_url": url.as_str() });
        let done = server.do_control("POST", "/sign-in", body).await;
        let tokens = server.exchange(done["code"].as_str().unwrap()).await.json();
        assert_eq!(claims(&tokens["access_token"])["oid"], entered.as_str());
    }
}

#[rstest]
#[tokio::test]
async fn whoever_leaves_an_organization_is_signed_out_of_it(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let (acme, beta, jane_id) = with_jane_in_two(&server).await;
    let (one, other) = (server.person(), server.person());
    let mut tokens = vec![];
    for (person, organization_id) in [(&one, &acme), (&other, &beta)] {
        let (_, page) = prove(person, JANE, &[("organization_id", organization_id)]).await;
        tokens.push(server.exchange(&page.answer("code").unwrap()).await.json());
    }
    let path = format!("/memberships/organizations/{acme}/users/{jane_id}");
    server.do_api("DELETE", &path, Value::Null).await;
    for (tokens, status) in tokens.iter().zip([400, 200]) {
        let token = tokens["refresh_token"].as_str().unwrap();
        let page = server.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await;
        assert_eq!(page.status, status, "{}", page.body);
    }
    assert!(one.authorize(&[]).await.location.unwrap().contains("/login/"), "the cookie is worth nothing");
    assert!(other.authorize(&[]).await.answer("code").is_some());
    let session = claims(&tokens[0]["access_token"])["sid"].clone();
    let logouts: Vec<Value> = told(&server)
        .await
        .into_iter()
        .filter(|(event_type, _)| event_type == "user.logout")
        .map(|(_, data)| data["user_session"].clone())
        .collect();
    assert_eq!(logouts.len(), 1, "{logouts:?}");
    assert_eq!((&logouts[0]["session_id"], &logouts[0]["status"]), (&session, &"REVOKED".into()));
}

#[tokio::test]
async fn a_session_lasts_no_longer_than_its_organization_says() {
    let server = TestServer::with(FULL_STACK).await;
    let acme = organization(&server, "Acme").await;
    member(&server, &acme, JANE).await;
    let policy = json!({
        "policy_source": "CUSTOM", "absolute_session_timeout": 60, "absolute_session_timeout_unit": "MINUTES",
        "idle_session_timeout_enabled": true, "idle_session_timeout": 20, "idle_session_timeout_unit": "MINUTES",
    });
    server.do_api("PATCH", &format!("/organizations/{acme}/session-policy"), policy).await;
    let jane = server.person();
    let (_, page) = prove(&jane, JANE, &[]).await;
    let session = access_token(&server, &page).await["sid"].as_str().unwrap().to_owned();
    let path = format!("/sessions/{session}");
    for _ in 0..3 {
        server.advance_s(19 * 60);
        assert!(jane.authorize(&[]).await.answer("code").is_some(), "used in time");
    }
    assert_eq!(server.do_api("GET", &path, Value::Null).await["status"], "active");
    server.advance_s(3 * 60);
    assert_eq!(server.do_api("GET", &path, Value::Null).await["status"], "expired");
    assert!(jane.authorize(&[]).await.location.unwrap().contains("/login/"), "an hour has passed");

    let (_, page) = prove(&jane, JANE, &[]).await;
    let user = access_token(&server, &page).await["sub"].as_str().unwrap().to_owned();
    server.advance_s(20 * 60);
    assert!(jane.authorize(&[]).await.location.unwrap().contains("/login/"), "it was idle");
    let active = format!("/users/{user}/sessions?filter.status=ACTIVE");
    assert_eq!(server.do_api("GET", &active, Value::Null).await["total_size"], 0);
}

#[tokio::test]
async fn logins_and_logouts_are_told_with_their_session() {
    let server = TestServer::with(FULL_STACK).await;
    let (jane, session) = {
        let jane = server.person();
        let tokens = jane.tokens(JANE).await;
        (jane, claims(&tokens["access_token"])["sid"].clone())
    };
    // The session answers by itself, then is renewed: neither begins one.
    assert!(jane.authorize(&[]).await.answer("code").is_some());
    jane.sign_in_with(JANE, &[("prompt", "login")]).await;
    jane.get("/oidc/logout").await;
    let bob = server.person();
    bob.sign_in("bob@acme.test").await;
    bob.sign_in_with("eve@acme.test", &[("prompt", "login")]).await;
    let told = told(&server).await;
    let told: Vec<_> = told.iter().filter(|(t, _)| t == "user.login" || t == "user.logout").collect();
    let of = |(event_type, data): &(String, Value)| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (event_type.clone(), text(&data["user"]["email"]), text(&data["user_session"]["status"]))
    };
    let mut got: Vec<_> = told.iter().map(|event| of(event)).collect();
    let mut expected = [
        ("user.login", JANE, "ACTIVE"),
        ("user.logout", JANE, "LOGOUT"),
        ("user.login", "bob@acme.test", "ACTIVE"),
        ("user.logout", "bob@acme.test", "REVOKED"),
        ("user.login", "eve@acme.test", "ACTIVE"),
    ]
    .map(|(event_type, email, status)| (event_type.to_owned(), email.to_owned(), status.to_owned()));
    got.sort();
    expected.sort();
    assert_eq!(got, expected);
    let login = told.iter().find(|(t, data)| t == "user.login" && data["user"]["email"] == JANE);
    let (_, login) = login.unwrap();
    assert_eq!(login["user_session"]["session_id"], session);
    assert!(login["user"]["last_login_time"].is_string());
}

#[rstest]
#[tokio::test]
async fn tokens_of_an_organization_that_was_left_are_not_refreshed_while_the_session_goes_on(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let (acme, beta, jane_id) = with_jane_in_two(&server).await;
    let jane = server.person();
    let (_, page) = prove(&jane, JANE, &[("organization_id", &acme)]).await;
    let of_acme = server.exchange(&page.answer("code").unwrap()).await.json();
    let page = jane.authorize(&[("organization_id", &acme)]).await;
    let unused_code = page.answer("code").unwrap();
    // The session goes over to the other one.
    let page = jane.authorize(&[("organization_id", &beta)]).await;
    let of_beta = server.exchange(&page.answer("code").unwrap()).await.json();
    assert_eq!(claims(&of_acme["access_token"])["sid"], claims(&of_beta["access_token"])["sid"]);
    let path = format!("/memberships/organizations/{acme}/users/{jane_id}");
    server.do_api("DELETE", &path, Value::Null).await;
    let late = server.exchange(&unused_code).await;
    assert_eq!((late.status, &late.json()["error"]), (400, &"invalid_grant".into()));
    let client = [("client_id", crate::support::CLIENT_ID), ("client_secret", crate::support::CLIENT_SECRET)];
    for (tokens, is_good) in [(of_acme, false), (of_beta, true)] {
        let token = tokens["refresh_token"].as_str().unwrap();
        let introspected = server.post("/oauth/introspect", &[client[0], client[1], ("token", token)]).await;
        assert_eq!(introspected.json()["active"], is_good);
        let page = server.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await;
        assert_eq!(page.status == 200, is_good, "{}", page.body);
        if !is_good {
            assert_eq!(page.json()["error"], "invalid_grant");
        }
    }
}
