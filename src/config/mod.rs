//! Configuration: defaults, then `vestibule.toml`, then `VESTIBULE_*` variables, then flags. Everything is checked
//! before anything starts, and every mistake is named at once.

pub mod application_env;
mod environment;
mod layers;
mod reference;
mod secrets;
mod source;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

pub use environment::{SeedOrganization, SeedSettings, SeedUser};
pub use layers::{Layers, merge, seed_from_json};
pub use reference::{example_toml, reference_markdown};
pub use source::{Location, Problem, Source};

use crate::crypto::client_secrets::is_hash_of;
use crate::domain::client::{Client, ClientKind, ClientSecret};
use crate::domain::environment::Environment;
use crate::domain::public_url::PublicUrl;
use crate::domain::settings::Mode;
use crate::domain::source_address::TrustedProxies;
use crate::mail::{Encryption, SmtpSettings};

/// The port when none is configured: OTP and a zero on a telephone's keys.
pub const DEFAULT_PORT: u16 = 6870;

/// Name of the file looked for in the working directory.
pub const DEFAULT_FILE: &str = "vestibule.toml";

/// Credentials of the client that exists when none is configured: the same on every machine, and for that reason
/// accepted on a loopback listener in development mode only.
pub const DEFAULT_CLIENT_ID: &str = "skc_687000000000000001";
pub const DEFAULT_CLIENT_SECRET: &str = "test_vestibule_local_development_secret_do_not_deploy_6870";

/// The public client beside it, for applications that run in a browser. It has no secret; PKCE protects its codes.
pub const DEFAULT_SPA_CLIENT_ID: &str = "spac_687000000000000001";

/// What is logged when nothing is configured: our own words, and trouble of the libraries.
const DEFAULT_FILTER: &str = "info,actix_server=warn,sqlx=warn";

/// Where to listen. The host is a name or an address; port 0 takes any free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    pub host: String,
    pub port: u16,
}

impl ListenAddress {
    /// Parses `HOST:PORT`; an IPv6 address stands in brackets.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let wrong = "must be HOST:PORT, such as localhost:6870";
        let (host, port) = text.rsplit_once(':').ok_or(wrong)?;
        let is_number = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
        let out_of_range = "must have a port from 0 to 65535";
        let port = port.parse().map_err(|_| if is_number { out_of_range } else { wrong })?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() { Err(wrong) } else { Ok(Self { host: host.to_owned(), port }) }
    }

    /// Is it the name that stands for this machine's loopback addresses, whichever of 127.0.0.1 and `::1` it has?
    pub fn is_localhost(&self) -> bool {
        self.host.eq_ignore_ascii_case("localhost")
    }

    /// Can only this machine connect?
    pub fn is_loopback(&self) -> bool {
        self.is_localhost() || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Which database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file below `data_dir`.
    Sqlite,
    /// A private file that is deleted at the end.
    Ephemeral,
    Postgres {
        url: SecretString,
        max_connections: u32,
        /// How long a request waits for a connection, and for each answer, in seconds.
        timeout_s: u64,
        /// Where our tables are.
        schema: String,
        /// In between is a pooler in transaction mode.
        is_transaction_pooler: bool,
    },
}

/// Certificate chain and private key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// The inbox and the control API.
#[derive(Debug, Clone)]
pub struct ControlSettings {
    pub enabled: bool,
    /// Demanded of every caller when set; needed off loopback.
    pub token: Option<SecretString>,
    /// Folder of the named scenarios.
    pub scenarios: PathBuf,
}

/// The figures for Prometheus.
#[derive(Debug, Clone)]
pub struct MetricsSettings {
    pub enabled: bool,
    /// Demanded of whoever reads them when set.
    pub token: Option<SecretString>,
}

/// Where traces go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceSettings {
    /// Base URL of an OpenTelemetry collector that speaks OTLP over HTTP.
    pub endpoint: String,
    pub service_name: String,
    /// Of the traces that begin here, how many are sent.
    pub sample_percent: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone)]
pub struct LogSettings {
    pub format: LogFormat,
    /// A `tracing` filter such as `info` or `vestibule=debug`.
    pub filter: String,
}

