//! The invitations of this instance: which are new, and which conversations are still to be opened. They come
//! on its own channel, and are kept for a while beside it for an instance that was not listening.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, Instant};

use event_listener::{Event, EventListener};

use crate::chat::name::{Room, User};
use crate::mutex::Mutex;

/// How many invitations are kept for an instance that is not listening.
pub const MOST: usize = 1000;
/// For so long an invitation may be for somebody whose name is being claimed here: Redis has granted it, and the
/// reply is on its way.
const CLAIM_TIME: Duration = Duration::from_secs(30);

/// The last invitations.
#[derive(Debug, Default)]
pub struct Inbox {
    /// When each was written, in milliseconds of Redis' time, its user and its conversation. That clock may go
    /// back.
    known: Mutex<VecDeque<(u64, User, Room)>>,
    unopened: Mutex<Queue>,
    work: Event,
}

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: VecDeque<Unopened>,
}

/// Conversations of a user that are to be opened, with all that was said in them lately.
#[derive(Clone, Debug)]
pub struct Unopened {
    /// Its number.
    pub number: u64,
    /// The user, who may have just left, or be about to come.
    pub user: User,
    /// The conversation; all of them if Redis did not know that the user was here.
    pub room: Option<Room>,
    /// What was said since then is unheard, in milliseconds of Redis' time, if that is longer ago than
    /// "lately".
    pub since: Option<u64>,
    came: Instant,
}

impl Unopened {
    fn is_invitation(&self) -> bool {
        self.room.is_some()
    }

    /// Whether nobody comes any more who may have been about to.
    pub fn is_old(&self) -> bool {
        self.came.elapsed() > CLAIM_TIME
    }
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

    /// This is to be opened. Of invitations, the last [`MOST`] are kept.
    pub fn add(&self, user: &User, room: Option<&Room>, since: Option<u64>) {
        let mut queue = self.unopened.lock();
        let number = queue.next;
        queue.next += 1;
        queue.waiting.push_back(Unopened {
            number,
            user: user.clone(),
            room: room.cloned(),
            since,
            came: Instant::now(),
        });
        if room.is_some() {
            let mut invitations = queue.waiting.iter().rev().filter(|one| one.is_invitation());
            let surplus = invitations.nth(MOST).map(|one| one.number);
            queue.waiting.retain(|one| Some(one.number) != surplus);
        }
        drop(queue);
        self.work.notify(usize::MAX);
    }

    /// Wakes when there is something to open.
    pub fn work(&self) -> EventListener {
        self.work.listen()
    }

    /// What is to be opened, in order.
    pub fn unopened(&self) -> Vec<Unopened> {
        self.unopened.lock().waiting.iter().cloned().collect()
    }

    /// These are opened, or nobody comes for them.
    pub fn remove(&self, numbers: &HashSet<u64>) {
        let waiting = &mut self.unopened.lock().waiting;
        waiting.retain(|one| !numbers.contains(&one.number));
    }

    /// A user has just come: there may be something to open.
    pub fn came(&self, user: &User) {
        let waiting = &self.unopened.lock().waiting;
        if waiting.iter().any(|one| one.user == *user) {
            self.work.notify(usize::MAX);
        }
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
