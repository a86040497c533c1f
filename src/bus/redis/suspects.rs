//! What Redis may hold otherwise than this instance, so that it is compared soon.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use event_listener::Event as Signal;

use crate::chat::name::{Room, User};
use crate::mutex::Mutex;

/// Rooms and names to be compared, shared by all who find them.
#[derive(Clone, Debug, Default)]
pub struct Suspects(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    found: Mutex<Found>,
    /// Something was found.
    added: Signal,
}

/// What has been found.
#[derive(Debug, Default)]
pub struct Found {
    /// Everything.
    pub all: bool,
    /// The names.
    pub names: bool,
    /// The rosters of these rooms.
    pub rooms: HashSet<Room>,
    /// People who are in rooms that were told that they have left.
    pub misled: HashSet<(Room, User)>,
}

impl Suspects {
    /// All names and rosters.
    pub fn add_all(&self) {
        self.add(|found| found.all = true);
    }

    /// The names.
    pub fn add_names(&self) {
        self.add(|found| found.names = true);
    }

    /// The roster of a room.
    pub fn add_room(&self, room: &Room) {
        self.add(|found| {
            // With all of them, no single one needs to be kept.
            if !found.all {
                found.rooms.insert(room.clone());
            }
        });
    }

    /// A room that was told that this user has left, who is there.
    pub fn add_misled(&self, room: &Room, user: &User) {
        self.add(|found| {
            found.misled.insert((room.clone(), user.clone()));
        });
    }

    fn add(&self, add: impl FnOnce(&mut Found)) {
        add(&mut self.0.found.lock());
        self.0.added.notify(1);
    }

    /// Waits until there is something to [take](Self::take). Nothing is lost if it is cancelled.
    pub async fn added(&self) {
        loop {
            let added = self.0.added.listen();
            if !self.0.found.lock().is_empty() {
                return;
            }
            added.await;
        }
    }

    /// What has been found since the last time.
    pub fn take(&self) -> Found {
        mem::take(&mut *self.0.found.lock())
    }
}

impl Found {
    fn is_empty(&self) -> bool {
        !self.all && !self.names && self.rooms.is_empty() && self.misled.is_empty()
    }
}
