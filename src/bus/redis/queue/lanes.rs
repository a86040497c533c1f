//! What waits and what was said, lane by lane: one for each node, in a cluster.
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

use super::op::{Op, Then, What};
use super::{Broken, passing_error};
use crate::bus::redis::cluster::{Address, Map, Redirect, redirect};
use crate::bus::redis::scripts::Publication;
use crate::bus::redis::slot::Command;

/// How many messages are published by one command at most …
const GROUP: usize = 64;
/// … and about how many bytes: Redis does nothing else meanwhile.
const GROUP_BYTES: usize = 64 * 1024;

/// Room for so many commands is kept where there are none.
const KEPT: usize = 256;

/// All lanes.
#[derive(Debug)]
pub struct Lanes {
    /// At least one; where there is no connection, everything waits in the first.
    lanes: Vec<Lane>,
    /// Which of them each slot takes; empty where there is but one.
    route: Vec<u16>,
    held: HashMap<u16, Held>,
    /// How many have ever been pushed.
    pushed: u64,
}

/// The way to one node.
#[derive(Debug, Default)]
struct Lane {
    node: Option<Address>,
    waiting: VecDeque<Op>,
    unanswered: VecDeque<Op>,
    /// Something waits to be said.
    work: Arc<Event>,
}

/// A slot of which nothing may be said now.
#[derive(Debug)]
struct Held {
    turn: Turn,
    /// What came back, in order …
    back: VecDeque<Op>,
    /// … and what was to be said since.
    behind: VecDeque<Op>,
}

/// How it goes on with a slot that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// As soon as the message that was said is answered.
    Answer,
    /// On this lane, from now on.
    Moved(usize),
    /// On this lane, with one command.
    Ask(usize),
    /// After a little while.
    Again,
}

impl Default for Lanes {
    fn default() -> Lanes {
        Lanes {
            lanes: vec![Lane::default()],
            route: Vec::new(),
            held: HashMap::new(),
            pushed: 0,
        }
    }
}

impl Lanes {
    /// To be said after everything else of its slot.
    pub fn push(&mut self, mut op: Op) {
        self.pushed += 1;
        op.place = self.pushed;
        self.put(op);
    }

    fn put(&mut self, op: Op) {
        let lane = self.lane_of(op.slot());
        self.lanes[lane].waiting.push_back(op);
        self.lanes[lane].work.notify(1);
    }

    fn lane_of(&self, slot: u16) -> usize {
        self.route
            .get(usize::from(slot))
            .map_or(0, |&lane| lane.into())
    }

    fn is_cluster(&self) -> bool {
        !self.route.is_empty()
    }

    /// Asks every node the same; returns how many there are.
    pub fn ask_everywhere(&mut self, command: &[u8], answer: &Sender<Value>) -> usize {
        for lane in &mut self.lanes {
            let command = Command {
                slot: u16::MAX,
                packed: command.to_vec(),
            };
            let then = Then::Answer(answer.clone());
            lane.waiting
                .push_back(Op::new(What::Command(command), then, None));
            lane.work.notify(1);
        }
        self.lanes.len()
    }

    /// Ends when there is something to say on this lane.
    pub fn work(&self, lane: usize) -> EventListener {
        self.lanes[lane].work.listen()
    }

    /// Whether nothing waits, neither to be said nor to be answered.
    pub fn is_empty(&self) -> bool {
        let idle = |lane: &Lane| lane.waiting.is_empty() && lane.unanswered.is_empty();
        let nothing = |held: &Held| held.back.is_empty() && held.behind.is_empty();
        self.lanes.iter().all(idle) && self.held.values().all(nothing)
    }

    /// Says the oldest that waits on this lane, a message together with those behind it of the same
    /// room. `false`: there is nothing to say now.
    pub fn say_next(
        &mut self,
        lane: usize,
        out: &mut Vec<u8>,
        publish: &impl Fn(&Publication, &[&Publication]) -> Command,
    ) -> bool {
        let cluster = self.is_cluster();
        let lane = &mut self.lanes[lane];
        let asking = loop {
            let Some(front) = lane.waiting.front() else {
                return false;
            };
            match self.held.get_mut(&front.slot()) {
                Some(held) if !front.asking => held.behind.extend(lane.waiting.pop_front()),
                _ => break front.asking,
            }
        };
        if asking {
            let mut asking = Op::new(What::Asking, Then::Nothing, None);
            asking.said = true;
            lane.unanswered.push_back(asking);
            redis::cmd("ASKING").write_packed_command(out);
        }
        let count = match lane.waiting.front().map(|op| &op.what) {
            None | Some(What::Asking) => return false,
            Some(What::Command(command)) => {
                out.extend_from_slice(&command.packed);
                1
            }
            Some(What::Publish(first)) => {
                if cluster {
                    self.held
                        .entry(first.slot)
                        .or_insert(Held::new(Turn::Answer));
                }
                let more = together(first, lane.waiting.iter().skip(1), asking);
                out.extend_from_slice(&publish(first, &more).packed);
                1 + more.len()
            }
        };
        for (place, mut op) in lane.waiting.drain(..count).enumerate() {
            op.said = true;
            op.joined = place > 0;
            lane.unanswered.push_back(op);
        }
        give_back(&mut lane.waiting);
        true
    }

