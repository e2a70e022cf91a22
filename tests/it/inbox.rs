//! The built-in inbox: what tests wait on, and who may read it.

use std::time::{Duration, Instant};

use rstest::rstest;
use vestibule::domain::email::EmailAddress;
use vestibule::runtime::EnvironmentSelector;
use vestibule::service::inbox;

use crate::support::person::Page;
use crate::support::{Engine, TestServer};

#[rstest]
#[tokio::test]
async fn a_test_that_waits_gets_the_email_at_once(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let waiting = async {
        let mail = server.mail_to("jane@example.com").await;
        (mail, Instant::now())
    };
    let sending = async {
        let person = server.person();
        person.start("jane@example.com").await;
        Instant::now()
    };
    let ((mail, got), sent) = tokio::join!(waiting, sending);
    assert_eq!(mail["to"], "jane@example.com");
    assert!(got.saturating_duration_since(sent) < Duration::from_secs(2), "it waited for its time-out");
}

#[tokio::test]
async fn latest_is_404_when_no_email_comes_in_time() {
    let server = TestServer::start().await;
    let page = server.get("/_emulator/v1/messages/latest?to=nobody@example.com&wait_ms=30").await;
    assert_eq!((page.status, page.json()["error"].as_str().unwrap().to_owned()), (404, "not_found".into()));
}

