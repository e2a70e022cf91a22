//! `vestibule exec` and `vestibule dev`: a server beside a command, for as long as that runs.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context as _, anyhow};
use clap::Args;
use secrecy::SecretString;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};

use super::child_signals::{self, ChildSignals};
use super::control_client::ControlClient;
use super::{Settings, connect, timelines, variables};
use crate::config::{Config, Overrides, Source};
use crate::server::{self, RunOptions, ServeError, ServerFacts, StopRequests, WatchedConfiguration};
use crate::telemetry;

#[derive(Debug, Clone, Args)]
pub struct ExecOptions {
    /// Give the command the https URL, with the variables that make SDKs trust its certificate
    #[arg(long)]
    pub tls: bool,
    #[command(flatten)]
    pub settings: Settings,
    /// The command with its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Clone, Args)]
pub struct DevOptions {
    /// Apply the configuration file whenever it is saved
    #[arg(long)]
    pub watch: bool,
    #[command(flatten)]
    pub exec: ExecOptions,
}

/// What the server of a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Nothing is kept, on a free port.
    Test,
    /// The configured server.
    Development { watch: bool },
}

/// Runs a command with a server of its own; gives the command's exit code.
pub(super) fn run(options: ExecOptions, purpose: Purpose) -> anyhow::Result<ExitCode> {
    let ExecOptions { tls, settings, command } = options;
    let overrides = Overrides::from(settings);
    let is_watched = purpose == Purpose::Development { watch: true };
    let watched = is_watched.then(|| WatchedConfiguration::new(overrides.clone(), variables()));
    let (mut source, base) = Source::of(&overrides, variables());
    if purpose == Purpose::Test {
        source.for_one_command();
    } else if let Some(path) = source.ready_file() {
        server::remove_ready_file(&path)?;
    }
    let config = Config::read(source, &base)?;
    let telemetry = telemetry::init(&config.log, config.traces.as_ref())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let server = Beside { config, has_state_file: purpose != Purpose::Test, watched };
    let outcome = runtime.block_on(server.run(tls, &command));
    telemetry.finish();
    outcome
}

/// The server that is to be beside a command.
struct Beside {
    config: Config,
    /// It is there for others, too.
    has_state_file: bool,
    watched: Option<WatchedConfiguration>,
}

impl Beside {
    async fn run(self, tls: bool, command: &[OsString]) -> anyhow::Result<ExitCode> {
        // From here on a signal ends the command, and thereby this.
        let mut signals = ChildSignals::listen()?;
        let (token, is_for_others) = (self.config.control.token.clone(), self.has_state_file);
        let mut server = ServerThread::start(self);
        let ready = tokio::select! {
            ready = server.ready() => Some(ready?),
            _ = signals.next() => None,
        };
        let outcome = match ready {
            None => Ok(ExitCode::FAILURE),
            Some(facts) => {
                if is_for_others {
                    let url = &facts.environment_url;
                    let _ = writeln!(std::io::stderr(), "vestibule: {url}, dashboard at {url}/dashboard");
                }
                run_command(&facts, token, tls, command, &mut signals, &mut server).await
            }
        };
        // However that went: its files go with it.
        server.stop().await?;
        outcome
    }
}

/// Runs the command; where it fails, the sign-ins that did are told.
async fn run_command(
    facts: &ServerFacts,
    token: Option<SecretString>,
    tls: bool,
    command: &[OsString],
    signals: &mut ChildSignals,
    server: &mut ServerThread,
) -> anyhow::Result<ExitCode> {
    let variables = if tls { connect::tls_variables(facts)? } else { facts.credentials().variables() };
    let (program, arguments) = command.split_first().context("which command?")?;
    let child = match Command::new(program).args(arguments).envs(variables).spawn() {
        Ok(child) => child,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "vestibule: cannot run {}: {error}", program.display());
            return Ok(ExitCode::from(code_of_unstartable(&error)));
        }
    };
    let (status, was_told_to_end) = wait(child, signals, server).await?;
    // Without an inbox the control API is off.
    if !status.success() && !was_told_to_end && facts.inbox_url.is_some() {
        let control = ControlClient::new(&facts.environment_url, token, facts.ca_file.as_deref())?;
        report(&control).await;
    }
    Ok(exit_code(status))
}

/// Tells which sign-ins failed while the command ran. That this cannot be told changes nothing of the command's outcome.
async fn report(control: &ControlClient) {
    let text = match timelines::of_unfinished(control).await {
        Ok(text) => text,
        Err(error) => format!("vestibule: the log of sign-ins cannot be read: {error}\n"),
    };
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Waits for the command; signals go to it. The flag says that one of them was to end it.
async fn wait(
    mut child: Child,
    signals: &mut ChildSignals,
    server: &mut ServerThread,
) -> anyhow::Result<(ExitStatus, bool)> {
    let mut was_told_to_end = false;
    loop {
        tokio::select! {
            status = child.wait() => return Ok((status?, was_told_to_end)),
            signal = signals.next() => {
                was_told_to_end = true;
                child_signals::pass_on(signal, &child);
            }
            failed = server.failed() => {
                child_signals::terminate(&mut child);
                let _ = child.wait().await;
                return Err(failed);
            }
        }
    }
}

/// As shells have it: 127 for a command that is not there, 126 for one that cannot be run.
fn code_of_unstartable(error: &std::io::Error) -> u8 {
    if error.kind() == std::io::ErrorKind::NotFound { 127 } else { 126 }
}

/// The command's own code; of one that a signal ended, what shells make of that.
fn exit_code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let by_signal = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal);
    #[cfg(not(unix))]
    let by_signal = None;
    let code = status.code().or(by_signal).and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// A server on a thread of its own.
struct ServerThread {
    stop: mpsc::Sender<()>,
    ready: Option<oneshot::Receiver<ServerFacts>>,
    ended: oneshot::Receiver<Result<(), ServeError>>,
}

impl ServerThread {
    fn start(beside: Beside) -> Self {
        let (stop, requests) = StopRequests::by_owner();
        let (tell_ready, ready) = oneshot::channel();
        let (tell_end, ended) = oneshot::channel();
        let Beside { config, has_state_file, watched } = beside;
        let options = RunOptions { stop: requests, ready: Some(tell_ready), has_state_file, watched };
        std::thread::spawn(move || {
            let system = actix_web::rt::System::new();
            let outcome = system.block_on(server::serve(config, options));
            let _ = tell_end.send(outcome);
            // Dropping it would wait for threads that nobody can end.
            std::mem::forget(system);
        });
        Self { stop, ready: Some(ready), ended }
    }

    /// Waits until the server can be used.
    async fn ready(&mut self) -> anyhow::Result<ServerFacts> {
        let ready = self.ready.take().context("the server was waited for already")?;
        match ready.await {
            Ok(facts) => Ok(facts),
            Err(_) => Err(self.failed().await),
        }
    }

    /// Waits until the server ends though nobody told it to.
    async fn failed(&mut self) -> anyhow::Error {
        match (&mut self.ended).await {
            Ok(Err(error)) => error.into(),
            Ok(Ok(())) | Err(_) => anyhow!("the server ended"),
        }
    }

    /// Ends the server, and waits until its files are gone.
    async fn stop(self) -> anyhow::Result<()> {
        drop(self.stop);
        if self.ended.is_terminated() {
            // It failed, which was told.
            return Ok(());
        }
        match self.ended.await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(anyhow!("the server's thread ended early")),
        }
    }
}
