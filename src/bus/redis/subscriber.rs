//! The subscriber: what is published, from the subscription to the fan-out, each message once and in
//! its place.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use redis::Value;
use smol::channel::Sender;
use smol::future;

use super::client::Client;
use super::conversations::Conversations;
use super::foreign::foreign;
use super::heartbeat::Canary;
use super::inbox::Inbox;
use super::message::{self, InstanceMessage, Revision};
use super::own_lines::OwnLines;
use super::presence::Presence;
use super::reply::{self, Push};
use super::scripts::Channel;
use super::subscriptions::{Follows, Subscriptions};
use crate::chat::close_reason::CloseReason;
use crate::chat::event::{Event, EventKind};
use crate::chat::name::Room;
use crate::chat::peers::Peers;
use crate::chat::replay::{Cursor, Step};
use crate::redis::connection::Reader;
use crate::redis::error::Error;

/// How often a cluster's logs are looked at for what has not reached us.
const LOOK: Duration = Duration::from_secs(10);

/// Which rooms are subscribed to, and how far each has been heard.
#[derive(Debug)]
pub struct Subscriber {
    pub(super) client: Arc<Client>,
    pub(super) peers: Arc<Peers>,
    pub(super) feed: Sender<Event>,
    /// The rooms.
    pub subscriptions: Subscriptions,
    /// The private conversations.
    pub conversations: Conversations,
    pub(super) inbox: Inbox,
}

impl Subscriber {
    /// No rooms yet. What is heard goes into `feed`.
    pub fn new(client: Arc<Client>, peers: Arc<Peers>, feed: Sender<Event>) -> Subscriber {
        Subscriber {
            subscriptions: Subscriptions::new(client.clone()),
            conversations: Conversations::default(),
            client,
            peers,
            feed,
            inbox: Inbox::default(),
        }
    }

    /// Goes on hearing a private conversation for a while after a peer has entered it. An invitation to it
    /// that is still on its way has nothing new then.
    pub fn keep_open(&self, room: &Room) {
        if let Some(cursor) = self.subscriptions.cursor(room) {
            self.conversations
                .open_at(&self.subscriptions, room, cursor);
        }
    }

    /// The subscriber task: reads what is published until the connection breaks. Slows down with the
    /// fan-out: what we don't take waits at Redis.
    ///
    /// In a cluster, a message published on one node reaches us by another, and the link between them
    /// may break without a sign: so the logs are looked at now and then.
    ///
    /// # Errors
    /// The connection is lost, or Redis does not answer.
    pub async fn run(
        &self,
        canary: &Canary,
        presence: &Presence,
        mut replies: Vec<Reader>,
        cluster: bool,
    ) -> Result<Infallible, Error> {
        let own = self.client.scripts.own_channel().into_bytes();
        let mut own_lines = OwnLines::default();
        let mut looked = Instant::now();
        let mut from = 0;
        loop {
            if cluster && looked.elapsed() > LOOK {
                self.check_for_gaps().await?;
                looked = Instant::now();
            }
            let push;
            (from, push) = next(&mut replies, from).await;
            let push = push.map_err(|error| format!("subscription lost: {error}"))?;
            // The first has its canary.
            if from > 0 {
                self.subscriptions.heard_from(from);
            }
            if let Value::ServerError(_) = push {
                self.subscriptions.refused(from, &push)?;
            }
            match reply::push(&push) {
                Some(Push::Message { channel, payload }) if channel == own => {
                    self.handle_instance_message(payload, canary, presence)
                        .await;
                }
                Some(Push::Message { channel, payload }) => {
                    let event = self.read(from, channel, payload, &mut own_lines);
                    if let Some(event) = event {
                        self.check_left(&event, presence).await;
                        let revision = match event.is_speech() {
                            true => None,
                            false => message::revision(payload),
                        };
                        self.handle_event(event, revision).await?;
                    }
                }
                Some(Push::Subscribed { sharded }) => {
                    for room in self.subscriptions.confirmed(from, sharded) {
                        // What was said while its slot moved.
                        self.sync_room(&room, None, None, None).await?;
                    }
                }
                Some(Push::ShardEnded { channel }) => {
                    self.subscriptions.shard_ended(from, channel)?;
                }
                None => {}
            }
        }
    }