/// Everything that was asked for, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: ListenAddress,
    /// A second listener, for TLS alone.
    pub listen_tls: Option<ListenAddress>,
    /// A certificate of one's own; the local authority's otherwise.
    pub tls: Option<TlsFiles>,
    pub ready_file: Option<PathBuf>,
    pub data_dir: PathBuf,
    /// May the group of `data_dir` look into it?
    pub data_dir_group_access: bool,
    pub database: Database,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
    /// Encrypts the keys in the database.
    pub master_key: Option<SecretString>,
    /// Worker threads; by default one per core.
    pub workers: Option<usize>,
    /// Seconds after SIGTERM in which everything is still served and `/ready` says no.
    pub shutdown_delay_s: u64,
    pub shutdown_timeout_s: u64,
    pub smtp: Option<SmtpSettings>,
    /// Trusted beside the system's certificates when applications are told of logouts, PEM.
    pub backchannel_logout_ca: Option<PathBuf>,
    pub control: ControlSettings,
    pub log: LogSettings,
    pub metrics: MetricsSettings,
    /// `None`: no traces.
    pub traces: Option<TraceSettings>,
    /// Its `public_urls` are empty where they follow the port that is really bound.
    pub environment: Environment,
    /// To make further environments from, and this one anew.
    pub layers: Layers,
    pub seed: SeedSettings,
}

/// What the command line says about settings.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    pub config_file: Option<PathBuf>,
    pub listen: Option<String>,
    pub listen_tls: Option<String>,
    pub ephemeral: bool,
    pub ready_file: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub database_url: Option<String>,
    pub public_urls: Vec<String>,
}

/// All mistakes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the configuration has {} mistake{}:",
            self.0.len(),
            if self.0.len() == 1 { "" } else { "s" }
        )?;
        self.0.iter().try_for_each(|p| write!(f, "\n  {p}"))
    }
}

impl Config {
    /// Reads and checks everything. `variables` are the process's environment variables.
    pub fn load(
        overrides: &Overrides,
        variables: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Problems> {
        let (source, base) = Source::of(overrides, variables);
        Self::read(source, &base)
    }

    /// Reads and checks the settings of all layers; relative paths of files are relative to `base`.
    pub fn read(mut source: Source, base: &Path) -> Result<Self, Problems> {
        let config = read(&mut source, base);
        check_exposure(&mut source, &config);
        let problems = source.finish();
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }

    /// Fills in the public URLs that follow the ports: `localhost` first, as people type it, and `http` before
    /// `https`, since it needs no trust. Where one loopback address alone is listened on, that one is first, since
    /// `localhost` may be the other.
    pub fn settle_public_urls(&mut self, port: u16, tls_port: Option<u16>) {
        if !self.environment.public_urls.is_empty() {
            return;
        }
        let bases = [Some(("http", port)), Some(("https", port)), tls_port.map(|p| ("https", p))];
        let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "[::1]".to_owned()];
        if let Some(ip) = self.listen.host.parse::<IpAddr>().ok().filter(IpAddr::is_loopback) {
            let listened = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
            hosts.retain(|host| *host != listened);
            hosts.insert(0, listened);
        }
        let urls = hosts.iter().flat_map(|host| {
            bases
                .iter()
                .flatten()
                .filter_map(move |(scheme, port)| PublicUrl::parse(&format!("{scheme}://{host}:{port}")).ok())
        });
        self.environment.public_urls = urls.collect();
        self.layers.public_urls = self.environment.public_urls.clone();
    }

    /// The first public URL with this scheme.
    pub fn public_url(&self, scheme: &str) -> Option<&str> {
        self.environment.public_urls.iter().find(|u| u.scheme() == scheme).map(PublicUrl::issuer)
    }

    /// Can only this machine connect to any of the listeners?
    pub fn is_loopback(&self) -> bool {
        self.listen.is_loopback() && self.listen_tls.as_ref().is_none_or(ListenAddress::is_loopback)
    }

