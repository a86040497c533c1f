//! What is published, from the subscription to the fan-out: each message once, in its place.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::Value;

use super::State;
use crate::bus::redis::Redis;
use crate::bus::redis::message::{self, InstanceMessage};
use crate::bus::redis::reply::{self, Push};
use crate::bus::redis::resync::{last_ids, notify_incomplete, read_gap, read_inbox};
use crate::chat::close_reason::CloseReason;
use crate::chat::event::{Event, EventKind};
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::{Step, Stretch};
use crate::redis::connection::Reader;
use crate::redis::error::Error;

/// How often a cluster's logs are looked at for what has not reached us.
const LOOK: Duration = Duration::from_secs(10);

/// Reads what is published. Slows down with the fan-out: what we don't take waits at Redis.
///
/// In a cluster, what is published on one node reaches us by way of another, and the way between them
/// may break without a sign: so we look now and then whether there is more in the logs.
pub async fn subscriber(bus: &Redis, mut replies: Reader, state: &State, cluster: bool) -> Error {
    let own = bus.scripts.own_channel().into_bytes();
    let mut looked = Instant::now();
    loop {
        if cluster && looked.elapsed() > LOOK {
            if let Err(error) = check_for_gaps(bus).await {
                return error;
            }
            looked = Instant::now();
        }
        let push = match replies.next().await {
            Ok(Value::ServerError(error)) => return error.to_string().into(),
            Ok(push) => push,
            Err(error) => return format!("subscription lost: {error}").into(),
        };
        match reply::push(&push) {
            Some(Push::Message { channel, payload }) => {
                if channel == own {
                    handle_instance_message(bus, payload, state).await;
                } else if let Some(event) = bus
                    .scripts
                    .room(channel)
                    .and_then(|room| message::event(room, payload))
                    && let Err(error) = handle_event(bus, event).await
                {
                    return error;
                }
            }
            Some(Push::Subscribed) => bus.subscriptions.confirmed(),
            None => {}
        }
    }
}

/// Looks whether the rooms have gone on without us, and reads what we have not heard.
async fn check_for_gaps(bus: &Redis) -> Result<(), Error> {
    for (room, last) in last_ids(bus).await? {
        if let Step::Gap(after) = bus.subscriptions.step(&room, last.next()) {
            fill_gap(bus, &room, after, last).await?;
        }
    }
    read_inbox(bus).await
}

/// Hands an event on, in its place: what is missing before it is read from the log first.
async fn handle_event(bus: &Redis, event: Event) -> Result<(), Error> {
    let room = event.room.clone();
    match event.kind {
        EventKind::Said {
            id: Some(id), at, ..
        } => {
            if bus.subscriptions.begins_anew(&room, id) && !is_current_epoch(bus, &room, id).await?
            {
                return Ok(());
            }
            match bus.subscriptions.hear(&room, id, at) {
                Step::Known => return Ok(()),
                Step::Next => {}
                Step::Gap(after) => {
                    let n = id.n - 1;
                    fill_gap(bus, &room, after, Id { n, ..id }).await?;
                    bus.subscriptions.hear(&room, id, at);
                }
            }
        }
        // Whoever joins is told of the room's last message, so everybody must have heard it.
        EventKind::Joined { last, .. } => {
            let last = last.unwrap_or(Id::START);
            match bus.subscriptions.step(&room, last.next()) {
                Step::Gap(after) => fill_gap(bus, &room, after, last).await?,
                Step::Next => bus.subscriptions.begins(&room, last),
                Step::Known => {}
            }
        }
        _ => {}
    }
    // Fails only when the fan-out is gone, and then the process is on its way out.
    let _ = bus.feed.send(event).await;
    Ok(())
}

/// Whether a message is of the room's log, and not of one that nobody will ever read: a primary that
/// hung while another took its place still does what it was sent, until it hears of the other.
async fn is_current_epoch(bus: &Redis, room: &Room, id: Id) -> Result<bool, Error> {
    let replies = bus
        .pipeline
        .request_early(&[bus.scripts.last(room)])
        .await?;
    let last = replies.first().and_then(reply::id);
    Ok(last.is_none_or(|last| last.epoch == id.epoch))
}

async fn fill_gap(bus: &Redis, room: &Room, after: Id, until: Id) -> Result<(), Error> {
    let stretch = Stretch { after, until };
    if !read_gap(bus, room, stretch).await? {
        log::warn!("redis has lost messages of a room; they can't be delivered any more");
        bus.subscriptions.mark_incomplete(room);
        notify_incomplete(bus).await;
    }
    Ok(())
}

async fn handle_instance_message(bus: &Redis, payload: &[u8], state: &State) {
    match message::instance_message(payload) {
        Some(InstanceMessage::Canary) => {
            *state.canary() = Instant::now();
            if let Some(sent) = state.sent().take() {
                bus.canary.record(sent.elapsed().as_micros() as u64);
            }
        }
        Some(InstanceMessage::Private(to, message)) if bus.inbox.comes(message.id) => {
            // Whom it was for may have left in this moment.
            bus.peers.send_private(&to, &message).await;
        }
        Some(InstanceMessage::Replaced(user, origin)) => {
            bus.peers
                .close(&user, origin.peer, CloseReason::Replaced)
                .await;
        }
        Some(InstanceMessage::Reaped) => state.reaped.store(true, Ordering::Relaxed),
        Some(InstanceMessage::Private(..)) | None => {}
    }
}
