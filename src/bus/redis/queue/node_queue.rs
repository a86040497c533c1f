//! What waits and what was said, node by node, in a cluster.
//!
//! What belongs to one slot keeps its order, whatever becomes of the slot. A single Redis is sent
//! everything at once. In a cluster a command may come back, because its slot has moved or is
//! moving: then nothing of that slot is said until all of it that was said has come back, and it
//! goes on where it stopped. So that a message never overtakes one that comes back, a room's next
//! ones wait for word of the last ones; they go out together then.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::sync::Arc;

use event_listener::{Event, EventListener};
use redis::Value;
use smol::channel::Sender;

use super::Error;
use super::request::{OnReply, Payload, Request};
use crate::bus::redis::scripts::Publication;
use crate::redis::cluster::{Address, Map, Redirect, redirect};
use crate::redis::error::transient_error;
use crate::redis::slot::Command;

/// How many messages are published by one command at most …
const GROUP: usize = 64;
/// … and about how many bytes: Redis does nothing else meanwhile.
const GROUP_BYTES: usize = 64 * 1024;

/// Room for so many commands is kept where there are none.
const KEPT: usize = 256;

/// The queues of all nodes.
#[derive(Debug)]
pub struct NodeQueues {
    /// At least one; where there is no connection, everything waits in the first.
    queues: Vec<NodeQueue>,
    /// Which of them each slot takes; empty where there is but one.
    route: Vec<u16>,
    paused: HashMap<u16, PausedSlot>,
    /// How many have ever been pushed.
    pushed: u64,
}

/// The way to one node.
#[derive(Debug, Default)]
struct NodeQueue {
    node: Option<Address>,
    waiting: VecDeque<Request>,
    in_flight: VecDeque<Request>,
    /// Something waits to be said.
    work: Arc<Event>,
}

/// A slot of which nothing may be said now.
#[derive(Debug)]
struct PausedSlot {
    state: SlotState,
    /// What came back, in order …
    redirected: VecDeque<Request>,
    /// … and what was to be said since.
    queued: VecDeque<Request>,
}

/// How it goes on with a slot that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    /// As soon as the message that was said is answered.
    Answer,
    /// On this queue, from now on.
    Moved(usize),
    /// On this queue, with one command.
    Ask(usize),
    /// After a little while.
    Again,
}

impl Default for NodeQueues {
    fn default() -> NodeQueues {
        NodeQueues {
            queues: vec![NodeQueue::default()],
            route: Vec::new(),
            paused: HashMap::new(),
            pushed: 0,
        }
    }
}

impl NodeQueues {
    /// To be said after everything else of its slot.
    pub fn push(&mut self, mut request: Request) {
        self.pushed += 1;
        request.place = self.pushed;
        self.put(request);
    }

    fn put(&mut self, request: Request) {
        let queue = self.queue_of(request.slot());
        self.queues[queue].waiting.push_back(request);
        self.queues[queue].work.notify(1);
    }

    fn queue_of(&self, slot: u16) -> usize {
        self.route
            .get(usize::from(slot))
            .map_or(0, |&queue| queue.into())
    }

    fn is_cluster(&self) -> bool {
        !self.route.is_empty()
    }

    /// Asks every node the same; returns how many there are.
    pub fn request_all(&mut self, command: &[u8], reply: &Sender<Value>) -> usize {
        for queue in &mut self.queues {
            let command = Command {
                slot: u16::MAX,
                packed: command.to_vec(),
            };
            let on_reply = OnReply::Send(reply.clone());
            queue
                .waiting
                .push_back(Request::new(Payload::Command(command), on_reply, None));
            queue.work.notify(1);
        }
        self.queues.len()
    }

    /// Ends when there is something to say on this queue.
    pub fn work(&self, queue: usize) -> EventListener {
        self.queues[queue].work.listen()
    }

    /// Whether nothing waits, neither to be said nor to be answered.
    pub fn is_empty(&self) -> bool {
        let idle = |queue: &NodeQueue| queue.waiting.is_empty() && queue.in_flight.is_empty();
        let nothing =
            |paused: &PausedSlot| paused.redirected.is_empty() && paused.queued.is_empty();
        self.queues.iter().all(idle) && self.paused.values().all(nothing)
    }

