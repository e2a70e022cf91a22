//! The certificate authority of one's own machine, made on first use in the data folder, so that TLS works without a
//! step. Applications trust `ca.pem`; nobody else can, since its key never leaves the folder.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::OffsetDateTime;

use super::data_folder;
use crate::domain::clock::UnixMs;

const DAY_MS: i64 = 86_400_000;
const CA_LIFETIME_MS: i64 = 3650 * DAY_MS;

/// Browsers refuse leaves that live longer than 398 days.
const LEAF_LIFETIME_MS: i64 = 397 * DAY_MS;

/// A leaf is made anew when it has less than this left.
const RENEW_BEFORE_MS: i64 = 30 * DAY_MS;

/// Clocks of other machines may be behind.
const BACKDATED_MS: i64 = DAY_MS;

/// Where systems keep the certificates they trust.
const SYSTEM_BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

#[derive(Debug, thiserror::Error)]
pub enum LocalCaError {
    #[error("cannot use {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("the time is out of range for a certificate")]
    Time,
}

/// The files of a local authority.
#[derive(Debug, Clone)]
pub struct LocalCa {
    folder: PathBuf,
}

impl LocalCa {
    /// The authority of a data folder; made when it is not there yet.
    pub fn open_or_create(data_dir: &Path, now_ms: UnixMs) -> Result<Self, LocalCaError> {
        let folder = data_dir.join("tls");
        data_folder::make_private(&folder)
            .and_then(|()| std::fs::set_permissions(&folder, Permissions::from_mode(0o700)))
            .and_then(|()| data_folder::keep_files_private(&folder))
            .map_err(|source| LocalCaError::File { path: folder.clone(), source })?;
        let ca = Self { folder };
        if !ca.key_file().exists() {
            create(&ca.key_file(), &KeyPair::generate()?.serialize_pem())?;
        }
        if !ca.file().exists() {
            let key = ca.key()?;
            create(&ca.file(), &ca_params(&key, now_ms)?.self_signed(&key)?.pem())?;
        }
        ca.write_bundle()?;
        Ok(ca)
    }

    /// Is there one already?
    pub fn exists(data_dir: &Path) -> bool {
        data_dir.join("tls").join("ca.pem").exists()
    }

    /// The certificate to trust, PEM.
    pub fn file(&self) -> PathBuf {
        absolute(&self.folder.join("ca.pem"))
    }

    /// That certificate together with those the system trusts: for variables that replace the system's.
    pub fn bundle_file(&self) -> PathBuf {
        absolute(&self.folder.join("bundle.pem"))
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("ca.key")
    }

    fn key(&self) -> Result<KeyPair, LocalCaError> {
        Ok(KeyPair::from_pem(&read(&self.key_file())?)?)
    }

    fn write_bundle(&self) -> Result<(), LocalCaError> {
        let ours = read(&self.file())?;
        let systems = SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read_to_string(path).ok());
        let bundle = format!("{ours}{}", systems.unwrap_or_default());
        if std::fs::read_to_string(self.bundle_file()).ok().as_ref() == Some(&bundle) {
            return Ok(());
        }
        replace(&self.bundle_file(), &bundle)
    }

    /// Certificate and key, PEM in one file, for these names; made anew when the names changed or time runs out.
    pub fn leaf(&self, names: &[String], now_ms: UnixMs) -> Result<PathBuf, LocalCaError> {
        let (leaf, note) = (self.folder.join("leaf.pem"), self.folder.join("leaf.txt"));
        if leaf.exists() && is_fresh(&std::fs::read_to_string(&note).unwrap_or_default(), names, now_ms) {
            return Ok(leaf);
        }
        let ca_key = self.key()?;
        let issuer = Issuer::new(ca_params(&ca_key, now_ms)?, ca_key);
        let key = KeyPair::generate()?;
        let expires_at_ms = now_ms + LEAF_LIFETIME_MS;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("localhost", String::as_str));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = moment(now_ms - BACKDATED_MS)?;
        params.not_after = moment(expires_at_ms)?;
        let certificate = params.signed_by(&key, &issuer)?;
        // One file, so that certificate and key always belong together.
        replace(&leaf, &format!("{}{}", certificate.pem(), key.serialize_pem()))?;
        replace(&note, &format!("{expires_at_ms}\n{}\n", names.join("\n")))?;
        Ok(leaf)
    }
}

