//! What has to be done when a connection is new: register the names again, and read what was said
//! meanwhile.

use std::sync::atomic::Ordering;

use super::Redis;
use super::message::InstanceMessage;
use super::reply;
use super::subscriptions::Cursor;
use crate::chat::close_reason::CloseReason;
use crate::chat::dialect::{Dialect, Reply};
use crate::chat::event::{Event, EventKind};
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::peers::NamedPeer;
use crate::chat::replay::{Step, Stretch};
use crate::redis::error::Error;
use crate::redis::pipeline::BATCH;

/// How many messages are read from a room's log at once.
const PAGE: usize = 200;
/// How many rooms' logs are read at once.
const ROOMS: usize = 32;

/// Claims every name of this instance again, and puts it on its rooms' rosters: without a word, as
/// nobody has come, unless others have been told that our peers had left. A name that somebody else
/// got meanwhile costs its peer here its connection. Can be repeated.
///
/// # Errors
/// Redis does not answer.
pub async fn register_names(bus: &Redis) -> Result<(), Error> {
    let announced = bus.missed.swap(false, Ordering::Relaxed);
    let done = claim_names(bus, announced).await;
    if done.is_err() && announced {
        bus.missed.store(true, Ordering::Relaxed);
    }
    done
}

async fn claim_names(bus: &Redis, announced: bool) -> Result<(), Error> {
    let rooms = bus.subscriptions.wanted();
    let rooms: Vec<&Room> = rooms.iter().collect();
    for rooms in rooms.chunks(BATCH) {
        bus.pipeline
            .request_early(&[bus.scripts.track_rooms(rooms, true)])
            .await?;
    }
    let margin = bus.lease_grace.margin();
    for present in bus.peers.named_peers().await.chunks(BATCH) {
        let claim = |one: &NamedPeer| {
            let NamedPeer {
                user,
                origin,
                key_hash,
                ..
            } = one;
            bus.scripts.claim(user, *origin, *key_hash, false, margin)
        };
        let claims: Vec<_> = present.iter().map(claim).collect();
        let replies = bus.pipeline.request_early(&claims).await?;
        let mut joins = Vec::new();
        for (one, reply) in present.iter().zip(&replies) {
            if reply::number(reply) == Some(0) {
                bus.peers
                    .close(&one.user, one.origin.peer, CloseReason::Replaced)
                    .await;
                continue;
            }
            let join = |room| {
                bus.scripts
                    .restore_member(room, &one.user, one.origin, announced)
            };
            joins.extend(one.rooms.iter().map(join));
        }
        for joins in joins.chunks(BATCH) {
            bus.pipeline.request_early(joins).await?;
        }
    }
    // Last, so that whoever is interrupted does all of it again, and as loudly.
    bus.pipeline
        .request_early(&[bus.scripts.clear_dead()])
        .await?;
    Ok(())
}

/// Reads from the logs what was said while nobody here was listening, and hands it on. The channels
/// must be subscribed to already, so that nothing falls in between.
///
/// # Errors
/// Redis does not answer.
pub async fn resync(bus: &Redis) -> Result<(), Error> {
    let mut lost = 0;
    for rooms in bus.subscriptions.all_heard().chunks(ROOMS) {
        let requests = |(room, heard): &(Room, Cursor)| {
            [
                bus.scripts.last(room),
                bus.scripts.read_from(room, heard.id, PAGE),
            ]
        };
        let commands: Vec<_> = rooms.iter().flat_map(requests).collect();
        let replies = bus.pipeline.request_early(&commands).await?;
        for ((room, heard), replies) in rooms.iter().zip(replies.chunks(2)) {
            let last = replies.first().and_then(reply::id);
            let found = replies.get(1).and_then(|log| reply::messages(room, log));
            let found = found.unwrap_or_default();
            if !resync_room(bus, room, *heard, last, found).await? {
                bus.subscriptions.mark_incomplete(room);
                lost += 1;
            }
        }
    }
    if lost > 0 {
        log::warn!("redis has lost messages of {lost} rooms; they can't be delivered any more");
    }
    read_inbox(bus).await
}

/// Where the rooms' logs stand of which we have heard anything.
///
/// # Errors
/// Redis does not answer.
pub async fn last_ids(bus: &Redis) -> Result<Vec<(Room, Id)>, Error> {
    let mut found = Vec::new();
    for rooms in bus.subscriptions.all_heard().chunks(BATCH) {
        let requests = |(room, _): &(Room, Cursor)| bus.scripts.last(room);
        let commands: Vec<_> = rooms.iter().map(requests).collect();
        let replies = bus.pipeline.request_early(&commands).await?;
        let last = rooms.iter().zip(&replies);
        found.extend(last.filter_map(|((room, _), last)| Some((room.clone(), reply::id(last)?))));
    }
    Ok(found)
}

