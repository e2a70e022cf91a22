//! TLS of the listener: the local authority's certificate, or one's own, read again when its files change.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::data_folder::DataFolderError;
use super::local_ca::{LocalCa, LocalCaError};
use crate::config::{Config, Database, TlsFiles};
use crate::domain::clock::{Clock, UnixMs};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    DataFolder(#[from] DataFolderError),
    #[error(transparent)]
    LocalCa(#[from] LocalCaError),
    #[error("cannot read {path}: {reason}")]
    Unreadable { path: PathBuf, reason: String },
    #[error("{0} has no certificate")]
    NoCertificate(PathBuf),
    #[error("the key in {key} does not belong to the certificate in {certificate}: {reason}")]
    Mismatch { certificate: PathBuf, key: PathBuf, reason: String },
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// Where certificate and key come from.
enum Origin {
    Own(TlsFiles),
    Local { ca: LocalCa, names: Vec<String> },
}

/// TLS, ready to accept connections.
pub struct Tls {
    pub acceptor: TlsAcceptor,
    current: Arc<Current>,
    origin: Origin,
    /// Holds the authority of a server that keeps nothing.
    _folder: Option<tempfile::TempDir>,
}

/// The certificate that new connections get.
#[derive(Debug)]
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Tls {
    pub fn open(config: &Config, now_ms: UnixMs) -> Result<Self, TlsError> {
        let mut folder = None;
        let origin = match &config.tls {
            Some(files) => Origin::Own(files.clone()),
            None => {
                let data_dir = match config.database {
                    // Applications may trust the data folder's authority already; else nothing is kept.
                    Database::Ephemeral if !LocalCa::exists(&config.data_dir) => {
                        let failed = |source| LocalCaError::File { path: std::env::temp_dir(), source };
                        let made = super::permissions::temporary_folder().map_err(failed)?;
                        folder.insert(made).path().to_owned()
                    }
                    // The embedded database's folder is looked after where it is opened.
                    Database::Sqlite => config.data_dir.clone(),
                    Database::Ephemeral | Database::Postgres { .. } => {
                        super::data_folder::prepare(config)?;
                        config.data_dir.clone()
                    }
                };
                let names = local_names(config);
                Origin::Local { ca: LocalCa::open_or_create(&data_dir, &names, now_ms)?, names }
            }
        };
        let current = Arc::new(Current(RwLock::new(Arc::new(load(&files_of(&origin, now_ms)?)?))));
        let mut server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(current.clone());
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(server)), current, origin, _folder: folder })
    }

    /// The authority that applications have to trust; `None` when the certificate is one's own.
    pub fn local_ca(&self) -> Option<&LocalCa> {
        match &self.origin {
            Origin::Own(_) => None,
            Origin::Local { ca, .. } => Some(ca),
        }
    }

    /// Reads the files again whenever they change, and renews the local leaf in time. A pair that does not work is
    /// reported, and the one before goes on.
    pub async fn keep_current(self: Arc<Self>, clock: Arc<dyn Clock>) {
        let mut seen = None;
        loop {
            // Disks may make whoever reads from them wait.
            let (tls, now_ms) = (self.clone(), clock.now_ms());
            seen =
                tokio::task::spawn_blocking(move || tls.look_again(seen, now_ms)).await.unwrap_or_default();
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Reads the files again where they are not as they were seen; returns how they are seen now. `None` as `seen`: what
    /// is there was just read.
    fn look_again(&self, seen: Option<Stamp>, now_ms: UnixMs) -> Option<Stamp> {
        let files = match files_of(&self.origin, now_ms) {
            Ok(files) => files,
            Err(error) => {
                tracing::error!(%error, "the TLS certificate cannot be renewed");
                return seen;
            }
        };
        let now = stamp(&files);
        if seen.as_ref().is_none_or(|seen| *seen == now) {
            return Some(now);
        }
        match load(&files) {
            Ok(key) => {
                *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
                tracing::info!(certificate = %files.certificate.display(), "TLS certificate read again");
                Some(now)
            }
            // Perhaps only one of the two files is written yet: it is looked at again.
            Err(error) => {
                tracing::warn!(%error, "the changed TLS certificate does not work; the old one stays");
                seen
            }
        }
    }
}

/// The names users and applications reach this server by.
pub fn local_names(config: &Config) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for url in &config.environment.public_urls {
        let host = url.host();
        if !names.contains(&host) {
            names.push(host);
        }
    }
    names
}

fn files_of(origin: &Origin, now_ms: UnixMs) -> Result<TlsFiles, LocalCaError> {
    match origin {
        Origin::Own(files) => Ok(files.clone()),
        Origin::Local { ca, names } => {
            let leaf = ca.leaf(names, now_ms)?;
            Ok(TlsFiles { certificate: leaf.clone(), key: leaf })
        }
    }
}

/// What tells that files changed: when each was written and how long it is.
type Stamp = Vec<Option<(std::time::SystemTime, u64)>>;

fn stamp(files: &TlsFiles) -> Stamp {
    let of = |path: &Path| {
        let about = std::fs::metadata(path).ok()?;
        Some((about.modified().ok()?, about.len()))
    };
    vec![of(&files.certificate), of(&files.key)]
}

fn load(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let TlsFiles { certificate, key } = files;
    let unreadable = |path: &Path, reason: String| TlsError::Unreadable { path: path.to_owned(), reason };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unreadable(certificate, error.to_string()))?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(certificate.clone()));
    }
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(key, error.to_string()))?;
    CertifiedKey::from_der(chain, secret, &aws_lc_rs::default_provider()).map_err(|error| {
        TlsError::Mismatch { certificate: certificate.clone(), key: key.clone(), reason: error.to_string() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> = ["a", "b"]
            .iter()
            .map(|name| {
                let names = ["localhost".to_owned()];
                let ca =
                    LocalCa::open_or_create(&folder.path().join(name), &names, 1_790_000_000_000).unwrap();
                ca.leaf(&names, 1_790_000_000_000).unwrap()
            })
            .collect();
        let files = |certificate: usize, key: usize| TlsFiles {
            certificate: paths[certificate].clone(),
            key: paths[key].clone(),
        };
        assert!(load(&files(0, 0)).is_ok());
        assert!(matches!(load(&files(0, 1)), Err(TlsError::Mismatch { .. })));
        let empty = folder.path().join("empty.pem");
        std::fs::write(&empty, "").unwrap();
        let nothing = TlsFiles { certificate: empty.clone(), key: paths[0].clone() };
        assert!(matches!(load(&nothing), Err(TlsError::NoCertificate(_))));
    }
}
