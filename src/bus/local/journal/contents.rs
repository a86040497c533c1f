//! What the lines of a journal say of what is kept: read at the start, and made for a new file.

use std::iter;
use std::sync::Arc;
use std::time::Duration;

use super::record::{Known, Record};
use super::writer::{Live, Pieces, Scope};
use crate::bus::local::kept::{Kept, State};
use crate::bus::local::references::References;
use crate::chat::event::EventKind;
use crate::chat::id::Id;
use crate::chat::replay::Stretch;
use crate::time::unix_millis;

/// How many messages are made into lines at once.
const PIECE: usize = 200;

/// Makes the lines of everything that is kept.
pub fn live(kept: &Kept) -> Live {
    let kept = kept.clone();
    Arc::new(move |scope| pieces(&kept, scope))
}

fn pieces(kept: &Kept, scope: Scope) -> Pieces {
    let (rooms, clients, key, names, measures) = {
        let state = kept.lock();
        let (clients, names) = (state.references.clients(), state.away.all());
        let measures = state.moderation.all();
        (state.log.rooms(), clients, state.key, names, measures)
    };
    let mut first = Vec::new();
    // Twice: without it no reference of the file is known.
    for _ in 0..2 {
        Record::Key(key).write(&mut first);
    }
    if scope == Scope::Beginning {
        return Box::new(iter::once(first));
    }
    Record::All.write(&mut first);
    for (user, holder) in names {
        Record::Name(user, holder.key_hash, holder.since).write(&mut first);
    }
    let (kept, other) = (kept.clone(), kept.clone());
    let messages = rooms.into_iter().flat_map(move |room| {
        let (kept, mut after) = (kept.clone(), Id::START);
        let mut lines = Vec::new();
        for end in kept.lock().log.ends(&room) {
            Record::End(room.clone(), end).write(&mut lines);
        }
        for party in kept.lock().log.parties(&room) {
            Record::Party(room.clone(), party).write(&mut lines);
        }
        let ends = Some(lines).filter(|lines| !lines.is_empty());
        let messages = iter::from_fn(move || {
            let until = Id::LAST;
            let events = kept.lock().log.read(&room, Stretch { after, until }, PIECE);
            after = events.last()?.id()?;
            let mut lines = Vec::new();
            for event in events {
                Record::Message(event, None).write(&mut lines);
            }
            Some(lines)
        });
        messages.chain(ends)
    });
    let references = clients.into_iter().map(move |client| {
        let now = unix_millis();
        let mut lines = Vec::new();
        for (reference, id, age) in other.lock().references.known(client) {
            let at = now.saturating_sub(age.as_millis() as u64);
            Record::Reference(reference, Known { id, at }).write(&mut lines);
        }
        lines
    });
    let measures = measures
        .into_iter()
        .map(|(room, measure, until, addresses)| {
            let (mut lines, user) = (Vec::new(), measure.user.clone());
            Record::Measure(room.clone(), measure, until).write(&mut lines);
            for address in addresses {
                Record::Address(room.clone(), user.clone(), address).write(&mut lines);
            }
            lines
        });
    Box::new(
        iter::once(first)
            .chain(messages)
            .chain(references)
            .chain(measures),
    )
}

/// Takes what a record says. `now`: in milliseconds since 1970.
pub fn restore(state: &mut State, record: Record, now: u64) {
    let age = |at: u64| Duration::from_millis(now.saturating_sub(at));
    match record {
        Record::Message(event, reference) => {
            if let (
                Some(reference),
                EventKind::Said {
                    id: Some(id), at, ..
                },
            ) = (reference, &event.kind)
            {
                state.references.restore(reference, *id, age(*at));
            }
            state.log.restore(event);
        }
        Record::Reference(reference, Known { id, at }) => {
            state.references.restore(reference, id, age(at));
        }
        Record::Measure(room, measure, until) => {
            state.moderation.restore(&room, measure, until, now);
        }
        Record::Address(room, user, address) => {
            state.moderation.note_address(&room, &user, address);
        }
        Record::Key(key) => {
            if key != state.key {
                state.key = key;
                state.references = References::new(key);
            }
        }
        Record::All => {
            state.log.clear();
            state.moderation.clear();
            state.references = References::new(state.key);
            state.away.clear();
        }
        Record::Party(room, party) => state.log.set_party(&room, party),
        Record::Name(user, key_hash, since) => {
            state.away.note(user, key_hash, since, now);
        }
        Record::Free(user) => {
            state.away.forget(&user);
        }
        Record::Epoch(epoch) => state.log.restore_epoch(epoch),
        Record::End(room, id) => state.log.restore_end(&room, id),
        Record::Stopped => {}
    }
}
