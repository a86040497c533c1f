//! One thing to say to Redis, and what its answer is for.

use std::fmt;
use std::time::Instant;

use redis::Value;
use smol::channel::Sender;

use crate::bus::NewMessage;
use crate::bus::redis::answer;
use crate::bus::redis::scripts::Publication;
use crate::bus::redis::slot::Command;
use crate::chat::dialect::Letter;
use crate::chat::event::Refusal;
use crate::chat::peer::Receipt;

/// A command and what its answer is for.
#[derive(Debug)]
pub struct Op {
    /// What is to be said.
    pub what: What,
    /// What happens with the answer.
    pub then: Then,
    /// Transport of message text, for the bound, and when it was accepted.
    pub weight: Option<(usize, Instant)>,
    /// Its place among all that was ever to be said.
    pub place: u64,
    /// Whether it has been said on some connection, so that nobody knows whether it got through.
    pub said: bool,
    /// Whether it was said together with the one before it: both have one answer.
    pub joined: bool,
    /// Whether it goes to a node that is only about to get its slot.
    pub asking: bool,
}

/// What is to be said.
pub enum What {
    /// This.
    Command(Command),
    /// A message, perhaps together with others.
    Publish(Publication),
    /// That the next command is for a slot that the node is about to get.
    Asking,
}

impl fmt::Debug for What {
    /// Not what: there are passwords and people's words among it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            What::Command(_) => "Command",
            What::Publish(_) => "Publish",
            What::Asking => "Asking",
        })
    }
}

/// What happens with an answer.
#[derive(Debug)]
pub enum Then {
    /// Nothing: the command is a duty.
    Nothing,
    /// Somebody waits for it, unless the connection breaks.
    Answer(Sender<Value>),
    /// It says whether a message was published.
    Published(Receipt),
    /// It says whether a private message found its user; the message is kept for its sender.
    Told(String, NewMessage),
}

impl Op {
    /// To be said, by and by.
    pub fn new(what: What, then: Then, weight: Option<(usize, Instant)>) -> Op {
        Op {
            what,
            then,
            weight,
            place: 0,
            said: false,
            joined: false,
            asking: false,
        }
    }

    /// Where its keys are; no slot at all if it has none.
    pub fn slot(&self) -> u16 {
        match &self.what {
            What::Command(command) => command.slot,
            What::Publish(words) => words.slot,
            What::Asking => u16::MAX,
        }
    }

    /// Its words, if it is a message for a room.
    pub fn words(&self) -> Option<&Publication> {
        match &self.what {
            What::Publish(words) => Some(words),
            _ => None,
        }
    }
}

impl Then {
    /// It will not be said.
    pub fn refuse(self) {
        match self {
            Then::Published(receipt) => receipt.refuse(&Refusal::Unavailable),
            Then::Told(_, message) => message.receipt.refuse(&Refusal::Unavailable),
            Then::Nothing | Then::Answer(_) => {}
        }
    }

    /// This is the answer.
    pub fn settle(self, value: Value) {
        if let Value::ServerError(error) = &value {
            // Redis names the command, never its arguments.
            log::warn!("redis refuses: {error}");
        }
        let failed = matches!(value, Value::ServerError(_));
        match self {
            Then::Nothing => {}
            // The one who asked may have given up.
            Then::Answer(sender) => drop(sender.try_send(value)),
            Then::Published(receipt) if failed => receipt.refuse(&Refusal::Unavailable),
            Then::Published(receipt) => {
                if let Some(id) = answer::id(&value) {
                    receipt.accept(id);
                }
            }
            Then::Told(to, message) => match answer::stamp(&value) {
                Some((id, at)) => {
                    let NewMessage {
                        user,
                        email,
                        text,
                        receipt,
                        ..
                    } = message;
                    let letter = Letter {
                        from: user,
                        email,
                        text,
                        id,
                        at,
                    };
                    receipt.delivered(&to, &letter);
                }
                None if failed => message.receipt.refuse(&Refusal::Unavailable),
                None => message.receipt.refuse(&Refusal::NoSuchUser(to)),
            },
        }
    }
}
