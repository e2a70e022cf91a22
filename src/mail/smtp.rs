//! Delivery over SMTP (RFC 5321).
//!
//! Connections are kept for the next email, but only after a dialogue that ended well. One that was broken off, by
//! our timeout too, is closed: its late answers would be taken for answers to the next email, and a refused email for
//! a delivered one. That is why the pool is ours: lettre's takes back connections whose owner was cancelled.

use std::error::Error as _;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::{ClientId, Extension};
use lettre::transport::smtp::response::{Code, Severity};
use lettre::{Address, Message};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::single_line;
use crate::domain::email::EmailAddress;
use crate::domain::settings::MailFrom;

/// Where email is handed over, and how.
#[derive(Debug, Clone)]
pub struct SmtpSettings {
    /// Host name or address of the server. Its certificate must carry this name.
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    /// With a user name, the server must accept it before any email is sent.
    pub username: Option<String>,
    pub password: Option<SecretString>,
    /// Longest wait for one delivery, connecting and signing in included, in seconds.
    pub timeout_s: u64,
    /// PEM file with certificates to trust beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// Attempts for one email before the outbox gives it up.
    pub max_attempts: u32,
}

/// How the connection to the server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encryption {
    /// Not at all: an email catcher on the same machine or network.
    None,
    /// Plain at first, TLS before anything is said (RFC 3207). A server that does not offer it is refused.
    StartTls,
    /// TLS from the first byte (RFC 8314 §3.3), usually port 465.
    Tls,
}

/// One rendered email with its addresses.
#[derive(Clone, Copy)]
pub struct Envelope<'a> {
    pub from: &'a MailFrom,
    /// The recipient as stored: one validated address.
    pub to: &'a str,
    /// The same for every attempt, so that an email delivered twice can be recognised. Becomes the left side of
    /// the `Message-ID` (RFC 5322 §3.6.4), the sender's domain the right side.
    pub message_id: &'a str,
    pub subject: &'a str,
    pub text: &'a str,
    pub html: &'a str,
    /// Becomes the `Date`, in milliseconds since 1970 UTC.
    pub created_at_ms: i64,
}

/// Why the settings cannot work, found before any email is sent.
#[derive(Debug, thiserror::Error)]
pub enum SmtpSetupError {
    #[error("the SMTP host is empty")]
    NoHost,
    #[error("an SMTP user name needs a password, and a password a user name")]
    HalfCredentials,
    #[error("cannot read the SMTP CA file {}: {source}", path.display())]
    CaFile { path: PathBuf, source: std::io::Error },
    #[error("the SMTP CA file {} holds no usable PEM certificate", path.display())]
    NoCertificate { path: PathBuf },
    #[error("cannot set up TLS for SMTP: {0}")]
    Tls(String),
}

/// Why an email was not handed over. The text is safe to log: server answers are reduced to their codes and plain
/// words, without code, link or address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// Worth another attempt: no connection, no answer in time, a 4xx reply, or a server that does not accept
    /// *us* (TLS, sign-in), which whoever runs the server can repair while the email waits.
    #[error("{0}")]
    Temporary(String),
    /// The email itself was refused (5xx reply), or no server could take it.
    #[error("{0}")]
    Permanent(String),
}

/// The part of the dialogue that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connect,
    StartTls,
    SignIn,
    Send,
}

/// Idle connections kept at most.
const MAX_IDLE: usize = 4;
/// Idle connections older than this are closed: servers close theirs after some minutes (RFC 5321 §4.5.3.2.7).
const MAX_IDLE_TIME: Duration = Duration::from_mins(1);
/// Words of a server's answer that are reported at most.
const MAX_REPORTED_WORDS: usize = 24;

/// Hands emails to one SMTP server. Share one instance: it keeps connections.
pub struct SmtpMailer {
    settings: SmtpSettings,
    /// Present unless encryption is [`Encryption::None`].
    tls: Option<TlsParameters>,
    hello_name: ClientId,
    idle: Mutex<Vec<IdleConnection>>,
}

struct IdleConnection {
    connection: AsyncSmtpConnection,
    since: Instant,
}