    /// The first client that has a secret, with it in the clear where the configuration holds it so: what `env`
    /// and the banner show.
    pub fn shown_client(&self) -> Option<(&str, Option<&SecretString>)> {
        use crate::domain::client::{ClientKind, ClientSecret};
        let first =
            self.environment.clients.iter().find(|c| !c.is_public()).or(self.environment.clients.first())?;
        let secret = match &first.kind {
            ClientKind::Web { secrets } => secrets.iter().find_map(|s| match s {
                ClientSecret::Plain(secret) => Some(secret),
                ClientSecret::Argon2(_) => None,
            }),
            ClientKind::Spa | ClientKind::Native => None,
        };
        Some((&first.client_id, secret))
    }
}

impl Config {
    /// Id of the first public client: what `env` and the banner show for applications without a secret.
    pub fn shown_public_client(&self) -> Option<&str> {
        self.environment.first_public_client().map(|client| client.client_id.as_str())
    }
}

impl Source {
    /// The configuration file, variables and flags, and the folder that relative paths are relative to.
    pub fn of(overrides: &Overrides, variables: impl Iterator<Item = (String, String)>) -> (Self, PathBuf) {
        let mut source = Self::default();
        let variables: Vec<(String, String)> = variables.collect();
        let named_by_variable =
            variables.iter().find(|(n, _)| n == "VESTIBULE_CONFIG").map(|(_, v)| PathBuf::from(v));
        let named = overrides.config_file.clone().or(named_by_variable);
        let path = named.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        match std::fs::read_to_string(&path) {
            Ok(text) => source.add_file(&path, &text),
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => source.problem_at(Location::Unwritten, "", format!("{}: {error}", path.display())),
        }
        source.add_variables(variables.into_iter());
        add_flags(&mut source, overrides);
        let base = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned();
        (source, base)
    }

    /// Where the ready file is to be, also where other settings have mistakes: then too the one of an earlier server is
    /// not to be believed.
    pub fn ready_file(&mut self) -> Option<PathBuf> {
        self.filled("ready_file").map(PathBuf::from)
    }
}

fn add_flags(source: &mut Source, overrides: &Overrides) {
    let path_text = |p: &PathBuf| p.to_string_lossy().into_owned();
    if let Some(listen) = &overrides.listen {
        source.add_flag("listen", "--listen", listen);
    }
    if let Some(listen) = &overrides.listen_tls {
        source.add_flag("listen_tls", "--listen-tls", listen);
    }
    if overrides.ephemeral {
        source.add_flag("ephemeral", "--ephemeral", "true");
    }
    if let Some(path) = &overrides.ready_file {
        source.add_flag("ready_file", "--ready-file", path_text(path));
    }
    if let Some(path) = &overrides.data_dir {
        source.add_flag("data_dir", "--data-dir", path_text(path));
    }
    if let Some(url) = &overrides.database_url {
        source.add_flag("database.url", "--database-url", url);
    }
    if !overrides.public_urls.is_empty() {
        source.add_flag("public_urls", "--public-url", overrides.public_urls.join(","));
    }
}

fn read(source: &mut Source, base: &Path) -> Config {
    let default_listen = ListenAddress { host: "localhost".to_owned(), port: DEFAULT_PORT };
    let listen = source.parsed("listen", ListenAddress::parse).unwrap_or(default_listen);
    let listen_tls = source.parsed("listen_tls", ListenAddress::parse);
    let is_local = [Some(&listen), listen_tls.as_ref()].into_iter().flatten().all(ListenAddress::is_loopback);
    let environment = environment::read(source, base, is_local);
    let control = ControlSettings {
        enabled: read_control(source, environment.mode),
        token: read_secret(source, "control.token"),
        scenarios: base.join(source.filled("control.scenarios").unwrap_or_else(|| "scenarios".to_owned())),
    };
    let is_open = environment.mode == Mode::Development && is_local;
    let metrics = read_metrics(source, is_open, control.token.as_ref());
    Config {
        listen,
        listen_tls,
        tls: read_tls(source, base),
        ready_file: source.ready_file(),
        data_dir: PathBuf::from(source.filled("data_dir").unwrap_or_else(|| ".vestibule".to_owned())),
        data_dir_group_access: source.boolean("data_dir_group_access", false),
        database: read_database(source),
        trusted_proxies: TrustedProxies(
            source.parsed_list("trusted_proxies", TrustedProxies::parse).unwrap_or_default(),
        ),
        master_key: read_secret(source, "master_key"),
        workers: source.optional_integer("workers", 1..=256).and_then(|n| usize::try_from(n).ok()),
        shutdown_delay_s: source.integer("shutdown_delay_s", 0..=300, 0).unsigned_abs(),
        shutdown_timeout_s: source.integer("shutdown_timeout_s", 0..=3600, 30).unsigned_abs(),
        smtp: read_smtp(source, base),
        backchannel_logout_ca: read_file(source, base, "backchannel_logout.ca_file"),
        control,
        log: LogSettings {
            format: source.choice(
                "log.format",
                &[("text", LogFormat::Text), ("json", LogFormat::Json)],
                LogFormat::Text,
            ),
            filter: source.filled("log.filter").unwrap_or_else(|| DEFAULT_FILTER.to_owned()),
        },
        metrics,
        traces: read_traces(source),
        seed: environment::read_seed(source),
        layers: Layers::new(source.clone(), base.to_owned(), is_local, environment.public_urls.clone()),
        environment,
    }
}

