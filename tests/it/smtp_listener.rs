//! `smtp_listen`: what other programs send by SMTP is in the inbox, and nothing that they send disturbs the server.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use lettre::message::{Attachment, MultiPart, SinglePart, header::ContentType};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{Message, SmtpTransport, Transport as _};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use vestibule::domain::email::EmailAddress;
use vestibule::runtime::EnvironmentSelector;
use vestibule::service::inbox;

use crate::command_line::{Running, text, vestibule};
use crate::support::{Engine, TestServer};

struct Listening {
    server: Running,
    address: String,
    _folder: tempfile::TempDir,
}

impl Listening {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("vestibule.toml"), "smtp_listen = \"127.0.0.1:0\"\n").unwrap();
        let server = Running::start(folder.path(), &["--ephemeral"]);
        let address = server.ready["smtp_listen"].as_str().unwrap().to_owned();
        Self { server, address, _folder: folder }
    }

    fn port(&self) -> u16 {
        self.address.rsplit(':').next().unwrap().parse().unwrap()
    }

    fn transport(&self) -> SmtpTransport {
        SmtpTransport::builder_dangerous("127.0.0.1").port(self.port()).build()
    }

    fn transport_as(&self, user: &str) -> SmtpTransport {
        SmtpTransport::builder_dangerous("127.0.0.1")
            .port(self.port())
            .credentials(Credentials::new(user.to_owned(), "any".to_owned()))
            .build()
    }

    /// Whoever types SMTP by hand.
    fn by_hand(&self) -> Client {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut client = Client(stream);
        assert_eq!(client.reply()[..3], *"220");
        client
    }

    fn messages(&self, query: &str) -> Vec<Value> {
        let (status, body) = self.server.get(&format!("/_emulator/v1/messages{query}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["messages"].as_array().unwrap().clone()
    }
}

struct Client(TcpStream);

impl Client {
    /// One reply, of several lines where it has them.
    fn reply(&mut self) -> String {
        let mut reply = String::new();
        let mut byte = [0];
        loop {
            let start = reply.len();
            while !reply.ends_with('\n') || reply.len() == start {
                assert_eq!(self.0.read(&mut byte).unwrap(), 1, "closed after {reply:?}");
                reply.push(char::from(byte[0]));
            }
            if reply.as_bytes().get(start + 3) == Some(&b' ') {
                return reply;
            }
        }
    }

    fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn is_closed(&mut self) -> bool {
        let mut rest = vec![];
        // Closed with something of ours unread is a reset.
        self.0
            .read_to_end(&mut rest)
            .map_or_else(|error| error.kind() == std::io::ErrorKind::ConnectionReset, |_| true)
    }
}

fn email() -> lettre::message::MessageBuilder {
    Message::builder().from("App <app@acme.example>".parse().unwrap()).to("jane@example.com".parse().unwrap())
}

#[test]
fn an_applications_emails_are_in_the_inbox_with_code_and_links() {
    let listening = Listening::start();
    let body = MultiPart::mixed()
        .multipart(MultiPart::alternative_plain_html(
            "Hallo Jörg,\nyour code: 7306\nhttps://acme.example/confirm?a=1&b=2\n".to_owned(),
            "<p>Hello <a href=\"https://acme.example/confirm?a=1&amp;b=2\">Confirm</a> <a href='https://acme.example/help'>Help</a></p>".to_owned(),
        ))
        .singlepart(Attachment::new("a.bin".into()).body(vec![0_u8, 1, 255], ContentType::parse("application/octet-stream").unwrap()));
    let mail =
        email().cc("bob@example.com".parse().unwrap()).subject("Bestätigen ✉").multipart(body).unwrap();
    let transport = listening.transport();
    transport.send(&mail).unwrap();
    for to in ["jane@example.com", "bob@example.com"] {
        let found = listening.messages(&format!("?to={to}"));
        let [mail] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            (&mail["subject"], &mail["code"], &mail["kind"], &mail["source"]),
            (&json!("Bestätigen ✉"), &json!("7306"), &json!("received"), &json!("smtp"))
        );
        assert_eq!(mail["from"], "App <app@acme.example>");
        assert_eq!(mail["link"], "https://acme.example/confirm?a=1&b=2");
        assert_eq!(
            mail["links"],
            json!(["https://acme.example/confirm?a=1&b=2", "https://acme.example/help"])
        );
        assert!(
            mail["text"].as_str().unwrap().contains("Jörg") && mail["html"].as_str().unwrap().contains("<p>")
        );
        let (_, source) =
            listening.server.get(&format!("/_emulator/v1/messages/{}/raw", mail["id"].as_str().unwrap()));
        assert!(source.contains("multipart/mixed") && source.contains("a.bin"), "{source}");
    }
    assert_eq!(listening.messages("?q=confirm").len(), 2);
    // A connection is kept for the next email.
    transport.send(&email().subject("").body(String::new()).unwrap()).unwrap();
    assert_eq!(listening.messages("").len(), 3);
}

