//! The opening handshake of a WebSocket.

use async_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::net::http::{Answer, Head};

/// Checks the opening handshake (RFC 6455, section 4.2.1) and returns the value of
/// `Sec-WebSocket-Accept`.
pub(super) fn check_upgrade(head: &Head) -> Result<String, Answer> {
    if !head.lists("connection", "upgrade") || !head.lists("upgrade", "websocket") {
        return Err(
            Answer::text(426, "a WebSocket is needed here: connect with ws://")
                .with("Upgrade", "websocket"),
        );
    }
    if head.header("sec-websocket-version") != Some("13") {
        return Err(Answer::text(426, "WebSocket version 13 is needed")
            .with("Upgrade", "websocket")
            .with("Sec-WebSocket-Version", "13"));
    }
    let key = head.header("sec-websocket-key").unwrap_or_default();
    let base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
    let is_key = |digits: &str| digits.len() == 22 && digits.bytes().all(base64);
    if !head.http11 || !key.strip_suffix("==").is_some_and(is_key) {
        return Err(Answer::text(400, "broken WebSocket handshake"));
    }
    Ok(derive_accept_key(key.as_bytes()))
}
