//! What is published, from the subscription to the fan-out: each message once, in its place.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use redis::Value;

use super::{Reader, State};
use crate::bus::redis::Redis;
use crate::bus::redis::answer::{self, News};
use crate::bus::redis::connection::Error;
use crate::bus::redis::envelope::{self, Note};
use crate::bus::redis::recover::{fill, last_ids, read_mail, tell_incomplete};
use crate::bus::redis::requester::Requester;
use crate::chat::end::End;
use crate::chat::event::{Event, What};
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::{Step, Stretch};

/// How often a cluster's logs are looked at for what has not reached us.
const LOOK: Duration = Duration::from_secs(10);

/// Reads what is published. Slows down with the fan-out: what we don't take waits at Redis.
///
/// In a cluster, what is published on one node reaches us by way of another, and the way between them
/// may break without a sign: so we look now and then whether there is more in the logs.
pub async fn receive(bus: &Redis, mut replies: Reader, state: &State, cluster: bool) -> String {
    let own = bus.scripts.own_channel().into_bytes();
    let mut looked = Instant::now();
    loop {
        if cluster && looked.elapsed() > LOOK {
            if let Err(Error::Fatal(why) | Error::Transient(why)) = look(bus).await {
                return why;
            }
            looked = Instant::now();
        }
        let push = match replies.next().await {
            Ok(Value::ServerError(error)) => return error.to_string(),
            Ok(push) => push,
            Err(error) => return format!("subscription lost: {error}"),
        };
        match answer::news(&push) {
            Some(News::Message { channel, payload }) => {
                if channel == own {
                    take_note(bus, payload, state).await;
                } else if let Some(event) = bus
                    .scripts
                    .room(channel)
                    .and_then(|room| envelope::event(room, payload))
                    && let Err(Error::Fatal(why) | Error::Transient(why)) = take(bus, event).await
                {
                    return why;
                }
            }
            Some(News::Subscribed) => bus.rooms.confirmed(),
            None => {}
        }
    }
}

/// Looks whether the rooms have gone on without us, and reads what we have not heard.
async fn look(bus: &Redis) -> Result<(), Error> {
    for (room, last) in last_ids(bus, &mut Requester::Connected(bus)).await? {
        if let Step::Gap(after) = bus.rooms.step(&room, last.next()) {
            catch(bus, &room, after, last).await?;
        }
    }
    read_mail(bus, &mut Requester::Connected(bus)).await
}

/// Hands an event on, in its place: what is missing before it is read from the log first.
async fn take(bus: &Redis, event: Event) -> Result<(), Error> {
    let room = event.room.clone();
    match event.what {
        What::Said {
            id: Some(id), at, ..
        } => {
            if bus.rooms.begins_anew(&room, id) && !is_of_log(bus, &room, id).await? {
                return Ok(());
            }
            match bus.rooms.hear(&room, id, at) {
                Step::Known => return Ok(()),
                Step::Next => {}
                Step::Gap(after) => {
                    let n = id.n - 1;
                    catch(bus, &room, after, Id { n, ..id }).await?;
                    bus.rooms.hear(&room, id, at);
                }
            }
        }
        // Whoever joins is told of the room's last message, so everybody must have heard it.
        What::Joined { last, .. } => {
            let last = last.unwrap_or(Id::START);
            match bus.rooms.step(&room, last.next()) {
                Step::Gap(after) => catch(bus, &room, after, last).await?,
                Step::Next => bus.rooms.begins(&room, last),
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
async fn is_of_log(bus: &Redis, room: &Room, id: Id) -> Result<bool, Error> {
    let answers = Requester::Connected(bus)
        .ask(&[bus.scripts.last(room)])
        .await?;
    let last = answers.first().and_then(answer::id);
    Ok(last.is_none_or(|last| last.epoch == id.epoch))
}

async fn catch(bus: &Redis, room: &Room, after: Id, until: Id) -> Result<(), Error> {
    let stretch = Stretch { after, until };
    if !fill(bus, &mut Requester::Connected(bus), room, stretch).await? {
        log::warn!("redis has lost messages of a room; they can't be delivered any more");
        bus.rooms.mark_incomplete(room);
        tell_incomplete(bus).await;
    }
    Ok(())
}

async fn take_note(bus: &Redis, payload: &[u8], state: &State) {
    match envelope::note(payload) {
        Some(Note::Canary) => {
            *state.canary() = Instant::now();
            if let Some(sent) = state.sent().take() {
                bus.canary.record(sent.elapsed().as_micros() as u64);
            }
        }
        Some(Note::Private(to, letter)) if bus.mail.comes(letter.id) => {
            // Whom it was for may have left in this moment.
            bus.peers.tell(&to, &letter).await;
        }
        Some(Note::Replaced(user, origin)) => {
            bus.peers.end(&user, origin.peer, End::Replaced).await;
        }
        Some(Note::Reaped) => state.reaped.store(true, Ordering::Relaxed),
        Some(Note::Private(..)) | None => {}
    }
}
