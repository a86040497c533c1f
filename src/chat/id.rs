//! Ids of instances, connections and messages.

use std::fmt;
use std::str::FromStr;

/// The id of one server process among those that share a Redis, chosen at random when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Instance(pub u64);

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The connection that caused an event: an instance and the number of its peer. Written
/// `INSTANCE.NUMBER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The instance the connection belongs to.
    pub instance: Instance,
    /// The peer's number there; never used twice by one instance.
    pub peer: u64,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.instance, self.peer)
    }
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Origin, &'static str> {
        let origin = |(instance, peer): (&str, &str)| {
            Some(Origin {
                instance: Instance(u64::from_str_radix(instance, 16).ok()?),
                peer: peer.parse().ok()?,
            })
        };
        text.split_once('.').and_then(origin).ok_or("not an origin")
    }
}

/// The position of a message in its room, written `EPOCH-N`. N counts by one without gaps. EPOCH is
/// when this count began, in milliseconds since 1970. So the ids of one room are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    /// When the room's log began, milliseconds since 1970.
    pub epoch: u64,
    /// The message's number in that log, from 1.
    pub n: u64,
}

impl Id {
    /// Before the first message of any room.
    pub const START: Id = Id { epoch: 0, n: 0 };

    /// After the last message of any room.
    pub const LAST: Id = Id {
        epoch: u64::MAX,
        n: u64::MAX,
    };

    /// Before the first message of an epoch.
    pub fn before_all(epoch: u64) -> Id {
        Id { epoch, n: 0 }
    }

    /// The first message of an epoch.
    pub fn first(epoch: u64) -> Id {
        Id { epoch, n: 1 }
    }

    /// The next id. The highest number has no next one and stays the same: no room gets there, but
    /// a client can send such an id.
    pub fn next(self) -> Id {
        Id {
            n: self.n.saturating_add(1),
            ..self
        }
    }

    /// The id before this one, if need be of an older epoch; `None` for [`START`](Self::START).
    pub fn previous(self) -> Option<Id> {
        let (epoch, n) = match self.n.checked_sub(1) {
            Some(n) => (self.epoch, n),
            None => (self.epoch.checked_sub(1)?, u64::MAX),
        };
        Some(Id { epoch, n })
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.n)
    }
}

impl FromStr for Id {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Id, &'static str> {
        // `parse` alone would accept a sign.
        let number = |text: &str| match text.starts_with('+') {
            true => None,
            false => text.parse().ok(),
        };
        let (epoch, n) = text.split_once('-').ok_or("not an id")?;
        let id = number(epoch).zip(number(n));
        id.map(|(epoch, n)| Id { epoch, n }).ok_or("not an id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = Id {
            epoch: 1_700_000_000_000,
            n: 42,
        };
        assert_eq!(id.to_string(), "1700000000000-42");
        assert_eq!("1700000000000-42".parse(), Ok(id));
        for bad in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "+1-1",
            "1-+1",
            "1-1-1",
            "x-1",
            "1-18446744073709551616",
        ] {
            assert!(bad.parse::<Id>().is_err(), "{bad:?}");
        }
        let last = Id {
            epoch: 1,
            n: u64::MAX,
        };
        assert_eq!(last.next(), last);
        assert_eq!(Id::START.previous(), None);
        assert_eq!(Id::before_all(2).previous(), Some(last));
        assert_eq!(Id::first(2).previous(), Some(Id::before_all(2)));
        let origin = Origin {
            instance: Instance(0xbeef),
            peer: 7,
        };
        assert_eq!(origin.to_string().parse(), Ok(origin));
    }
}
