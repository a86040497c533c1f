//! Compares what Redis holds of this instance with who is really here, and mends what differs: the
//! rosters of rooms here, and the names in `names`.
//!
//! Redis keeps a sum over each instance's entries, and so does the registry: to compare the two costs
//! little, however many people sit still. Only where they differ the entries are compared. What a
//! comparison finds is mended while the registry is locked, so that no later change of a peer can be
//! sent ahead of it.
//!
//! Everything is compared after each reconnect and when others took this instance for dead; what
//! somebody [suspects](super::suspects), within a second; and each room and the names every ten
//! seconds. Entries of instances that are gone are found by the way.

mod names;

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use redis::Value;
use smol::channel::Sender;

use super::Redis;
use super::lease_watch::Life;
use super::presence::Dead;
use super::reply;
use crate::chat::dialect::{Dialect, Reply};
use crate::chat::name::{Room, User};
use crate::chat::peers::NamedPeer;
use crate::reactor::Timer;
use crate::redis::error::Error;
use crate::redis::pipeline::BATCH;
use crate::redis::slot::Command;
use crate::time::timeout;
use names::Names;

/// After this time the gate opens, and rosters are compared beside what people do.
const PREPARE_TIME: Duration = Duration::from_secs(2);
/// The time between two comparisons.
const TICK: Duration = Duration::from_secs(1);
/// In this time each room is compared once, in portions.
const ROUND: Duration = Duration::from_secs(10);
/// So many portions.
const PORTIONS: usize = (ROUND.as_secs() / TICK.as_secs()) as usize;
/// How many entries are restored at once: so many that a long way to Redis does not slow it down.
const RESTORED: usize = 4096;
/// How many rosters are read at once.
const ROSTERS: usize = 32;

/// The comparison over one set of connections.
pub struct Reconciliation<'a> {
    bus: &'a Redis,
    names: Names,
    /// When the next round begins.
    next_round: Instant,
    /// The rooms that are still to be compared in this round.
    due: VecDeque<Room>,
    /// How many of them at each tick.
    share: usize,
    /// Instances that are gone, and the rooms where they were found.
    gone: HashMap<String, Vec<Room>>,
    /// Cleans up after them.
    dead: Sender<Vec<Dead>>,
}

impl<'a> Reconciliation<'a> {
    /// Nothing has been compared yet. Instances that are gone are handed to `dead`.
    pub fn new(bus: &'a Redis, dead: Sender<Vec<Dead>>) -> Reconciliation<'a> {
        Reconciliation {
            bus,
            names: Names::default(),
            next_round: Instant::now() + ROUND,
            due: VecDeque::new(),
            share: 0,
            gone: HashMap::new(),
            dead,
        }
    }

    /// What is done before the gate opens: the names, and the rosters as far as that does not take
    /// long.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn prepare(&mut self) -> Result<(), Error> {
        self.track_rooms().await?;
        let told = self.bus.presence.missed();
        self.compare_names(true, told).await?;
        let rooms = self.bus.subscriber.subscriptions.watched();
        let compared = timeout(PREPARE_TIME, self.compare_rooms(&rooms, told, false));
        compared.await.unwrap_or(Ok(()))
    }

    /// Compares everything, and from then on what is due. `again`: typed peers are sent the members of
    /// each room once it has been compared. Never ends by itself: when Redis does not answer, that is
    /// for the heartbeat to find out.
    pub async fn run(mut self, again: bool) -> Error {
        let compared = self.compare_all(again).await;
        self.note(compared);
        loop {
            Timer::after(TICK).await;
            if self.due.is_empty() {
                let round = self.next_round.saturating_duration_since(Instant::now());
                timeout(round, self.bus.presence.suspects.added()).await;
            }
            let compared = self.tick().await;
            self.note(compared);
            self.report_gone();
        }
    }

    fn note(&self, compared: Result<(), Error>) {
        if let Err(error) = compared {
            let (endpoint, why) = (&self.bus.client.endpoint, error.why());
            log::debug!("redis {endpoint}: names and rosters are not compared: {why}");
        }
    }

