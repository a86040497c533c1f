//! Private messages: each conversation is a room of two.

use super::Local;
use super::journal::Record;
use super::kept::State;
use super::log::{Log, Party};
use crate::bus::{CONVERSATION_MOST, Conversation, NewMessage};
use crate::chat::event::Refusal;
use crate::chat::id::Id;
use crate::chat::name::{Room, SessionKeyHash, User};

/// The two between whom a private message is.
pub(super) struct Ends {
    /// The sender, and whose that name is.
    from: (User, SessionKeyHash),
    /// The recipient.
    to: (User, SessionKeyHash),
    /// The recipient is away.
    away: bool,
}

impl Local {
    /// Hands over a private message.
    pub(in crate::bus) async fn send_private(&self, to: User, mut message: NewMessage) {
        let room = Room::conversation(&message.user, &to);
        let from = message.user.clone();
        let [here, there] = self.peers.holders([&from, &to]).await;
        let known = {
            let kept = self.kept.lock();
            let reference = kept.references.of(&message, &room);
            reference.is_some_and(|reference| kept.references.find(reference).is_some())
        };
        let away = self
            .kept
            .lock()
            .away
            .find(&to)
            .map(|holder| holder.key_hash);
        let ends = match (here, there.or(away)) {
            (Some(here), Some(key_hash)) => Some(Ends {
                from: (from, here),
                to: (to.clone(), key_hash),
                away: there.is_none(),
            }),
            // It was accepted when the recipient was still there.
            _ if known => None,
            _ => return message.receipt.refuse(&Refusal::NoSuchUser(to.to_string())),
        };
        message.to = Some(to);
        self.publish_between(&room, message, ends).await;
    }

    /// The private conversations of a user, or only the one with this other user.
    pub(in crate::bus) async fn conversations(
        &self,
        user: &User,
        with: Option<&User>,
    ) -> Vec<Conversation> {
        let [holder, _] = self.peers.holders([user, user]).await;
        let holder = holder.map(|holder| self.kept.lock().log.conversations(user, holder, with));
        holder.unwrap_or_default()
    }
}

impl Ends {
    /// Whether as many messages wait for the recipient as a conversation keeps.
    pub(super) fn too_many_wait(&self, log: &Log, room: &Room) -> bool {
        let waiting_after = self.waiting_after(log, room);
        waiting_after.is_some_and(|last| log.count_after(room, last) >= CONVERSATION_MOST)
    }

    /// The last message before those that wait for the recipient.
    fn waiting_after(&self, log: &Log, room: &Room) -> Option<Id> {
        let (user, holder) = &self.to;
        let party = log.party(room, user);
        party.filter(|party| party.holder == *holder)?.waiting_after
    }

    /// Notes whose a conversation is that has one more message, and that the message waits if the recipient
    /// is away. `before`: the last message before it. What is new is given to `journal`.
    pub(super) fn note(&self, kept: &mut State, room: &Room, before: Id, journal: impl Fn(Record)) {
        let waiting_after = match self.away {
            true => self.waiting_after(&kept.log, room).or(Some(before)),
            false => None,
        };
        if self.away && self.waiting_after(&kept.log, room).is_none() {
            let (user, _) = &self.to;
            if let Some(holder) = kept.away.find(user) {
                journal(Record::Name(user.clone(), holder.key_hash, holder.since));
            }
        }
        let from = (&self.from, None);
        for ((user, holder), waiting_after) in [from, (&self.to, waiting_after)] {
            let known = kept.log.party(room, user);
            let same = known.filter(|party| party.holder == *holder);
            let party = Party {
                user: user.clone(),
                holder: *holder,
                begun: same.map_or(before, |party| party.begun),
                waiting_after,
            };
            if known != Some(&party) {
                kept.log.set_party(room, party.clone());
                journal(Record::Party(room.clone(), party));
            }
        }
    }
}
