//! The life of one upgraded connection: join, read and deliver, leave.
//!
//! Its rooms and its name are released in every case: the function that joins is the one that
//! leaves, and even a panic in between passes through it.

#![expect(clippy::manual_async_fn, reason = "they hold their arguments once")]

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

use super::context::ServerContext;
use super::forwarded;
use super::route::ChatRequest;
use super::session::Session;
use super::socket::stream::PeerStream;
use super::socket::{self, Socket, SocketPeer};
use super::token::{self, Grant};
use crate::chat::close_reason::CloseReason;
use crate::chat::dialect::Dialect;
use crate::chat::event::Refusal;
use crate::chat::rate::Verdict;

/// After this many frames in a row the reader lets other tasks run: the executor has no cooperative
/// budget, and a flooding peer would starve the rest.
const FRAMES_IN_A_ROW: u32 = 4;

/// The size of a peer's read buffer in bytes. Many chat messages fit into it.
const READ_BUFFER: usize = 64;

/// What a request hands to the task of its peer.
#[derive(Debug)]
pub struct Upgrade {
    /// What the URL asks for.
    pub request: ChatRequest,
    /// What its token grants, if a token is needed.
    pub grant: Option<Box<Grant>>,
    /// The client's address.
    pub from: IpAddr,
    /// Bytes that were read after the request's head.
    pub ahead: Bytes,
    /// The answer to the request.
    pub answer: Bytes,
}

/// Runs an upgraded connection to its end. `upgrade` is boxed: a task stores its arguments once for
/// each function that passes them on, for as long as it lives. An `async fn` even stores its
/// arguments twice, so the three functions that an idle peer waits in are written as plain
/// functions that return a future.
pub fn serve(
    socket: Socket,
    mut upgrade: Box<Upgrade>,
    context: Arc<ServerContext>,
) -> impl Future<Output = ()> + Send {
    async move {
        // The answer goes out with the first push. The peer hears the room from that moment on, and
        // some peers are sent nothing else.
        let answer = mem::take(&mut upgrade.answer);
        let peers = &context.peers;
        let (dialect, from) = (upgrade.request.dialect, forwarded::address(upgrade.from));
        let peer = peers.add(dialect, from, socket, answer).await;
        let life = run(&context, &peer, upgrade);
        let end = AssertUnwindSafe(life).catch_unwind().await;
        let end = end.unwrap_or(CloseReason::Fault);
        peer.outbox.close(end);
        let end = peer.outbox.close_reason().unwrap_or(end);
        context.peers.stats().count_close(end);
        log::debug!("{}: gone, {end:?}", peer.number);
        // Thousands may go at once.
        let background = context.background.clone();
        let departure = background.spawn(async move {
            context.bus.depart(&peer).await;
            socket::drain_and_close(&peer).await;
        });
        departure.await;
    }
}

