//! Who is connected here, in which rooms, and the fan-out to them.
//!
//! One registry behind one async mutex. Nothing awaits while it is held: inside there is only map
//! work and [`Outbox::push`], which never waits. So the order in which [`Peers::deliver`] runs is
//! the order that every peer of a room sees.

use std::collections::HashMap;
use std::collections::hash_map;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_lock::{Mutex, OnceCell};
use bytes::Bytes;
use slab::Slab;

use super::dialect::{Dialect, Reply, Roster};
use super::end::End;
use super::event::{Event, Instance, Origin, What};
use super::frame::{self, Broadcast};
use super::name::{Room, User};
use super::outbox::Outbox;
use super::peer::Peer;

/// About this many bytes of a room's batch are rendered into one buffer. Well below an outbox's
/// limit, so that a peer is not ended for one buffer that its socket took half of.
const BUFFER_TARGET: usize = 48 * 1024;

/// The sweep looks at this many peers before it lets others at the registry.
const SWEEP_SLICE: usize = 256;

/// Where a peer sits in the registry. Held by the one task that added it and will remove it.
#[derive(Debug)]
pub struct Seat(usize);

/// The registry of this instance's peers.
#[derive(Debug)]
pub struct Peers {
    /// This instance, as it signs events.
    pub instance: Instance,
    registry: Mutex<Registry>,
    numbers: AtomicU64,
    started: Instant,
}

#[derive(Debug, Default)]
struct Registry {
    seats: Slab<Seated>,
    names: HashMap<User, usize>,
    rooms: HashMap<Room, Members>,
    /// Peers whose join is on the bus, by their number.
    arriving: HashMap<u64, Arrival>,
}

/// A peer that will enter a room when its own join comes by.
#[derive(Debug)]
struct Arrival {
    seat: usize,
    room: Room,
    welcome: Bytes,
    entered: Arc<OnceCell<()>>,
}

/// The peers of this instance in a room, and how many are arriving there.
#[derive(Debug, Default)]
struct Members {
    here: Vec<Member>,
    arriving: usize,
}

/// A peer's way into a room.
#[derive(Debug)]
pub struct Entry {
    peer: u64,
    entered: Arc<OnceCell<()>>,
}

impl Entry {
    /// Waits until the peer has entered. Give it a deadline, and [give up](Peers::give_up) then.
    pub async fn wait(&self) {
        self.entered.wait().await;
    }
}

#[derive(Debug)]
struct Seated {
    peer: Arc<Peer>,
    user: Option<User>,
    rooms: Vec<Membership>,
    pinged: bool,
}

/// A room of a peer, and the peer's place in that room's list.
#[derive(Debug)]
struct Membership {
    room: Room,
    at: usize,
}

/// A peer of a room: its seat. 32 bits are plenty, and the list is walked for every batch.
type Member = u32;

/// What a peer leaves behind: its name and the rooms it was in.
#[derive(Debug)]
pub struct Departure {
    /// The name it had claimed.
    pub user: Option<User>,
    /// The rooms it was in, each with how many peers of this instance it held until now.
    pub rooms: Vec<(Room, usize)>,
}

impl Peers {
    /// An empty registry.
    pub fn new(instance: Instance) -> Peers {
        Peers {
            instance,
            registry: Mutex::default(),
            numbers: AtomicU64::new(1),
            started: Instant::now(),
        }
    }

