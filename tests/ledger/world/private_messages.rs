//! Who is told something privately: an acknowledged message may still be under way.

use std::sync::MutexGuard;

use super::World;
use crate::ledger::audit::DELIVERY;
use crate::ledger::book::{Loss, Page};

impl World {
    /// Waits until every private message is heard, unless it may be lost or has been under way for too long.
    pub(super) fn private_messages(&mut self) {
        self.until("no private message is under way", |world| {
            let pages: Vec<MutexGuard<'_, Page>> =
                world.people.iter().map(|person| person.page()).collect();
            let heard = |to: &str, text: &str| {
                let mut messages = pages.iter().filter(|page| page.name == to);
                messages.any(|page| page.private_messages.iter().any(|it| it.text == text))
            };
            let told = pages.iter().flat_map(|page| &page.said);
            for said in told.filter(|said| !said.acks.is_empty()) {
                let (Some(to), Some(answered)) = (said.recipient(), said.answered()) else {
                    continue;
                };
                let until = answered + DELIVERY;
                let during = |loss: &Loss| said.at <= loss.to && loss.from <= until;
                let lost = world.losses.iter().any(during);
                if world.now() < until && !lost && !heard(to, &said.text) {
                    return Err(format!("{to} has not heard {:?}", said.text));
                }
            }
            Ok(())
        });
    }
}
