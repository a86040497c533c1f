//! Opens private conversations for users of this instance: when they are invited, and when Redis did not know
//! that they are here.

use std::collections::HashSet;
use std::time::Duration;

use super::inbox::Unopened;
use super::message::Invitation;
use super::reply;
use super::subscriber::Subscriber;
use crate::bus::Conversation;
use crate::chat::id::Origin;
use crate::chat::replay::Cursor;
use crate::reactor::Timer;
use crate::redis::error::Error;
use crate::redis::pipeline::BATCH;
use crate::redis::slot::Command;

/// Of a conversation that is not open here, nothing has been heard for longer than this, in milliseconds: an
/// open one is closed later, and who comes opens those that go on.
const UNHEARD: u64 = 10 * 60 * 1000;
/// What could not be opened is tried again after this time.
const AGAIN: Duration = Duration::from_secs(1);

impl Subscriber {
    /// Reads the invitations that the channel has not brought.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn read_inbox(&self) -> Result<(), Error> {
        let inbox = self.client.scripts.inbox();
        let inbox = self.client.request_early(inbox).await?;
        let mut invitations = reply::inbox(&inbox).unwrap_or_default();
        invitations.reverse();
        for (invitation, at, forwarded) in invitations {
            if let Some(forward) = self.invited(&invitation, at, forwarded).await {
                self.client.send(forward);
            }
        }
        Ok(())
    }

    /// A user of this instance is invited to a private conversation. Returns the command that passes it on
    /// if the user is not here.
    pub(super) async fn invited(
        &self,
        invitation: &Invitation,
        at: u64,
        forwarded: bool,
    ) -> Option<Command> {
        let Invitation { to, room, .. } = invitation;
        if !self.inbox.is_new(at, to, room) {
            return None;
        }
        let here = self.peers.holder(to).await.is_some();
        if here && self.conversations.touch(room) {
            return None;
        }
        let since = at.saturating_sub(UNHEARD);
        self.inbox.add(to, Some(room), Some(since));
        // Otherwise its user has just left, or comes, or Redis has gone back to where it was before.
        (!here && !forwarded).then(|| self.client.scripts.forward(invitation))
    }

    /// Opens what is to be opened. Never ends by itself. Dropped, nothing is lost.
    pub async fn open_unheard(&self) -> Error {
        loop {
            let work = self.inbox.work();
            let (mut here, mut old) = (Vec::new(), HashSet::new());
            for one in self.inbox.unopened() {
                if let Some(holder) = self.peers.holder(&one.user).await {
                    here.push((one, holder));
                } else if one.is_old() {
                    old.insert(one.number);
                }
            }
            self.inbox.remove(&old);
            let mut opened = true;
            for all in here.chunks(BATCH) {
                opened = opened && self.open(all).await.is_ok();
            }
            match opened {
                true => work.await,
                false => Timer::after(AGAIN).await,
            }
        }
    }

    /// Opens what is unopened, for the peers that have the names.
    async fn open(&self, all: &[(Unopened, Origin)]) -> Result<(), Error> {
        let (pipeline, scripts) = (&self.client.pipeline, &self.client.scripts);
        let noted =
            |(one, _): &(Unopened, Origin)| scripts.conversations(&one.user, one.room.as_ref());
        let commands: Vec<_> = all.iter().map(noted).collect();
        for ((one, _), reply) in all.iter().zip(pipeline.request_early(&commands).await?) {
            for own in reply::conversations(reply).unwrap_or_default() {
                let now = own.noted + own.age.unwrap_or_default();
                let lately = now.saturating_sub(UNHEARD);
                let since = one.since.map_or(lately, |since| since.min(lately));
                if own.has_newer(since) && !self.conversations.touch(&own.room) {
                    self.open_since(&own, since).await?;
                }
            }
        }
        let back = all
            .iter()
            .filter(|(one, _)| one.room.is_none() && one.since.is_some());
        let returned = back.map(|(one, holder)| scripts.returned(&one.user, *holder));
        let returned: Vec<_> = returned.collect();
        pipeline.request_early(&returned).await?;
        let numbers = all.iter().map(|(one, _)| one.number).collect();
        self.inbox.remove(&numbers);
        Ok(())
    }

    /// Opens a private conversation with all that was said in it since then.
    async fn open_since(&self, own: &Conversation, since: u64) -> Result<(), Error> {
        let scripts = &self.client.scripts;
        let read = [
            scripts.last(&own.room),
            scripts.up_to(&own.room, None, Conversation::MOST),
        ];
        let replies = self.client.pipeline.request_early(&read).await?;
        let [last, log] = &replies[..] else {
            return Ok(());
        };
        let epochs = reply::epochs(last).unwrap_or_default();
        let mut log = reply::messages(&own.room, log).unwrap_or_default();
        log.reverse();
        let (epochs, at) = (epochs.up_to(own.before(since, &log)), 0);
        self.conversations
            .open_at(&self.subscriptions, &own.room, Cursor { epochs, at });
        Ok(())
    }
}
