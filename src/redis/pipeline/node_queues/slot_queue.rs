//! The requests of one slot that wait to be sent, in order.

use std::collections::VecDeque;

use crate::redis::cluster::Redirect;
use crate::redis::pipeline::request::{Part, Request};

/// The parts of one command at most.
const GROUP: usize = 64;
/// About how many bytes they have at most: Redis does nothing else meanwhile.
const GROUP_BYTES: usize = 64 * 1024;

/// The requests of one slot.
pub struct SlotQueue<P> {
    /// What waits to be sent.
    pub waiting: VecDeque<Request<P>>,
    /// How many commands have no reply yet.
    pub in_flight: usize,
    /// Why nothing more is sent until nothing is in flight.
    pub paused: Option<Pause>,
}

/// How to go on when nothing is in flight.
#[derive(Clone, Copy)]
pub enum Pause {
    /// At the slot's node: parts are to be sent again, or the command in flight is one for which
    /// another node was `ASK`ed.
    Home,
    /// At this node, after a redirection.
    Redirected(Redirect, usize),
}

impl<P> Default for SlotQueue<P> {
    fn default() -> SlotQueue<P> {
        SlotQueue {
            waiting: VecDeque::new(),
            in_flight: 0,
            paused: None,
        }
    }
}

impl<P> SlotQueue<P> {
    /// Whether something can be sent to the slot's node now.
    pub fn is_ready(&self) -> bool {
        self.paused.is_none() && !self.waiting.is_empty()
    }
}

impl<P: Part> SlotQueue<P> {
    /// Takes the oldest requests that go out in one command: parts of one group, but not too many.
    pub fn next_group(&mut self) -> Vec<Request<P>> {
        let count = self.group_len();
        self.waiting.drain(..count).collect()
    }

    fn group_len(&self) -> usize {
        let Some(first) = self.waiting.front().and_then(Request::part) else {
            return self.waiting.len().min(1);
        };
        let mut bytes = 0;
        let more = self.waiting.iter().skip(1).take(GROUP - 1);
        let more = more.take_while(|request| {
            request.part().is_some_and(|part| {
                bytes += part.size();
                part.group() == first.group() && bytes < GROUP_BYTES
            })
        });
        1 + more.count()
    }
}
