//! Networks by address and prefix length (CIDR), for the trusted proxies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u32,
}

impl Network {
    /// Reads `ADDRESS` or `ADDRESS/BITS`. Bits of the address after the prefix are ignored.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let given: IpAddr = address.parse().ok()?;
        let longest = if given.is_ipv4() { 32 } else { 128 };
        let bits: u32 = match bits {
            None => longest,
            // `parse` would accept a plus sign.
            Some(bits) if bits.starts_with('+') => return None,
            Some(bits) => bits.parse().ok()?,
        };
        let ip = given.to_canonical();
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8. With fewer than 96 bits it contains more than IPv4.
        let bits = match ip.is_ipv4() && given.is_ipv6() && bits <= longest {
            true => bits.checked_sub(96)?,
            false => bits,
        };
        let first = first(ip, bits)?;
        Some(Network { first, bits })
    }

    /// Whether an address is in it. IPv4 is the same in either notation.
    pub fn contains(&self, ip: IpAddr) -> bool {
        first(ip.to_canonical(), self.bits) == Some(self.first)
    }
}

/// The first address of the network of this many bits around an address; `None` if the address has
/// fewer bits.
fn first(ip: IpAddr, bits: u32) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits)?);
            Some(Ipv4Addr::from_bits(ip.to_bits() & mask.unwrap_or(0)).into())
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits)?);
            Some(Ipv6Addr::from_bits(ip.to_bits() & mask.unwrap_or(0)).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argh::EarlyExit;

    use crate::config::args;

    /// The networks of these flags, or of this variable.
    fn set(flags: &[&str], variable: &str) -> Result<Vec<Network>, EarlyExit> {
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let env = |name: &str| (name == "NATTERJACK_TRUST_PROXY").then(|| variable.to_string());
        args::read(&flags, env).map(|config| config.trust_proxy)
    }

    #[test]
    fn flags_may_be_repeated_and_their_variable_is_a_list() {
        let networks = |list: &[&str]| {
            let list = list.iter().map(|network| Network::parse(network).unwrap());
            Ok(list.collect::<Vec<_>>())
        };
        let variable = "10.0.0.0/8, ::1";
        assert_eq!(set(&[], ""), networks(&[]));
        assert_eq!(set(&[], variable), networks(&["10.0.0.0/8", "::1"]));
        let flags = ["--trust-proxy", "127.0.0.1", "--trust-proxy=fd00::/8"];
        assert_eq!(set(&flags, variable), networks(&["127.0.0.1", "fd00::/8"]));
        for (flags, variable, name) in [
            (&flags[..1], "", "--trust-proxy"),
            (
                &["--trust-proxy", "::1", "--trust-proxy", "10/8"],
                "",
                "--trust-proxy \"10/8\"",
            ),
            (&[], "::1, x", "NATTERJACK_TRUST_PROXY \"x\""),
            (&[], "::1,", "NATTERJACK_TRUST_PROXY \"\""),
        ] {
            let Err(EarlyExit { output: line, .. }) = set(flags, variable) else {
                panic!("{flags:?} {variable}");
            };
            assert!(line.contains(name) && !line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn a_network_is_an_address_and_how_many_bits_count() {
        for (network, within, without) in [
            ("127.0.0.1", "127.0.0.1", "127.0.0.2"),
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.1.2.3/8", "10.255.0.1", "11.0.0.0"),
            ("192.168.4.0/31", "192.168.4.1", "192.168.4.2"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("::ffff:10.0.0.0/104", "10.0.0.1", "11.0.0.1"),
            ("::1", "::1", "::2"),
            ("fd00::/8", "fdff::1", "fe80::1"),
            ("2001:db8::/33", "2001:db8:7fff::", "2001:db8:8000::"),
            ("0.0.0.0/0", "255.255.255.255", "::1"),
            ("::/0", "ffff::", "10.0.0.1"),
        ] {
            let parsed = Network::parse(network).unwrap();
            let contains = |ip: &str| parsed.contains(ip.parse().unwrap());
            assert!(contains(within), "{within} is in {network}");
            assert!(!contains(without), "{without} is not in {network}");
        }
    }

    #[test]
    fn anything_else_is_no_network() {
        for bad in [
            "",
            "localhost",
            "10",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-1",
            "10.0.0.0/8/8",
            "::/129",
            "[::1]",
            "10.0.0.1:80",
            "::ffff:10.0.0.0/8",
            "fe80::1%eth0",
            "10.0.0.0/99999999999",
        ] {
            assert_eq!(Network::parse(bad), None, "{bad}");
        }
    }
}
