//! Interceptors: applications are asked before sign-ups, sessions, invitations and machine tokens, and allow or deny them.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::crypto::webhook_signature::signature;

use crate::support::person::{Page, claims};
use crate::support::receiver::{Received, Receiver, Respond};
use crate::support::{Engine, TestServer};

const FULL_STACK: &str = "[tokens]\nuser_management = true\n[limits]\nmails_per_address = 0\n";

const JANE: &str = "jane@acme.test";

impl TestServer {
    /// Makes an interceptor and gives it as the control API shows it.
    async fn interceptor(&self, receiver: &Receiver, trigger_point: &str, more: Value) -> Value {
        let mut wanted = json!({ "url": receiver.url, "trigger_point": trigger_point });
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.do_control("POST", "/interceptors", wanted).await
    }

    /// The log of all calls, oldest first.
    async fn calls(&self) -> Vec<Value> {
        let list = self.do_control("GET", "/interceptor-calls", Value::Null).await;
        let mut calls = list["calls"].as_array().unwrap().clone();
        calls.reverse();
        calls
    }

    async fn new_organization(&self, fields: Value) -> String {
        let created = self.do_api("POST", "/organizations", fields).await;
        created["organization"]["id"].as_str().unwrap().to_owned()
    }

    async fn user_count(&self) -> usize {
        let list = self.do_api("GET", "/users?page_size=30", Value::Null).await;
        list["users"].as_array().unwrap().len()
    }
}

fn says(body: &Value) -> Respond {
    Respond::WithBody(200, body.to_string())
}

fn allow() -> Respond {
    says(&json!({ "decision": "ALLOW" }))
}

fn deny(message: &str) -> Respond {
    says(&json!({ "decision": "DENY", "error": { "message": message } }))
}

fn told(request: &Received) -> Value {
    serde_json::from_str(&request.body).unwrap()
}

/// Is it signed by this secret, under the headers of a family?
fn is_signed(request: &Received, family: &str, secret: &Value) -> bool {
    let key = STANDARD.decode(secret.as_str().unwrap().strip_prefix("whsec_").unwrap()).unwrap();
    let header = |what: &str| request.header(&format!("{family}-{what}"));
    let timestamp_s = header("timestamp").parse().unwrap();
    header("signature").split(' ').any(|s| s == signature(&key, header("id"), timestamp_s, &request.body))
}

async fn prove(server: &TestServer, address: &str, parameters: &[(&str, &str)]) -> (String, Page) {
    let person = server.person();
    let mut all = vec![("login_hint", address)];
    all.extend_from_slice(parameters);
    let sign_in = person.start_with(&all).await;
    let code = server.code_for(address).await;
    let page = person.send(&format!("{sign_in}/code"), &[("code", &code)]).await;
    (sign_in, page)
}

async fn access_token(server: &TestServer, page: &Page) -> Value {
    let code = page.answer("code").unwrap_or_else(|| panic!("{:?} {}", page.location, page.body));
    server.exchange(&code).await.json()
}

fn timeline_texts(flow: &Value) -> Vec<&str> {
    flow["steps"].as_array().unwrap().iter().map(|event| event["text"].as_str().unwrap()).collect()
}

