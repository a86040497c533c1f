//! Into a room, and into its past: what a peer is told when it enters, and what it asks for later.

use smol::future;
use std::task::Poll;

use super::Session;
use crate::chat::dialect::{Dialect, Reply, Roster};
use crate::chat::end::End;
use crate::chat::event::{Event, Refusal};
use crate::chat::frame;
use crate::chat::id::Id;
use crate::chat::name::Room;
use crate::chat::replay::{Past, Replay};

/// How many messages are read from the log at once …
const PAGE: usize = 500;
/// … for a peer that has not taken the last ones at once: what it can't take is read again later,
/// so that a past of any length fits through an outbox of any size, and nobody's waits in memory.
const SMALL_PAGE: usize = 50;
/// Messages go out in pieces of about so many bytes.
const PIECE: usize = 32 * 1024;
/// How often a peer may fall behind a room that talks on while it is told the past.
const ROUNDS: usize = 16;
/// A history answer is one frame, and no longer than this.
const HISTORY_BYTES: usize = 64 * 1024;

impl Session<'_> {
    /// Enters a room under the name.
    pub(super) async fn enter(&mut self, room: Room, past: Option<Past>) -> Result<(), Refusal> {
        let user = self.be_somebody().await?;
        let entered = self
            .bus()
            .enter(self.seat, self.peer, Some(&user), &room)
            .await;
        let last = entered.map_err(|_| Refusal::Unavailable)?;
        self.keep(&room);
        log::debug!("{}: joined", self.peer.number);
        let told = self.tell_past(&room, last, past).await;
        if told.is_err() {
            // Half a past is worse than none: it can come back.
            self.leave(room).await?;
            self.peer.outbox.forget_entering();
        }
        self.peer.outbox.release();
        told
    }

    fn keep(&mut self, room: &Room) {
        // Most are in one room for all their life.
        self.rooms.reserve_exact(1);
        self.rooms.push(room.clone());
    }

    /// Hears a room without a name.
    pub(super) async fn overhear(&mut self, room: Room, past: Option<Past>) -> Result<(), Refusal> {
        let entered = self.bus().enter(self.seat, self.peer, None, &room).await;
        let last = entered.map_err(|_| Refusal::Unavailable)?;
        self.keep(&room);
        let told = self.tell_past(&room, last, past).await;
        if told.is_err() {
            self.peer.outbox.forget_entering();
        }
        told
    }

    /// Tells again who is in a room, and what was said there; what is said meanwhile comes after
    /// that.
    pub(super) async fn reenter(&self, room: &Room, past: Option<Past>) -> Result<(), Refusal> {
        let again = self.bus().rejoin(self.seat, self.peer, room).await;
        let last = again.map_err(|_| Refusal::Unavailable)?;
        let told = self.tell_past(room, last, past).await;
        if told.is_err() && self.peer.outbox.overflowed() {
            // Some of what it would have heard is forgotten. It can come back and ask for it.
            self.peer.outbox.end(End::Slow);
        }
        self.peer.outbox.release();
        told
    }

    /// Tells what has been entered and what was said there before, up to the message `last`, ahead
    /// of what has been said since.
    async fn tell_past(
        &self,
        room: &Room,
        last: Option<Id>,
        past: Option<Past>,
    ) -> Result<(), Refusal> {
        let mut replay = Replay::new(past, last);
        let page = self.page(room, &mut replay, PAGE).await?.0;
        self.welcome(room, last, replay.complete()).await;
        self.tell_pages(room, &mut replay, page).await?;
        let mut rounds = 0;
        while self.peer.outbox.overflowed() && self.ended().is_none() {
            rounds += 1;
            if rounds > ROUNDS {
                self.peer.outbox.end(End::Slow);
            }
            // The room has said more meanwhile than can wait: that is read from the log, too.
            let again = self.bus().rejoin(self.seat, self.peer, room).await;
            let grown = replay.extend(again.map_err(|_| Refusal::Unavailable)?);
            let (page, whole) = self.page(room, &mut replay, PAGE).await?;
            if !(grown && whole) {
                // The log no longer has what had to be forgotten.
                self.peer.outbox.end(End::Slow);
            }
            self.tell_pages(room, &mut replay, page).await?;
        }
        if rounds > 0 && self.peer.dialect() == Dialect::Typed {
            // Who came and went meanwhile is in no log.
            let roster = self.bus().roster(room).await.ok_or(Refusal::Unavailable)?;
            let who = self.peer.frame(&Reply::Who(room, &roster));
            self.peer.outbox.push_ahead(who.as_slice());
        }
        Ok(())
    }

    /// Tells a page of the log, and then what is left of the replay.
    async fn tell_pages(
        &self,
        room: &Room,
        replay: &mut Replay,
        mut page: Vec<Event>,
    ) -> Result<(), Refusal> {
        while replay.left().is_some() && self.ended().is_none() {
            let mut size = PAGE;
            for piece in pieces(&page) {
                let frames = frame::texts(self.peer.dialect(), piece);
                self.peer.outbox.tally().sent.add(piece.len() as u64);
                self.peer.outbox.push_ahead(&[frames]);
                if let Some(told) = piece.last().and_then(Event::id) {
                    replay.told(told);
                }
                if self.peer.outbox.ahead() > 0 {
                    size = SMALL_PAGE;
                    break;
                }
            }
            drop(page);
            self.taken().await;
            let (next, whole) = self.page(room, replay, size).await?;
            page = next;
            if !whole {
                // The log has moved on while it was read: nobody is told a past with holes.
                self.peer.outbox.end(End::Slow);
            }
        }
        Ok(())
    }

    /// The next messages of a replay, and whether none is missing before them.
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
        let whole = replay.found(page.first().and_then(Event::id));
        Ok((page, whole))
    }

    async fn welcome(&self, room: &Room, last: Option<Id>, complete: bool) {
        let Some(user) = &self.user else {
            return;
        };
        let mut roster = Roster::default();
        if self.peer.dialect() == Dialect::Typed {
            roster = self.bus().roster(room).await.unwrap_or_default();
        }
        // The one that was last when this peer came in: whatever is newer, it hears.
        roster.last = last;
        let entered = self.peer.frame(&Reply::Entered {
            user,
            room,
            roster: &roster,
            complete,
        });
        self.peer.outbox.push_ahead(entered.as_slice());
    }

    /// Waits until the socket has taken most of what is ahead of the hold, or the peer has ended.
    /// The task that waits here is the one that flushes, so it is awake whenever something is taken.
    async fn taken(&self) {
        future::poll_fn(|_| {
            let outbox = &self.peer.outbox;
            if outbox.ahead() <= PIECE / 2 || outbox.ended().is_some() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Tells what was said before a message.
    pub(super) async fn history(
        &self,
        room: Room,
        before: Option<Id>,
        limit: usize,
    ) -> Result<(), Refusal> {
        self.proof.may_enter(&room)?;
        if !self.rooms.contains(&room) {
            return Err(Refusal::NotInRoom(room));
        }
        let read = match limit {
            0 => Some(Vec::new()),
            limit => self.bus().history_before(&room, before, limit).await,
        };
        let messages = read.ok_or(Refusal::Unavailable)?;
        let messages = newest(&messages, HISTORY_BYTES);
        self.peer.tell(&Reply::History(&room, messages));
        Ok(())
    }
}

/// Cuts messages into runs of about [`PIECE`] bytes.
fn pieces(messages: &[Event]) -> impl Iterator<Item = &[Event]> {
    let mut size = 0;
    messages.chunk_by(move |event, _| {
        size += event.weight();
        let goes_on = size < PIECE;
        size = if goes_on { size } else { 0 };
        goes_on
    })
}

/// The newest messages that take no more than about so many bytes; one in any case.
fn newest(messages: &[Event], most: usize) -> &[Event] {
    let mut size = 0;
    let fits = |event: &&Event| {
        size += event.weight();
        size <= most
    };
    let count = messages.iter().rev().take_while(fits).count();
    &messages[messages.len() - count.max(1).min(messages.len())..]
}