    /// Reads what came on a room's channel. `None`: nobody is to be told.
    fn read(
        &self,
        from: usize,
        channel: &[u8],
        payload: &[u8],
        own_lines: &mut OwnLines,
    ) -> Option<Event> {
        let channel = self.client.scripts.channel(channel)?;
        // For a moment, a room that follows its slot is still heard where it was.
        if from > 0 && !self.subscriptions.is_on(from, channel.room()) {
            return None;
        }
        match channel {
            Channel::Plain(room) if own_lines.take(&room, payload) => None,
            Channel::Plain(room) => foreign(room, payload),
            Channel::Envelopes(room) => {
                let event = message::event(room, payload)?;
                if message::has_line(payload) {
                    own_lines.expect(&event);
                }
                Some(event)
            }
        }
    }

    /// Hands an event on in its place: messages missing before it are read from the log first.
    async fn handle_event(
        &self,
        mut event: Event,
        revision: Option<Revision>,
    ) -> Result<(), Error> {
        if event.room.is_conversation() {
            self.conversations.touch(&event.room);
        }
        match &mut event.kind {
            EventKind::Said {
                id: Some(id), at, ..
            } => match self.subscriptions.hear(&event.room, *id, *at) {
                Some(Step::Next) => {}
                Some(Step::Lost { again: None }) => {
                    let (room, id) = (event.room.clone(), *id);
                    return self.sync_room(&room, None, Some(id), Some(event)).await;
                }
                Some(Step::Lost { again }) => {
                    return self.sync_room(&event.room, again, None, None).await;
                }
                Some(Step::Known) | None => return Ok(()),
            },
            EventKind::Joined { log, .. } => {
                match self.subscriptions.heard_log(&event.room) {
                    None => {
                        let (epochs, at) = (log.clone(), 0);
                        let heard = Cursor { epochs, at };
                        self.subscriptions.set_cursor(&event.room, heard);
                    }
                    Some(heard) if heard.last == log.last => {}
                    Some(_) => {
                        let last = Some(log.last);
                        self.sync_room(&event.room, None, last, None).await?;
                    }
                }
                self.check_revision(&event.room, revision).await?;
                // The peer that joins gets from the log what has been delivered here before, and all
                // that comes after.
                if let Some(heard) = self.subscriptions.heard_log(&event.room) {
                    *log = heard;
                }
            }
            EventKind::Deleted { .. } | EventKind::Moderated(_) => {
                match self.follows(&event, revision) {
                    Some(Follows::Next) => self.ban_address(&event).await,
                    Some(Follows::Lost) => {
                        return self.sync_room(&event.room, None, None, None).await;
                    }
                    Some(Follows::Known) | None => return Ok(()),
                }
            }
            _ => {}
        }
        self.deliver(event).await;
        Ok(())
    }

    /// Notes it if a room is told that somebody has left who is here, or about to be. A connection may join
    /// after it has lost its name to another one: then it takes that one's place on the roster, and gives it
    /// up as it leaves.
    async fn check_left(&self, event: &Event, presence: &Presence) {
        if let (EventKind::Left, Some(user)) = (&event.kind, &event.user)
            && self.peers.has(&event.room, user).await
        {
            presence.suspects.add_misled(&event.room, user);
        }
    }

    async fn handle_instance_message(&self, payload: &[u8], canary: &Canary, presence: &Presence) {
        match message::instance_message(payload) {
            Some(InstanceMessage::Canary) => canary.heard(),
            Some(InstanceMessage::Invited {
                invitation,
                at,
                forwarded,
            }) => {
                if let Some(forward) = self.invited(&invitation, at, forwarded).await {
                    self.client.send(forward);
                }
            }
            Some(InstanceMessage::Replaced(user, origin)) => {
                self.peers
                    .close(&user, origin.peer, CloseReason::Replaced)
                    .await;
            }
            Some(InstanceMessage::Expired) => presence.set_missed(),
            None => {}
        }
    }
}

/// What comes next on any of the connections after the one that was last, and on which.
async fn next(connections: &mut [Reader], last: usize) -> (usize, io::Result<Value>) {
    let count = connections.len();
    future::poll_fn(|cx| {
        for step in 1..=count {
            let from = (last + step) % count;
            if let Poll::Ready(reply) = pin!(connections[from].next()).poll(cx) {
                return Poll::Ready((from, reply));
            }
        }
        Poll::Pending
    })
    .await
}
