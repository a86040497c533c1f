//! The private conversations that are open on this instance: it is subscribed to them as to rooms.
//!
//! A conversation is opened on the instances of both users by a message, and closed when nothing has been
//! said for a while.

use std::collections::HashMap;
use std::mem;
use std::time::{Duration, Instant};

use super::subscriptions::Subscriptions;
use crate::chat::name::Room;
use crate::chat::replay::Cursor;
use crate::mutex::Mutex;
use crate::reactor::Timer;
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
    known: Mutex<HashMap<Room, Known>>,
}

#[derive(Debug)]
struct Known {
    /// When something was said last, or was about to be.
    last: Instant,
    /// Whether this instance is subscribed to it.
    open: bool,
    /// How many messages wait for word of where its log stands.
    waiting: usize,
    /// What the script `invite` has returned last, and when.
    invited: Option<(String, Instant)>,
}

impl Known {
    fn new() -> Known {
        Known {
            last: Instant::now(),
            open: false,
            waiting: 0,
            invited: None,
        }
    }
}

impl Conversations {
    /// Whether somebody here has spoken in a conversation lately, or has been spoken to.
    pub fn is_known(&self, room: &Room) -> bool {
        self.known.lock().contains_key(room)
    }

    /// A message is about to be sent. Returns whether it has to wait for word of where the log stands, as those
    /// before it do.
    pub fn begin(&self, room: &Room) -> bool {
        let mut known = self.known.lock();
        let known = known.entry(room.clone()).or_insert_with(Known::new);
        known.last = Instant::now();
        let waits = !known.open || known.waiting > 0;
        known.waiting += usize::from(waits);
        waits
    }

    /// A message has waited long enough.
    pub fn end_wait(&self, room: &Room) {
        if let Some(known) = self.known.lock().get_mut(room) {
            known.waiting = known.waiting.saturating_sub(1);
        }
    }

    /// What the script `invite` has returned lately.
    pub fn invited(&self, room: &Room) -> Option<String> {
        let known = self.known.lock();
        let (invited, at) = known.get(room)?.invited.as_ref()?;
        (at.elapsed() < OPEN_AGAIN).then(|| invited.clone())
    }

    /// The script `invite` has returned this. Returns whether the conversation is open here.
    pub fn set_invited(&self, room: &Room, invited: String) -> bool {
        let same = self.invited(room).as_ref() == Some(&invited);
        let mut known = self.known.lock();
        let Some(known) = known.get_mut(room) else {
            return false;
        };
        if !same {
            known.invited = Some((invited, Instant::now()));
        }
        known.open
    }

    /// Opens a conversation here. What came after the cursor is read from its log when the subscription is
    /// confirmed.
    pub fn open_at(&self, subscriptions: &Subscriptions, room: &Room, cursor: Cursor) {
        let mut known = self.known.lock();
        let known = known.entry(room.clone()).or_insert_with(Known::new);
        known.last = Instant::now();
        if !mem::replace(&mut known.open, true) {
            subscriptions.open(room, cursor);
        }
    }

    /// Something is said in a conversation. `false`: it is not open here.
    pub fn touch(&self, room: &Room) -> bool {
        let mut known = self.known.lock();
        let Some(known) = known.get_mut(room).filter(|known| known.open) else {
            return false;
        };
        known.last = Instant::now();
        true
    }

    /// Closes idle conversations. Never ends by itself.
    pub async fn close_idle(&self, subscriptions: &Subscriptions) -> Error {
        loop {
            Timer::after(LOOK).await;
            let mut known = self.known.lock();
            let idle = known.extract_if(|_, known| known.last.elapsed() > IDLE);
            for (room, known) in idle {
                if known.open {
                    subscriptions.leave(&room);
                }
            }
        }
    }
}