impl SmtpMailer {
    /// Checks the settings and reads the CA file. Does not connect.
    ///
    /// # Errors
    /// [`SmtpSetupError`] for settings no server could satisfy.
    pub fn new(settings: &SmtpSettings) -> Result<Self, SmtpSetupError> {
        let mut settings = settings.clone();
        // An IPv6 address may come as in a URL, `[::1]`.
        settings.host = settings.host.trim().trim_start_matches('[').trim_end_matches(']').to_owned();
        if settings.host.is_empty() {
            return Err(SmtpSetupError::NoHost);
        }
        if settings.username.is_some() != settings.password.is_some() {
            return Err(SmtpSetupError::HalfCredentials);
        }
        let tls = match settings.encryption {
            Encryption::None => None,
            Encryption::StartTls | Encryption::Tls => Some(tls_parameters(&settings)?),
        };
        Ok(Self { settings, tls, hello_name: ClientId::default(), idle: Mutex::default() })
    }

    /// After how many failed attempts an email is given up.
    pub fn max_attempts(&self) -> u32 {
        self.settings.max_attempts
    }

    /// Hands the email over, once. After a timeout the server may have taken it all the same: another attempt can
    /// deliver it twice, never lose it.
    ///
    /// # Errors
    /// [`DeliveryError`]; its kind says whether another attempt makes sense.
    pub async fn deliver(&self, envelope: &Envelope<'_>) -> Result<(), DeliveryError> {
        let message = compose(envelope)?;
        let raw = message.formatted();
        self.in_time(async {
            let mut connection = self.connection().await?;
            let takes_utf8 = connection.server_info().supports_feature(Extension::SmtpUtfEight);
            if !takes_utf8 && has_non_ascii_address(&message) {
                self.keep(connection);
                let text = "the SMTP server does not take addresses with non-ASCII characters (SMTPUTF8)";
                return Err(DeliveryError::Permanent(text.to_owned()));
            }
            let sent = connection.send(message.envelope(), &raw).await;
            sent.map_err(|error| classify(Stage::Send, &error, envelope.to))?;
            self.keep(connection);
            Ok(())
        })
        .await
    }

    /// Connects and signs in without sending anything: is the server there, and does it accept us?
    ///
    /// # Errors
    /// [`DeliveryError::Temporary`] with the reason.
    pub async fn check(&self) -> Result<(), DeliveryError> {
        self.in_time(async {
            let connection = self.connection().await?;
            self.keep(connection);
            Ok(())
        })
        .await
    }

    /// lettre bounds connecting only; a server may fall silent anywhere.
    async fn in_time(
        &self,
        work: impl Future<Output = Result<(), DeliveryError>>,
    ) -> Result<(), DeliveryError> {
        let timeout = self.timeout();
        tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
            Err(DeliveryError::Temporary(format!(
                "the SMTP server did not answer within {} s",
                timeout.as_secs()
            )))
        })
    }

    fn timeout(&self) -> Duration {
        Duration::from_secs(self.settings.timeout_s.max(1))
    }

    /// A connection ready for an email: an idle one that still answers, else a new one.
    async fn connection(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        while let Some(mut idle) = self.take_idle() {
            if idle.since.elapsed() < MAX_IDLE_TIME && idle.connection.test_connected().await {
                return Ok(idle.connection);
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, DeliveryError> {
        let settings = &self.settings;
        let failed = |stage: Stage| move |error| classify(stage, &error, "");
        let (tls_first, tls_later) = match settings.encryption {
            Encryption::None => (None, None),
            Encryption::StartTls => (None, self.tls.clone()),
            Encryption::Tls => (self.tls.clone(), None),
        };
        // Half of the time for one address, so that a name with a dead address first still gets to its second.
        let connect_timeout = Some(self.timeout() / 2);
        let server = (settings.host.as_str(), settings.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, connect_timeout, &self.hello_name, tls_first, None)
                .await
                .map_err(failed(Stage::Connect))?;
        if let Some(tls) = tls_later {
            connection.starttls(tls, &self.hello_name).await.map_err(failed(Stage::StartTls))?;
        }
        if let (Some(username), Some(password)) = (&settings.username, &settings.password) {
            let credentials = Credentials::new(username.clone(), password.expose_secret().to_owned());
            connection
                .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
                .await
                .map_err(failed(Stage::SignIn))?;
        }
        Ok(connection)
    }

    fn take_idle(&self) -> Option<IdleConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Only for connections whose last dialogue was answered to the end.
    fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE && !connection.has_broken() {
            idle.push(IdleConnection { connection, since: Instant::now() });
        }
    }
}

fn tls_parameters(settings: &SmtpSettings) -> Result<TlsParameters, SmtpSetupError> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.ca_file {
        let pem =
            std::fs::read(path).map_err(|source| SmtpSetupError::CaFile { path: path.clone(), source })?;
        let none = || SmtpSetupError::NoCertificate { path: path.clone() };
        // A file without any certificate parses as an empty list, which would only show as a failing handshake.
        if !String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----") {
            return Err(none());
        }
        builder = builder.add_root_certificate(Certificate::from_pem(&pem).map_err(|_| none())?);
    }
    builder.build().map_err(|error| SmtpSetupError::Tls(deepest(&error)))
}

