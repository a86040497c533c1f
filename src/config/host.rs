//! Hosts in requests and origins, and the host names of the server.

use std::fmt;
use std::net::Ipv6Addr;

/// The host of a URI and its port (RFC 3986, section 3.2), in lower case. IPv6 addresses are in
/// their shortest form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    host: String,
    port: Option<u16>,
}

impl Authority {
    /// Reads `host`, `host:port` or `[IPv6]:port`. `None` if it is anything else: an empty host, a
    /// user before it, a list, a port above 65535.
    pub fn parse(text: &str) -> Option<Authority> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                (format!("[{address}]"), port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (host, port) = text.split_at(end);
                is_name(host).then(|| (host.to_ascii_lowercase(), port))?
            }
        };
        let port = match port.strip_prefix(':') {
            None if !port.is_empty() => return None,
            None | Some("") => None,
            // `parse` would accept a plus sign.
            Some(digits) if digits.starts_with('+') => return None,
            Some(digits) => Some(digits.parse().ok()?),
        };
        Some(Authority { host, port })
    }

    /// The name or the address, which has no brackets.
    #[cfg(feature = "full")]
    pub(super) fn name(&self) -> &str {
        self.host.trim_matches(['[', ']'])
    }

    /// The port, if it is given.
    #[cfg(feature = "full")]
    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    /// The same without a port that is the default of the scheme.
    pub(super) fn without_default_port(mut self, scheme: &str) -> Authority {
        if self.port.is_some() && self.port == default_port(scheme) {
            self.port = None;
        }
        self
    }
}

/// A registered name or an IPv4 address. Commas, which the RFC allows, make a list of two hosts.
fn is_name(host: &str) -> bool {
    let mut bytes = host.bytes();
    while let Some(byte) = bytes.next() {
        let good = match byte {
            b'%' => {
                let hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
                hex(bytes.next()) && hex(bytes.next())
            }
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=".contains(&byte),
        };
        if !good {
            return false;
        }
    }
    !host.is_empty()
}

/// The default port of a scheme.
pub(super) fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Whether the server of these names accepts a request for this host. A name without a port stands
/// for every port; without names, every host is accepted. An HTTP/1.0 request may have no host and
/// is accepted, too.
pub fn accepts(names: &[Authority], host: Option<&Authority>) -> bool {
    let Some(host) = host.filter(|_| !names.is_empty()) else {
        return true;
    };
    names.iter().any(|own| {
        // Clients omit the default port of the scheme.
        let default = host.port.is_none() && matches!(own.port, Some(80 | 443));
        own.host == host.host && (own.port.is_none() || own.port == host.port || default)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Option<Authority> {
        Authority::parse(text)
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for good in [
            "a",
            "a:80",
            "a:",
            "A_b.example.",
            "10.0.0.1:1",
            "[::1]",
            "[::1]:65535",
            "%41",
        ] {
            assert!(host(good).is_some(), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a,b",
            "a, b",
            "a:b",
            "a:80:80",
            "a:65536",
            "a:-1",
            "a:+1",
            "a/",
            "a?",
            "a#",
            "u@a",
            "[::1",
            "::1",
            "[::1]x",
            "[a]",
            "[fe80::1%25eth0]",
            "%4",
            "ä",
            "a\u{fffd}",
            "\"a\"",
            "<a>",
        ] {
            assert_eq!(host(bad), None, "{bad}");
        }
        assert_eq!(host("[0:0::1]:8"), host("[::1]:08"));
        assert_eq!(host("A.Example"), host("a.eXample:"));
    }

    #[test]
    fn a_server_goes_by_the_names_that_it_was_given() {
        let names = ["Chat.example", "[::1]", "pi:8080", "shop.example:443"];
        let names = names.map(|name| Authority::parse(name).unwrap());
        for (name, own) in [
            ("chat.example", true),
            ("CHAT.example:81", true),
            ("[0::1]:8080", true),
            ("pi:8080", true),
            ("pi", false),
            ("pi:8081", false),
            ("shop.example", true),
            ("shop.example:443", true),
            ("shop.example:80", false),
            ("evil.example", false),
            ("a.chat.example", false),
            ("127.0.0.1", false),
        ] {
            assert_eq!(accepts(&names, host(name).as_ref()), own, "{name}");
        }
        assert!(accepts(&names, None));
        assert!(accepts(&[], host("evil.example").as_ref()));
    }
}
