//! Whose the private conversations are, and what waits in them for somebody who is away.

use std::ops::{Bound, Range};

use super::{Log, Party};
use crate::bus::Conversation;
use crate::chat::id::Id;
use crate::chat::name::{Room, SessionKeyHash, User};

impl Log {
    /// The private conversations of the holder of a name, or only the one with this other user.
    pub fn conversations(
        &self,
        user: &User,
        holder: SessionKeyHash,
        with: Option<&User>,
    ) -> Vec<Conversation> {
        let Range {
            start: first,
            end: behind,
        } = &Room::conversations();
        let room = with.map(|with| Room::conversation(user, with));
        let all = match &room {
            Some(room) => (Bound::Included(room), Bound::Included(room)),
            None => (Bound::Included(first), Bound::Excluded(behind)),
        };
        let rooms = self.rooms.range::<Room, _>(all);
        let own = rooms.filter(|(room, _)| room.is_of(user));
        own.filter_map(|(room, ring)| {
            let party = ring.parties.iter().find(|party| party.user == *user)?;
            let noted = ring.messages.back().map_or(0, |message| message.at);
            (party.holder == holder).then(|| Conversation {
                room: room.clone(),
                begun: party.begun,
                noted,
                age: None,
            })
        })
        .collect()
    }

    /// What is known of a user of a private conversation.
    pub fn party(&self, room: &Room, user: &User) -> Option<&Party> {
        let parties = self.rooms.get(room)?.parties.iter();
        parties.into_iter().find(|party| party.user == *user)
    }

    /// All users of a private conversation.
    pub fn parties(&self, room: &Room) -> Vec<Party> {
        let ring = self.rooms.get(room);
        ring.map_or(Vec::new(), |ring| ring.parties.clone())
    }

    /// Notes what is known of a user of a private conversation that has a message.
    pub fn set_party(&mut self, room: &Room, party: Party) {
        let Some(ring) = self.rooms.get_mut(room) else {
            return;
        };
        self.bytes -= ring.table();
        match ring
            .parties
            .iter_mut()
            .find(|known| known.user == party.user)
        {
            Some(known) => *known = party,
            None => ring.parties.push(party),
        }
        self.bytes += ring.table();
    }

    /// The private conversations in which messages wait for the holder of a name, and the last one before
    /// them in each.
    pub fn waiting(&self, user: &User, holder: SessionKeyHash) -> Vec<(Room, Id)> {
        let own = self.conversations(user, holder, None).into_iter();
        own.filter_map(|Conversation { room, .. }| {
            let after = self.party(&room, user)?.waiting_after?;
            Some((room, after))
        })
        .collect()
    }

    /// Nothing waits for a user any more. Returns what has changed.
    pub fn end_waiting(&mut self, user: &User) -> Vec<(Room, Party)> {
        let rooms = self.rooms.range_mut(Room::conversations());
        let own = rooms.filter(|(room, _)| room.is_of(user));
        own.filter_map(|(room, ring)| {
            let party = ring.parties.iter_mut().find(|party| party.user == *user)?;
            party.waiting_after.take()?;
            Some((room.clone(), party.clone()))
        })
        .collect()
    }

    /// How many messages of a room come after one.
    pub fn count_after(&self, room: &Room, id: Id) -> usize {
        let ring = self.rooms.get(room);
        ring.map_or(0, |ring| ring.messages.len() - ring.first_after(id))
    }
}
