//! Names that change hands, and those that wait for their holders.

use super::Local;
use super::journal::Record;
use crate::bus::Away;
use crate::chat::event::Refusal;
use crate::chat::name::{SessionKeyHash, User};
use crate::chat::peer::Peer;
use crate::chat::peers::Departed;
use crate::time::unix_millis;

impl Local {
    /// Claims a name for a peer. If private messages wait for its holder, returns which.
    pub(in crate::bus) async fn claim(
        &self,
        peer: &Peer,
        user: &User,
        key_hash: Option<SessionKeyHash>,
    ) -> Result<Option<Away>, Refusal> {
        let _changes = self.names.lock().await;
        let holder = self
            .kept
            .lock()
            .away
            .find(user)
            .map(|holder| holder.key_hash);
        let takes_over = || key_hash.is_some_and(|key_hash| key_hash.takes_over(holder));
        let is_free = holder.is_none() || takes_over();
        if !is_free || !self.peers.claim(peer, user, key_hash, 0).await {
            return Err(Refusal::NameTaken(user.to_string()));
        }
        let mut kept = self.kept.lock();
        match key_hash.filter(|_| kept.away.keeps_names()) {
            Some(key_hash) => {
                if kept.away.note(user.clone(), key_hash, None, unix_millis()) {
                    self.note(&Record::Name(user.clone(), key_hash, None));
                }
            }
            None => {
                if kept.away.forget(user) && kept.away.keeps_names() {
                    self.note(&Record::Free(user.clone()));
                }
            }
        }
        let Some(key_hash) = key_hash else {
            return Ok(None);
        };
        let heard = kept.log.waiting(user, key_hash);
        let since = None;
        Ok((!heard.is_empty()).then_some(Away { since, heard }))
    }

    /// Removes a peer. If its name has a session key or token, the name waits for its holder.
    pub(in crate::bus) async fn remove(&self, peer: &Peer) -> Departed {
        let _changes = self.names.lock().await;
        // First, so that no private message is taken for heard that comes meanwhile.
        if let Some((user, key_hash)) = self.peers.held(peer).await {
            let (now, mut kept) = (unix_millis(), self.kept.lock());
            kept.away.note(user.clone(), key_hash, Some(now), now);
            if kept.away.keeps_names() {
                self.note(&Record::Name(user, key_hash, Some(now)));
            }
        }
        self.peers.remove(peer).await
    }

    /// Nothing waits any more for the holder of a name, who has come back, if this peer still has it.
    pub(in crate::bus) async fn returned(&self, peer: &Peer, user: &User) {
        let _changes = self.names.lock().await;
        let held = self.peers.held(peer).await;
        if held.is_none_or(|(held, _)| held != *user) {
            return;
        }
        let mut kept = self.kept.lock();
        for (room, party) in kept.log.end_waiting(user) {
            self.note(&Record::Party(room, party));
        }
    }
}
