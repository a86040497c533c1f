//! The rates of names and addresses, of messages and of new rooms. They outlive a connection, so that a
//! reconnect does not begin a new burst.
//!
//! One [`RateLimits`] per server holds a bucket for each name that has sent something, and for each
//! address that has sent something without a name. A [`ConnectionRate`] keeps a pointer to its
//! bucket, so a message locks that alone, and the books are searched once per name. A full bucket
//! is the same as a new one and is removed. It is full [`BURST_SECONDS`](crate::chat::rate::BURST_SECONDS)
//! after the last message at most, or some minutes after the last room that was begun.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::chat::address::Address;
use crate::chat::name::User;
use crate::chat::rate::{Rate, Verdict};
use crate::mutex::Mutex;

/// How many buckets a book holds beyond the limit of peers: for names that have just left, and for
/// names that publish by HTTP.
const GONE: usize = 10_000;
/// A smaller book is not cleaned up.
const TIDY_LEAST: usize = 64;
/// A full book is cleaned up at most once in this time, so that a flood of names does not cause a
/// walk through it with each name.
const TIDY_PAUSE: Duration = Duration::from_secs(1);

/// The rest of the burst of one name or address.
type Bucket = Arc<Mutex<Rate>>;

/// The rates of all names and addresses of a server.
#[derive(Debug)]
pub(super) struct RateLimits {
    /// Messages per second; 0 is no limit, and then nothing is stored.
    rate: u32,
    names: Mutex<Book<User>>,
    addresses: Mutex<Book<Address>>,
}

/// The buckets of names or of addresses, bounded in number.
#[derive(Debug)]
struct Book<K> {
    buckets: HashMap<K, Bucket>,
    most: usize,
    /// The number of buckets at which the book is cleaned up.
    tidy_at: usize,
    tidied: Option<Instant>,
}

impl RateLimits {
    /// Empty books; each name may send `rate` messages per second.
    pub(super) fn new(rate: u32, max_peers: usize) -> RateLimits {
        let most = max_peers.saturating_add(GONE);
        RateLimits {
            rate,
            names: Mutex::new(Book::new(most)),
            addresses: Mutex::new(Book::new(most)),
        }
    }

    fn of_name(&self, user: &User, now: Instant) -> Option<Bucket> {
        self.names.lock().bucket(user, self.rate, now)
    }

    fn of_address(&self, from: Address, now: Instant) -> Option<Bucket> {
        self.addresses.lock().bucket(&from, self.rate, now)
    }
}

impl<K: Clone + Eq + Hash> Book<K> {
    fn new(most: usize) -> Book<K> {
        Book {
            buckets: HashMap::new(),
            most,
            tidy_at: TIDY_LEAST,
            tidied: None,
        }
    }

    /// The bucket of this key, a new one if it has none; `None` if the book is full.
    fn bucket(&mut self, key: &K, rate: u32, now: Instant) -> Option<Bucket> {
        if let Some(bucket) = self.buckets.get(key) {
            return Some(bucket.clone());
        }
        if self.buckets.len() >= self.tidy_at.min(self.most) {
            self.tidy(now);
        }
        if self.buckets.len() >= self.most {
            return None;
        }
        let bucket = Arc::new(Mutex::new(Rate::new(rate, now)));
        self.buckets.insert(key.clone(), bucket.clone());
        Some(bucket)
    }

    /// Removes the full buckets that no connection holds. The cost per new bucket is small, since
    /// the book must double before the next time.
    fn tidy(&mut self, now: Instant) {
        let since = |tidied| now.saturating_duration_since(tidied);
        if self.buckets.len() >= self.most && self.tidied.is_some_and(|at| since(at) < TIDY_PAUSE) {
            return;
        }
        self.tidied = Some(now);
        self.buckets
            .retain(|_, bucket| Arc::strong_count(bucket) > 1 || !bucket.lock().is_full(now));
        self.tidy_at = (self.buckets.len() * 2).max(TIDY_LEAST);
        self.buckets.shrink_to(self.tidy_at);
    }
}

/// The rate of one connection, or of one request to publish: that of its name, and before it has one,
/// that of its address. Nothing is allocated before the first message.
#[derive(Debug, Default)]
pub(super) struct ConnectionRate {
    /// The bucket of its name, or where it has none, a bucket of its own.
    own: Option<Bucket>,
    /// The bucket of its address, while it has no name or the book of names is full. It refuses
    /// messages, but closes no connection, since others behind the same router share it.
    shared: Option<Bucket>,
    /// Whether the connection has sent something. Its first message does not count for its address,
    /// since it may bring a name: after a restart many may come at once from one address.
    spoken: bool,
    /// The current message has brought a new name, and is not counted for it yet.
    pub(super) renamed: bool,
}

