//! The subscribed connections: what is sent on each, and on which of them a room's channels are.
//!
//! The first has the instance's own channel. In a cluster with sharded PUBSUB there is one more to each
//! node. A room's channels are on that of the node that has the room's keys, for what is published there
//! by SPUBLISH is heard only there. Otherwise all channels are on the first.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use redis::{Value, cmd};

use crate::redis::cluster::{Map, Redirect, redirect};
use crate::redis::error::{Error, text_of};
use crate::redis::slot::slot;

/// All subscribed connections.
#[derive(Default)]
pub struct Connections {
    all: Vec<Subscribed>,
    /// The cluster, if it has sharded PUBSUB. Its nodes are in the order of the connections after the
    /// first.
    map: Option<Map>,
}

/// One of them.
struct Subscribed {
    /// Commands that wait to be written.
    commands: Vec<u8>,
    /// How many subscriptions to channels were asked for after the connection was made.
    asked: u64,
    /// How many of them have been answered. Redis answers in order.
    answered: u64,
    /// Sharded subscriptions, and ends of some, that have not been answered yet.
    sharded: VecDeque<Sharded>,
    /// When something came from Redis.
    heard: Instant,
}

struct Sharded {
    channel: String,
    end: bool,
}

/// Where a room's channels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The connection.
    pub connection: usize,
    /// Which of the subscriptions asked for on it is the room's last; 0: it was made with the
    /// connection.
    asked: u64,
}

impl Connections {
    /// `map`: the cluster, if it has sharded PUBSUB.
    pub fn new(map: Option<Map>) -> Connections {
        let count = 1 + map.as_ref().map_or(0, |map| map.nodes.len());
        let new = || Subscribed {
            commands: Vec::new(),
            asked: 0,
            answered: 0,
            sharded: VecDeque::new(),
            heard: Instant::now(),
        };
        let all = (0..count).map(|_| new()).collect();
        Connections { all, map }
    }

    /// The connection on which a room's channels are to be: the plain one, and that of the envelopes.
    pub fn of(&self, channels: &[String; 2]) -> usize {
        let node = |map: &Map| usize::from(map.route[usize::from(slot(&channels[1]))]);
        self.map.as_ref().map_or(0, |map| 1 + node(map))
    }

    /// Where channels are that were subscribed to when the connections were made.
    pub fn place(&self, channels: &[String; 2]) -> Place {
        let connection = self.of(channels);
        Place {
            connection,
            asked: 0,
        }
    }

    /// Subscribes to a room's channels.
    pub fn subscribe(&mut self, channels: &[String; 2]) -> Place {
        let connection = self.of(channels);
        let subscribed = &mut self.all[connection];
        subscribed.command("SUBSCRIBE", channels);
        subscribed.asked += channels.len() as u64;
        if self.map.is_some() {
            return self.subscribe_shard(connection, &channels[1]);
        }
        Place {
            connection,
            asked: subscribed.asked,
        }
    }

    /// Subscribes to what is published by SPUBLISH on a channel.
    pub fn subscribe_shard(&mut self, connection: usize, channel: &str) -> Place {
        let subscribed = &mut self.all[connection];
        subscribed.sharded("SSUBSCRIBE", channel, false);
        subscribed.asked += 1;
        Place {
            connection,
            asked: subscribed.asked,
        }
    }

    /// Ends the subscription to a room's channels.
    pub fn unsubscribe(&mut self, connection: usize, channels: &[String; 2]) {
        let subscribed = &mut self.all[connection];
        subscribed.command("UNSUBSCRIBE", channels);
        if self.map.is_some() {
            subscribed.sharded("SUNSUBSCRIBE", &channels[1], true);
        }
    }

    /// Ends the subscription to the channels of a room that another node has now.
    pub fn unsubscribe_moved(&mut self, connection: usize, channels: &[String; 2]) {
        self.all[connection].command("UNSUBSCRIBE", channels);
    }

    /// Whether Redis has confirmed a room's subscriptions.
    pub fn confirmed(&self, place: Place) -> bool {
        place.asked <= self.all[place.connection].answered
    }

    /// Redis has confirmed a subscription.
    pub fn confirm(&mut self, connection: usize, sharded: bool) {
        let subscribed = &mut self.all[connection];
        subscribed.answered += 1;
        if sharded {
            subscribed.sharded.pop_front();
        }
    }

    /// A sharded subscription has ended; `true` if not by us, because its slot has moved.
    pub fn shard_ended(&mut self, connection: usize, channel: &str) -> bool {
        let sharded = &mut self.all[connection].sharded;
        let ours = sharded
            .front()
            .is_some_and(|first| first.end && first.channel == channel);
        if ours {
            sharded.pop_front();
        }
        !ours
    }

