//! One request to Redis, and who gets its reply.

use std::hash::Hash;
use std::time::Instant;

use redis::Value;
use smol::channel::{self, Receiver};

use crate::redis::slot::Command;

/// Parts of one group, which share a slot, go out together, as one command that is made of them. Its
/// reply is a list with a value for each part, or an integer: then nothing was executed, because Redis
/// has not seen the part of this group that goes before, and the parts are sent again.
pub trait Part {
    /// What makes a group.
    type Group: Clone + Eq + Hash + Send;
    /// The slot of its keys.
    fn slot(&self) -> u16;
    /// About how many bytes it takes in the command.
    fn size(&self) -> usize;
    /// The group to which it belongs.
    fn group(&self) -> &Self::Group;
}

/// A request on its way.
pub struct Request<P> {
    /// What is sent.
    pub payload: Payload<P>,
    /// Who gets the reply.
    pub on_reply: OnReply,
    /// Whether it is sent again after a disconnect; otherwise it is dropped with the connection.
    pub repeats: bool,
    /// For a request that has reserved room: its bytes, and when it was accepted.
    pub reserved: Option<(usize, Instant)>,
    /// Its place in the order of all requests.
    pub place: u64,
    /// Whether it was ever written to a connection: then Redis may have executed it.
    pub sent: bool,
}

/// What is sent.
pub enum Payload<P> {
    /// A command.
    Command(Command),
    /// A part of a command.
    Part(P),
}

/// Is called with the reply; with `None` if the request was rejected and never sent.
pub type OnReply = Box<dyn FnOnce(Option<Value>) + Send>;

impl<P: Part> Request<P> {
    /// One that is sent again after a disconnect.
    pub fn new(payload: Payload<P>, on_reply: OnReply) -> Request<P> {
        Request {
            payload,
            on_reply,
            repeats: true,
            reserved: None,
            place: 0,
            sent: false,
        }
    }

    /// The request of a caller who waits, and what the caller waits for: the reply, or an error when
    /// the connection breaks.
    pub fn awaited(command: Command) -> (Request<P>, Receiver<Value>) {
        let (sender, receiver) = channel::bounded(1);
        let on_reply = move |reply: Option<Value>| {
            // The caller may have given up.
            let _ = reply.map(|reply| sender.try_send(reply));
        };
        let mut request = Request::new(Payload::Command(command), Box::new(on_reply));
        request.repeats = false;
        (request, receiver)
    }

    /// The slot of its keys.
    pub fn slot(&self) -> u16 {
        match &self.payload {
            Payload::Command(command) => command.slot,
            Payload::Part(part) => part.slot(),
        }
    }

    /// The part, if it is one.
    pub fn part(&self) -> Option<&P> {
        match &self.payload {
            Payload::Part(part) => Some(part),
            Payload::Command(_) => None,
        }
    }
}