impl ConnectionRate {
    /// The connection has a new name. The rest of the old name's burst moves to it, so a rename is
    /// no new burst.
    pub(super) fn rename(&mut self, limits: &RateLimits, from: Address, user: &User, now: Instant) {
        if !self.spoken {
            return;
        }
        let old = self.own.take().map(|old| old.lock().clone());
        self.shared = None;
        self.open(limits, from, Some(user), now);
        if let (Some(own), Some(old)) = (&self.own, old) {
            own.lock().inherit(&old);
        }
        self.renamed = true;
    }

    /// Counts a message from a connection with this address and this name.
    pub(super) fn check(
        &mut self,
        limits: &RateLimits,
        from: Address,
        user: Option<&User>,
        now: Instant,
    ) -> Verdict {
        if limits.rate == 0 {
            return Verdict::Pass;
        }
        if self.own.is_none() {
            self.open(limits, from, user, now);
        }
        self.renamed = false;
        let free = !self.spoken && user.is_none();
        self.spoken = true;
        let own = self.own.as_ref();
        let verdict = own.map_or(Verdict::Pass, |own| own.lock().check(now));
        match &self.shared {
            Some(shared) if verdict == Verdict::Pass && !free => match shared.lock().check(now) {
                Verdict::Pass => Verdict::Pass,
                Verdict::Refuse | Verdict::Flood => Verdict::Refuse,
            },
            _ => verdict,
        }
    }

    /// Whether one more room may be begun.
    #[cfg(feature = "full")]
    pub(super) fn may_begin_room(&self, now: Instant) -> bool {
        (self.of_rooms()).is_none_or(|bucket| bucket.lock().may_begin_room(now))
    }

    /// Counts a room that the current message begins, if it may begin one.
    pub(super) fn begin_room(&self, now: Instant) -> bool {
        (self.of_rooms()).is_none_or(|bucket| bucket.lock().begin_room(now))
    }

    /// The bucket that counts its new rooms. There is none without a limit.
    fn of_rooms(&self) -> Option<&Bucket> {
        self.shared.as_ref().or(self.own.as_ref())
    }

