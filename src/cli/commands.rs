//! What each command does.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Cli, Command, ConfigAction, KeysAction, Settings, import, probe, seed};
use crate::config::application_env::{EnvFormat, TrustFiles, env_variables, render_env};
use crate::config::{Config, Database, Overrides, Source, example_toml};
use crate::crypto::client_secrets::hash_secret;
use crate::crypto::entropy::SystemEntropy;
use crate::domain::clock::{Clock as _, SystemClock, rfc3339};
use crate::domain::signing_algorithm::SigningAlgorithm;
use crate::server::LocalCa;
use crate::service::housekeeping::KEYS_PUBLISHED_WITHIN_S;
use crate::{server, telemetry};

fn load(settings: Settings) -> anyhow::Result<Config> {
    Ok(Config::load(&Overrides::from(settings), variables())?)
}

fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)))
}

/// Runs the command.
///
/// # Errors
/// What stopped it; its text is for the person at the terminal.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        None => serve(cli.serve),
        Some(Command::Serve(settings)) => serve(settings),
        Some(Command::Env { format, settings }) => env(format, settings),
        Some(Command::Ca(settings)) => ca(&load(settings)?),
        Some(Command::Keys { action: KeysAction::List(settings) }) => block_on(list_keys(load(settings)?)),
        Some(Command::Keys { action: KeysAction::Rotate { delay_s, settings } }) => {
            block_on(rotate_keys(load(settings)?, i64::from(delay_s) * 1000))
        }
        Some(Command::Migrate(settings)) => block_on(migrate(load(settings)?)),
        Some(Command::Healthcheck { url, settings }) => block_on(healthcheck(url, settings)),
        Some(Command::Config { action: ConfigAction::Check(settings) }) => {
            load(settings)?;
            print("Configuration OK\n")
        }
        Some(Command::Config { action: ConfigAction::HashSecret }) => hash(),
        Some(Command::Config { action: ConfigAction::Example }) => print(&example_toml()),
        Some(Command::Seed(options)) => seed::run(&options),
        Some(Command::Import(options)) => block_on(import::run(&options)),
        Some(Command::Probe(options)) => block_on(probe::run(&options)),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

/// Commands but `serve` need no worker threads.
fn block_on(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task)
}

fn serve(settings: Settings) -> anyhow::Result<()> {
    let overrides = Overrides::from(settings);
    let (mut source, base) = Source::of(&overrides, variables());
    if let Some(path) = source.ready_file() {
        server::remove_ready_file(&path)?;
    }
    let config = Config::read(source, &base)?;
    let telemetry = telemetry::init(&config.log, config.traces.as_ref())?;
    // The server's own threads run requests; this runtime waits for signals and does background work.
    let system = actix_web::rt::System::new();
    let outcome = system.block_on(server::serve(config));
    telemetry.finish();
    // Dropping it would wait for threads that nobody can end, such as one that asks a silent name server.
    std::mem::forget(system);
    Ok(outcome?)
}

fn env(format: EnvFormat, settings: Settings) -> anyhow::Result<()> {
    let mut config = load(settings)?;
    config.settle_public_urls(config.listen.port, config.listen_tls.as_ref().map(|l| l.port));
    let trust = trust_files(&config)?;
    print(&render_env(format, &env_variables(&config, trust.as_ref())))
}

/// The files of the local authority, made when they are missing. `None`: the certificate is one's own, or nothing is
/// kept.
fn trust_files(config: &Config) -> anyhow::Result<Option<TrustFiles>> {
    let keeps_nothing = matches!(config.database, Database::Ephemeral) && !LocalCa::exists(&config.data_dir);
    if config.tls.is_some() || keeps_nothing {
        return Ok(None);
    }
    let ca = LocalCa::open_or_create(&config.data_dir, &server::local_names(config), SystemClock.now_ms())?;
    Ok(Some(TrustFiles { ca: ca.file(), bundle: ca.bundle_file() }))
}

fn ca(config: &Config) -> anyhow::Result<()> {
    match trust_files(config)? {
        Some(files) => print(&files.how_to()),
        None if config.tls.is_some() => {
            bail!("the certificate is your own (tls.certificate): trust its issuer")
        }
        None => {
            bail!("with --ephemeral the authority is made at the start and named in the ready file (ca_file)")
        }
    }
}

async fn migrate(config: Config) -> anyhow::Result<()> {
    let opened = server::open_store(&config).await?;
    opened.store.migrate().await?;
    print("The database is up to date.\n")
}

async fn list_keys(config: Config) -> anyhow::Result<()> {
    let opened = server::open_store(&config).await?;
    opened.store.migrate().await?;
    let keys = opened.store.signing_keys(&config.environment.id).await?;
    let lines = keys.iter().map(|k| {
        format!("{}  created {}  signs from {}\n", k.kid, rfc3339(k.created_at_ms), rfc3339(k.signs_from_ms))
    });
    print(&lines.collect::<String>())
}

async fn rotate_keys(config: Config, delay_ms: i64) -> anyhow::Result<()> {
    let opened = server::open_store(&config).await?;
    let parts = server::parts(&config, opened.store.clone(), Arc::new(SystemClock), Arc::new(SystemEntropy))?;
    let started = parts.start().await?;
    let runtime = parts.into_runtime(started)?;
    let now_ms = SystemClock.now_ms();
    for algorithm in SigningAlgorithm::ALL {
        // Only clients that asked for it have a key of another kind than RS256.
        if runtime.keys.current().signing_key(algorithm, now_ms).is_ok() {
            let key = runtime.add_key(algorithm, delay_ms).await?;
            print(&format!(
                "{} ({}) is published by every server within {KEYS_PUBLISHED_WITHIN_S} s and signs from {}; earlier keys still verify.\n",
                key.kid(),
                algorithm.as_str(),
                rfc3339(key.signs_from_ms),
            ))?;
        }
    }
    Ok(())
}

/// A minimal HTTP request, so that the check needs nothing but this binary.
async fn healthcheck(url: Option<String>, settings: Settings) -> anyhow::Result<()> {
    let (authority, path) = match url {
        Some(url) => {
            let url = url::Url::parse(&url).context("--url")?;
            let host = url.host_str().context("--url has no host")?.to_owned();
            (
                format!("{host}:{}", url.port_or_known_default().unwrap_or(80)),
                format!("{}/ready", url.path().trim_end_matches('/')),
            )
        }
        None => {
            let listen = load(settings)?.listen;
            let is_any = listen.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified());
            let host = if is_any { "127.0.0.1".to_owned() } else { listen.host.clone() };
            let authority = crate::config::ListenAddress { host, port: listen.port }.to_string();
            (authority, "/ready".to_owned())
        }
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
    if status == "200" { print("ready\n") } else { bail!("not ready (HTTP {status})") }
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
