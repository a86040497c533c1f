//! Somebody at Redis to ask: a connection that is being made ready, or the queue to the one in use.

use redis::Value;
use smol::channel;

use super::connection::{Error, accept};
use super::node_connections::NodeConnections;
use super::slot::Command;
use super::{ANSWER_TIME, Redis};
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
    pub async fn ask(&mut self, commands: &[Command]) -> Result<Vec<Value>, Error> {
        let answers = match self {
            Requester::Connecting(nodes) => nodes.ask(commands).await?,
            Requester::Connected(bus) => ask_all(bus, commands).await?,
        };
        accept(&answers, "refused")?;
        Ok(answers)
    }
}

async fn ask_all(bus: &Redis, commands: &[Command]) -> Result<Vec<Value>, Error> {
    let slow = || Error::Transient(format!("no answer within {ANSWER_TIME:?}"));
    let mut asked = Vec::with_capacity(commands.len());
    for command in commands {
        let (answer, answered) = channel::bounded(1);
        if !bus.queue.request(command.clone(), answer) {
            return Err(slow());
        }
        asked.push(answered);
    }
    let answers = async {
        let mut answers = Vec::with_capacity(asked.len());
        for answered in asked {
            answers.push(answered.recv().await.ok()?);
        }
        Some(answers)
    };
    timeout(ANSWER_TIME, answers)
        .await
        .flatten()
        .ok_or_else(slow)
}
