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
    /// All reasons, in the order of the enum.
    pub const ALL: [CloseReason; 15] = [
        CloseReason::Left,
        CloseReason::Lost,
        CloseReason::Silent,
        CloseReason::Slow,
        CloseReason::Stopping,
        CloseReason::Taken,
        CloseReason::Unavailable,
        CloseReason::Replaced,
        CloseReason::Flooding,
        CloseReason::Expired,
        CloseReason::Binary,
        CloseReason::NotText,
        CloseReason::TooBig,
        CloseReason::Broken,
        CloseReason::Fault,
    ];

    /// The labels of the metric: the close code, and one word for the reason.
    pub fn label(self) -> (&'static str, &'static str) {
        match self {
            CloseReason::Left => ("1000", "left"),
            CloseReason::Lost => ("1006", "lost"),
            CloseReason::Silent => ("1006", "silent"),
            CloseReason::Stopping => ("1001", "stopping"),
            CloseReason::Broken => ("1002", "broken"),
            CloseReason::Binary => ("1003", "binary"),
            CloseReason::NotText => ("1007", "not_text"),
            CloseReason::Taken => ("1008", "name_taken"),
            CloseReason::Flooding => ("1008", "flooding"),
            CloseReason::Expired => ("1008", "token_expired"),
            CloseReason::TooBig => ("1009", "too_big"),
            CloseReason::Fault => ("1011", "fault"),
            CloseReason::Unavailable => ("1013", "unavailable"),
            CloseReason::Slow => ("1013", "slow"),
            CloseReason::Replaced => ("4001", "replaced"),
        }
    }

    /// The code (RFC 6455, section 7.4) and the text of the close frame. `None` if the client is
    /// gone, or the closing handshake is done.
    pub fn close_code(self) -> Option<(u16, &'static str)> {
        Some(match self {
            CloseReason::Left | CloseReason::Lost | CloseReason::Silent => return None,
            CloseReason::Stopping => (1001, "the server shuts down"),
            CloseReason::Broken => (1002, "protocol error"),
            CloseReason::Binary => (1003, "text frames only"),
            CloseReason::NotText => (1007, "not UTF-8"),
            CloseReason::Taken => (1008, "name taken"),
            CloseReason::Flooding => (1008, "rate limit ignored"),
            CloseReason::Expired => (1008, "token expired"),
            CloseReason::TooBig => (1009, "frame too big"),
            CloseReason::Fault => (1011, "internal error"),
            CloseReason::Unavailable => (1013, "try again later"),
            CloseReason::Slow => (1013, "too slow, try again later"),
            CloseReason::Replaced => (4001, "replaced"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_close_reason_has_its_own_counter() {
        for (place, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place);
            if let Some((code, _)) = reason.close_code() {
                assert_eq!(reason.label().0, code.to_string());
            }
        }
        assert_eq!(CloseReason::ALL.last(), Some(&CloseReason::Fault));
    }
}
