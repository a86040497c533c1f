//! How many connections that chat come from one address. Exact: a [`Share`] is given back when it
//! is dropped, whatever ended its connection.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The addresses that chat, each with its number of connections.
#[derive(Debug)]
pub(super) struct Addresses {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's share of what its address may have. A pointer, since most servers don't count.
#[derive(Debug)]
pub(super) struct Share(Box<(Arc<Addresses>, IpAddr)>);

impl Addresses {
    /// Each may have this many shares.
    pub(super) fn new(most: usize) -> Addresses {
        Addresses {
            most,
            taken: Mutex::default(),
        }
    }

    /// One more share of an address; `None` when it has all that it may.
    pub(super) fn share(self: &Arc<Addresses>, ip: IpAddr) -> Option<Share> {
        let ip = counted(ip);
        let mut taken = self.lock();
        let count = taken.get(&ip).map_or(1, |count| count + 1);
        if count > self.most {
            return None;
        }
        taken.insert(ip, count);
        Some(Share(Box::new((self.clone(), ip))))
    }

    /// A poisoned lock is taken all the same: a count is whole at any time.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let (addresses, ip) = &*self.0;
        if let Entry::Occupied(mut count) = addresses.lock().entry(*ip) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What an address counts as. Nobody has less of IPv6 than a /64, so that is one; IPv4 is the same
/// in either notation.
pub(super) fn counted(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_counted_and_given_back() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let addresses = Arc::new(Addresses::new(2));
        let mut shares = Vec::new();
        for (address, free) in [
            ("10.0.0.1", true),
            ("::ffff:10.0.0.1", true),
            ("10.0.0.1", false),
            ("::ffff:10.0.0.1", false),
            ("10.0.0.2", true),
            ("2001:db8::1", true),
            ("2001:db8::ffff:0:0:1", true),
            ("2001:db8::2", false),
            ("2001:db8:0:1::1", true),
        ] {
            let share = addresses.share(ip(address));
            assert_eq!(share.is_some(), free, "{address}");
            shares.extend(share);
        }
        shares.remove(0);
        shares.push(addresses.share(ip("10.0.0.1")).unwrap());
        assert!(addresses.share(ip("10.0.0.1")).is_none());
        drop(shares);
        assert!(addresses.lock().is_empty());
    }
}
