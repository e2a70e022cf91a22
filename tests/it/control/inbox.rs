//! The inbox by API.

use serde_json::Value;

use crate::support::TestServer;

#[tokio::test]
async fn emails_are_searched_shown_in_source_and_deleted_one_by_one() {
    let server = TestServer::start().await;
    for address in ["jane@example.com", "bob@example.com", "ann@example.com"] {
        server.person().start(address).await;
    }
    let code = server.code_for("bob@example.com").await;
    let found = server.do_control("GET", &format!("/messages?q={code}"), Value::Null).await;
    assert_eq!(found["messages"][0]["to"], "bob@example.com");
    let id = found["messages"][0]["id"].as_str().unwrap();
    let raw = server.get(&format!("/_emulator/v1/messages/{id}/raw")).await;
    assert_eq!(raw.header("content-type"), "message/rfc822");
    assert!(
        raw.body.contains("To: bob@example.com") && raw.body.contains("multipart/alternative"),
        "{}",
        raw.body
    );
    assert!(
        server
            .get(&format!("/_emulator/v1/messages/{id}/html"))
            .await
            .header("content-security-policy")
            .contains("sandbox")
    );
    server.do_control("DELETE", &format!("/messages/{id}"), Value::Null).await;
    assert_eq!(server.refused("GET", &format!("/messages/{id}"), Value::Null).await.0, 404);
    assert_eq!(server.do_control("DELETE", "/messages?to=JANE@example.com", Value::Null).await["deleted"], 1);
    assert_eq!(
        server.do_control("GET", "/messages", Value::Null).await["messages"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn emails_arrive_as_server_sent_events() {
    let server = TestServer::start().await;
    server.person().start("early@example.com").await;
    let url = format!("{}/_emulator/v1/messages/events?to=jane@example.com", server.url);
    let mut stream = server.http().get(url).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    server.person().start("bob@example.com").await;
    server.person().start("jane@example.com").await;
    let chunk = stream.chunk().await.unwrap().unwrap();
    let text = String::from_utf8(chunk.to_vec()).unwrap();
    assert!(text.starts_with("id: msg_") && text.contains("\nevent: message\ndata: {"), "{text}");
    assert!(text.contains("jane@example.com") && !text.contains("bob@example.com"), "{text}");
}
