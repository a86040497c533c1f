//! What a handshake waits for, why it fails, and what a read returns. A
//! [socket](super::super::socket) uses these also in builds without TLS.

/// The client speaks neither TLS 1.2 nor 1.3.
pub const VERSION: &str = "no TLS version in common";
/// The client offers no cipher of ours.
pub const CIPHER: &str = "no cipher in common";
/// The client offers no key exchange of ours.
pub const EXCHANGE: &str = "no key exchange in common";
/// The client supports no signature scheme of our key.
pub const SIGNATURE: &str = "no signature scheme in common";
/// The client wants another protocol than HTTP/1.1.
pub const PROTOCOL: &str = "no protocol in common";
/// The client rejects our certificate.
pub const DISTRUST: &str = "the certificate is not trusted there";
/// The client ended the handshake for another reason.
pub const ENDED: &str = "ended by the other side";
/// The client disconnected during the handshake.
pub const HUNG_UP: &str = "it hung up";
/// The handshake takes too long.
pub const SLOW: &str = "not done within 10 seconds";
/// The client does not speak TLS.
pub const PLAIN: &str = "plain HTTP";
/// The client broke the protocol.
pub const BROKEN: &str = "broken TLS";

/// All reasons for failed handshakes, as the metrics name them.
pub const HANDSHAKE_ERRORS: [&str; 11] = [
    VERSION, CIPHER, EXCHANGE, SIGNATURE, PROTOCOL, DISTRUST, ENDED, HUNG_UP, SLOW, PLAIN, BROKEN,
];

/// Why a handshake failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The client never sent anything.
    Silent,
    /// The client does not speak TLS, so it can be answered unencrypted.
    Plain,
    /// One of [`HANDSHAKE_ERRORS`].
    Because(&'static str),
}

impl HandshakeError {
    /// The handshake took too long.
    pub const SLOW: HandshakeError = HandshakeError::Because(SLOW);

    /// The reason to log and count; none for a silent client.
    pub fn why(self) -> Option<&'static str> {
        match self {
            HandshakeError::Silent => None,
            HandshakeError::Plain => Some(PLAIN),
            HandshakeError::Because(why) => Some(why),
        }
    }
}

/// The next step of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeStep {
    /// The handshake is finished.
    Done,
    /// Wait until the socket is readable.
    Read,
    /// Wait until the socket is writable.
    Write,
}

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOutcome {
    /// The number of bytes; 0 is the end.
    pub bytes: usize,
    /// The socket is empty: wait before the next read.
    pub drained: bool,
}
