//! Who is on the porch, in the order in which they make room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::Room;
use crate::net::socket::Socket;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has not said anything. Makes room first: browsers open such in advance, and open another
    /// one when they need it.
    Silent,
    /// It speaks, and its head is not complete: it may be on a bad line, so it has fair time.
    Speaking,
    /// It is being answered, and has to take that.
    Answered,
    /// We work for it. Makes room last, and only where everybody else is worked for, too.
    Busy,
}

impl Stage {
    /// In this order they make room.
    fn rank(self) -> u8 {
        match self {
            Stage::Silent => 0,
            Stage::Speaking | Stage::Answered => 1,
            Stage::Busy => 2,
        }
    }
}

/// How long nobody has to make room.
#[derive(Debug)]
pub(super) struct Fair {
    /// While it is silent.
    pub(super) silent: Duration,
    /// For each step, once it speaks.
    pub(super) step: Duration,
}

/// Everybody who is here.
#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: BTreeMap<u64, Waiting>,
    /// Rank, step and number of all who can be evicted: the first of them is the next.
    order: BTreeSet<(u8, u64, u64)>,
    /// Counts connections.
    next: u64,
    /// Counts steps.
    step: u64,
}

#[derive(Debug)]
struct Waiting {
    /// `None`: it has been evicted, and its task has not noticed yet.
    held: Option<Held>,
    stage: Stage,
    step: u64,
    since: Instant,
    /// Wakes its task.
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Held {
    socket: Arc<Socket>,
    room: Room,
}

/// One who makes room.
pub(super) struct Evicted {
    pub(super) room: Room,
    pub(super) socket: Arc<Socket>,
    pub(super) stage: Stage,
    pub(super) waker: Option<Waker>,
}

impl Line {
    /// Adds a connection that has not said anything, and returns its number.
    pub(super) fn enter(&mut self, room: Room, socket: Arc<Socket>, now: Instant) -> u64 {
        let number = self.next;
        self.next += 1;
        self.step += 1;
        let waiting = Waiting {
            held: Some(Held { socket, room }),
            stage: Stage::Silent,
            step: self.step,
            since: now,
            waker: None,
        };
        self.order.insert(waiting.key(number));
        self.waiting.insert(number, waiting);
        number
    }

    /// It has come so far, and is the last of its rank.
    pub(super) fn change(&mut self, number: u64, stage: Stage, now: Instant) {
        let waiting = self.waiting.get_mut(&number);
        let Some(waiting) = waiting.filter(|waiting| waiting.held.is_some()) else {
            return;
        };
        self.order.remove(&waiting.key(number));
        self.step += 1;
        (waiting.stage, waiting.step, waiting.since) = (stage, self.step, now);
        self.order.insert(waiting.key(number));
    }

    /// Whether it has been evicted, and at which stage. If not, this is woken when it is.
    pub(super) fn evicted(&mut self, number: u64, waker: &Waker) -> Option<Stage> {
        let waiting = self.waiting.get_mut(&number)?;
        if waiting.held.is_none() {
            return Some(waiting.stage);
        }
        match &mut waiting.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        None
    }

    /// Forgets it. Whether it was here.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        let Some(waiting) = self.waiting.remove(&number) else {
            return false;
        };
        self.order.remove(&waiting.key(number));
        waiting.held.is_some()
    }

    /// Evicts the one who is to make room first, if somebody has to: else how long it takes until
    /// somebody has.
    pub(super) fn evict(&mut self, fair: &Fair, now: Instant) -> Result<Evicted, Duration> {
        // None of the next rank, as long as there are some of this one.
        while let Some(&(rank, _, number)) = self.order.first() {
            let fair = match rank {
                0 => fair.silent,
                _ => fair.step,
            };
            let waiting = &self.waiting[&number];
            let left = fair.saturating_sub(now.saturating_duration_since(waiting.since));
            if !left.is_zero() {
                return Err(left);
            }
            let socket = waiting.held.as_ref().map(|held| &held.socket);
            let has_spoken = socket.is_some_and(|socket| match waiting.stage {
                Stage::Silent => !socket.is_silent(),
                Stage::Speaking | Stage::Answered => socket.has_input(),
                Stage::Busy => false,
            });
            match waiting.stage {
                // Nobody has had time to listen: that is not its fault.
                Stage::Silent if has_spoken => self.change(number, Stage::Speaking, now),
                stage if has_spoken => self.change(number, stage, now),
                _ => return self.take(number).ok_or(left),
            }
        }
        Err(fair.step)
    }

    fn take(&mut self, number: u64) -> Option<Evicted> {
        let waiting = self.waiting.get_mut(&number)?;
        let Held { socket, room } = waiting.held.take()?;
        self.order.remove(&waiting.key(number));
        Some(Evicted {
            room,
            socket,
            stage: waiting.stage,
            waker: waiting.waker.take(),
        })
    }
}

impl Waiting {
    fn key(&self, number: u64) -> (u8, u64, u64) {
        (self.stage.rank(), self.step, number)
    }
}
