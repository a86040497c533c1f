//! One thing to say to Redis, and what its answer is for.

use std::fmt;
use std::time::Instant;

use redis::Value;
use smol::channel::Sender;

use crate::bus::NewMessage;
use crate::bus::redis::reply;
use crate::bus::redis::scripts::Publication;
use crate::chat::dialect::PrivateMessage;
use crate::chat::event::Refusal;
use crate::chat::peer::Receipt;
use crate::redis::slot::Command;

/// A command and what its answer is for.
#[derive(Debug)]
pub struct Request {
    /// What is to be said.
    pub payload: Payload,
    /// What happens with the answer.
    pub on_reply: OnReply,
    /// Bytes of message text, for the bound, and when it was accepted.
    pub weight: Option<(usize, Instant)>,
    /// Its place among all that was ever to be said.
    pub place: u64,
    /// Whether it has been said on some connection, so that nobody knows whether it got through.
    pub sent: bool,
    /// Whether it was said together with the one before it: both have one answer.
    pub grouped: bool,
    /// Whether it goes to a node that is only about to get its slot.
    pub asking: bool,
}

/// What is to be said.
pub enum Payload {
    /// This.
    Command(Command),
    /// A message, perhaps together with others.
    Publish(Publication),
    /// That the next command is for a slot that the node is about to get.
    Asking,
}

impl fmt::Debug for Payload {
    /// Not what: there are passwords and people's words among it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Payload::Command(_) => "Command",
            Payload::Publish(_) => "Publish",
            Payload::Asking => "Asking",
        })
    }
}

/// What happens with an answer.
#[derive(Debug)]
pub enum OnReply {
    /// Nothing: the command is a duty.
    Ignore,
    /// Somebody waits for it, unless the connection breaks.
    Send(Sender<Value>),
    /// It says whether a message was published.
    Published(Receipt),
    /// It says whether a private message found its user; the message is kept for its sender.
    Told(String, NewMessage),
}

impl Request {
    /// To be said, by and by.
    pub fn new(payload: Payload, on_reply: OnReply, weight: Option<(usize, Instant)>) -> Request {
        Request {
            payload,
            on_reply,
            weight,
            place: 0,
            sent: false,
            grouped: false,
            asking: false,
        }
    }

    /// Where its keys are; no slot at all if it has none.
    pub fn slot(&self) -> u16 {
        match &self.payload {
            Payload::Command(command) => command.slot,
            Payload::Publish(words) => words.slot,
            Payload::Asking => u16::MAX,
        }
    }

    /// Its words, if it is a message for a room.
    pub fn words(&self) -> Option<&Publication> {
        match &self.payload {
            Payload::Publish(words) => Some(words),
            _ => None,
        }
    }
}

impl OnReply {
    /// It will not be said.
    pub fn reject(self) {
        match self {
            OnReply::Published(receipt) => receipt.refuse(&Refusal::Unavailable),
            OnReply::Told(_, message) => message.receipt.refuse(&Refusal::Unavailable),
            OnReply::Ignore | OnReply::Send(_) => {}
        }
    }

    /// This is the answer.
    pub fn run(self, value: Value) {
        if let Value::ServerError(error) = &value {
            // Redis names the command, never its arguments.
            log::warn!("redis refuses: {error}");
        }
        let failed = matches!(value, Value::ServerError(_));
        match self {
            OnReply::Ignore => {}
            // The one who asked may have given up.
            OnReply::Send(sender) => drop(sender.try_send(value)),
            OnReply::Published(receipt) if failed => receipt.refuse(&Refusal::Unavailable),
            OnReply::Published(receipt) => {
                if let Some(id) = reply::id(&value) {
                    receipt.accept(id);
                }
            }
            OnReply::Told(to, message) => match reply::stamp(&value) {
                Some((id, at)) => {
                    let NewMessage {
                        user,
                        email,
                        text,
                        receipt,
                        ..
                    } = message;
                    let message = PrivateMessage {
                        from: user,
                        email,
                        text,
                        id,
                        at,
                    };
                    receipt.delivered(&to, &message);
                }
                None if failed => message.receipt.refuse(&Refusal::Unavailable),
                None => message.receipt.refuse(&Refusal::NoSuchUser(to)),
            },
        }
    }
}
