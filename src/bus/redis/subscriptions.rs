//! The rooms whose channels this instance is subscribed to (those it has peers in, and no others),
//! and how far it has heard each of them.

mod connections;
mod moderation;
mod moves;

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use event_listener::Event;

use super::client::Client;
use super::left_rooms::LeftRooms;
use crate::chat::id::Id;
use crate::chat::name::{Room, User};
use crate::chat::replay::{Cursor, Epochs, Step};
use crate::mutex::Mutex;
use crate::redis::connection::Writer;
use crate::redis::error::Error;
use crate::redis::pipeline::REPLY_TIME;
use crate::time::timeout;
use connections::Place;
use moderation::Moderation;

pub use connections::Connections;
pub use moderation::Follows;

/// The subscriptions, as wanted and as confirmed.
#[derive(Debug)]
pub struct Subscriptions {
    client: Arc<Client>,
    state: Mutex<State>,
    /// A command waits to be sent.
    work: Event,
    /// A subscription was confirmed, or the connection broke.
    changed: Event,
    /// How many users are muted in these rooms, or more.
    muted: AtomicUsize,
}

#[derive(Default)]
struct State {
    rooms: HashMap<Room, Wanted>,
    /// Rooms that are no longer wanted, but still watched.
    left: LeftRooms,
    up: bool,
    connections: Connections,
    /// Rooms whose logs are to be read when their subscriptions are confirmed: those that follow their
    /// slot to another node, and private conversations that were opened.
    unsynced: Vec<Room>,
}

#[derive(Default)]
struct Wanted {
    /// Peers here that are in the room or about to be.
    peers: usize,
    /// Whether Redis may know of it.
    tracked: bool,
    /// Where its channels are.
    place: Option<Place>,
    /// How often its slot has moved since the subscription was last confirmed.
    moves: u32,
    /// How far the room has been heard; none before the first sign of where it stands.
    cursor: Option<Cursor>,
    /// What its moderators have done; none before the first sign of that.
    moderation: Option<Box<Moderation>>,
}

impl fmt::Debug for State {
    /// Without the commands: there may be a password among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "State({} rooms)", self.rooms.len())
    }
}

impl Subscriptions {
    /// None yet.
    pub fn new(client: Arc<Client>) -> Subscriptions {
        Subscriptions {
            client,
            state: Mutex::default(),
            work: Event::new(),
            changed: Event::new(),
            muted: AtomicUsize::new(0),
        }
    }

    /// Counts a peer into a room and waits until what is published there arrives; `false` when Redis
    /// can't be reached. Either way, [`leave`](Self::leave) must follow one day.
    pub async fn enter(&self, room: &Room) -> bool {
        {
            let state = &mut *self.state.lock();
            let wanted = state.rooms.entry(room.clone()).or_default();
            wanted.peers += 1;
            if wanted.peers == 1 {
                // A private conversation has no roster.
                if !room.is_conversation() {
                    wanted.tracked = state.up;
                    self.track_room(room, true);
                }
                state.subscribe(room, &self.client.scripts.channels(room));
                self.work.notify(usize::MAX);
            }
        }
        let subscribed = async {
            loop {
                let changed = self.changed.listen();
                let subscribed = self.state.lock().is_subscribed(room);
                match subscribed {
                    Some(false) => changed.await,
                    subscribed => return subscribed.is_some(),
                }
            }
        };
        timeout(REPLY_TIME, subscribed).await.unwrap_or(false)
    }

    /// Hears a private conversation from here on, without waiting, and then what its log has after the
    /// cursor. It counts as a peer.
    pub fn open(&self, room: &Room, cursor: Cursor) {
        let state = &mut *self.state.lock();
        let wanted = state.rooms.entry(room.clone()).or_default();
        wanted.peers += 1;
        wanted.cursor.get_or_insert(cursor);
        if wanted.peers == 1 {
            state.subscribe(room, &self.client.scripts.channels(room));
            state.unsynced.push(room.clone());
            self.work.notify(usize::MAX);
        }
    }

    /// Counts a peer out of a room; the last one ends the subscription.
    pub fn leave(&self, room: &Room) {
        let mut state = self.state.lock();
        let Some(wanted) = state.rooms.get_mut(room) else {
            return;
        };
        wanted.peers -= 1;
        if wanted.peers == 0 {
            let (tracked, place) = (wanted.tracked, wanted.place);
            state.rooms.remove(room);
            if tracked && let Some(dropped) = state.left.add(room.clone(), Instant::now()) {
                self.untrack_room(&state, &dropped);
            }
            if let Some(place) = place {
                let channels = self.client.scripts.channels(room);
                state.connections.unsubscribe(place.connection, &channels);
            }
            self.work.notify(usize::MAX);
        }
    }

    /// The rooms whose rosters may hold peers of this instance: those with peers here, and those
    /// that they have left a short while ago.
    pub fn watched(&self) -> Vec<Room> {
        let state = self.state.lock();
        let left = state.left.iter();
        let left = left.filter(|room| !state.rooms.contains_key(room));
        let rooms = state.rooms.keys().filter(|room| !room.is_conversation());
        rooms.chain(left).cloned().collect()
    }

    /// A room's roster is right. If the room was left long enough ago, it is watched no longer.
    pub fn end_watch(&self, room: &Room) {
        let mut state = self.state.lock();
        if state.left.end(room, Instant::now()) {
            self.untrack_room(&state, room);
        }
    }

    fn untrack_room(&self, state: &State, room: &Room) {
        if !state.rooms.contains_key(room) {
            self.track_room(room, false);
        }
    }

    /// Called while the state is locked, so that Redis hears it in the order in which rooms come and
    /// go.
    fn track_room(&self, room: &Room, has_peers: bool) {
        let command = self
            .client
            .scripts
            .track_rooms(slice::from_ref(room), has_peers);
        self.client.send(command);
    }

