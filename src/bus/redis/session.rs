//! One pair of connections, from its making to its end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;
use smol::channel::{self, Receiver, Sender};
use smol::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use smol::{Timer, future};

use super::answer::{self, Lease, News};
use super::envelope::{self, Note};
use super::line::{Line, SOME};
use super::link::{Bytes, Link, Trouble};
use super::recover::{catch_up, fill, register, tell_incomplete};
use super::renew::renew;
use super::resp::Replies;
use super::script::Words;
use super::{ANSWER_TIME, Redis, reap};
use crate::bus::within;
use crate::chat::dialect::{Dialect, Reply};
use crate::chat::end::End;
use crate::chat::event::{Event, What};
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::{Step, Stretch};

/// How often the lease is renewed and the canary sent.
const PULSE: Duration = Duration::from_secs(3);
/// A canary that has not come back for so long is dead, and with it the subscription.
const CANARY_TIME: Duration = Duration::from_secs(9);
/// A connection that is not ready after this time is given up.
const READY_TIME: Duration = Duration::from_secs(30);
/// A write that Redis does not take within this time ends the connection.
const WRITE_TIME: Duration = Duration::from_secs(10);

type Reader = Replies<ReadHalf<Box<dyn Bytes>>>;
type Writer = WriteHalf<Box<dyn Bytes>>;

/// Why a session is over.
#[derive(Debug)]
pub enum Over {
    /// Something is wrong: what.
    Broken(String),
    /// Nothing is wrong, but only new connections can be signed in with the new token.
    Outdated,
}

/// A connection for commands and one that is subscribed.
pub struct Session {
    commands: Link,
    subscriber: Link,
}

impl Session {
    /// Connects, subscribes to every room with peers here, registers every name, reads what was
    /// said meanwhile, and only then lets callers at it.
    ///
    /// # Errors
    /// Why not.
    pub async fn open(bus: &Redis) -> Result<Session, Trouble> {
        let mut session = Session {
            commands: bus.endpoint.connect().await?,
            subscriber: bus.endpoint.connect_subscriber().await?,
        };
        let slow = || Trouble::Passing(format!("not ready within {READY_TIME:?}"));
        within(READY_TIME, session.prepare(bus))
            .await
            .unwrap_or_else(|| Err(slow()))?;
        Ok(session)
    }

    async fn prepare(&mut self, bus: &Redis) -> Result<(), Trouble> {
        let mut line = Line::Making(&mut self.commands);
        line.ask(&bus.scripts.load()).await?;
        let pulse = line
            .ask(&[bus.scripts.renew(bus.patience.margin())])
            .await?;
        if let Some((Lease::Reaped, _)) = pulse.first().and_then(answer::pulse) {
            bus.missed.store(true, Ordering::Relaxed);
        }

        let rooms = bus.rooms.wanted();
        let mut channels = vec![bus.scripts.own_channel()];
        channels.extend(rooms.iter().map(|room| bus.scripts.channel(room)));
        for channels in channels.chunks(SOME) {
            self.subscriber.subscribe(channels).await?;
        }

        register(bus, &mut line).await?;
        catch_up(bus, &mut line).await?;
        bus.rooms.up(&rooms, |room| bus.scripts.channel(room));
        bus.queue.up();
        bus.patience.answered(Duration::ZERO);
        Ok(())
    }

    /// Carries messages until one of the two connections breaks or falls silent, or the token
    /// changes and they can't follow.
    /// `again`: there was one before, so peers have been told that messages wait.
    pub async fn run(self, bus: &Redis, again: bool) -> Over {
        if again {
            // Ahead of all that waits: it must not arrive while its peer still thinks that it waits.
            let over = Reply::Status(true);
            bus.peers.tell_all(Dialect::Typed, &over).await;
        }
        let state = State::default();
        let renew = renew(bus, self.subscriber.renewable);
        let Session {
            commands,
            subscriber,
        } = self;
        let speak = future::or(ask(bus, commands.commands), hear(bus, commands.replies));
        let listen = future::or(
            subscribe(bus, subscriber.commands),
            receive(bus, subscriber.replies, &state),
        );
        let (find, found) = channel::bounded(1);
        let watch = future::or(watch(bus, &state, find), bury(bus, found));
        let carry = future::or(speak, listen);
        let serve = future::or(carry, future::or(watch, greet(bus, again)));
        future::or(async { Over::Broken(serve.await) }, renew).await
    }
}

/// What the one half of a session knows and the other wants to.
struct State {
    /// When the canary was last heard.
    canary: Mutex<Instant>,
    /// When it was last sent.
    sent: Mutex<Option<Instant>>,
    /// Others have been told that our peers had left.
    reaped: AtomicBool,
}

impl Default for State {
    fn default() -> State {
        State {
            canary: Mutex::new(Instant::now()),
            sent: Mutex::default(),
            reaped: AtomicBool::new(false),
        }
    }
}

