//! The way to Redis, which all parts of the bus share, with the commands of this instance: sends
//! messages, bounded, in order, and each with word of what became of it, and reads rooms' logs.

use std::sync::Arc;

use redis::Value;

use super::reply;
use super::scripts::{MESSAGE_LIFE, Publication, Scripts};
use crate::bus::NewMessage;
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
        let command = self.scripts.read(room, stretch, most);
        reply::messages(room, &self.pipeline.request_large(command).await?)
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
        let command = self.scripts.up_to(room, last.flatten(), most);
        let reply = self.pipeline.request_large(command).await?;
        let mut messages = reply::messages(room, &reply)?;
        messages.reverse();
        Some(messages)
    }

    /// Publishes a message for a room that this instance has heard up to `heard`.
    pub async fn publish(&self, room: &Room, message: NewMessage, heard: Option<Id>) {
        let bytes = message.text.as_str().len();
        if !self.pipeline.reserve(bytes).await {
            return message.receipt.refuse(&Refusal::Unavailable);
        }
        self.pipeline.send_reserved(bytes, |sequence| {
            let publication = self.scripts.publication(room, &message, heard, sequence);
            let on_reply = move |reply| published(message.receipt, reply);
            (Payload::Part(publication), Box::new(on_reply))
        });
    }

    /// Sends a private message.
    pub async fn send_private(&self, to: String, message: NewMessage) {
        // What is no name nobody has.
        let Ok(user) = User::new(&to) else {
            return message.receipt.refuse(&Refusal::NoSuchUser(to));
        };
        let bytes = message.text.as_str().len();
        if !self.pipeline.reserve(bytes).await {
            return message.receipt.refuse(&Refusal::Unavailable);
        }
        self.pipeline.send_reserved(bytes, |sequence| {
            let command = self.scripts.send_private(&user, &to, &message, sequence);
            let on_reply = move |reply| delivered(&to, message, reply);
            (Payload::Command(command), Box::new(on_reply))
        });
    }
}

/// Tells the sender whether a message for a room was published.
fn published(receipt: Receipt, reply: Option<Value>) {
    let published = reply.filter(|reply| !matches!(reply, Value::ServerError(_)));
    match published.as_ref().map(reply::id) {
        Some(Some(id)) => receipt.accept(id),
        // It was published before, and its sender needs no id.
        Some(None) if receipt.reference().is_none() => {}
        _ => receipt.refuse(&Refusal::Unavailable),
    }
}

/// Tells the sender whether a private message found its user.
fn delivered(to: &str, message: NewMessage, reply: Option<Value>) {
    let refusal = match reply {
        None | Some(Value::ServerError(_)) => Refusal::Unavailable,
        Some(value) => match reply::stamp(&value) {
            Some((id, at)) => {
                let (private, receipt) = message.into_private(id, at);
                return receipt.delivered(to, &private);
            }
            None => Refusal::NoSuchUser(to.to_string()),
        },
    };
    message.receipt.refuse(&refusal);
}
