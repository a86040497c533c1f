//! The rooms whose channels this instance is subscribed to (those it has peers in, and no others),
//! and how far it has heard each of them.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::fmt;
use std::mem;
use std::slice;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use event_listener::Event;

use super::client::Client;
use super::left_rooms::LeftRooms;
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::{Step, step};
use crate::redis::connection::Writer;
use crate::redis::error::Error;
use crate::redis::pipeline::REPLY_TIME;
use crate::time::timeout;

/// The subscriptions, as wanted and as confirmed.
#[derive(Debug)]
pub struct Subscriptions {
    client: Arc<Client>,
    state: Mutex<State>,
    /// A command waits to be sent.
    work: Event,
    /// A subscription was confirmed, or the connection broke.
    changed: Event,
}

#[derive(Default)]
struct State {
    rooms: HashMap<Room, Wanted>,
    /// Rooms that are no longer wanted, but still watched.
    left: LeftRooms,
    /// Rooms in which messages have been lost, and the peers have not been told yet.
    incomplete: HashSet<Room>,
    commands: Vec<u8>,
    up: bool,
    /// How many channels were asked for on this connection after it was made.
    asked: u64,
    /// How many of them are confirmed. Redis confirms them in their order.
    confirmed: u64,
}

#[derive(Default)]
struct Wanted {
    /// Peers here that are in the room or about to be.
    peers: usize,
    /// Whether Redis may know of it.
    tracked: bool,
    /// The last of this room's channels, counted among those that were asked for on this connection; 0:
    /// it was made with the connection.
    asked: Option<u64>,
    /// The last message heard; none before the first sign of where the room stands.
    heard: Option<Cursor>,
}