/// A secret of the operator's own, which has to be hard to guess wherever the server listens.
fn read_secret(source: &mut Source, key: &str) -> Option<SecretString> {
    let secret = source.filled(key)?;
    if let Some(weakness) = secrets::weakness(&secret) {
        source.problem(key, weakness);
    }
    Some(SecretString::from(secret))
}

/// `control = false` is short for `control.enabled = false`.
fn read_control(source: &mut Source, mode: Mode) -> bool {
    let default = mode == Mode::Development;
    let default = if source.is_set("control") { source.boolean("control", default) } else { default };
    source.boolean("control.enabled", default)
}

/// The figures follow the control API where nothing else is said: open on loopback in development, by its token where it
/// has one, and otherwise for nobody.
fn read_metrics(source: &mut Source, is_open: bool, control_token: Option<&SecretString>) -> MetricsSettings {
    let token = read_secret(source, "metrics.token").or(control_token.cloned());
    let enabled = source.boolean("metrics.enabled", token.is_some() || is_open);
    if enabled && token.is_none() && !is_open {
        source.problem(
            "metrics.token",
            "is missing: in production mode, and with a listener that others can reach, the figures need a token \
             (VESTIBULE_METRICS__TOKEN)",
        );
    }
    MetricsSettings { enabled, token }
}

fn read_traces(source: &mut Source) -> Option<TraceSettings> {
    let endpoint = source.filled("traces.endpoint");
    let service_name = source.filled("traces.service_name").unwrap_or_else(|| "vestibule".to_owned());
    let sample_percent = u8::try_from(source.integer("traces.sample_percent", 0..=100, 100)).unwrap_or(100);
    let endpoint = endpoint?;
    let is_url = url::Url::parse(&endpoint).is_ok_and(|u| matches!(u.scheme(), "http" | "https"));
    if !is_url {
        source.problem("traces.endpoint", "must be a URL such as http://127.0.0.1:4318");
    }
    is_url.then_some(TraceSettings { endpoint, service_name, sample_percent })
}

fn read_database(source: &mut Source) -> Database {
    let ephemeral = source.boolean("ephemeral", false);
    let max_connections = source.integer("database.max_connections", 1..=1000, 10);
    let timeout_s = source.integer("database.timeout_s", 1..=60, 5);
    let schema = read_schema(source);
    let is_transaction_pooler = source.boolean("database.transaction_pooler", false);
    let url = source.filled("database.url");
    match url {
        Some(url) if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
            if ephemeral {
                source.problem("ephemeral", "cannot be combined with a PostgreSQL database (DATABASE_URL)");
            }
            Database::Postgres {
                url: SecretString::from(url),
                max_connections: u32::try_from(max_connections).unwrap_or(10),
                timeout_s: u64::try_from(timeout_s).unwrap_or(5),
                schema,
                is_transaction_pooler,
            }
        }
        Some(_) => {
            source.problem(
                "database.url",
                "must start with postgres://; leave it out for the embedded database",
            );
            Database::Sqlite
        }
        None if ephemeral => Database::Ephemeral,
        None => Database::Sqlite,
    }
}

