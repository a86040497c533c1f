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
use super::http;
use super::route::Arrival;
use super::session::Session;
use super::socket::{self, Socket, Wire};
use crate::chat::dialect::Dialect;
use crate::chat::end::End;
use crate::chat::event::Refusal;
use crate::chat::outbox::Outbox;
use crate::chat::peer::Peer;
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
    let life = live(&hub, &peer, &seat, &socket, ahead, arrival);
    let end = AssertUnwindSafe(life).catch_unwind().await;
    let end = end.unwrap_or(End::Fault);
    peer.outbox.end(end);
    let end = peer.outbox.ended().unwrap_or(end);
    log::debug!("{}: gone, {end:?}", peer.number);
    // Boxed like every rare step below, so that an idle peer's task stays small.
    Box::pin(hub.bus.depart(seat, &peer)).await;
    Box::pin(socket::farewell(&socket, &peer)).await;
}

/// Arrives, then listens and is told until either ends.
async fn live(
    hub: &Hub,
    peer: &Arc<Peer>,
    seat: &Seat,
    socket: &Socket,
    ahead: Bytes,
    arrival: Arrival,
) -> End {
    // The server may have begun to stop, and looked who is here, just before this peer was.
    if hub.draining() {
        peer.outbox.push(&[http::switching(&arrival.accept)]);
        return End::Stopping;
    }
    let mut session = Session::new(hub, peer, seat);
    if let Some(end) = Box::pin(arrive(&mut session, peer, arrival)).await {
        return end;
    }
    let wire = Wire::new(socket.clone(), peer.clone(), ahead);
    let config = WebSocketConfig::default()
        // The read buffer is allocated at once, and stays. Wire reads ahead for it, so a small
        // one costs no system calls.
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(hub.config.max_message))
        .max_frame_size(Some(hub.config.max_message));
    let mut frames = WebSocketStream::from_raw_socket(wire, Role::Server, Some(config)).await;
    let flush = async {
        socket::flush(socket, peer).await;
        peer.outbox.ended().unwrap_or(End::Left)
    };
    future::or(flush, listen(&mut frames, &mut session, hub.config.rate)).await
}

/// Agrees to the WebSocket and does what its address asks for. Who speaks the simple dialect is told
/// nothing more than that it is connected, so by then it must hear the room already.
async fn arrive(session: &mut Session<'_>, peer: &Peer, arrival: Arrival) -> Option<End> {
    let switching = [http::switching(&arrival.accept)];
    if arrival.dialect != Dialect::Simple {
        peer.outbox.push(&switching);
        return session.arrive(arrival).await;
    }
    peer.outbox.hold();
    let end = session.arrive(arrival).await;
    peer.outbox.release(&switching);
    end
}

/// Reads frames until the connection ends.
async fn listen(frames: &mut WebSocketStream<Wire>, session: &mut Session<'_>, rate: u32) -> End {
    let mut rate = Rate::new(rate, Instant::now());
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
            Verdict::Pass => Box::pin(session.act(&text)).await,
            Verdict::Refuse => {
                session.refuse_unread(&text, Refusal::RateLimited(rate.per_second()))
            }
            Verdict::Flood => return End::Flooding,
        }
        in_a_row += 1;
        if in_a_row == FRAMES_IN_A_ROW {
            in_a_row = 0;
            future::yield_now().await;
        }
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
