//! One connection's life: arrive, listen and be told, depart.
//!
//! Whatever ends it, its rooms and its name are given back: the function that joins is the one
//! that leaves, and even a panic in between passes through it.

use std::mem;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError};
use async_tungstenite::tungstenite::protocol::{Message, Role, WebSocketConfig};
use bytes::Bytes;
use smol::future::{self, FutureExt};
use smol::stream::StreamExt;

use super::Hub;
use super::http;
use super::route::Arrival;
use super::session::Session;
use super::socket::{self, Socket, Wire, Wired};
use super::token;
use crate::chat::close_reason::CloseReason;
use crate::chat::event::Refusal;
use crate::chat::peers::PeerKey;
use crate::chat::rate::Verdict;

/// A reader that has had so many frames in a row lets others run: the executor has no budget of
/// its own, and a flooding peer would starve the rest.
const FRAMES_IN_A_ROW: u32 = 4;

/// Bytes of a peer's read buffer: many chat messages fit.
const READ_BUFFER: usize = 64;

/// What a connection brings along.
#[derive(Debug)]
pub struct Upgrade {
    /// What its address asks for.
    pub arrival: Arrival,
    /// Where its client is.
    pub from: IpAddr,
    /// What was read behind its request's head.
    pub ahead: Bytes,
}

impl Upgrade {
    /// Only the wishes are left.
    #[expect(clippy::boxed_local, reason = "so that the box is given back at once")]
    fn unpack(self: Box<Upgrade>) -> Arrival {
        self.arrival
    }
}

/// Runs a connection that has been upgraded. What it brings along is boxed: a task holds what it is
/// given, once for each function that hands it on, for as long as it lives. An `async fn` holds its
/// arguments even twice, so the three functions that an idle peer waits in are written out.
#[expect(
    clippy::manual_async_fn,
    reason = "holds its arguments once, not twice"
)]
pub fn serve(
    socket: Socket,
    upgrade: Box<Upgrade>,
    hub: Arc<Hub>,
) -> impl Future<Output = ()> + Send {
    async move {
        let peer = hub.peers.peer(upgrade.arrival.dialect, socket);
        // Answered as soon as there is something to be told: whoever is connected hears the room it
        // asked for, and some are told nothing more than that.
        let arrival = &upgrade.arrival;
        let switching = http::switching(&arrival.accept, arrival.protocol.as_deref());
        peer.outbox.start_buffering(switching);
        let peer_key = hub.peers.add(peer.clone()).await;
        let life = live(&hub, &peer, &peer_key, upgrade);
        let end = AssertUnwindSafe(life).catch_unwind().await;
        let end = end.unwrap_or(CloseReason::Fault);
        peer.outbox.close(end);
        let end = peer.outbox.close_reason().unwrap_or(end);
        hub.peers.stats().count_close(end);
        log::debug!("{}: gone, {end:?}", peer.number);
        // Boxed like every rare step below, so that an idle peer's task stays small.
        Box::pin(hub.bus.depart(peer_key, &peer)).await;
        Box::pin(socket::farewell(&peer)).await;
    }
}

