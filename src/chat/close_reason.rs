//! Why connections are closed, and what their clients are told.

/// Why a connection was closed. Not an error type: most of these are normal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client closed it.
    Left,
    /// The connection broke.
    Lost,
    /// The client answered no ping.
    Silent,
    /// Its outbox was full.
    Slow,
    /// The server shuts down.
    Stopping,
    /// Another client has the name.
    Taken,
    /// The bus could not be reached while joining.
    Unavailable,
    /// Another connection took over its name.
    Replaced,
    /// The client ignored its rate limit.
    Flooding,
    /// Its token expired.
    Expired,
    /// A moderator removed it.
    Removed,
    /// The client sent a binary frame.
    Binary,
    /// The client sent text that is not UTF-8.
    NotText,
    /// The client sent a frame over the limit.
    TooBig,
    /// The client broke RFC 6455.
    Broken,
    /// The server has a bug.
    Fault,
}

impl CloseReason {
    /// All reasons, in the order of the enum. Each with its code (RFC 6455, section 7.4), its word
    /// in the metrics and the text of its close frame. Without a text no close frame is sent: the
    /// client is gone, or the closing handshake is done.
    pub const ALL: [(CloseReason, u16, &str, &str); 16] = [
        (CloseReason::Left, 1000, "left", ""),
        (CloseReason::Lost, 1006, "lost", ""),
        (CloseReason::Silent, 1006, "silent", ""),
        (CloseReason::Slow, 1013, "slow", "too slow, try again later"),
        (
            CloseReason::Stopping,
            1001,
            "stopping",
            "the server shuts down",
        ),
        (CloseReason::Taken, 1008, "name_taken", "name taken"),
        (
            CloseReason::Unavailable,
            1013,
            "unavailable",
            "try again later",
        ),
        (CloseReason::Replaced, 4001, "replaced", "replaced"),
        (
            CloseReason::Flooding,
            1008,
            "flooding",
            "rate limit ignored",
        ),
        (CloseReason::Expired, 1008, "token_expired", "token expired"),
        (
            CloseReason::Removed,
            4003,
            "removed",
            "removed by a moderator",
        ),
        (CloseReason::Binary, 1003, "binary", "text frames only"),
        (CloseReason::NotText, 1007, "not_text", "not UTF-8"),
        (CloseReason::TooBig, 1009, "too_big", "frame too big"),
        (CloseReason::Broken, 1002, "broken", "protocol error"),
        (CloseReason::Fault, 1011, "fault", "internal error"),
    ];

    /// The code and the text of the close frame, if one is sent.
    pub fn close_code(self) -> Option<(u16, &'static str)> {
        let (_, code, _, text) = CloseReason::ALL[self as usize];
        (!text.is_empty()).then_some((code, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_reason_has_its_own_counter() {
        for (place, (reason, ..)) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
        }
        assert_eq!(CloseReason::Fault as usize + 1, CloseReason::ALL.len());
    }
}
