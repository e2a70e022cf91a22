//! Emails when servers are many or die: each leaves once, and none is forgotten.

use std::collections::HashSet;

use futures_util::future::join_all;
use rstest::rstest;
use vestibule::domain::clock::Clock as _;

use crate::smtp::Server;
use crate::support::{Engine, TestServer};

fn with_smtp(port: u16) -> String {
    format!("[smtp]\nhost = \"127.0.0.1\"\nport = {port}\nencryption = \"none\"")
}

/// Recipient of the next email that the server takes.
async fn next_recipient(smtp: Server) -> (Server, String) {
    let taken = tokio::task::spawn_blocking(move || {
        let message = smtp.message();
        (smtp, message["rcpt_tos"][0].as_str().unwrap().to_owned())
    });
    taken.await.unwrap()
}

#[tokio::test]
async fn two_servers_deliver_every_email_once() {
    let Some(mut smtp) = Server::start("plain", &[]) else { return };
    let toml = with_smtp(smtp.port);
    let Some(one) = TestServer::on(Engine::Postgres, &toml).await else { return };
    let two = one.beside(&toml).await;
    let addresses: Vec<String> = (0..30).map(|i| format!("person{i}@example.com")).collect();
    join_all(addresses.iter().enumerate().map(|(i, address)| {
        let person = if i % 2 == 0 { one.person() } else { two.person() };
        async move { person.start(address).await }
    }))
    .await;
    let mut received = vec![];
    for _ in &addresses {
        let (server, recipient) = next_recipient(smtp).await;
        received.push(recipient);
        smtp = server;
    }
    let different: HashSet<&String> = received.iter().collect();
    assert_eq!(different.len(), addresses.len(), "{received:?}");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while !one.app.store().due_mails(i64::MAX, 100).await.unwrap().is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "the outbox is not empty");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[rstest]
#[tokio::test]
async fn an_email_that_a_dead_server_had_taken_is_delivered_two_minutes_later(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(smtp) = Server::start("plain", &[]) else { return };
    let port = smtp.port;
    drop(smtp);
    let Some(server) = TestServer::on(engine, &with_smtp(port)).await else { return };
    server.person().start("jane@example.com").await;
    let store = server.app.store();
    // As the server that dies had it: taken for delivery, and never heard of again.
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        assert!(tokio::time::Instant::now() < deadline, "the email cannot be taken");
        let now_ms = server.clock.now_ms();
        let mails = store.due_mails(now_ms + 10_000, 1).await.unwrap();
        if let Some(mail) = mails.first().filter(|m| m.attempts > 0)
            && store.claim_mail(mail, now_ms + 120_000).await.unwrap()
        {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let Some(smtp) = Server::start("plain", &["--port", &port.to_string()]) else { return };
    server.advance_s(121);
    let (_smtp, recipient) = next_recipient(smtp).await;
    assert_eq!(recipient, "jane@example.com");
}