    /// Takes the answer to the oldest that is unanswered on this lane: returns what it answers,
    /// with what was said together with it, or nothing if that has to be said again.
    ///
    /// # Errors
    /// The connections are of no use: nothing is taken.
    pub fn answered(&mut self, lane: usize, value: &Value) -> Result<VecDeque<Op>, Broken> {
        let cluster = self.is_cluster();
        let from = self.lanes[lane].node.as_ref();
        let turn = match redirect(value, from).filter(|_| cluster) {
            None => match passing_error(value) {
                Some(error) => return Err(Broken::Why(error)),
                None => None,
            },
            Some(Redirect::TryAgain) => Some(Turn::Again),
            Some(Redirect::Moved(node)) => Some(Turn::Moved(self.lane_to(node)?)),
            Some(Redirect::Ask(node)) => Some(Turn::Ask(self.lane_to(node)?)),
        };
        let unanswered = &mut self.lanes[lane].unanswered;
        let behind = unanswered.iter().skip(1);
        let count = 1 + behind.take_while(|op| op.joined).count();
        if unanswered.is_empty() {
            return Err(Broken::Why("an answer to no question".into()));
        }
        let ops: VecDeque<Op> = unanswered.drain(..count).collect();
        give_back(unanswered);
        match ops.front() {
            Some(Op {
                what: What::Asking, ..
            }) => Ok(VecDeque::new()),
            Some(first) if cluster => {
                let (slot, awaited) = (first.slot(), first.asking || first.words().is_some());
                Ok(self.settle(slot, turn, awaited, ops))
            }
            _ => Ok(ops),
        }
    }

    /// Where a slot stands after an answer: lets it go on, if it may. Returns what is answered.
    fn settle(
        &mut self,
        slot: u16,
        turn: Option<Turn>,
        awaited: bool,
        ops: VecDeque<Op>,
    ) -> VecDeque<Op> {
        let astray = self
            .held
            .get(&slot)
            .is_some_and(|held| held.turn != Turn::Answer);
        if let Some(turn) = turn {
            let held = self.held.entry(slot).or_insert(Held::new(turn));
            held.turn = turn;
        }
        if turn.is_none() && !astray {
            if awaited {
                self.go_on(slot);
            }
            return ops;
        }
        // What was done although something before it was not is done again, in its place.
        if let Some(held) = self.held.get_mut(&slot) {
            held.back.extend(ops.into_iter().map(|mut op| {
                (op.joined, op.asking) = (false, false);
                op
            }));
        }
        if !self.is_under_way(slot) {
            self.go_on(slot);
        }
        VecDeque::new()
    }

    fn is_under_way(&self, slot: u16) -> bool {
        let mut said = self.lanes.iter().flat_map(|lane| &lane.unanswered);
        said.any(|op| op.slot() == slot)
    }

    /// Goes on with a slot of which nothing is unanswered.
    fn go_on(&mut self, slot: u16) {
        let Some(held) = self.held.remove(&slot) else {
            return;
        };
        match held.turn {
            Turn::Answer => self.release(held, slot),
            Turn::Again => drop(self.held.insert(slot, held)),
            Turn::Moved(lane) => {
                let before = self.lane_of(slot);
                self.route[usize::from(slot)] = lane as u16;
                let mut held = held;
                // What waits on the old lane must not be overtaken.
                let waiting = mem::take(&mut self.lanes[before].waiting);
                let (of_slot, others) = waiting.into_iter().partition(|op| op.slot() == slot);
                let of_slot: VecDeque<Op> = of_slot;
                self.lanes[before].waiting = others;
                held.behind.extend(of_slot);
                self.release(held, slot);
            }
            Turn::Ask(lane) => {
                let Held {
                    mut back, behind, ..
                } = held;
                back.extend(behind);
                let count = match back.front().map(|op| &op.what) {
                    Some(What::Publish(first)) => {
                        1 + together(first, back.iter().skip(1), false).len()
                    }
                    _ => 1.min(back.len()),
                };
                let rest = back.split_off(count);
                for mut op in back.into_iter().rev() {
                    op.asking = true;
                    self.lanes[lane].waiting.push_front(op);
                }
                let mut held = Held::new(Turn::Answer);
                held.back = rest;
                self.held.insert(slot, held);
                self.lanes[lane].work.notify(1);
            }
        }
    }

