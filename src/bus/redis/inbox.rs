//! The invitations of this instance: which are new. They come on its own channel, and are kept for a while
//! beside it for an instance that was not listening.

use std::collections::HashSet;

use crate::chat::name::{Room, User};
use crate::mutex::Mutex;

/// An invitation that is older than the last one by so much, in milliseconds, is new: the clock of Redis has
/// gone back. Those that are kept are not that old.
const CLOCK_BACK: u64 = 2 * 3600 * 1000;

/// The last invitations: when they were written, in milliseconds of Redis' time, and all of that moment.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<(u64, HashSet<(User, Room)>)>);

impl Inbox {
    /// Whether an invitation is new. The same one may come twice.
    pub fn is_new(&self, at: u64, to: &User, room: &Room) -> bool {
        let (last, known) = &mut *self.0.lock();
        if at > *last || *last - at >= CLOCK_BACK {
            *last = at;
            known.clear();
        }
        at == *last && known.insert((to.clone(), room.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_new_once() {
        let inbox = Inbox::default();
        let user = |name| User::new(name).unwrap();
        let talk = Room::conversation(&user("ann"), &user("bob"));
        let now = 10 * CLOCK_BACK;
        for (at, to, new) in [
            (now, "ann", true),
            (now, "ann", false),
            (now, "bob", true),
            (now + 1, "ann", true),
            (now, "ann", false),
            (now + 1, "ann", false),
            (now + 1 - CLOCK_BACK, "ann", true),
        ] {
            assert_eq!(inbox.is_new(at, &user(to), &talk), new, "{at} {to}");
        }
    }
}
