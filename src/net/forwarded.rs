//! Finds the address of a client behind proxies, from the `X-Forwarded-For` or `Forwarded` (RFC
//! 7239) of trusted proxies.
//!
//! Each proxy appends the address that it was called from; anybody may have written what stands
//! before. So the list is read from its end, and reading stops at the first address that is not a
//! trusted proxy's.

use std::net::{IpAddr, Ipv6Addr};

use super::http::Head;
use crate::chat::address::Address;
use crate::config::Network;

/// The address of the client that a request comes from. `from` is the connection's.
///
/// An element that is no address (`unknown`, `_hidden`, garbage) ends the search: the client's
/// address is then that of the proxy that wrote it. Where a request has both headers,
/// `X-Forwarded-For` counts: most proxies write that one, and pass a client's `Forwarded` on
/// unchanged.
pub fn client(head: &Head, from: IpAddr, trusted: &[Network]) -> IpAddr {
    let is_trusted = |ip| trusted.iter().any(|network| network.contains(ip));
    let mut address = from.to_canonical();
    if !is_trusted(address) {
        return address;
    }
    let listed = head.header("x-forwarded-for").is_some();
    let name = if listed {
        "x-forwarded-for"
    } else {
        "forwarded"
    };
    // Several lines are one list (RFC 9110, section 5.3).
    let lines: Vec<&str> = head.headers(name).collect();
    for line in lines.into_iter().rev() {
        for element in from_the_end(line, ',') {
            let node = match listed {
                true => Some(element),
                false => for_node(element),
            };
            match node.and_then(ip) {
                Some(next) => address = next.to_canonical(),
                None => return address,
            }
            if !is_trusted(address) {
                return address;
            }
        }
    }
    address
}

/// The parts of a list, the last one first, trimmed and without empty ones. A separator within
/// quotes does not count. Quotes are counted from the end, so that a client that opens a quote and
/// never closes it can't hide what a proxy appends.
fn from_the_end(list: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let mut before = '\0';
    // From the end, so the backslash of an escaped quote comes after it.
    let parts = list.rsplit(move |c: char| {
        quoted ^= before == '"' && c != '\\';
        before = c;
        c == separator && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// The one `for` of an element of `Forwarded`, without quotes.
fn for_node(element: &str) -> Option<&str> {
    let mut found = from_the_end(element, ';').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.eq_ignore_ascii_case("for").then_some(value)
    });
    let value = found.next()?;
    if found.next().is_some() {
        return None;
    }
    match value.strip_prefix('"') {
        Some(value) => value.strip_suffix('"'),
        None => Some(value),
    }
}

/// An address, with or without a port. IPv6 with a port is in brackets.
fn ip(node: &str) -> Option<IpAddr> {
    if let Ok(ip) = node.parse() {
        return Some(ip);
    }
    if let Some(rest) = node.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        let known = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return ip
            .parse::<Ipv6Addr>()
            .ok()
            .filter(|_| known)
            .map(IpAddr::V6);
    }
    let (ip, port) = node.split_once(':')?;
    let ip = ip.parse().ok().filter(|_| is_port(port));
    ip.map(IpAddr::V4)
}

