//! What each command does.

use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::exec::Purpose;
use super::running::{Found, ServerOptions, find};
use super::{
    Cli, Command, ConfigAction, DevOptions, KeysAction, ServeOptions, Settings, connect, exec, import, init,
    load, mcp, print, print_json, probe, seed, variables,
};
use crate::config::{Config, ListenAddress, Location, Overrides, Problem, Source, example_toml};
use crate::crypto::client_secrets::hash_secret;
use crate::crypto::entropy::SystemEntropy;
use crate::domain::clock::{Clock as _, SystemClock, rfc3339};
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::server::{RunOptions, StopRequests, WatchedConfiguration};
use crate::service::housekeeping::KEYS_PUBLISHED_WITHIN_S;
use crate::{server, telemetry};

/// Runs the command.
///
/// # Errors
/// What stopped it; its text is for the user at the terminal.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let outcome = match cli.command {
        None => serve(cli.serve),
        Some(Command::Serve(options)) => serve(options),
        Some(Command::Env(options)) => block_on(connect::env(options)),
        Some(Command::Ca(options)) => block_on(connect::ca(options)),
        Some(Command::Open(options)) => block_on(connect::open(options)),
        Some(Command::Mcp(options)) => block_on(mcp::run(options)),
        Some(Command::Init(options)) => init::run(&options),
        Some(Command::Exec(options)) => return exec::run(options, Purpose::Test),
        Some(Command::Dev(DevOptions { watch, exec })) => {
            return exec::run(exec, Purpose::Development { watch });
        }
        Some(Command::Keys { action: KeysAction::List { json, settings } }) => {
            block_on(list_keys(load(settings)?, json))
        }
        Some(Command::Keys { action: KeysAction::Rotate { delay_s, json, settings } }) => {
            block_on(rotate_keys(load(settings)?, i64::from(delay_s) * 1000, json))
        }
        Some(Command::Migrate { json, settings }) => block_on(migrate(load(settings)?, json)),
        Some(Command::Healthcheck { url, json, settings }) => block_on(healthcheck(url, json, settings)),
        Some(Command::Config { action: ConfigAction::Check { json, settings } }) => check(settings, json),
        Some(Command::Config { action: ConfigAction::HashSecret }) => hash(),
        Some(Command::Config { action: ConfigAction::Example }) => print(&example_toml()),
        Some(Command::Seed(options)) => seed::run(&options),
        Some(Command::Import(options)) => block_on(import::run(&options)),
        Some(Command::Probe(options)) => block_on(probe::run(&options)),
    };
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Commands but `serve` need no worker threads.
fn block_on(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task)
}

fn serve(options: ServeOptions) -> anyhow::Result<()> {
    let overrides = Overrides::from(options.settings);
    let watched = options.watch.then(|| WatchedConfiguration::new(overrides.clone(), variables()));
    let (mut source, base) = Source::of(&overrides, variables());
    if let Some(path) = source.ready_file() {
        server::remove_ready_file(&path)?;
    }
    source.generate_credentials(&SystemEntropy);
    let config = Config::read(source, &base)?;
    if watched.is_some() && config.generated.is_any() {
        anyhow::bail!(
            "--watch cannot keep credentials that are made at each start: set client_secret and control.token, or leave --watch out"
        );
    }
    let telemetry = telemetry::init(&config.log, config.traces.as_ref())?;
    // The server's own threads run requests; this runtime waits for signals and does background work.
    let system = actix_web::rt::System::new();
    let stop = system.block_on(async { StopRequests::signals() })?;
    let options = RunOptions { stop, ready: None, has_state_file: true, watched };
    let outcome = system.block_on(server::serve(config, options));
    telemetry.finish();
    // Dropping it would wait for threads that nobody can end, such as one that asks a silent name server.
    std::mem::forget(system);
    Ok(outcome?)
}

/// Says what is wrong with the configuration.
fn check(settings: Settings, json: bool) -> anyhow::Result<()> {
    let checked = Config::load(&Overrides::from(settings), variables(), &SystemEntropy);
    if json {
        let problems = checked.as_ref().err().map(|problems| problems.0.as_slice()).unwrap_or_default();
        print_json(&json!({ "problems": problems.iter().map(problem_view).collect::<Vec<_>>() }))?;
    }
    checked?;
    if json { Ok(()) } else { print("Configuration OK\n") }
}

fn problem_view(problem: &Problem) -> Value {
    let (file, line) = match &problem.location {
        Location::File { path, line } => (Some(path.display().to_string()), Some(*line)),
        _ => (None, None),
    };
    let variable = match &problem.location {
        Location::Variable(name) => Some(name),
        _ => None,
    };
    json!({ "setting": problem.key, "message": problem.message, "file": file, "line": line, "variable": variable })
}

