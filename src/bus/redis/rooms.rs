//! Which rooms' channels this instance is subscribed to: those it has peers in, and no others.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use event_listener::Event;

use crate::chat::name::Room;

/// The subscriptions, as wanted and as confirmed.
#[derive(Debug, Default)]
pub struct Rooms {
    state: Mutex<State>,
    /// A command waits to be sent.
    work: Event,
    /// A subscription was confirmed, or the connection broke.
    news: Event,
}

#[derive(Debug, Default)]
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
}

impl Rooms {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a peer into a room and waits until what is published there arrives; `false` when the
    /// connection is gone. Either way, [`leave`](Self::leave) must follow one day.
    pub async fn enter(&self, room: &Room, channel: String) -> bool {
        self.lock().enter(room, channel, &self.work);
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

    /// Counts a peer out of a room; the last one ends the subscription.
    pub fn leave(&self, room: &Room, channel: impl FnOnce() -> String) {
        let mut state = self.lock();
        let Some(wanted) = state.rooms.get_mut(room) else {
            return;
        };
        wanted.peers -= 1;
        if wanted.peers == 0 {
            state.rooms.remove(room);
            state.command("UNSUBSCRIBE", &[channel()]);
            self.work.notify(1);
        }
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

    /// Waits for commands to send.
    pub async fn take(&self) -> Vec<u8> {
        loop {
            let listener = {
                let mut state = self.lock();
                if !state.commands.is_empty() {
                    return std::mem::take(&mut state.commands);
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
    fn enter(&mut self, room: &Room, channel: String, work: &Event) {
        if let Some(wanted) = self.rooms.get_mut(room) {
            wanted.peers += 1;
            return;
        }
        self.turn += 1;
        let wanted = Wanted {
            peers: 1,
            turn: self.turn,
            confirmed: false,
        };
        self.rooms.insert(room.clone(), wanted);
        if self.up {
            self.command("SUBSCRIBE", &[channel]);
            self.asked.push_back((room.clone(), self.turn));
            work.notify(1);
        }
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
