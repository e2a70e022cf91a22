//! `smtp_listen`: takes the emails of other programs into the inbox, so that an application's own emails are read where
//! those of its sign-ins are. It listens on loopback addresses alone, and passes nothing on.

use std::io;
use std::net;
use std::sync::Arc;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures_util::future::join_all;
use smtp_proto::request::receiver::{DataReceiver, DummyDataReceiver, LineReceiver, RequestReceiver};
use smtp_proto::{AUTH_LOGIN, AUTH_PLAIN, Error, Request};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::domain::email::EmailAddress;
use crate::domain::environment_name::EnvironmentName;
use crate::runtime::{Context, EnvironmentError, EnvironmentRegistry, EnvironmentSelector};
use crate::service::inbox;

/// Largest email.
const MAX_MESSAGE_BYTES: usize = 5 << 20;

/// Recipients of one email; each has a copy in the inbox.
const MAX_RECIPIENTS: usize = 20;

/// Connections at once.
const MAX_CONNECTIONS: usize = 32;

/// Commands that are refused before a connection is closed.
const MAX_ERRORS: usize = 10;

/// How long clients may take.
#[derive(Clone, Copy)]
struct Deadlines {
    /// Until the next bytes come, or ours are taken.
    idle: Duration,
    /// For the whole connection.
    connection: Duration,
}

const DEADLINES: Deadlines = Deadlines { idle: Duration::from_mins(1), connection: Duration::from_mins(10) };

/// Pause after a connection could not be accepted: there are no files left, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The listener at work. Dropping it ends it at once.
pub(super) struct SmtpListener {
    stopping: watch::Sender<bool>,
    running: JoinHandle<()>,
}

impl SmtpListener {
    pub fn start(listeners: Vec<net::TcpListener>, registry: &EnvironmentRegistry) -> io::Result<Self> {
        let listeners = listeners.into_iter().map(TcpListener::from_std).collect::<io::Result<Vec<_>>>()?;
        let (stopping, told) = watch::channel(false);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let accepting: Vec<_> = listeners
            .into_iter()
            .map(|listener| accept(listener, registry.clone(), places.clone(), told.clone()))
            .collect();
        let running = tokio::spawn(async move {
            join_all(accepting).await;
        });
        Ok(Self { stopping, running })
    }

    /// Takes no new connections, and ends when the emails on their way are taken or this time is over.
    pub async fn stop(&mut self, at_most: Duration) {
        self.stopping.send_replace(true);
        let _ = timeout(at_most, &mut self.running).await;
    }
}

impl Drop for SmtpListener {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn accept(
    listener: TcpListener,
    registry: EnvironmentRegistry,
    places: Arc<Semaphore>,
    mut stopping: watch::Receiver<bool>,
) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopping.wait_for(|stops| *stops) => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                let place = places.clone().try_acquire_owned().ok();
                connections.spawn(serve(stream, registry.clone(), stopping.clone(), place, DEADLINES));
            }
            Err(error) => {
                tracing::warn!(%error, "an SMTP connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// One connection, from greeting to end. Without a place it is told so.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    registry: EnvironmentRegistry,
    stopping: watch::Receiver<bool>,
    place: Option<OwnedSemaphorePermit>,
    deadlines: Deadlines,
) {
    let mut connection = Connection { stream, stopping, idle: deadlines.idle };
    let outcome = if place.is_some() {
        match timeout(deadlines.connection, converse(&mut connection, &registry)).await {
            Ok(outcome) => outcome,
            Err(_) => connection.send("421 4.4.2 This connection lasted too long\r\n").await,
        }
    } else {
        connection.send("421 4.7.0 Too many connections\r\n").await
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "an SMTP connection ended");
    }
}

/// What is read next.
enum Expected {
    Command,
    /// An email, and what has come of it.
    Message(DataReceiver, Vec<u8>),
    /// The rest of an email that is too large.
    TooLarge(DummyDataReceiver),
    /// A line of a sign-in.
    Credentials(LineReceiver<Credential>),
}

/// What a line of a sign-in holds.
enum Credential {
    Plain,
    Username,
    Password { username: Vec<u8> },
}

/// Does the connection go on?
#[derive(PartialEq, Eq)]
enum Next {
    GoesOn,
    Ends,
}