/// A port (RFC 7239, section 6): digits, or an obfuscated one.
fn is_port(port: &str) -> bool {
    let hidden = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match port.strip_prefix('_') {
        Some(rest) => !rest.is_empty() && rest.chars().all(hidden),
        None => (1..=5).contains(&port.len()) && port.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// The address under which a client is counted. A client with IPv6 has at least a /64, so that counts
/// as one address; IPv4 is the same in both notations.
pub(super) fn ip_key(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

/// The same for the chat.
pub(super) fn address(ip: IpAddr) -> Address {
    Address::new(match ip_key(ip) {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Comes from 127.0.0.1 with these headers, where that and 10.0.0.0/8 are trusted.
    fn seen(headers: &str) -> String {
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let (head, _) = Head::parse(request.as_bytes()).unwrap().unwrap();
        let trusted = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"];
        let trusted = trusted.map(|network| Network::parse(network).unwrap());
        let untrusted = "203.0.113.9".parse().unwrap();
        assert_eq!(client(&head, untrusted, &trusted), untrusted, "{headers}");
        let proxy = "::ffff:127.0.0.1".parse().unwrap();
        assert_eq!(client(&head, proxy, &[]).to_string(), "127.0.0.1");
        client(&head, proxy, &trusted).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_trusted_proxys_counts() {
        for (list, address) in [
            ("203.0.113.5", "203.0.113.5"),
            // What stands before it, anybody may have written.
            ("198.51.100.1, 203.0.113.5", "203.0.113.5"),
            ("10.0.0.9, 203.0.113.5", "203.0.113.5"),
            ("garbage, 203.0.113.5", "203.0.113.5"),
            // A chain of proxies.
            ("203.0.113.5, 10.0.0.1,10.0.0.2", "203.0.113.5"),
            ("198.51.100.1, 203.0.113.5, 10.0.0.1", "203.0.113.5"),
            ("2001:db8::5, fd00::1", "2001:db8::5"),
            // A client that is itself in a trusted network.
            ("10.0.0.7, 10.0.0.1", "10.0.0.7"),
            // Ports, brackets, IPv4 within IPv6, empty elements.
            ("203.0.113.5:4711", "203.0.113.5"),
            ("[2001:db8::5]:4711", "2001:db8::5"),
            ("[2001:db8::5]", "2001:db8::5"),
            ("::ffff:203.0.113.5", "203.0.113.5"),
            ("203.0.113.5, , ::ffff:10.0.0.1 ,", "203.0.113.5"),
            // What is no address ends the walk, at the proxy that says so.
            ("", "127.0.0.1"),
            ("unknown", "127.0.0.1"),
            ("203.0.113.5, unknown", "127.0.0.1"),
            ("203.0.113.5, _hidden, 10.0.0.1", "10.0.0.1"),
            ("203.0.113.5:", "127.0.0.1"),
            ("203.0.113.5:port", "127.0.0.1"),
            ("203.0.113.5 198.51.100.1", "127.0.0.1"),
            ("[203.0.113.5]", "127.0.0.1"),
            ("[2001:db8::5", "127.0.0.1"),
            ("[2001:db8::5]x", "127.0.0.1"),
            ("fe80::1%eth0", "127.0.0.1"),
            ("203.0.113.05", "127.0.0.1"),
            ("\"203.0.113.5\"", "127.0.0.1"),
        ] {
            let header = format!("X-Forwarded-For: {list}\r\n");
            assert_eq!(seen(&header), address, "{list}");
        }
    }

    #[test]
    fn forwarded_is_parsed_like_x_forwarded_for() {
        for (list, address) in [
            ("for=203.0.113.5", "203.0.113.5"),
            ("For=203.0.113.5;proto=https;by=10.0.0.1", "203.0.113.5"),
            ("proto=https; for=203.0.113.5", "203.0.113.5"),
            ("for=198.51.100.1, for=203.0.113.5", "203.0.113.5"),
            ("for=\"203.0.113.5:4711\"", "203.0.113.5"),
            ("for=\"[2001:db8::5]:4711\"", "2001:db8::5"),
            ("for=\"[2001:db8::5]:_port\"", "2001:db8::5"),
            (
                "for=203.0.113.5, for=10.0.0.1;by=\"a,b;for=c\"",
                "203.0.113.5",
            ),
            ("for=203.0.113.5;secret=\"a\\\"b,c\"", "203.0.113.5"),
            ("for=203.0.113.5, for=unknown", "127.0.0.1"),
            ("for=_hidden", "127.0.0.1"),
            ("for=203.0.113.5, proto=https", "127.0.0.1"),
            ("for=203.0.113.5;for=198.51.100.1", "127.0.0.1"),
            ("for=\"203.0.113.5", "127.0.0.1"),
            ("203.0.113.5", "127.0.0.1"),
            // A quote that a client opens does not reach what the proxy adds.
            ("for=198.51.100.1;x=\", for=203.0.113.5", "203.0.113.5"),
            ("for=\"198.51.100.1, for=203.0.113.5", "203.0.113.5"),
            (
                "for=198.51.100.1;x=\"\\, for=\"203.0.113.5\"",
                "203.0.113.5",
            ),
        ] {
            assert_eq!(seen(&format!("Forwarded: {list}\r\n")), address, "{list}");
        }
    }

    #[test]
    fn many_lines_are_one_list_and_x_forwarded_for_wins() {
        for (headers, address) in [
            ("", "127.0.0.1"),
            (
                "X-Forwarded-For: 198.51.100.1\r\nx-forwarded-for: 203.0.113.5\r\n",
                "203.0.113.5",
            ),
            (
                "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-For: 10.0.0.1\r\n",
                "203.0.113.5",
            ),
            (
                "Forwarded: for=\"\r\nForwarded: for=203.0.113.5\r\n",
                "203.0.113.5",
            ),
            (
                "Forwarded: for=198.51.100.1\r\nX-Forwarded-For: 203.0.113.5\r\n",
                "203.0.113.5",
            ),
            (
                "X-Forwarded-For: 203.0.113.5\r\nForwarded: for=198.51.100.1\r\n",
                "203.0.113.5",
            ),
            (
                "X-Forwarded-For: unknown\r\nForwarded: for=198.51.100.1\r\n",
                "127.0.0.1",
            ),
        ] {
            assert_eq!(seen(headers), address, "{headers}");
        }
    }
}
