//! Invitations to an organization: by Scalekit's API, by email, and accepted in a browser.

use futures_util::future::join_all;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::person::claims;
use crate::support::{Engine, TestServer};

const FULL_STACK: &str = "[tokens]\nuser_management = true\n";

const JANE: &str = "jane@acme.test";

async fn organization(server: &TestServer, name: &str) -> String {
    let created = server.do_api("POST", "/organizations", json!({ "display_name": name })).await;
    created["organization"]["id"].as_str().unwrap().to_owned()
}

/// Invites a new user to an organization; gives the id.
async fn invite(server: &TestServer, organization_id: &str, email: &str) -> String {
    let fields = json!({ "email": email, "membership": { "inviter_email": "boss@acme.test" } });
    let created = server.do_api("POST", &format!("/organizations/{organization_id}/users"), fields).await;
    created["user"]["id"].as_str().unwrap().to_owned()
}

async fn user(server: &TestServer, id: &str) -> Value {
    server.do_api("GET", &format!("/users/{id}"), Value::Null).await["user"].clone()
}

fn resend_path(organization_id: &str, user_id: &str) -> String {
    format!("/invites/organizations/{organization_id}/users/{user_id}/resend")
}

#[rstest]
#[tokio::test]
async fn an_invited_user_accepts_by_the_link_and_is_signed_in(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, FULL_STACK).await else { return };
    let acme = organization(&server, "Acme").await;
    let id = invite(&server, &acme, JANE).await;
    let mail = server.mail_to(JANE).await;
    assert_eq!((&mail["kind"], &mail["code"]), (&"invitation".into(), &Value::Null));
    assert!(mail["subject"].as_str().unwrap().contains("invited to Acme"), "{mail}");
    assert!(mail["text"].as_str().unwrap().contains("Expires in 15 days"), "{mail}");
    let link = server.link_for(JANE).await;

    let jane = server.person();
    let before = user(&server, &id).await;
    for _ in 0..2 {
        let page = jane.get(&link).await;
        assert_eq!((page.status, page.heading().as_str()), (200, "Join Acme"));
        assert!(page.body.contains("boss@acme.test") && page.body.contains(JANE), "{}", page.body);
    }
    assert_eq!(user(&server, &id).await, before, "opening the link changes nothing");

    server.advance_s(60);
    let page = jane.send(&link, &[]).await;
    assert_eq!((page.status, page.heading().as_str()), (200, "You have joined"), "{}", page.body);
    let after = user(&server, &id).await;
    let membership = &after["memberships"][0];
    assert_eq!(membership["membership_status"], "ACTIVE");
    assert!(membership["accepted_at"].is_string(), "{membership}");
    assert_eq!(membership["roles"][0]["name"], "member");
    assert_eq!(after["user_profile"]["email_verified"], true);

    let code = jane.authorize(&[]).await.answer("code").expect("a code without a page");
    let tokens = server.exchange(&code).await.json();
    let access_token = claims(&tokens["access_token"]);
    assert_eq!((&access_token["sub"], &access_token["oid"]), (&id.into(), &acme.into()));

    for page in [jane.get(&link).await, jane.send(&link, &[]).await] {
        assert_eq!((page.status, page.heading().as_str()), (410, "This invitation no longer works"));
    }
    let store = server.database.open().await;
    let types: Vec<String> =
        store.events(&server.app.id).await.unwrap().into_iter().map(|(event_type, _)| event_type).collect();
    let told = ["user.organization_invitation", "user.organization_membership_created", "user.login"];
    assert_eq!(types[1..], told);
}

#[tokio::test]
async fn an_application_that_says_where_sign_ins_begin_is_led_to() {
    let server = TestServer::with(FULL_STACK).await;
    let client = json!({ "name": "App", "redirect_uris": ["https://app.example.com/callback"],
        "initiate_login_uri": "https://app.example.com/login" });
    server.do_control("POST", "/clients", client).await;
    let acme = organization(&server, "Acme").await;
    invite(&server, &acme, JANE).await;
    let link = server.link_for(JANE).await;
    let page = server.person().send(&link, &[]).await;
    assert_eq!((page.status, page.location.as_deref()), (303, Some("https://app.example.com/login")));
}

