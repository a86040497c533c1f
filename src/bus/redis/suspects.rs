//! What Redis may hold otherwise than this instance, so that it is compared soon.

use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use crate::chat::name::Room;
use crate::mutex::Mutex;

/// Rooms and names to be compared, shared by all who find them.
#[derive(Clone, Debug, Default)]
pub struct Suspects(Arc<Mutex<Found>>);

/// What has been found.
#[derive(Debug, Default)]
pub struct Found {
    /// Everything.
    pub all: bool,
    /// The names.
    pub names: bool,
    /// The rosters of these rooms.
    pub rooms: HashSet<Room>,
}

impl Suspects {
    /// All names and rosters.
    pub fn add_all(&self) {
        self.0.lock().all = true;
    }

    /// The names.
    pub fn add_names(&self) {
        self.0.lock().names = true;
    }

    /// The roster of a room.
    pub fn add_room(&self, room: &Room) {
        let mut found = self.0.lock();
        // With all of them, no single one needs to be kept.
        if !found.all {
            found.rooms.insert(room.clone());
        }
    }

    /// What has been found since the last time.
    pub fn take(&self) -> Found {
        mem::take(&mut *self.0.lock())
    }
}