/// A plain name: it needs no quotes in PostgreSQL's own tools either.
fn read_schema(source: &mut Source) -> String {
    let schema = source.filled("database.schema").unwrap_or_else(|| "vestibule".to_owned());
    let is_plain = schema.len() <= 63
        && schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !schema.starts_with("pg_");
    if !is_plain {
        source.problem(
            "database.schema",
            "must be a name of lower-case letters, digits and underscores that does not begin with a digit or pg_",
        );
    }
    schema
}

fn read_tls(source: &mut Source, base: &Path) -> Option<TlsFiles> {
    let certificate = read_file(source, base, "tls.certificate");
    let key = read_file(source, base, "tls.key");
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        _ => {
            source.problem("tls.certificate", "and tls.key are needed together");
            None
        }
    }
}

/// A file that has to be there.
fn read_file(source: &mut Source, base: &Path, key: &str) -> Option<PathBuf> {
    let path = base.join(source.filled(key)?);
    if !path.is_file() {
        source.problem_with(key, path.display().to_string(), "there is no such file");
    }
    Some(path)
}

fn read_smtp(source: &mut Source, base: &Path) -> Option<SmtpSettings> {
    let encryptions =
        [("none", Encryption::None), ("starttls", Encryption::StartTls), ("tls", Encryption::Tls)];
    let host = source.filled("smtp.host");
    let encryption = source.choice("smtp.encryption", &encryptions, Encryption::StartTls);
    let default_port = match encryption {
        Encryption::None => 25,
        Encryption::StartTls => 587,
        Encryption::Tls => 465,
    };
    let settings = SmtpSettings {
        host: host.clone().unwrap_or_default(),
        port: u16::try_from(source.integer("smtp.port", 1..=65_535, default_port)).unwrap_or(587),
        encryption,
        username: source.filled("smtp.username"),
        password: source.filled("smtp.password").map(SecretString::from),
        timeout_s: source.integer("smtp.timeout_s", 1..=120, 10).unsigned_abs(),
        ca_file: read_file(source, base, "smtp.ca_file"),
        max_attempts: u32::try_from(source.integer("smtp.max_attempts", 1..=1000, 20)).unwrap_or(20),
    };
    if settings.username.is_some() != settings.password.is_some() {
        source.problem("smtp.username", "and smtp.password are needed together");
    }
    host.map(|_| settings)
}

/// Does this client authenticate with the secret that everybody knows? For a hash, this takes as long as computing one.
pub fn has_well_known_secret(client: &Client) -> bool {
    let ClientKind::Web { secrets } = &client.kind else { return false };
    secrets.iter().any(|secret| match secret {
        ClientSecret::Plain(secret) => secret.expose_secret() == DEFAULT_CLIENT_SECRET,
        ClientSecret::Argon2(hash) => is_hash_of(hash, DEFAULT_CLIENT_SECRET),
    })
}

/// What must not be reachable from elsewhere, or for real people, is refused here.
fn check_exposure(source: &mut Source, config: &Config) {
    let exposed = !config.is_loopback();
    let production = config.environment.mode == Mode::Production;
    if exposed || production {
        if exposed && config.control.enabled && config.control.token.is_none() {
            source.problem(
                "control.token",
                "is missing: with a listener that others can reach, the inbox and the control API need a token \
                 (VESTIBULE_CONTROL__TOKEN), or switch them off (VESTIBULE_CONTROL__ENABLED=false)",
            );
        }
        if exposed && config.environment.public_urls.is_empty() {
            source.problem(
                "public_urls",
                "is missing: say under which URLs people and applications reach this server \
                 (VESTIBULE_PUBLIC_URLS=http://localhost:6870,http://vestibule:6870)",
            );
        }
    }
    if production {
        if config.control.enabled {
            source.problem(
                "control.enabled",
                "must be false in production mode: mails of real people are not kept",
            );
        }
        if config.smtp.is_none() {
            source.problem("smtp.host", "is missing: production mode sends its mails by SMTP");
        }
        if config.environment.public_urls.iter().any(|u| !u.is_secure()) {
            source.problem("public_urls", "must all start with https:// in production mode");
        }
    }
}

#[cfg(test)]
mod tests;