#[tokio::test]
async fn an_invitation_is_sent_again_with_the_same_link_until_that_expires() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let id = invite(&server, &acme, JANE).await;
    let first = server.link_for(JANE).await;
    let path = resend_path(&acme, &id);
    server.advance_s(60);
    let invite = server.do_api("PATCH", &path, json!({})).await["invite"].clone();
    assert_eq!(
        (&invite["status"], &invite["resent_count"], &invite["inviter_email"]),
        (&"PENDING_INVITE".into(), &1.into(), &"boss@acme.test".into())
    );
    assert_eq!((&invite["user_id"], &invite["organization_id"]), (&id.clone().into(), &acme.clone().into()));
    let links: Vec<Value> = server.mails_to(JANE).await.iter().map(|mail| mail["link"].clone()).collect();
    assert_eq!(links, [first.clone(), first.clone()]);

    server.advance_s(15 * 24 * 60 * 60);
    assert_eq!(user(&server, &id).await["memberships"][0]["membership_status"], "INVITE_EXPIRED");
    assert_eq!(server.person().send(&first, &[]).await.status, 410, "its time is over");
    let renewed = server.do_api("PATCH", &path, json!({})).await["invite"].clone();
    assert_eq!((&renewed["status"], &renewed["resent_count"]), (&"PENDING_INVITE".into(), &2.into()));
    assert_eq!(renewed["created_at"], invite["created_at"]);
    assert_ne!(renewed["expires_at"], invite["expires_at"]);
    let second = server.link_for(JANE).await;
    assert_ne!(second, first);
    assert_eq!(server.person().get(&first).await.status, 410, "a newer link replaced it");
    assert_eq!(server.person().send(&second, &[]).await.status, 200);

    let accepted = server.refused_api("PATCH", &path, json!({})).await;
    assert_eq!((accepted.0, accepted.1.as_str()), (400, "INVALID_ARGUMENT"));
    let direct = format!("/organizations/{acme}/users?send_invitation_email=false");
    let bob = server.do_api("POST", &direct, json!({ "email": "bob@acme.test" })).await;
    let path = resend_path(&acme, bob["user"]["id"].as_str().unwrap());
    let uninvited = server.api("PATCH", &path, json!({})).await;
    assert!(uninvited.status == 400 && uninvited.body.contains("no invitation"), "{}", uninvited.body);
    assert!(server.mails_to("bob@acme.test").await.is_empty());
    let path = resend_path("org_10000000000000000", &id);
    assert_eq!(server.refused_api("PATCH", &path, json!({})).await.0, 404);
}

#[tokio::test]
async fn whoever_is_no_longer_invited_finds_a_link_that_does_nothing() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let id = invite(&server, &acme, JANE).await;
    let link = server.link_for(JANE).await;
    server.do_api("DELETE", &format!("/memberships/organizations/{acme}/users/{id}"), Value::Null).await;
    let jane = server.person();
    let unknown = format!("{}/invite/{}", server.url, "x".repeat(43));
    let long = format!("{}/invite/{}", server.url, "x".repeat(5000));
    for link in [&link, &unknown, &long] {
        for page in [jane.get(link).await, jane.send(link, &[]).await] {
            assert_eq!((page.status, page.heading().as_str()), (410, "This invitation no longer works"));
        }
    }
    assert_eq!(user(&server, &id).await["memberships"], json!([]));
    let page = jane.authorize(&[]).await;
    assert!(page.location.unwrap().contains("/login/"), "nobody is signed in");
}

#[rstest]
#[tokio::test]
async fn an_invitation_is_accepted_once_however_many_try_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let acme = organization(&server, "Acme").await;
    invite(&server, &acme, JANE).await;
    let link = server.link_for(JANE).await;
    let people: Vec<_> = (0..20).map(|_| server.person()).collect();
    let pages = join_all(people.iter().map(|person| person.send(&link, &[]))).await;
    let mut statuses: Vec<u16> = pages.iter().map(|page| page.status).collect();
    statuses.sort_unstable();
    assert_eq!((statuses[0], statuses[1]), (200, 410), "{statuses:?}");
}

#[tokio::test]
async fn another_site_cannot_accept_in_somebodys_name() {
    let server = TestServer::start().await;
    let acme = organization(&server, "Acme").await;
    let id = invite(&server, &acme, JANE).await;
    let link = server.link_for(JANE).await;
    let forged = server.http().post(&link).header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!(forged.status(), 403);
    assert_eq!(user(&server, &id).await["memberships"][0]["membership_status"], "PENDING_INVITE");
}

#[tokio::test]
async fn an_address_that_has_an_account_joins_where_the_setting_says_so() {
    let server = TestServer::with("[management]\nexisting_email = \"join\"\n").await;
    let (acme, beta) = (organization(&server, "Acme").await, organization(&server, "Beta").await);
    let id = invite(&server, &acme, JANE).await;
    let fields = json!({ "email": "JANE@acme.test", "metadata": { "plan": "pro" },
        "user_profile": { "name": "Somebody" }, "membership": { "roles": [{ "name": "admin" }] } });
    let path = format!("/organizations/{beta}/users");
    let joined = server.do_api("POST", &path, fields.clone()).await["user"].clone();
    assert_eq!((&joined["id"], &joined["metadata"]), (&id.into(), &json!({})));
    assert_eq!(joined["user_profile"]["name"], "");
    let membership = &joined["memberships"][1];
    assert_eq!(
        (&membership["organization_id"], &membership["roles"][0]["name"]),
        (&beta.into(), &"admin".into())
    );
    assert_eq!(server.mails_to(JANE).await.len(), 2, "an invitation to each");
    assert_eq!(server.refused_api("POST", &path, fields).await.1, "ALREADY_EXISTS", "a member already");
}
