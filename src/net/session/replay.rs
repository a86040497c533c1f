//! Joining a room, the replay of its history on join, and later requests for history.

use smol::future;
use std::task::Poll;

use super::Session;
use super::rooms::JoinedRoom;
use crate::bus::Visitor;
use crate::chat::close_reason::CloseReason;
use crate::chat::dialect::{Dialect, Reply, Roster, Target};
use crate::chat::event::{self, Event, Refusal};
use crate::chat::frame;
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::{Epochs, Past, Replay};

/// How many messages are read from the log at once.
const PAGE: usize = 500;
/// How many messages are read for a peer that did not take the last ones at once. Unsent history is
/// read from the log again, not queued, so a history of any length fits through an outbox of any
/// size.
const SMALL_PAGE: usize = 50;
/// Messages are sent in pieces of about this many bytes.
const PIECE: usize = 32 * 1024;
/// How often a peer may fall behind a busy room during its replay.
const ROUNDS: usize = 16;
/// The most bytes of a history answer, which is one frame.
const HISTORY_BYTES: usize = 64 * 1024;

impl Session<'_> {
    /// Joins a room under the connection's name; in the simple dialect and as a listener without one if it
    /// has none. The caller sends what is buffered.
    pub(super) async fn enter(&mut self, room: Room, past: Option<Past>) -> Result<(), Refusal> {
        let user = match self.peer.dialect() {
            Dialect::Simple | Dialect::Events => self.user.clone(),
            _ => Some(self.ensure_name().await?),
        };
        let visitor = self.visitor(user.as_ref(), &room);
        let log = self.bus().enter(self.peer, visitor, &room).await?;
        // Most connections are in one room for all their life.
        self.rooms.reserve_exact(1);
        self.rooms.push(JoinedRoom {
            room: room.clone(),
            silent: log.last().is_none(),
        });
        log::debug!("{}: joined", self.peer.number);
        let told = self.replay(&room, log, past).await;
        if told.is_err() {
            // An incomplete replay is worse than none: the client can join again.
            self.leave(room).await?;
            self.peer.outbox.cancel_join();
        }
        told
    }

    /// Sends the roster and the history of a room again. Live messages come after that.
    pub(super) async fn reenter(&self, room: &Room, past: Option<Past>) -> Result<(), Refusal> {
        let log = self.bus().join(self.peer, Visitor::default(), room).await?;
        let told = self.replay(room, log, past).await;
        if told.is_err() && self.peer.outbox.overflowed() {
            // Live messages were dropped. The client can reconnect and ask for them.
            self.peer.outbox.close(CloseReason::Slow);
        }
        self.peer.outbox.send_buffered();
        told
    }

    /// Sends the welcome and the history up to the end of `log`, ahead of the messages since.
    pub(super) async fn replay(
        &self,
        room: &Room,
        log: Epochs,
        past: Option<Past>,
    ) -> Result<(), Refusal> {
        let mut replay = Replay::new(past, log);
        let (mut page, mut whole) = self.page(room, &mut replay, PAGE).await?;
        if !whole && page.is_empty() {
            // The log may have lost its end since the join: the peer joins what is left of it.
            replay = Replay::new(past, self.join_again(room).await?);
            (page, _) = self.page(room, &mut replay, PAGE).await?;
        }
        self.welcome(room, &replay).await;
        whole = self.send_pages(room, &mut replay, page).await?;
        let mut rounds = 0;
        while (!whole || self.peer.outbox.overflowed()) && self.ended().is_none() {
            rounds += 1;
            if rounds > ROUNDS {
                self.peer.outbox.close(CloseReason::Slow);
            }
            // More live messages came than can be buffered, or what is buffered comes after a gap: they
            // are read from the log, too.
            let grown = replay.extend(self.join_again(room).await?);
            let (page, found) = self.page(room, &mut replay, PAGE).await?;
            if whole && !(grown && found) {
                // The log no longer has the messages that were dropped.
                self.peer.outbox.close(CloseReason::Slow);
            }
            if !whole && matches!(self.peer.dialect(), Dialect::Typed | Dialect::Events) {
                self.welcome(room, &replay).await;
            }
            whole = self.send_pages(room, &mut replay, page).await?;
        }
        if rounds > 0 && self.peer.dialect() == Dialect::Typed {
            // Joins and leaves are in no log.
            let roster = self.bus().roster(room).await.ok_or(Refusal::Unavailable)?;
            let who = self.peer.frame(&Reply::Who(room, &roster));
            self.peer.outbox.push_before_buffered(who.as_slice());
        }
        Ok(())
    }

    /// Where the log stands now. The outbox drops what it has buffered of the room, and buffers what comes
    /// after that.
    async fn join_again(&self, room: &Room) -> Result<Epochs, Refusal> {
        self.bus().join(self.peer, Visitor::default(), room).await
    }

    /// Sends a page of the log, and then the rest of the replay. `false` if the end of the log is lost.
    async fn send_pages(
        &self,
        room: &Room,
        replay: &mut Replay,
        mut page: Vec<Event>,
    ) -> Result<bool, Refusal> {
        while replay.left().is_some() && self.ended().is_none() {
            let mut size = PAGE;
            for piece in event::pieces(&page, PIECE) {
                let frames = frame::texts(self.peer.dialect(), piece);
                self.peer.outbox.stats().sent.add(piece.len() as u64);
                self.peer.outbox.push_before_buffered(&[frames]);
                if let Some(told) = piece.last().and_then(Event::id) {
                    replay.told(told);
                }
                if self.peer.outbox.queued_before_buffered() > 0 {
                    size = SMALL_PAGE;
                    break;
                }
            }
            drop(page);
            self.wait_until_flushed().await;
            let (next, whole) = self.page(room, replay, size).await?;
            page = next;
            if !whole && page.is_empty() {
                return Ok(false);
            }
            if !whole {
                // The log was trimmed while it was read. A replay with a gap is not sent.
                self.peer.outbox.close(CloseReason::Slow);
            }
        }
        Ok(true)
    }

    /// Reads the next messages of a replay. Returns them, and whether none is missing before them.
    async fn page(
        &self,
        room: &Room,
        replay: &mut Replay,
        size: usize,
    ) -> Result<(Vec<Event>, bool), Refusal> {
        let Some(stretch) = replay.left() else {
            return Ok((Vec::new(), true));
        };
        let read = self.bus().read(room, stretch, size).await;
        let page = read.ok_or(Refusal::Unavailable)?;
        let whole = replay.found(page.iter().filter_map(Event::id));
        Ok((page, whole))
    }

    async fn welcome(&self, room: &Room, replay: &Replay) {
        let (last, complete) = (replay.last_message(), replay.complete());
        if self.peer.dialect() == Dialect::Events {
            let follows = self.peer.frame(&Reply::Follows {
                room,
                last,
                complete,
                after: replay.after(),
            });
            return self.peer.outbox.push_before_buffered(follows.as_slice());
        }
        let Some(user) = &self.user else {
            return;
        };
        if let Some(with) = room.other_end(user) {
            if !complete {
                let incomplete = self.peer.frame(&Reply::Incomplete(&with));
                self.peer.outbox.push_before_buffered(incomplete.as_slice());
            }
            return;
        }
        let mut roster = Roster::default();
        if self.peer.dialect() == Dialect::Typed {
            roster = self.bus().roster(room).await.unwrap_or_default();
        }
        // The last message at the time of the join. Newer ones are delivered live.
        roster.last = last;
        let entered = self.peer.frame(&Reply::Joined {
            user,
            room,
            roster: &roster,
            complete,
        });
        self.peer.outbox.push_before_buffered(entered.as_slice());
    }

    /// Waits until the socket has taken most of what is ahead of the buffered live messages, or the
    /// peer has ended. The task that waits here also flushes, so it is awake whenever the socket
    /// takes something.
    async fn wait_until_flushed(&self) {
        future::poll_fn(|_| {
            let outbox = &self.peer.outbox;
            if outbox.queued_before_buffered() <= PIECE / 2 || outbox.close_reason().is_some() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Sends the messages before a message.
    pub(super) async fn history(
        &mut self,
        of: Target,
        before: Option<Id>,
        limit: usize,
    ) -> Result<(), Refusal> {
        let mut begun = Id::START;
        let room = match &of {
            Target::User(with) => {
                let user = self.ensure_name().await?;
                let own = self.bus().conversations(&user, Some(with)).await;
                // What is no conversation of this user has no messages for them.
                let own = own.ok_or(Refusal::Unavailable)?.pop();
                begun = own.map_or(Id::LAST, |own| own.begun);
                Room::conversation(&user, with)
            }
            Target::Room(room) => {
                self.credential.may_enter(room)?;
                if !self.is_in(room) {
                    return Err(Refusal::NotInRoom(room.clone()));
                }
                room.clone()
            }
        };
        let read = match limit {
            0 => Some(Vec::new()),
            limit => self.bus().history_before(&room, before, limit).await,
        };
        let mut messages = read.ok_or(Refusal::Unavailable)?;
        messages.retain(|event| event.id() > Some(begun));
        let messages = event::newest(&messages, HISTORY_BYTES);
        self.peer.send(&Reply::History(&of, messages));
        Ok(())
    }
}