    /// Says the oldest that waits on this queue, a message together with those behind it of the same
    /// room. `false`: there is nothing to say now.
    pub fn send_next(
        &mut self,
        queue: usize,
        out: &mut Vec<u8>,
        publish: &impl Fn(&Publication, &[&Publication]) -> Command,
    ) -> bool {
        let cluster = self.is_cluster();
        let queue = &mut self.queues[queue];
        let asking = loop {
            let Some(front) = queue.waiting.front() else {
                return false;
            };
            match self.paused.get_mut(&front.slot()) {
                Some(paused) if !front.asking => paused.queued.extend(queue.waiting.pop_front()),
                _ => break front.asking,
            }
        };
        if asking {
            let mut asking = Request::new(Payload::Asking, OnReply::Ignore, None);
            asking.sent = true;
            queue.in_flight.push_back(asking);
            redis::cmd("ASKING").write_packed_command(out);
        }
        let count = match queue.waiting.front().map(|request| &request.payload) {
            None | Some(Payload::Asking) => return false,
            Some(Payload::Command(command)) => {
                out.extend_from_slice(&command.packed);
                1
            }
            Some(Payload::Publish(first)) => {
                if cluster {
                    self.paused
                        .entry(first.slot)
                        .or_insert(PausedSlot::new(SlotState::Answer));
                }
                let more = group(first, queue.waiting.iter().skip(1), asking);
                out.extend_from_slice(&publish(first, &more).packed);
                1 + more.len()
            }
        };
        for (place, mut request) in queue.waiting.drain(..count).enumerate() {
            request.sent = true;
            request.grouped = place > 0;
            queue.in_flight.push_back(request);
        }
        shrink(&mut queue.waiting);
        true
    }

    /// Takes the answer to the oldest that is unanswered on this queue: returns what it answers,
    /// with what was said together with it, or nothing if that has to be said again.
    ///
    /// # Errors
    /// The connections are of no use: nothing is taken.
    pub fn on_reply(&mut self, queue: usize, value: &Value) -> Result<VecDeque<Request>, Error> {
        let cluster = self.is_cluster();
        let from = self.queues[queue].node.as_ref();
        let state = match redirect(value, from).filter(|_| cluster) {
            None => match transient_error(value) {
                Some(error) => return Err(Error::Transient(error)),
                None => None,
            },
            Some(Redirect::TryAgain) => Some(SlotState::Again),
            Some(Redirect::Moved(node)) => Some(SlotState::Moved(self.queue_to(node)?)),
            Some(Redirect::Ask(node)) => Some(SlotState::Ask(self.queue_to(node)?)),
        };
        let in_flight = &mut self.queues[queue].in_flight;
        let queued = in_flight.iter().skip(1);
        let count = 1 + queued.take_while(|request| request.grouped).count();
        if in_flight.is_empty() {
            return Err(Error::Transient("an answer to no question".into()));
        }
        let requests: VecDeque<Request> = in_flight.drain(..count).collect();
        shrink(in_flight);
        match requests.front() {
            Some(Request {
                payload: Payload::Asking,
                ..
            }) => Ok(VecDeque::new()),
            Some(first) if cluster => {
                let (slot, is_awaited) = (first.slot(), first.asking || first.words().is_some());
                Ok(self.update_slot(slot, state, is_awaited, requests))
            }
            _ => Ok(requests),
        }
    }

    /// Where a slot stands after an answer: lets it go on, if it may. Returns what is answered.
    fn update_slot(
        &mut self,
        slot: u16,
        state: Option<SlotState>,
        is_awaited: bool,
        requests: VecDeque<Request>,
    ) -> VecDeque<Request> {
        let redirecting = self
            .paused
            .get(&slot)
            .is_some_and(|paused| paused.state != SlotState::Answer);
        if let Some(state) = state {
            let paused = self.paused.entry(slot).or_insert(PausedSlot::new(state));
            paused.state = state;
        }
        if state.is_none() && !redirecting {
            if is_awaited {
                self.resume(slot);
            }
            return requests;
        }
        // What was done although something before it was not is done again, in its place.
        if let Some(paused) = self.paused.get_mut(&slot) {
            paused
                .redirected
                .extend(requests.into_iter().map(|mut request| {
                    (request.grouped, request.asking) = (false, false);
                    request
                }));
        }
        if !self.is_in_flight(slot) {
            self.resume(slot);
        }
        VecDeque::new()
    }

    fn is_in_flight(&self, slot: u16) -> bool {
        let mut sent = self.queues.iter().flat_map(|queue| &queue.in_flight);
        sent.any(|request| request.slot() == slot)
    }

    /// Goes on with a slot of which nothing is unanswered.
    fn resume(&mut self, slot: u16) {
        let Some(paused) = self.paused.remove(&slot) else {
            return;
        };
        match paused.state {
            SlotState::Answer => self.release(paused, slot),
            SlotState::Again => drop(self.paused.insert(slot, paused)),
            SlotState::Moved(queue) => {
                let before = self.queue_of(slot);
                self.route[usize::from(slot)] = queue as u16;
                let mut paused = paused;
                // What waits on the old queue must not be overtaken.
                let waiting = mem::take(&mut self.queues[before].waiting);
                let (of_slot, others) = waiting
                    .into_iter()
                    .partition(|request| request.slot() == slot);
                let of_slot: VecDeque<Request> = of_slot;
                self.queues[before].waiting = others;
                paused.queued.extend(of_slot);
                self.release(paused, slot);
            }
            SlotState::Ask(queue) => {
                let PausedSlot {
                    mut redirected,
                    queued,
                    ..
                } = paused;
                redirected.extend(queued);
                let count = match redirected.front().map(|request| &request.payload) {
                    Some(Payload::Publish(first)) => {
                        1 + group(first, redirected.iter().skip(1), false).len()
                    }
                    _ => 1.min(redirected.len()),
                };
                let rest = redirected.split_off(count);
                for mut request in redirected.into_iter().rev() {
                    request.asking = true;
                    self.queues[queue].waiting.push_front(request);
                }
                let mut paused = PausedSlot::new(SlotState::Answer);
                paused.redirected = rest;
                self.paused.insert(slot, paused);
                self.queues[queue].work.notify(1);
            }
        }
    }

