//! `[tls]`: a certificate of one's own. `[backchannel_logout]`: whom to trust when applications are told of logouts.

use std::path::{Path, PathBuf};

use super::files::read_file;
use super::setting::{Section, Setting};
use super::source::Source;

static CERTIFICATE: Setting<Option<&str>> = Setting::optional_text(
    "tls.certificate",
    "fullchain.pem",
    "The certificate chain, PEM, leaf first. Read again when it changes.",
);

static KEY: Setting<Option<&str>> = Setting::optional_text("tls.key", "privkey.pem", "The private key, PEM.");

static BACKCHANNEL_LOGOUT_CA_FILE: Setting<Option<&str>> = Setting::optional_text(
    "backchannel_logout.ca_file",
    "ca.pem",
    "Also trust the certificates in this file, for webhooks too. SSL_CERT_FILE names one to trust instead of the system's.",
);

pub(super) fn section() -> Section {
    Section {
        table: "tls",
        is_list: false,
        about: "A certificate of your own. Without it, a local certificate authority is made in the data folder: `vestibule ca` says how to trust it.",
        settings: vec![CERTIFICATE.facts(), KEY.facts()],
    }
}

pub(super) fn backchannel_logout_section() -> Section {
    Section {
        table: "backchannel_logout",
        is_list: false,
        about: "Notifying applications of the end of a session.",
        settings: vec![BACKCHANNEL_LOGOUT_CA_FILE.facts()],
    }
}

/// Certificate chain and private key, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

pub(super) fn read(source: &mut Source, base: &Path) -> Option<TlsFiles> {
    let certificate = read_file(source, base, &CERTIFICATE);
    let key = read_file(source, base, &KEY);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(TlsFiles { certificate, key }),
        (None, None) => None,
        _ => {
            source.problem(CERTIFICATE.key(), "and tls.key are needed together");
            None
        }
    }
}

pub(super) fn read_backchannel_logout_ca(source: &mut Source, base: &Path) -> Option<PathBuf> {
    read_file(source, base, &BACKCHANNEL_LOGOUT_CA_FILE)
}
