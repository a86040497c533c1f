//! The queues of requests, one for each node.
//!
//! Requests of one slot keep their order. A single Redis is sent everything at once. In a cluster a
//! node may redirect a request, because its slot has moved or is moving: the slot is paused then
//! until every request in flight for it has its reply, and the redirected ones are sent again in
//! order. A part must not overtake another one that is redirected, so only one command of parts per
//! slot is in flight; the parts that wait for it go out together.

use std::collections::{HashMap, VecDeque};
use std::mem;

use event_listener::EventListener;
use redis::Value;
use smol::channel::Sender;

use super::node_queue::{NodeQueue, group_len};
use super::request::{OnReply, Part, Payload, Request};
use crate::redis::cluster::{Address, Map, Redirect, redirect};
use crate::redis::error::{Error, transient_error};
use crate::redis::slot::Command;

/// The queues of all nodes.
#[derive(Debug)]
pub struct NodeQueues<P> {
    /// One for each connection; none without a connection.
    queues: Vec<NodeQueue<P>>,
    /// The queue of each slot; empty where there is no cluster.
    route: Vec<u16>,
    paused: HashMap<u16, PausedSlot<P>>,
    /// What waits for the gate to open.
    backlog: VecDeque<Request<P>>,
    /// How many requests there have ever been.
    pushed: u64,
}

/// A slot of which nothing may be sent now.
#[derive(Debug)]
struct PausedSlot<P> {
    state: SlotState,
    /// What was redirected, in order.
    redirected: VecDeque<Request<P>>,
    /// What has come since.
    queued: VecDeque<Request<P>>,
}

/// When a paused slot goes on, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SlotState {
    /// As soon as the command of parts in flight has its reply.
    InFlight,
    /// On this queue, from now on.
    Moved(usize),
    /// On this queue, with one command.
    Ask(usize),
    /// After a little while.
    Retry,
}

impl<P> Default for NodeQueues<P> {
    fn default() -> NodeQueues<P> {
        NodeQueues {
            queues: Vec::new(),
            route: Vec::new(),
            paused: HashMap::new(),
            backlog: VecDeque::new(),
            pushed: 0,
        }
    }
}

impl<P: Part> NodeQueues<P> {
    /// Queues a request behind all others of its slot.
    pub fn push(&mut self, request: Request<P>) {
        let request = self.numbered(request);
        self.put(request);
    }

    /// Queues a request until the gate opens.
    pub fn push_to_backlog(&mut self, request: Request<P>) {
        let request = self.numbered(request);
        self.backlog.push_back(request);
    }

    fn numbered(&mut self, mut request: Request<P>) -> Request<P> {
        self.pushed += 1;
        request.place = self.pushed;
        request
    }

    fn put(&mut self, request: Request<P>) {
        let queue = self.queue_of(request.slot());
        self.queues[queue].push(request);
    }

    fn queue_of(&self, slot: u16) -> usize {
        self.route
            .get(usize::from(slot))
            .map_or(0, |&queue| queue.into())
    }

    fn is_cluster(&self) -> bool {
        !self.route.is_empty()
    }

    /// Queues the same command for every node; returns how many there are.
    pub fn push_to_all(&mut self, command: &[u8], reply: &Sender<Value>) -> usize {
        for queue in &mut self.queues {
            let command = Command {
                slot: u16::MAX,
                packed: command.to_vec(),
            };
            let on_reply = OnReply::Send(reply.clone());
            queue.push(Request::new(Payload::Command(command), on_reply));
        }
        self.queues.len()
    }

    /// Ends when there is a request for this queue.
    pub fn work(&self, queue: usize) -> EventListener {
        self.queues[queue].work()
    }

    /// Whether nothing waits, neither to be sent nor for its reply.
    pub fn is_empty(&self) -> bool {
        let nothing =
            |paused: &PausedSlot<P>| paused.redirected.is_empty() && paused.queued.is_empty();
        self.backlog.is_empty()
            && self.queues.iter().all(NodeQueue::is_empty)
            && self.paused.values().all(nothing)
    }

    /// Writes the oldest request of this queue into `out`, a part together with those that go with
    /// it. `false`: there is nothing to send now.
    pub fn write_next(
        &mut self,
        queue: usize,
        out: &mut Vec<u8>,
        merge: &impl Fn(&P, &[&P]) -> Command,
    ) -> bool {
        let cluster = self.is_cluster();
        let queue = &mut self.queues[queue];
        let front = loop {
            let Some(front) = queue.waiting.front() else {
                return false;
            };
            match self.paused.get_mut(&front.slot()) {
                Some(paused) if !front.asking => paused.queued.extend(queue.waiting.pop_front()),
                _ => break front,
            }
        };
        if cluster && front.part().is_some() {
            let paused = PausedSlot::new(SlotState::InFlight);
            self.paused.entry(front.slot()).or_insert(paused);
        }
        queue.write(out, merge);
        true
    }