    /// Looks up its buckets.
    fn open(&mut self, limits: &RateLimits, from: Address, user: Option<&User>, now: Instant) {
        self.own = user.and_then(|user| limits.of_name(user, now));
        if self.own.is_none() {
            self.shared = limits.of_address(from, now);
            self.own = Some(Arc::new(Mutex::new(Rate::new(limits.rate, now))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::rate::BURST_SECONDS;

    const BURST: Duration = Duration::from_secs(BURST_SECONDS as u64);

    fn user(n: usize) -> User {
        User::new(&format!("user {n}")).unwrap()
    }

    fn address(n: usize) -> Address {
        Address::new(n as u128)
    }

    /// How many of ten messages pass.
    fn passed(limits: &RateLimits, n: usize, from: usize, now: Instant) -> usize {
        let pass = |_: &usize| {
            let mut request = ConnectionRate::default();
            request.check(limits, address(from), Some(&user(n)), now) == Verdict::Pass
        };
        (0..10).filter(pass).count()
    }

    fn limits(most: usize) -> RateLimits {
        let limits = RateLimits::new(1, 0);
        limits.names.lock().most = most;
        limits.addresses.lock().most = most;
        limits
    }

    #[test]
    fn a_name_is_as_new_when_its_bucket_is_full_again() {
        let (limits, start) = (limits(100), Instant::now());
        assert_eq!(passed(&limits, 0, 0, start), 3);
        assert_eq!(passed(&limits, 1, 0, start), 3);
        assert_eq!(passed(&limits, 0, 0, start), 0);
        let known = |limits: &RateLimits| limits.names.lock().buckets.len();
        assert_eq!(known(&limits), 2);
        for n in 2..TIDY_LEAST {
            passed(&limits, n, 0, start);
        }
        // One more finds nobody silent for long enough, and a later one finds all of them so.
        passed(&limits, TIDY_LEAST, 0, start + BURST / 2);
        assert_eq!(known(&limits), TIDY_LEAST + 1);
        for n in TIDY_LEAST + 1..=2 * TIDY_LEAST {
            passed(&limits, n, 0, start + BURST);
        }
        assert_eq!(known(&limits), TIDY_LEAST + 1);
        assert_eq!(passed(&limits, 0, 0, start + BURST), 3);
    }

    #[test]
    fn a_flood_of_names_neither_keeps_new_ones_out_nor_buys_bursts() {
        let (limits, start) = (limits(5), Instant::now());
        // All from one address: five names are known, the others share what their address has.
        let flood = |limits: &RateLimits, now| {
            (0..50)
                .map(move |n| passed(limits, n, 0, now))
                .sum::<usize>()
        };
        assert_eq!(flood(&limits, start), 5 * 3 + 3);
        let soon = start + Duration::from_millis(100);
        assert_eq!(flood(&limits, soon), 0);
        // Somebody new at another address is heard.
        assert_eq!(passed(&limits, 77, 1, soon), 3);
        assert_eq!(limits.names.lock().buckets.len(), 5);
        // With the flood over, so is what it did.
        assert_eq!(passed(&limits, 78, 0, start + BURST), 3);
        assert!(limits.names.lock().buckets.contains_key(&user(78)));
    }

    #[test]
    fn what_a_connection_holds_is_not_forgotten() {
        let (limits, start) = (limits(1), Instant::now());
        let mut connection = ConnectionRate::default();
        let mut check = |now| connection.check(&limits, address(0), Some(&user(0)), now);
        assert_eq!(check(start), Verdict::Pass);
        // Its bucket is full again, but it is still its own.
        assert_eq!(passed(&limits, 1, 0, start + BURST), 3, "by its address");
        assert_eq!(passed(&limits, 0, 0, start + BURST), 3);
        assert_eq!(check(start + BURST), Verdict::Refuse);
        drop(connection);
        assert_eq!(passed(&limits, 1, 9, start + 2 * BURST), 3);
        assert!(limits.names.lock().buckets.contains_key(&user(1)));
    }

    #[test]
    fn a_rename_keeps_the_rest_of_the_burst() {
        let (limits, start) = (limits(100), Instant::now());
        let mut connection = ConnectionRate::default();
        let mut passed = 0;
        for n in 0..10_usize {
            // The message that renames is counted for both names, and once for what is left.
            let name = n.checked_sub(1).map(user);
            if connection.check(&limits, address(0), name.as_ref(), start) == Verdict::Pass {
                connection.rename(&limits, address(0), &user(n), start);
                let counted = connection.check(&limits, address(0), Some(&user(n)), start);
                passed += usize::from(counted == Verdict::Pass);
            }
        }
        assert!((1..=3).contains(&passed), "{passed}");
    }

    #[test]
    fn a_shared_address_closes_nobody() {
        let (limits, start) = (limits(100), Instant::now());
        let [mut loud, mut other] = [0, 0].map(|_| ConnectionRate::default());
        let mut last = Verdict::Pass;
        // Fifteen messages a second where one is allowed.
        for n in 0..15 * 12 {
            last = loud.check(
                &limits,
                address(0),
                None,
                start + Duration::from_secs(1) * n / 15,
            );
        }
        assert_eq!(last, Verdict::Flood);
        let now = start + Duration::from_secs(12);
        assert_eq!(other.check(&limits, address(0), None, now), Verdict::Pass);
        for _ in 0..10 {
            assert_ne!(other.check(&limits, address(0), None, now), Verdict::Flood);
        }
        // Under a name it has a rate of its own.
        other.rename(&limits, address(0), &user(0), now);
        let mut named = ConnectionRate::default();
        assert_eq!(
            named.check(&limits, address(0), Some(&user(1)), now),
            Verdict::Pass
        );
    }

    #[test]
    fn after_a_flood_the_next_connection_is_closed_at_once() {
        let (limits, start) = (limits(100), Instant::now());
        let flood = |connection: &mut ConnectionRate, from: u32, to: u32| {
            (from * 15..to * 15)
                .map(|n| start + Duration::from_secs(1) * n / 15)
                .find(|now| {
                    connection.check(&limits, address(0), Some(&user(0)), *now) == Verdict::Flood
                })
        };
        // Six seconds on one connection and six on the next are more than ten.
        assert_eq!(flood(&mut ConnectionRate::default(), 0, 6), None);
        let end = flood(&mut ConnectionRate::default(), 6, 12);
        assert!(end.is_some());
        let mut third = ConnectionRate::default();
        let verdict = third.check(&limits, address(0), Some(&user(0)), end.unwrap());
        assert_eq!(verdict, Verdict::Flood);
    }
}