#[rstest]
#[tokio::test]
async fn a_sign_in_is_asked_about_and_its_claims_are_in_the_tokens(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let receiver = Receiver::start().await;
    let more = json!({ "display_name": "Add claims" });
    let interceptor = server.interceptor(&receiver, "PRE_SESSION_CREATION", more).await;
    receiver.responds([says(&json!({ "decision": "ALLOW",
        "response": { "claims": { "plan": "pro", "features": ["a", "b"], "sub": "usr_evil" } } }))]);
    // Signatures are of real time, whatever the environment's clock says.
    server.do_control("PUT", "/clock", json!({ "advance_s": 86_400 })).await;
    let (sign_in, page) = prove(&server, JANE, &[]).await;
    let tokens = access_token(&server, &page).await;
    let access = claims(&tokens["access_token"]);
    let added = json!({ "plan": "pro", "features": ["a", "b"], "sub": "usr_evil" });
    assert_eq!(access["custom_claims"], added);
    assert!(access["sub"].as_str().unwrap() != "usr_evil");
    assert!(claims(&tokens["id_token"]).get("custom_claims").is_none());

    let request = receiver.received().remove(0);
    for family in ["webhook", "interceptor"] {
        assert!(is_signed(&request, family, &interceptor["secret"]), "{family}");
    }
    let body = told(&request);
    assert_eq!(
        (&body["display_name"], &body["trigger_point"]),
        (&json!("Add claims"), &json!("PRE_SESSION_CREATION"))
    );
    let context = &body["interceptor_context"];
    assert_eq!((&context["user_email"], &context["user_id"]), (&json!(JANE), &access["sub"]));
    assert_eq!(context["organization_id"], access["oid"], "the organization that the sign-up makes");
    assert_eq!(context["connection_details"][0]["type"], "PASSWORDLESS");
    assert_eq!(body["data"]["user"]["memberships"][0]["organization_id"], access["oid"]);

    // Refreshed tokens and those of a silent sign-in keep the claims, and ask nobody.
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    let refreshed = server.token(&form).await.json();
    assert_eq!(claims(&refreshed["access_token"])["custom_claims"], added);
    assert_eq!(receiver.received().len(), 1);

    let flow_id = sign_in.rsplit('/').next().unwrap();
    let calls = server.calls().await;
    assert_eq!(calls.len(), 1);
    assert_eq!((&calls[0]["result"], &calls[0]["flow_id"]), (&json!("ALLOW"), &json!(flow_id)));
    assert_eq!(calls[0]["id"], json!(request.header("interceptor-id")));
    let flow = server.do_control("GET", &format!("/flows/{flow_id}"), Value::Null).await;
    let texts = timeline_texts(&flow);
    assert!(
        texts.iter().any(|t| t.contains("\"Add claims\"") && t.contains("answered ALLOW in")),
        "{texts:?}"
    );
}

#[tokio::test]
async fn a_silent_sign_in_keeps_the_claims_and_another_organization_is_asked_about() {
    let server = TestServer::with(FULL_STACK).await;
    let receiver = Receiver::start().await;
    server.interceptor(&receiver, "PRE_SESSION_CREATION", json!({})).await;
    receiver.responds_by(|request| {
        let organization = told(request)["interceptor_context"]["organization_id"].clone();
        says(&json!({ "decision": "ALLOW", "response": { "claims": { "of": organization } } }))
    });
    let (acme, beta) = (
        server.new_organization(json!({ "display_name": "Acme" })).await,
        server.new_organization(json!({ "display_name": "Beta" })).await,
    );
    let path = format!("/organizations/{acme}/users?send_invitation_email=false");
    let jane = server.do_api("POST", &path, json!({ "email": JANE })).await["user"]["id"].clone();
    let path = format!("/memberships/organizations/{beta}/users/{}", jane.as_str().unwrap());
    server.do_api("POST", &format!("{path}?send_invitation_email=false"), json!({})).await;
    let person = server.person();
    let page = person.sign_in_with(JANE, &[("organization_id", &acme)]).await;
    let of = async |page: &Page| {
        claims(&access_token(&server, page).await["access_token"])["custom_claims"].clone()
    };
    assert_eq!(of(&page).await, json!({ "of": acme }));
    assert_eq!(of(&person.authorize(&[]).await).await, json!({ "of": acme }), "silent: nobody is asked");
    assert_eq!(receiver.received().len(), 1);
    let switched = person.authorize(&[("organization_id", &beta)]).await;
    assert_eq!(of(&switched).await, json!({ "of": beta }));
    assert_eq!(receiver.received().len(), 2);

    // Denied, the session stays where it is.
    receiver.responds([deny("Not there."), deny("Not there.")]);
    let denied = person.authorize(&[("organization_id", &acme)]).await;
    assert_eq!((denied.status, denied.alert().as_str()), (403, "Not there."));
    assert!(denied.body.contains("error=access_denied"), "{}", denied.body);
    let without_page = person.authorize(&[("organization_id", &acme), ("prompt", "none")]).await;
    assert_eq!(without_page.answer("error").as_deref(), Some("access_denied"));
    assert_eq!(without_page.answer("error_description").as_deref(), Some("Not there."));
    assert_eq!(of(&person.authorize(&[]).await).await, json!({ "of": beta }));
}