/// Joins, then reads and flushes until either ends.
fn run<'a>(
    context: &'a ServerContext,
    peer: &'a Arc<SocketPeer>,
    mut upgrade: Box<Upgrade>,
) -> impl Future<Output = CloseReason> + Send + 'a {
    async move {
        // The server may have begun to shut down, and listed its peers, just before this peer was
        // added.
        if context.draining() {
            return CloseReason::Stopping;
        }
        let mut frames = match peer.dialect() {
            Dialect::Events => {
                socket::watch(&peer.outbox.socket, context.config.ping);
                None
            }
            _ => {
                let stream = PeerStream::new(peer, &mem::take(&mut upgrade.ahead));
                Some(Box::pin(reader(stream, context.config.max_message)).await)
            }
        };
        let acting = AtomicBool::new(true);
        let flush = async {
            socket::flush(peer, false).await;
            // The socket broke: no task may wait for it to become writable.
            peer.outbox.close(CloseReason::Lost);
            // A request is not dropped half-way: its name could stay claimed.
            future::poll_fn(|_| match acting.load(Ordering::Relaxed) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            })
            .await;
            peer.outbox.close_reason().unwrap_or(CloseReason::Lost)
        };
        let talk = async {
            let mut session = Session::new(context, peer);
            let grant = upgrade.grant.as_ref();
            let expires = grant.and_then(|grant| grant.expires);
            // Boxed with its arguments.
            let started = Box::pin({
                let session = &mut session;
                let starting = async move { session.start(upgrade.request, upgrade.grant).await };
                future::or(
                    async move { Some(token::expire(peer, expires).await) },
                    starting,
                )
            });
            if let Some(end) = started.await {
                return end;
            }
            let Some(frames) = &mut frames else {
                // Nothing is expected of a listener.
                acting.store(false, Ordering::Relaxed);
                let left = async {
                    socket::discard(&peer.outbox.socket).await;
                    CloseReason::Left
                };
                return match expires {
                    None => Box::pin(left).await,
                    expires => Box::pin(future::or(token::expire(peer, expires), left)).await,
                };
            };
            if expires.is_none() {
                return read_loop(frames, &mut session, context, &acting).await;
            }
            // Boxed, so that only peers with an expiring token pay for the timer.
            let reading = read_loop(frames, &mut session, context, &acting);
            Box::pin(future::or(token::expire(peer, expires), reading)).await
        };
        future::or(flush, talk).await
    }
}

/// Parses messages of at most `max_message` bytes from the stream.
async fn reader(stream: PeerStream<'_>, max_message: usize) -> WebSocketStream<PeerStream<'_>> {
    let config = WebSocketConfig::default()
        // The read buffer is allocated at once, and stays. `PeerStream` reads ahead, so a small
        // buffer costs no system calls.
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(max_message))
        .max_frame_size(Some(max_message));
    WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await
}

/// Reads frames until the connection ends.
fn read_loop<'a>(
    frames: &'a mut WebSocketStream<PeerStream<'_>>,
    session: &'a mut Session<'_>,
    context: &'a ServerContext,
    acting: &'a AtomicBool,
) -> impl Future<Output = CloseReason> + Send {
    async move {
        let mut in_a_row = 0;
        loop {
            // What was sent to this peer alone has not been checked against the limits yet.
            if context.peers.over_limit() {
                Box::pin(context.peers.evict_slowest()).await;
            }
            acting.store(false, Ordering::Relaxed);
            if let Some(end) = session.ended() {
                return end;
            }
            let text = match frames.next().await {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Binary(_))) => return CloseReason::Binary,
                // The answer, a pong or a close frame, is in the outbox already.
                Some(Ok(_)) => continue,
                Some(Err(error)) => {
                    return frames.get_ref().refused.unwrap_or(close_reason(&error));
                }
                None => return CloseReason::Left,
            };
            // tungstenite keeps the buffer of its largest frame. The message is complete here and
            // nothing of the next one has been read, so a new reader with a small buffer can take
            // over.
            if let Some(stream) = frames.get_mut().hand_over_after_large() {
                *frames = Box::pin(reader(stream, context.config.max_message)).await;
            }
            acting.store(true, Ordering::Relaxed);
            let stats = context.peers.stats();
            stats.received.add(1);
            stats.received_bytes.add(text.len() as u64);
            match session.check_rate() {
                Verdict::Pass => {
                    if Box::pin(session.handle_frame(&text)).await {
                        in_a_row = FRAMES_IN_A_ROW;
                    }
                }
                Verdict::Refuse => {
                    session.refuse_unread(&text, Refusal::RateLimited(context.config.rate))
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

/// Why an error of the WebSocket layer closes the peer.
fn close_reason(error: &Error) -> CloseReason {
    match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => CloseReason::TooBig,
        Error::Utf8(_) => CloseReason::NotText,
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => CloseReason::Lost,
        Error::Protocol(_) => CloseReason::Broken,
        Error::ConnectionClosed => CloseReason::Left,
        _ => CloseReason::Lost,
    }
}
