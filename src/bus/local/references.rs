//! Which messages have been accepted under a name of their client's, so that none is said twice.
//!
//! A reference is known for [`LIFE`]. Only its hash is kept, under the hash of its client, so one
//! takes 38 to 75 bytes: 18,000 of them, a quarter of an hour of a client that speaks at the default
//! `--rate` all the time, take about 1 MiB. All of them together take no more than [`MOST_BYTES`],
//! enough for some 600 messages a second. Beyond that, clients lose the older half of theirs, in
//! turn, but none that has less than half of the average: no client makes the references of another
//! one unknown by having many.

use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::mem::size_of;
use std::time::{Duration, Instant};

use super::heap;
use crate::bus::NewMessage;
use crate::chat::id::Id;
use crate::chat::name::Room;

/// For how long a message sent again is recognised.
pub const LIFE: Duration = Duration::from_secs(15 * 60);
/// How many bytes all references may take.
const MOST_BYTES: usize = 32 * 1024 * 1024;
/// How often each client is looked at for references that are no longer known.
const LOOK: Duration = Duration::from_secs(60);
/// A client takes so many bytes beside its references: up to 16/7 places of a table, and two of the
/// queue.
const CLIENT_BYTES: usize = (size_of::<(u64, Client)>() + 1) * 16 / 7 + 2 * size_of::<(u32, u64)>();

/// The hashes are made with a secret, so they need not be hashed with another one.
type ByHash<T> = HashMap<u64, T, BuildHasherDefault<DefaultHasher>>;

/// The references that are known.
#[derive(Debug)]
pub struct References {
    clients: ByHash<Client>,
    /// The clients by when they were last looked at.
    looked: VecDeque<(u32, u64)>,
    count: usize,
    bytes: usize,
    /// The key of the hashes. Nobody else knows it.
    key: u128,
    started: Instant,
}

/// One client's.
#[derive(Debug, Default)]
struct Client {
    known: ByHash<Known>,
    turn: u32,
}

#[derive(Debug)]
struct Known {
    id: Id,
    /// The second in which it was accepted.
    at: u32,
    /// Counts the client's references.
    turn: u32,
}

/// A message's reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The hash of its client.
    pub client: u64,
    /// The hash of its room and of the name that the client has given it.
    pub name: u64,
}

impl References {
    /// None at all, to be hashed with this key.
    pub fn new(key: u128) -> References {
        References {
            clients: HashMap::default(),
            looked: VecDeque::new(),
            count: 0,
            bytes: 0,
            key,
            started: Instant::now(),
        }
    }

    /// The reference of a message for a room, if its client has given it one.
    pub fn of(&self, message: &NewMessage, room: &Room) -> Option<Reference> {
        let name = message.receipt.reference()?;
        Some(self.reference(&message.client(), room, name))
    }

    fn reference(&self, client: &str, room: &Room, name: &str) -> Reference {
        Reference {
            client: self.hash(client),
            name: self.hash((Some(room), name)),
        }
    }

    fn hash(&self, what: impl Hash) -> u64 {
        let (high, low) = ((self.key >> 64) as u64, self.key as u64);
        // The one keyed hash that std has, and it stays the same.
        #[allow(deprecated)]
        let mut hasher = std::hash::SipHasher::new_with_keys(high, low);
        what.hash(&mut hasher);
        hasher.finish()
    }

    /// The id under which the message was accepted, if it was.
    pub fn find(&self, reference: Reference) -> Option<Id> {
        let known = self.clients.get(&reference.client)?;
        let known = known.known.get(&reference.name)?;
        (known.at >= self.oldest()).then_some(known.id)
    }

    /// Keeps the reference of a message that has been accepted under this id.
    pub fn keep(&mut self, reference: Reference, id: Id) {
        self.restore(reference, id, Duration::ZERO);
    }

    /// The same, if it was so long ago.
    pub fn restore(&mut self, reference: Reference, id: Id, age: Duration) {
        if age >= LIFE {
            return;
        }
        let (now, oldest) = (self.now(), self.oldest());
        // Two, so that all get their turn.
        for _ in 0..2 {
            match self.looked.front() {
                Some((at, _)) if now - at >= LOOK.as_secs() as u32 => self.look(now, usize::MAX),
                _ => break,
            }
        }
        let client = self.clients.entry(reference.client).or_insert_with(|| {
            self.looked.push_back((now, reference.client));
            self.bytes += CLIENT_BYTES;
            Client::default()
        });
        self.bytes -= client.bytes();
        if client.known.len() == client.known.capacity() {
            self.count -= client.forget(|known| known.at < oldest);
        }
        let at = now - age.as_secs() as u32;
        let turn = client.turn;
        client.turn = turn.wrapping_add(1);
        let known = client.known.insert(reference.name, Known { id, at, turn });
        self.count += usize::from(known.is_none());
        self.bytes += client.bytes();
        while self.bytes > MOST_BYTES {
            self.look(now, self.count / self.clients.len() / 2);
        }
    }

    /// Forgets a reference: its message was not accepted after all.
    pub fn forget(&mut self, reference: Reference) {
        if let Some(client) = self.clients.get_mut(&reference.client) {
            self.count -= usize::from(client.known.remove(&reference.name).is_some());
        }
    }

    /// The clients with references.
    pub fn clients(&self) -> Vec<u64> {
        self.clients.keys().copied().collect()
    }

    /// The references of a client that are known, with the ids of their messages and how long ago
    /// these were accepted.
    pub fn known(&self, client: u64) -> impl Iterator<Item = (Reference, Id, Duration)> {
        let (now, oldest) = (self.now(), self.oldest());
        let known = self.clients.get(&client).map(|client| &client.known);
        let known = known.into_iter().flatten();
        known
            .filter(move |(_, known)| known.at >= oldest)
            .map(move |(&name, known)| {
                let age = Duration::from_secs((now - known.at).into());
                (Reference { client, name }, known.id, age)
            })
    }

