//! One pair of connections, from its making to its end.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use redis::Value;
use smol::channel::{self, Receiver, Sender};
use smol::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use smol::{Timer, future};

use super::answer::{self, Lease, News};
use super::envelope::{self, Note};
use super::line::{Line, SOME};
use super::link::{Bytes, Link, Trouble};
use super::nodes::Nodes;
use super::queue::Broken;
use super::recover::{catch_up, fill, last_ids, register, tell_incomplete};
use super::renew::renew;
use super::resp::Replies;
use super::script::Words;
use super::{ANSWER_TIME, Redis, reap, sentinel};
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
/// How often a cluster's logs are looked at for what has not reached us.
const LOOK: Duration = Duration::from_secs(10);
/// A connection that is not ready after this time is given up.
const READY_TIME: Duration = Duration::from_secs(30);
/// A write that Redis does not take within this time ends the connection.
const WRITE_TIME: Duration = Duration::from_secs(10);

/// What carries commands or answers, until it breaks.
type Carry<'a> = Pin<Box<dyn Future<Output = Broken> + Send + 'a>>;
type Reader = Replies<ReadHalf<Box<dyn Bytes>>>;
type Writer = WriteHalf<Box<dyn Bytes>>;

/// Connections for commands and one that is subscribed.
pub struct Session<'a> {
    nodes: Nodes<'a>,
    subscriber: Link,
}

