//! Why connections end, and what their peers are told.

/// Why a connection ended. Not an error: each of these is somebody's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer said goodbye, or its connection broke.
    Left,
    /// It answered no ping.
    Silent,
    /// Its outbox was full.
    Slow,
    /// The server shuts down.
    Stopping,
    /// The name was taken.
    Taken,
    /// The bus could not be reached while joining.
    Unavailable,
    /// Its name now belongs to another connection.
    Replaced,
    /// It ignored its rate limit.
    Flooding,
    /// It sent a binary frame.
    Binary,
    /// It sent text that is not UTF-8.
    NotText,
    /// It sent a frame over the limit.
    TooBig,
    /// It broke RFC 6455.
    Broken,
    /// We failed it: a bug.
    Fault,
}

impl End {
    /// The close code (RFC 6455, section 7.4) and reason the peer is told; `None` where there is
    /// nobody left to tell or the closing handshake is already done.
    pub fn close_code(self) -> Option<(u16, &'static str)> {
        Some(match self {
            End::Left | End::Silent => return None,
            End::Stopping => (1001, "the server shuts down"),
            End::Broken => (1002, "protocol error"),
            End::Binary => (1003, "text frames only"),
            End::NotText => (1007, "not UTF-8"),
            End::Taken => (1008, "name taken"),
            End::Flooding => (1008, "rate limit ignored"),
            End::TooBig => (1009, "frame too big"),
            End::Fault => (1011, "internal error"),
            End::Unavailable => (1013, "try again later"),
            End::Slow => (1013, "too slow, try again later"),
            End::Replaced => (4001, "replaced"),
        })
    }
}