    /// What was held goes out first.
    fn release(&mut self, held: Held, slot: u16) {
        let lane = self.lane_of(slot);
        let lane = &mut self.lanes[lane];
        let mut ops = held.back;
        ops.extend(held.behind);
        for op in ops.into_iter().rev() {
            lane.waiting.push_front(op);
        }
        lane.work.notify(1);
    }

    /// Whether something waits for [`try_again`](Self::try_again).
    pub fn to_be_tried_again(&self) -> bool {
        self.held.values().any(|held| held.turn == Turn::Again)
    }

    /// Goes on with the slots that were on their way a little while ago.
    pub fn try_again(&mut self) {
        let again = self
            .held
            .iter()
            .filter(|(_, held)| held.turn == Turn::Again);
        let slots: Vec<u16> = again.map(|(&slot, _)| slot).collect();
        for slot in slots {
            if !self.is_under_way(slot)
                && let Some(held) = self.held.remove(&slot)
            {
                self.release(held, slot);
            }
        }
    }

    fn lane_to(&self, node: Address) -> Result<usize, Broken> {
        let known = self
            .lanes
            .iter()
            .position(|lane| lane.node.as_ref() == Some(&node));
        known.ok_or(Broken::NewNode(node))
    }

    /// There are connections: each slot's commands go to the lane of its node.
    pub fn spread(&mut self, map: Option<&Map>) {
        self.gather();
        let Some(map) = map else {
            self.lanes[0].work.notify(1);
            return;
        };
        let waiting = mem::take(&mut self.lanes[0].waiting);
        let lane = |node: &Address| Lane {
            node: Some(node.clone()),
            ..Lane::default()
        };
        self.lanes = map.nodes.iter().map(lane).collect();
        self.route.clone_from(&map.route);
        waiting.into_iter().for_each(|op| self.put(op));
    }

    /// The connections are gone: everything waits again, in order, but for questions.
    pub fn gather(&mut self) {
        let lanes = mem::replace(&mut self.lanes, vec![Lane::default()]);
        let held = mem::take(&mut self.held).into_values();
        self.route.clear();
        let held = held.flat_map(|held| [held.back, held.behind]);
        let lanes = lanes
            .into_iter()
            .flat_map(|lane| [lane.unanswered, lane.waiting]);
        let mut all: Vec<Op> = lanes.chain(held).flatten().collect();
        all.retain(|op| !matches!(op.then, Then::Answer(_)) && !matches!(op.what, What::Asking));
        all.sort_by_key(|op| op.place);
        for op in &mut all {
            (op.joined, op.asking) = (false, false);
        }
        self.lanes[0].waiting = all.into();
    }

    /// The messages that wait for a connection and have never been said.
    pub fn take_unsaid_messages(&mut self) -> VecDeque<Op> {
        let waiting = mem::take(&mut self.lanes[0].waiting);
        let (kept, unsaid) = waiting
            .into_iter()
            .partition(|op| op.said || op.weight.is_none());
        self.lanes[0].waiting = kept;
        unsaid
    }
}

impl Held {
    fn new(turn: Turn) -> Held {
        Held {
            turn,
            back: VecDeque::new(),
            behind: VecDeque::new(),
        }
    }
}

/// Gives back what a burst has left behind.
fn give_back(ops: &mut VecDeque<Op>) {
    if ops.is_empty() && ops.capacity() > KEPT {
        *ops = VecDeque::new();
    }
}

/// The messages behind the first that are said together with it: of the same room, and not too many.
fn together<'a>(
    first: &Publication,
    behind: impl Iterator<Item = &'a Op>,
    asking: bool,
) -> Vec<&'a Publication> {
    let mut bytes = 0;
    let same = behind.take(GROUP - 1).map_while(|op| {
        let words = op.words().filter(|words| words.room == first.room)?;
        bytes += words.weight();
        (bytes < GROUP_BYTES && op.asking == asking).then_some(words)
    });
    same.collect()
}

#[cfg(test)]
mod tests;