impl<'a> Session<'a> {
    /// Connects, subscribes to every room with peers here, registers every name, reads what was
    /// said meanwhile, and only then lets callers at it.
    ///
    /// # Errors
    /// Why not.
    pub async fn open(bus: &'a Redis) -> Result<Session<'a>, Trouble> {
        let mut subscriber = bus.connect().await?;
        let strangers = bus.met().strangers.clone();
        let ready = bus.scripts.load();
        let nodes = Nodes::connect(&bus.endpoint, &mut subscriber, &strangers, ready).await?;
        bus.endpoint.prepare_to_renew(&mut subscriber).await?;
        let mut session = Session { nodes, subscriber };
        let slow = || Trouble::Passing(format!("not ready within {READY_TIME:?}"));
        within(READY_TIME, session.prepare(bus))
            .await
            .unwrap_or_else(|| Err(slow()))?;
        Ok(session)
    }

    async fn prepare(&mut self, bus: &Redis) -> Result<(), Trouble> {
        let mut line = Line::Making(&mut self.nodes);
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
        bus.queue.up(self.nodes.map());
        bus.know(self.nodes.map().map_or(&[], |map| &map.nodes));
        bus.patience.answered(Duration::ZERO);
        Ok(())
    }

    /// Carries messages until one of the connections breaks or falls silent, or the token changes and
    /// they can't follow. `again`: there were some before, and peers have been told that messages
    /// wait.
    pub async fn run(self, bus: &Redis, again: bool) -> Broken {
        if again {
            // Ahead of all that waits: it must not arrive while its peer still thinks that it waits.
            let over = Reply::Status(true);
            bus.peers.tell_all(Dialect::Typed, &over).await;
        }
        let state = State::default();
        let renew = renew(bus, self.subscriber.renewable);
        let Session { nodes, subscriber } = self;
        let primary = subscriber.primary;
        let cluster = nodes.map().is_some();
        let links = nodes.into_links();
        let count = links.len();
        let mut carry: Vec<Carry<'_>> = Vec::new();
        for (lane, link) in links.into_iter().enumerate() {
            carry.push(Box::pin(ask(bus, lane, link.commands)));
            carry.push(Box::pin(hear(bus, lane, link.replies)));
        }
        let speak = future::or(first(carry), again_and_again(bus));
        let listen = future::or(
            subscribe(bus, subscriber.commands),
            receive(bus, subscriber.replies, &state, cluster),
        );
        let (find, found) = channel::bounded(1);
        let watch = future::or(watch(bus, &state, find, count), bury(bus, found));
        let replaced = sentinel::replaced(&bus.endpoint, primary.as_ref());
        let watch = future::or(watch, replaced);
        let listen = async { Broken::Why(future::or(listen, watch).await) };
        let greet = async { Broken::Why(greet(bus, again).await) };
        let serve = future::or(speak, future::or(listen, greet));
        future::or(serve, renew).await
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
    }
    tell_incomplete(bus).await;
    future::pending().await
}

/// Runs all of them until one ends.
async fn first(mut all: Vec<Carry<'_>>) -> Broken {
    future::poll_fn(|cx| {
        for one in &mut all {
            if let Poll::Ready(broken) = one.as_mut().poll(cx) {
                return Poll::Ready(broken);
            }
        }
        Poll::Pending
    })
    .await
}

/// Tries again what could not be done because its slot was on its way. Never ends by itself.
async fn again_and_again(bus: &Redis) -> Broken {
    bus.queue.try_again().await;
    future::pending().await
}

/// Writes what waits for a node, all of it at once.
async fn ask(bus: &Redis, lane: usize, mut commands: Writer) -> Broken {
    let mut out = Vec::new();
    loop {
        out.clear();
        let publish = |first: &Words, more: &[&Words]| bus.scripts.publish(first, more);
        bus.queue.take(lane, &mut out, publish).await;
        if let Err(why) = write(&mut commands, &out).await {
            return why.into();
        }
    }
}

/// Reads a node's answers.
async fn hear(bus: &Redis, lane: usize, mut replies: Reader) -> Broken {
    loop {
        let answer = match replies.next().await {
            Ok(answer) => answer,
            Err(error) => return format!("connection lost: {error}").into(),
        };
        if let Err(broken) = bus.queue.answered(lane, answer) {
            return broken;
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
///
/// In a cluster, what is published on one node reaches us by way of another, and the way between them
/// may break without a sign: so we look now and then whether there is more in the logs.
async fn receive(bus: &Redis, mut replies: Reader, state: &State, cluster: bool) -> String {
    let own = bus.scripts.own_channel().into_bytes();
    let mut looked = Instant::now();
    loop {
        if cluster && looked.elapsed() > LOOK {
            if let Err(Trouble::Lasting(why) | Trouble::Passing(why)) = look(bus).await {
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

/// Looks whether the rooms have gone on without us, and reads what we have not heard.
async fn look(bus: &Redis) -> Result<(), Trouble> {
    for (room, last) in last_ids(bus, &mut Line::InUse(bus)).await? {
        if let Step::Gap(after) = bus.rooms.step(&room, last.next()) {
            catch(bus, &room, after, last).await?;
        }
    }
    Ok(())
}

/// Hands an event on, in its place: what is missing before it is read from the log first.
async fn take(bus: &Redis, event: Event) -> Result<(), Trouble> {
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
async fn is_of_log(bus: &Redis, room: &Room, id: Id) -> Result<bool, Trouble> {
    let answers = Line::InUse(bus).ask(&[bus.scripts.last(room)]).await?;
    let last = answers.first().and_then(answer::id);
    Ok(last.is_none_or(|last| last.epoch == id.epoch))
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
async fn watch(bus: &Redis, state: &State, find: Sender<Vec<String>>, lanes: usize) -> String {
    loop {
        Timer::after(PULSE).await;
        let asked = Instant::now();
        *state.sent() = Some(asked);
        let answer = bus.ask(bus.scripts.renew(bus.patience.margin())).await;
        // A single Redis has answered already if it is alive.
        let alive = lanes == 1 || alive(bus).await;
        let (Some(answer), true) = (answer, alive) else {
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

/// Whether every node answers.
async fn alive(bus: &Redis) -> bool {
    let ping = redis::cmd("PING").get_packed_command();
    let answers = within(ANSWER_TIME, bus.queue.ask_everywhere(&ping)).await;
    answers.flatten().is_some()
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