/// Goes on in one room after `heard`. `last` is where the log stands, and `found` the messages from
/// `heard` on, with it. `false` if the log no longer has all of them.
async fn resync_room(
    bus: &Redis,
    room: &Room,
    heard: Cursor,
    last: Option<Id>,
    mut found: Vec<Event>,
) -> Result<bool, Error> {
    let Some(last) = last else {
        bus.subscriptions.heard(room, unseen(Id::START));
        return Ok(heard.id == Id::START);
    };
    let full = found.len() == PAGE;
    let replaced = match found.first().map(|event| (event.id(), &event.kind)) {
        Some((Some(id), EventKind::Said { at, .. })) if id == heard.id => {
            heard.at.is_some_and(|then| then != *at)
        }
        _ => false,
    };
    if replaced || last.epoch == heard.id.epoch && last < heard.id {
        // Other words stand where we have heard some, or will soon. From a new epoch on, places
        // are unambiguous again.
        let replies = bus
            .pipeline
            .request_early(&[bus.scripts.new_epoch(room, last.epoch)])
            .await?;
        let begin = replies.first().and_then(reply::id).unwrap_or(last);
        bus.subscriptions
            .heard(room, unseen(Id::before_all(begin.epoch)));
        return Ok(false);
    }
    let mut whole = heard.id.epoch == last.epoch || heard.id == Id::START;
    found.retain(|event| event.id() != Some(heard.id));
    for event in found {
        whole &= deliver(bus, room, event).await;
    }
    let Step::Gap(after) = bus.subscriptions.step(room, last.next()) else {
        return Ok(whole);
    };
    if !full {
        // The log does not keep that many, or nothing at all, as with `--history 0`.
        bus.subscriptions.heard(room, unseen(last));
        return Ok(false);
    }
    whole &= read_gap(bus, room, Stretch { after, until: last }).await?;
    Ok(whole)
}

/// Reads a stretch of a room's log that the channel has not brought, and hands it on. `false` if
/// the log no longer has all of it.
///
/// # Errors
/// Redis does not answer.
pub async fn read_gap(bus: &Redis, room: &Room, mut stretch: Stretch) -> Result<bool, Error> {
    let mut whole = true;
    while stretch.after < stretch.until {
        let replies = bus
            .pipeline
            .request_early(&[bus.scripts.read(room, stretch, PAGE)])
            .await?;
        let found = replies.first().and_then(|log| reply::messages(room, log));
        let found = found.unwrap_or_default();
        // Falling numbers: somebody tampered with the log. It is not read for ever.
        let last = found.last().and_then(Event::id);
        let Some(last) = last.filter(|last| *last > stretch.after) else {
            bus.subscriptions.heard(room, unseen(stretch.until));
            return Ok(false);
        };
        for event in found {
            whole &= deliver(bus, room, event).await;
        }
        stretch.after = last;
    }
    Ok(whole)
}

/// Hands on a message from the log, unless it has been heard. `false` if some before it are missing.
async fn deliver(bus: &Redis, room: &Room, event: Event) -> bool {
    let (Some(id), EventKind::Said { at, .. }) = (event.id(), &event.kind) else {
        return true;
    };
    let step = bus.subscriptions.hear(room, id, *at);
    if step == Step::Known {
        return true;
    }
    if step != Step::Next {
        let at = Some(*at);
        bus.subscriptions.heard(room, Cursor { id, at });
    }
    // Fails only when the fan-out is gone, and then the process is on its way out.
    let _ = bus.feed.send(event).await;
    step == Step::Next
}

/// Tells typed peers in rooms that have lost messages so, and who is there.
pub async fn notify_incomplete(bus: &Redis) {
    for room in bus.subscriptions.take_incomplete() {
        if let Some(roster) = bus.roster(&room).await {
            let entered = Reply::Incomplete(&room, &roster);
            bus.peers
                .send_to_room(&room, Dialect::Typed, &entered)
                .await;
        }
    }
}

fn unseen(id: Id) -> Cursor {
    Cursor { id, at: None }
}

/// Reads the private messages that the channel has not brought, and hands them on.
///
/// # Errors
/// Redis does not answer.
pub async fn read_inbox(bus: &Redis) -> Result<(), Error> {
    let replies = bus
        .pipeline
        .request_early(&[bus.scripts.inbox(bus.inbox.last())])
        .await?;
    let mut last = None;
    for note in replies.first().and_then(reply::inbox).unwrap_or_default() {
        if let InstanceMessage::Private(to, message) = note {
            last = Some(message.id);
            bus.peers.send_private(&to, &message).await;
        }
    }
    if let Some(last) = last {
        bus.inbox.read(last);
    }
    Ok(())
}
