//! The address that a request comes from.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::http::HeaderMap;
use wallet_core::config::TrustedProxies;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The address of the other end of a TCP connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerAddress(pub(crate) IpAddr);

/// The address by which places are shared: an IPv4 address, or the /64 network of an IPv6 address, since that is what one customer
/// of a provider gets (RFC 6177).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ClientAddress {
    network: IpAddr,
    /// Whether many people come from it, so that it has no maximum of its own: this machine itself and trusted proxies.
    is_crowd: bool,
}

impl ClientAddress {
    /// Returns the address of a connection.
    pub(crate) fn of_peer(peer: IpAddr, proxies: &TrustedProxies) -> Self {
        let peer = peer.to_canonical();
        Self {
            network: network(peer),
            is_crowd: peer.is_loopback() || proxies.contains(peer),
        }
    }

    /// Returns whether many people come from it.
    pub(crate) const fn is_crowd(self) -> bool {
        self.is_crowd
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Returns the address of the client behind a request: the connection's, or the one that trusted proxies report. Each proxy appends
/// the address that called it, so the rightmost one that is not trusted itself is the client; anything further left may be invented.
pub(crate) fn client_address(
    peer: Option<PeerAddress>,
    headers: &HeaderMap,
    proxies: &TrustedProxies,
) -> ClientAddress {
    // Only tests have no connection.
    let mut address = peer.map_or(IpAddr::from([127, 0, 0, 1]), |peer| peer.0);
    let told = headers
        .get_all(FORWARDED_FOR)
        .iter()
        .rev()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.rsplit(','));
    for hop in told {
        if !proxies.contains(address) {
            break;
        }
        let Some(heard) = address_of(hop) else { break };
        address = heard;
    }
    ClientAddress::of_peer(address, proxies)
}

/// Parses an address as proxies write it, with or without a port.
fn address_of(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests {
    use wallet_core::config::TrustedProxies;

    use super::*;

    fn seen(peer: &str, forwarded: &[&str]) -> String {
        let proxies: TrustedProxies = "10.0.0.0/8".parse().unwrap();
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(FORWARDED_FOR, value.parse().unwrap());
        }
        let seen = client_address(Some(PeerAddress(peer.parse().unwrap())), &headers, &proxies);
        format!("{}{}", seen.network, if seen.is_crowd { " crowd" } else { "" })
    }

    #[test]
    fn a_client_is_whom_the_trusted_proxies_heard() {
        for (peer, forwarded, expected) in [
            ("203.0.113.9", &[][..], "203.0.113.9"),
            ("203.0.113.9", &["198.51.100.1"], "203.0.113.9"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.0.0.7"], "198.51.100.1"),
            (
                "10.0.0.1",
                &["1.1.1.1", "198.51.100.1", "10.0.0.7"],
                "198.51.100.1",
            ),
            ("10.0.0.1", &["[2001:db8:1:2:3::4]:443"], "2001:db8:1:2::"),
            ("10.0.0.1", &["nonsense"], "10.0.0.1 crowd"),
            ("10.0.0.1", &[], "10.0.0.1 crowd"),
            ("127.0.0.1", &["198.51.100.1"], "127.0.0.1 crowd"),
            ("2001:db8:1:2:3::4", &[], "2001:db8:1:2::"),
        ] {
            assert_eq!(seen(peer, forwarded), expected, "{peer} {forwarded:?}");
        }
    }
}
