//! What an instance knows of the moderation of the rooms that it is subscribed to: who is muted, and what
//! it has heard.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Subscriptions;
use crate::bus::redis::message::Revision;
use crate::chat::moderation::{Action, Measure};
use crate::chat::name::{Room, User};

/// What is known of one room.
#[derive(Debug, Default)]
pub struct Moderation {
    /// The last thing that was heard.
    revision: u64,
    /// Who is muted, until when.
    muted: HashMap<User, Instant>,
}

/// How what is done in a room follows what has been heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// It is the next thing.
    Next,
    /// It has been heard.
    Known,
    /// Something is missing before it, or Redis has gone back.
    Lost,
}

impl Subscriptions {
    /// Whether a user may not speak in a room.
    pub fn is_muted(&self, room: &Room, user: &User) -> bool {
        // Almost always nobody is muted anywhere.
        if self.muted.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let state = self.state.lock();
        let moderation = state
            .rooms
            .get(room)
            .and_then(|room| room.moderation.as_ref());
        let end = moderation.and_then(|moderation| moderation.muted.get(user));
        end.is_some_and(|end| Instant::now() < *end)
    }

    /// The revision up to which a room's moderation has been heard, if anything is known of it.
    pub fn revision(&self, room: &Room) -> Option<u64> {
        let state = self.state.lock();
        Some(state.rooms.get(room)?.moderation.as_ref()?.revision)
    }

    /// Notes something that comes by the channel, if it is the next thing. `measure`: what a moderator has
    /// done. `None`: nothing is known of the room, because nobody has joined it yet.
    pub fn hear_done(
        &self,
        room: &Room,
        revision: Revision,
        measure: Option<&Measure>,
    ) -> Option<Follows> {
        let mut state = self.state.lock();
        let moderation = state.rooms.get_mut(room)?.moderation.as_mut()?;
        if revision.at == moderation.revision {
            return Some(Follows::Known);
        }
        if revision.before != Some(moderation.revision) {
            return Some(Follows::Lost);
        }
        moderation.revision = revision.at;
        if let Some(measure) = measure.filter(|measure| measure.action == Action::Mute) {
            let time = Duration::from_secs(measure.seconds.unwrap_or(0));
            moderation.muted.retain(|_, end| Instant::now() < *end);
            moderation
                .muted
                .insert(measure.user.clone(), Instant::now() + time);
            self.muted.fetch_add(1, Ordering::Relaxed);
        }
        Some(Follows::Next)
    }

    /// A room's moderation has been heard up to this revision.
    pub fn set_revision(&self, room: &Room, revision: u64) {
        let mut state = self.state.lock();
        let wanted = state.rooms.get_mut(room);
        if let Some(moderation) = wanted.and_then(|wanted| wanted.moderation.as_mut()) {
            moderation.revision = revision;
        }
    }

    /// A room's moderation has been heard up to this revision, and these users are muted for so long.
    pub fn set_moderation(
        &self,
        room: &Room,
        revision: u64,
        muted: impl Iterator<Item = (User, Duration)>,
    ) {
        let mut state = self.state.lock();
        let Some(wanted) = state.rooms.get_mut(room) else {
            return;
        };
        let now = Instant::now();
        let muted = muted.map(|(user, time)| (user, now + time)).collect();
        wanted.moderation = Some(Box::new(Moderation { revision, muted }));
        let all = state
            .rooms
            .values()
            .filter_map(|wanted| wanted.moderation.as_ref());
        let count = all.map(|moderation| moderation.muted.len()).sum();
        self.muted.store(count, Ordering::Relaxed);
    }
}