#[rstest]
#[tokio::test]
async fn a_denied_sign_in_is_told_to_the_user_and_to_the_application(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let receiver = Receiver::start().await;
    server.interceptor(&receiver, "PRE_SESSION_CREATION", json!({})).await;
    receiver.responds([deny("Only <acme> \"works\" here."), says(&json!({ "decision": "DENY" }))]);
    let (sign_in, page) = prove(&server, JANE, &[]).await;
    assert_eq!((page.status, page.heading().as_str()), (403, "You can't sign in"));
    assert_eq!(page.alert(), "Only <acme> \"works\" here.");
    assert!(page.headers.get("set-cookie").is_none_or(|c| !c.to_str().unwrap().contains("session")));
    let document = scraper::Html::parse_document(&page.body);
    let selector = scraper::Selector::parse("main a").unwrap();
    let back = document.select(&selector).next().unwrap().attr("href").unwrap().to_owned();
    let answer = Page { location: Some(back), ..page };
    assert_eq!(answer.answer("error").as_deref(), Some("access_denied"));
    assert_eq!(answer.answer("error_description").as_deref(), Some("Only <acme> 'works' here."));
    assert_eq!(answer.answer("state").as_deref(), Some("af0ifjsldkj"));
    assert_eq!(server.user_count().await, 0, "nothing was made");
    let flow_id = sign_in.rsplit('/').next().unwrap();
    let flow = server.do_control("GET", &format!("/flows/{flow_id}"), Value::Null).await;
    assert_eq!(flow["status"], "FAILED");
    assert!(timeline_texts(&flow).iter().any(|t| t.contains("answered DENY in") && t.contains("works")));

    let (_, page) = prove(&server, JANE, &[]).await;
    assert!(page.alert().starts_with("The request could not be completed due to a policy restriction."));
}

#[tokio::test]
async fn instant_sign_in_is_asked_about_and_denied_to_the_application() {
    let server = TestServer::with(&format!("instant_sign_in = true\n{FULL_STACK}")).await;
    let receiver = Receiver::start().await;
    server.interceptor(&receiver, "PRE_SESSION_CREATION", json!({})).await;
    receiver.responds([allow(), deny("No.")]);
    let parameters = json!({ "client_id": crate::support::CLIENT_ID, "redirect_uri": crate::support::CALLBACK,
        "response_type": "code", "scope": "openid" });
    let wanted = json!({ "email": JANE, "parameters": parameters });
    let done = server.do_control("POST", "/sign-in", wanted.clone()).await;
    assert!(done["code"].is_string(), "{done}");
    let denied = server.do_control("POST", "/sign-in", wanted).await;
    assert_eq!((&denied["error"], &denied["code"]), (&json!("access_denied"), &Value::Null));
}

#[tokio::test]
async fn a_sign_up_can_be_denied_or_joins_the_organization_that_the_application_names() {
    let server = TestServer::with(FULL_STACK).await;
    let receiver = Receiver::start().await;
    server.interceptor(&receiver, "PRE_SIGNUP", json!({ "failure_policy": "FAIL_CLOSED" })).await;
    let acme = server.new_organization(json!({ "display_name": "Acme", "external_id": "acme" })).await;
    let join = |membership: Value| {
        says(&json!({ "decision": "ALLOW", "response": { "create_organization_membership": membership } }))
    };
    receiver.responds([
        deny("Not with this address."),
        join(json!({ "external_organization_id": "acme", "roles": ["admin"] })),
        join(json!({ "organization_id": "org_404" })),
        join(json!({ "organization_id": acme, "roles": ["nobody"] })),
        join(json!({ "organization_id": acme })),
    ]);
    let (_, page) = prove(&server, JANE, &[]).await;
    assert_eq!(page.alert(), "Not with this address.");
    let (_, page) = prove(&server, JANE, &[]).await;
    let access = claims(&access_token(&server, &page).await["access_token"]);
    assert_eq!((&access["oid"], &access["roles"]), (&json!(acme), &json!(["admin"])));
    assert_eq!(access["xoid"], "acme");
    let first = told(&receiver.received()[0]);
    assert_eq!(first["interceptor_context"]["auth_request"]["state"], "af0ifjsldkj");
    assert_eq!(first["data"], json!({}), "nobody is there yet");
    for _ in 0..2 {
        let (_, page) = prove(&server, "bob@acme.test", &[]).await;
        assert_eq!(page.status, 403, "fail-closed where the membership cannot be: {}", page.body);
    }
    let (_, page) = prove(&server, "bob@acme.test", &[]).await;
    let access = claims(&access_token(&server, &page).await["access_token"]);
    assert_eq!((&access["oid"], &access["roles"]), (&json!(acme), &json!(["member"])));
    // Who is a member signs up no more.
    let (_, page) = prove(&server, JANE, &[]).await;
    assert!(page.answer("code").is_some());
    assert_eq!(receiver.received().len(), 5);
}

