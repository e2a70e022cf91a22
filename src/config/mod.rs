//! Configuration: defaults, then `vestibule.toml`, then `VESTIBULE_*` variables, then flags. Everything is checked
//! before anything starts, and every mistake is named at once. Each section has a file, which says all about its settings.

pub mod application_env;
mod branding;
mod clients;
mod control;
mod database;
mod default_client;
mod environment;
mod exposure;
mod files;
mod generated;
mod interceptors;
mod layers;
mod limits;
mod listen_address;
mod management;
mod overrides;
mod pages;
mod passwordless;
mod problem;
mod reader;
mod reference;
mod roles;
mod secrets;
mod seed;
mod server;
mod sessions;
mod setting;
mod smtp;
mod source;
mod spelling;
mod telemetry;
mod test_users;
mod tls;
mod token_template;
mod tokens;
mod twins;
mod update;
mod webhooks;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use secrecy::SecretString;

pub use control::ControlSettings;
pub use database::Database;
pub use generated::Generated;
pub use interceptors::ConfiguredInterceptor;
pub use layers::{Layers, merge, seed_from_json};
pub use listen_address::{DEFAULT_PORT, ListenAddress};
pub use overrides::{Overrides, configuration_file};
pub use problem::{Location, Problem, Problems};
pub use reference::{example_toml, reference_markdown};
pub use roles::SeedPermission;
pub use secrets::has_well_known_secret;
pub use seed::{SeedOrganization, SeedSettings, SeedUser};
pub use setting::{Access, Facts, Section, Values, View};
pub use source::Source;
pub use telemetry::{LogFormat, LogSettings, MetricsSettings, TraceSettings};
pub use tls::TlsFiles;
pub use update::ConfigurationUpdate;
pub use webhooks::ConfiguredWebhook;

use crate::domain::client::{ClientKind, ClientSecret};
use crate::domain::entropy::Entropy;
use crate::domain::environment::Environment;
use crate::domain::public_url::PublicUrl;
use crate::domain::settings::Mode;
use crate::domain::source_address::TrustedProxies;
use crate::mail::SmtpSettings;

/// Credentials of the client that exists when none is configured: the same on every machine, and for that reason
/// accepted on a loopback listener in development mode only.
pub const DEFAULT_CLIENT_ID: &str = "skc_687000000000000001";
pub const DEFAULT_CLIENT_SECRET: &str = "test_vestibule_local_development_secret_do_not_deploy_6870";

/// The public client beside it, for applications that run in a browser. It has no secret; PKCE protects its codes.
pub const DEFAULT_SPA_CLIENT_ID: &str = "spac_687000000000000001";

const TOP_LEVEL: &str = "The server, its environment, and the client that needs no table.";

/// Every setting, by section, in the order of the documentation.
pub fn sections() -> &'static [Section] {
    static SECTIONS: LazyLock<Vec<Section>> = LazyLock::new(|| {
        let top_level = [
            server::settings(),
            database::settings(),
            environment::settings(),
            default_client::settings(),
            generated::settings(),
        ];
        vec![
            Section { table: "", is_list: false, about: TOP_LEVEL, settings: top_level.concat() },
            database::section(),
            passwordless::section(),
            test_users::section(),
            tokens::section(),
            token_template::section(),
            sessions::section(),
            management::section(),
            environment::logout_section(),
            tls::backchannel_logout_section(),
            webhooks::delivery_section(),
            limits::section(),
            environment::flows_section(),
            environment::requests_section(),
            environment::faults_section(),
            tls::section(),
            branding::section(),
            pages::section(),
            branding::mail_section(),
            smtp::section(),
            control::section(),
            telemetry::log_section(),
            telemetry::metrics_section(),
            telemetry::traces_section(),
            clients::section(),
            roles::permissions_section(),
            roles::roles_section(),
            seed::organizations_section(),
            seed::users_section(),
            webhooks::section(),
            interceptors::section(),
        ]
    });
    &SECTIONS
}

/// Every setting.
pub fn all() -> impl Iterator<Item = &'static Facts> {
    sections().iter().flat_map(|section| &section.settings)
}

