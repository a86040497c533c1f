//! The rooms whose channels this instance is subscribed to (those it has peers in, and no others),
//! and how far it has heard each of them.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use event_listener::Event;

use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::{Step, step};

/// The subscriptions, as wanted and as confirmed.
#[derive(Debug, Default)]
pub struct Subscriptions {
    state: Mutex<State>,
    /// A command waits to be sent.
    work: Event,
    /// A subscription was confirmed, or the connection broke.
    news: Event,
}

#[derive(Default)]
struct State {
    rooms: HashMap<Room, Wanted>,
    commands: Vec<u8>,
    /// The subscriptions asked for and not confirmed yet, in order.
    asked: VecDeque<(Room, u64)>,
    up: bool,
    /// Numbers the subscriptions, so that the confirmation of an earlier one is not taken for that
    /// of a later one.
    turn: u64,
}

#[derive(Debug)]
struct Wanted {
    /// Peers here that are in the room or about to be.
    peers: usize,
    turn: u64,
    confirmed: bool,
    /// The last message heard; none before the first sign of where the room stands.
    heard: Option<Cursor>,
    /// Messages have been lost, and the peers have not been told yet.
    incomplete: bool,
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
        let State { rooms, up, .. } = self;
        write!(f, "State({rooms:?}, {up})")
    }
}

impl Subscriptions {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a peer into a room and waits until what is published there arrives; `false` when the
    /// connection is gone. Either way, [`leave`](Self::leave) must follow one day. `first` is
    /// called for the first peer, in the order in which rooms come and go.
    pub async fn enter(&self, room: &Room, channel: String, first: impl FnOnce()) -> bool {
        if self.lock().enter(room, channel, first) {
            self.work.notify(1);
        }
        loop {
            let listener = {
                let state = self.lock();
                if !state.up {
                    return false;
                }
                match state.rooms.get(room) {
                    Some(wanted) if !wanted.confirmed => self.news.listen(),
                    wanted => return wanted.is_some(),
                }
            };
            listener.await;
        }
    }

    /// Counts a peer out of a room; the last one ends the subscription, by the channel that `last`
    /// returns.
    pub fn leave(&self, room: &Room, last: impl FnOnce() -> String) {
        let mut state = self.lock();
        let Some(wanted) = state.rooms.get_mut(room) else {
            return;
        };
        wanted.peers -= 1;
        if wanted.peers == 0 {
            state.rooms.remove(room);
            state.command("UNSUBSCRIBE", &[last()]);
            self.work.notify(1);
        }
    }

    /// What a message is to those who are here; see [`step`].
    pub fn step(&self, room: &Room, id: Id) -> Step {
        let state = self.lock();
        let heard = state.rooms.get(room).and_then(|wanted| wanted.heard);
        heard.map_or(Step::Next, |heard| step(heard.id, id))
    }

    /// Whether a message is of another epoch than the last one heard in its room.
    pub fn begins_anew(&self, room: &Room, id: Id) -> bool {
        let state = self.lock();
        let heard = state.rooms.get(room).and_then(|wanted| wanted.heard);
        heard.is_some_and(|heard| heard.id != Id::START && heard.id.epoch != id.epoch)
    }

    /// Notes a message if it is the next one, or the first of which anything is known.
    pub fn hear(&self, room: &Room, id: Id, at: u64) -> Step {
        let mut state = self.lock();
        let Some(wanted) = state.rooms.get_mut(room) else {
            return Step::Next;
        };
        let step = wanted.heard.map_or(Step::Next, |heard| step(heard.id, id));
        if step == Step::Next {
            let at = Some(at);
            wanted.heard = Some(Cursor { id, at });
        }
        step
    }

    /// The room has been heard up to here.
    pub fn heard(&self, room: &Room, heard: Cursor) {
        if let Some(wanted) = self.lock().rooms.get_mut(room) {
            wanted.heard = Some(heard);
        }
    }

    /// Notes that messages have been lost.
    pub fn mark_incomplete(&self, room: &Room) {
        if let Some(wanted) = self.lock().rooms.get_mut(room) {
            wanted.incomplete = true;
        }
    }

    /// The rooms in which messages have been lost since this was last asked.
    pub fn take_incomplete(&self) -> Vec<Room> {
        let mut state = self.lock();
        let rooms = state.rooms.iter_mut();
        rooms
            .filter_map(|(room, wanted)| mem::take(&mut wanted.incomplete).then(|| room.clone()))
            .collect()
    }

    /// Notes where a room stands, unless more is known already.
    pub fn begins(&self, room: &Room, id: Id) {
        if let Some(wanted) = self.lock().rooms.get_mut(room) {
            wanted.heard.get_or_insert(Cursor { id, at: None });
        }
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
    pub fn up(&self, rooms: &[Room], channel: impl Fn(&Room) -> String) {
        let mut state = self.lock();
        state.up = true;
        for room in rooms {
            match state.rooms.get_mut(room) {
                Some(wanted) => wanted.confirmed = true,
                None => state.command("UNSUBSCRIBE", &[channel(room)]),
            }
        }
        let missing = state.rooms.iter().filter(|(_, wanted)| !wanted.confirmed);
        let missing: Vec<_> = missing
            .map(|(room, wanted)| (room.clone(), wanted.turn))
            .collect();
        for (room, turn) in missing {
            state.command("SUBSCRIBE", &[channel(&room)]);
            state.asked.push_back((room, turn));
        }
        drop(state);
        self.work.notify(1);
        self.news.notify(usize::MAX);
    }

    /// The connection is gone, and with it every subscription.
    pub fn down(&self) {
        let mut state = self.lock();
        state.up = false;
        state.commands.clear();
        state.asked.clear();
        state
            .rooms
            .values_mut()
            .for_each(|wanted| wanted.confirmed = false);
        drop(state);
        self.news.notify(usize::MAX);
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

    /// Waits for commands to send.
    pub async fn take(&self) -> Vec<u8> {
        loop {
            let listener = {
                let mut state = self.lock();
                if !state.commands.is_empty() {
                    return mem::take(&mut state.commands);
                }
                self.work.listen()
            };
            listener.await;
        }
    }

    /// Redis has confirmed the oldest subscription asked for.
    pub fn confirmed(&self) {
        let mut state = self.lock();
        let Some((room, turn)) = state.asked.pop_front() else {
            return;
        };
        if let Some(wanted) = state.rooms.get_mut(&room)
            && wanted.turn == turn
        {
            wanted.confirmed = true;
        }
        drop(state);
        self.news.notify(usize::MAX);
    }
}

impl State {
    /// `true` if there is something to send now.
    fn enter(&mut self, room: &Room, channel: String, first: impl FnOnce()) -> bool {
        if let Some(wanted) = self.rooms.get_mut(room) {
            wanted.peers += 1;
            return false;
        }
        first();
        self.turn += 1;
        let wanted = Wanted {
            peers: 1,
            turn: self.turn,
            confirmed: false,
            heard: None,
            incomplete: false,
        };
        self.rooms.insert(room.clone(), wanted);
        if self.up {
            self.command("SUBSCRIBE", &[channel]);
            self.asked.push_back((room.clone(), self.turn));
        }
        self.up
    }

    /// Without a connection there is nobody to send it to, and nothing to undo.
    fn command(&mut self, name: &str, channels: &[String]) {
        if self.up {
            redis::cmd(name)
                .arg(channels)
                .write_packed_command(&mut self.commands);
        }
    }
}