    /// Looks at the client whose turn it is. Forgets what is no longer known and, where there are
    /// so many and more, the older half.
    fn look(&mut self, now: u32, many: usize) {
        let Some((_, hash)) = self.looked.pop_front() else {
            return;
        };
        let oldest = self.oldest();
        let Some(client) = self.clients.get_mut(&hash) else {
            return;
        };
        self.bytes -= client.bytes();
        self.count -= client.forget(|known| known.at < oldest);
        if client.known.len() >= many {
            let (turn, half) = (client.turn, client.known.len() as u32 / 2);
            self.count -= client.forget(|known| turn.wrapping_sub(known.turn) > half);
        }
        client.known.shrink_to_fit();
        self.bytes += client.bytes();
        if client.known.is_empty() {
            self.clients.remove(&hash);
            self.bytes -= CLIENT_BYTES;
        } else {
            self.looked.push_back((now, hash));
        }
    }

    /// In seconds. It begins at [`LIFE`], so that also what was before the start has a time.
    fn now(&self) -> u32 {
        (LIFE + self.started.elapsed()).as_secs() as u32
    }

    /// What was accepted before is no longer known.
    fn oldest(&self) -> u32 {
        self.now().saturating_sub(LIFE.as_secs() as u32)
    }
}

impl Client {
    /// Forgets some, and returns how many.
    fn forget(&mut self, which: impl Fn(&Known) -> bool) -> usize {
        let before = self.known.len();
        self.known.retain(|_, known| !which(known));
        before - self.known.len()
    }

    fn bytes(&self) -> usize {
        heap::table(self.known.capacity(), size_of::<(u64, Known)>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quarter of an hour at the default rate, and the burst before it.
    const MANY: u64 = 20 * 15 * 60 + 60;

    fn keep(references: &mut References, client: &str, names: std::ops::Range<u64>) {
        for n in names {
            let reference = references.reference(client, &Room::lobby(), &n.to_string());
            references.keep(reference, Id::first(n));
        }
    }

    fn found(references: &References, client: &str, name: u64) -> Option<u64> {
        let reference = references.reference(client, &Room::lobby(), &name.to_string());
        references.find(reference).map(|id| id.epoch)
    }

    /// A quarter of an hour later: times are counted from a start that is earlier by as much.
    fn later(references: &mut References) {
        references.started -= LIFE + Duration::from_secs(1);
    }

    #[test]
    fn a_reference_is_its_clients_and_its_rooms() {
        let mut references = References::new(7);
        let (lobby, attic) = (Room::lobby(), Room::new("attic").unwrap());
        let said = references.reference("ann", &lobby, "r1");
        references.keep(said, Id::first(7));
        assert_eq!(references.find(said), Some(Id::first(7)));
        for (client, room, name) in [
            ("bob", &lobby, "r1"),
            ("ann", &attic, "r1"),
            ("ann", &lobby, "r2"),
        ] {
            let other = references.reference(client, room, name);
            assert_eq!(references.find(other), None, "{client} {room:?} {name}");
        }
    }

    #[test]
    fn as_many_as_the_rate_allows_are_known_for_a_quarter_of_an_hour_and_no_longer() {
        let mut references = References::new(7);
        for client in ["ann", "bob"] {
            keep(&mut references, client, 0..MANY);
        }
        for n in 0..MANY {
            assert_eq!(found(&references, "ann", n), Some(n));
        }
        assert!(references.bytes < 3 * 1024 * 1024, "{}", references.bytes);
        later(&mut references);
        assert_eq!(found(&references, "ann", MANY - 1), None);
        keep(&mut references, "pi", 0..1);
        assert_eq!(references.clients.len(), 1, "the others are gone");
        assert_eq!(references.looked.len(), 1);
        let left = &references.clients.values().next().unwrap();
        assert_eq!(references.bytes, CLIENT_BYTES + left.bytes());
    }

    #[test]
    fn a_client_that_goes_on_does_not_grow() {
        let mut references = References::new(7);
        for _ in 0..10 {
            keep(&mut references, "ann", 0..1000);
            later(&mut references);
        }
        keep(&mut references, "ann", 0..1000);
        assert!(references.bytes < 200_000, "{}", references.bytes);
    }

    #[test]
    fn too_many_references_evict_the_oldest_of_the_largest_clients() {
        let mut references = References::new(7);
        keep(&mut references, "ann", 0..MANY);
        for n in 0..10 * MANY {
            for client in ["bob", "rob"] {
                keep(&mut references, client, n..n + 1);
                assert!(references.bytes <= MOST_BYTES);
            }
        }
        for n in 0..MANY {
            assert_eq!(found(&references, "ann", n), Some(n));
        }
        keep(&mut references, "bob", 10 * MANY..1_000_000);
        assert_eq!(found(&references, "bob", 999_999), Some(999_999));
        assert_eq!(found(&references, "bob", 0), None);
        assert_eq!(found(&references, "ann", 0), Some(0));
        // Clients without number have one each.
        for n in 0..300_000 {
            keep(&mut references, &n.to_string(), 0..1);
        }
        assert!(references.bytes <= MOST_BYTES);
        assert_eq!(references.looked.len(), references.clients.len());
        let bytes = references
            .clients
            .values()
            .map(|client| CLIENT_BYTES + client.bytes());
        assert_eq!(references.bytes, bytes.sum::<usize>());
        let counts = references.clients.values().map(|client| client.known.len());
        assert_eq!(references.count, counts.sum::<usize>());
    }
}
