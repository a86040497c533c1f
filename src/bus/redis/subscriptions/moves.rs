//! Rooms that follow their slot from one node of a cluster to another.

use std::collections::HashMap;
use std::mem;

use redis::Value;

use super::{Subscriptions, Wanted};
use crate::bus::redis::scripts::Channel;
use crate::chat::name::Room;
use crate::redis::error::Error;

/// A room's slot moves so often at most until its subscription is confirmed.
const MOST: u32 = 8;

impl Subscriptions {
    /// Redis has confirmed the oldest subscription asked for on a connection. Returns the rooms whose logs
    /// are to be read now.
    pub fn confirmed(&self, connection: usize, sharded: bool) -> Vec<Room> {
        let state = &mut *self.state.lock();
        state.connections.confirm(connection, sharded);
        self.changed.notify(usize::MAX);
        let unsynced = mem::take(&mut state.unsynced);
        let heard = |room: &Room| state.is_subscribed(room) != Some(false);
        let (done, unsynced) = unsynced.into_iter().partition(heard);
        state.unsynced = unsynced;
        for room in &done {
            if let Some(wanted) = state.rooms.get_mut(room) {
                wanted.moves = 0;
            }
        }
        done
    }

    /// A sharded subscription has ended. If not by us, the slot has moved, and the node says where to
    /// when it is asked again.
    ///
    /// # Errors
    /// The slot moves without end.
    pub fn shard_ended(&self, connection: usize, channel: &[u8]) -> Result<(), Error> {
        let channel = String::from_utf8_lossy(channel);
        let state = &mut *self.state.lock();
        if state.connections.shard_ended(connection, &channel)
            && let Some((room, wanted)) = self.on_shard(&mut state.rooms, connection, &channel)
        {
            wanted.place = Some(state.connections.subscribe_shard(connection, &channel));
            moves(wanted)?;
            state.unsynced.push(room);
            self.work.notify(usize::MAX);
        }
        Ok(())
    }

    /// Redis has refused a command: a slot has moved, and the room of the command follows.
    ///
    /// # Errors
    /// Any other error, or the slot moves without end.
    pub fn refused(&self, connection: usize, error: &Value) -> Result<(), Error> {
        let state = &mut *self.state.lock();
        if let Some(channel) = state.connections.refused(connection, error)?
            && let Some((room, wanted)) = self.on_shard(&mut state.rooms, connection, &channel)
        {
            let channels = self.client.scripts.channels(&room);
            state.connections.unsubscribe_moved(connection, &channels);
            wanted.place = Some(state.connections.subscribe(&channels));
            moves(wanted)?;
            state.unsynced.push(room);
            self.work.notify(usize::MAX);
        }
        Ok(())
    }

    /// The room of these envelopes, if its channels are on this connection.
    fn on_shard<'a>(
        &self,
        rooms: &'a mut HashMap<Room, Wanted>,
        connection: usize,
        channel: &str,
    ) -> Option<(Room, &'a mut Wanted)> {
        let Some(Channel::Envelopes(room)) = self.client.scripts.channel(channel.as_bytes()) else {
            return None;
        };
        let wanted = rooms.get_mut(&room)?;
        let here = wanted.place?.connection == connection;
        here.then_some((room, wanted))
    }
}

/// Counts a move of a room's slot.
fn moves(wanted: &mut Wanted) -> Result<(), Error> {
    wanted.moves += 1;
    match wanted.moves > MOST {
        true => Err(format!("a room's slot has moved {MOST} times at once").into()),
        false => Ok(()),
    }
}
