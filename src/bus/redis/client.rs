//! What all parts of the bus share: the way to Redis, and the commands of this instance.

use std::sync::Arc;

use redis::Value;

use super::reply;
use super::scripts::{Publication, Scripts};
use crate::chat::dialect::Roster;
use crate::chat::event::Event;
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::Stretch;
use crate::config::RedisAddress;
use crate::redis::endpoint::Endpoint;
use crate::redis::error::Error;
use crate::redis::pipeline::{OnReply, Pipeline};
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
            pipeline: Pipeline::new(move |first, more| merge.publish(first, more)),
        })
    }

    /// Sends a command whose reply nobody needs, now or when Redis is back.
    pub fn send(&self, command: Command) {
        self.pipeline.send(command, OnReply::Ignore);
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

    /// The first messages of a stretch of a room's log; `None` if Redis can't be asked now.
    pub async fn read(&self, room: &Room, stretch: Stretch, most: usize) -> Option<Vec<Event>> {
        let command = self.scripts.read(room, stretch, most);
        reply::messages(room, &self.pipeline.request(command).await?)
    }

    /// The last messages before one, or before now, in order; `None` if Redis can't be asked now.
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
        let mut messages = reply::messages(room, &self.pipeline.request(command).await?)?;
        messages.reverse();
        Some(messages)
    }
}