async fn converse(
    connection: &mut Connection<impl AsyncRead + AsyncWrite + Unpin>,
    registry: &EnvironmentRegistry,
) -> io::Result<()> {
    connection.send("220 vestibule ESMTP, for the inbox\r\n").await?;
    let mut session = Session::new(registry);
    let mut commands = RequestReceiver::default();
    let mut buffer = vec![0; 16 << 10];
    loop {
        let count = connection.read(&mut buffer, session.is_idle()).await?;
        if count == 0 {
            return Ok(());
        }
        let mut bytes = buffer[..count].iter();
        // Answers to commands that came together leave together.
        let mut answer = String::new();
        let mut next = Next::GoesOn;
        while next == Next::GoesOn && !bytes.as_slice().is_empty() {
            next = session.take(&mut commands, &mut bytes, &mut answer).await;
        }
        connection.send(&answer).await?;
        if next == Next::Ends {
            return connection.stream.shutdown().await;
        }
    }
}

struct Connection<S> {
    stream: S,
    stopping: watch::Receiver<bool>,
    /// See [`Deadlines`].
    idle: Duration,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    async fn send(&mut self, text: &str) -> io::Result<()> {
        timeout(self.idle, self.stream.write_all(text.as_bytes())).await?
    }

    /// Bytes of the client; 0: none will come. Where nothing is under way, the stop of the server ends the connection.
    async fn read(&mut self, buffer: &mut [u8], is_idle: bool) -> io::Result<usize> {
        let farewell = tokio::select! {
            read = timeout(self.idle, self.stream.read(buffer)) => match read {
                Ok(count) => return count,
                Err(_) => "421 4.4.2 Nothing came for too long\r\n",
            },
            _ = self.stopping.wait_for(|stops| *stops), if is_idle => "421 4.3.2 The server stops\r\n",
        };
        self.send(farewell).await?;
        Ok(0)
    }
}

/// What a client has said so far.
struct Session<'r> {
    registry: &'r EnvironmentRegistry,
    expected: Expected,
    /// Did it say EHLO or HELO?
    has_greeted: bool,
    /// `None`: the default environment.
    environment: Option<EnvironmentName>,
    sender: Option<String>,
    recipients: Vec<EmailAddress>,
    errors: usize,
}

impl<'r> Session<'r> {
    fn new(registry: &'r EnvironmentRegistry) -> Self {
        Self {
            registry,
            expected: Expected::Command,
            has_greeted: false,
            environment: None,
            sender: None,
            recipients: vec![],
            errors: 0,
        }
    }

    /// Is no email on its way?
    fn is_idle(&self) -> bool {
        matches!(self.expected, Expected::Command) && self.sender.is_none()
    }

    fn forget_email(&mut self) {
        self.expected = Expected::Command;
        self.sender = None;
        self.recipients.clear();
    }

    /// Takes the next thing out of `bytes`, or all of them where it is not complete yet.
    async fn take(
        &mut self,
        commands: &mut RequestReceiver,
        bytes: &mut std::slice::Iter<'_, u8>,
        answer: &mut String,
    ) -> Next {
        match &mut self.expected {
            Expected::Command => match commands.ingest(bytes) {
                Ok(command) => {
                    let command = command.into_owned();
                    return self.obey(command, answer).await;
                }
                Err(Error::NeedsMoreData { .. }) => *bytes = [].iter(),
                Err(Error::ResponseTooLong) => {
                    answer.push_str("500 5.5.2 That line is too long\r\n");
                    return Next::Ends;
                }
                Err(Error::InvalidSenderAddress) => {
                    return self.refuse("553 5.1.7 That sender is no address", answer);
                }
                Err(Error::InvalidRecipientAddress) => {
                    return self.refuse("553 5.1.3 That recipient is no address", answer);
                }
                // Most likely HTTP: a web page that makes the browser fill the inbox gets no further.
                Err(Error::UnknownCommand) if !self.has_greeted => {
                    answer.push_str("421 4.7.0 This is SMTP, which begins with EHLO\r\n");
                    return Next::Ends;
                }
                Err(Error::UnknownCommand) => return self.refuse("500 5.5.1 Unknown command", answer),
                Err(_) => return self.refuse("501 5.5.4 That command is written wrongly", answer),
            },
            Expected::Message(receiver, message) => {
                if receiver.ingest(bytes, message) {
                    let message = std::mem::take(message);
                    let outcome = if message.len() > MAX_MESSAGE_BYTES {
                        TOO_LARGE
                    } else {
                        self.store(&message).await
                    };
                    self.forget_email();
                    answer.push_str(outcome);
                    answer.push_str("\r\n");
                } else if message.len() > MAX_MESSAGE_BYTES {
                    self.expected = Expected::TooLarge(DummyDataReceiver::new_data(receiver));
                }
            }
            Expected::TooLarge(receiver) => {
                if receiver.ingest(bytes) {
                    self.forget_email();
                    return self.refuse(TOO_LARGE, answer);
                }
            }
            Expected::Credentials(line) => {
                if line.ingest(bytes) {
                    let (text, credential) =
                        (line.buf.clone(), std::mem::replace(&mut line.state, Credential::Plain));
                    self.expected = Expected::Command;
                    return self.credential(credential, &text, answer).await;
                }
            }
        }
        Next::GoesOn
    }

