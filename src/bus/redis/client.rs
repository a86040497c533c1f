//! What all parts of the bus share: the way to Redis, and the commands of this instance.

use std::sync::Arc;

use redis::Value;

use super::reply;
use super::scripts::{Publication, Scripts};
use crate::chat::dialect::Roster;
use crate::chat::name::Room;
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
}
