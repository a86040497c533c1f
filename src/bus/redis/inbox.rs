//! The invitations of this instance: which are new, and which were for nobody here. They come on its own
//! channel, and are kept for a while beside it for an instance that was not listening.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::message::Invitation;
use crate::chat::name::{Room, User};
use crate::mutex::Mutex;

/// How many invitations are kept for an instance that is not listening.
pub const MOST: usize = 1000;

/// For so long an invitation may be for somebody whose name is being claimed here: Redis has granted it, and the
/// reply is on its way.
const CLAIM_TIME: Duration = Duration::from_secs(30);
/// So many invitations for nobody here are known at most.
const UNCLAIMED_MOST: usize = 100;

/// The last invitations.
#[derive(Debug, Default)]
pub struct Inbox {
    /// When each was written, in milliseconds of Redis' time, to whom and to what. That clock may go back.
    known: Mutex<VecDeque<(u64, User, Room)>>,
    /// Those for nobody here, when each came and when it was written.
    unclaimed: Mutex<VecDeque<(Instant, Invitation, u64)>>,
}

impl Inbox {
    /// Whether an invitation is new. The same one may come twice.
    pub fn is_new(&self, at: u64, to: &User, room: &Room) -> bool {
        let mut known = self.known.lock();
        let invitation = (at, to.clone(), room.clone());
        let new = !known.contains(&invitation);
        if new {
            known.truncate(MOST - 1);
            known.push_front(invitation);
        }
        new
    }

    /// Keeps an invitation in case that its user's name is being claimed here.
    pub fn keep(&self, invitation: &Invitation, at: u64) {
        let mut unclaimed = self.unclaimed.lock();
        unclaimed.truncate(UNCLAIMED_MOST - 1);
        unclaimed.push_front((Instant::now(), invitation.clone(), at));
    }

    /// The users of the invitations that are kept.
    pub fn expected(&self) -> Vec<User> {
        let unclaimed = self.unclaimed.lock();
        let users = unclaimed.iter().map(|(_, invitation, _)| &invitation.to);
        users.cloned().collect()
    }

    /// Takes the invitations of a user who has come, and when each was written.
    pub fn take(&self, user: &User) -> Vec<(Invitation, u64)> {
        let mut unclaimed = self.unclaimed.lock();
        unclaimed.retain(|(came, ..)| came.elapsed() < CLAIM_TIME);
        if unclaimed.is_empty() {
            return Vec::new();
        }
        let own = |(_, invitation, _): &(Instant, Invitation, u64)| invitation.to == *user;
        let (taken, left) = unclaimed.drain(..).partition(own);
        *unclaimed = left;
        let taken: VecDeque<_> = taken;
        let taken = taken.into_iter();
        taken.map(|(_, invitation, at)| (invitation, at)).collect()
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
