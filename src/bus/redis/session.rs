//! One pair of connections, from its making to its end.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use redis::{Value, cmd};
use smol::io::{AsyncWriteExt, ReadHalf, WriteHalf};
use smol::{Timer, future};

use super::envelope::{self, Note};
use super::link::{Bytes, Link, Trouble, accept};
use super::resp::Replies;
use super::{ANSWER_TIME, Redis, script};
use crate::bus::within;
use crate::chat::end::End;
use crate::chat::peers::Present;

/// How often the lease is renewed and the canary sent.
const PULSE: Duration = Duration::from_secs(4);
/// A canary that has not come back for so long is dead, and with it the subscription.
const CANARY_TIME: Duration = Duration::from_secs(9);
/// How many commands are said at once while making a connection ready.
const SOME: usize = 256;
/// A connection that is not ready after this time is given up.
const READY_TIME: Duration = Duration::from_secs(30);
/// A write that Redis does not take within this time ends the connection.
const WRITE_TIME: Duration = Duration::from_secs(10);

type Reader = Replies<ReadHalf<Box<dyn Bytes>>>;
type Writer = WriteHalf<Box<dyn Bytes>>;

/// A connection for commands and one that is subscribed.
pub struct Session {
    commands: Link,
    subscriber: Link,
}

impl Session {
    /// Connects, subscribes to every room with peers here, registers every name, and only then
    /// lets callers at it.
    ///
    /// # Errors
    /// Why not.
    pub async fn open(bus: &Redis) -> Result<Session, Trouble> {
        let mut session = Session {
            commands: bus.endpoint.connect().await?,
            subscriber: bus.endpoint.connect().await?,
        };
        let slow = || Trouble::Passing(format!("not ready within {READY_TIME:?}"));
        within(READY_TIME, session.prepare(bus))
            .await
            .unwrap_or_else(|| Err(slow()))?;
        Ok(session)
    }

    async fn prepare(&mut self, bus: &Redis) -> Result<(), Trouble> {
        let mut commands = bus.scripts.load();
        commands.push(bus.scripts.renew());
        accept(&self.commands.ask(&commands).await?, "refused")?;

        let rooms = bus.rooms.wanted();
        let mut channels = vec![bus.scripts.own_channel()];
        channels.extend(rooms.iter().map(|room| bus.scripts.channel(room)));
        let subscribe = |channel: &String| cmd("SUBSCRIBE").arg(channel).get_packed_command();
        for channels in channels.chunks(SOME) {
            let commands: Vec<_> = channels.iter().map(subscribe).collect();
            accept(&self.subscriber.ask(&commands).await?, "refused")?;
        }

        self.register(bus).await?;
        bus.rooms.up(&rooms, |room| bus.scripts.channel(room));
        bus.queue.up();
        Ok(())
    }

    /// Claims every name of this instance again, and puts it on its rooms' rosters, without a
    /// word: nobody has come. A name that somebody else got meanwhile costs its peer here its
    /// connection.
    async fn register(&mut self, bus: &Redis) -> Result<(), Trouble> {
        for present in bus.peers.present().await.chunks(SOME) {
            let claim = |one: &Present| bus.scripts.claim(&one.user, one.origin, one.lock, false);
            let claims: Vec<_> = present.iter().map(claim).collect();
            let answers = self.commands.ask(&claims).await?;
            accept(&answers, "refused")?;
            let mut joins = Vec::new();
            for (one, answer) in present.iter().zip(&answers) {
                if script::number(answer) == Some(0) {
                    bus.peers
                        .end(&one.user, one.origin.peer, End::Replaced)
                        .await;
                    continue;
                }
                let join = |room| bus.scripts.rejoin(room, &one.user, one.origin);
                joins.extend(one.rooms.iter().map(join));
            }
            for joins in joins.chunks(SOME) {
                accept(&self.commands.ask(joins).await?, "refused")?;
            }
        }
        Ok(())
    }

    /// Carries messages until one of the two connections breaks or falls silent, and says why.
    pub async fn run(self, bus: &Redis) -> String {
        let canary = Mutex::new(Instant::now());
        let Session {
            commands,
            subscriber,
        } = self;
        let speak = future::or(ask(bus, commands.commands), hear(bus, commands.replies));
        let listen = future::or(
            subscribe(bus, subscriber.commands),
            receive(bus, subscriber.replies, &canary),
        );
        future::or(future::or(speak, listen), watch(bus, &canary)).await
    }
}

/// Writes what waits, all of it at once.
async fn ask(bus: &Redis, mut commands: Writer) -> String {
    let mut out = Vec::new();
    loop {
        out.clear();
        bus.queue.take(&mut out).await;
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
async fn receive(bus: &Redis, mut replies: Reader, canary: &Mutex<Instant>) -> String {
    let own = bus.scripts.own_channel().into_bytes();
    loop {
        let push = match replies.next().await {
            Ok(Value::Array(push)) => push,
            Ok(Value::ServerError(error)) => return error.to_string(),
            Ok(_) => continue,
            Err(error) => return format!("subscription lost: {error}"),
        };
        match &push[..] {
            [
                Value::BulkString(kind),
                Value::BulkString(channel),
                Value::BulkString(payload),
            ] if kind == b"message" => {
                if *channel == own {
                    take_note(bus, payload, canary).await;
                } else if let Some(event) = bus
                    .scripts
                    .room(channel)
                    .and_then(|room| envelope::event(room, payload))
                {
                    // Fails only when the fan-out is gone, and then the process is on its way out.
                    let _ = bus.feed.send(event).await;
                }
            }
            [Value::BulkString(kind), ..] if kind == b"subscribe" => bus.rooms.confirmed(),
            _ => {}
        }
    }
}

async fn take_note(bus: &Redis, payload: &[u8], canary: &Mutex<Instant>) {
    match envelope::note(payload) {
        Some(Note::Canary) => *canary.lock().unwrap_or_else(|e| e.into_inner()) = Instant::now(),
        Some(Note::Private(to, letter)) => {
            // Whom it was for may have left in this moment.
            bus.peers.tell(&to, &letter).await;
        }
        Some(Note::Replaced(user, origin)) => {
            bus.peers.end(&user, origin.peer, End::Replaced).await;
        }
        None => {}
    }
}

/// Renews the lease and watches the canary: it goes out on one connection and must come back on
/// the other, so no dead subscription hides behind a living connection.
async fn watch(bus: &Redis, canary: &Mutex<Instant>) -> String {
    loop {
        Timer::after(PULSE).await;
        if bus.ask(bus.scripts.renew()).await.is_none() {
            return format!("no answer within {ANSWER_TIME:?}");
        }
        let seen = *canary.lock().unwrap_or_else(|e| e.into_inner());
        if seen.elapsed() > CANARY_TIME {
            return format!("nothing comes back on the subscription since {CANARY_TIME:?}");
        }
    }
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