/// The source of an email.
pub fn source(envelope: &Envelope<'_>) -> Result<Vec<u8>, DeliveryError> {
    Ok(compose(envelope)?.formatted())
}

/// The email as it goes over the wire: `multipart/alternative`, the plain part first (RFC 2046 §5.1.4).
fn compose(envelope: &Envelope<'_>) -> Result<Message, DeliveryError> {
    let unfit = |what: &str| DeliveryError::Permanent(format!("{what} cannot stand in a mail"));
    let to = wire_address(envelope.to).ok_or_else(|| unfit("the recipient's address"))?;
    let from = wire_address(envelope.from.address.as_str()).ok_or_else(|| unfit("the sender's address"))?;
    let from_name = Some(single_line(&envelope.from.name)).filter(|name| !name.is_empty());
    let id: String =
        envelope.message_id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).collect();
    let message_id = format!("<{id}@{}>", from.domain());
    // The range that a Date header and its formatter can express, up to the end of 9999.
    let created_at_ms = envelope.created_at_ms.clamp(0, 253_402_300_799_000).unsigned_abs();
    Message::builder()
        .from(Mailbox::new(from_name, from))
        .to(Mailbox::new(None, to))
        .subject(single_line(envelope.subject))
        .date(UNIX_EPOCH + Duration::from_millis(created_at_ms))
        .message_id(Some(message_id))
        // RFC 3834 §5: no holiday replies to an email nobody reads.
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ))
        .multipart(MultiPart::alternative_plain_html(envelope.text.to_owned(), envelope.html.to_owned()))
        .map_err(|_| unfit("this message"))
}

/// With domains in ASCII only a name before the `@` can still need SMTPUTF8 (RFC 6531).
fn has_non_ascii_address(message: &Message) -> bool {
    let mut addresses = message.envelope().to().iter().chain(message.envelope().from());
    addresses.any(|address| !address.user().is_ascii())
}

/// The address with the domain of its key, in ASCII, which every server takes; `None` if it is none.
fn wire_address(address: &str) -> Option<Address> {
    let address = EmailAddress::parse(address).ok()?;
    let (local, _) = address.as_str().split_once('@')?;
    let (_, domain) = address.key().split_once('@')?;
    Address::new(local, domain).ok()
}

/// Judges a failed dialogue. `to` is the recipient, whose name must not be repeated.
fn classify(stage: Stage, error: &lettre::transport::smtp::Error, to: &str) -> DeliveryError {
    let doing = match stage {
        Stage::Connect => "connecting to the SMTP server",
        Stage::StartTls => "starting TLS with the SMTP server",
        Stage::SignIn => "signing in to the SMTP server",
        Stage::Send => "handing the email over",
    };
    if let Some(code) = error.status() {
        let answer = error.source().map(|source| plain_words(&source.to_string(), to)).unwrap_or_default();
        return judge_reply(stage, code, format!("{doing}: {code} {answer}").trim_end().to_owned());
    }
    let reason = if error.is_response() {
        // The parser's own text repeats what the server said.
        match error.source().map(ToString::to_string).as_deref() {
            Some("incomplete response") => "the server closed the connection".to_owned(),
            _ => "the answer is not SMTP".to_owned(),
        }
    } else {
        deepest(error)
    };
    DeliveryError::Temporary(format!("{doing}: {reason}"))
}