#[tokio::test]
async fn emails_are_listed_newest_first_by_address_and_since_a_message() {
    let server = TestServer::start().await;
    let person = server.person();
    for address in ["jane@example.com", "bob@example.com", "Jane@Example.com"] {
        person.start(address).await;
        server.advance_s(1);
    }
    let mails = server.mails_to("JANE@example.com").await;
    assert_eq!(
        mails.iter().map(|m| m["to"].as_str().unwrap()).collect::<Vec<_>>(),
        ["Jane@Example.com", "jane@example.com"]
    );
    let mail = &mails[0];
    for name in
        ["id", "to", "subject", "text", "html", "code", "link", "auth_request_id", "kind", "created_at"]
    {
        assert!(mail[name].as_str().is_some_and(|t| !t.is_empty()), "{name}: {mail}");
    }
    assert_eq!(mail["test_user"], false);
    let since = server
        .get(&format!("/_emulator/v1/messages?since={}", mails[1]["id"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(since["messages"].as_array().unwrap().len(), 2);
    assert_eq!(
        server
            .http()
            .delete(format!("{}/_emulator/v1/messages", server.url))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16(),
        200
    );
    assert!(server.mails_to("jane@example.com").await.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_cursor_from_before_a_sign_in_never_gives_an_email_of_another(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let list = "/_emulator/v1/messages?to=jane@example.com&page_size=1";
    let mut codes = vec![];
    for _ in 0..4 {
        let cursor = server.get(list).await.json()["cursor"].as_str().unwrap().to_owned();
        let latest = format!("/_emulator/v1/messages/latest?to=jane@example.com&since={cursor}");
        // Nobody waits for the submit: the question is there before the email is.
        let (mail, ()) = tokio::join!(server.get(&latest), async {
            let asked = server.get(&format!("{latest}&wait_ms=0")).await;
            assert_eq!(asked.status, 404, "an email of an earlier sign-in: {}", asked.body);
            server.person().start("jane@example.com").await;
        });
        codes.push(mail.json()["code"].as_str().unwrap().to_owned());
        server.advance_s(60);
    }
    let sent: Vec<String> = server
        .mails_to("jane@example.com")
        .await
        .iter()
        .rev()
        .map(|m| m["code"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(codes, sent);
}

#[tokio::test]
async fn emails_are_found_by_their_sign_in() {
    let server = TestServer::start().await;
    let first = server.person().start("jane@example.com").await;
    let second = server.person().start("jane@example.com").await;
    for sign_in in [&first, &second] {
        let id = sign_in.rsplit('/').next().unwrap();
        let found = server.get(&format!("/_emulator/v1/messages/latest?auth_request_id={id}")).await.json();
        assert_eq!(found["auth_request_id"], id);
        let listed = server.get(&format!("/_emulator/v1/messages?auth_request_id={id}")).await.json();
        assert_eq!(listed["messages"], serde_json::json!([found]));
        assert_eq!(listed["cursor"], found["id"]);
    }
    let nothing = server.get("/_emulator/v1/messages/latest?auth_request_id=other&wait_ms=0").await;
    assert_eq!(nothing.json()["detail"], "no email of this sign-in arrived within 0 ms");
}

#[rstest]
#[tokio::test]
async fn an_email_of_a_sign_in_that_is_over_can_be_left_out_and_the_refusal_tells_what_happened(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let latest = async |query: &str| {
        server.get(&format!("/_emulator/v1/messages/latest?to=jane@example.com&wait_ms=0{query}")).await
    };
    let nothing = latest("").await.json();
    assert_eq!(nothing["timeline"], serde_json::json!(["No sign-in is in the log that it could belong to."]));
    server.person().tokens("jane@example.com").await;
    assert_eq!(latest("").await.status, 200);
    // The log of sign-ins is written a moment later.
    let deadline = Instant::now() + Duration::from_secs(20);
    let timeline = loop {
        let refused = latest("&unused=true").await;
        assert_eq!(refused.status, 404, "{}", refused.body);
        let timeline = refused.json()["timeline"].to_string();
        if timeline.contains("SUCCESS") && timeline.contains("session") {
            break timeline;
        }
        assert!(Instant::now() < deadline, "{timeline}");
        tokio::task::yield_now().await;
    };
    assert!(timeline.contains("+0.0 s authorize ok: "), "{timeline}");
    let second = server.person().start("jane@example.com").await;
    let newest = latest("&unused=true").await.json();
    assert_eq!(newest["auth_request_id"], second.rsplit('/').next().unwrap());
    let listed = server.get("/_emulator/v1/messages?to=jane@example.com&unused=true").await.json();
    assert_eq!(listed["messages"], serde_json::json!([newest]));
}

#[tokio::test]
async fn a_list_of_emails_has_pages_and_a_cursor_past_all_of_them() {
    let server = TestServer::start().await;
    for address in ["a@example.com", "b@example.com", "c@example.com"] {
        server.person().start(address).await;
    }
    let newest = server.get("/_emulator/v1/messages/latest").await.json()["id"].clone();
    let first = server.get("/_emulator/v1/messages?page_size=2").await.json();
    assert_eq!((first["messages"].as_array().unwrap().len(), &first["cursor"]), (2, &newest));
    let token = first["next_page_token"].as_str().unwrap();
    let second = server.get(&format!("/_emulator/v1/messages?page_size=2&page_token={token}")).await.json();
    assert_eq!(second["messages"][0]["to"], "a@example.com");
    assert!(second["next_page_token"].is_null() && second["cursor"] == newest, "{second}");
    let none = server.get("/_emulator/v1/messages?to=nobody@example.com").await.json();
    let since = none["cursor"].as_str().unwrap();
    let all = server.get(&format!("/_emulator/v1/messages?since={since}")).await.json();
    assert_eq!(
        all["messages"].as_array().unwrap().len(),
        3,
        "the cursor of an empty inbox is before everything"
    );
}

#[tokio::test]
async fn a_plus_that_nobody_encoded_is_read_as_one() {
    let server = TestServer::start().await;
    server.person().start("jane+sktest@example.com").await;
    for query in ["jane+sktest@example.com", "jane%20sktest@example.com", "jane%2Bsktest@example.com"] {
        for path in ["/_emulator/v1/messages/latest?wait_ms=0&to=", "/_emulator/v1/messages?to="] {
            let page = server.get(&format!("{path}{query}")).await;
            assert!(page.status == 200 && page.body.contains("jane+sktest@example.com"), "{path}{query}");
        }
        let flows = server.get(&format!("/_emulator/v1/flows?email={query}")).await.json();
        assert_eq!(flows["total"], 1, "{query}");
        let inbox = server.get(&format!("/_emulator/inbox?to={query}")).await.body;
        assert!(inbox.contains("class=\"emails\""), "{query}");
    }
    let url = format!("{}/_emulator/v1/messages?to=jane+sktest@example.com", server.url);
    let deleted = Page::of(server.http().delete(url).send().await.unwrap()).await;
    assert_eq!(deleted.json()["deleted"], 1);
}

#[tokio::test]
async fn bad_queries_are_named() {
    let server = TestServer::start().await;
    for (query, word) in [
        ("to=x", "to"),
        ("wait_ms=soon", "wait_ms"),
        ("wait_ms=60001", "wait_ms"),
        ("since=yesterday", "since"),
        ("to=a@b.io&to=c@d.io", "to"),
    ] {
        let page = server.get(&format!("/_emulator/v1/messages?{query}")).await;
        assert_eq!(page.status, 400, "{query}");
        assert!(page.json()["errors"][0]["field"] == word, "{}", page.body);
    }
}

#[tokio::test]
async fn the_pages_show_emails_and_their_html_part_can_do_nothing() {
    let server = TestServer::start().await;
    let empty = server.get("/_emulator/inbox").await;
    assert!(empty.body.contains("No emails yet"));
    server.person().start("jane@example.com").await;
    let mail = server.mail_to("jane@example.com").await;
    let list = server.get("/_emulator/inbox").await;
    assert!(list.body.contains(mail["code"].as_str().unwrap()));
    let id = mail["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/_emulator/inbox/{id}")).await.status, 200);
    let html = server.get(&format!("/_emulator/inbox/{id}/html")).await;
    assert!(html.header("content-security-policy").contains("sandbox"));
    assert_eq!(server.get("/_emulator/inbox/msg_1").await.status, 404);
}

#[tokio::test]
async fn an_email_is_read_beside_the_list_in_five_ways() {
    let server = TestServer::start().await;
    server.person().start("jane@example.com").await;
    server.person().start("bob@example.com").await;
    let mail = server.mail_to("jane@example.com").await;
    let url = format!("/_emulator/inbox/{}", mail["id"].as_str().unwrap());
    let list = server.get("/_emulator/inbox").await.body;
    assert!(list.contains("<title>(2) Inbox") && list.contains("Select an email"), "{list}");
    // To ask for its head only is not to read it.
    server.http().head(format!("{}{url}", server.url)).send().await.unwrap();
    assert!(server.get("/_emulator/inbox").await.body.contains("<title>(2) Inbox"));
    let page = server.get(&url).await.body;
    assert!(page.contains("<title>(1) Inbox") && page.contains("bob@example.com"), "{page}");
    assert!(page.contains(&format!("<iframe src=\"{url}/html\"")) && page.contains("sandbox=\""), "{page}");
    for (tab, has) in [
        ("text", mail["code"].as_str().unwrap()),
        ("headers", "<dt>Auto-Submitted</dt>"),
        ("raw", "multipart/alternative"),
        ("links", "login/link?link_token="),
        ("nothing", "<iframe"),
    ] {
        let page = server.get(&format!("{url}?tab={tab}")).await;
        assert!(page.status == 200 && page.body.contains(has), "{tab}: {}", page.body);
        assert!(page.body.len() < 100_000, "{tab}: {} bytes", page.body.len());
    }
    let file = server.get(&format!("{url}/eml")).await;
    assert_eq!(file.header("content-type"), "message/rfc822");
    assert!(
        file.header("content-disposition").contains(".eml") && file.body.contains("To: jane@example.com")
    );
    let found = server.get(&format!("/_emulator/inbox?q={}", mail["code"].as_str().unwrap())).await.body;
    assert!(found.contains("jane@example.com") && !found.contains("to bob@example.com"), "{found}");
    assert!(server.get("/_emulator/inbox?q=%3Cb%3E").await.body.contains("No emails match “&#60;b&#62;”"));
}

#[tokio::test]
async fn emails_are_deleted_by_forms_of_our_own_pages() {
    let server = TestServer::start().await;
    for address in ["a@example.com", "b@example.com", "c@example.com"] {
        server.person().start(address).await;
    }
    let id = server.mail_to("b@example.com").await["id"].as_str().unwrap().to_owned();
    let post = async |path: &str, origin: &str| {
        let request = server.http().post(format!("{}/_emulator/inbox{path}", server.url));
        let form = [("q", "exam"), ("to", "")];
        Page::of(request.header("origin", origin).form(&form).send().await.unwrap()).await
    };
    assert_eq!(post(&format!("/{id}/delete"), "https://evil.example").await.status, 403);
    assert_eq!(post("/delete", "https://evil.example").await.status, 403);
    let done = post(&format!("/{id}/delete"), &server.url).await;
    assert_eq!(done.status, 303);
    assert!(
        done.header("location").ends_with("/_emulator/inbox?q=exam&done=deleted"),
        "{}",
        done.header("location")
    );
    assert!(server.mails_to("b@example.com").await.is_empty());
    assert_eq!(post(&format!("/{id}/delete"), &server.url).await.status, 404);
    assert_eq!(post("/delete", &server.url).await.status, 303);
    assert!(server.get("/_emulator/inbox?done=deleted").await.body.contains("No emails yet"));
}

#[tokio::test]
async fn older_emails_are_on_further_pages() {
    let server = TestServer::start().await;
    let context = server.provider.context(EnvironmentSelector::default()).await.unwrap();
    let to = [EmailAddress::parse("jane@example.com").unwrap()];
    for n in 0..51 {
        let source = format!("Subject: Letter {n:02}\r\n\r\n{}", "<b>\u{fc}</b>".repeat(20_000));
        inbox::receive(&context, "", &to, source.as_bytes()).await.unwrap();
    }
    let first = server.get("/_emulator/inbox?q=letter").await.body;
    assert!(first.contains("Letter 50") && first.contains("Letter 01") && !first.contains("Letter 00"));
    assert!(first.contains("/_emulator/inbox?q=letter&#38;from=50\" rel=\"next\""), "{first}");
    let second = server.get("/_emulator/inbox?q=letter&from=50").await.body;
    assert!(
        second.contains("Letter 00") && !second.contains("Letter 01") && !second.contains("rel=\"next\"")
    );
}

#[tokio::test]
async fn a_token_guards_the_control_api_where_one_is_set() {
    let server = TestServer::with("[control]\ntoken = \"open, sesame, open\"").await;
    let url = format!("{}/_emulator/v1/messages", server.url);
    for path in [
        "/_emulator/v1/messages",
        "/_emulator/v1/messages/latest?wait_ms=0",
        "/_emulator/inbox",
        "/_emulator/inbox/msg_1",
        "/_emulator/inbox/msg_1/html",
        "/_emulator/inbox/msg_1/eml",
    ] {
        assert_eq!(server.get(path).await.status, 401, "{path}");
    }
    assert_eq!(server.http().delete(&url).bearer_auth("wrong").send().await.unwrap().status().as_u16(), 401);
    assert_eq!(
        server.http().get(&url).bearer_auth("open, sesame, open").send().await.unwrap().status().as_u16(),
        200
    );
    assert_eq!(
        server
            .http()
            .get(&url)
            .basic_auth("any", Some("open, sesame, open"))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16(),
        200
    );
}

#[tokio::test]
async fn a_foreign_name_that_points_here_may_not_read_the_inbox() {
    let server = TestServer::start().await;
    for (host, status) in [("rebound.example:6870", 421), ("127.0.0.1:1", 200), ("[::1]:6870", 200)] {
        let request = server.http().get(format!("{}/_emulator/v1/messages", server.url)).header("host", host);
        assert_eq!(Page::of(request.send().await.unwrap()).await.status, status, "{host}");
    }
}

#[tokio::test]
async fn switched_off_there_is_no_inbox() {
    let server = TestServer::with("[control]\nenabled = false").await;
    assert_eq!(server.get("/_emulator/v1/messages").await.status, 404);
    assert_eq!(server.get("/_emulator/inbox").await.status, 404);
}
