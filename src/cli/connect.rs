//! What an application needs to reach the server that runs: `vestibule env`, `vestibule ca`, `vestibule open`.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::json;

use super::running::{Found, RunningServer, ServerOptions, find, find_running};
use super::{print, print_json};
use crate::config::Config;
use crate::config::application_env::{ApplicationCredentials, EnvFormat, TrustFiles, render_env};
use crate::server::{LocalCa, ServerFacts};

#[derive(Debug, Clone, Args)]
pub struct EnvOptions {
    /// How the variables are written
    #[arg(long, value_enum, default_value_t = EnvFormat::Dotenv)]
    pub format: EnvFormat,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// The https URL, with the variables that make SDKs trust its certificate
    #[arg(long)]
    pub tls: bool,
    #[command(flatten)]
    pub server: ServerOptions,
}

#[derive(Debug, Clone, Args)]
pub struct CaOptions {
    /// Print the certificate itself
    #[arg(long, conflicts_with = "json")]
    pub pem: bool,
    /// Print files and variables as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerOptions,
}

#[derive(Debug, Clone, Args)]
pub struct OpenOptions {
    /// Print the URL as JSON, and open nothing
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerOptions,
}

/// Prints the variables of an application.
pub(super) async fn env(options: EnvOptions) -> anyhow::Result<()> {
    let format = if options.json { EnvFormat::Json } else { options.format };
    let variables = match find(&options.server).await? {
        Found::Running(server) => variables_of(&server, options.tls)?,
        Found::Configured(config) => configured_variables(*config, options.tls)?,
    };
    print(&render_env(format, &variables))
}

type Variables = Vec<(&'static str, String)>;

/// The variables for a server that runs.
fn variables_of(server: &RunningServer, over_tls: bool) -> anyhow::Result<Variables> {
    let facts = &server.facts;
    if !over_tls {
        return Ok(facts.credentials().variables());
    }
    if server.is_remote {
        bail!(
            "a server that is named by --url may be on another machine, so its authority has no file here. \
             Save it with `vestibule ca --url {} --pem >vestibule-ca.pem`, and set NODE_EXTRA_CA_CERTS or the \
             variables that `vestibule ca --url …` names",
            facts.environment_url
        );
    }
    tls_variables(facts)
}

/// The variables for a server that runs here, by its https URL.
pub(super) fn tls_variables(facts: &ServerFacts) -> anyhow::Result<Variables> {
    let https_url =
        facts.https_url.clone().context("none of the server's public URLs begins with https://")?;
    let credentials = ApplicationCredentials { environment_url: https_url, ..facts.credentials() };
    let trust = trust_files(facts);
    Ok(credentials.variables().into_iter().chain(trust.iter().flat_map(TrustFiles::variables)).collect())
}

/// `None`: the certificate is one's own.
fn trust_files(facts: &ServerFacts) -> Option<TrustFiles> {
    Some(TrustFiles { ca: facts.ca_file.clone()?, bundle: facts.ca_bundle_file.clone()? })
}

/// The variables for a server that would run with this configuration.
fn configured_variables(mut config: Config, over_tls: bool) -> anyhow::Result<Variables> {
    if config.environment.public_urls.is_empty() && config.listen.port == 0 {
        bail!(
            "no server runs here, and which port it takes is not known before it starts (listen = {})",
            config.listen
        );
    }
    config.settle_public_urls(config.listen.port, config.listen_tls.as_ref().map(|l| l.port));
    let _ =
        writeln!(std::io::stderr(), "vestibule: no server runs here; this is what the configuration says");
    let credentials = ApplicationCredentials::from(&config);
    if !over_tls {
        return Ok(credentials.variables());
    }
    let https_url =
        config.public_url("https").context("none of public_urls begins with https://")?.to_owned();
    let credentials = ApplicationCredentials { environment_url: https_url, ..credentials };
    let trust = if config.tls.is_some() { None } else { Some(existing_trust_files(&config)?) };
    Ok(credentials.variables().into_iter().chain(trust.iter().flat_map(TrustFiles::variables)).collect())
}

/// The authority that earlier servers made in the data folder.
fn existing_trust_files(config: &Config) -> anyhow::Result<TrustFiles> {
    let ca = LocalCa::existing(&config.data_dir).with_context(|| {
        format!(
            "no server runs here, and {} holds no authority yet: it is made when a server starts, and its ready file \
             names it (ca_file)",
            config.data_dir.display()
        )
    })?;
    Ok(TrustFiles { ca: ca.file(), bundle: ca.bundle_file() })
}

/// Says which certificate applications have to trust, and how.
pub(super) async fn ca(options: CaOptions) -> anyhow::Result<()> {
    const OWN: &str = "the certificate is your own (tls.certificate): trust its issuer";
    let files = match find(&options.server).await? {
        Found::Running(server) if server.is_remote => return remote_ca(&server, &options).await,
        Found::Running(server) => trust_files(&server.facts).context(OWN)?,
        Found::Configured(config) if config.tls.is_some() => bail!(OWN),
        Found::Configured(config) => existing_trust_files(&config)?,
    };
    if options.pem {
        let pem = std::fs::read_to_string(&files.ca);
        return print(&pem.with_context(|| format!("cannot read {}", files.ca.display()))?);
    }
    if options.json {
        let variables: serde_json::Map<_, _> =
            files.variables().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        return print_json(
            &json!({ "ca_file": files.ca, "ca_bundle_file": files.bundle, "variables": variables }),
        );
    }
    print(&files.how_to())
}

/// The authority of a server that is known by its URL alone.
async fn remote_ca(server: &RunningServer, options: &CaOptions) -> anyhow::Result<()> {
    let pem = server.control()?.text("/_emulator/ca.pem").await?;
    if options.pem {
        return print(&pem);
    }
    if options.json {
        return print_json(&json!({ "ca_pem": pem }));
    }
    let file = Path::new("vestibule-ca.pem");
    let how_to = TrustFiles { ca: file.to_owned(), bundle: file.to_owned() }.how_to();
    let url = &server.facts.environment_url;
    print(&format!(
        "Save the certificate first: vestibule ca --url {url} --pem >{}\n\n{how_to}",
        file.display()
    ))
}

/// Shows the dashboard in a browser.
pub(super) async fn open(options: OpenOptions) -> anyhow::Result<()> {
    let server = find_running(&options.server).await?;
    if server.facts.inbox_url.is_none() {
        bail!("this server has no dashboard: its control API is off (control.enabled, mode)");
    }
    let url = format!("{}/dashboard", server.facts.environment_url);
    if options.json {
        return print_json(&json!({ "url": url }));
    }
    print(&format!("{url}\n"))?;
    open::that_detached(&url).context("no browser could be started; open the URL yourself")
}
