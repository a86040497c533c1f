//! The invitations of this instance: which are new. They come on its own channel, and are kept for a while
//! beside it for an instance that was not listening.

use std::collections::VecDeque;

use crate::chat::name::{Room, User};
use crate::mutex::Mutex;

/// How many invitations are kept for an instance that is not listening.
pub const MOST: usize = 1000;

/// The last invitations: when each was written, in milliseconds of Redis' time, to whom and to what. That clock may
/// go back.
#[derive(Debug, Default)]
pub struct Inbox(Mutex<VecDeque<(u64, User, Room)>>);

impl Inbox {
    /// Whether an invitation is new. The same one may come twice.
    pub fn is_new(&self, at: u64, to: &User, room: &Room) -> bool {
        let mut known = self.0.lock();
        let invitation = (at, to.clone(), room.clone());
        let new = !known.contains(&invitation);
        if new {
            known.truncate(MOST - 1);
            known.push_front(invitation);
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_new_once() {
        let inbox = Inbox::default();
        let user = |name: &str| User::new(name).unwrap();
        let talk = Room::conversation(&user("ann"), &user("bob"));
        for (at, to, new) in [
            (10, "ann", true),
            (10, "ann", false),
            (10, "bob", true),
            (11, "ann", true),
            (10, "ann", false),
            // The clock of Redis has gone back.
            (9, "ann", true),
            (9, "ann", false),
        ] {
            assert_eq!(inbox.is_new(at, &user(to), &talk), new, "{at} {to}");
        }
    }

    #[test]
    fn as_many_invitations_are_known_as_are_kept() {
        let inbox = Inbox::default();
        let ann = User::new("ann").unwrap();
        let talk = Room::conversation(&ann, &User::new("bob").unwrap());
        let most = MOST as u64;
        assert!((0..=most).all(|at| inbox.is_new(at, &ann, &talk)));
        assert!((1..=most).all(|at| !inbox.is_new(at, &ann, &talk)));
        assert!(inbox.is_new(0, &ann, &talk));
    }
}
