//! The server that a command is about: by its URL, or the one that runs with this configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use secrecy::SecretString;
use serde_json::Value;

use super::control_client::ControlClient;
use super::{Settings, load};
use crate::config::Config;
use crate::server::{ServerFacts, state_file};

/// Which server.
#[derive(Debug, Clone, Default, Args)]
pub struct ServerOptions {
    /// URL of the server [default: the one that runs in this folder]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    #[command(flatten)]
    pub settings: Settings,
}

/// How long a server gets to say that it is there.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was found.
pub(super) enum Found {
    Running(Box<RunningServer>),
    /// None runs; this is how one would.
    Configured(Box<Config>),
}

/// A server that runs.
pub(super) struct RunningServer {
    pub(super) facts: ServerFacts,
    token: Option<SecretString>,
    /// Is it known by its URL alone, so that its files may be on another machine?
    pub(super) is_remote: bool,
}

impl RunningServer {
    /// Its control API.
    pub(super) fn control(&self) -> anyhow::Result<ControlClient> {
        ControlClient::new(
            &self.facts.environment_url,
            self.token.clone(),
            self.facts.ca_file.as_deref().filter(|_| !self.is_remote),
        )
    }
}

/// Finds the server; nothing is made or changed.
pub(super) async fn find(options: &ServerOptions) -> anyhow::Result<Found> {
    if let Some(url) = &options.url {
        return Ok(Found::Running(Box::new(at(url, options.settings.clone()).await?)));
    }
    let config = load(options.settings.clone())?;
    let files = config.ready_file.iter().cloned().chain([state_file(&config.data_dir)]);
    for path in files {
        if let Some(mut facts) = read(&path)
            && is_alive(&facts).await
        {
            if facts.client_secret.is_none() {
                // In production mode it stays in the configuration.
                let shown = config.shown_client().filter(|(id, _)| Some(*id) == facts.client_id.as_deref());
                facts.client_secret = shown.and_then(|(_, secret)| secret.cloned());
            }
            let token = config.control.token.clone();
            return Ok(Found::Running(Box::new(RunningServer { facts, token, is_remote: false })));
        }
    }
    Ok(Found::Configured(Box::new(config)))
}

/// Finds a server that has to be there.
pub(super) async fn find_running(options: &ServerOptions) -> anyhow::Result<RunningServer> {
    match find(options).await? {
        Found::Running(server) => Ok(*server),
        Found::Configured(config) => bail!(
            "no server runs with the data folder {}. Start one with `vestibule`, or name one with --url",
            config.data_dir.display()
        ),
    }
}

/// What a file says of a server. One that is not there, or not whole, names none.
fn read(path: &Path) -> Option<ServerFacts> {
    serde_json::from_str(&std::fs::read_to_string(path).ok()?).ok()
}

/// Is the server of a file there? One that was killed left its file behind, and its port may be another program's now.
async fn is_alive(facts: &ServerFacts) -> bool {
    let Some(address) = facts.listen.as_deref().and_then(|text| text.parse().ok()) else { return false };
    let url = format!("http://{}/live", reachable(address));
    let ask = async {
        let response = reqwest::Client::builder().no_proxy().build()?.get(url).send().await?;
        response.text().await
    };
    let Ok(Ok(text)) = tokio::time::timeout(PATIENCE, ask).await else { return false };
    serde_json::from_str::<Value>(&text).is_ok_and(|answer| answer["status"] == "ok")
}

/// An address to connect to, where a server listens on all of them.
fn reachable(mut address: std::net::SocketAddr) -> std::net::SocketAddr {
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The server at a URL, as its control API describes it. Its token is the configured one.
async fn at(url: &str, settings: Settings) -> anyhow::Result<RunningServer> {
    let config = load(settings)?;
    let ca_file = crate::server::LocalCa::existing(&config.data_dir).map(|ca| ca.file());
    let token = config.control.token;
    let control = ControlClient::new(url, token.clone(), ca_file.as_deref())?;
    let environment = control.get("/environment").await.context(
        "the server at --url does not say what it is. Its control API has to be on; its token is VESTIBULE_CONTROL__TOKEN",
    )?;
    let clients = control.get("/api/clients?page_size=30").await?;
    Ok(RunningServer { facts: facts_of(url, &environment, &clients), token, is_remote: true })
}

fn facts_of(url: &str, environment: &Value, clients: &Value) -> ServerFacts {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let urls: Vec<&str> =
        environment["urls"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let asked = url.trim_end_matches('/');
    // As it is reached, where that is one of its own.
    let own = urls.iter().find(|own| own.eq_ignore_ascii_case(asked)).copied();
    let public =
        clients["clients"].as_array().into_iter().flatten().find(|client| client["client_type"] != "WEB_APP");
    let environment_url = own.map(str::to_owned).or_else(|| text(&environment["environment_url"]));
    ServerFacts {
        listen: None,
        listen_tls: None,
        addresses: vec![],
        addresses_tls: vec![],
        smtp_listen: None,
        inbox_url: environment_url.as_ref().map(|url| format!("{url}/_emulator/inbox")),
        environment_url: environment_url.unwrap_or_else(|| asked.to_owned()),
        https_url: urls.iter().find(|url| url.starts_with("https://")).map(|&url| url.to_owned()),
        ca_file: None::<PathBuf>,
        ca_bundle_file: None,
        client_id: text(&environment["client_id"]),
        client_secret: text(&environment["client_secret"]).map(SecretString::from),
        control_token: None,
        spa_client_id: public.and_then(|client| text(&client["id"])),
        mode: None,
        pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_server_is_told_by_the_url_that_it_was_asked_by() {
        let environment = json!({ "environment_url": "http://localhost:1", "client_id": "skc_1",
            "urls": ["http://localhost:1", "https://localhost:1", "http://127.0.0.1:1"] });
        let clients = json!({ "clients": [{ "id": "skc_1", "client_type": "WEB_APP" }, { "id": "spac_1", "client_type": "SPA" }] });
        let facts = facts_of("http://127.0.0.1:1/", &environment, &clients);
        assert_eq!(facts.environment_url, "http://127.0.0.1:1");
        assert_eq!(facts.https_url.as_deref(), Some("https://localhost:1"));
        assert_eq!(facts.spa_client_id.as_deref(), Some("spac_1"));
        let behind_a_proxy = facts_of("http://proxy:2", &environment, &clients);
        assert_eq!(behind_a_proxy.environment_url, "http://localhost:1");
    }

    #[test]
    fn a_server_on_all_addresses_is_asked_on_this_machine() {
        for (listened, asked) in
            [("0.0.0.0:7", "127.0.0.1:7"), ("[::]:7", "[::1]:7"), ("192.0.2.1:7", "192.0.2.1:7")]
        {
            assert_eq!(reachable(listened.parse().unwrap()).to_string(), asked);
        }
    }
}