    async fn tick(&mut self) -> Result<(), Error> {
        let found = self.bus.presence.suspects.take();
        // Who was taken for dead has to compare the names first.
        if !self.bus.presence.missed() {
            self.correct(found.misled).await?;
        }
        if found.all {
            return self.compare_all(false).await;
        }
        let mut rooms: Vec<Room> = found.rooms.into_iter().collect();
        let now = Instant::now();
        let round_begins = self.due.is_empty() && now >= self.next_round;
        if round_begins {
            self.next_round = now + ROUND;
            self.due = self.bus.subscriber.subscriptions.watched().into();
            self.share = self.due.len().div_ceil(PORTIONS);
        }
        let share = self.share.min(self.due.len());
        rooms.extend(self.due.drain(..share));
        self.compare_rooms(&rooms, false, false).await?;
        if round_begins || found.names {
            self.compare_names(false, false).await?;
        }
        Ok(())
    }

    /// Compares the names and all rooms.
    async fn compare_all(&mut self, again: bool) -> Result<(), Error> {
        let presence = &self.bus.presence;
        presence.suspects.take();
        let told = presence.take_missed();
        let compared = async {
            self.track_rooms().await?;
            self.compare_names(true, told).await?;
            let rooms = self.bus.subscriber.subscriptions.watched();
            self.compare_rooms(&rooms, told, again).await?;
            if told {
                // Last: what is interrupted is repeated as a whole, with its announcements.
                let clear = self.bus.client.scripts.clear_dead();
                self.bus.client.request_early(clear).await?;
            }
            Ok(())
        };
        let compared = compared.await;
        match told {
            _ if compared.is_ok() => {}
            true => presence.set_missed(),
            false => presence.suspects.add_all(),
        }
        compared
    }

    /// Notes at Redis in which rooms there are peers here.
    async fn track_rooms(&self) -> Result<(), Error> {
        let rooms = self.bus.subscriber.subscriptions.wanted();
        let track = |rooms: &[Room]| self.bus.client.scripts.track_rooms(rooms, true);
        self.request(rooms.chunks(BATCH).map(track).collect())
            .await?;
        Ok(())
    }

    /// Compares the rosters of these rooms. `told`: others have been told that our peers had left.
    /// `again`: see [`run`](Self::run).
    async fn compare_rooms(
        &mut self,
        rooms: &[Room],
        told: bool,
        again: bool,
    ) -> Result<(), Error> {
        for rooms in rooms.chunks(BATCH) {
            let differing = self.differing_rooms(rooms).await?;
            if !differing.is_empty() {
                self.mend_rooms(&differing, told).await?;
            }
            if again {
                self.send_rosters(rooms).await;
            }
        }
        Ok(())
    }

    /// Those of these rooms of which Redis has another sum than the registry.
    async fn differing_rooms(&mut self, rooms: &[Room]) -> Result<Vec<Room>, Error> {
        let scripts = &self.bus.client.scripts;
        let commands: Vec<_> = rooms.iter().map(|room| scripts.room_sums(room)).collect();
        // What was sent before is in Redis' answer, and what is sent later is not.
        let (expected, replies) = {
            let census = self.bus.peers.census().await;
            let sums = rooms.iter().map(|room| census.room_sum(room));
            (
                sums.collect::<Vec<u64>>(),
                self.bus.client.pipeline.begin(commands),
            )
        };
        let mut differing = Vec::new();
        let replies = replies?.all().await?;
        for ((room, expected), reply) in rooms.iter().zip(expected).zip(&replies) {
            // Of what can't be read, nothing is known.
            let Some(sums) = reply::sums(reply) else {
                continue;
            };
            if self.own_sum(sums, Some(room)) != expected {
                differing.push(room.clone());
            } else {
                self.bus.subscriber.subscriptions.end_watch(room);
            }
        }
        Ok(differing)
    }

