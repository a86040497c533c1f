//! Opens private conversations for users of this instance: by invitation, and for those of whom Redis has not
//! known that they are here.

use super::message::Invitation;
use super::reply;
use super::subscriber::Subscriber;
use crate::bus::{Away, Conversation};
use crate::chat::name::User;
use crate::chat::replay::Cursor;
use crate::redis::error::Error;
use crate::redis::pipeline::BATCH;
use crate::redis::slot::Command;

/// Of a conversation that is not open here, nothing has been heard for longer than this, in milliseconds: an
/// open one is closed later, and who comes opens those that go on.
const UNHEARD: u64 = 10 * 60 * 1000;

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
            if let Some(forward) = self.invited(invitation, at, forwarded).await? {
                self.client.request_early(forward).await?;
            }
        }
        // Their users may have come while Redis was away.
        for user in self.inbox.expected() {
            if self.peers.holds(&user).await {
                self.arrived(&user).await?;
            }
        }
        Ok(())
    }

    /// Opens a private conversation for a user of this instance, if the invitation is new. Returns the
    /// command that passes it on if the user is not here.
    ///
    /// # Errors
    /// Redis does not answer.
    pub(super) async fn invited(
        &self,
        invitation: Invitation,
        at: u64,
        forwarded: bool,
    ) -> Result<Option<Command>, Error> {
        let Invitation { to, room, .. } = &invitation;
        if !self.inbox.is_new(at, to, room) {
            return Ok(None);
        }
        // First, so that it is not missed by a claim that ends now.
        self.inbox.keep(&invitation, at);
        if !self.peers.holds(to).await {
            // Its user has just left, or comes, or Redis has gone back to where it was before.
            return Ok((!forwarded).then(|| self.client.scripts.forward(&invitation)));
        }
        self.arrived(to).await?;
        Ok(None)
    }

    /// A user has the name now: opens the private conversations to which they were invited before.
    ///
    /// # Errors
    /// Redis does not answer. The invitations are kept.
    pub async fn arrived(&self, user: &User) -> Result<(), Error> {
        let mut arrived = Ok(());
        for (invitation, at) in self.inbox.take(user) {
            let opened = self.open_invited(&invitation, at).await;
            if opened.is_err() {
                self.inbox.keep(&invitation, at);
                arrived = opened;
            }
        }
        arrived
    }

    async fn open_invited(&self, invitation: &Invitation, at: u64) -> Result<(), Error> {
        let Invitation { to, room, .. } = invitation;
        self.conversations.touch(room);
        if self.conversations.is_open(room) {
            return Ok(());
        }
        let own = self.client.scripts.conversations(to, Some(room));
        let own = reply::conversations(self.client.request_early(own).await?);
        for own in own.unwrap_or_default() {
            self.open_since(&own, at.saturating_sub(UNHEARD)).await?;
        }
        Ok(())
    }

    /// Opens the private conversations of users who were here before Redis knew it: messages may have gone to
    /// where it believed that they were, or wait for them.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn open_unheard(&self, users: &[(User, Away)]) -> Result<(), Error> {
        let scripts = &self.client.scripts;
        for users in users.chunks(BATCH) {
            let commands = users.iter();
            let commands: Vec<_> =
                (commands.map(|(user, _)| scripts.conversations(user, None))).collect();
            let replies = self.client.pipeline.request_early(&commands).await?;
            for ((_, away), reply) in users.iter().zip(replies) {
                for own in reply::conversations(reply).unwrap_or_default() {
                    let now = own.noted + own.age.unwrap_or_default();
                    let since = now.saturating_sub(UNHEARD);
                    let since = away.since.map_or(since, |away| away.min(since));
                    if own.has_newer(since) && !self.conversations.is_open(&own.room) {
                        self.open_since(&own, since).await?;
                    }
                }
            }
            let returned = users.iter().map(|(user, _)| scripts.returned(user));
            let returned: Vec<_> = returned.collect();
            self.client.pipeline.request_early(&returned).await?;
        }
        Ok(())
    }

    /// Opens a private conversation with all that was said in it since then.
    async fn open_since(&self, own: &Conversation, since: u64) -> Result<(), Error> {
        let scripts = &self.client.scripts;
        let read = [
            scripts.last(&own.room),
            scripts.up_to(&own.room, None, Conversation::WAITING_MOST),
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
