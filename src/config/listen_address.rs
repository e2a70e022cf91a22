//! Where to listen.

use std::fmt;
use std::net::IpAddr;

/// The port when none is configured: OTP and a zero on a telephone's keys.
pub const DEFAULT_PORT: u16 = 6870;

/// Where to listen. The host is a name or an address; port 0 takes any free one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    pub host: String,
    pub port: u16,
}

impl Default for ListenAddress {
    fn default() -> Self {
        Self { host: "localhost".to_owned(), port: DEFAULT_PORT }
    }
}

impl ListenAddress {
    /// Parses `HOST:PORT`; an IPv6 address stands in brackets. A port alone is one of `localhost`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let wrong = "must be HOST:PORT, such as localhost:6870, or a port";
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let (host, port) = match text.rsplit_once(':') {
            Some(parts) => parts,
            None if is_number(text) => ("localhost", text),
            None => return Err(wrong),
        };
        let is_number = is_number(port);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_one_of_localhost() {
        let address = |text: &str| ListenAddress::parse(text).map(|address| address.to_string());
        assert_eq!(address("7000"), Ok("localhost:7000".to_owned()));
        assert_eq!(address("[::1]:7000"), Ok("[::1]:7000".to_owned()));
        assert!(address("70000").unwrap_err().contains("0 to 65535"));
        for wrong in ["", ":7000", "localhost", "localhost:", "7000a"] {
            assert!(address(wrong).unwrap_err().contains("HOST:PORT"), "{wrong}");
        }
    }
}
