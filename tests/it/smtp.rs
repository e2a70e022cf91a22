//! Email goes to a real SMTP server (`tests/smtp/server.py`, aiosmtpd), over real sockets.
//!
//! `VESTIBULE_TEST_PYTHON` names a Python that has `tests/smtp/requirements.txt`, default `python3`. Without one
//! these tests are skipped.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use base64::Engine as _;
use vestibule::domain::email::EmailAddress;
use vestibule::domain::language::Language;
use vestibule::domain::settings::{Branding, MailFrom};
use vestibule::mail::{
    DeliveryError, Encryption, Envelope, MailContent, MailKind, RenderedMail, SmtpMailer, SmtpSettings,
    render,
};

use crate::support::skips::{is_quick, skip};

const CODE: &str = "482913";
const LINK: &str = "http://localhost:6870/login/link?link_token=0b9f2c1e-5a77-4d1c-9a51-0f6f6f7a2b11_l";
const TO: &str = "jane.doe@example.com";

/// A running server and what it tells.
pub struct Server {
    child: Child,
    events: Receiver<serde_json::Value>,
    pub port: u16,
    ca_file: Option<PathBuf>,
    _directory: tempfile::TempDir,
}

impl Server {
    /// `None`: there is no Python to run it with, and the test is noted as skipped.
    pub fn start(mode: &str, more: &[&str]) -> Option<Self> {
        if is_quick() {
            skip("SMTP is left out");
            return None;
        }
        let python = std::env::var("VESTIBULE_TEST_PYTHON").unwrap_or_else(|_| "python3".into());
        let has_modules = Command::new(&python)
            .args(["-c", "import aiosmtpd, trustme"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !has_modules {
            skip(&format!(
                "{python} lacks aiosmtpd or trustme; install tests/smtp/requirements.txt and set \
                 VESTIBULE_TEST_PYTHON"
            ));
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/smtp/server.py"))
            .args(["--mode", mode, "--directory"])
            .arg(directory.path())
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    break;
                }
            }
        });
        let ready: serde_json::Value =
            events.recv_timeout(Duration::from_secs(20)).expect("the SMTP server did not start");
        assert_eq!(ready["event"], "ready");
        let port = u16::try_from(ready["port"].as_u64().unwrap()).unwrap();
        let ca_file = ready["ca_file"].as_str().map(PathBuf::from);
        Some(Self { child, events, port, ca_file, _directory: directory })
    }

    fn settings(&self, encryption: Encryption) -> SmtpSettings {
        SmtpSettings { port: self.port, ca_file: self.ca_file.clone(), ..settings(encryption) }
    }

    /// The next email the server took.
    pub fn message(&self) -> serde_json::Value {
        loop {
            let event = self.events.recv_timeout(Duration::from_secs(30)).expect("the server took no mail");
            if event["event"] == "message" {
                return event;
            }
        }
    }

    /// What happened since the last look.
    fn news(&self) -> Vec<serde_json::Value> {
        // Events cross a pipe and a thread: give the last one time to arrive.
        std::thread::sleep(Duration::from_millis(200));
        self.events.try_iter().collect()
    }

    /// How often something happened since the last look.
    fn count(&self, event: &str) -> usize {
        self.news().iter().filter(|e| e["event"] == event).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn settings(encryption: Encryption) -> SmtpSettings {
    SmtpSettings {
        host: "localhost".into(),
        port: 1,
        encryption,
        username: None,
        password: None,
        timeout_s: 5,
        ca_file: None,
        max_attempts: 10,
    }
}

fn with_sign_in(settings: SmtpSettings, password: &str) -> SmtpSettings {
    SmtpSettings { username: Some("mailer".into()), password: Some(password.into()), ..settings }
}

fn mailer(settings: &SmtpSettings) -> SmtpMailer {
    SmtpMailer::new(settings).unwrap()
}

fn rendered() -> RenderedMail {
    let branding =
        Branding { name: "Büro & Söhne".into(), accent_color: "#4f46e5".into(), ..Branding::default() };
    render(&MailContent {
        kind: MailKind::SignIn,
        to: &EmailAddress::parse(TO).unwrap(),
        app_name: &branding.name,
        branding: &branding,
        language: Language::En,
        code: Some(CODE),
        link: Some(LINK),
        valid_for_s: 300,
        template_variables: &[],
    })
    .unwrap()
}

async fn deliver_to(mailer: &SmtpMailer, to: &str) -> Result<(), DeliveryError> {
    let mail = rendered();
    let from = MailFrom {
        name: "Büro & Söhne".into(),
        address: EmailAddress::parse("no-reply@vestibule.example").unwrap(),
    };
    mailer
        .deliver(&Envelope {
            from: &from,
            to,
            message_id: "msg_687000000000000001",
            subject: &mail.subject,
            text: &mail.text,
            html: &mail.html,
            created_at_ms: 1_700_000_000_000,
        })
        .await
}

async fn deliver(mailer: &SmtpMailer) -> Result<(), DeliveryError> {
    deliver_to(mailer, TO).await
}

/// The reason, after making sure that it may be logged.
fn temporary(result: Result<(), DeliveryError>) -> String {
    let Err(DeliveryError::Temporary(reason)) = result else { panic!("not a temporary failure: {result:?}") };
    assert_loggable(&reason);
    reason
}

fn permanent(result: Result<(), DeliveryError>) -> String {
    let Err(DeliveryError::Permanent(reason)) = result else { panic!("not a permanent failure: {result:?}") };
    assert_loggable(&reason);
    reason
}

fn assert_loggable(reason: &str) {
    for secret in [CODE, "link_token", "0b9f2c1e", "jane", "example.com", "sesame"] {
        assert!(!reason.contains(secret), "{secret} in {reason:?}");
    }
}

/// One MIME part, decoded. Enough of a reader for what lettre writes.
fn part(content: &str, content_type: &str) -> String {
    let start = content.find(&format!("Content-Type: {content_type}")).expect(content_type);
    let (headers, rest) = content[start..].split_once("\r\n\r\n").unwrap();
    let body = rest.split("\r\n--").next().unwrap();
    if headers.contains("base64") {
        let joined: String = body.split_whitespace().collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(joined).unwrap();
        return String::from_utf8(bytes).unwrap();
    }
    if !headers.contains("quoted-printable") {
        return body.to_owned();
    }
    let body = body.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut rest = body.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'=' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn an_email_arrives_with_both_parts_as_written() {
    let Some(server) = Server::start("plain", &[]) else { return };
    deliver(&mailer(&server.settings(Encryption::None))).await.unwrap();

    let message = server.message();
    assert_eq!(message["mail_from"], "no-reply@vestibule.example");
    assert_eq!(message["rcpt_tos"], serde_json::json!([TO]));
    assert_eq!(message["tls"], false);
    let raw = base64::engine::general_purpose::STANDARD.decode(message["content"].as_str().unwrap()).unwrap();
    let content = String::from_utf8(raw).unwrap();
    assert!(content.is_ascii(), "no server needs to know 8BITMIME");
    for header in [
        "To: jane.doe@example.com\r\n",
        "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
        "Message-ID: <msg_687000000000000001@vestibule.example>\r\n",
        "Auto-Submitted: auto-generated\r\n",
    ] {
        assert!(content.contains(header), "{header} in {content}");
    }
    let mail = rendered();
    let same = |a: &str, b: &str| assert_eq!(a.replace("\r\n", "\n").trim_end(), b.trim_end());
    same(&part(&content, "text/plain"), &mail.text);
    same(&part(&content, "text/html"), &mail.html);
}

#[tokio::test]
async fn one_connection_serves_many_emails() {
    let Some(server) = Server::start("plain", &[]) else { return };
    let mailer = mailer(&server.settings(Encryption::None));
    mailer.check().await.unwrap();
    for _ in 0..5 {
        deliver(&mailer).await.unwrap();
    }
    assert_eq!(server.count("connection"), 1);
}

#[tokio::test]
async fn a_connection_the_server_closed_is_replaced() {
    let Some(server) = Server::start("one-mail", &[]) else { return };
    let mailer = mailer(&server.settings(Encryption::None));
    for _ in 0..3 {
        deliver(&mailer).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(server.count("message"), 3);
}

#[tokio::test]
async fn starttls_and_tls_encrypt_with_a_ca_of_our_own() {
    for (mode, encryption) in [("starttls", Encryption::StartTls), ("tls", Encryption::Tls)] {
        let Some(server) = Server::start(mode, &[]) else { return };
        deliver(&mailer(&server.settings(encryption))).await.unwrap();
        assert_eq!(server.message()["tls"], true, "{mode}");
    }
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_stops_the_email() {
    for (mode, encryption) in [("starttls", Encryption::StartTls), ("tls", Encryption::Tls)] {
        let Some(server) = Server::start(mode, &[]) else { return };
        let untrusting = SmtpSettings { ca_file: None, ..server.settings(encryption) };
        let reason = temporary(deliver(&mailer(&untrusting)).await);
        assert!(reason.contains("certificate"), "{mode}: {reason}");
        let other_name = SmtpSettings { host: "127.0.0.1".into(), ..server.settings(encryption) };
        let reason = temporary(deliver(&mailer(&other_name)).await);
        assert!(reason.contains("certificate"), "{mode}: {reason}");
        assert_eq!(server.count("message"), 0);
    }
}

#[tokio::test]
async fn starttls_is_never_given_up_for_plain_text() {
    let Some(server) = Server::start("plain", &[]) else { return };
    let reason = temporary(deliver(&mailer(&server.settings(Encryption::StartTls))).await);
    assert!(reason.contains("STARTTLS"), "{reason}");
    assert_eq!(server.count("message"), 0);
}

#[tokio::test]
async fn signing_in_opens_the_server_and_a_wrong_password_is_worth_a_retry() {
    for (mode, encryption) in [("auth", Encryption::None), ("auth-starttls", Encryption::StartTls)] {
        let Some(server) = Server::start(mode, &[]) else { return };
        let anonymous = server.settings(encryption);
        let reason = temporary(deliver(&mailer(&anonymous)).await);
        assert!(reason.contains("530"), "{mode}: {reason}");
        let wrong = mailer(&with_sign_in(anonymous.clone(), "sesame, please"));
        for result in [deliver(&wrong).await, wrong.check().await] {
            let reason = temporary(result);
            assert!(reason.starts_with("signing in to the SMTP server: 535"), "{mode}: {reason}");
        }
        let right = mailer(&with_sign_in(anonymous, "open sesame"));
        right.check().await.unwrap();
        deliver(&right).await.unwrap();
        assert_eq!(server.message()["signed_in"], true, "{mode}");
    }
}

#[tokio::test]
async fn greylisting_is_temporary_and_the_retry_succeeds() {
    let Some(server) = Server::start("greylist", &[]) else { return };
    let mailer = mailer(&server.settings(Encryption::None));
    let reason = temporary(deliver(&mailer).await);
    assert_eq!(reason, "handing the email over: 451 4.7.1 … greylisted, try again later");
    deliver(&mailer).await.unwrap();
}

#[tokio::test]
async fn refusals_of_the_email_are_permanent_and_told_without_secrets() {
    let Some(server) = Server::start("refuse-recipient", &[]) else { return };
    let reason = permanent(deliver(&mailer(&server.settings(Encryption::None))).await);
    assert_eq!(reason, "handing the email over: 550 5.1.1 … Recipient address rejected: User … unknown");

    let Some(server) = Server::start("refuse-content", &[]) else { return };
    let reason = permanent(deliver(&mailer(&server.settings(Encryption::None))).await);
    assert!(reason.starts_with("handing the email over: 554 5.7.1 looks like spam:"), "{reason}");
}

#[tokio::test]
async fn a_server_that_wants_no_connection_is_tried_again() {
    let Some(server) = Server::start("refuse-connection", &[]) else { return };
    let reason = temporary(deliver(&mailer(&server.settings(Encryption::None))).await);
    assert!(reason.starts_with("connecting to the SMTP server: 554"), "{reason}");
}

#[tokio::test]
async fn a_dead_server_is_temporary() {
    // Bound and dropped: nobody listens there now.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dead = mailer(&SmtpSettings { host: "127.0.0.1".into(), port, ..settings(Encryption::None) });
    for result in [deliver(&dead).await, dead.check().await] {
        let reason = temporary(result);
        assert!(reason.contains("Connection refused"), "{reason}");
    }
    let nameless = mailer(&SmtpSettings { host: "smtp.invalid".into(), ..settings(Encryption::None) });
    temporary(deliver(&nameless).await);
}

#[tokio::test]
async fn a_server_that_never_answers_costs_the_timeout_and_no_more() {
    let Some(server) = Server::start("silent", &[]) else { return };
    for encryption in [Encryption::None, Encryption::StartTls, Encryption::Tls] {
        let mailer = mailer(&SmtpSettings { timeout_s: 1, ..server.settings(encryption) });
        let started = Instant::now();
        let reason = temporary(deliver(&mailer).await);
        assert!(reason.contains("did not answer within 1 s"), "{encryption:?}: {reason}");
        assert!(started.elapsed() < Duration::from_secs(4), "{encryption:?}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_not_taken_for_the_next_emails() {
    let Some(server) = Server::start("stall", &[]) else { return };
    let mailer = mailer(&SmtpSettings { timeout_s: 1, ..server.settings(Encryption::None) });
    temporary(deliver(&mailer).await);
    // By now "250 late" is on its way on the first connection, which must not be used any more.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(server.count("connection"), 1);
    deliver_to(&mailer, "john@example.com").await.unwrap();
    let news = server.news();
    let names: Vec<&str> = news.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["connection", "message"]);
    assert_eq!(news[1]["rcpt_tos"], serde_json::json!(["john@example.com"]));
}

#[tokio::test]
async fn a_broken_dialogue_is_temporary() {
    for (mode, words) in [("hang-up", "handing the email over: "), ("garbage", "the answer is not SMTP")] {
        let Some(server) = Server::start(mode, &[]) else { return };
        let reason = temporary(deliver(&mailer(&server.settings(Encryption::None))).await);
        assert!(reason.contains(words), "{mode}: {reason}");
    }
    let Some(server) = Server::start("plain", &[]) else { return };
    let reason = temporary(deliver(&mailer(&server.settings(Encryption::Tls))).await);
    assert!(reason.starts_with("connecting to the SMTP server: "), "{reason}");
}

#[tokio::test]
async fn foreign_letters_in_addresses_travel_where_the_server_takes_them() {
    let Some(server) = Server::start("plain", &[]) else { return };
    let plain = mailer(&server.settings(Encryption::None));
    deliver_to(&plain, "jane@bücher.example").await.unwrap();
    assert_eq!(server.message()["rcpt_tos"], serde_json::json!(["jane@xn--bcher-kva.example"]));
    let reason = permanent(deliver_to(&plain, "jörg@bücher.example").await);
    assert!(reason.contains("SMTPUTF8"), "{reason}");
    deliver(&plain).await.unwrap();

    let Some(server) = Server::start("plain", &["--smtputf8"]) else { return };
    deliver_to(&mailer(&server.settings(Encryption::None)), "jörg@bücher.example").await.unwrap();
    assert_eq!(server.message()["rcpt_tos"], serde_json::json!(["jörg@xn--bcher-kva.example"]));
}

#[tokio::test]
async fn parallel_emails_all_arrive_and_each_at_its_own_recipient() {
    let Some(server) = Server::start("plain", &[]) else { return };
    let mailer = mailer(&server.settings(Encryption::None));
    let recipients: Vec<String> = (0..20).map(|n| format!("p{n}@example.com")).collect();
    let results = tokio::join!(
        deliver_all(&mailer, &recipients[..5]),
        deliver_all(&mailer, &recipients[5..10]),
        deliver_all(&mailer, &recipients[10..15]),
        deliver_all(&mailer, &recipients[15..]),
    );
    for result in [results.0, results.1, results.2, results.3] {
        result.unwrap();
    }
    let mut arrived: Vec<String> =
        (0..20).map(|_| server.message()["rcpt_tos"][0].as_str().unwrap().to_owned()).collect();
    arrived.sort_unstable();
    let mut expected = recipients;
    expected.sort_unstable();
    assert_eq!(arrived, expected);
}

async fn deliver_all(mailer: &SmtpMailer, recipients: &[String]) -> Result<(), DeliveryError> {
    for to in recipients {
        deliver_to(mailer, to).await?;
    }
    Ok(())
}