    /// How far a room has been heard, if anything is known of it.
    pub fn cursor(&self, room: &Room) -> Option<Cursor> {
        self.state.lock().rooms.get(room)?.cursor.clone()
    }

    /// Where a room's log stood when it had been heard so far.
    pub fn heard_log(&self, room: &Room) -> Option<Epochs> {
        Some(self.cursor(room)?.epochs)
    }

    /// The last message that was heard in a room.
    pub fn heard_until(&self, room: &Room) -> Option<Id> {
        self.state
            .lock()
            .rooms
            .get(room)?
            .cursor
            .as_ref()?
            .epochs
            .last()
    }

    /// Notes a message that comes by the channel, if it is the next one. `None`: nothing is known of
    /// the room, because nobody has joined it yet.
    pub fn hear(&self, room: &Room, id: Id, at: u64) -> Option<Step> {
        let mut state = self.state.lock();
        let cursor = state.rooms.get_mut(room)?.cursor.as_mut()?;
        Some(cursor.advance(id, at))
    }

    /// The room has been heard so far.
    pub fn set_cursor(&self, room: &Room, cursor: Cursor) {
        if let Some(wanted) = self.state.lock().rooms.get_mut(room) {
            wanted.cursor = Some(cursor);
        }
    }

    /// How far the private conversations of a user have been heard.
    pub fn conversations(&self, user: &User) -> Vec<(Room, Id)> {
        let state = self.state.lock();
        let rooms = state.rooms.iter().filter(|(room, _)| room.is_of(user));
        rooms
            .filter_map(|(room, wanted)| Some((room.clone(), wanted.cursor.as_ref()?.epochs.last)))
            .collect()
    }

    /// How far each room has been heard that anything is known of.
    pub fn cursors(&self) -> Vec<(Room, Cursor)> {
        let state = self.state.lock();
        let rooms = state.rooms.iter();
        rooms
            .filter_map(|(room, wanted)| Some((room.clone(), wanted.cursor.clone()?)))
            .collect()
    }

    /// The rooms to subscribe to when a connection is made.
    pub fn wanted(&self) -> Vec<Room> {
        self.state.lock().rooms.keys().cloned().collect()
    }

    /// The connections are there and subscribed to `rooms`. Rooms that became wanted meanwhile are
    /// asked for now, others given up.
    pub fn up(&self, connections: Connections, rooms: &[Room]) {
        let channels = |room: &Room| self.client.scripts.channels(room);
        let state = &mut *self.state.lock();
        (state.up, state.connections) = (true, connections);
        for room in rooms {
            let place = state.connections.place(&channels(room));
            match state.rooms.get_mut(room) {
                Some(wanted) => {
                    (wanted.place, wanted.tracked) = (Some(place), !room.is_conversation())
                }
                None => (state.connections).unsubscribe(place.connection, &channels(room)),
            }
        }
        let missing = state
            .rooms
            .iter()
            .filter(|(_, wanted)| wanted.place.is_none());
        let missing: Vec<Room> = missing.map(|(room, _)| room.clone()).collect();
        for room in missing {
            state.subscribe(&room, &channels(&room));
            if room.is_conversation() {
                state.unsynced.push(room);
            }
        }
        self.work.notify(usize::MAX);
        self.changed.notify(usize::MAX);
    }

    /// The connections are gone, and with them every subscription.
    pub fn down(&self) {
        let mut state = self.state.lock();
        (state.up, state.connections) = (false, Connections::default());
        state.unsynced.clear();
        for wanted in state.rooms.values_mut() {
            (wanted.place, wanted.moves) = (None, 0);
        }
        drop(state);
        self.changed.notify(usize::MAX);
    }

    /// Sends a command on all connections. Its reply is ignored unless it is an error.
    pub fn send(&self, command: &[u8]) {
        self.state.lock().connections.send(command);
        self.work.notify(usize::MAX);
    }

    /// Writes on a connection: subscriptions as peers come and go.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn write(
        &self,
        connection: usize,
        mut commands: Writer,
    ) -> Result<Infallible, Error> {
        loop {
            let work = self.work.listen();
            let out = self.state.lock().connections.take_commands(connection);
            if out.is_empty() {
                work.await;
            } else {
                commands.write(&out).await?;
            }
        }
    }

    /// Asks for a sign of life on the connections that have no canary.
    ///
    /// # Errors
    /// One has been silent for longer than `limit`.
    pub fn ping(&self, limit: Duration) -> Result<(), Error> {
        self.state.lock().connections.ping(limit)?;
        self.work.notify(usize::MAX);
        Ok(())
    }

    /// Something has come on a connection.
    pub fn heard_from(&self, connection: usize) {
        self.state.lock().connections.heard(connection);
    }

    /// Whether a room's channels are on this connection.
    pub fn is_on(&self, connection: usize, room: &Room) -> bool {
        let state = self.state.lock();
        let place = state.rooms.get(room).and_then(|wanted| wanted.place);
        place.is_some_and(|place| place.connection == connection)
    }
}

impl State {
    /// Whether what is published in a room arrives; `None`: the room or the connection is gone.
    fn is_subscribed(&self, room: &Room) -> Option<bool> {
        let wanted = self.rooms.get(room).filter(|_| self.up)?;
        let confirmed = |place| self.connections.confirmed(place);
        Some(wanted.place.is_some_and(confirmed))
    }

    fn subscribe(&mut self, room: &Room, channels: &[String; 2]) {
        if self.up
            && let Some(wanted) = self.rooms.get_mut(room)
        {
            wanted.place = Some(self.connections.subscribe(channels));
        }
    }
}
