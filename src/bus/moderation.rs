//! What moderators do, and taking messages back: the same on both buses.

use super::Bus;
use crate::chat::event::Refusal;
use crate::chat::id::Id;
use crate::chat::moderation::{Author, Ban, Measure, OWN_TIME};
use crate::chat::name::{Room, User};
use crate::chat::peers::Removed;

/// Takes a message back.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// The message.
    pub id: Id,
    /// Who takes it back.
    pub by: User,
    /// What the messages of the same holder of this name have in common.
    pub author: Author,
    /// Whether it may be anybody's.
    pub moderator: bool,
}

impl Deletion {
    /// Checks that the message may be taken back. `own`: its author does that; `age`: in milliseconds.
    ///
    /// # Errors
    /// It is somebody else's, or too old.
    pub fn check(&self, own: bool, age: u64) -> Result<(), Refusal> {
        match own {
            _ if self.moderator => Ok(()),
            false => Err(Refusal::NotOwn),
            true if age > OWN_TIME => Err(Refusal::TooOld),
            true => Ok(()),
        }
    }
}

impl Bus {
    /// Does something to a user of a room, as a moderator. The room is told.
    ///
    /// # Errors
    /// The user is a moderator, or is not banned and can't be unbanned; too many are banned; or the bus
    /// can't be asked now.
    pub async fn moderate(&self, room: &Room, measure: Measure) -> Result<(), Refusal> {
        match self {
            Bus::Local(bus) => bus.moderate(room, measure).await,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.moderate(room, &measure).await,
        }
    }

    /// Who can't enter a room, sorted by name.
    ///
    /// # Errors
    /// The bus can't be asked now.
    pub async fn banned(&self, room: &Room) -> Result<Vec<Ban>, Refusal> {
        let mut bans = match self {
            Bus::Local(bus) => bus.banned(room),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.banned(room).await?,
        };
        bans.sort_by(|one, other| one.user.key().cmp(other.user.key()));
        Ok(bans)
    }

    /// A number that changes when a message of a room is taken back.
    ///
    /// # Errors
    /// The bus can't be asked now.
    pub async fn deletions(&self, room: &Room) -> Result<u64, Refusal> {
        match self {
            Bus::Local(bus) => Ok(bus.deletions(room)),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.revision(room).await,
        }
    }

    /// Takes a message of a room or a private conversation back. Those who heard it are told.
    ///
    /// # Errors
    /// There is no such message, it is somebody else's or too old, or the bus can't be asked now.
    pub async fn delete(&self, room: &Room, deletion: Deletion) -> Result<(), Refusal> {
        match self {
            Bus::Local(bus) => bus.delete(room, deletion).await,
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.delete(room, &deletion).await,
        }
    }

    /// Whether a user who is in a room may speak there.
    ///
    /// # Errors
    /// The user is muted.
    pub fn may_speak(&self, room: &Room, user: &User) -> Result<(), Refusal> {
        let muted = match self {
            Bus::Local(bus) => bus.is_muted(room, user),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.subscriber.subscriptions.is_muted(room, user),
        };
        match muted {
            true => Err(Refusal::Muted(room.clone())),
            false => Ok(()),
        }
    }

    /// Whether a user of no moderator's may enter a room.
    ///
    /// # Errors
    /// The user is banned, or the bus can't be asked now.
    pub async fn may_enter(&self, room: &Room, user: &User) -> Result<(), Refusal> {
        match self {
            Bus::Local(bus) => bus.check_ban(room, Some(user), None),
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.may_enter(room, user).await,
        }
    }

    /// Whether a user may enter a room and speak there, who need not be here.
    ///
    /// # Errors
    /// The user is banned or muted, or the bus can't be asked now.
    pub async fn may_publish(&self, room: &Room, user: &User) -> Result<(), Refusal> {
        match self {
            Bus::Local(bus) => {
                bus.check_ban(room, Some(user), None)?;
                self.may_speak(room, user)
            }
            #[cfg(feature = "full")]
            Bus::Redis(bus) => bus.may_publish(room, user).await,
        }
    }

    /// Tells rooms of the peers that moderators have removed. Never ends.
    pub async fn announce_removals(&self) {
        loop {
            for Removed { peer, user, room } in self.peers().removed().await {
                self.left(&peer, Some(&user), &room).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::id::{Instance, Origin};

    #[test]
    fn ones_own_messages_may_be_taken_back_for_an_hour() {
        let by = User::new("ann").unwrap();
        let origin = Origin {
            instance: Instance(1),
            peer: 1,
        };
        let deletion = |moderator| Deletion {
            id: Id::first(7),
            author: Author::new(&by, None, origin),
            by: by.clone(),
            moderator,
        };
        let (ann, moderator) = (deletion(false), deletion(true));
        assert_eq!(ann.check(true, OWN_TIME), Ok(()));
        assert_eq!(ann.check(true, OWN_TIME + 1), Err(Refusal::TooOld));
        assert_eq!(ann.check(false, 0), Err(Refusal::NotOwn));
        assert_eq!(moderator.check(false, u64::MAX), Ok(()));
    }
}