impl State {
    fn sent(&self) -> MutexGuard<'_, Option<Instant>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn canary(&self) -> MutexGuard<'_, Instant> {
        self.canary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells typed peers who is where by now. Never ends by itself.
async fn greet(bus: &Redis, again: bool) -> String {
    if again {
        for room in bus.rooms.wanted() {
            if let Some(roster) = bus.roster(&room).await {
                let who = Reply::Who(&room, &roster);
                bus.peers.tell_room(&room, Dialect::Typed, &who).await;
            }
        }
        tell_incomplete(bus).await;
    }
    future::pending().await
}

/// Writes what waits, all of it at once.
async fn ask(bus: &Redis, mut commands: Writer) -> String {
    let mut out = Vec::new();
    loop {
        out.clear();
        let publish = |first: &Words, more: &[&Words]| bus.scripts.publish(first, more);
        bus.queue.take(&mut out, publish).await;
        if let Err(why) = write(&mut commands, &out).await {
            return why;
        }
    }
}

/// Reads the answers.
async fn hear(bus: &Redis, mut replies: Reader) -> String {
    loop {
        let answer = match replies.next().await {
            Ok(answer) => answer,
            Err(error) => return format!("connection lost: {error}"),
        };
        if let Err(why) = bus.queue.answered(answer) {
            return why;
        }
    }
}

/// Subscribes and unsubscribes as peers come and go.
async fn subscribe(bus: &Redis, mut commands: Writer) -> String {
    loop {
        let out = bus.rooms.take().await;
        if let Err(why) = write(&mut commands, &out).await {
            return why;
        }
    }
}

/// Reads what is published. Slows down with the fan-out: what we don't take waits at Redis.
async fn receive(bus: &Redis, mut replies: Reader, state: &State) -> String {
    let own = bus.scripts.own_channel().into_bytes();
    loop {
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
                    && let Err(Trouble::Lasting(why) | Trouble::Passing(why)) =
                        take(bus, event).await
                {
                    return why;
                }
            }
            Some(News::Subscribed) => bus.rooms.confirmed(),
            None => {}
        }
    }
}

/// Hands an event on, in its place: what is missing before it is read from the log first.
async fn take(bus: &Redis, event: Event) -> Result<(), Trouble> {
    let room = event.room.clone();
    match event.what {
        What::Said {
            id: Some(id), at, ..
        } => match bus.rooms.hear(&room, id, at) {
            Step::Known => return Ok(()),
            Step::Next => {}
            Step::Gap(after) => {
                let n = id.n - 1;
                catch(bus, &room, after, Id { n, ..id }).await?;
                bus.rooms.hear(&room, id, at);
            }
        },
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

async fn catch(bus: &Redis, room: &Room, after: Id, until: Id) -> Result<(), Trouble> {
    let stretch = Stretch { after, until };
    if !fill(bus, &mut Line::InUse(bus), room, stretch).await? {
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

/// Renews the lease and watches the canary: it goes out on one connection and must come back on
/// the other, so no dead subscription hides behind a living connection. Finds whose lease has run
/// out, and registers our names again when it was ours.
async fn watch(bus: &Redis, state: &State, find: Sender<Vec<String>>) -> String {
    loop {
        Timer::after(PULSE).await;
        let asked = Instant::now();
        *state.sent() = Some(asked);
        let Some(answer) = bus.ask(bus.scripts.renew(bus.patience.margin())).await else {
            return format!("no answer within {ANSWER_TIME:?}");
        };
        let Some((lease, dead)) = answer::pulse(&answer) else {
            return match answer {
                Value::ServerError(error) => format!("refused: {error}"),
                _ => "an answer that makes no sense".into(),
            };
        };
        bus.patience.answered(asked.elapsed());
        if state.canary().elapsed() > CANARY_TIME {
            return format!("nothing comes back on the subscription since {CANARY_TIME:?}");
        }
        // Full while the last ones are still being buried: they will be found again.
        let _ = find.try_send(dead);
        let reaped = state.reaped.swap(false, Ordering::Relaxed) || lease == Lease::Reaped;
        if reaped {
            bus.missed.store(true, Ordering::Relaxed);
        }
        if reaped || lease == Lease::None {
            log::warn!("redis no longer knows our names: registering them again");
            if let Err(Trouble::Lasting(why) | Trouble::Passing(why)) =
                register(bus, &mut Line::InUse(bus)).await
            {
                return why;
            }
        }
    }
}

/// Gives up what dead instances have left. Never ends by itself.
async fn bury(bus: &Redis, found: Receiver<Vec<String>>) -> String {
    while let Ok(dead) = found.recv().await {
        for instance in dead {
            if reap::reap(bus, &instance).await.is_err() {
                // The lease is still there, so somebody will go on.
                break;
            }
        }
    }
    future::pending().await
}

async fn write(out: &mut Writer, bytes: &[u8]) -> Result<(), String> {
    let write = async {
        out.write_all(bytes).await?;
        out.flush().await
    };
    match within(WRITE_TIME, write).await {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(format!("connection lost: {error}")),
        None => Err(format!("nothing is taken within {WRITE_TIME:?}")),
    }
}
