//! The queue of one node: what waits, and what is in flight.

use std::collections::VecDeque;
use std::sync::Arc;

use event_listener::{Event, EventListener};
use redis::cmd;

use super::request::{OnReply, Part, Payload, Request};
use crate::redis::cluster::Address;
use crate::redis::slot::Command;

/// The parts of one command at most.
const GROUP: usize = 64;
/// About how many bytes they have at most: Redis does nothing else meanwhile.
const GROUP_BYTES: usize = 64 * 1024;
/// An empty queue keeps room for so many requests.
const KEPT: usize = 256;

/// The queue of one node.
#[derive(Debug)]
pub struct NodeQueue<P> {
    /// Where the node is; `None` for a single Redis.
    pub node: Option<Address>,
    /// What waits to be sent.
    pub waiting: VecDeque<Request<P>>,
    /// What was sent and has no reply yet.
    pub in_flight: VecDeque<Request<P>>,
    /// A request waits.
    work: Arc<Event>,
}

impl<P: Part> NodeQueue<P> {
    /// An empty one.
    pub fn new(node: Option<Address>) -> NodeQueue<P> {
        NodeQueue {
            node,
            waiting: VecDeque::new(),
            in_flight: VecDeque::new(),
            work: Arc::default(),
        }
    }

    /// Queues a request behind all others.
    pub fn push(&mut self, request: Request<P>) {
        self.waiting.push_back(request);
        self.work.notify(1);
    }

    /// Queues requests ahead of all others.
    pub fn push_front(&mut self, requests: impl DoubleEndedIterator<Item = Request<P>>) {
        for request in requests.rev() {
            self.waiting.push_front(request);
        }
        self.work.notify(1);
    }

    /// Ends when a request waits.
    pub fn work(&self) -> EventListener {
        self.work.listen()
    }

    /// Whether there is nothing to send and no reply to come.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.in_flight.is_empty()
    }

    /// Writes the oldest request into `out`, a part together with those that go with it.
    pub fn write(&mut self, out: &mut Vec<u8>, merge: &impl Fn(&P, &[&P]) -> Command) {
        if self.waiting.front().is_some_and(|request| request.asking) {
            let mut asking = Request::new(Payload::Asking, OnReply::Ignore);
            asking.sent = true;
            self.in_flight.push_back(asking);
            cmd("ASKING").write_packed_command(out);
        }
        let count = group_len(&self.waiting);
        let mut parts = self.waiting.iter().take(count).filter_map(Request::part);
        match (parts.next(), self.waiting.front().map(|it| &it.payload)) {
            (Some(first), _) => {
                let more: Vec<&P> = parts.collect();
                out.extend_from_slice(&merge(first, &more).packed);
            }
            (None, Some(Payload::Command(command))) => out.extend_from_slice(&command.packed),
            (None, _) => {}
        }
        for (place, mut request) in self.waiting.drain(..count).enumerate() {
            request.sent = true;
            request.grouped = place > 0;
            self.in_flight.push_back(request);
        }
        shrink(&mut self.waiting);
    }

    /// Takes the oldest request in flight, with those that went out in one command with it; none if
    /// there is none.
    pub fn take_answered(&mut self) -> VecDeque<Request<P>> {
        let behind = self.in_flight.iter().skip(1);
        let grouped = behind.take_while(|request| request.grouped).count();
        let count = self.in_flight.len().min(1 + grouped);
        let requests = self.in_flight.drain(..count).collect();
        shrink(&mut self.in_flight);
        requests
    }
}

/// How many of the oldest requests go out in one command: parts that go together, but not too many.
pub fn group_len<P: Part>(requests: &VecDeque<Request<P>>) -> usize {
    let Some(front) = requests.front() else {
        return 0;
    };
    let Some(first) = front.part() else {
        return 1;
    };
    let mut bytes = 0;
    let more = requests.iter().skip(1).take(GROUP - 1);
    let more = more.take_while(|request| {
        request.part().is_some_and(|part| {
            bytes += part.size();
            part.goes_with(first) && bytes < GROUP_BYTES && request.asking == front.asking
        })
    });
    1 + more.count()
}

/// Gives back the memory that a burst has left behind.
fn shrink<P>(requests: &mut VecDeque<Request<P>>) {
    if requests.is_empty() && requests.capacity() > KEPT {
        *requests = VecDeque::new();
    }
}