#[test]
fn the_user_name_says_which_environment_an_email_is_for() {
    let listening = Listening::start();
    assert_eq!(listening.server.post("/_emulator/v1/environments", &json!({"name": "shop-1"})), 201);
    let mail = email().subject("Hello").singlepart(SinglePart::plain("Hi".to_owned())).unwrap();
    listening.transport_as("shop-1").send(&mail).unwrap();
    assert!(listening.messages("").is_empty());
    let (_, body) = listening.server.get("/e/shop-1/_emulator/v1/messages");
    assert!(body.contains("\"Hello\""), "{body}");
    listening.transport_as("default").send(&mail).unwrap();
    assert_eq!(listening.messages("").len(), 1);
    let refused = listening.transport_as("nobody").send(&mail).unwrap_err().to_string();
    assert!(refused.contains("There is no environment of that name"), "{refused}");

    let mut login = listening.by_hand();
    login.say("EHLO x");
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    assert_eq!(login.say("AUTH LOGIN"), "334 VXNlcm5hbWU6\r\n");
    assert_eq!(login.say(&base64("shop-1")), "334 UGFzc3dvcmQ6\r\n");
    assert_eq!(login.say(&base64("any"))[..3], *"235");
    assert_eq!(login.say(&format!("AUTH PLAIN {}", base64("\0../x\0y")))[..3], *"535");
    assert_eq!(login.say("AUTH PLAIN")[..3], *"334");
    assert_eq!(login.say("*")[..3], *"501");
    assert_eq!(login.say("AUTH CRAM-MD5")[..3], *"504");
    assert_eq!(login.say("QUIT")[..3], *"221");
}

#[test]
fn commands_out_of_order_and_garbage_are_refused() {
    let listening = Listening::start();
    let mut client = listening.by_hand();
    for (line, code) in [
        ("MAIL FROM:<a@b.example>", "503"),
        ("EHLO x", "250"),
        ("DATA", "503"),
        ("RCPT TO:<jane@example.com>", "503"),
        ("MAIL FROM:<a@b.example> SIZE=99999999", "552"),
        ("STARTTLS", "502"),
        ("MAIL FROM:<>", "250"),
        ("MAIL FROM:<a@b.example>", "503"),
        ("RCPT TO:<no address>", "5"),
        ("RCPT TO:<jane@example.com>", "250"),
        ("RCPT TO:<JANE@example.com>", "250"),
        ("NOOP", "250"),
        ("VRFY jane", "252"),
        ("GET / HTTP/1.1", "500"),
    ] {
        let reply = client.say(line);
        assert!(reply.starts_with(code), "{line}: {reply}");
    }
    assert_eq!(client.say("DATA")[..3], *"354");
    // An empty email, in which a dot that begins a line is doubled.
    assert_eq!(client.say("..dot\r\n.")[..3], *"250");
    let found = listening.messages("");
    assert_eq!((found.len(), &found[0]["text"]), (1, &json!(".dot\r\n")), "one address once: {found:?}");

    for garbage in [&b"\0\xff\xfe\x01\r\n"[..], b"\r\n", b"EHLO\r\n", b"MAIL FROM\r\n", b"AUTH\r\n"] {
        let mut client = listening.by_hand();
        for _ in 0..20 {
            let _ = client.0.write_all(garbage);
        }
        assert!(client.is_closed(), "{garbage:?}");
    }
    // A web page cannot have the browser write an email.
    let mut client = listening.by_hand();
    assert_eq!(
        client.say("POST / HTTP/1.1\r\nHost: localhost\r\n\r\nEHLO x\r\nMAIL FROM:<a@b.example>")[..3],
        *"421"
    );
    assert!(client.is_closed());
    let mut client = listening.by_hand();
    let _ = client.0.write_all(&vec![b'x'; 20_000]);
    assert!(client.is_closed(), "a line without an end");
    assert_eq!(listening.messages("").len(), 1);
}

#[test]
fn an_email_ends_with_a_dot_between_two_line_ends_alone() {
    let listening = Listening::start();
    let mut client = listening.by_hand();
    client.say("HELO x");
    client.say("MAIL FROM:<a@b.example>");
    client.say("RCPT TO:<jane@example.com>");
    client.say("DATA");
    client.send(b"Subject: one\n\nbare\n.\nMAIL FROM:<evil@b.example>\n.\r");
    std::thread::sleep(Duration::from_millis(100));
    assert!(listening.messages("").is_empty(), "it is not over");
    assert_eq!(client.say("\n\r\n.")[..3], *"250");
    let found = listening.messages("");
    assert_eq!(found.len(), 1);
    assert!(found[0]["text"].as_str().unwrap().contains("evil@b.example"), "{found:?}");
    // What breaks off is no email.
    client.say("MAIL FROM:<a@b.example>");
    client.say("RCPT TO:<jane@example.com>");
    client.say("DATA");
    client.send(b"Subject: broken\r\n");
    drop(client);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(listening.messages("").len(), 1);
}