/// Arrives, then listens and is told until either ends.
#[expect(
    clippy::manual_async_fn,
    reason = "holds its arguments once, not twice"
)]
fn live<'a>(
    hub: &'a Hub,
    peer: &'a Arc<Wired>,
    peer_key: &'a PeerKey,
    mut upgrade: Box<Upgrade>,
) -> impl Future<Output = CloseReason> + Send + 'a {
    async move {
        // The server may have begun to stop, and looked who is here, just before this peer was.
        if hub.draining() {
            return CloseReason::Stopping;
        }
        let wire = Wire::new(peer, &mem::take(&mut upgrade.ahead));
        let mut frames = Box::pin(reader(wire, hub.config.max_message)).await;
        let acting = AtomicBool::new(true);
        let flush = async {
            socket::flush(peer).await;
            // A socket that broke: nobody must wait for it to take anything.
            peer.outbox.close(CloseReason::Lost);
            // What a peer has asked for is not dropped half done: a name could stay claimed.
            future::poll_fn(|_| match acting.load(Ordering::Relaxed) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
            peer.outbox.close_reason().unwrap_or(CloseReason::Lost)
        };
        let talk = async {
            let mut session = Session::new(hub, peer, peer_key, upgrade.from);
            let pass = upgrade.arrival.pass.as_ref();
            let expires = pass.and_then(|pass| pass.expires());
            // Boxed with all that it is given.
            let arrive = Box::pin({
                let session = &mut session;
                let arrived = async move { session.arrive(upgrade.unpack()).await };
                future::or(
                    async move { Some(token::expire(peer, expires).await) },
                    arrived,
                )
            });
            if let Some(end) = arrive.await {
                return end;
            }
            if expires.is_none() {
                return listen(&mut frames, &mut session, hub, &acting).await;
            }
            // Boxed, so that only those wait for the time whose token ends.
            let listen = listen(&mut frames, &mut session, hub, &acting);
            Box::pin(future::or(token::expire(peer, expires), listen)).await
        };
        future::or(flush, talk).await
    }
}

/// Makes messages of what a client sends, none larger than `max_message`.
async fn reader(wire: Wire<'_>, max_message: usize) -> WebSocketStream<Wire<'_>> {
    let config = WebSocketConfig::default()
        // The read buffer is allocated at once, and stays. Wire reads ahead for it, so a small one
        // costs no system calls.
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    WebSocketStream::from_raw_socket(wire, Role::Server, Some(config)).await
}

/// Reads frames until the connection ends.
#[expect(
    clippy::manual_async_fn,
    reason = "holds its arguments once, not twice"
)]
fn listen<'a>(
    frames: &'a mut WebSocketStream<Wire<'_>>,
    session: &'a mut Session<'_>,
    hub: &'a Hub,
    acting: &'a AtomicBool,
) -> impl Future<Output = CloseReason> + Send {
    async move {
        let mut in_a_row = 0;
        loop {
            // What this peer alone was told, nobody else has looked at.
            if hub.peers.over_limit() {
                Box::pin(hub.peers.evict_slowest()).await;
            }
            acting.store(false, Ordering::Relaxed);
            if let Some(end) = session.ended() {
                return end;
            }
            let text = match frames.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Binary(_))) => return CloseReason::Binary,
                // The answer, a pong or a close, is in the outbox already.
                Some(Ok(_)) => continue,
                Some(Err(error)) => return frames.get_ref().refused().unwrap_or(why(&error)),
                None => return CloseReason::Left,
            };
            // tungstenite keeps the buffer of its largest frame for ever. A message is whole here,
            // and nothing of the next one has been read: a new reader has a small buffer.
            if frames.get_mut().take_large() {
                let wire = frames.get_mut().hand_over();
                *frames = Box::pin(reader(wire, hub.config.max_message)).await;
            }
            acting.store(true, Ordering::Relaxed);
            let stats = hub.peers.stats();
            stats.received.add(1);
            stats.received_bytes.add(text.len() as u64);
            match session.check_rate() {
                Verdict::Pass => {
                    if Box::pin(session.act(&text)).await {
                        in_a_row = FRAMES_IN_A_ROW;
                    }
                }
                Verdict::Refuse => {
                    session.refuse_unread(&text, Refusal::RateLimited(hub.config.rate))
                }
                Verdict::Flood => return CloseReason::Flooding,
            }
            in_a_row += 1;
            if in_a_row >= FRAMES_IN_A_ROW {
                in_a_row = 0;
                future::yield_now().await;
            }
        }
    }
}

/// What an error of the WebSocket layer says about the peer.
fn why(error: &Error) -> CloseReason {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseReason::TooBig,
        Error::Utf8(_) => CloseReason::NotText,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => CloseReason::Lost,
        Error::Protocol(_) => CloseReason::Broken,
        Error::ConnectionClosed => CloseReason::Left,
        _ => CloseReason::Lost,
    }
}
