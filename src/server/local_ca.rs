//! The certificate authority of one's own machine, made on first use in the data folder, so that TLS works without a
//! step. Applications trust `ca.pem`; nobody else can, since its key never leaves the folder.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use time::OffsetDateTime;

use super::{data_folder, files, permissions};
use crate::domain::clock::UnixMs;

const DAY_MS: i64 = 86_400_000;
const CA_LIFETIME_MS: i64 = 730 * DAY_MS;

/// The authority's certificate is made anew when it has less than this left: users have to trust the new one by then.
const RENEW_CA_BEFORE_MS: i64 = 60 * DAY_MS;

/// Browsers refuse leaves that live longer than 398 days.
const LEAF_LIFETIME_MS: i64 = 397 * DAY_MS;

/// A leaf is made anew when it has less than this left.
const RENEW_BEFORE_MS: i64 = 30 * DAY_MS;

/// Clocks of other machines may be behind.
const BACKDATED_MS: i64 = DAY_MS;

/// How PEM files of ours end (RFC 7468 §2).
const CERTIFICATE_END: &str = "-----END CERTIFICATE-----";
const KEY_END: &str = "-----END PRIVATE KEY-----";

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
    #[error(
        "the key of the local authority in {} is damaged: {reason}. Remove the folder {}: a new authority is made, which applications have to trust anew",
        path.display(), path.parent().unwrap_or(path).display()
    )]
    DamagedKey { path: PathBuf, reason: String },
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
    /// The authority of a data folder for these names, and for no others; made when it is not there yet.
    pub fn open_or_create(data_dir: &Path, names: &[String], now_ms: UnixMs) -> Result<Self, LocalCaError> {
        let folder = data_dir.join("tls");
        permissions::make_folder(&folder)
            .and_then(|()| permissions::restrict_folder(&folder))
            .and_then(|()| data_folder::keep_files_private(&folder))
            .map_err(|source| LocalCaError::File { path: folder.clone(), source })?;
        let ca = Self { folder };
        if !ca.key_file().exists() {
            create(&ca.key_file(), &KeyPair::generate()?.serialize_pem())?;
        }
        ca.keep_current(names, now_ms)?;
        ca.write_bundle()?;
        Ok(ca)
    }

    /// The authority of a data folder, where there is one; nothing is made or renewed.
    pub fn existing(data_dir: &Path) -> Option<Self> {
        Self::exists(data_dir).then(|| Self { folder: data_dir.join("tls") })
    }

    /// Makes the certificate anew, by the same key, where it lacks a name or its time runs out. Names that it had stay:
    /// another command of the same folder may need them.
    fn keep_current(&self, names: &[String], now_ms: UnixMs) -> Result<(), LocalCaError> {
        let names: Vec<String> =
            names.iter().filter(|name| name.parse::<IpAddr>().is_err()).cloned().collect();
        let note = self.folder.join("ca.txt");
        let text = std::fs::read_to_string(&note).unwrap_or_default();
        let known: Vec<&str> = text.lines().skip(1).collect();
        let is_whole = names.iter().all(|n| known.contains(&n.as_str()));
        let is_there = ends_with(&self.file(), CERTIFICATE_END);
        if is_there && is_whole && expiry(&text) - now_ms > RENEW_CA_BEFORE_MS {
            return Ok(());
        }
        let mut all = names.clone();
        all.extend(known.iter().filter(|k| !names.iter().any(|n| n == *k)).map(|&k| k.to_owned()));
        let (key, expires_at_ms) = (self.key()?, now_ms + CA_LIFETIME_MS);
        let mut params = ca_params(&key, now_ms)?;
        params.name_constraints = Some(permitting(&all));
        replace(&self.file(), &params.self_signed(&key)?.pem())?;
        replace(&note, &format!("{expires_at_ms}\n{}\n", all.join("\n")))?;
        self.write_bundle()?;
        if is_there {
            tracing::warn!(
                ca_file = %self.file().display(),
                why = if is_whole { "it would have expired" } else { "a name was added to public_urls" },
                "the local authority has a new certificate: who trusts it by a copy has to trust the new one (vestibule ca)"
            );
        }
        Ok(())
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
        let path = self.key_file();
        KeyPair::from_pem(&read(&path)?)
            .map_err(|error| LocalCaError::DamagedKey { path: absolute(&path), reason: error.to_string() })
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
        self.keep_current(names, now_ms)?;
        let (leaf, note) = (self.folder.join("leaf.pem"), self.folder.join("leaf.txt"));
        if ends_with(&leaf, KEY_END)
            && is_fresh(&std::fs::read_to_string(&note).unwrap_or_default(), names, now_ms)
        {
            return Ok(leaf);
        }
        let expires_at_ms = now_ms + LEAF_LIFETIME_MS;
        // One file, so that certificate and key always belong together.
        replace(&leaf, &self.sign_leaf(names, now_ms, expires_at_ms)?)?;
        replace(&note, &format!("{expires_at_ms}\n{}\n", names.join("\n")))?;
        Ok(leaf)
    }

    /// Certificate and key, PEM.
    fn sign_leaf(
        &self,
        names: &[String],
        now_ms: UnixMs,
        expires_at_ms: UnixMs,
    ) -> Result<String, LocalCaError> {
        let ca_key = self.key()?;
        let issuer = Issuer::new(ca_params(&ca_key, now_ms)?, ca_key);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, names.first().map_or("localhost", String::as_str));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = moment(now_ms - BACKDATED_MS)?;
        params.not_after = moment(expires_at_ms)?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(format!("{}{}", certificate.pem(), key.serialize_pem()))
    }
}