    /// A new peer, with the next number. It hears nothing before it is [seated](Self::add).
    pub fn peer(&self, dialect: Dialect, outbox: Outbox) -> Arc<Peer> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        Arc::new(Peer::new(number, dialect, outbox, self.started))
    }

    /// How a peer signs its events.
    pub fn origin(&self, peer: &Peer) -> Origin {
        Origin {
            instance: self.instance,
            peer: peer.number,
        }
    }

    /// Seats a peer: it has no name and is in no room yet.
    pub async fn add(&self, peer: Arc<Peer>) -> Seat {
        let seated = Seated {
            peer,
            user: None,
            rooms: Vec::new(),
            pinged: false,
        };
        Seat(self.registry.lock().await.seats.insert(seated))
    }

    /// Gives a peer a name, if nobody here has it.
    pub async fn claim(&self, seat: &Seat, user: &User) -> bool {
        let mut registry = self.registry.lock().await;
        let Registry { seats, names, .. } = &mut *registry;
        match names.entry(user.clone()) {
            hash_map::Entry::Occupied(_) => false,
            hash_map::Entry::Vacant(name) => {
                name.insert(seat.0);
                seats[seat.0].user = Some(user.clone());
                true
            }
        }
    }

    /// Lets a peer into a room as soon as its own join, which is now to be put on the bus, comes
    /// by: so it hears what comes after, nothing that was before, and everybody agrees on which
    /// is which. Says how many of this instance's peers are or will then be in the room.
    pub async fn expect(&self, seat: &Seat, room: &Room, welcome: &Reply<'_>) -> (Entry, usize) {
        let mut registry = self.registry.lock().await;
        let Registry {
            seats,
            rooms,
            arriving,
            ..
        } = &mut *registry;
        let peer = &seats[seat.0].peer;
        let entry = Entry {
            peer: peer.number,
            entered: Arc::default(),
        };
        let arrival = Arrival {
            seat: seat.0,
            room: room.clone(),
            welcome: peer.frame(welcome),
            entered: entry.entered.clone(),
        };
        arriving.insert(peer.number, arrival);
        let members = rooms.entry(room.clone()).or_default();
        members.arriving += 1;
        (entry, members.here.len() + members.arriving)
    }

    /// Does not let a peer in any more; `false` if it has just entered.
    pub async fn give_up(&self, entry: Entry) -> bool {
        self.registry.lock().await.expect_no_more(entry.peer)
    }

    /// Takes a peer out of its rooms, its name and its seat: from here on it hears nothing.
    pub async fn remove(&self, seat: Seat) -> Departure {
        let mut registry = self.registry.lock().await;
        let Seated {
            peer, user, rooms, ..
        } = registry.seats.remove(seat.0);
        registry.expect_no_more(peer.number);
        let mut left = Vec::with_capacity(rooms.len());
        for membership in rooms {
            let count = registry.drop_member(&membership);
            left.push((membership.room, count));
        }
        if let Some(user) = &user {
            registry.names.remove(user);
        }
        Departure { user, rooms: left }
    }

    /// How many peers are seated.
    pub async fn count(&self) -> usize {
        self.registry.lock().await.seats.len()
    }

    /// Who of this instance is in a room; above `most` only how many.
    pub async fn roster(&self, room: &Room, most: usize) -> Roster {
        let registry = self.registry.lock().await;
        let members = registry
            .rooms
            .get(room)
            .map_or(&[][..], |members| &members.here);
        let mut users = Vec::new();
        if members.len() <= most {
            let named = members
                .iter()
                .filter_map(|&at| registry.seats[at as usize].user.as_ref());
            users.extend(named.map(User::to_string));
            users.sort_unstable();
        }
        Roster {
            count: members.len(),
            users,
        }
    }

    /// Tells the peer of that name; `false` if nobody here has it.
    pub async fn tell(&self, user: &str, reply: &Reply<'_>) -> bool {
        let registry = self.registry.lock().await;
        let Some(&seat) = User::new(user)
            .ok()
            .and_then(|user| registry.names.get(&user))
        else {
            return false;
        };
        registry.seats[seat].peer.tell(reply);
        true
    }

    /// Ends the connection that has this name, if it has this number.
    pub async fn end(&self, user: &User, number: u64, end: End) {
        let registry = self.registry.lock().await;
        if let Some(&seat) = registry.names.get(user)
            && registry.seats[seat].peer.number == number
        {
            registry.seats[seat].peer.outbox.end(end);
        }
    }

    /// Every seated peer.
    pub async fn all(&self) -> Vec<Arc<Peer>> {
        self.registry
            .lock()
            .await
            .seats
            .iter()
            .map(|(_, seated)| seated.peer.clone())
            .collect()
    }

    /// Every name claimed here, with its connection and the rooms it is in.
    pub async fn present(&self) -> Vec<(User, Origin, Vec<Room>)> {
        let registry = self.registry.lock().await;
        let named = registry.seats.iter().filter_map(|(_, seated)| {
            let rooms = seated
                .rooms
                .iter()
                .map(|membership| membership.room.clone())
                .collect();
            Some((seated.user.clone()?, self.origin(&seated.peer), rooms))
        });
        named.collect()
    }

    /// Sends a batch of events to everybody who is to hear them, in order, and empties the batch.
    pub async fn deliver(&self, batch: &mut Vec<Event>) {
        // Stable: the order within a room stays.
        batch.sort_by(|a, b| a.room.cmp(&b.room));
        let mut registry = self.registry.lock().await;
        let mut parts = Vec::new();
        for events in batch.chunk_by(|a, b| a.room == b.room).flat_map(buffers) {
            for event in events {
                registry.let_in(event, self.instance);
            }
            registry.broadcast(self.instance, events, &mut parts);
        }
        batch.clear();
    }

    /// Looks at every peer once: pings whoever has been silent for `silence` seconds, ends whoever
    /// stayed silent for as long again.
    pub async fn sweep(&self, silence: u32) {
        let mut from = 0;
        loop {
            let mut registry = self.registry.lock().await;
            let end = registry.seats.capacity();
            for at in from..end.min(from + SWEEP_SLICE) {
                if let Some(seated) = registry.seats.get_mut(at) {
                    seated.sweep(silence);
                }
            }
            from += SWEEP_SLICE;
            if from >= end {
                return;
            }
        }
    }
}

