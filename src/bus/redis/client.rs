//! The way to Redis, which all parts of the bus share, with the commands of this instance: sends
//! messages, bounded, in order, and each with word of what became of it, and reads rooms' logs.

use std::sync::Arc;

use redis::Value;

use super::reply;
use super::scripts::{MESSAGE_LIFE, Publication, Scripts};
use super::tombstones::{self, Direction};
use crate::bus::{Conversation, NewMessage};
use crate::chat::dialect::Roster;
use crate::chat::event::{Event, Refusal};
use crate::chat::id::Id;
use crate::chat::name::{Room, User};
use crate::chat::peer::Receipt;
use crate::chat::replay::{Epochs, Stretch};
use crate::config::RedisAddress;
use crate::redis::endpoint::Endpoint;
use crate::redis::error::Error;
use crate::redis::pipeline::{Payload, Pipeline};
use crate::redis::slot::Command;

/// The way to Redis, and what is said there.
#[derive(Debug)]
pub struct Client {
    /// Where Redis is.
    pub endpoint: Endpoint,
    /// The commands.
    pub scripts: Arc<Scripts>,
    /// Sends them.
    pub pipeline: Pipeline<Publication>,
}

impl Client {
    /// Not connected yet.
    ///
    /// # Errors
    /// One line about what is wrong with the settings.
    pub fn new(address: &RedisAddress, name: &str, scripts: Scripts) -> Result<Client, String> {
        let scripts = Arc::new(scripts);
        let merge = scripts.clone();
        Ok(Client {
            endpoint: Endpoint::new(address, name)?,
            scripts,
            pipeline: Pipeline::new(MESSAGE_LIFE, move |before, first, more| {
                merge.publish(before, first, more)
            }),
        })
    }

    /// Sends a command whose reply nobody needs, if there is a connection.
    pub fn send(&self, command: Command) {
        self.pipeline.send(command, Box::new(|_| ()));
    }

    /// Sends one command and waits for its reply. Also goes out before the gate is open.
    ///
    /// # Errors
    /// Redis refuses it or does not answer.
    pub async fn request_early(&self, command: Command) -> Result<Value, Error> {
        let replies = self.pipeline.request_early(&[command]).await?;
        Ok(replies.into_iter().next().unwrap_or(Value::Nil))
    }

    /// Who is in a room; `None` if Redis can't be asked now.
    pub async fn roster(&self, room: &Room) -> Option<Roster> {
        reply::roster(self.pipeline.request(self.scripts.roster(room)).await?)
    }

    /// Where a room's log stands; `None` if Redis can't be asked now.
    pub async fn epochs(&self, room: &Room) -> Option<Epochs> {
        reply::epochs(&self.pipeline.request(self.scripts.last(room)).await?)
    }

    /// The first messages of a stretch of a room's log, of at most about 64 KiB; `None` if Redis can't
    /// be asked now.
    pub async fn read(&self, room: &Room, stretch: Stretch, most: usize) -> Option<Vec<Event>> {
        let scripts = &self.scripts;
        let commands = vec![
            scripts.read(room, stretch, most),
            scripts.tombstones(room, stretch, most),
        ];
        self.messages(room, commands, Direction::Forward, most)
            .await
    }

    /// The last messages before one, or before now, in order, of at most about 64 KiB; `None` if Redis
    /// can't be asked now.
    pub async fn history_before(
        &self,
        room: &Room,
        id: Option<Id>,
        most: usize,
    ) -> Option<Vec<Event>> {
        let last = id.map(Id::previous);
        if last == Some(None) {
            // Nothing is before the beginning.
            return Some(Vec::new());
        }
        let (last, scripts) = (last.flatten(), &self.scripts);
        let commands = vec![
            scripts.up_to(room, last, most),
            scripts.tombstones_up_to(room, last, most),
        ];
        let mut messages = self.messages(room, commands, Direction::Back, most).await?;
        messages.reverse();
        Some(messages)
    }

    /// Reads a portion of a log and its tombstones.
    async fn messages(
        &self,
        room: &Room,
        commands: Vec<Command>,
        direction: Direction,
        most: usize,
    ) -> Option<Vec<Event>> {
        let replies = self.pipeline.request_large(&commands).await?;
        let [portion, graves] = &replies[..] else {
            return None;
        };
        let logged = tombstones::merge(room, portion, graves, direction, most)?;
        Some(logged.into_iter().map(|one| one.event).collect())
    }

    /// The private conversations of a user in the last week, or only the one with this other user; `None`
    /// if Redis can't be asked now.
    pub async fn conversations(
        &self,
        user: &User,
        with: Option<&User>,
    ) -> Option<Vec<Conversation>> {
        let room = with.map(|with| Room::conversation(user, with));
        let command = self.scripts.conversations(user, room.as_ref());
        reply::conversations(self.pipeline.request(command).await?)
    }

    /// Publishes a message for a room that this instance has heard up to `heard`.
    pub async fn publish(&self, room: &Room, message: NewMessage, heard: Option<Id>) {
        let bytes = message.text.as_str().len();
        if !self.pipeline.reserve(bytes).await {
            return message.receipt.refuse(&Refusal::Unavailable);
        }
        self.publish_reserved(room, message, heard, None);
    }

    /// The same for a message for which there is room already. It is not waited for. If its recipient is
    /// away, `waiting_after` is the last message before those that wait.
    pub fn publish_reserved(
        &self,
        room: &Room,
        message: NewMessage,
        heard: Option<Id>,
        waiting_after: Option<Id>,
    ) {
        let bytes = message.text.as_str().len();
        self.pipeline.send_reserved(bytes, |sequence| {
            let scripts = &self.scripts;
            let publication = scripts.publication(room, &message, heard, waiting_after, sequence);
            let on_reply = move |reply| published(message.receipt, reply);
            (Payload::Part(publication), Box::new(on_reply))
        });
    }
}

/// Tells the sender whether a message for a room was published.
fn published(receipt: Receipt, reply: Option<Value>) {
    let published = reply.filter(|reply| !matches!(reply, Value::ServerError(_)));
    match published.as_ref().map(reply::id) {
        Some(Some(id)) => receipt.accept(id),
        // It was published before, and its sender needs no id.
        Some(None) if receipt.reference().is_none() && !published.is_some_and(reply::full) => {}
        _ => receipt.refuse(&Refusal::Unavailable),
    }
}