/// A message that has been heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Its place; [`Id::START`] where nothing has been said yet.
    pub id: Id,
    /// Its time, if the message itself was seen. Another one in the same place has another time.
    pub at: Option<u64>,
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
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a peer into a room and waits until what is published there arrives; `false` when Redis
    /// can't be reached. Either way, [`leave`](Self::leave) must follow one day.
    pub async fn enter(&self, room: &Room) -> bool {
        {
            let state = &mut *self.lock();
            let wanted = state.rooms.entry(room.clone()).or_default();
            wanted.peers += 1;
            if wanted.peers == 1 {
                wanted.tracked = state.up;
                self.track_room(room, true);
                state.subscribe(room, &self.client.scripts.channels(room));
                self.work.notify(1);
            }
        }
        let subscribed = async {
            loop {
                let changed = self.changed.listen();
                let subscribed = self.lock().is_subscribed(room);
                match subscribed {
                    Some(false) => changed.await,
                    subscribed => return subscribed.is_some(),
                }
            }
        };
        timeout(REPLY_TIME, subscribed).await.unwrap_or(false)
    }

    /// Counts a peer out of a room; the last one ends the subscription.
    pub fn leave(&self, room: &Room) {
        let mut state = self.lock();
        let Some(wanted) = state.rooms.get_mut(room) else {
            return;
        };
        wanted.peers -= 1;
        if wanted.peers == 0 {
            let tracked = wanted.tracked;
            state.rooms.remove(room);
            if tracked && let Some(dropped) = state.left.add(room.clone(), Instant::now()) {
                self.untrack_room(&state, &dropped);
            }
            state.command("UNSUBSCRIBE", &self.client.scripts.channels(room));
            self.work.notify(1);
        }
    }

    /// The rooms whose rosters may hold peers of this instance: those with peers here, and those
    /// that they have left a short while ago.
    pub fn watched(&self) -> Vec<Room> {
        let state = self.lock();
        let left = state.left.iter();
        let left = left.filter(|room| !state.rooms.contains_key(room));
        state.rooms.keys().chain(left).cloned().collect()
    }

    /// A room's roster is right. If the room was left long enough ago, it is watched no longer.
    pub fn end_watch(&self, room: &Room) {
        let mut state = self.lock();
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
    pub fn heard(&self, room: &Room) -> Option<Cursor> {
        self.lock().rooms.get(room)?.heard
    }

    /// What a message is to those who are here; see [`step`].
    pub fn step(&self, room: &Room, id: Id) -> Step {
        let heard = self.heard(room);
        heard.map_or(Step::Next, |heard| step(heard.id, id))
    }

    /// Notes a message if it is the next one, or the first of which anything is known.
    pub fn hear(&self, room: &Room, id: Id, at: u64) -> Step {
        let mut state = self.lock();
        let Some(wanted) = state.rooms.get_mut(room) else {
            return Step::Next;
        };
        let step = wanted.heard.map_or(Step::Next, |heard| step(heard.id, id));
        if step == Step::Next {
            wanted.heard = Some(Cursor { id, at: Some(at) });
        }
        step
    }

    /// The room has been heard up to this message. `at`: its time, if it was seen itself.
    pub fn set_heard(&self, room: &Room, id: Id, at: Option<u64>) {
        if let Some(wanted) = self.lock().rooms.get_mut(room) {
            wanted.heard = Some(Cursor { id, at });
        }
    }

    /// Notes that messages have been lost.
    pub fn mark_incomplete(&self, room: &Room) {
        self.lock().incomplete.insert(room.clone());
    }

    /// The rooms in which messages have been lost since this was last asked.
    pub fn take_incomplete(&self) -> HashSet<Room> {
        mem::take(&mut self.lock().incomplete)
    }

    /// How far each room has been heard that anything is known of.
    pub fn all_heard(&self) -> Vec<(Room, Cursor)> {
        let state = self.lock();
        let heard = state.rooms.iter();
        heard
            .filter_map(|(room, wanted)| Some((room.clone(), wanted.heard?)))
            .collect()
    }

    /// The rooms to subscribe to when a connection is made.
    pub fn wanted(&self) -> Vec<Room> {
        self.lock().rooms.keys().cloned().collect()
    }

    /// The connection is there and subscribed to `rooms`. Rooms that became wanted meanwhile are
    /// asked for now, others given up.
    pub fn up(&self, rooms: &[Room]) {
        let channels = |room: &Room| self.client.scripts.channels(room);
        let mut state = self.lock();
        state.up = true;
        for room in rooms {
            match state.rooms.get_mut(room) {
                Some(wanted) => (wanted.asked, wanted.tracked) = (Some(0), true),
                None => state.command("UNSUBSCRIBE", &channels(room)),
            }
        }
        let missing = state
            .rooms
            .iter()
            .filter(|(_, wanted)| wanted.asked.is_none());
        let missing: Vec<Room> = missing.map(|(room, _)| room.clone()).collect();
        for room in missing {
            state.subscribe(&room, &channels(&room));
        }
        drop(state);
        self.work.notify(1);
        self.changed.notify(usize::MAX);
    }

    /// The connection is gone, and with it every subscription.
    pub fn down(&self) {
        let mut state = self.lock();
        state.commands.clear();
        (state.up, state.asked, state.confirmed) = (false, 0, 0);
        for wanted in state.rooms.values_mut() {
            wanted.asked = None;
        }
        drop(state);
        self.changed.notify(usize::MAX);
    }

    /// Sends a command among the others. Its reply is ignored unless it is an error.
    pub fn send(&self, command: &[u8]) {
        let mut state = self.lock();
        if state.up {
            state.commands.extend_from_slice(command);
        }
        drop(state);
        self.work.notify(1);
    }

    /// Writes subscriptions as peers come and go.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn write(&self, mut commands: Writer) -> Result<Infallible, Error> {
        loop {
            let work = self.work.listen();
            let out = mem::take(&mut self.lock().commands);
            if out.is_empty() {
                work.await;
            } else {
                commands.write(&out).await?;
            }
        }
    }

    /// Redis has confirmed the oldest subscription asked for.
    pub fn confirmed(&self) {
        self.lock().confirmed += 1;
        self.changed.notify(usize::MAX);
    }
}

impl State {
    /// Whether what is published in a room arrives; `None`: the room or the connection is gone.
    fn is_subscribed(&self, room: &Room) -> Option<bool> {
        let wanted = self.rooms.get(room).filter(|_| self.up)?;
        Some(wanted.asked.is_some_and(|asked| asked <= self.confirmed))
    }

    fn subscribe(&mut self, room: &Room, channels: &[String; 2]) {
        if self.up
            && let Some(wanted) = self.rooms.get_mut(room)
        {
            self.asked += channels.len() as u64;
            wanted.asked = Some(self.asked);
            self.command("SUBSCRIBE", channels);
        }
    }

    /// Without a connection there is nobody to send it to, and nothing to undo.
    fn command(&mut self, name: &str, channels: &[String; 2]) {
        if self.up {
            redis::cmd(name)
                .arg(channels)
                .write_packed_command(&mut self.commands);
        }
    }
}
