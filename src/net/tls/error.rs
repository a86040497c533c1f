//! What is said between a [socket](super::socket) and [TLS](super::tls), in builds without it too: what
//! a handshake waits for, why it fails, what a read brings.

/// It speaks neither TLS 1.2 nor 1.3.
pub const VERSION: &str = "no TLS version in common";
/// None of its ciphers is one of ours.
pub const CIPHER: &str = "no cipher in common";
/// None of its ways to agree on a key is one of ours.
pub const EXCHANGE: &str = "no key exchange in common";
/// It does not know how our key signs.
pub const SIGNATURE: &str = "no signature scheme in common";
/// It wants to speak something else than HTTP/1.1.
pub const PROTOCOL: &str = "no protocol in common";
/// It has seen our certificate, and says no.
pub const DISTRUST: &str = "the certificate is not trusted there";
/// It says no, for another reason.
pub const ENDED: &str = "ended by the other side";
/// It went away in the middle.
pub const HUNG_UP: &str = "it hung up";
/// It takes too long.
pub const SLOW: &str = "not done within 10 seconds";
/// It does not speak TLS.
pub const PLAIN: &str = "plain HTTP";
/// What it says makes no sense.
pub const BROKEN: &str = "broken TLS";

/// Why a handshake fails, in the words that are counted.
pub const HANDSHAKE_ERRORS: [&str; 11] = [
    VERSION, CIPHER, EXCHANGE, SIGNATURE, PROTOCOL, DISTRUST, ENDED, HUNG_UP, SLOW, PLAIN, BROKEN,
];

/// Why there is no handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// The other side never said anything.
    Silent,
    /// It does not speak TLS, and can be told so as it is.
    Plain,
    /// This is why.
    Because(&'static str),
}

impl HandshakeError {
    /// Not done in time.
    pub const SLOW: HandshakeError = HandshakeError::Because(SLOW);

    /// Why, if that is worth a word.
    pub fn why(self) -> Option<&'static str> {
        match self {
            HandshakeError::Silent => None,
            HandshakeError::Plain => Some(PLAIN),
            HandshakeError::Because(why) => Some(why),
        }
    }
}

/// What a handshake waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeStep {
    /// Nothing: it is done.
    Done,
    /// That something comes.
    Read,
    /// That the socket takes more.
    Write,
}

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOutcome {
    /// So many bytes; 0: nothing will come any more.
    pub bytes: usize,
    /// The socket is empty: wait before the next read.
    pub drained: bool,
}