/// Is the file there to its end? A power cut may leave half of one, or none of it under its name.
fn ends_with(path: &Path, end: &str) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| text.trim_end().ends_with(end))
}

/// Does the note beside a leaf promise these names for long enough?
fn is_fresh(note: &str, names: &[String], now_ms: UnixMs) -> bool {
    expiry(note) - now_ms > RENEW_BEFORE_MS && note.lines().skip(1).eq(names.iter())
}

/// When the certificate beside a note expires.
fn expiry(note: &str) -> UnixMs {
    note.lines().next().and_then(|line| line.parse().ok()).unwrap_or_default()
}

/// What certificates may be for (RFC 5280 §4.2.1.10): these names and those below them. A host that trusts the authority
/// trusts it for no other name. Addresses are not constrained: gRPC's C core, which Python's SDK uses, refuses every
/// certificate of an authority that constrains them (BoringSSL: "unsupported name constraint type").
fn permitting(names: &[String]) -> NameConstraints {
    let permitted_subtrees = names.iter().cloned().map(GeneralSubtree::DnsName).collect();
    NameConstraints { permitted_subtrees, excluded_subtrees: vec![] }
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

/// Writes a file; one that another process made meanwhile stands.
fn create(path: &Path, text: &str) -> Result<(), LocalCaError> {
    files::create(path, text).map_err(|source| LocalCaError::File { path: path.to_owned(), source })
}

/// Writes a file over whatever stands there.
fn replace(path: &Path, text: &str) -> Result<(), LocalCaError> {
    files::replace(path, text).map_err(|source| LocalCaError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, UnixTime};

    use super::*;

    const NOW_MS: i64 = 1_790_000_000_000;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|&n| n.to_owned()).collect()
    }

    fn open(data: &tempfile::TempDir, list: &[&str], now_ms: i64) -> LocalCa {
        LocalCa::open_or_create(data.path(), &names(list), now_ms).unwrap()
    }

    /// Would a client that trusts this authority believe a certificate for a name?
    fn is_believed(ca_pem: &str, leaf_pem: &str, name: &str, now_ms: i64) -> bool {
        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate(ca_pem)).unwrap();
        let registry = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), registry).build().unwrap();
        let at = UnixTime::since_unix_epoch(std::time::Duration::from_millis(now_ms.unsigned_abs()));
        let name = name.to_owned().try_into().unwrap();
        verifier.verify_server_cert(&certificate(leaf_pem), &[], &name, &[], at).is_ok()
    }

    #[test]
    fn authority_and_leaf_stay_until_names_or_time_ask_for_another() {
        let data = tempfile::tempdir().unwrap();
        let local = ["localhost", "127.0.0.1"];
        let ca = open(&data, &local, NOW_MS);
        let first_ca = read(&ca.file()).unwrap();
        let leaf = ca.leaf(&names(&local), NOW_MS).unwrap();
        let first = read(&leaf).unwrap();

        let again = open(&data, &local, NOW_MS + DAY_MS);
        assert_eq!(read(&again.file()).unwrap(), first_ca);
        again.leaf(&names(&local), NOW_MS + DAY_MS).unwrap();
        assert_eq!(read(&leaf).unwrap(), first, "nothing changed, so the leaf stays");

        let more = names(&["localhost", "127.0.0.1", "vestibule"]);
        again.leaf(&more, NOW_MS).unwrap();
        let (renamed, second_ca) = (read(&leaf).unwrap(), read(&ca.file()).unwrap());
        assert!(renamed != first && second_ca != first_ca, "a name was added");
        assert!(is_believed(&second_ca, &renamed, "vestibule", NOW_MS));
        assert!(read(&ca.bundle_file()).unwrap().starts_with(&second_ca));

        again.leaf(&more, NOW_MS + 370 * DAY_MS).unwrap();
        assert_ne!(read(&leaf).unwrap(), renamed, "time ran out");
        open(&data, &local, NOW_MS + 370 * DAY_MS);
        assert_eq!(read(&ca.file()).unwrap(), second_ca, "a command without the name takes it from nobody");
    }

    #[test]
    fn the_authority_is_renewed_in_time_and_clients_that_trust_the_old_one_go_on() {
        let data = tempfile::tempdir().unwrap();
        let local = names(&["localhost"]);
        let ca = open(&data, &["localhost"], NOW_MS);
        let first = read(&ca.file()).unwrap();
        // A server that runs looks every second.
        let later_ms = NOW_MS + 671 * DAY_MS;
        let leaf = read(&ca.leaf(&local, later_ms).unwrap()).unwrap();
        let second = read(&ca.file()).unwrap();
        assert_ne!(first, second);
        assert!(
            is_believed(&first, &leaf, "localhost", later_ms)
                && is_believed(&second, &leaf, "localhost", later_ms)
        );
        let expired_ms = NOW_MS + 731 * DAY_MS;
        let leaf = read(&ca.leaf(&local, expired_ms).unwrap()).unwrap();
        assert!(is_believed(&second, &leaf, "localhost", expired_ms));
    }

    #[test]
    fn who_trusts_the_authority_trusts_it_for_no_other_name() {
        let data = tempfile::tempdir().unwrap();
        let ca = open(&data, &["localhost", "127.0.0.1", "::1", "vestibule"], NOW_MS);
        let root = read(&ca.file()).unwrap();
        for (name, is_ours) in [
            ("localhost", true),
            ("shop.localhost", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("vestibule", true),
            ("bank.example.com", false),
            // No constraint on addresses, or gRPC's C core would believe none of the above.
            ("192.0.2.1", true),
        ] {
            // As a thief of the key would sign.
            let leaf = ca.sign_leaf(&names(&[name]), NOW_MS, NOW_MS + DAY_MS).unwrap();
            assert_eq!(is_believed(&root, &leaf, name, NOW_MS), is_ours, "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;

        let data = tempfile::tempdir().unwrap();
        let ca = open(&data, &["localhost"], NOW_MS);
        let leaf = ca.leaf(&names(&["localhost"]), NOW_MS).unwrap();
        for path in [ca.key_file(), leaf] {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        }
    }

    #[test]
    fn half_written_certificates_are_made_anew_and_a_half_written_key_is_named() {
        let data = tempfile::tempdir().unwrap();
        let ca = LocalCa::open_or_create(data.path(), &names(&["localhost"]), NOW_MS).unwrap();
        let leaf = ca.leaf(&names(&["localhost"]), NOW_MS).unwrap();
        let cut = |path: &Path| {
            let text = read(path).unwrap();
            std::fs::write(path, &text[..text.len() / 2]).unwrap();
        };
        for path in [&ca.file(), &leaf] {
            cut(path);
            let again = LocalCa::open_or_create(data.path(), &names(&["localhost"]), NOW_MS).unwrap();
            again.leaf(&names(&["localhost"]), NOW_MS).unwrap();
            assert!(read(path).unwrap().trim_end().ends_with("-----"), "{path:?}");
        }
        cut(&ca.key_file());
        std::fs::remove_file(ca.file()).unwrap();
        let error =
            LocalCa::open_or_create(data.path(), &names(&["localhost"]), NOW_MS).err().unwrap().to_string();
        assert!(error.contains("tls/ca.key is damaged") && error.contains("Remove the folder"), "{error}");
    }

    #[test]
    fn the_bundle_holds_ours_and_the_systems() {
        let data = tempfile::tempdir().unwrap();
        let ca = open(&data, &["localhost"], NOW_MS);
        let bundle = read(&ca.bundle_file()).unwrap();
        assert!(bundle.starts_with(&read(&ca.file()).unwrap()));
        if Path::new(SYSTEM_BUNDLES[0]).exists() {
            assert!(bundle.matches("BEGIN CERTIFICATE").count() > 1);
        }
    }
}
