//! What moderators ask for, and taking messages back.

use super::Session;
use crate::bus::{Deletion, Visitor};
use crate::chat::dialect::{Dialect, Reply, Target, Which};
use crate::chat::event::{EventKind, Refusal};
use crate::chat::id::Id;
use crate::chat::moderation::{Author, Measure};
use crate::chat::name::{Room, User};

/// One's last message is looked for among so many.
const LAST_AMONG: usize = 100;

impl Session<'_> {
    /// The connection, as one that enters a room. Who has a token can't be banned by address, and anybody may
    /// read by HTTP.
    pub(super) fn visitor<'a>(&self, user: Option<&'a User>, room: &Room) -> Visitor<'a> {
        let tokenless = self.credential.grant().is_none() && self.peer.dialect() != Dialect::Events;
        Visitor {
            user,
            address: tokenless.then_some(self.peer.address),
            moderator: self.credential.moderates(room),
        }
    }

    /// The room that a moderator means.
    fn moderated_room(&self, room: Option<Room>) -> Result<Room, Refusal> {
        let room = self.target_room(room)?;
        match self.credential.moderates(&room) {
            true if self.is_in(&room) => Ok(room),
            true => Err(Refusal::NotInRoom(room)),
            false => Err(Refusal::Forbidden("you are no moderator of this room")),
        }
    }

    pub(super) async fn moderate(
        &mut self,
        room: Option<Room>,
        measure: Measure,
    ) -> Result<(), Refusal> {
        let room = self.moderated_room(room)?;
        let Measure {
            action, user, by, ..
        } = &measure;
        let line = format!("{room}: {} of {user} by {by}", action.name());
        self.bus().moderate(&room, measure).await?;
        log::info!("{line}");
        Ok(())
    }

    pub(super) async fn banned(&mut self, room: Option<Room>) -> Result<(), Refusal> {
        let room = self.moderated_room(room)?;
        let bans = self.bus().banned(&room).await?;
        self.peer.send(&Reply::Banned(&room, &bans));
        Ok(())
    }

    pub(super) async fn delete(&mut self, of: Option<Target>, which: Which) -> Result<(), Refusal> {
        let by = self.ensure_name().await?;
        let origin = self.context.peers.origin(self.peer);
        let author = Author::new(&by, self.credential.key_hash(), origin);
        let (room, moderator) = match of {
            Some(Target::User(user)) => (Room::conversation(&by, &user), false),
            Some(Target::Room(room)) => self.spoken_in(Some(room))?,
            None => self.spoken_in(None)?,
        };
        let id = match which {
            Which::Id(id) => id,
            which => self.last_of(&room, which, author).await?,
        };
        let deletion = Deletion {
            id,
            by,
            author,
            moderator,
        };
        let line = format!("{}: {id} taken back by {}", place(&room), deletion.by);
        self.bus().delete(&room, deletion).await?;
        log::info!("{line}");
        Ok(())
    }

    /// A room that the connection is in, and whether it is a moderator there.
    fn spoken_in(&self, room: Option<Room>) -> Result<(Room, bool), Refusal> {
        let room = self.target_room(room)?;
        if !self.is_in(&room) {
            return Err(Refusal::NotInRoom(room));
        }
        let moderator = self.credential.moderates(&room);
        Ok((room, moderator))
    }

    /// The last message of somebody.
    async fn last_of(&self, room: &Room, which: Which, author: Author) -> Result<Id, Refusal> {
        let events = self.bus().history_before(room, None, LAST_AMONG).await;
        let events = events.ok_or(Refusal::Unavailable)?;
        let meant = events.iter().rev().find(|event| match &event.kind {
            EventKind::Said { author: own, .. } => match &which {
                Which::LastOf(user) => event.user.as_ref() == Some(user),
                _ => *own == Some(author),
            },
            _ => false,
        });
        meant
            .and_then(|event| event.id())
            .ok_or(Refusal::NoSuchMessage)
    }
}

/// Private conversations are nobody's business, nor is who has them.
fn place(room: &Room) -> &str {
    match room.is_conversation() {
        true => "a private conversation",
        false => room.as_str(),
    }
}