#[rstest]
#[case(Respond::Hang, "no answer within 200 ms")]
#[case(Respond::Close, "")]
#[case(Respond::With(500), "HTTP 500")]
#[case(Respond::With(302), "redirects are not followed")]
#[case(Respond::WithBody(200, "<html>".into()), "cannot be read")]
#[case(Respond::WithBody(200, r#"{"decision":"MAYBE"}"#.into()), "no decision")]
#[case(Respond::Trickle(200), "no answer within 200 ms")]
#[tokio::test]
async fn without_a_decision_the_failure_policy_holds(#[case] respond: Respond, #[case] reason: &str) {
    let server = TestServer::with(FULL_STACK).await;
    let receiver = Receiver::start().await;
    // The others are answered, however busy the machine is.
    let timeout_ms = if matches!(respond, Respond::Hang | Respond::Trickle(_)) { 200 } else { 30_000 };
    receiver.responds_by(move |_| respond.clone());
    let interceptor =
        server.interceptor(&receiver, "PRE_SESSION_CREATION", json!({ "timeout_ms": timeout_ms })).await;
    let begun = Instant::now();
    let (_, page) = prove(&server, JANE, &[]).await;
    assert!(page.answer("code").is_some(), "fail-open: {}", page.body);
    assert!(begun.elapsed() < Duration::from_secs(20));
    let path = format!("/interceptors/{}", interceptor["id"].as_str().unwrap());
    server.do_control("PATCH", &path, json!({ "failure_policy": "FAIL_CLOSED" })).await;
    let (_, page) = prove(&server, JANE, &[]).await;
    assert_eq!(page.status, 403);
    assert!(page.alert().starts_with("The request could not be completed due to a policy restriction."));
    let calls = server.calls().await;
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call["result"] == "FAILED"), "{calls:#?}");
    assert!(calls[0]["attempt"]["reason"].as_str().unwrap().contains(reason), "{}", calls[0]);
}

#[tokio::test]
async fn several_interceptors_are_asked_in_their_order_and_the_first_denial_ends_it() {
    let server = TestServer::with(FULL_STACK).await;
    let (first, second) = (Receiver::start().await, Receiver::start().await);
    let claim = |name: &str, value: &str| {
        says(&json!({ "decision": "ALLOW", "response": { "claims": { "both": value, name: true } } }))
    };
    server.interceptor(&first, "PRE_SESSION_CREATION", json!({})).await;
    let other = server.interceptor(&second, "PRE_SESSION_CREATION", json!({})).await;
    first.responds([claim("one", "first"), deny("No."), claim("one", "first")]);
    second.responds([claim("two", "second")]);
    let (_, page) = prove(&server, JANE, &[]).await;
    let access = claims(&access_token(&server, &page).await["access_token"]);
    assert_eq!(access["custom_claims"], json!({ "both": "second", "one": true, "two": true }));
    assert_eq!(prove(&server, JANE, &[]).await.1.status, 403);
    assert_eq!(second.received().len(), 1, "nobody is asked after a denial");
    let path = format!("/interceptors/{}", other["id"].as_str().unwrap());
    server.do_control("PATCH", &path, json!({ "enabled": false })).await;
    let (_, page) = prove(&server, JANE, &[]).await;
    let access = claims(&access_token(&server, &page).await["access_token"]);
    assert_eq!(access["custom_claims"], json!({ "both": "first", "one": true }));
    server.do_control("DELETE", &path, Value::Null).await;
    assert_eq!(server.refused("GET", &path, Value::Null).await.0, 404);
}