    fn refuse(&mut self, reply: &str, answer: &mut String) -> Next {
        self.errors += 1;
        answer.push_str(reply);
        answer.push_str("\r\n");
        if self.errors < MAX_ERRORS {
            return Next::GoesOn;
        }
        answer.push_str("421 4.7.0 Too many errors\r\n");
        Next::Ends
    }

    async fn obey(&mut self, command: Request<String>, answer: &mut String) -> Next {
        let reply = match command {
            Request::Ehlo { .. } => {
                self.forget_email();
                self.has_greeted = true;
                answer.push_str(&format!("250-vestibule\r\n250-SIZE {MAX_MESSAGE_BYTES}\r\n"));
                "250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n250 AUTH PLAIN LOGIN"
            }
            Request::Helo { .. } => {
                self.forget_email();
                self.has_greeted = true;
                "250 vestibule"
            }
            Request::Mail { from } => {
                if !self.has_greeted {
                    return self.refuse("503 5.5.1 EHLO comes first", answer);
                }
                if self.sender.is_some() {
                    return self.refuse("503 5.5.1 There is a sender already", answer);
                }
                if from.size > MAX_MESSAGE_BYTES {
                    return self.refuse(TOO_LARGE, answer);
                }
                self.sender = Some(from.address);
                "250 2.1.0 OK"
            }
            Request::Rcpt { to } => {
                if self.sender.is_none() {
                    return self.refuse("503 5.5.1 MAIL comes first", answer);
                }
                let Ok(recipient) = EmailAddress::parse(&to.address) else {
                    return self.refuse("553 5.1.3 That recipient is no address", answer);
                };
                if !self.recipients.contains(&recipient) {
                    if self.recipients.len() == MAX_RECIPIENTS {
                        return self.refuse("452 4.5.3 Too many recipients", answer);
                    }
                    self.recipients.push(recipient);
                }
                "250 2.1.5 OK"
            }
            Request::Data => {
                if self.recipients.is_empty() {
                    return self.refuse("503 5.5.1 RCPT comes first", answer);
                }
                let mut receiver = DataReceiver::new();
                // The first line begins a line as every other does: a dot alone on it ends an empty email.
                receiver.ingest(&mut b"\r\n".iter(), &mut vec![]);
                self.expected = Expected::Message(receiver, vec![]);
                "354 End with a dot on a line of its own"
            }
            Request::Auth { mechanism, initial_response } => {
                if self.sender.is_some() {
                    return self.refuse("503 5.5.1 AUTH comes before MAIL", answer);
                }
                let (credential, prompt) = match mechanism {
                    AUTH_PLAIN => (Credential::Plain, "334 "),
                    // "Username:"
                    AUTH_LOGIN => (Credential::Username, "334 VXNlcm5hbWU6"),
                    _ => return self.refuse("504 5.5.4 AUTH PLAIN and AUTH LOGIN are known here", answer),
                };
                if !initial_response.is_empty() {
                    return self.credential(credential, initial_response.as_bytes(), answer).await;
                }
                self.expected = Expected::Credentials(LineReceiver::new(credential));
                prompt
            }
            Request::Rset => {
                self.forget_email();
                "250 2.0.0 OK"
            }
            Request::Noop { .. } => "250 2.0.0 OK",
            Request::Vrfy { .. } => "252 2.1.5 Every address has an inbox here",
            Request::Help { .. } => "214 2.0.0 Emails sent here are shown in Vestibule's inbox",
            Request::Quit => {
                answer.push_str("221 2.0.0 Bye\r\n");
                return Next::Ends;
            }
            _ => return self.refuse("502 5.5.1 That command is not supported", answer),
        };
        answer.push_str(reply);
        answer.push_str("\r\n");
        Next::GoesOn
    }

