//! The HTTP/1.1 (RFC 9112) that one request per connection needs: read a head, limited in size and
//! time, and answer it.

mod answer;
mod head;
pub mod query;

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;

use super::socket::Socket;
use super::tls::error::{SILENT, SLOW};
use crate::time::timeout;
pub use answer::{Answer, STATUSES};
pub use head::Head;

/// The most bytes of a head; a longer one is answered with 431.
const HEAD_BYTES: usize = 16 * 1024;
/// How long a head may take; a slower one is answered with 408.
pub(super) const HEAD_TIME: Duration = Duration::from_secs(10);
/// How long the client may take to receive an answer before the connection is closed.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// A boxed future, so that its code is in the binary once and not in each caller.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why there is no head.
#[derive(Debug)]
pub enum NoHead {
    /// The client has gone, or never sent anything. Nobody can be answered.
    Gone,
    /// Answer the client with this.
    Refuse(Answer),
    /// The TLS handshake failed, for this reason.
    NoTls(&'static str),
}

/// Finishes the TLS handshake, if there is one, and reads a head. Returns it with the bytes after
/// it that came along. Calls `speaks` once some of the head has come, but not all.
///
/// # Errors
/// [`NoHead::Refuse`] with 400, 408 or 431. Not cancel safe: the bytes read are lost.
pub fn read_head<'a>(
    socket: &'a Socket,
    speaks: &'a (dyn Fn() + Sync),
) -> Boxed<'a, Result<(Head, Bytes), NoHead>> {
    Box::pin(async move {
        // Browsers open connections in advance, so a silent one has no buffer.
        let mut head = Vec::new();
        let read = async {
            socket.handshake().await.map_err(|why| match why {
                SILENT => NoHead::Gone,
                why => NoHead::NoTls(why),
            })?;
            loop {
                let first = head.is_empty();
                let mut take = |bytes: &[u8]| head.extend_from_slice(bytes);
                let read = socket.read(&mut take);
                if !matches!(read.await, Ok(1..)) {
                    return Err(NoHead::Gone);
                }
                match Head::parse(&head).map_err(NoHead::Refuse)? {
                    Some((parsed, length)) if length <= HEAD_BYTES => {
                        return Ok((parsed, Bytes::copy_from_slice(&head[length..])));
                    }
                    None if head.len() <= HEAD_BYTES && first => speaks(),
                    None if head.len() <= HEAD_BYTES => {}
                    _ => {
                        return Err(NoHead::Refuse(Answer::text(
                            431,
                            "the head is longer than 16 KiB",
                        )));
                    }
                }
            }
        };
        match timeout(HEAD_TIME, read).await {
            Some(result) => result,
            None if head.is_empty() && !socket.is_handshaking() => Err(NoHead::Gone),
            None if socket.is_handshaking() => Err(NoHead::NoTls(SLOW)),
            None => Err(NoHead::Refuse(Answer::text(
                408,
                "no complete head within 10 seconds",
            ))),
        }
    })
}

/// Sends an answer; only its head if the request was a `HEAD`. A failure to send it is ignored.
pub fn answer<'a>(socket: &'a Socket, answer: &Answer, head_only: bool) -> Boxed<'a, ()> {
    let bytes = answer.bytes(head_only);
    Box::pin(async move {
        timeout(ANSWER_TIME, socket.write_all(&bytes)).await;
    })
}

/// The 101 response that accepts a WebSocket (RFC 6455, section 4.2.2) with the chosen subprotocol.
pub fn switching(accept: &str, protocol: Option<&str>) -> Bytes {
    let protocol = protocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let protocol = protocol.unwrap_or_default();
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    )
    .into()
}
