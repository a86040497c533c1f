//! Somebody at Redis to ask: a connection that is being made ready, or the queue to the one in use.

use redis::Value;
use smol::channel;

use super::{ANSWER_TIME, Redis};
use crate::redis::error::{Error, accept};
use crate::redis::node_connections::NodeConnections;
use crate::redis::slot::Command;
use crate::time::timeout;

/// How many commands are said at once: enough to make the way there and back count for little, few
/// enough to be answered in time.
pub const BATCH: usize = 256;

/// Who is asked.
pub enum Requester<'a, 'b> {
    /// Connections of which nobody else knows yet.
    Connecting(&'a mut NodeConnections<'b>),
    /// Those in use, in turn with everybody else.
    Connected(&'a Redis),
}

impl Requester<'_, '_> {
    /// Says the commands, at most [`BATCH`], and waits for an answer to each.
    ///
    /// # Errors
    /// Redis refuses one of them, or does not answer.
    pub async fn request(&mut self, commands: &[Command]) -> Result<Vec<Value>, Error> {
        let replies = match self {
            Requester::Connecting(nodes) => nodes.request(commands).await?,
            Requester::Connected(bus) => request_each(bus, commands).await?,
        };
        accept(&replies, "refused")?;
        Ok(replies)
    }
}

async fn request_each(bus: &Redis, commands: &[Command]) -> Result<Vec<Value>, Error> {
    let slow = || Error::Transient(format!("no answer within {ANSWER_TIME:?}"));
    let mut asked = Vec::with_capacity(commands.len());
    for command in commands {
        let (reply, receiver) = channel::bounded(1);
        if !bus.queue.request(command.clone(), reply) {
            return Err(slow());
        }
        asked.push(receiver);
    }
    let replies = async {
        let mut replies = Vec::with_capacity(asked.len());
        for receiver in asked {
            replies.push(receiver.recv().await.ok()?);
        }
        Some(replies)
    };
    timeout(ANSWER_TIME, replies)
        .await
        .flatten()
        .ok_or_else(slow)
}
