//! Posting to applications, for back-channel logout and webhooks: who is trusted, where to, and why there is no response.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use rustls::CertificateError;
use url::{Host, Url};

use crate::domain::webhook::refused_address;

/// Certificates to trust beside the system's, from a PEM file.
///
/// # Errors
/// When the file cannot be read, or holds no certificate.
pub fn read_roots(path: &Path) -> io::Result<Vec<reqwest::Certificate>> {
    let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidData, text);
    let roots =
        reqwest::Certificate::from_pem_bundle(&std::fs::read(path)?).map_err(|e| invalid(e.to_string()))?;
    if roots.is_empty() { Err(invalid("it holds no certificate".to_owned())) } else { Ok(roots) }
}

/// A client for applications that respond within a time. Redirects are not followed: what is sent is for the registered
/// address alone. With `public_addresses`, names are connected to only by the addresses that it found and checked.
pub(super) fn http_client(
    roots: &[reqwest::Certificate],
    within: Duration,
    public_addresses: Option<PublicAddresses>,
) -> Result<reqwest::Client, reqwest::Error> {
    let client = reqwest::Client::builder()
        .tls_certs_merge(roots.iter().cloned())
        .timeout(within)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    match public_addresses {
        Some(resolver) => client.dns_resolver(Arc::new(resolver)).build(),
        None => client.build(),
    }
}

/// A client that is made when it is needed: reading the machine's certificates takes longer than a start should.
#[derive(Default)]
pub(super) struct LazyClient(OnceLock<reqwest::Client>);

impl LazyClient {
    /// The client that [`http_client`] makes of this.
    pub(super) fn get(
        &self,
        roots: &[reqwest::Certificate],
        within: Duration,
        public_addresses: Option<PublicAddresses>,
    ) -> Result<&reqwest::Client, reqwest::Error> {
        match self.0.get() {
            Some(client) => Ok(client),
            None => {
                let made = http_client(roots, within, public_addresses)?;
                Ok(self.0.get_or_init(|| made))
            }
        }
    }
}

/// A host that may not be sent to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{host} has {kind}, which production mode refuses: allow the host in delivery.allowed_hosts, or use a public one"
)]
pub(super) struct RefusedHost {
    host: String,
    /// What its address is of.
    kind: &'static str,
}

/// Finds the addresses of names, and refuses names with addresses that are not public. The client connects to the addresses
/// that were checked, so that nothing can change in between (DNS rebinding).
#[derive(Clone)]
pub(super) struct PublicAddresses {
    /// Hosts, in small letters, whose addresses may be any.
    pub(super) allowed_hosts: Arc<[String]>,
}

impl PublicAddresses {
    fn check(&self, host: &str, addresses: &[SocketAddr]) -> Result<(), RefusedHost> {
        if self.allowed_hosts.iter().any(|allowed| allowed == host) {
            return Ok(());
        }
        match addresses.iter().find_map(|address| refused_address(address.ip())) {
            Some(kind) => Err(RefusedHost { host: host.to_owned(), kind }),
            None => Ok(()),
        }
    }

    /// Checks a URL whose host is an address: no name is resolved for it.
    pub(super) fn check_literal(&self, url: &Url) -> Result<(), RefusedHost> {
        let address: IpAddr = match url.host() {
            Some(Host::Ipv4(ip)) => ip.into(),
            Some(Host::Ipv6(ip)) => ip.into(),
            Some(Host::Domain(_)) | None => return Ok(()),
        };
        self.check(url.host_str().unwrap_or_default(), &[SocketAddr::new(address, 0)])
    }
}

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let host = name.as_str().to_ascii_lowercase();
            // The client puts the URL's port in place of 0.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            resolver.check(&host, &found)?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// What failed, and what to do about it.