/// RFC 5321 §4.2.1: 5xx is final. But only a refused email is: a server that refuses *us*, before the email is offered
/// or with one of RFC 4954 §6's codes, may be satisfied later.
fn judge_reply(stage: Stage, code: Code, text: String) -> DeliveryError {
    let refuses_us = stage != Stage::Send || matches!(u16::from(code), 530 | 534 | 535 | 538);
    if code.severity == Severity::PermanentNegativeCompletion && !refuses_us {
        DeliveryError::Permanent(text)
    } else {
        DeliveryError::Temporary(text)
    }
}

/// What may be repeated of a server's answer. Servers quote recipients, subjects and links; so words stay only if
/// they consist of letters and are not the recipient's name, and numbers only as enhanced status (RFC 3463).
fn plain_words(answer: &str, to: &str) -> String {
    let local = to.rsplit_once('@').map_or("", |(local, _)| local);
    let mut kept: Vec<&str> = Vec::new();
    for word in answer.split_whitespace() {
        let bare = word.trim_matches(|c: char| ".,:;!?()'\"".contains(c));
        let is_word = !bare.is_empty()
            && bare.bytes().all(|b| b.is_ascii_alphabetic() || b == b'-')
            && !bare.eq_ignore_ascii_case(local);
        let word = if is_word || is_enhanced_status(bare) { word } else { "…" };
        if kept.len() == MAX_REPORTED_WORDS {
            break;
        }
        if word != "…" || kept.last() != Some(&"…") {
            kept.push(word);
        }
    }
    kept.join(" ")
}

/// `4.7.1`, `5.1.10`: class, subject, detail.
fn is_enhanced_status(word: &str) -> bool {
    let is_number = |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<&str> = word.split('.').collect();
    matches!(parts[..], ["2" | "4" | "5", subject, detail] if is_number(subject) && is_number(detail))
}