impl Registry {
    /// Takes a member out of its room and says how many there were. The last member of the list
    /// moves into the gap, so leaving costs the same in a room of any size.
    fn drop_member(&mut self, membership: &Membership) -> usize {
        let Some(members) = self.rooms.get_mut(&membership.room) else {
            return 0;
        };
        let count = members.here.len();
        members.here.swap_remove(membership.at);
        if let Some(&moved) = members.here.get(membership.at) {
            let rooms = &mut self.seats[moved as usize].rooms;
            if let Some(place) = rooms.iter_mut().find(|place| place.room == membership.room) {
                place.at = membership.at;
            }
        }
        self.forget_if_empty(&membership.room);
        count
    }

    /// Forgets an arrival; `false` if there is none.
    fn expect_no_more(&mut self, peer: u64) -> bool {
        let Some(arrival) = self.arriving.remove(&peer) else {
            return false;
        };
        if let Some(members) = self.rooms.get_mut(&arrival.room) {
            members.arriving -= 1;
        }
        self.forget_if_empty(&arrival.room);
        true
    }

    fn forget_if_empty(&mut self, room: &Room) {
        if self
            .rooms
            .get(room)
            .is_some_and(|room| room.here.is_empty() && room.arriving == 0)
        {
            self.rooms.remove(room);
        }
    }

    /// Lets a peer in when its own join comes by.
    fn let_in(&mut self, event: &Event, here: Instance) {
        let (What::Joined { .. }, Some(origin)) = (&event.what, event.origin) else {
            return;
        };
        if origin.instance != here {
            return;
        }
        let Some(arrival) = self.arriving.remove(&origin.peer) else {
            return;
        };
        let members = self.rooms.entry(arrival.room.clone()).or_default();
        let seated = &mut self.seats[arrival.seat];
        seated.rooms.push(Membership {
            room: arrival.room,
            at: members.here.len(),
        });
        members.here.push(arrival.seat as Member);
        members.arriving -= 1;
        seated.peer.outbox.push(&[arrival.welcome]);
        // It is ours alone, so it is not set yet.
        let _ = arrival.entered.set_blocking(());
    }

    /// Sends a room's events to its peers. `parts` is scratch space.
    fn broadcast(&self, here: Instance, events: &[Event], parts: &mut Vec<Bytes>) {
        let Some(members) = events.first().and_then(|event| self.rooms.get(&event.room)) else {
            return;
        };
        let broadcast = Broadcast::render(Dialect::Plain, here, events);
        for &member in &members.here {
            let peer = &self.seats[member as usize].peer;
            broadcast.parts_for(peer.number, parts);
            if !parts.is_empty() {
                peer.outbox.push(parts);
            }
        }
    }
}

impl Seated {
    fn sweep(&mut self, silence: u32) {
        let silent = self.peer.silent_for();
        if silent < silence {
            self.pinged = false;
        } else if !self.pinged {
            self.pinged = true;
            self.peer.outbox.push(&[frame::ping()]);
        } else if silent >= 2 * silence {
            self.peer.outbox.end(End::Silent);
        }
    }
}

/// Cuts a room's events into runs of about [`BUFFER_TARGET`] bytes.
fn buffers(events: &[Event]) -> impl Iterator<Item = &[Event]> {
    let mut size = 0;
    let mut fill = move |event: &Event| {
        let full = size > BUFFER_TARGET;
        size = if full { 0 } else { size } + event.weight();
        !full
    };
    events.chunk_by(move |event, _| fill(event))
}
