//! Where a request comes from, as far as limits tell sources apart.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// An IPv4 address, or the first 64 bits of an IPv6 address: whoever has one address of such a network has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SourceAddress(IpAddr);

impl From<IpAddr> for SourceAddress {
    fn from(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            ipv4 @ IpAddr::V4(_) => ipv4,
        })
    }
}

/// The proxies whose `X-Forwarded-For` is believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    /// An address or a network in CIDR notation (RFC 4632), such as `10.0.0.0/8`.
    pub fn parse(text: &str) -> Result<IpNet, &'static str> {
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse().ok().or_else(address).ok_or("must be an IP address or a network such as 10.0.0.0/8")
    }

    pub fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address.to_canonical()))
    }

    /// The address that a request came from which `peer` handed over. Each proxy appends whom it had the request from to
    /// `X-Forwarded-For`, so the list is read from its end, for as long as a trusted proxy vouches for it; what stands
    /// before that is anybody's to write.
    pub fn client<'a>(
        &self,
        peer: IpAddr,
        forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    ) -> IpAddr {
        let mut source = peer;
        let mut forwarded = forwarded_for.flat_map(|line| line.split(',')).rev();
        while self.trusts(source) {
            // Some proxies write a port too.
            let named = forwarded.next().map(str::trim);
            let named = named.and_then(|text| {
                text.parse::<IpAddr>().ok().or_else(|| Some(text.parse::<std::net::SocketAddr>().ok()?.ip()))
            });
            let Some(named) = named else { break };
            source = named;
        }
        source.to_canonical()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(trusted: &[&str], peer: &str, forwarded: &[&str]) -> SourceAddress {
        let proxies = TrustedProxies(trusted.iter().map(|t| TrustedProxies::parse(t).unwrap()).collect());
        proxies.client(peer.parse().unwrap(), forwarded.iter().copied()).into()
    }

    fn address(text: &str) -> SourceAddress {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn forwarded_addresses_are_believed_from_trusted_proxies_alone() {
        for (trusted, peer, forwarded, expected) in [
            (vec![], "192.0.2.1", vec!["198.51.100.7"], "192.0.2.1"),
            (vec!["10.0.0.0/8"], "192.0.2.1", vec!["198.51.100.7"], "192.0.2.1"),
            (vec!["10.0.0.0/8"], "10.1.2.3", vec!["198.51.100.7"], "198.51.100.7"),
            (vec!["10.0.0.0/8"], "::ffff:10.1.2.3", vec!["198.51.100.7:4711"], "198.51.100.7"),
            // What the visitor wrote stands first, and counts for nothing.
            (vec!["10.0.0.0/8"], "10.1.2.3", vec!["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            (vec!["10.0.0.0/8"], "10.1.2.3", vec!["203.0.113.9", "198.51.100.7, 10.9.9.9"], "198.51.100.7"),
            (vec!["10.0.0.1"], "10.0.0.1", vec!["x"], "10.0.0.1"),
            (vec!["10.0.0.1"], "10.0.0.1", vec![], "10.0.0.1"),
            (vec!["::1"], "::1", vec!["[2001:db8::1]:443"], "2001:db8::"),
        ] {
            assert_eq!(source(&trusted, peer, &forwarded), address(expected), "{peer} {forwarded:?}");
        }
        assert!(TrustedProxies::parse("10.0.0.0/33").is_err() && TrustedProxies::parse("proxy").is_err());
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        assert_eq!(address("2001:db8:1:2::1"), address("2001:db8:1:2:ffff::9"));
        assert_ne!(address("2001:db8:1:2::1"), address("2001:db8:1:3::1"));
        assert_eq!(address("::ffff:192.0.2.1"), address("192.0.2.1"));
        assert_ne!(address("192.0.2.1"), address("192.0.2.2"));
    }
}
