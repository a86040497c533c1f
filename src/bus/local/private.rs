//! Private messages: each conversation is a room of two.

use super::Local;
use super::journal::Record;
use super::kept::State;
use super::log::{Log, Party};
use crate::bus::{Conversation, NewMessage};
use crate::chat::event::Refusal;
use crate::chat::id::Id;
use crate::chat::name::{Room, SessionKeyHash, User};

/// The sender and the recipient of a private message, each with the holder of the name.
pub(super) struct Ends {
    from: (User, SessionKeyHash),
    to: (User, SessionKeyHash),
}

impl Local {
    /// Hands over a private message.
    pub(in crate::bus) async fn send_private(&self, to: User, mut message: NewMessage) {
        let room = Room::conversation(&message.user, &to);
        let mut ends = self.ends(&message.user, &to).await;
        if ends.is_none() {
            // The recipient may have come back in this moment.
            let _changes = self.names.lock().await;
            ends = self.ends(&message.user, &to).await;
        }
        if ends.is_none() {
            let kept = self.kept.lock();
            let reference = kept.references.of(&message, &room);
            // It may have been accepted when the recipient was still there.
            if reference.is_none_or(|reference| kept.references.find(reference).is_none()) {
                drop(kept);
                return message.receipt.refuse(&Refusal::NoSuchUser(to.to_string()));
            }
        }
        message.to = Some(to);
        self.publish_between(&room, message, ends).await;
    }

    /// Whose these names are, if both are somebody's.
    async fn ends(&self, from: &User, to: &User) -> Option<Ends> {
        let [here, there] = self.peers.holders([from, to]).await;
        let away = || Some(self.kept.lock().away.find(to)?.key_hash);
        Some(Ends {
            from: (from.clone(), here?),
            to: (to.clone(), there.or_else(away)?),
        })
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
    /// Whether the recipient is away, and as many messages wait as a conversation keeps.
    pub(super) fn too_many_wait(&self, kept: &State, room: &Room) -> bool {
        let waiting_after = waiting_after(&kept.log, room, &self.to);
        kept.away.find(&self.to.0).is_some()
            && waiting_after
                .is_some_and(|last| kept.log.count_after(room, last) >= Conversation::MOST)
    }

    /// Notes whose a conversation is that has one more message, and that the message waits if the recipient
    /// is away. `before`: the last message before it. What is new is given to `journal`.
    pub(super) fn note(&self, kept: &mut State, room: &Room, before: Id, journal: impl Fn(Record)) {
        let (user, _) = &self.to;
        let mut first = None;
        if waiting_after(&kept.log, room, &self.to).is_none()
            && let Some(holder) = kept.away.find(user)
        {
            first = Some(before);
            journal(Record::Name(user.clone(), holder.key_hash, holder.since));
        }
        for (end, first) in [(&self.from, None), (&self.to, first)] {
            let waiting_after = waiting_after(&kept.log, room, end).or(first);
            let (user, holder) = end;
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

/// The last message before those that wait for a user of a conversation.
fn waiting_after(log: &Log, room: &Room, (user, holder): &(User, SessionKeyHash)) -> Option<Id> {
    let party = log.party(room, user);
    party.filter(|party| party.holder == *holder)?.waiting_after
}