pub(super) fn why_no_answer(error: &reqwest::Error, uri: &str, within: Duration) -> String {
    let url = Url::parse(uri).ok();
    let host = url.as_ref().and_then(Url::host_str).unwrap_or_default();
    let port = url.as_ref().and_then(Url::port_or_known_default).unwrap_or_default();
    let mut chain: Vec<&(dyn Error + 'static)> = vec![];
    let mut next = error.source();
    while let Some(cause) = next {
        chain.push(cause);
        next = cause.source();
    }
    if error.is_timeout() {
        return format!("no answer within {} s", within.as_secs());
    }
    if let Some(refused) = chain.iter().find_map(|e| e.downcast_ref::<RefusedHost>()) {
        return refused.to_string();
    }
    if let Some(refusal) = chain.iter().find_map(|e| of_tls(*e)) {
        return why_no_tls(refusal, host);
    }
    if !error.is_connect() {
        return "the answer broke off".to_owned();
    }
    let kind = chain.iter().find_map(|e| e.downcast_ref::<io::Error>()).map(io::Error::kind);
    if kind == Some(io::ErrorKind::ConnectionRefused) {
        format!("connection refused: nothing listens at {host}:{port}")
    } else if chain.iter().any(|e| e.to_string().contains("dns error")) {
        format!("no address is known for {host}")
    } else {
        format!("no connection: {}", chain.last().map_or_else(|| error.to_string(), ToString::to_string))
    }
}

/// The TLS error in an error; it may be wrapped in several of I/O, which do not name it as their source.
fn of_tls<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e rustls::Error> {
    let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref::<rustls::Error>().or_else(|| of_tls(inner?))
}

fn why_no_tls(error: &rustls::Error, host: &str) -> String {
    use CertificateError as Bad;
    match error {
        rustls::Error::InvalidCertificate(Bad::UnknownIssuer) => {
            "the certificate is not trusted: name a file with its issuer in backchannel_logout.ca_file, or in \
             SSL_CERT_FILE"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            format!("the certificate is for another name than {host}")
        }
        rustls::Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => {
            "the certificate has expired".to_owned()
        }
        other => format!("no TLS connection: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_said_in_words() {
        for (bad, words) in [
            (CertificateError::UnknownIssuer, "backchannel_logout.ca_file"),
            (CertificateError::NotValidForName, "another name than runtime.example.com"),
            (CertificateError::Expired, "expired"),
            (CertificateError::BadEncoding, "no TLS connection"),
        ] {
            let error = rustls::Error::InvalidCertificate(bad);
            // As tokio and hyper wrap it.
            let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, error));
            let said = why_no_tls(of_tls(&wrapped).unwrap(), "runtime.example.com");
            assert!(said.contains(words), "{said}");
        }
        assert!(of_tls(&io::Error::from(io::ErrorKind::ConnectionRefused)).is_none());
    }

    fn resolver() -> PublicAddresses {
        PublicAddresses { allowed_hosts: Arc::from(["app.internal".to_owned(), "10.0.0.1".to_owned()]) }
    }

    #[test]
    fn addresses_that_are_written_down_are_checked_like_those_that_are_found() {
        let check = |url: &str| resolver().check_literal(&Url::parse(url).unwrap());
        for refused in
            ["https://127.0.0.1/", "https://0x7f.1/", "https://[::1]:8443/", "https://169.254.169.254/"]
        {
            let said = check(refused).unwrap_err().to_string();
            assert!(said.contains("delivery.allowed_hosts"), "{said}");
        }
        for allowed in ["https://10.0.0.1/", "https://1.1.1.1/", "https://app.example.com/"] {
            assert_eq!(check(allowed), Ok(()), "{allowed}");
        }
    }

    #[test]
    fn one_address_that_is_not_public_refuses_the_name() {
        let public: SocketAddr = "1.1.1.1:0".parse().unwrap();
        let private: SocketAddr = "10.0.0.7:0".parse().unwrap();
        assert_eq!(resolver().check("app.example.com", &[public]), Ok(()));
        let refused = resolver().check("app.example.com", &[public, private]);
        assert_eq!(refused, Err(RefusedHost { host: "app.example.com".into(), kind: "a private address" }));
        assert_eq!(resolver().check("app.internal", &[private]), Ok(()));
    }

    #[tokio::test]
    async fn a_name_of_this_machine_is_refused_before_anything_connects() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let within = Duration::from_secs(5);
        let client = http_client(&[], within, Some(resolver())).unwrap();
        let error = client.post(&url).send().await.unwrap_err();
        let said = why_no_answer(&error, &url, within);
        assert!(said.starts_with("localhost has a loopback address"), "{said}");
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody connected");
    }
}
