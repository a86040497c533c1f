//! One request to Redis, and who gets its reply.

use std::fmt;
use std::time::Instant;

use redis::Value;
use smol::channel::Sender;

use crate::redis::slot::Command;

/// Parts of one group go out together, as one command that is made of them. Its reply is a list
/// with a value for each part.
pub trait Part {
    /// The slot of its keys.
    fn slot(&self) -> u16;
    /// About how many bytes it takes in the command.
    fn size(&self) -> usize;
    /// Whether both can go out in one command.
    fn goes_with(&self, other: &Self) -> bool;
}

/// A request on its way.
pub struct Request<P> {
    /// The command, or a part of one.
    pub payload: Payload<P>,
    /// Who gets the reply.
    pub on_reply: OnReply,
    /// For a request that has reserved room: its bytes, and when it was accepted.
    pub reserved: Option<(usize, Instant)>,
    /// Its place in the order of all requests.
    pub place: u64,
    /// Whether it was ever written to a connection: then Redis may have executed it.
    pub sent: bool,
    /// Whether it went out in one command with the request before it.
    pub grouped: bool,
    /// Whether it goes to the node that imports its slot, after `ASKING`.
    pub asking: bool,
}

/// What is sent.
pub enum Payload<P> {
    /// A command.
    Command(Command),
    /// A part of a command.
    Part(P),
    /// `ASKING`: the next command is for a slot that the node is importing.
    Asking,
}

/// Who gets a reply.
pub enum OnReply {
    /// Nobody. The request is sent again after a disconnect.
    Ignore,
    /// A caller who waits. The request is dropped with the connection, and its sender with it.
    Send(Sender<Value>),
    /// This function. The request is sent again after a disconnect; `None` means that it was
    /// rejected and never sent.
    Call(Box<dyn FnOnce(Option<Value>) + Send>),
}

impl<P> fmt::Debug for Request<P> {
    /// Without the payload: it holds passwords and people's words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request({})", self.place)
    }
}

impl<P: Part> Request<P> {
    /// Not sent yet.
    pub fn new(payload: Payload<P>, on_reply: OnReply) -> Request<P> {
        Request {
            payload,
            on_reply,
            reserved: None,
            place: 0,
            sent: false,
            grouped: false,
            asking: false,
        }
    }

    /// The slot of its keys; no slot at all if it has none.
    pub fn slot(&self) -> u16 {
        match &self.payload {
            Payload::Command(command) => command.slot,
            Payload::Part(part) => part.slot(),
            Payload::Asking => u16::MAX,
        }
    }

    /// The part, if it is one.
    pub fn part(&self) -> Option<&P> {
        match &self.payload {
            Payload::Part(part) => Some(part),
            _ => None,
        }
    }
}

impl OnReply {
    /// A function that is called with the reply.
    pub fn call(function: impl FnOnce(Option<Value>) + Send + 'static) -> OnReply {
        OnReply::Call(Box::new(function))
    }

    /// Hands the reply on.
    pub fn run(self, value: Value) {
        match self {
            OnReply::Ignore => {}
            // The caller may have given up.
            OnReply::Send(sender) => drop(sender.try_send(value)),
            OnReply::Call(function) => function(Some(value)),
        }
    }

    /// The request will never be sent.
    pub fn reject(self) {
        if let OnReply::Call(function) = self {
            function(None);
        }
    }
}