/// The innermost cause, which says it best: `Connection refused`, `invalid peer certificate`.
fn deepest(error: &lettre::transport::smtp::Error) -> String {
    let mut innermost: &(dyn std::error::Error + 'static) = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    single_line(&innermost.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lettre::transport::smtp::response::{Category, Detail};

    fn settings() -> SmtpSettings {
        SmtpSettings {
            host: "localhost".into(),
            port: 25,
            encryption: Encryption::None,
            username: None,
            password: None,
            timeout_s: 5,
            ca_file: None,
            max_attempts: 10,
        }
    }

    fn code(severity: Severity, category: Category, detail: Detail) -> Code {
        Code { severity, category, detail }
    }

    fn composed(
        to: &str,
        from_name: &str,
        message_id: &str,
        created_at_ms: i64,
    ) -> Result<String, DeliveryError> {
        let from = MailFrom {
            name: from_name.into(),
            address: EmailAddress::parse("no-reply@bücher.example").unwrap(),
        };
        let message = compose(&Envelope {
            from: &from,
            to,
            message_id,
            subject: "482913 is your Büro\r\nBcc: eve@evil.example sign-in code",
            text: "text part",
            html: "<p>html part</p>",
            created_at_ms,
        })?;
        Ok(String::from_utf8(message.formatted()).unwrap())
    }

    #[test]
    fn only_a_refused_mail_is_given_up() {
        let permanent = Severity::PermanentNegativeCompletion;
        let mailbox = code(permanent, Category::MailSystem, Detail::Zero);
        let not_signed_in = code(permanent, Category::Unspecified3, Detail::Zero);
        let greylisted = code(Severity::TransientNegativeCompletion, Category::MailSystem, Detail::One);
        let judged = |stage, code| judge_reply(stage, code, String::new());
        assert!(matches!(judged(Stage::Send, mailbox), DeliveryError::Permanent(_)));
        assert!(matches!(judged(Stage::Send, not_signed_in), DeliveryError::Temporary(_)));
        assert!(matches!(judged(Stage::Send, greylisted), DeliveryError::Temporary(_)));
        for stage in [Stage::Connect, Stage::StartTls, Stage::SignIn] {
            assert!(matches!(judged(stage, mailbox), DeliveryError::Temporary(_)), "{stage:?}");
        }
    }

    #[test]
    fn reported_answers_name_no_person_and_no_secret() {
        let told = |answer| plain_words(answer, "jane@example.com");
        assert_eq!(
            told("5.1.1 <jane@example.com>: Recipient address rejected: User Jane unknown"),
            "5.1.1 … Recipient address rejected: User … unknown"
        );
        assert_eq!(
            told("subject \"482913 is your code\" http://a.b/login/link?link_token=x_l spam"),
            "subject … is your code\" … spam"
        );
        assert_eq!(told("127.0.0.1 4.7.1. 482.91.3 9.9.9"), "… 4.7.1. …");
        assert_eq!(told("word ".repeat(500).as_str()).split(' ').count(), MAX_REPORTED_WORDS);
    }

    #[test]
    fn headers_are_complete_and_cannot_be_added_to() {
        let mail =
            composed("jane@example.com", "Acme\r\nX-Evil: 1, \"Ltd\"", "msg_1\r\nX: <>@", 1_700_000_000_123)
                .unwrap();
        let (headers, _) = mail.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> = headers
            .split("\r\n")
            .filter(|l| !l.starts_with([' ', '\t']))
            .map(|l| l.split(':').next().unwrap())
            .collect();
        let mut sorted = names.clone();
        sorted.sort_unstable();
        assert_eq!(
            sorted,
            ["Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To"],
            "{headers}"
        );
        assert!(headers.contains("Date: Tue, 14 Nov 2023 22:13:20 +0000"), "{headers}");
        assert!(headers.contains("Message-ID: <msg_1X@xn--bcher-kva.example>"), "{headers}");
        assert!(headers.contains("Auto-Submitted: auto-generated"), "{headers}");
        assert!(headers.contains("multipart/alternative"), "{headers}");
        assert!(mail.find("text/plain").unwrap() < mail.find("text/html").unwrap());
        assert!(mail.is_ascii());
    }

    #[test]
    fn foreign_domains_are_written_in_ascii_and_odd_dates_do_no_harm() {
        let mail = composed("jane@BÜCHER.example", "", "m", i64::MIN).unwrap();
        assert!(mail.contains("To: jane@xn--bcher-kva.example"), "{mail}");
        assert!(mail.contains("From: no-reply@xn--bcher-kva.example"), "{mail}");
        assert!(composed("jane@example.com", "", "m", i64::MAX).is_ok());
        for bad in ["", "jane", "jane@", "a@b.io, c@d.io", "a@b.io\r\nRCPT TO:<c@d.io>", "jane@\u{661}.1.1.1"]
        {
            let error = composed(bad, "", "m", 0).unwrap_err();
            assert!(
                matches!(&error, DeliveryError::Permanent(text) if !text.contains("jane")),
                "{bad:?} {error}"
            );
        }
    }

    #[test]
    fn impossible_settings_are_named_before_any_mail() {
        let error = |change: &dyn Fn(&mut SmtpSettings)| {
            let mut settings = settings();
            change(&mut settings);
            SmtpMailer::new(&settings).err().map(|e| e.to_string()).unwrap_or_default()
        };
        assert_eq!(error(&|_| ()), "");
        assert!(error(&|s| s.host = " ".into()).contains("host is empty"));
        assert!(error(&|s| s.username = Some("u".into())).contains("needs a password"));
        assert!(error(&|s| s.password = Some("p".into())).contains("a user name"));
        let missing = error(&|s| {
            s.encryption = Encryption::Tls;
            s.ca_file = Some("/nonexistent/ca.pem".into());
        });
        assert!(missing.contains("/nonexistent/ca.pem"), "{missing}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        let no_certificate = error(&|s| {
            s.encryption = Encryption::StartTls;
            s.ca_file = Some(empty.path().to_owned());
        });
        assert!(no_certificate.contains("no usable PEM certificate"), "{no_certificate}");
    }

    #[test]
    fn settings_do_not_show_the_password() {
        let settings = SmtpSettings { password: Some("hunter2".into()), ..settings() };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
