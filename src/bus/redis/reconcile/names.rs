//! The same for names.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{RESTORED, Reconciliation};
use crate::bus::redis::reply::{self, Claimed};
use crate::chat::close_reason::CloseReason;
use crate::chat::peers::NamedPeer;
use crate::redis::error::Error;

/// After so many comparisons with different results in a row, the names are compared one by one:
/// usually a difference that changes comes from claims that are on their way.
const UNSTEADY: usize = 5;
/// A peer whose name somebody else has keeps it for so long: where Redis went back in time, the
/// other one may be a person of the past, whose instance removes it.
const REFUSED_TIME: Duration = Duration::from_secs(15);

/// What is known from earlier comparisons.
#[derive(Debug, Default)]
pub struct Names {
    /// What the registry has more than Redis.
    difference: i64,
    /// How often in a row there was a difference.
    differed: usize,
    /// The peers whose names somebody else has, and since when that is known.
    refused: HashMap<u64, Instant>,
}

impl Reconciliation<'_> {
    /// Compares the names. `at_once`: does not wait for the second look. `told`: this instance was
    /// taken for dead, so its names may rightly belong to others.
    pub(super) async fn compare_names(&mut self, at_once: bool, told: bool) -> Result<(), Error> {
        let command = self.bus.client.scripts.name_sums();
        let (expected, reply) = {
            let census = self.bus.peers.census().await;
            (
                census.names_sum(),
                self.bus.client.pipeline.begin(vec![command]),
            )
        };
        let reply = reply?.all().await?;
        let Some(sums) = reply.first().and_then(reply::sums) else {
            return Ok(());
        };
        let difference = expected.wrapping_sub(self.own_sum(sums, None)) as i64;
        let names = &mut self.names;
        if difference == 0 {
            *names = Names::default();
            return Ok(());
        }
        let steady = difference == names.difference;
        (names.difference, names.differed) = (difference, names.differed + 1);
        if !(at_once || steady || names.differed >= UNSTEADY) {
            self.bus.presence.suspects.add_names();
            return Ok(());
        }
        names.differed = 0;
        let mended = self.mend_names(told).await?;
        if !mended {
            // Every name is right, so the sum is wrong, or a claim was on its way.
            let recount = self.bus.client.scripts.recount_names();
            self.request(vec![recount]).await?;
        }
        // Soon it is seen whether all is well.
        self.bus.presence.suspects.add_names();
        Ok(())
    }

    /// Releases the names that nobody here has, and claims those that are missing. `false` if all names
    /// are right.
    async fn mend_names(&mut self, told: bool) -> Result<bool, Error> {
        let (client, scripts) = (&self.bus.client, &self.bus.client.scripts);
        let names = self.bus.peers.census().await.names();
        let mut missing: HashMap<_, _> = names
            .into_iter()
            .map(|peer| (peer.user.key().to_string(), peer))
            .collect();
        let (mut next, mut released) = (Some("0".to_string()), 0);
        let mut changing = false;
        while let Some(from) = next {
            let page = self.request(vec![scripts.list_names(&from)]).await?;
            let Some((after, owners)) = page.into_iter().next().and_then(reply::page_of_names)
            else {
                return Ok(true);
            };
            let replies = {
                let census = self.bus.peers.census().await;
                let mut release = Vec::new();
                for (key, owner) in owners {
                    if census.holder(&owner.user) == Some(owner.origin.peer) {
                        missing.remove(&key);
                    } else if census.is_changing_name(owner.origin.peer) {
                        // Whether it is right will only be known later.
                        changing = true;
                    } else {
                        release.push(scripts.release(&key, owner.origin, None, &[]));
                    }
                }
                released += release.len();
                client.pipeline.begin(release)
            };
            replies?.all().await?;
            next = Some(after).filter(|after| after != "0");
        }
        let missing: Vec<NamedPeer> = missing.into_values().collect();
        log::debug!("names: {released} to go, {} missing", missing.len());
        for missing in missing.chunks(RESTORED) {
            let inbox = &self.bus.subscriber.inbox;
            let (claimed, replies) = {
                let census = self.bus.peers.census().await;
                let holds = |peer: &&NamedPeer| census.holder(&peer.user) == Some(peer.origin.peer);
                let holders: Vec<&NamedPeer> = missing.iter().filter(holds).collect();
                // Before, too: the reply may be lost.
                let keyed = holders.iter().filter(|one| one.key_hash.is_some());
                for one in keyed {
                    inbox.add(&one.user, None, None);
                }
                let claim =
                    |one: &&NamedPeer| scripts.claim(&one.user, one.origin, one.key_hash, false);
                let claims = holders.iter().map(claim).collect();
                (holders, client.pipeline.begin(claims))
            };
            for (peer, reply) in claimed.into_iter().zip(replies?.all().await?) {
                match reply::claimed(&reply) {
                    Some(Claimed::Taken) => self.refused(peer, told).await,
                    Some(Claimed::Granted {
                        away: Some(away), ..
                    }) => inbox.add(&peer.user, None, away.since),
                    _ => {}
                }
            }
        }
        if changing {
            self.bus.presence.suspects.add_names();
        }
        Ok(changing || released > 0 || !missing.is_empty())
    }

    /// Disconnects a peer whose name somebody else has.
    async fn refused(&mut self, peer: &NamedPeer, told: bool) {
        let now = Instant::now();
        let since = *self.names.refused.entry(peer.origin.peer).or_insert(now);
        if told || now - since >= REFUSED_TIME {
            let reason = CloseReason::Replaced;
            self.bus
                .peers
                .close(&peer.user, peer.origin.peer, reason)
                .await;
        } else {
            self.bus.presence.suspects.add_names();
        }
    }
}
