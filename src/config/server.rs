//! The server itself: settings of the top level that hold for all environments.

use std::path::PathBuf;

use secrecy::SecretString;

use super::listen_address::ListenAddress;
use super::secrets::read_secret;
use super::setting::{Facts, Setting};
use super::source::Source;
use crate::domain::source_address::TrustedProxies;

pub(super) static LISTEN: Setting<&str> = Setting::text(
    "listen",
    "localhost:6870",
    "HOST:PORT to listen on, or a port of localhost; port 0 takes a free one. `localhost` is 127.0.0.1 and [::1], whichever of them the machine has. An address that other machines can reach requires your own credentials, a control token and public_urls. Where it is all interfaces (0.0.0.0 or [::]), the variable PORT, which hosting platforms set, says the port.",
);

pub(super) static LISTEN_TLS: Setting<Option<&str>> = Setting::optional_text(
    "listen_tls",
    "localhost:443",
    "A second listener, for TLS alone; the first one speaks TLS too. Scalekit's Java SDK insists on port 443.",
);

pub(super) static SMTP_LISTEN: Setting<Option<&str>> = Setting::optional_text(
    "smtp_listen",
    "localhost:1025",
    "Receive the emails of other programs by SMTP at this HOST:PORT, on loopback addresses alone, and show them in the inbox. The user name, where a program has one, is the name of the environment; any password is right. In development mode only.",
);

static TRUSTED_PROXIES: Setting<Option<&[&str]>> = Setting::optional_list(
    "trusted_proxies",
    &["10.0.0.0/8", "::1"],
    "Addresses and networks of the proxies whose `X-Forwarded-For` is believed when sources of emails are told apart. Without any, a proxy counts as one source.",
);

pub(super) static DATA_DIR: Setting<&str> = Setting::text(
    "data_dir",
    ".vestibule",
    "Folder of the embedded database and of the local certificate authority, for its owner alone (0700). A folder that others can read is restricted in development, and refused in production mode.",
);

static DATA_DIR_GROUP_ACCESS: Setting<bool> = Setting::boolean(
    "data_dir_group_access",
    false,
    "Let the folder's group read data_dir: for volumes whose mode cannot be changed.",
);

pub(super) static READY_FILE: Setting<Option<&str>> = Setting::optional_text(
    "ready_file",
    "ready.json",
    "Write address and credentials to this file as JSON once the server responds. It is removed at the start and at the end.",
);

static MASTER_KEY: Setting<Option<&str>> = Setting::optional_text(
    "master_key",
    "",
    "Encrypts the keys kept in the database: 16 characters or more, such as `openssl rand -base64 32` makes. Best set as VESTIBULE_MASTER_KEY. Production mode without it warns at every start.",
);

static WORKERS: Setting<Option<i64>> =
    Setting::optional_integer("workers", 1..=256, 2, "Worker threads. Default: one per core.");

static SHUTDOWN_DELAY_S: Setting<i64> = Setting::integer(
    "shutdown_delay_s",
    0..=300,
    0,
    "Seconds after SIGTERM in which requests are still served, and /ready returns 503 so that a load balancer sends no more.",
);

static SHUTDOWN_TIMEOUT_S: Setting<i64> = Setting::integer(
    "shutdown_timeout_s",
    0..=3600,
    30,
    "Seconds that requests in progress get to finish after SIGTERM.",
);

pub(super) fn settings() -> Vec<Facts> {
    vec![
        LISTEN.facts(),
        LISTEN_TLS.facts(),
        SMTP_LISTEN.facts(),
        TRUSTED_PROXIES.facts(),
        DATA_DIR.facts(),
        DATA_DIR_GROUP_ACCESS.facts(),
        READY_FILE.facts(),
        MASTER_KEY.facts(),
        WORKERS.facts(),
        SHUTDOWN_DELAY_S.facts(),
        SHUTDOWN_TIMEOUT_S.facts(),
    ]
}

/// Settings of the top level that concern the process.
pub(super) struct ServerSettings {
    pub listen: ListenAddress,
    pub listen_tls: Option<ListenAddress>,
    pub smtp_listen: Option<ListenAddress>,
    pub trusted_proxies: TrustedProxies,
    pub data_dir: PathBuf,
    pub data_dir_group_access: bool,
    pub ready_file: Option<PathBuf>,
    pub master_key: Option<SecretString>,
    pub workers: Option<usize>,
    pub shutdown_delay_s: u64,
    pub shutdown_timeout_s: u64,
}

impl ServerSettings {
    /// Can only this machine connect to any of the listeners?
    pub(super) fn is_loopback(&self) -> bool {
        self.listen.is_loopback() && self.listen_tls.as_ref().is_none_or(ListenAddress::is_loopback)
    }
}

pub(super) fn read(source: &mut Source) -> ServerSettings {
    ServerSettings {
        listen: source.parsed(&LISTEN, ListenAddress::parse).unwrap_or_default(),
        listen_tls: source.parsed(&LISTEN_TLS, ListenAddress::parse),
        smtp_listen: source.parsed(&SMTP_LISTEN, loopback_address),
        trusted_proxies: TrustedProxies(source.parsed_list(&TRUSTED_PROXIES, TrustedProxies::parse)),
        data_dir: PathBuf::from(source.text(&DATA_DIR)),
        data_dir_group_access: source.boolean(&DATA_DIR_GROUP_ACCESS),
        ready_file: source.ready_file(),
        master_key: read_secret(source, &MASTER_KEY),
        workers: source.optional_integer(&WORKERS).and_then(|n| usize::try_from(n).ok()),
        shutdown_delay_s: source.integer(&SHUTDOWN_DELAY_S).unsigned_abs(),
        shutdown_timeout_s: source.integer(&SHUTDOWN_TIMEOUT_S).unsigned_abs(),
    }
}

/// An address that only this machine can connect to.
fn loopback_address(text: &str) -> Result<ListenAddress, &'static str> {
    let address = ListenAddress::parse(text)?;
    if address.is_loopback() {
        Ok(address)
    } else {
        Err(
            "must be a loopback address, such as localhost:1025: it takes every email, from whoever can connect",
        )
    }
}

impl Source {
    /// Where the ready file is to be, also where other settings have mistakes: then too the one of an earlier server is
    /// not to be believed.
    pub fn ready_file(&mut self) -> Option<PathBuf> {
        self.optional_text(&READY_FILE).map(PathBuf::from)
    }
}
