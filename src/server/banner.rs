//! What the server says when it is ready: to users on standard output, to programs in files.

use std::io::Write as _;
use std::net::SocketAddr;

use secrecy::ExposeSecret as _;

use super::Addresses;
use super::server_facts::ServerFacts;
use crate::config::application_env::{ApplicationCredentials, EnvFormat, render_env};
use crate::config::{Config, DEFAULT_CLIENT_SECRET, Database};

fn environment_url(config: &Config) -> &str {
    config.environment.public_urls.first().map_or("", |u| u.issuer())
}

fn inbox_url(config: &Config) -> Option<String> {
    config.control.enabled.then(|| format!("{}/_emulator/inbox", environment_url(config)))
}

/// A short banner. Only secrets that are nobody's own are printed: the well-known one, and those made at the start.
pub fn print(config: &Config, addresses: &Addresses) {
    let (client_id, secret) = config.shown_client().unwrap_or_default();
    let is_well_known = secret.is_some_and(|s| s.expose_secret() == DEFAULT_CLIENT_SECRET);
    let is_shown = is_well_known || config.generated.client_secret;
    let secret = secret.filter(|_| is_shown).map_or("(as configured)", |s| s.expose_secret());
    let listened: Vec<String> = addresses.listen.iter().map(ToString::to_string).collect();
    let mut out = format!(
        "\n  Vestibule {} on {}\n\n    environment URL  {}\n    client id        {client_id}\n    client secret    {secret}\n",
        env!("CARGO_PKG_VERSION"),
        listened.join(" and "),
        environment_url(config),
    );
    if let Some(client_id) = config.shown_public_client() {
        out.push_str(&format!("    public client    {client_id} (no secret, PKCE: for apps in a browser)\n"));
    }
    if let Some(token) = config.control.token.as_ref().filter(|_| config.generated.control_token) {
        out.push_str(&format!(
            "    control token    {} (the password of the dashboard)\n",
            token.expose_secret()
        ));
    }
    if let Some(url) = inbox_url(config) {
        out.push_str(&format!("    dashboard        {}/dashboard\n", environment_url(config)));
        out.push_str(&format!("    try it           {}/dashboard/try\n", environment_url(config)));
        out.push_str(&format!("    inbox            {url}\n"));
    }
    if let Some(address) = addresses.smtp_listen.first() {
        out.push_str(&format!("    SMTP             {address} (emails of other programs, for the inbox)\n"));
    }
    if let Some(path) = &addresses.ca_file {
        out.push_str(&format!("    TLS              same port, certificates by {}\n", path.display()));
    }
    if let Some(address) = addresses.listen_tls.first() {
        let note = if address.port() == 443 {
            "where Scalekit's Java SDK looks"
        } else {
            "Scalekit's Java SDK needs port 443"
        };
        out.push_str(&format!("    TLS alone        {address} ({note})\n"));
    }
    if let Some(database) = postgres_of(config) {
        out.push_str(&format!("    database         {database}\n"));
    }
    if is_shown {
        out.push('\n');
        for line in render_env(EnvFormat::Dotenv, &ApplicationCredentials::from(config).variables()).lines() {
            out.push_str(&format!("    {line}\n"));
        }
    }
    let _ = writeln!(std::io::stdout(), "{out}");
}

/// Which database and schema of PostgreSQL, without what is secret.
fn postgres_of(config: &Config) -> Option<String> {
    let Database::Postgres { url, schema, .. } = &config.database else { return None };
    let url = url::Url::parse(url.expose_secret()).ok()?;
    let database = Some(url.path().trim_start_matches('/')).filter(|name| !name.is_empty());
    let host = url.host_str().filter(|host| !host.is_empty()).unwrap_or("localhost");
    Some(format!("PostgreSQL {} on {host}, schema {schema}", database.unwrap_or(url.username())))
}

/// The same for programs.
pub fn facts(config: &Config, addresses: &Addresses) -> ServerFacts {
    let credentials = ApplicationCredentials::from(config);
    let texts = |all: &[SocketAddr]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (listen, listen_tls) = (texts(&addresses.listen), texts(&addresses.listen_tls));
    ServerFacts {
        listen: listen.first().cloned(),
        listen_tls: listen_tls.first().cloned(),
        addresses: listen,
        addresses_tls: listen_tls,
        environment_url: credentials.environment_url,
        https_url: config.public_url("https").map(str::to_owned),
        ca_file: addresses.ca_file.clone(),
        ca_bundle_file: addresses.ca_bundle_file.clone(),
        client_id: credentials.client_id,
        client_secret: credentials.client_secret,
        control_token: config.control.token.clone().filter(|_| config.generated.control_token),
        spa_client_id: credentials.spa_client_id,
        smtp_listen: addresses.smtp_listen.first().map(ToString::to_string),
        inbox_url: inbox_url(config),
        mode: Some(config.environment.mode.as_str().to_owned()),
        pid: std::process::id(),
    }
}
