//! One connection's life: arrive, listen and be told, depart.
//!
//! Whatever ends it, its rooms and its name are given back: the function that joins is the one
//! that leaves, and even a panic in between passes through it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use async_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};
use bytes::Bytes;
use smol::future::{self, FutureExt};
use smol::stream::StreamExt;

use super::Hub;
use super::route::Arrival;
use super::socket::{self, Socket, Wire};
use crate::bus::{Claim, Draft};
use crate::chat::dialect::{Reply, Request};
use crate::chat::end::End;
use crate::chat::event::Refusal;
use crate::chat::name::{Room, User};
use crate::chat::outbox::Outbox;
use crate::chat::peer::{Peer, Receipt};
use crate::chat::peers::Seat;
use crate::chat::rate::{Rate, Verdict};

/// A reader that has had so many frames in a row lets others run: the executor has no budget of
/// its own, and a flooding peer would starve the rest.
const FRAMES_IN_A_ROW: u32 = 8;

/// Bytes of a peer's read buffer: most chat messages fit.
const READ_BUFFER: usize = 128;

/// Runs a connection that has been upgraded; `ahead` is what was read behind its request's head.
pub async fn serve(socket: Socket, ahead: Bytes, arrival: Arrival, hub: Arc<Hub>) {
    let outbox = Outbox::new(socket.clone(), hub.config.outbox);
    let peer = hub.peers.peer(arrival.dialect, outbox);
    let seat = hub.peers.add(peer.clone()).await;
    let session = Session {
        hub: &hub,
        peer: &peer,
        socket: &socket,
    };
    let end = AssertUnwindSafe(session.run(&seat, ahead, arrival))
        .catch_unwind()
        .await;
    let end = end.unwrap_or(End::Fault);
    peer.outbox.end(end);
    let end = peer.outbox.ended().unwrap_or(end);
    log::debug!("{}: gone, {end:?}", peer.number);
    // Boxed like every rare step below, so that an idle peer's task stays small.
    Box::pin(hub.bus.depart(seat, &peer)).await;
    Box::pin(socket::farewell(&socket, &peer)).await;
}

struct Session<'a> {
    hub: &'a Arc<Hub>,
    peer: &'a Arc<Peer>,
    socket: &'a Socket,
}

impl Session<'_> {
    async fn run(&self, seat: &Seat, ahead: Bytes, arrival: Arrival) -> End {
        let Arrival { user, room, .. } = arrival;
        // The server may have begun to stop, and looked who is here, just before this peer was.
        if self.hub.draining() {
            return End::Stopping;
        }
        if let Some(end) = Box::pin(self.arrive(seat, &user, &room)).await {
            return end;
        }
        let wire = Wire::new(self.socket.clone(), self.peer.clone(), ahead);
        let config = WebSocketConfig::default()
            // The read buffer is allocated at once, and stays. Wire reads ahead for it, so a small
            // one costs no system calls.
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(Some(self.hub.config.max_message))
            .max_frame_size(Some(self.hub.config.max_message));
        let frames = WebSocketStream::from_raw_socket(wire, Role::Server, Some(config)).await;
        let flush = async {
            socket::flush(self.socket, self.peer).await;
            self.peer.outbox.ended().unwrap_or(End::Left)
        };
        future::or(flush, self.listen(frames, user, room)).await
    }

    /// Claims the name and enters the room; `Some` if it came to nothing.
    async fn arrive(&self, seat: &Seat, user: &User, room: &Room) -> Option<End> {
        let (bus, peer) = (&self.hub.bus, self.peer);
        let claim = bus.claim(seat, peer, user).await;
        if claim == Claim::Taken {
            peer.tell(&Reply::Taken(user));
            return Some(End::Taken);
        }
        let welcome = Reply::Welcome(user);
        let entered = claim == Claim::Granted && bus.enter(seat, peer, user, room, &welcome).await;
        if !entered {
            peer.tell(&Reply::Unreachable);
            return Some(End::Unavailable);
        }
        log::debug!("{}: joined", peer.number);
        None
    }

    /// Reads frames until the connection ends.
    async fn listen(&self, mut frames: WebSocketStream<Wire>, user: User, room: Room) -> End {
        let mut rate = Rate::new(self.hub.config.rate, Instant::now());
        let mut in_a_row = 0;
        loop {
            let text = match frames.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Binary(_))) => return End::Binary,
                // The answer, a pong or a close, is in the outbox already.
                Some(Ok(_)) => continue,
                Some(Err(error)) => return why(&error),
                None => return End::Left,
            };
            match rate.check(Instant::now()) {
                Verdict::Pass => Box::pin(self.act(&text, &user, &room)).await,
                Verdict::Refuse => self.refuse(Refusal::RateLimited(rate.per_second())),
                Verdict::Flood => return End::Flooding,
            }
            in_a_row += 1;
            if in_a_row == FRAMES_IN_A_ROW {
                in_a_row = 0;
                future::yield_now().await;
            }
        }
    }

    /// Does what a frame asks for.
    async fn act(&self, frame: &str, user: &User, room: &Room) {
        let (bus, peer) = (&self.hub.bus, self.peer);
        match peer.dialect.parse(frame) {
            Ok(Request::Say(text)) => {
                let (room, user) = (room.clone(), user.clone());
                let origin = self.hub.peers.origin(peer);
                let receipt = Receipt(peer.clone());
                bus.publish(Draft {
                    room,
                    user,
                    origin,
                    text,
                    receipt,
                })
                .await;
            }
            Ok(Request::Tell { to, text }) => {
                bus.tell(user, to, text, Receipt(peer.clone())).await;
            }
            Ok(Request::Who) => match bus.roster(room).await {
                Some(roster) => peer.tell(&Reply::Who(room, &roster)),
                None => self.refuse(Refusal::Unavailable),
            },
            Ok(Request::Help) => peer.tell(&Reply::Help),
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&self, refusal: Refusal) {
        self.peer.tell(&Reply::Refused(&refusal));
    }
}

/// What an error of the WebSocket layer says about the peer.
fn why(error: &Error) -> End {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => End::TooBig,
        Error::Utf8(_) => End::NotText,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => End::Left,
        Error::Protocol(_) => End::Broken,
        _ => End::Left,
    }
}
