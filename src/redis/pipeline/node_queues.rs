//! The queues of requests: one for each slot, and for each node the slots that it can be sent
//! something of.
//!
//! Requests of one slot keep their order. A single Redis has one slot and is sent everything at
//! once. In a cluster a node may redirect a request, because its slot has moved or is moving: the
//! slot is paused then until every command in flight for it has its reply, and the redirected
//! requests are sent again in order. The same happens to parts that Redis has not executed because
//! one ahead of them failed (see `chains`).

mod chains;
mod slot_queue;

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::time::Instant;

use event_listener::{Event, EventListener};
use redis::{Value, cmd};
use smol::channel::Receiver;

use super::request::{Part, Payload, Request};
use crate::redis::cluster::{Address, Map, Redirect, redirect};
use crate::redis::error::{Error, transient_error};
use crate::redis::slot::{Command, SLOTS};
use chains::Chains;
use slot_queue::{Pause, SlotQueue};

/// With nothing in flight, a node keeps room for so many commands.
const KEPT: usize = 256;

/// The queues of all slots and nodes.
pub struct NodeQueues<P: Part> {
    /// One for each connection; none without a connection.
    nodes: Vec<Node<P>>,
    /// The node of each slot; empty where there is no cluster.
    route: Vec<u16>,
    /// The slots with requests. Those above the cluster's stand for a node each, whose requests have
    /// no keys.
    slots: HashMap<u16, SlotQueue<P>>,
    /// The parts in flight.
    chains: Chains<P::Group>,
    /// The slots that wait for [`retry`](Self::retry).
    retries: Vec<u16>,
    /// There is one more of them.
    retry_wanted: Event,
    /// Which requests go out.
    pub gate: Gate,
    /// What waits for the gate to open.
    backlog: VecDeque<Request<P>>,
    /// How many requests there have ever been.
    pub pushed: u64,
}

/// Which requests go out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
pub enum Gate {
    /// None: there is no connection.
    Disconnected,
    /// Early ones.
    Closed,
    /// All.
    Open,
}

struct Node<P> {
    /// `None` for a single Redis.
    address: Option<Address>,
    /// The slots of which something can be sent here. One that was paused meanwhile is passed over.
    ready: VecDeque<u16>,
    /// For each command without a reply yet its slot, and the requests it was made of; none for
    /// `ASKING`.
    in_flight: VecDeque<(u16, Vec<Request<P>>)>,
    /// A slot is ready.
    work: Event,
}

impl<P: Part> Default for NodeQueues<P> {
    fn default() -> NodeQueues<P> {
        NodeQueues {
            nodes: Vec::new(),
            route: Vec::new(),
            slots: HashMap::new(),
            chains: Chains::default(),
            retries: Vec::new(),
            retry_wanted: Event::new(),
            gate: Gate::Disconnected,
            backlog: VecDeque::new(),
            pushed: 0,
        }
    }
}

impl<P: Part> NodeQueues<P> {
    /// Queues a request behind all others of its slot; one that is not `early` waits for the gate to
    /// open.
    pub fn push(&mut self, mut request: Request<P>, early: bool) {
        self.pushed += 1;
        request.place = self.pushed;
        match early || self.gate == Gate::Open {
            true => self.put(request),
            false => self.backlog.push_back(request),
        }
    }

    /// Queues the same command for every node; the replies come from the receivers.
    pub fn push_to_all(&mut self, command: &[u8]) -> Vec<Receiver<Value>> {
        let mut receivers = Vec::new();
        for slot in (SLOTS..).take(self.nodes.len()) {
            let packed = command.to_vec();
            let (request, receiver) = Request::awaited(Command { slot, packed });
            self.push(request, true);
            receivers.push(receiver);
        }
        receivers
    }

    fn put(&mut self, request: Request<P>) {
        let number = if self.is_cluster() { request.slot() } else { 0 };
        let slot = self.slots.entry(number).or_default();
        let was_ready = slot.is_ready();
        slot.waiting.push_back(request);
        if !was_ready && slot.is_ready() {
            self.make_ready(number, self.node_of(number));
        }
    }

    fn make_ready(&mut self, slot: u16, node: usize) {
        self.nodes[node].ready.push_back(slot);
        self.nodes[node].work.notify(1);
    }