/// Is this the name of a list of tables?
fn is_list_of_tables(name: &str) -> bool {
    sections().iter().any(|section| section.is_list && section.table == name)
}

/// Everything that was asked for, checked.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: ListenAddress,
    /// A second listener, for TLS alone.
    pub listen_tls: Option<ListenAddress>,
    /// Where the emails of other programs are received for the inbox.
    pub smtp_listen: Option<ListenAddress>,
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
    /// Trusted beside the system's certificates when applications are told of logouts and of events, PEM.
    pub backchannel_logout_ca: Option<PathBuf>,
    /// Hosts that webhooks may be sent to in production mode, whatever their addresses are.
    pub webhook_allowed_hosts: Vec<String>,
    /// Endpoints to exist from the start.
    pub webhooks: Vec<ConfiguredWebhook>,
    /// Interceptors to exist from the start.
    pub interceptors: Vec<ConfiguredInterceptor>,
    pub control: ControlSettings,
    /// What was made at the start, and only the banner can tell.
    pub generated: Generated,
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

impl Config {
    /// Reads and checks everything. `variables` are the process's environment variables.
    pub fn load(
        overrides: &Overrides,
        variables: impl Iterator<Item = (String, String)>,
        entropy: &dyn Entropy,
    ) -> Result<Self, Problems> {
        let (mut source, base) = Source::of(overrides, variables);
        source.generate_credentials(entropy);
        Self::read(source, &base)
    }

    /// Reads and checks the settings of all layers; relative paths of files are relative to `base`.
    pub fn read(mut source: Source, base: &Path) -> Result<Self, Problems> {
        let config = read(&mut source, base);
        exposure::check(&mut source, &config);
        let problems = source.finish();
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }

    /// Fills in the public URLs that follow the ports: `localhost` first, as users type it, and `http` before
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
        let first = self.environment.first_application()?;
        let secret = match &first.kind {
            ClientKind::Web { secrets } => secrets.iter().find_map(|s| match s {
                ClientSecret::Plain(secret) => Some(secret),
                ClientSecret::Argon2(_) => None,
            }),
            ClientKind::Spa | ClientKind::Native => None,
        };
        Some((&first.client_id, secret))
    }

    /// Id of the first public client: what `env` and the banner show for applications without a secret.
    pub fn shown_public_client(&self) -> Option<&str> {
        self.environment.first_public_client().map(|client| client.client_id.as_str())
    }
}

fn read(source: &mut Source, base: &Path) -> Config {
    let server = server::read(source);
    let is_local = server.is_loopback();
    let environment = environment::read(source, base, is_local);
    let control = control::read(source, base, environment.mode);
    let is_open = environment.mode == Mode::Development && is_local;
    Config {
        listen: server.listen,
        listen_tls: server.listen_tls,
        smtp_listen: server.smtp_listen,
        tls: tls::read(source, base),
        ready_file: server.ready_file,
        data_dir: server.data_dir,
        data_dir_group_access: server.data_dir_group_access,
        database: database::read(source),
        trusted_proxies: server.trusted_proxies,
        master_key: server.master_key,
        workers: server.workers,
        shutdown_delay_s: server.shutdown_delay_s,
        shutdown_timeout_s: server.shutdown_timeout_s,
        smtp: smtp::read(source, base),
        backchannel_logout_ca: tls::read_backchannel_logout_ca(source, base),
        webhook_allowed_hosts: webhooks::read_allowed_hosts(source),
        webhooks: webhooks::read(source, environment.mode),
        interceptors: interceptors::read(source, environment.mode),
        generated: generated::of(source),
        log: telemetry::read_log(source),
        metrics: telemetry::read_metrics(source, is_open, control.token.as_ref()),
        control,
        traces: telemetry::read_traces(source),
        seed: seed::read(source),
        layers: Layers::new(source.clone(), base.to_owned(), is_local, environment.public_urls.clone()),
        environment,
    }
}

#[cfg(test)]
mod list_tests;
#[cfg(test)]
mod tests;