    /// Takes the reply to the oldest request in flight on this queue. Returns the requests that it
    /// is for; none if they are sent again. `open`: an error that a new connection may mend ends
    /// this one.
    ///
    /// # Errors
    /// The connections are of no use: nothing is taken.
    pub fn on_reply(
        &mut self,
        queue: usize,
        value: &Value,
        open: bool,
    ) -> Result<VecDeque<Request<P>>, Error> {
        let cluster = self.is_cluster();
        let from = self.queues[queue].node.as_ref();
        let state = match redirect(value, from).filter(|_| cluster) {
            None => match transient_error(value).filter(|_| open) {
                Some(error) => return Err(Error::Transient(error)),
                None => None,
            },
            Some(Redirect::TryAgain) => Some(SlotState::Retry),
            Some(Redirect::Moved(node)) => Some(SlotState::Moved(self.queue_to(node)?)),
            Some(Redirect::Ask(node)) => Some(SlotState::Ask(self.queue_to(node)?)),
        };
        let requests = self.queues[queue].take_answered();
        match requests.front() {
            None => Err(Error::Transient("an answer to no question".into())),
            Some(Request {
                payload: Payload::Asking,
                ..
            }) => Ok(VecDeque::new()),
            Some(first) if cluster => {
                let (slot, is_awaited) = (first.slot(), first.asking || first.part().is_some());
                Ok(self.update_slot(slot, state, is_awaited, requests))
            }
            _ => Ok(requests),
        }
    }

    /// Pauses a slot or lets it go on after a reply. Returns the requests that the reply is for.
    fn update_slot(
        &mut self,
        slot: u16,
        state: Option<SlotState>,
        is_awaited: bool,
        requests: VecDeque<Request<P>>,
    ) -> VecDeque<Request<P>> {
        let redirecting = self
            .paused
            .get(&slot)
            .is_some_and(|paused| paused.state != SlotState::InFlight);
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
        // Executed ahead of a request that was redirected: executed again, in its place.
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

    /// Goes on with a slot of which nothing is in flight.
    fn resume(&mut self, slot: u16) {
        let Some(paused) = self.paused.remove(&slot) else {
            return;
        };
        match paused.state {
            SlotState::InFlight => self.release(paused, slot),
            SlotState::Retry => drop(self.paused.insert(slot, paused)),
            SlotState::Moved(queue) => {
                let before = self.queue_of(slot);
                self.route[usize::from(slot)] = queue as u16;
                let mut paused = paused;
                // What waits on the old queue must not be overtaken.
                let waiting = mem::take(&mut self.queues[before].waiting);
                let (of_slot, others) = waiting
                    .into_iter()
                    .partition(|request| request.slot() == slot);
                let of_slot: VecDeque<Request<P>> = of_slot;
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
                let rest = redirected.split_off(group_len(&redirected));
                for request in &mut redirected {
                    request.asking = true;
                }
                self.queues[queue].push_front(redirected.into_iter());
                let mut paused = PausedSlot::new(SlotState::InFlight);
                paused.redirected = rest;
                self.paused.insert(slot, paused);
            }
        }
    }

    /// What was paused goes out first.
    fn release(&mut self, paused: PausedSlot<P>, slot: u16) {
        let queue = self.queue_of(slot);
        let requests = paused.redirected.into_iter().chain(paused.queued);
        self.queues[queue].push_front(requests);
    }

    /// Whether something waits for [`retry`](Self::retry).
    pub fn has_retries(&self) -> bool {
        self.paused
            .values()
            .any(|paused| paused.state == SlotState::Retry)
    }

    /// Goes on with the slots that were moving a little while ago.
    pub fn retry(&mut self) {
        let again = self
            .paused
            .iter()
            .filter(|(_, paused)| paused.state == SlotState::Retry);
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

    /// There are connections: each slot's requests go to the queue of its node.
    pub fn connect(&mut self, map: Option<&Map>) {
        self.disconnect();
        let Some(map) = map else {
            self.queues = vec![NodeQueue::new(None)];
            return;
        };
        let queue = |node: &Address| NodeQueue::new(Some(node.clone()));
        self.queues = map.nodes.iter().map(queue).collect();
        self.route.clone_from(&map.route);
    }

    /// The gate opens: what has waited for it goes to its queues.
    pub fn release_backlog(&mut self) {
        for request in mem::take(&mut self.backlog) {
            self.put(request);
        }
    }

    /// The connections are gone: everything waits again, in order. The requests of callers who wait
    /// are dropped.
    pub fn disconnect(&mut self) {
        let queues = mem::take(&mut self.queues);
        let paused = mem::take(&mut self.paused).into_values();
        self.route.clear();
        let paused = paused.flat_map(|paused| [paused.redirected, paused.queued]);
        let queues = queues
            .into_iter()
            .flat_map(|queue| [queue.in_flight, queue.waiting]);
        let backlog = mem::take(&mut self.backlog);
        let mut all: Vec<Request<P>> = queues.chain(paused).chain([backlog]).flatten().collect();
        all.retain(|request| {
            !matches!(request.on_reply, OnReply::Send(_))
                && !matches!(request.payload, Payload::Asking)
        });
        all.sort_by_key(|request| request.place);
        for request in &mut all {
            (request.grouped, request.asking) = (false, false);
        }
        self.backlog = all.into();
    }

    /// Takes the reserved requests that wait for a connection and were never sent.
    pub fn take_unsent(&mut self) -> VecDeque<Request<P>> {
        let (kept, unsent) = mem::take(&mut self.backlog)
            .into_iter()
            .partition(|request| request.sent || request.reserved.is_none());
        self.backlog = kept;
        unsent
    }
}

impl<P: Part> PausedSlot<P> {
    fn new(state: SlotState) -> PausedSlot<P> {
        PausedSlot {
            state,
            redirected: VecDeque::new(),
            queued: VecDeque::new(),
        }
    }
}

#[cfg(test)]
mod tests;