#[rstest]
#[tokio::test]
async fn a_proof_stays_proven_while_an_interceptor_is_asked_and_nothing_is_held(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let receiver = Receiver::start().await;
    server.interceptor(&receiver, "PRE_SESSION_CREATION", json!({ "timeout_ms": 30_000 })).await;
    receiver.responds([Respond::Hang, allow()]);
    let person = server.person();
    let sign_in = person.start(JANE).await;
    let code = server.code_for(JANE).await;
    let browser = person.browser.clone();
    let (address, form) = (format!("{}/code", absolute(&server, &sign_in)), [("code", code.clone())]);
    let asking = tokio::spawn(async move { browser.post(address).form(&form).send().await });
    asked(&receiver).await;
    // Others write meanwhile, and the code is not asked for again.
    server.new_organization(json!({ "display_name": "Acme" })).await;
    let page = person.get(&sign_in).await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("name=\"continue\"") && !page.body.contains("name=\"code\""), "{}", page.body);
    asking.abort();
    let page = person.send(&format!("{sign_in}/organization"), &[("continue", "yes")]).await;
    assert!(page.answer("code").is_some(), "{}", page.body);
    assert_eq!(receiver.received().len(), 2);
}

/// Waits until an interceptor is asked.
async fn asked(receiver: &Receiver) {
    let until = Instant::now() + Duration::from_secs(20);
    while receiver.received().is_empty() {
        assert!(Instant::now() < until, "the interceptor is asked");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn absolute(server: &TestServer, address: &str) -> String {
    if address.starts_with("http") { address.to_owned() } else { format!("{}{address}", server.url) }
}

#[rstest]
#[tokio::test]
async fn what_changed_while_an_interceptor_was_asked_counts(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let receiver = Receiver::start().await;
    let acme = server.new_organization(json!({ "display_name": "Acme" })).await;
    let path = format!("/organizations/{acme}/users?send_invitation_email=false");
    let jane = server.do_api("POST", &path, json!({ "email": JANE })).await["user"]["id"].clone();
    server.interceptor(&receiver, "PRE_SESSION_CREATION", json!({ "timeout_ms": 3_000 })).await;
    receiver.responds([Respond::Hang]);
    let person = server.person();
    let sign_in = person.start_with(&[("login_hint", JANE), ("organization_id", &acme)]).await;
    let form = [("code", server.code_for(JANE).await)];
    let form: Vec<(&str, &str)> = form.iter().map(|(name, code)| (*name, code.as_str())).collect();
    let path = format!("{sign_in}/code");
    let membership = format!("/memberships/organizations/{acme}/users/{}", jane.as_str().unwrap());
    let leave = async {
        asked(&receiver).await;
        server.do_api("DELETE", &membership, Value::Null).await;
    };
    let (page, ()) = tokio::join!(person.send(&path, &form), leave);
    assert_eq!(page.answer("error").as_deref(), Some("invalid_organization_id"), "{}", page.body);
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn an_invitation_can_be_denied_to_whoever_invites() {
    let server = TestServer::with(FULL_STACK).await;
    let receiver = Receiver::start().await;
    server.interceptor(&receiver, "PRE_USER_INVITATION", json!({})).await;
    let acme = server.new_organization(json!({ "display_name": "Acme" })).await;
    let path = format!("/organizations/{acme}/users");
    receiver.responds([deny("Nobody from outside."), allow(), deny("Not again.")]);
    let refused = server.refused_api("POST", &path, json!({ "email": JANE })).await;
    assert_eq!(refused.0, 400);
    let page = server.api("POST", &path, json!({ "email": JANE })).await;
    assert_eq!(page.status, 201, "{}", page.body);
    let body = told(&receiver.received()[0]);
    assert_eq!(body["data"], json!({ "organization": { "id": acme, "name": "Acme" } }));
    assert_eq!(body["interceptor_context"]["user_email"], JANE);
    assert!(body["interceptor_context"].get("user_id").is_none());
    let jane = page.json()["user"]["id"].as_str().unwrap().to_owned();
    let resend = format!("/invites/organizations/{acme}/users/{jane}/resend");
    let refused = server.api("PATCH", &resend, json!({})).await;
    assert!(refused.status == 400 && refused.body.contains("Not again."), "{}", refused.body);
    assert_eq!(server.mails_to(JANE).await.len(), 1);
    // Who is added without an invitation is none of its business.
    let direct = format!("{path}?send_invitation_email=false");
    server.do_api("POST", &direct, json!({ "email": "bob@acme.test" })).await;
    assert_eq!(receiver.received().len(), 3);
}

#[tokio::test]
async fn an_invitee_whose_first_session_is_denied_stays_invited() {
    let server = TestServer::with(FULL_STACK).await;
    let receiver = Receiver::start().await;
    server.interceptor(&receiver, "PRE_SESSION_CREATION", json!({})).await;
    let acme = server.new_organization(json!({ "display_name": "Acme" })).await;
    server.do_api("POST", &format!("/organizations/{acme}/users"), json!({ "email": JANE })).await;
    let link = server.link_for(JANE).await;
    let claim = json!({ "decision": "ALLOW", "response": { "claims": { "plan": "pro" } } });
    receiver.responds([deny("Too early."), says(&claim)]);
    let jane = server.person();
    let page = jane.send(&link, &[]).await;
    assert_eq!((page.status, page.alert().as_str()), (403, "Too early."));
    let page = jane.send(&link, &[]).await;
    assert_eq!(page.heading(), "You have joined", "{}", page.body);
    let page = jane.authorize(&[]).await;
    let access = claims(&access_token(&server, &page).await["access_token"]);
    assert_eq!(access["custom_claims"], json!({ "plan": "pro" }));
}

#[tokio::test]
async fn a_machine_token_can_be_denied_and_changed() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    server.interceptor(&receiver, "PRE_M2M_TOKEN_CREATION", json!({})).await;
    let acme = server.new_organization(json!({ "display_name": "Acme" })).await;
    let fields = json!({ "name": "Robot", "scopes": ["read", "write"],
        "custom_claims": [{ "key": "tier", "value": "free" }] });
    let made = server.do_api("POST", &format!("/organizations/{acme}/clients"), fields).await;
    let (id, secret) =
        (made["client"]["client_id"].as_str().unwrap(), made["plain_secret"].as_str().unwrap());
    let ask = async || {
        let form = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
        server.post("/oauth/token", &form).await
    };
    let changes = json!({ "scope": "read", "aud": "https://api.acme.test", "tier": "gold", "limit": 7 });
    receiver.responds([
        says(&json!({ "decision": "ALLOW", "response": { "claims": changes } })),
        deny("Not at night."),
    ]);
    let access = claims(&ask().await.json()["access_token"]);
    assert_eq!((&access["scope"], &access["scopes"]), (&json!("read"), &json!(["read"])));
    assert_eq!(access["aud"], json!(["https://api.acme.test"]));
    assert_eq!(access["custom_claims"], json!({ "tier": "gold", "limit": 7 }));
    let body = told(&receiver.received()[0]);
    assert_eq!(body["interceptor_context"]["client_id"], id);
    let asked = &body["data"]["m2m_token_claims"]["claims"];
    assert_eq!((&asked["oid"], &asked["scopes"]), (&json!(acme), &json!(["read", "write"])));
    assert_eq!(asked["custom_claims"], json!({ "tier": "free" }));
    let denied = ask().await;
    assert_eq!((denied.status, &denied.json()["error"]), (400, &json!("access_denied")));
    assert_eq!(denied.json()["error_description"], "Not at night.");
    // Applications of the environment ask for tokens at every call: nobody is asked about those.
    assert_eq!(server.token(&[("grant_type", "client_credentials")]).await.status, 200);
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn a_test_call_shows_request_and_response_and_is_not_logged() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    let off = json!({ "enabled": false });
    let interceptor = server.interceptor(&receiver, "PRE_USER_INVITATION", off).await;
    let path = format!("/interceptors/{}/test", interceptor["id"].as_str().unwrap());
    receiver.responds([deny("No."), allow(), Respond::With(503)]);
    let tested = server.do_control("POST", &path, json!({})).await;
    assert_eq!((&tested["result"], &tested["message"]), (&json!("DENY"), &json!("No.")));
    assert_eq!(tested["body"]["data"]["organization"]["name"], "Sample organization");
    assert!(tested["attempt"]["response_body"].as_str().unwrap().contains("DENY"));
    let own = server.do_control("POST", &path, json!({ "body": { "hello": 1 } })).await;
    assert_eq!((&own["result"], told(&receiver.received()[1])), (&json!("ALLOW"), json!({ "hello": 1 })));
    assert!(is_signed(&receiver.received()[1], "interceptor", &interceptor["secret"]));
    let failed = server.do_control("POST", &path, json!({})).await;
    assert_eq!(failed["result"], "FAILED");
    assert!(failed["attempt"]["reason"].as_str().unwrap().starts_with("HTTP 503"));
    assert!(server.calls().await.is_empty());
    assert_eq!(server.refused("POST", &path, json!({ "body": [] })).await, (400, "body".into()));
}

#[tokio::test]
async fn a_rotated_secret_signs_beside_the_old_one_until_the_overlap_is_over() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    receiver.responds_by(|_| allow());
    let before = server.interceptor(&receiver, "PRE_SESSION_CREATION", json!({})).await;
    let path = format!("/interceptors/{}", before["id"].as_str().unwrap());
    let after = server.do_control("POST", &format!("{path}/rotate-secret"), json!({ "overlap_s": 60 })).await;
    assert_eq!(after["old_secrets"], 1);
    prove(&server, JANE, &[]).await;
    server.advance_s(61);
    prove(&server, "bob@acme.test", &[]).await;
    let [first, second] = receiver.received().try_into().unwrap();
    assert!(
        is_signed(&first, "interceptor", &before["secret"]) && is_signed(&first, "webhook", &after["secret"])
    );
    assert!(!is_signed(&second, "interceptor", &before["secret"]), "the overlap is over");
    assert!(is_signed(&second, "interceptor", &after["secret"]));
}

#[tokio::test]
async fn mistakes_are_named_and_there_are_only_so_many() {
    let server = TestServer::start().await;
    let create = |change: Value| {
        let mut body = json!({ "url": "http://localhost:1/", "trigger_point": "PRE_SIGNUP" });
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        body
    };
    for (change, field) in [
        (json!({ "url": "nowhere" }), "url"),
        (json!({ "timeout_ms": 99 }), "timeout_ms"),
        (json!({ "timeout_ms": 30_001 }), "timeout_ms"),
        (json!({ "display_name": "" }), "display_name"),
        (json!({ "description": "x".repeat(1_025) }), "description"),
        (json!({ "secret": "whsec_short" }), "secret"),
    ] {
        let refused = server.refused("POST", "/interceptors", create(change)).await;
        assert_eq!(refused, (400, field.to_owned()));
    }
    for bad in [json!({ "trigger_point": "ACCESS_TOKEN_CREATION" }), json!({ "failure_policy": "OPEN" })] {
        assert_eq!(server.refused("POST", "/interceptors", create(bad)).await.0, 400);
    }
    for _ in 0..20 {
        server.do_control("POST", "/interceptors", create(json!({}))).await;
    }
    assert_eq!(server.refused("POST", "/interceptors", create(json!({}))).await.0, 403);
}

#[tokio::test]
async fn the_dashboard_makes_changes_tries_and_deletes_an_interceptor() {
    let server = TestServer::start().await;
    let receiver = Receiver::start().await;
    receiver.responds_by(|_| deny("Not by hand."));
    let form = |url: &str| {
        vec![
            ("display_name".to_owned(), String::new()),
            ("trigger_point".to_owned(), "PRE_SIGNUP".to_owned()),
            ("url".to_owned(), url.to_owned()),
            ("timeout_ms".to_owned(), "5000".to_owned()),
            ("failure_policy".to_owned(), "FAIL_CLOSED".to_owned()),
            ("enabled".to_owned(), "on".to_owned()),
        ]
    };
    let post = async |path: &str, form: &[(String, String)]| {
        let form: Vec<(&str, &str)> = form.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        server.post(path, &form).await
    };
    let refused = post("/dashboard/interceptors", &form("nowhere")).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let made = post("/dashboard/interceptors", &form(&receiver.url)).await;
    assert_eq!(made.status, 303, "{}", made.body);
    let list = server.do_control("GET", "/interceptors", Value::Null).await;
    let interceptor = list["interceptors"][0].clone();
    assert_eq!(
        (&interceptor["display_name"], &interceptor["timeout_ms"]),
        (&json!("PRE_SIGNUP"), &json!(5_000))
    );
    let path = format!("/dashboard/interceptors/{}", interceptor["id"].as_str().unwrap());
    let shown = server.get(&path).await;
    assert!(shown.body.contains(interceptor["secret"].as_str().unwrap()), "{}", shown.body);
    let tested = server.post(&format!("{path}/test"), &[]).await;
    assert!(tested.body.contains("Not by hand."), "{}", tested.body);
    assert_eq!(post(&path, &form("http://localhost:1/changed")).await.status, 303);
    assert!(server.get(&path).await.body.contains("http://localhost:1/changed"));
    assert_eq!(server.post(&format!("{path}/rotate-secret"), &[]).await.status, 303);
    assert_eq!(server.post(&format!("{path}/delete"), &[]).await.status, 303);
    assert_eq!(server.get(&path).await.status, 404);
}

#[tokio::test]
async fn configured_interceptors_are_there_from_the_start_and_come_back_with_a_reset() {
    let receiver = Receiver::start().await;
    receiver.responds_by(|_| allow());
    let toml = format!(
        "[[interceptors]]\nurl = \"{}\"\ntrigger_point = \"PRE_SESSION_CREATION\"\ndisplay_name = \"Check\"\n\
         timeout_ms = 1000\nfailure_policy = \"FAIL_CLOSED\"\n",
        receiver.url
    );
    let server = TestServer::with(&toml).await;
    let list = server.do_control("GET", "/interceptors", Value::Null).await;
    let interceptor = list["interceptors"][0].clone();
    assert_eq!(
        (&interceptor["display_name"], &interceptor["failure_policy"]),
        (&json!("Check"), &json!("FAIL_CLOSED"))
    );
    let path = format!("/interceptors/{}", interceptor["id"].as_str().unwrap());
    server.do_control("DELETE", &path, Value::Null).await;
    prove(&server, JANE, &[]).await;
    assert!(receiver.received().is_empty());
    server.do_control("POST", "/reset", json!({})).await;
    let again = server.do_control("GET", &path, Value::Null).await;
    assert_eq!(again["secret"], interceptor["secret"], "the secret that was made is kept");
    prove(&server, JANE, &[]).await;
    assert_eq!(receiver.received().len(), 1);
    let isolated = server.do_control("POST", "/environments", json!({ "name": "other" })).await;
    assert!(isolated["name"] == "other");
    let theirs = server.get("/e/other/_emulator/v1/interceptors").await.json();
    assert_eq!(theirs["interceptors"], json!([]), "isolated environments have their own");
}

#[tokio::test]
async fn a_snapshot_brings_interceptors_with_their_secrets_and_the_claims_of_sessions() {
    let key = "master_key = \"a master key that is long enough for anybody\"\n";
    let from = TestServer::with(&format!("{key}{FULL_STACK}")).await;
    let to = TestServer::with(FULL_STACK).await;
    let receiver = Receiver::start().await;
    let made = from.interceptor(&receiver, "PRE_SESSION_CREATION", json!({ "description": "Plans" })).await;
    receiver.responds([says(&json!({ "decision": "ALLOW", "response": { "claims": { "plan": "pro" } } }))]);
    let (_, page) = prove(&from, JANE, &[]).await;
    let tokens = access_token(&from, &page).await;
    let snapshot = from.do_control("GET", "/snapshot", Value::Null).await;
    assert_eq!(to.do_control("PUT", "/snapshot", snapshot.clone()).await, json!({ "ignored": [] }));
    assert_eq!(to.do_control("GET", "/interceptors", Value::Null).await, json!({ "interceptors": [made] }));
    let form =
        [("grant_type", "refresh_token"), ("refresh_token", tokens["refresh_token"].as_str().unwrap())];
    let refreshed = to.token(&form).await.json();
    assert_eq!(claims(&refreshed["access_token"])["custom_claims"], json!({ "plan": "pro" }));
    for section in ["sessions", "grants"] {
        let mut bad = snapshot.clone();
        bad[section][0]["custom_claims"] = json!(["pro"]);
        let (status, named) = to.refused("PUT", "/snapshot", bad).await;
        assert_eq!((status, named), (400, format!("{section}[0].custom_claims")));
    }
}