    /// The node of a slot.
    pub fn node_of(&self, slot: u16) -> usize {
        let routed = || self.route.get(usize::from(slot)).map_or(0, |&node| node);
        slot.checked_sub(SLOTS).unwrap_or_else(routed).into()
    }

    fn is_cluster(&self) -> bool {
        !self.route.is_empty()
    }

    /// Ends when there is a request for this node.
    pub fn work(&self, node: usize) -> EventListener {
        self.nodes[node].work.listen()
    }

    /// Whether nothing waits, neither to be sent nor for its reply.
    pub fn is_empty(&self) -> bool {
        self.backlog.is_empty() && self.slots.is_empty()
    }

    /// Writes a command for this node into `out`: the oldest request of a slot, a part together with
    /// those that go with it. `false`: there is nothing to send now.
    pub fn write_next(
        &mut self,
        node: usize,
        out: &mut Vec<u8>,
        merge: &impl Fn(u64, &P, &[&P]) -> Command,
    ) -> bool {
        while let Some(number) = self.nodes[node].ready.pop_front() {
            let home = self.node_of(number);
            let Some(slot) = self.slots.get_mut(&number) else {
                continue;
            };
            let asked = match slot.paused {
                Some(Pause::Redirected(Redirect::Ask, there)) if there == node => true,
                None if home == node && slot.is_ready() => false,
                _ => continue,
            };
            let Node {
                ready, in_flight, ..
            } = &mut self.nodes[node];
            if asked {
                cmd("ASKING").write_packed_command(out);
                in_flight.push_back((number, Vec::new()));
                slot.paused = Some(Pause::Home);
            }
            let mut requests = slot.next_group();
            let parts: Vec<&P> = requests.iter().filter_map(Request::part).collect();
            if let Some((first, more)) = parts.split_first() {
                let last = requests.last().map_or(0, |request| request.place);
                let before = self.chains.sent(first.group(), last);
                out.extend_from_slice(&merge(before, first, more).packed);
            }
            for request in &mut requests {
                if let Payload::Command(command) = &request.payload {
                    out.extend_from_slice(&command.packed);
                }
                request.sent = true;
            }
            in_flight.push_back((number, requests));
            slot.in_flight += 1;
            if slot.is_ready() {
                ready.push_back(number);
            }
            return true;
        }
        false
    }

    /// Takes the reply to the oldest command in flight at this node. Returns the requests that it
    /// is for; none if they are sent again.
    ///
    /// # Errors
    /// The connections are of no use: nothing is taken. An error that a new connection may mend is
    /// none while the gate is closed.
    pub fn on_reply(&mut self, node: usize, value: &Value) -> Result<Vec<Request<P>>, Error> {
        let from = self.nodes[node].address.as_ref();
        let redirected = match from.and_then(|from| redirect(value, from)) {
            Some((how, address)) => {
                let node = |node: &Node<P>| node.address.as_ref() == Some(&address);
                let place = self.nodes.iter().position(node);
                let place = place.ok_or(Error::NewNode(address))?;
                Some(Pause::Redirected(how, place))
            }
            None => match transient_error(value).filter(|_| self.gate == Gate::Open) {
                Some(error) => return Err(Error::Transient(error)),
                None => None,
            },
        };
        let in_flight = &mut self.nodes[node].in_flight;
        let Some((number, mut requests)) = in_flight.pop_front() else {
            return Err(Error::Transient("an answer to no question".into()));
        };
        if in_flight.is_empty() {
            in_flight.shrink_to(KEPT);
        }
        if let Some(slot) = self.slots.get_mut(&number)
            && !requests.is_empty()
        {
            slot.in_flight -= 1;
            slot.paused = redirected.or(slot.paused);
            let group = requests[0].part().map(Part::group);
            let again = group.is_some_and(|group| self.chains.answered(group, value));
            if again {
                slot.paused.get_or_insert(Pause::Home);
            }
            if again || matches!(slot.paused, Some(Pause::Redirected(..))) {
                // Also what was executed ahead of a redirected request: it is executed again, in its
                // place.
                slot.waiting.extend(requests.drain(..));
            }
            if slot.in_flight == 0 {
                self.resume(number);
            }
        }
        Ok(requests)
    }