    /// A line of a sign-in. The user name says which environment the emails are for; any password is right.
    async fn credential(&mut self, credential: Credential, line: &[u8], answer: &mut String) -> Next {
        // RFC 4954 §4: `=` is an empty response, `*` calls the sign-in off.
        let decoded = if line == b"=" { Ok(vec![]) } else { STANDARD.decode(line) };
        let Ok(decoded) = decoded else {
            return self.refuse("501 5.5.2 That is no base64", answer);
        };
        let username = match credential {
            Credential::Plain => match decoded.split(|byte| *byte == 0).collect::<Vec<_>>()[..] {
                [_, username, _] => username.to_vec(),
                _ => return self.refuse("501 5.5.2 AUTH PLAIN has three parts", answer),
            },
            Credential::Username => {
                let password = Credential::Password { username: decoded };
                self.expected = Expected::Credentials(LineReceiver::new(password));
                // "Password:"
                answer.push_str("334 UGFzc3dvcmQ6\r\n");
                return Next::GoesOn;
            }
            Credential::Password { username } => username,
        };
        let username = String::from_utf8_lossy(&username);
        self.environment = if matches!(username.trim(), "" | "default") {
            None
        } else {
            let name = EnvironmentName::parse(username.trim());
            let reply = match name {
                None => Some(NO_ENVIRONMENT),
                Some(_) => context(self.registry, name.as_ref()).await.err(),
            };
            if let Some(reply) = reply {
                return self.refuse(reply, answer);
            }
            name
        };
        answer.push_str("235 2.7.0 OK\r\n");
        Next::GoesOn
    }

    /// Takes an email in; returns the reply.
    async fn store(&self, message: &[u8]) -> &'static str {
        let context = match context(self.registry, self.environment.as_ref()).await {
            Ok(context) => context,
            Err(reply) => return reply,
        };
        let sender = self.sender.as_deref().unwrap_or_default();
        match inbox::receive(&context, sender, &self.recipients, message).await {
            Ok(()) => "250 2.0.0 In the inbox",
            Err(error) => {
                tracing::error!(%error, "a received email could not be stored");
                "451 4.3.0 The email could not be stored; send it again later"
            }
        }
    }
}

const TOO_LARGE: &str = "552 5.3.4 The email is too large";
const NO_ENVIRONMENT: &str = "535 5.7.8 There is no environment of that name. The user name is the name of an \
    environment, or \"default\"; without one, emails go to the default environment";

/// The environment that an email is for, or the reply that there is none.
async fn context(
    registry: &EnvironmentRegistry,
    name: Option<&EnvironmentName>,
) -> Result<Context, &'static str> {
    let selector = EnvironmentSelector { name, ..EnvironmentSelector::default() };
    registry.context(selector).await.map_err(|error| match error {
        EnvironmentError::Unknown(_) => NO_ENVIRONMENT,
        EnvironmentError::Starting => "451 4.3.0 The server is starting; send it again",
        EnvironmentError::Failure(error) => {
            tracing::error!(%error, "the environment of an email cannot be read");
            "451 4.3.0 The database does not answer; send it again later"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Deadlines =
        Deadlines { idle: Duration::from_millis(200), connection: Duration::from_millis(600) };

    /// What a client reads until it is hung up on, who says this so often with pauses in between.
    async fn said_to(text: &str, times: usize, pause: Duration) -> String {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let (_stopping, told) = watch::channel(false);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().ok();
        let serving = tokio::spawn(serve(server, EnvironmentRegistry::default(), told, place, QUICK));
        for _ in 0..times {
            if client.write_all(text.as_bytes()).await.is_err() {
                break;
            }
            tokio::time::sleep(pause).await;
        }
        let mut said = String::new();
        client.read_to_string(&mut said).await.unwrap();
        serving.await.unwrap();
        said
    }

    #[tokio::test]
    async fn who_is_silent_is_told_so_and_closed() {
        let half = "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<jane@example.com>\r\nDATA\r\nSubject: x";
        for text in ["", "EHLO x", half] {
            let said = said_to(text, 1, Duration::ZERO).await;
            assert!(said.ends_with("421 4.4.2 Nothing came for too long\r\n"), "{said}");
        }
    }

    #[tokio::test]
    async fn who_never_comes_to_an_end_is_closed() {
        let said = said_to("NOOP\r\n", 100, Duration::from_millis(50)).await;
        assert!(said.ends_with("421 4.4.2 This connection lasted too long\r\n"), "{said}");
    }

    #[tokio::test]
    async fn before_the_start_emails_are_put_off() {
        let email =
            "HELO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<jane@example.com>\r\nDATA\r\nHi\r\n.\r\nQUIT\r\n";
        let said = said_to(email, 1, Duration::ZERO).await;
        assert!(said.contains("\r\n451 4.3.0 The server is starting; send it again\r\n221 "), "{said}");
    }
}
