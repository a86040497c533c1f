//! The private conversations that are open on this instance: it is subscribed to them as to rooms.
//!
//! A conversation is opened on the instances of both users by a message, and closed when nothing has been
//! said for a while.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use smol::Timer;

use super::subscriptions::Subscriptions;
use crate::chat::name::Room;
use crate::chat::replay::Cursor;
use crate::mutex::Mutex;
use crate::redis::error::Error;

/// A conversation is closed after this time without a message. Longer than [`OPEN_AGAIN`], after which
/// the other instance is invited once more.
pub const IDLE: Duration = Duration::from_secs(15 * 60);
/// After this time a user's conversation is noted again, and the instance of the other user invited.
const OPEN_AGAIN: Duration = Duration::from_secs(5 * 60);
/// How often idle conversations are looked for.
const LOOK: Duration = Duration::from_secs(60);

/// All of them.
#[derive(Debug, Default)]
pub struct Conversations {
    open: Mutex<HashMap<Room, Open>>,
}

#[derive(Debug)]
struct Open {
    /// The last message, or when it was opened.
    last: Instant,
    /// What the script `invite` has returned last, and when.
    invited: Option<(String, Instant)>,
}

impl Conversations {
    /// What the script `invite` has returned lately.
    pub fn invited(&self, room: &Room) -> Option<String> {
        let open = self.open.lock();
        let (invited, at) = open.get(room)?.invited.as_ref()?;
        (at.elapsed() < OPEN_AGAIN).then(|| invited.clone())
    }

    /// The script `invite` has returned this.
    pub fn set_invited(&self, room: &Room, invited: String) {
        if self.invited(room).as_ref() != Some(&invited)
            && let Some(open) = self.open.lock().get_mut(room)
        {
            open.invited = Some((invited, Instant::now()));
        }
    }

    /// Opens a conversation here. What came after the cursor is read from its log when the subscription is
    /// confirmed.
    pub fn open_at(&self, subscriptions: &Subscriptions, room: &Room, cursor: Cursor) {
        let mut open = self.open.lock();
        let known = open.contains_key(room);
        let last = Instant::now();
        open.entry(room.clone())
            .and_modify(|open| open.last = last)
            .or_insert(Open {
                last,
                invited: None,
            });
        drop(open);
        if !known {
            subscriptions.open(room, cursor);
        }
    }

    /// Something is said in a conversation. `false`: it is not open here.
    pub fn touch(&self, room: &Room) -> bool {
        let mut open = self.open.lock();
        let open = open.get_mut(room);
        open.map(|open| open.last = Instant::now()).is_some()
    }

    /// Closes idle conversations. Never ends by itself.
    pub async fn close_idle(&self, subscriptions: &Subscriptions) -> Error {
        loop {
            Timer::after(LOOK).await;
            let mut open = self.open.lock();
            let idle = open.extract_if(|_, open| open.last.elapsed() > IDLE);
            for (room, _) in idle {
                subscriptions.leave(&room);
            }
        }
    }
}
