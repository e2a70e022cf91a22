//! The sockets that an address stands for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};

use super::ServeError;
use crate::config::ListenAddress;

/// What `localhost` is. Resolvers give either first.
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// How often another free port is looked for, where it is free on one of the two only.
const ATTEMPTS: usize = 100;

/// Listens: at one address, or for `localhost` at all that this machine has of 127.0.0.1 and `::1`, on the same port.
/// Names are resolved here, so call it where blocking is allowed.
///
/// # Errors
/// When an address is taken, not of this machine, or unknown.
pub fn listen(address: &ListenAddress) -> Result<Vec<TcpListener>, ServeError> {
    if !address.is_localhost() {
        return Ok(vec![bind((address.host.as_str(), address.port), address)?]);
    }
    let mut attempt = 1;
    loop {
        match listen_on_loopback(address.port) {
            Err(ServeError::Listen { source, .. })
                if source.kind() == io::ErrorKind::AddrInUse && address.port == 0 && attempt < ATTEMPTS =>
            {
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

fn listen_on_loopback(port: u16) -> Result<Vec<TcpListener>, ServeError> {
    let here: Vec<IpAddr> = LOOPBACK.into_iter().filter(|ip| UdpSocket::bind((*ip, 0)).is_ok()).collect();
    let mut listeners: Vec<TcpListener> = vec![];
    for ip in if here.is_empty() { LOOPBACK.to_vec() } else { here } {
        let port = match listeners.first() {
            Some(first) => first.local_addr().map_err(ServeError::Io)?.port(),
            None => port,
        };
        let address = ListenAddress { host: ip.to_string(), port };
        listeners.push(bind(SocketAddr::from((ip, port)), &address)?);
    }
    Ok(listeners)
}

fn bind(to: impl std::net::ToSocketAddrs, address: &ListenAddress) -> Result<TcpListener, ServeError> {
    let failed = |source| ServeError::Listen { address: address.to_string(), source };
    let listener = TcpListener::bind(to).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}

/// Where sockets really are.
pub(super) fn addresses(listeners: &[TcpListener]) -> io::Result<Vec<SocketAddr>> {
    listeners.iter().map(TcpListener::local_addr).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_both() -> bool {
        LOOPBACK.into_iter().all(|ip| UdpSocket::bind((ip, 0)).is_ok())
    }

    #[test]
    fn localhost_is_both_loopback_addresses_on_one_port() {
        let listeners = listen(&ListenAddress { host: "localhost".into(), port: 0 }).unwrap();
        let found = addresses(&listeners).unwrap();
        assert_eq!(found.len(), if has_both() { 2 } else { 1 });
        assert!(found.iter().all(|a| a.port() == found[0].port() && a.ip().is_loopback()), "{found:?}");
        let one = listen(&ListenAddress { host: "127.0.0.1".into(), port: 0 }).unwrap();
        assert_eq!(one.len(), 1);
    }

    #[test]
    fn a_port_that_is_taken_on_the_second_address_is_named_with_it() {
        if !has_both() {
            return;
        }
        let taken = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = listen(&ListenAddress { host: "localhost".into(), port }).unwrap_err().to_string();
        // Somebody may have taken the first of the two meanwhile.
        assert!(error.contains(&format!(":{port}")) && error.contains("--listen"), "{error}");
    }
}
