//! How many connections may chat: in all, and from one address. The counts are exact: a
//! [`ConnectionPermit`] gives its slot back when it is dropped, however its connection ends.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;

use crate::mutex::Mutex;
use crate::net::forwarded::ip_key;
use crate::net::http::Answer;

/// Hands out the slots for peers.
#[derive(Debug)]
pub(super) struct ConnectionPermits {
    max: usize,
    max_per_ip: Option<usize>,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    /// Empty where the connections of one address are not limited.
    per_ip: HashMap<IpAddr, usize>,
}

/// The slot of one peer.
#[derive(Debug)]
pub(super) struct ConnectionPermit {
    permits: Arc<ConnectionPermits>,
    /// Boxed, since most servers don't limit addresses.
    ip: Option<Box<IpAddr>>,
}

impl ConnectionPermits {
    /// `max` slots, of which one address may have `max_per_ip`.
    pub(super) fn new(max: usize, max_per_ip: Option<usize>) -> ConnectionPermits {
        ConnectionPermits {
            max,
            max_per_ip,
            taken: Mutex::default(),
        }
    }

    /// A slot for one more peer from this address.
    ///
    /// # Errors
    /// 503 at the limit of peers, 429 at the limit of peers from one address.
    pub(super) fn acquire(self: &Arc<Self>, ip: IpAddr) -> Result<ConnectionPermit, Answer> {
        let mut taken = self.taken.lock();
        if taken.total >= self.max {
            return Err(Answer::retry_later(503, "too many peers"));
        }
        let mut limited = None;
        if let Some(max) = self.max_per_ip {
            let ip = ip_key(ip);
            let count = taken.per_ip.get(&ip).map_or(1, |count| count + 1);
            if count > max {
                return Err(Answer::retry_later(429, "too many peers from your address"));
            }
            taken.per_ip.insert(ip, count);
            limited = Some(Box::new(ip));
        }
        taken.total += 1;
        Ok(ConnectionPermit {
            permits: self.clone(),
            ip: limited,
        })
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let mut taken = self.permits.taken.lock();
        taken.total -= 1;
        if let Some(ip) = &self.ip
            && let Entry::Occupied(mut count) = taken.per_ip.entry(**ip)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_are_counted_and_given_back() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let limits = Arc::new(ConnectionPermits::new(6, Some(2)));
        let mut permits = Vec::new();
        for (address, status) in [
            ("10.0.0.1", 0),
            ("::ffff:10.0.0.1", 0),
            ("10.0.0.1", 429),
            ("::ffff:10.0.0.1", 429),
            ("10.0.0.2", 0),
            ("2001:db8::1", 0),
            ("2001:db8::ffff:0:0:1", 0),
            ("2001:db8::2", 429),
            ("2001:db8:0:1::1", 0),
            ("10.0.0.3", 503),
        ] {
            let permit = limits.acquire(ip(address));
            let refused = permit.as_ref().err().map_or(0, |answer| answer.status);
            assert_eq!(refused, status, "{address}");
            permits.extend(permit);
        }
        permits.remove(0);
        permits.push(limits.acquire(ip("10.0.0.1")).unwrap());
        permits.pop();
        permits.push(limits.acquire(ip("10.0.0.1")).unwrap());
        assert!(limits.acquire(ip("10.0.0.1")).is_err());
        drop(permits);
        let taken = limits.taken.lock();
        assert!(taken.total == 0 && taken.per_ip.is_empty());
    }
}