    /// Goes on with a slot of which nothing is in flight.
    fn resume(&mut self, number: u16) {
        let home = self.node_of(number);
        let Some(slot) = self.slots.get_mut(&number) else {
            return;
        };
        if slot.waiting.is_empty() {
            self.slots.remove(&number);
            return;
        }
        let Some(paused) = slot.paused.take() else {
            // It has been ready all the time.
            return;
        };
        let waiting = slot.waiting.make_contiguous();
        waiting.sort_by_key(|request| request.place);
        match paused {
            Pause::Home => self.make_ready(number, home),
            Pause::Redirected(Redirect::Moved, node) => {
                self.route[usize::from(number)] = node as u16;
                self.make_ready(number, node);
            }
            Pause::Redirected(Redirect::Ask, node) => {
                slot.paused = Some(paused);
                self.make_ready(number, node);
            }
            Pause::Redirected(Redirect::TryAgain, _) => {
                slot.paused = Some(paused);
                self.retries.push(number);
                self.retry_wanted.notify(1);
            }
        }
    }

    /// Ends when something waits for [`retry`](Self::retry).
    pub fn retry_wanted(&self) -> EventListener {
        self.retry_wanted.listen()
    }

    /// Goes on with the slots that were moving a little while ago.
    pub fn retry(&mut self) {
        for number in mem::take(&mut self.retries) {
            if let Some(slot) = self.slots.get_mut(&number) {
                slot.paused = None;
                self.make_ready(number, self.node_of(number));
            }
        }
    }

    /// There are connections: each slot's requests go to its node.
    pub fn connect(&mut self, map: Option<&Map>) {
        self.disconnect();
        let addresses = match map {
            None => vec![None],
            Some(map) => map.nodes.iter().cloned().map(Some).collect(),
        };
        let node = |address| Node {
            address,
            ready: VecDeque::new(),
            in_flight: VecDeque::new(),
            work: Event::new(),
        };
        self.nodes = addresses.into_iter().map(node).collect();
        self.route = map.map_or_else(Vec::new, |map| map.route.clone());
        self.gate = Gate::Closed;
    }

    /// The gate opens: what has waited for it goes to its queues.
    pub fn open(&mut self) {
        self.gate = Gate::Open;
        for request in mem::take(&mut self.backlog) {
            self.put(request);
        }
    }

    /// The connections are gone: everything waits again, in order. The requests of callers who wait
    /// are dropped.
    pub fn disconnect(&mut self) {
        let in_flight = mem::take(&mut self.nodes).into_iter();
        let in_flight = in_flight.flat_map(|node| node.in_flight);
        let slots = mem::take(&mut self.slots).into_values();
        let mut all: Vec<Request<P>> = (in_flight.flat_map(|(_, requests)| requests))
            .chain(slots.flat_map(|slot| slot.waiting))
            .chain(mem::take(&mut self.backlog))
            .filter(|request| request.repeats)
            .collect();
        all.sort_by_key(|request| request.place);
        self.backlog = all.into();
        self.chains = Chains::default();
        self.route.clear();
        self.retries.clear();
        self.gate = Gate::Disconnected;
    }

    /// Takes the reserved requests that wait for a connection and were never sent.
    pub fn take_unsent(&mut self) -> VecDeque<Request<P>> {
        self.take_waiting(|request, _| !request.sent)
    }

    /// Takes the reserved requests that wait for a connection and were accepted before this time.
    pub fn take_older(&mut self, than: Instant) -> VecDeque<Request<P>> {
        self.take_waiting(|_, accepted| accepted < than)
    }

    fn take_waiting(
        &mut self,
        wanted: impl Fn(&Request<P>, Instant) -> bool,
    ) -> VecDeque<Request<P>> {
        let reserved = |request: &Request<P>| request.reserved.map(|(_, accepted)| accepted);
        let (taken, kept) = mem::take(&mut self.backlog)
            .into_iter()
            .partition(|request| {
                reserved(request).is_some_and(|accepted| wanted(request, accepted))
            });
        self.backlog = kept;
        taken
    }
}

#[cfg(test)]
mod tests;