/// Does the note beside a leaf promise these names for long enough?
fn is_fresh(note: &str, names: &[String], now_ms: UnixMs) -> bool {
    let mut lines = note.lines();
    let expires_at_ms: i64 = lines.next().and_then(|l| l.parse().ok()).unwrap_or_default();
    expires_at_ms - now_ms > RENEW_BEFORE_MS && lines.eq(names.iter())
}

/// Everything about the authority follows from its key, so that a leaf can be signed without parsing `ca.pem`.
fn ca_params(key: &KeyPair, now_ms: UnixMs) -> Result<CertificateParams, LocalCaError> {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(key.public_key_raw());
    let short: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    // Two machines' authorities must not look alike in a trust store.
    params.distinguished_name.push(DnType::CommonName, format!("Vestibule local CA {short}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = moment(now_ms - BACKDATED_MS)?;
    params.not_after = moment(now_ms + CA_LIFETIME_MS)?;
    Ok(params)
}

fn moment(at_ms: UnixMs) -> Result<OffsetDateTime, LocalCaError> {
    OffsetDateTime::from_unix_timestamp(at_ms / 1000).map_err(|_| LocalCaError::Time)
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

fn read(path: &Path) -> Result<String, LocalCaError> {
    std::fs::read_to_string(path).map_err(|source| LocalCaError::File { path: path.to_owned(), source })
}

/// Writes a file that nobody else may read, in one step; one that another process made meanwhile stands.
fn create(path: &Path, text: &str) -> Result<(), LocalCaError> {
    write(path, text, |file| match file.persist_noclobber(path) {
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.map(drop).map_err(|e| e.error),
    })
}

/// Like [`create`], over whatever stands there.
fn replace(path: &Path, text: &str) -> Result<(), LocalCaError> {
    write(path, text, |file| file.persist(path).map(drop).map_err(|e| e.error))
}

/// Temporary files are readable by their owner alone (0600).
fn write(
    path: &Path,
    text: &str,
    persist: impl FnOnce(tempfile::NamedTempFile) -> io::Result<()>,
) -> Result<(), LocalCaError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        persist(file)
    });
    written.map_err(|source| LocalCaError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&n| n.to_owned()).collect()
    }

    #[test]
    fn authority_and_leaf_stay_until_names_or_time_ask_for_another() {
        let data = tempfile::tempdir().unwrap();
        let ca = LocalCa::open_or_create(data.path(), NOW_MS).unwrap();
        let first_ca = read(&ca.file()).unwrap();
        let leaf = ca.leaf(&names(&["localhost", "127.0.0.1"]), NOW_MS).unwrap();
        let first = read(&leaf).unwrap();

        let again = LocalCa::open_or_create(data.path(), NOW_MS + DAY_MS).unwrap();
        assert_eq!(read(&again.file()).unwrap(), first_ca);
        again.leaf(&names(&["localhost", "127.0.0.1"]), NOW_MS + DAY_MS).unwrap();
        assert_eq!(read(&leaf).unwrap(), first, "nothing changed, so the leaf stays");

        again.leaf(&names(&["localhost", "127.0.0.1", "vestibule"]), NOW_MS).unwrap();
        let renamed = read(&leaf).unwrap();
        assert_ne!(renamed, first, "a name was added");
        again.leaf(&names(&["localhost", "127.0.0.1", "vestibule"]), NOW_MS + 370 * DAY_MS).unwrap();
        assert_ne!(read(&leaf).unwrap(), renamed, "time ran out");
        assert_eq!(read(&again.file()).unwrap(), first_ca, "who trusts the authority trusts all of them");
    }

    #[test]
    fn keys_are_for_their_owner_alone() {
        let data = tempfile::tempdir().unwrap();
        let ca = LocalCa::open_or_create(data.path(), NOW_MS).unwrap();
        let leaf = ca.leaf(&names(&["localhost"]), NOW_MS).unwrap();
        for path in [ca.key_file(), leaf] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        }
    }

    #[test]
    fn the_bundle_holds_ours_and_the_systems() {
        let data = tempfile::tempdir().unwrap();
        let ca = LocalCa::open_or_create(data.path(), NOW_MS).unwrap();
        let bundle = read(&ca.bundle_file()).unwrap();
        assert!(bundle.starts_with(&read(&ca.file()).unwrap()));
        if Path::new(SYSTEM_BUNDLES[0]).exists() {
            assert!(bundle.matches("BEGIN CERTIFICATE").count() > 1);
        }
    }
}