    /// Redis has refused a command. If that is so because the slot of a channel has moved to another
    /// node, returns the channel, unless its end was asked for.
    ///
    /// # Errors
    /// Any other error.
    pub fn refused(&mut self, connection: usize, reply: &Value) -> Result<Option<String>, Error> {
        let refused = || match reply {
            Value::ServerError(error) => Error::Transient(text_of(error)),
            _ => Error::Transient("an answer that makes no sense".into()),
        };
        let map = self.map.as_mut().filter(|_| connection > 0);
        let map = map.ok_or_else(refused)?;
        let Some((Redirect::Moved, to)) = redirect(reply, &map.nodes[connection - 1]) else {
            return Err(refused());
        };
        let subscribed = &mut self.all[connection];
        let first = subscribed.sharded.pop_front().ok_or_else(refused)?;
        if first.end {
            return Ok(None);
        }
        subscribed.answered += 1;
        let Some(node) = map.nodes.iter().position(|node| *node == to) else {
            return Err(Error::NewNode(to));
        };
        map.route[usize::from(slot(&first.channel))] = node as u16;
        Ok(Some(first.channel))
    }

    /// Something has come from Redis.
    pub fn heard(&mut self, connection: usize) {
        self.all[connection].heard = Instant::now();
    }

    /// Asks for a sign of life on all connections but the first, which has its canary.
    ///
    /// # Errors
    /// One has been silent for longer than `limit`.
    pub fn ping(&mut self, limit: Duration) -> Result<(), Error> {
        let ping = cmd("PING").get_packed_command();
        for subscribed in self.all.iter_mut().skip(1) {
            if subscribed.heard.elapsed() > limit {
                let why = format!("nothing comes on a node's subscription since {limit:?}");
                return Err(why.into());
            }
            subscribed.commands.extend_from_slice(&ping);
        }
        Ok(())
    }

    /// Sends a command on all connections.
    pub fn send(&mut self, command: &[u8]) {
        for subscribed in &mut self.all {
            subscribed.commands.extend_from_slice(command);
        }
    }

    /// Takes the commands that wait to be written.
    pub fn take_commands(&mut self, connection: usize) -> Vec<u8> {
        let subscribed = self.all.get_mut(connection);
        subscribed.map_or(Vec::new(), |subscribed| mem::take(&mut subscribed.commands))
    }
}

impl Subscribed {
    fn command(&mut self, name: &str, channels: &[String]) {
        let mut command = cmd(name);
        command
            .arg(channels)
            .write_packed_command(&mut self.commands);
    }

    fn sharded(&mut self, name: &str, channel: &str, end: bool) {
        let channel = channel.to_string();
        self.command(name, std::slice::from_ref(&channel));
        self.sharded.push_back(Sharded { channel, end });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::cluster::Address;
    use crate::redis::resp;

    /// Two nodes; the second has all slots.
    fn sharded() -> Connections {
        let node = |port| Address {
            host: "10.0.0.1".into(),
            port,
        };
        Connections::new(Some(Map {
            nodes: vec![node(1), node(2)],
            route: vec![1; 16_384],
        }))
    }

    fn channels() -> [String; 2] {
        ["chat".into(), "chat:@{chat:lobby}".into()]
    }

    fn error(line: &str) -> Value {
        resp::parsed(line)
    }

    #[test]
    fn without_shards_all_is_on_the_first_connection() {
        let mut connections = Connections::new(None);
        let place = connections.subscribe(&channels());
        assert_eq!(place.connection, 0);
        connections.confirm(0, false);
        assert!(!connections.confirmed(place));
        connections.confirm(0, false);
        assert!(connections.confirmed(place));
        assert!(connections.refused(0, &error("-MOVED 1 a:2\r\n")).is_err());
        connections.ping(Duration::ZERO).unwrap();
    }

    #[test]
    fn a_room_follows_its_slot() {
        let mut connections = sharded();
        let place = connections.subscribe(&channels());
        assert_eq!(place.connection, 2);
        for sharded in [false, false, true] {
            assert!(!connections.confirmed(place));
            connections.confirm(2, sharded);
        }
        assert!(connections.confirmed(place));

        // The slot moves to the other node.
        let channel = &channels()[1];
        assert!(connections.shard_ended(2, channel));
        let again = connections.subscribe_shard(2, channel);
        let moved = error("-MOVED 9 10.0.0.1:1\r\n");
        let refused = connections.refused(2, &moved).unwrap();
        assert_eq!(refused.as_ref(), Some(channel));
        assert!(connections.confirmed(again));
        assert_eq!(connections.subscribe(&channels()).connection, 1);

        // What ends at our wish has not moved.
        connections.unsubscribe(1, &channels());
        connections.confirm(1, true);
        assert!(!connections.shard_ended(1, channel));
        connections.unsubscribe(1, &channels());
        assert_eq!(connections.refused(1, &moved), Ok(None));
        connections.subscribe_shard(1, channel);
        let unknown = connections.refused(1, &error("-MOVED 9 10.0.0.1:3\r\n"));
        assert!(matches!(unknown, Err(Error::NewNode(node)) if node.port == 3));
    }

    #[test]
    fn a_silent_connection_is_noticed() {
        let mut connections = sharded();
        connections.ping(Duration::from_secs(60)).unwrap();
        assert!(connections.take_commands(0).is_empty());
        assert!(connections.take_commands(1).ends_with(b"PING\r\n"));
        connections.heard(2);
        assert!(connections.ping(Duration::ZERO).is_err());
    }
}
