//! The subscriber: what is published, from the subscription to the fan-out, each message once and in
//! its place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::Value;
use smol::channel::Sender;

use super::client::Client;
use super::heartbeat::Canary;
use super::inbox::Inbox;
use super::message::{self, InstanceMessage};
use super::reply::{self, Push};
use super::subscriptions::Subscriptions;
use crate::chat::close_reason::CloseReason;
use crate::chat::event::{Event, EventKind};
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::peers::Peers;
use crate::chat::replay::{Step, Stretch};
use crate::redis::connection::{Reader, Writer};
use crate::redis::error::Error;
use crate::redis::pipeline::REPLY_TIME;
use crate::time::timeout;

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
    /// The private messages.
    pub(super) inbox: Inbox,
}

impl Subscriber {
    /// No rooms yet. What is heard goes into `feed`, and to `peers` what is private.
    pub fn new(client: Arc<Client>, peers: Arc<Peers>, feed: Sender<Event>) -> Subscriber {
        Subscriber {
            client,
            peers,
            feed,
            subscriptions: Subscriptions::default(),
            inbox: Inbox::default(),
        }
    }

    /// Counts a peer into a room and waits until what is published there arrives.
    pub async fn subscribe(&self, room: &Room) -> bool {
        let first = || self.track_room(room, true);
        let subscribed = self
            .subscriptions
            .enter(room, self.client.scripts.channel(room), first);
        timeout(REPLY_TIME, subscribed).await.unwrap_or(false)
    }

    /// Counts a peer out of a room.
    pub fn unsubscribe(&self, room: &Room) {
        self.subscriptions.leave(room, || {
            self.track_room(room, false);
            self.client.scripts.channel(room)
        });
    }

    fn track_room(&self, room: &Room, has_peers: bool) {
        let command = self.client.scripts.track_rooms(&[room], has_peers);
        self.client.send(command);
    }

    /// Writes subscriptions as peers come and go.
    pub async fn write_subscriptions(&self, mut commands: Writer) -> Error {
        loop {
            let out = self.subscriptions.take().await;
            if let Err(error) = commands.write(&out).await {
                return error;
            }
        }
    }

    /// The subscriber task: reads what is published until the connection breaks. Slows down with the
    /// fan-out: what we don't take waits at Redis.
    ///
    /// In a cluster, a message published on one node reaches us by another, and the link between them
    /// may break without a sign: so the logs are looked at now and then.
    pub async fn run(&self, canary: &Canary, mut replies: Reader, cluster: bool) -> Error {
        let own = self.client.scripts.own_channel().into_bytes();
        let mut looked = Instant::now();
        loop {
            if cluster && looked.elapsed() > LOOK {
                if let Err(error) = self.check_for_gaps().await {
                    return error;
                }
                looked = Instant::now();
            }
            let push = match replies.next().await {
                Ok(Value::ServerError(error)) => return error.to_string().into(),
                Ok(push) => push,
                Err(error) => return format!("subscription lost: {error}").into(),
            };
            match reply::push(&push) {
                Some(Push::Message { channel, payload }) => {
                    if channel == own {
                        self.handle_instance_message(payload, canary).await;
                    } else if let Some(event) = self
                        .client
                        .scripts
                        .room(channel)
                        .and_then(|room| message::event(room, payload))
                        && let Err(error) = self.handle_event(event).await
                    {
                        return error;
                    }
                }
                Some(Push::Subscribed) => self.subscriptions.confirmed(),
                None => {}
            }
        }
    }

    /// Reads messages from the logs that the channels have not brought.
    async fn check_for_gaps(&self) -> Result<(), Error> {
        for (room, last) in self.last_ids().await? {
            if let Step::Gap(after) = self.subscriptions.step(&room, last.next()) {
                self.fill_gap(&room, after, last).await?;
            }
        }
        self.read_inbox().await
    }

    /// Hands an event on in its place: messages missing before it are read from the log first.
    async fn handle_event(&self, event: Event) -> Result<(), Error> {
        let room = event.room.clone();
        match event.kind {
            EventKind::Said {
                id: Some(id), at, ..
            } => {
                if self.subscriptions.begins_anew(&room, id)
                    && !self.is_current_epoch(&room, id).await?
                {
                    return Ok(());
                }
                match self.subscriptions.hear(&room, id, at) {
                    Step::Known => return Ok(()),
                    Step::Next => {}
                    Step::Gap(after) => {
                        let n = id.n - 1;
                        self.fill_gap(&room, after, Id { n, ..id }).await?;
                        self.subscriptions.hear(&room, id, at);
                    }
                }
            }
            // A peer that joins is told the room's last message, so all must have heard it.
            EventKind::Joined { last, .. } => {
                let last = last.unwrap_or(Id::START);
                match self.subscriptions.step(&room, last.next()) {
                    Step::Gap(after) => self.fill_gap(&room, after, last).await?,
                    Step::Next => self.subscriptions.begins(&room, last),
                    Step::Known => {}
                }
            }
            _ => {}
        }
        // Fails only when the fan-out is gone, and then the process is on its way out.
        let _ = self.feed.send(event).await;
        Ok(())
    }

    /// Is this id from the current epoch? A demoted primary may still publish.
    async fn is_current_epoch(&self, room: &Room, id: Id) -> Result<bool, Error> {
        let reply = self
            .client
            .request_early(self.client.scripts.last(room))
            .await?;
        let last = reply::id(&reply);
        Ok(last.is_none_or(|last| last.epoch == id.epoch))
    }

    async fn fill_gap(&self, room: &Room, after: Id, until: Id) -> Result<(), Error> {
        let stretch = Stretch { after, until };
        if !self.read_gap(room, stretch).await? {
            log::warn!("redis has lost messages of a room; they can't be delivered any more");
            self.subscriptions.mark_incomplete(room);
            self.notify_incomplete().await;
        }
        Ok(())
    }

    async fn handle_instance_message(&self, payload: &[u8], canary: &Canary) {
        match message::instance_message(payload) {
            Some(InstanceMessage::Canary) => canary.heard(),
            Some(InstanceMessage::Private(to, message)) if self.inbox.comes(message.id) => {
                // Whom it was for may have left in this moment.
                self.peers.send_private(&to, &message).await;
            }
            Some(InstanceMessage::Replaced(user, origin)) => {
                self.peers
                    .close(&user, origin.peer, CloseReason::Replaced)
                    .await;
            }
            Some(InstanceMessage::Reaped) => canary.set_reaped(),
            Some(InstanceMessage::Private(..)) | None => {}
        }
    }
}
