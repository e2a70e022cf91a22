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