    /// This instance's sum among all. Looks out for instances that are gone.
    fn own_sum(&mut self, sums: Vec<(String, u64)>, room: Option<&Room>) -> u64 {
        let own = self.bus.peers.instance.to_string();
        let mut found = 0;
        for (instance, sum) in sums {
            if instance == own {
                found = sum;
                continue;
            }
            match self.bus.presence.leases.life(&instance, Instant::now()) {
                Life::Leased => {}
                Life::Gone => self.gone.entry(instance).or_default().extend(room.cloned()),
                Life::Uncertain => match room {
                    Some(room) => self.bus.presence.suspects.add_room(room),
                    None => self.bus.presence.suspects.add_names(),
                },
            }
        }
        found
    }

    fn report_gone(&mut self) {
        if self.gone.is_empty() {
            return;
        }
        let gone = self.gone.drain().map(|(instance, rooms)| Dead {
            instance,
            lease: String::new(),
            rooms,
        });
        // Full while others are being cleaned up: these will be found again.
        let _ = self.dead.try_send(gone.collect());
    }

    /// Compares the entries of rosters, takes those off that nobody here has, and puts back those that
    /// are missing.
    async fn mend_rooms(&self, rooms: &[Room], told: bool) -> Result<(), Error> {
        let scripts = &self.bus.client.scripts;
        let list = rooms.iter().map(|room| scripts.list_members(room));
        let replies = self.request(list.collect()).await?;
        let mut missing: Vec<(&Room, NamedPeer)> = Vec::new();
        let mut leave = Vec::new();
        let left = {
            let census = self.bus.peers.census().await;
            for (room, reply) in rooms.iter().zip(replies) {
                let mut members = census.members(room);
                for (key, entry) in reply::members(reply).unwrap_or_default() {
                    match members.get(&key) {
                        Some(peer) if peer.origin == entry.origin => drop(members.remove(&key)),
                        // Its entry is put in place of this one.
                        Some(_) => {}
                        None if census.is_joining(entry.origin.peer, room) => {}
                        None => leave.push(scripts.leave(room, &entry.user, entry.origin)),
                    }
                }
                missing.extend(members.into_values().map(|peer| (room, peer)));
            }
            let (left, missing) = (leave.len(), missing.len());
            log::debug!(
                "rosters of {} rooms: {left} to go, {missing} missing",
                rooms.len()
            );
            self.bus.client.pipeline.begin(leave)
        };
        left?.all().await?;
        self.restore(&missing, told).await
    }

    /// Puts people back on rosters, as far as they are still here.
    async fn restore(&self, missing: &[(&Room, NamedPeer)], told: bool) -> Result<(), Error> {
        let scripts = &self.bus.client.scripts;
        for missing in missing.chunks(RESTORED) {
            let restored = {
                let census = self.bus.peers.census().await;
                let here = missing
                    .iter()
                    .filter(|(room, peer)| census.is_member(peer, room));
                let restore = |(room, peer): &(&Room, NamedPeer)| {
                    scripts.restore_member(room, &peer.user, peer.origin, told)
                };
                self.bus.client.pipeline.begin(here.map(restore).collect())
            };
            restored?.all().await?;
        }
        Ok(())
    }

    /// Tells rooms that people are there, after the rooms were told that they had left.
    async fn correct(&self, misled: HashSet<(Room, User)>) -> Result<(), Error> {
        let missing: Vec<_> = {
            let census = self.bus.peers.census().await;
            let here = misled.iter();
            here.filter_map(|(room, user)| Some((room, census.named(user)?)))
                .collect()
        };
        self.restore(&missing, true).await
    }

    /// Sends typed peers in these rooms their current members.
    async fn send_rosters(&self, rooms: &[Room]) {
        for rooms in rooms.chunks(ROSTERS) {
            let rosters = rooms
                .iter()
                .map(|room| self.bus.client.scripts.roster(room));
            let Ok(replies) = self.request(rosters.collect()).await else {
                return;
            };
            for (room, reply) in rooms.iter().zip(replies) {
                if let Some(roster) = reply::roster(reply) {
                    let who = Reply::Who(room, &roster);
                    self.bus
                        .peers
                        .send_to_room(room, Dialect::Typed, &who)
                        .await;
                }
            }
        }
    }

    async fn request(&self, commands: Vec<Command>) -> Result<Vec<Value>, Error> {
        self.bus.client.pipeline.begin(commands)?.all().await
    }
}
