//! Hosts and origins of requests, as browsers name them.

use std::net::IpAddr;

use url::Url;

/// Zones that public DNS does not serve (RFC 6761, RFC 6762, and ICANN's reservation of `.internal`).
const PRIVATE_ZONES: [&str; 4] = [".localhost", ".test", ".internal", ".local"];

/// The host of an authority (`host[:port]`, RFC 3986 §3.2): small letters, without port, brackets and the root's dot.
pub fn host_of(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    };
    let host = host.strip_prefix('[').map_or(host, |h| h.trim_end_matches(']'));
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Is it a name or address of this machine alone? Browsers resolve `localhost` and what is below it by themselves
/// (RFC 6761 §6.3).
pub fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// Can a stranger register this name and point it at our address? That is DNS rebinding: a page of theirs then has the
/// same origin as this server. Addresses, names without a dot and those of private zones are nobody's to register.
pub fn can_be_rebound(host: &str) -> bool {
    host.contains('.')
        && host.parse::<IpAddr>().is_err()
        && !PRIVATE_ZONES.iter().any(|zone| host.ends_with(zone))
}

/// Is it a name or address that leads nowhere beyond one's own networks? A link to it in an email cannot lead to a stranger
/// who forged the `Host` of a request.
pub fn is_private(host: &str) -> bool {
    match host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
        Err(_) => !host.is_empty() && !can_be_rebound(host),
    }
}

/// Scheme, host and port of a URL or of an `Origin` header (RFC 6454 §4), default ports filled in. `None` for the
/// opaque origin, `null`.
pub fn origin_of(url: &str) -> Option<url::Origin> {
    Some(Url::parse(url).ok()?.origin()).filter(url::Origin::is_tuple)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_host_of_an_authority_is_its_name_alone() {
        for (authority, host) in [
            ("Localhost:6870", "localhost"),
            ("evil.example", "evil.example"),
            ("evil.example.:80", "evil.example"),
            ("[::1]:6870", "::1"),
            ("[::1]", "::1"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(host_of(authority), host, "{authority:?}");
        }
    }

    #[test]
    fn only_names_and_addresses_of_ones_own_networks_are_private() {
        for host in [
            "localhost",
            "a.localhost",
            "vestibule",
            "host.docker.internal",
            "127.0.0.1",
            "10.1.2.3",
            "172.17.0.2",
            "192.168.0.9",
            "169.254.1.1",
            "::1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(host), "{host}");
        }
        for host in
            ["", "vestibule.example", "0.0.0.0", "203.0.113.7", "::", "2001:db8::1", "::ffff:203.0.113.7"]
        {
            assert!(!is_private(host), "{host}");
        }
    }

    #[test]
    fn what_a_stranger_can_register_can_be_rebound_and_nothing_else() {
        for safe in [
            "localhost",
            "a.localhost",
            "vestibule",
            "127.0.0.1",
            "192.168.0.9",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "auth.dev.test",
            "vestibule.internal",
            "mac.local",
            "",
        ] {
            assert!(!can_be_rebound(safe), "{safe}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "evil.localhost.example",
            "127.0.0.1.nip.io",
            "xtest.com",
            "a.atest",
            "1.2.3",
            "evil.example:x",
        ] {
            assert!(can_be_rebound(foreign), "{foreign}");
        }
    }

    #[test]
    fn loopback_is_told_from_its_imitations() {
        for ours in ["localhost", "a.localhost", "127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback(ours), "{ours}");
        }
        for foreign in ["", "localhost.example", "xlocalhost", "128.0.0.1", "::2", "evil.example"] {
            assert!(!is_loopback(foreign), "{foreign}");
        }
    }

    #[test]
    fn origins_know_default_ports_and_forget_paths() {
        let same = |a: &str, b: &str| origin_of(a) == origin_of(b);
        assert!(same("http://auth.dev.test", "http://AUTH.dev.test:80/id"));
        assert!(same("https://id.example.com", "https://id.example.com:443/"));
        assert!(same("http://localhost:6870", "http://localhost:6870/e/a"));
        assert!(!same("http://id.example.com", "https://id.example.com"));
        assert!(!same("http://localhost:6870", "http://localhost:6871"));
        for opaque in ["null", "", "data:text/html,x", "file:///x", "about:blank"] {
            assert_eq!(origin_of(opaque), None, "{opaque}");
        }
    }

    proptest! {
        #[test]
        fn a_dotted_name_of_public_dns_can_be_rebound_whatever_its_port_and_case(
            name in "[a-zA-Z][a-zA-Z0-9-]{0,10}", zone in "(com|example|io|dev|app|net)", port in 1u16..
        ) {
            for authority in [format!("{name}.{zone}"), format!("{name}.{zone}:{port}"), format!("{name}.{zone}.:{port}")] {
                prop_assert!(can_be_rebound(&host_of(&authority)), "{}", authority);
            }
            prop_assert!(!can_be_rebound(&host_of(&name)));
        }
    }
}