#[test]
fn sizes_recipients_and_connections_have_bounds() {
    let listening = Listening::start();
    let mut client = listening.by_hand();
    client.say("EHLO x");
    client.say("MAIL FROM:<a@b.example>");
    for n in 0..20 {
        assert_eq!(client.say(&format!("RCPT TO:<u{n}@example.com>"))[..3], *"250");
    }
    assert_eq!(client.say("RCPT TO:<u20@example.com>")[..3], *"452");
    client.say("RSET");
    client.say("MAIL FROM:<a@b.example>");
    client.say("RCPT TO:<jane@example.com>");
    client.say("DATA");
    let line = [b"x".repeat(998), b"\r\n".to_vec()].concat();
    for _ in 0..6 << 10 {
        client.send(&line);
    }
    assert_eq!(client.say(".")[..3], *"552");
    assert!(listening.messages("").is_empty());
    // The connection goes on.
    assert_eq!(client.say("NOOP")[..3], *"250");

    let mut others: Vec<Client> = (1..32).map(|_| listening.by_hand()).collect();
    let mut refused = Client(TcpStream::connect(&listening.address).unwrap());
    assert!(refused.reply().starts_with("421 4.7.0"));
    assert!(refused.is_closed());
    others[0].say("QUIT");
    assert!(others[0].is_closed());
    let deadline = Instant::now() + Duration::from_secs(10);
    while !Client(TcpStream::connect(&listening.address).unwrap()).reply().starts_with("220") {
        assert!(Instant::now() < deadline, "the place of who left is free");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_stop_lets_the_email_on_its_way_arrive_and_tells_the_others() {
    let listening = Listening::start();
    let mut idle = listening.by_hand();
    let mut busy = listening.by_hand();
    busy.say("HELO x");
    busy.say("MAIL FROM:<a@b.example>");
    busy.say("RCPT TO:<jane@example.com>");
    busy.say("DATA");
    let stopping = std::thread::spawn(move || listening.server.stop());
    assert!(idle.reply().starts_with("421 4.3.2"));
    assert_eq!(busy.say("Subject: last\r\n\r\n.")[..3], *"250");
    assert!(busy.reply().starts_with("421 4.3.2"));
    assert_eq!(stopping.join().unwrap().0, Some(0));
}

#[test]
fn only_loopback_addresses_are_listened_on() {
    let folder = tempfile::tempdir().unwrap();
    let refused = vestibule(folder.path())
        .args(["config", "check"])
        .env("VESTIBULE_SMTP_LISTEN", "0.0.0.0:1025")
        .output()
        .unwrap();
    assert!(!refused.status.success());
    assert!(
        text(&refused).contains("must be a loopback address, such as localhost:1025"),
        "{}",
        text(&refused)
    );
}

#[rstest]
#[tokio::test]
async fn received_emails_are_kept_read_and_carried_by_snapshots(
    #[values(Engine::Sqlite, Engine::Postgres)] engine: Engine,
) {
    let Some(server) = TestServer::on(engine, "").await else { return };
    let context = server.provider.context(EnvironmentSelector::default()).await.unwrap();
    let to = [EmailAddress::parse("jane@example.com").unwrap()];
    // Bytes that are no text, and a NUL.
    let source = b"Subject: Hello\r\n\r\n\xff\0code 123456\r\n";
    inbox::receive(&context, "app@acme.example", &to, source).await.unwrap();
    let mail = server.mail_to("jane@example.com").await;
    assert_eq!(
        (&mail["from"], &mail["code"], &mail["read"]),
        (&json!("app@acme.example"), &json!("123456"), &json!(false))
    );
    let id = mail["id"].as_str().unwrap();
    let page = server.get("/_emulator/inbox").await.body;
    assert!(page.contains("<title>(1) Inbox") && page.contains("1 unread"), "{page}");
    assert_eq!(server.get(&format!("/_emulator/inbox/{id}")).await.status, 200);
    assert!(server.get("/_emulator/inbox").await.body.contains("<title>Inbox"));

    let kept = server.do_control("GET", "/snapshot", Value::Null).await;
    server.do_control("DELETE", "/messages", Value::Null).await;
    server.do_control("PUT", "/snapshot", kept).await;
    let back = server.do_control("GET", &format!("/messages/{id}"), Value::Null).await;
    assert_eq!((&back["read"], &back["from"]), (&json!(true), &mail["from"]));
    let raw = server.http().request(Method::GET, format!("{}/_emulator/v1/messages/{id}/raw", server.url));
    assert_eq!(raw.send().await.unwrap().bytes().await.unwrap()[..], source[..]);
    assert_eq!(inbox::count(&context).await.unwrap().unread, 0);
}
