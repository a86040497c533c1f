//! Networks by address and prefix length (CIDR), for the trusted proxies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::setting::Setting;

/// A set of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks(Vec<Network>);

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    first: IpAddr,
    bits: u32,
}

impl Networks {
    /// Reads networks as `ADDRESS` or `ADDRESS/BITS`. Bits of the address after the prefix are
    /// ignored.
    ///
    /// # Errors
    /// The first one that is neither.
    pub fn new(networks: &[String]) -> Result<Networks, String> {
        let networks = networks.iter();
        let read = networks.map(|text| text.parse().map_err(|()| text.clone()));
        Ok(Networks(read.collect::<Result<_, String>>()?))
    }

    /// Reads networks from settings, as [`new`](Self::new) does.
    ///
    /// # Errors
    /// One line that names the wrong setting.
    pub(super) fn of(settings: &[Setting]) -> Result<Networks, String> {
        let read = settings.iter().map(|setting| match setting.value.parse() {
            Ok(network) => Ok(network),
            Err(()) => setting.bad("an address, or ADDRESS/BITS such as 10.0.0.0/8"),
        });
        Ok(Networks(read.collect::<Result<_, String>>()?))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is in one of them. IPv4 is the same in either notation.
    pub fn contain(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let within = |network: &Network| first(ip, network.bits) == Some(network.first);
        self.0.iter().any(within)
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Network, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let given: IpAddr = address.parse().map_err(|_| ())?;
        let longest = if given.is_ipv4() { 32 } else { 128 };
        let bits: u32 = match bits {
            None => longest,
            // `parse` would accept a plus sign.
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().map_err(|_| ())?
            }
            Some(_) => return Err(()),
        };
        let ip = given.to_canonical();
        // ::ffff:10.0.0.0/104 is 10.0.0.0/8. With fewer than 96 bits it contains more than IPv4.
        let bits = match ip.is_ipv4() && given.is_ipv6() && bits <= longest {
            true => bits.checked_sub(96).ok_or(())?,
            false => bits,
        };
        let first = first(ip, bits).ok_or(())?;
        Ok(Network { first, bits })
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
    use crate::config::args::{self, EarlyExit};

    /// The networks of these flags, or of this variable.
    fn set(flags: &[&str], variable: &str) -> Result<Networks, EarlyExit> {
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        let env = |name: &str| (name == "NATTERJACK_TRUST_PROXY").then(|| variable.to_string());
        args::read(&flags, env).map(|config| config.trust_proxy)
    }

    #[test]
    fn flags_may_be_repeated_and_their_variable_is_a_list() {
        let networks = |list: &[&str]| {
            let list: Vec<String> = list.iter().map(ToString::to_string).collect();
            Ok(Networks::new(&list).unwrap())
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
            let Err(EarlyExit::Usage(line)) = set(flags, variable) else {
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
            let networks = Networks::new(&["203.0.113.7".into(), network.into()]).unwrap();
            let contain = |ip: &str| networks.contain(ip.parse().unwrap());
            assert!(contain(within), "{within} is in {network}");
            assert!(!contain(without), "{without} is not in {network}");
            assert!(contain("203.0.113.7"));
        }
        assert!(!Networks::default().contain("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_named() {
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
            assert_eq!(Networks::new(&["::1".into(), bad.into()]), Err(bad.into()));
        }
    }
}