async fn migrate(config: Config, json: bool) -> anyhow::Result<()> {
    let opened = server::open_store(&config).await?;
    opened.store.migrate().await?;
    if json {
        return print_json(&json!({ "status": "up_to_date" }));
    }
    print("The database is up to date.\n")
}

async fn list_keys(config: Config, json: bool) -> anyhow::Result<()> {
    let opened = server::open_store(&config).await?;
    opened.store.migrate().await?;
    let keys = opened.store.signing_keys(&config.environment.id).await?;
    if json {
        let keys = keys.iter().map(|k| {
            json!({ "kid": k.kid, "created_at": rfc3339(k.created_at_ms), "signs_from": rfc3339(k.signs_from_ms) })
        });
        return print_json(&json!({ "keys": keys.collect::<Vec<_>>() }));
    }
    let lines = keys.iter().map(|k| {
        format!("{}  created {}  signs from {}\n", k.kid, rfc3339(k.created_at_ms), rfc3339(k.signs_from_ms))
    });
    print(&lines.collect::<String>())
}

async fn rotate_keys(config: Config, delay_ms: i64, json: bool) -> anyhow::Result<()> {
    let opened = server::open_store(&config).await?;
    let parts = server::parts(&config, opened.store.clone(), Arc::new(SystemClock), Arc::new(SystemEntropy))?;
    let started = parts.start().await?;
    let runtime = parts.into_runtime(started)?;
    let now_ms = SystemClock.now_ms();
    let mut added = vec![];
    for algorithm in SigningAlgorithm::ALL {
        // Only clients that asked for it have a key of another kind than RS256.
        if runtime.keys.current().signing_key(algorithm, now_ms).is_ok() {
            added.push((algorithm, runtime.add_key(algorithm, delay_ms).await?));
        }
    }
    if json {
        let keys = added.iter().map(|(algorithm, key)| {
            json!({ "kid": key.kid(), "alg": algorithm.as_str(), "signs_from": rfc3339(key.signs_from_ms) })
        });
        return print_json(&json!({ "keys": keys.collect::<Vec<_>>() }));
    }
    let lines = added.iter().map(|(algorithm, key)| {
        format!(
            "{} ({}) is published by every server within {KEYS_PUBLISHED_WITHIN_S} s and signs from {}; earlier keys still verify.\n",
            key.kid(),
            algorithm.as_str(),
            rfc3339(key.signs_from_ms),
        )
    });
    print(&lines.collect::<String>())
}

/// A minimal HTTP request, which needs no trust in a certificate.
async fn healthcheck(url: Option<String>, json: bool, settings: Settings) -> anyhow::Result<()> {
    let (authority, path) = match url {
        Some(url) => {
            let url = url::Url::parse(&url).context("--url")?;
            let host = url.host_str().context("--url has no host")?.to_owned();
            (
                format!("{host}:{}", url.port_or_known_default().unwrap_or(80)),
                format!("{}/ready", url.path().trim_end_matches('/')),
            )
        }
        None => (listening_at(settings).await?, "/ready".to_owned()),
    };
    let ask = async {
        let mut stream = tokio::net::TcpStream::connect(&authority).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.take(64 * 1024).read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer =
        tokio::time::timeout(Duration::from_secs(5), ask).await.context("no response within 5 s")??;
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if json {
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
        print_json(&body.and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default())?;
    }
    if status != "200" {
        bail!("not ready (HTTP {status})");
    }
    if json { Ok(()) } else { print("ready\n") }
}

/// Where the server of this configuration listens: as it says itself, or else as it would.
async fn listening_at(settings: Settings) -> anyhow::Result<String> {
    let address = match find(&ServerOptions { url: None, settings }).await? {
        Found::Running(server) => server.facts.listen.context("the server does not say where it listens")?,
        Found::Configured(config) => config.listen.to_string(),
    };
    let listen = ListenAddress::parse(&address).map_err(|error| anyhow!("{address} {error}"))?;
    let is_any = listen.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified());
    let host = if is_any { "127.0.0.1".to_owned() } else { listen.host.clone() };
    Ok(ListenAddress { host, ..listen }.to_string())
}

fn hash() -> anyhow::Result<()> {
    let mut secret = String::new();
    std::io::stdin().read_to_string(&mut secret)?;
    let secret = secret.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        bail!("the secret is read from standard input, and there was none");
    }
    let hash = hash_secret(secret, &SystemEntropy).context("the secret could not be hashed")?;
    print(&format!("{hash}\n"))
}