    /// What was held goes out first.
    fn release(&mut self, paused: PausedSlot, slot: u16) {
        let queue = self.queue_of(slot);
        let queue = &mut self.queues[queue];
        let mut requests = paused.redirected;
        requests.extend(paused.queued);
        for request in requests.into_iter().rev() {
            queue.waiting.push_front(request);
        }
        queue.work.notify(1);
    }

    /// Whether something waits for [`try_again`](Self::try_again).
    pub fn has_retries(&self) -> bool {
        self.paused
            .values()
            .any(|paused| paused.state == SlotState::Again)
    }

    /// Goes on with the slots that were on their way a little while ago.
    pub fn retry(&mut self) {
        let again = self
            .paused
            .iter()
            .filter(|(_, paused)| paused.state == SlotState::Again);
        let slots: Vec<u16> = again.map(|(&slot, _)| slot).collect();
        for slot in slots {
            if !self.is_in_flight(slot)
                && let Some(paused) = self.paused.remove(&slot)
            {
                self.release(paused, slot);
            }
        }
    }

    fn queue_to(&self, node: Address) -> Result<usize, Error> {
        let known = self
            .queues
            .iter()
            .position(|queue| queue.node.as_ref() == Some(&node));
        known.ok_or(Error::NewNode(node))
    }

    /// There are connections: each slot's commands go to the queue of its node.
    pub fn distribute(&mut self, map: Option<&Map>) {
        self.merge();
        let Some(map) = map else {
            self.queues[0].work.notify(1);
            return;
        };
        let waiting = mem::take(&mut self.queues[0].waiting);
        let queue = |node: &Address| NodeQueue {
            node: Some(node.clone()),
            ..NodeQueue::default()
        };
        self.queues = map.nodes.iter().map(queue).collect();
        self.route.clone_from(&map.route);
        waiting.into_iter().for_each(|request| self.put(request));
    }

    /// The connections are gone: everything waits again, in order, but for questions.
    pub fn merge(&mut self) {
        let queues = mem::replace(&mut self.queues, vec![NodeQueue::default()]);
        let paused = mem::take(&mut self.paused).into_values();
        self.route.clear();
        let paused = paused.flat_map(|paused| [paused.redirected, paused.queued]);
        let queues = queues
            .into_iter()
            .flat_map(|queue| [queue.in_flight, queue.waiting]);
        let mut all: Vec<Request> = queues.chain(paused).flatten().collect();
        all.retain(|request| {
            !matches!(request.on_reply, OnReply::Send(_))
                && !matches!(request.payload, Payload::Asking)
        });
        all.sort_by_key(|request| request.place);
        for request in &mut all {
            (request.grouped, request.asking) = (false, false);
        }
        self.queues[0].waiting = all.into();
    }

    /// The messages that wait for a connection and have never been said.
    pub fn take_unsent_messages(&mut self) -> VecDeque<Request> {
        let waiting = mem::take(&mut self.queues[0].waiting);
        let (kept, unsaid) = waiting
            .into_iter()
            .partition(|request| request.sent || request.weight.is_none());
        self.queues[0].waiting = kept;
        unsaid
    }
}

impl PausedSlot {
    fn new(state: SlotState) -> PausedSlot {
        PausedSlot {
            state,
            redirected: VecDeque::new(),
            queued: VecDeque::new(),
        }
    }
}

/// Gives back what a burst has left behind.
fn shrink(requests: &mut VecDeque<Request>) {
    if requests.is_empty() && requests.capacity() > KEPT {
        *requests = VecDeque::new();
    }
}

/// The messages behind the first that are said together with it: of the same room, and not too many.
fn group<'a>(
    first: &Publication,
    queued: impl Iterator<Item = &'a Request>,
    asking: bool,
) -> Vec<&'a Publication> {
    let mut bytes = 0;
    let same = queued.take(GROUP - 1).map_while(|request| {
        let words = request.words().filter(|words| words.room == first.room)?;
        bytes += words.weight();
        (bytes < GROUP_BYTES && request.asking == asking).then_some(words)
    });
    same.collect()
}

#[cfg(test)]
mod tests;
