//! How many connections that chat come from one address. Exact: a [`PerIpPermit`] is given back when it
//! is dropped, whatever ended its connection.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The addresses that chat, each with its number of connections.
#[derive(Debug)]
pub(super) struct PerIpLimiter {
    most: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection's share of what its address may have. A pointer, since most servers don't count.
#[derive(Debug)]
pub(super) struct PerIpPermit(Box<(Arc<PerIpLimiter>, IpAddr)>);

impl PerIpLimiter {
    /// Each may have this many permits.
    pub(super) fn new(most: usize) -> PerIpLimiter {
        PerIpLimiter {
            most,
            taken: Mutex::default(),
        }
    }

    /// One more share of an address; `None` when it has all that it may.
    pub(super) fn acquire(self: &Arc<PerIpLimiter>, ip: IpAddr) -> Option<PerIpPermit> {
        let ip = ip_key(ip);
        let mut taken = self.lock();
        let count = taken.get(&ip).map_or(1, |count| count + 1);
        if count > self.most {
            return None;
        }
        taken.insert(ip, count);
        Some(PerIpPermit(Box::new((self.clone(), ip))))
    }

    /// A poisoned lock is taken all the same: a count is whole at any time.
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PerIpPermit {
    fn drop(&mut self) {
        let (limiter, ip) = &*self.0;
        if let Entry::Occupied(mut count) = limiter.lock().entry(*ip) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What an address counts as. Nobody has less of IPv6 than a /64, so that is one; IPv4 is the same
/// in either notation.
pub(super) fn ip_key(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_counted_and_given_back() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let limiter = Arc::new(PerIpLimiter::new(2));
        let mut permits = Vec::new();
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
            let permit = limiter.acquire(ip(address));
            assert_eq!(permit.is_some(), free, "{address}");
            permits.extend(permit);
        }
        permits.remove(0);
        permits.push(limiter.acquire(ip("10.0.0.1")).unwrap());
        assert!(limiter.acquire(ip("10.0.0.1")).is_none());
        drop(permits);
        assert!(limiter.lock().is_empty());
    }
}
