//! Why connections end, and what their peers are told.

/// Why a connection ended. Not an error: each of these is somebody's decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The peer said goodbye.
    Left,
    /// Its connection broke.
    Lost,
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
    /// Its token expired.
    Expired,
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
    /// All of them, in their order.
    pub const ALL: [End; 15] = [
        End::Left,
        End::Lost,
        End::Silent,
        End::Slow,
        End::Stopping,
        End::Taken,
        End::Unavailable,
        End::Replaced,
        End::Flooding,
        End::Expired,
        End::Binary,
        End::NotText,
        End::TooBig,
        End::Broken,
        End::Fault,
    ];

    /// The close code as the connection's end may be counted under, and one word for it.
    pub fn label(self) -> (&'static str, &'static str) {
        match self {
            End::Left => ("1000", "left"),
            End::Lost => ("1006", "lost"),
            End::Silent => ("1006", "silent"),
            End::Stopping => ("1001", "stopping"),
            End::Broken => ("1002", "broken"),
            End::Binary => ("1003", "binary"),
            End::NotText => ("1007", "not_text"),
            End::Taken => ("1008", "name_taken"),
            End::Flooding => ("1008", "flooding"),
            End::Expired => ("1008", "token_expired"),
            End::TooBig => ("1009", "too_big"),
            End::Fault => ("1011", "fault"),
            End::Unavailable => ("1013", "unavailable"),
            End::Slow => ("1013", "slow"),
            End::Replaced => ("4001", "replaced"),
        }
    }

    /// The close code (RFC 6455, section 7.4) and reason the peer is told; `None` where there is
    /// nobody left to tell or the closing handshake is already done.
    pub fn close_code(self) -> Option<(u16, &'static str)> {
        Some(match self {
            End::Left | End::Lost | End::Silent => return None,
            End::Stopping => (1001, "the server shuts down"),
            End::Broken => (1002, "protocol error"),
            End::Binary => (1003, "text frames only"),
            End::NotText => (1007, "not UTF-8"),
            End::Taken => (1008, "name taken"),
            End::Flooding => (1008, "rate limit ignored"),
            End::Expired => (1008, "token expired"),
            End::TooBig => (1009, "frame too big"),
            End::Fault => (1011, "internal error"),
            End::Unavailable => (1013, "try again later"),
            End::Slow => (1013, "too slow, try again later"),
            End::Replaced => (4001, "replaced"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_place() {
        for (place, end) in End::ALL.into_iter().enumerate() {
            assert_eq!(end as usize, place);
            if let Some((code, _)) = end.close_code() {
                assert_eq!(end.label().0, code.to_string());
            }
        }
        assert_eq!(End::ALL.last(), Some(&End::Fault));
    }
}
