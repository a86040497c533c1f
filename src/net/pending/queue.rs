//! Who is pending, in the order in which they make room.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::PendingPermit;
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
pub(super) struct GracePeriods {
    /// While it is silent.
    pub(super) silent: Duration,
    /// For each step, once it speaks.
    pub(super) step: Duration,
}

/// Everybody who is here.
#[derive(Debug, Default)]
pub(super) struct EvictionQueue {
    entries: BTreeMap<u64, Entry>,
    /// Rank, step and number of all who can be evicted: the first of them is the next.
    order: BTreeSet<(u8, u64, u64)>,
    /// Counts connections.
    next: u64,
    /// Counts steps.
    step: u64,
}

#[derive(Debug)]
struct Entry {
    /// `None`: it has been evicted, and its task has not noticed yet.
    held: Option<Connection>,
    stage: Stage,
    step: u64,
    since: Instant,
    /// Wakes its task.
    waker: Option<Waker>,
}

#[derive(Debug)]
struct Connection {
    socket: Arc<Socket>,
    permit: PendingPermit,
}

/// One who makes room.
pub(super) struct Evicted {
    pub(super) permit: PendingPermit,
    pub(super) socket: Arc<Socket>,
    pub(super) stage: Stage,
    pub(super) waker: Option<Waker>,
}

impl EvictionQueue {
    /// Adds a connection that has not said anything, and returns its number.
    pub(super) fn enter(
        &mut self,
        permit: PendingPermit,
        socket: Arc<Socket>,
        now: Instant,
    ) -> u64 {
        let number = self.next;
        self.next += 1;
        self.step += 1;
        let entry = Entry {
            held: Some(Connection { socket, permit }),
            stage: Stage::Silent,
            step: self.step,
            since: now,
            waker: None,
        };
        self.order.insert(entry.key(number));
        self.entries.insert(number, entry);
        number
    }

    /// It has come so far, and is the last of its rank.
    pub(super) fn change(&mut self, number: u64, stage: Stage, now: Instant) {
        let entry = self.entries.get_mut(&number);
        let Some(entry) = entry.filter(|entry| entry.held.is_some()) else {
            return;
        };
        self.order.remove(&entry.key(number));
        self.step += 1;
        (entry.stage, entry.step, entry.since) = (stage, self.step, now);
        self.order.insert(entry.key(number));
    }

    /// Whether it has been evicted, and at which stage. If not, this is woken when it is.
    pub(super) fn evicted(&mut self, number: u64, waker: &Waker) -> Option<Stage> {
        let entry = self.entries.get_mut(&number)?;
        if entry.held.is_none() {
            return Some(entry.stage);
        }
        match &mut entry.waker {
            Some(known) => known.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        None
    }

    /// Forgets it. Whether it was here.
    pub(super) fn leave(&mut self, number: u64) -> bool {
        let Some(entry) = self.entries.remove(&number) else {
            return false;
        };
        self.order.remove(&entry.key(number));
        entry.held.is_some()
    }

    /// Evicts the one who is to make room first, if somebody has to: else how long it takes until
    /// somebody has.
    pub(super) fn evict(
        &mut self,
        grace: &GracePeriods,
        now: Instant,
    ) -> Result<Evicted, Duration> {
        // None of the next rank, as long as there are some of this one.
        while let Some(&(rank, _, number)) = self.order.first() {
            let grace = match rank {
                0 => grace.silent,
                _ => grace.step,
            };
            let entry = &self.entries[&number];
            let left = grace.saturating_sub(now.saturating_duration_since(entry.since));
            if !left.is_zero() {
                return Err(left);
            }
            let socket = entry.held.as_ref().map(|held| &held.socket);
            let has_spoken = socket.is_some_and(|socket| match entry.stage {
                Stage::Silent => !socket.is_silent(),
                Stage::Speaking | Stage::Answered => socket.has_input(),
                Stage::Busy => false,
            });
            match entry.stage {
                // Nobody has had time to listen: that is not its fault.
                Stage::Silent if has_spoken => self.change(number, Stage::Speaking, now),
                stage if has_spoken => self.change(number, stage, now),
                _ => return self.take(number).ok_or(left),
            }
        }
        Err(grace.step)
    }

    fn take(&mut self, number: u64) -> Option<Evicted> {
        let entry = self.entries.get_mut(&number)?;
        let Connection { socket, permit } = entry.held.take()?;
        self.order.remove(&entry.key(number));
        Some(Evicted {
            permit,
            socket,
            stage: entry.stage,
            waker: entry.waker.take(),
        })
    }
}

impl Entry {
    fn key(&self, number: u64) -> (u8, u64, u64) {
        (self.stage.rank(), self.step, number)
    }
}
