//! A lone server ends, and what it had acknowledged must be on its disk.

use std::net::TcpStream;
use std::time::Duration;

use fastrand::Rng;

use super::{ROOMS, World};
use crate::ledger::book::{Damaged, Page};
use crate::ledger::disk::Messages;
use crate::ledger::faults::Damage;
use crate::support::eventually;

/// A server whose disk works again notices within this time.
const REPAIR: Duration = Duration::from_secs(7);

impl World {
    /// From now on the disk fails. A copy of a message may be refused, unseen by its sender.
    pub fn disk_fails(&mut self, errno: i32) {
        self.refusals.push((self.now(), Duration::MAX));
        self.home.disk().failing.fails(errno);
    }

    /// The disk works again.
    pub fn disk_works_again(&mut self) {
        self.home.disk().failing.heals();
        let until = self.now() + REPAIR;
        self.refusals.last_mut().expect("it has failed").1 = until;
    }

    /// The server has been killed. Strikes its files, and starts it again.
    pub fn damage_files(&mut self, damage: Damage, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let safe = self.acknowledged();
        self.must_be_on_disk(&safe);
        let mut left = self.home.disk().messages();
        if damage == Damage::Torn {
            self.home.disk().tear(&safe, &mut rng);
            self.must_be_on_disk(&safe);
            let there = self.home.disk().messages();
            let lost = left.iter().filter(|(at, _)| !there.contains_key(*at));
            let lost = lost.map(|(at, text)| (at.clone(), text.clone())).collect();
            self.are_damaged(lost, true);
            self.loses_all_but(&there);
            return self.launch(0);
        }
        let Some(flip) = self.home.disk().flip(&mut rng) else {
            self.loses_all_but(&left);
            return self.launch(0);
        };
        let message = flip.message;
        let bytes = String::from_utf8_lossy(&flip.bytes);
        self.note(&format!("{message:?} is now {bytes:?}"));
        let copies = self.home.disk().lines();
        let mut copies = copies.into_iter().filter_map(|line| line.message);
        if flip.loses && !copies.any(|copy| copy == message) {
            left.remove(&message.0);
            self.are_damaged([message].into(), flip.vague);
        }
        self.loses_all_but(&left);
        self.launch(0);
        let skipped = eventually("it is there", || {
            TcpStream::connect(self.home.disk().metrics).ok()?;
            Some(self.home.disk().skipped())
        });
        // A line can be made two.
        if ![1, 2].contains(&skipped) {
            self.wrong.push(format!("{skipped} lines were skipped"));
        }
        // On a full disk they are kept elsewhere as soon as there is room.
        let full = self
            .refusals
            .last()
            .is_some_and(|(_, until)| *until > self.now());
        if !full && !self.home.disk().has_set_aside(&flip.bytes) {
            self.wrong.push(format!("not set aside: {bytes:?}"));
        }
    }

    /// The server has ended, and everybody has heard its last words. Unless it has stopped in good order,
    /// what is not on the disk is lost.
    pub(super) fn loses_what_is_not_on_disk(&mut self) {
        let safe = self.acknowledged();
        self.must_be_on_disk(&safe);
        if !self.home.disk().in_good_order() {
            self.loses_all_but(&self.home.disk().messages());
        }
    }

    fn loses_all_but(&mut self, messages: &Messages) {
        let from = *self.ends.last().expect("it has ended");
        let last = |room: &str| {
            let mut ids = messages.keys().filter(|(found, _)| found == room);
            ids.next_back().map(|(_, id)| *id)
        };
        let kept = ROOMS.map(|room| (room.to_string(), [last(room); 2]));
        self.turns += 1;
        self.lose(from, kept.into());
    }

    /// Waits until nobody is connected any more, and returns what has been acknowledged.
    fn acknowledged(&mut self) -> Messages {
        self.until("nobody is there", |world| {
            let here = |name: String| Err(format!("{name} is"));
            let pages = world.people.iter().map(|person| person.page());
            let mut here_still = pages.filter(|page| page.here).map(|page| page.name.clone());
            here_still.next().map_or(Ok(()), here)
        });
        let mut all = Messages::new();
        for person in &self.people {
            acknowledged_to(&person.page(), &mut all);
        }
        acknowledged_to(&self.steward, &mut all);
        all
    }

    /// Of what was acknowledged all is there that was not damaged, but for old messages.
    fn must_be_on_disk(&mut self, acknowledged: &Messages) {
        let found = self.home.disk().messages();
        for room in ROOMS {
            let of_room = |messages: &Messages| -> Messages {
                let messages = messages.iter().filter(|((found, _), _)| found == room);
                messages
                    .map(|(at, text)| (at.clone(), text.clone()))
                    .collect()
            };
            let found = of_room(&found);
            let first = found.keys().next();
            for (at, text) in of_room(acknowledged) {
                let damaged = || self.damaged.iter().any(|one| one.is(room, at.1));
                let there = found.get(&at) == Some(&text) || first > Some(&at) || damaged();
                if !there {
                    let is = found.get(&at).map_or("nothing", String::as_str);
                    self.wrong.push(format!(
                        "{room}: {} {text:?} was acknowledged, and on the disk is {is:?}, by {:.2?}",
                        at.1,
                        self.now()
                    ));
                }
            }
        }
    }

    fn are_damaged(&mut self, messages: Messages, vague: bool) {
        let at = self.now();
        let damaged = messages.into_keys().map(|(room, id)| Damaged {
            room,
            id,
            at,
            vague,
        });
        self.damaged.extend(damaged);
    }
}

/// Adds what somebody was told is there.
fn acknowledged_to(page: &Page, all: &mut Messages) {
    for said in page.said.iter().filter(|said| said.recipient().is_none()) {
        let acks = said
            .acks
            .iter()
            .map(|id| ((said.room.clone(), *id), said.text.clone()));
        all.extend(acks);
    }
}
