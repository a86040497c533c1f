//! What a user who comes back is sent of their private conversations.

use super::Session;
use crate::bus::{Away, Conversation, Visitor};
use crate::chat::dialect::Read;
use crate::chat::event::Refusal;
use crate::chat::id::Id;
use crate::chat::replay::{Past, Stretch};

impl Session<'_> {
    /// Sends the private messages that the user has missed: what came after those that the client has `read`,
    /// if it says so, or else what came while the user was away.
    pub(super) async fn catch_up(
        &mut self,
        read: Option<Read>,
        away: Option<Away>,
    ) -> Result<(), Refusal> {
        match (&read, &away) {
            (Some(read), _) => self.replay_unread(read).await?,
            (None, Some(away)) => self.replay_waiting(away).await?,
            (None, None) => {}
        }
        // Until here they wait, in case that this connection is cut off, too.
        if let (Some(user), Some(_)) = (&self.user, away) {
            self.bus().returned(self.peer, user).await;
        }
        Ok(())
    }

    /// Sends the private messages that came after those that the client has read.
    async fn replay_unread(&mut self, read: &Read) -> Result<(), Refusal> {
        let user = self.ensure_name().await?;
        let own = self.bus().conversations(&user, None).await;
        let mut all = Vec::new();
        for own in own.ok_or(Refusal::Unavailable)? {
            let with = own.room.other_end(&user);
            let last = read.iter().find(|(name, _)| Some(name) == with.as_ref());
            let last = last.map_or(Id::START, |(_, last)| *last);
            all.push((own, Some(last)));
        }
        self.replay_all(all).await
    }

    /// Sends the private messages that have come while the user was away.
    async fn replay_waiting(&mut self, away: &Away) -> Result<(), Refusal> {
        let user = self.ensure_name().await?;
        let own = self.bus().conversations(&user, None).await;
        let mut all = Vec::new();
        for own in own.ok_or(Refusal::Unavailable)? {
            let heard = away.heard.iter().find(|(room, _)| *room == own.room);
            let last = match (heard, away.since) {
                (Some((_, heard)), _) => Some(*heard),
                (None, Some(since)) if own.has_newer(since) => {
                    let most = Conversation::MOST;
                    let log = self.bus().history_before(&own.room, None, most).await;
                    Some(own.before(since, &log.ok_or(Refusal::Unavailable)?))
                }
                _ => None,
            };
            all.push((own, last));
        }
        self.replay_all(all).await
    }

    /// Sends what came after these messages, each conversation in order, the one first whose messages have
    /// waited longest. From here on the user hears what is said where a conversation goes on.
    async fn replay_all(&mut self, all: Vec<(Conversation, Option<Id>)>) -> Result<(), Refusal> {
        let mut ordered = Vec::new();
        for (own, last) in all {
            let after = last.map(|last| last.max(own.begun));
            let mut first = None;
            if let Some(after) = after {
                let until = Id::LAST;
                let read = self
                    .bus()
                    .read(&own.room, Stretch { after, until }, 1)
                    .await;
                first = read.ok_or(Refusal::Unavailable)?.pop();
            }
            if first.is_some() || own.goes_on() {
                let at = first.map_or(u64::MAX, |first| first.said_at());
                ordered.push((at, own.room, after.map(Past::Since)));
            }
        }
        ordered.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        for (_, room, past) in ordered {
            let log = self
                .bus()
                .enter(self.peer, Visitor::default(), &room)
                .await?;
            let told = self.replay(&room, log, past).await;
            self.bus().leave_conversation(&room);
            told?;
        }
        Ok(())
    }
}
